"""The rule about a matmul's floats by itself: within the bound, and no verdict where something may overflow."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.judge import RULES, Mismatch, Verdict, show
from q35ref.oracle.problem import Problem
from tests.oracle.written_arrays import float32

[OUT] = (rule for rule in RULES if rule.name == "matmul.out")

UP, DOWN = np.float32(np.inf), np.float32(-np.inf)


def entry(exact: float, bound: float, magnitude: float | Fraction = 1, groups: int = 1) -> Any:
    """What the reference would say of one output."""
    return SimpleNamespace(
        acc=range(groups), row_sum=range(groups), exact=Fraction(exact), magnitude=magnitude, bound=Fraction(bound)
    )


def outputs(*rows: list[Any]) -> Problem:
    """A matmul with these entries, whatever its numbers are."""
    m, n = len(rows), len(rows[0])
    ones = np.ones((1, n), np.float32)
    arrays: dict[str, Any] = {
        "a": np.ones((m, 2), np.int8),
        "q": np.ones((2, n), np.int8),
        "scale": ones,
        "offset": ones,
    }
    problem = Problem("matmul", 2, arrays)
    vars(problem)["entries"] = [list(row) for row in rows]
    return problem


def out(*rows: list[float]) -> Any:
    return None, None, float32(*rows)


def test_an_output_may_be_off_by_its_bound_and_by_no_more() -> None:
    problem = outputs([entry(3, 0.5)])
    for value in (3, 3.25, 2.75, 3.5, 2.5):
        assert OUT.judge(problem, out([value])) == Verdict(None, 1, 0)
    for value in (np.nextafter(np.float32(3.5), UP), np.nextafter(np.float32(2.5), DOWN), -3, 0, 9):
        found = OUT.judge(problem, out([value])).mismatch
        expected = "0x40400000 (3.0) within 0.5"
        assert found == Mismatch("value", "out[m=0, n=0]", show(np.float32(value)), expected)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_an_output_that_is_no_number_is_wrong(value: float) -> None:
    found = OUT.judge(outputs([entry(0, 1)]), out([value])).mismatch
    assert found is not None
    assert found.got == show(np.float32(value))


@pytest.mark.parametrize(
    ("magnitude", "groups", "is_judged"),
    [
        (Fraction(2**127) - Fraction(1, 2**60), 1, True),
        (Fraction(2**127), 1, False),
        (Fraction(2**128), 1, False),
        (Fraction(1), 2**22 - 1, True),
        (Fraction(1), 2**22, False),
        (Fraction(1), 2**22 + 1, False),
        (Fraction(1), 2**22 - 2, True),
    ],
)
def test_there_is_no_verdict_on_an_output_that_may_overflow_on_the_way(
    magnitude: Fraction, groups: int, is_judged: bool
) -> None:
    """From terms of 2**127 on, or with more groups than the theorem is about."""
    problem = outputs([entry(1, 0.25, magnitude, groups)])
    verdict = OUT.judge(problem, out([np.inf]))
    assert (verdict.mismatch is not None) is is_judged
    assert (verdict.judged, verdict.no_verdict) == ((1, 0) if is_judged else (0, 1))


def test_every_output_is_judged_and_those_without_a_verdict_are_counted() -> None:
    huge = Fraction(2**127)
    problem = outputs([entry(1, 0), entry(1, 0, huge), entry(1, 0)], [entry(1, 0, huge), entry(1, 0), entry(2, 0)])
    right = [1.0, 5.0, 1.0], [5.0, 1.0, 2.0]
    assert OUT.judge(problem, out(*right)) == Verdict(None, 4, 2)
    verdict = OUT.judge(problem, out(right[0], [5.0, 1.5, 3.0]))
    assert verdict.mismatch is not None
    assert verdict.mismatch.place == "out[m=1, n=1]"
    assert (verdict.judged, verdict.no_verdict) == (3, 2)
