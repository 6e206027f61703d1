"""A fault looked for again on another problem: with the calls that could show it, and no more."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.foreign.process import Death
from q35ref.oracle.judge import Mismatch
from tests.oracle.foreign_fakes import CRASH, EXIT, HANG, Call, says, says_three, watched

AFTER, BEFORE, MOVED, ODD = ({"side": side} for side in ("after", "before", "moved", "odd"))
OTHER = {"fill": 0x3C}

SUBSETS = [("acc",), ("row_sum",), ("out",), ("acc", "row_sum"), ("acc", "out"), ("row_sum", "out")]

TRIALS: list[tuple[str, str, list[dict[str, Any]]]] = [
    ("written input", "packed", [{"sealed": ("packed",)}]),
    ("null result", "out", [{"left_out": ("out",)}]),
    ("null result", "acc and out", [{"left_out": names} for names in SUBSETS]),
    ("overread", "a", [{"sides": {"a": "after"}}, {"sides": {"a": "before"}}]),
    ("misaligned", "acc", [{"sides": {"acc": "after"}}]),
    ("thread dependent", "result 1[0]", [{**OTHER, "threads": threads} for threads in (4, 2, 8, 3, 4)]),
    ("not repeatable", "result 1[0]", [{**OTHER, "threads": threads} for threads in (4, 2, 8, 3, 4)]),
    ("stale output", "result 1[0]", [OTHER, {}]),
    ("misaligned", "result 1[0]", [ODD, ODD]),
    ("overread", "result 1[0]", [AFTER, BEFORE]),
    ("environment", "result 1[0]", [{"threads": 3}, {"threads": 3, **AFTER}, {"threads": 3, **BEFORE}]),
    ("environment", "packed", [{"threads": 3}, {"threads": 3, **AFTER}, {"threads": 3, **BEFORE}]),
    ("written input", "result 1[0]", [{"threads": 3}, {"threads": 3, **AFTER}, {"threads": 3, **BEFORE}]),
    ("alpha", "", [{"threads": 3}, {"threads": 3, **AFTER}, {"threads": 3, **BEFORE}]),
    ("zeal", "", [{"threads": 3}, {"threads": 3, **AFTER}, {"threads": 3, **BEFORE}]),
]


@pytest.mark.parametrize(("kind", "place", "trials"), TRIALS)
def test_a_fault_that_does_not_show_itself_again_took_these_calls(
    kind: str, place: str, trials: list[dict[str, Any]]
) -> None:
    """The first call, then what may show a fault of this kind at this place."""
    observer, process = watched(says_three)
    assert observer.again("matmul", {}, Mismatch(kind, place, "", "", threads=3)) is None
    assert process.conditions == [{}, *trials]


def test_results_left_out_when_a_fault_showed_are_left_out_again() -> None:
    observer, process = watched(says_three)
    observer.again("matmul", {}, Mismatch("environment", "x", "", "", left_out=("acc",)))
    assert process.conditions[1:] == [{"left_out": ("acc",), **side} for side in ({}, AFTER, BEFORE)]


@pytest.mark.parametrize("death", [CRASH, HANG, EXIT])
@pytest.mark.parametrize("kind", ["crash", "hang", "exit"])
def test_a_death_is_the_same_fault_if_it_is_of_that_kind(death: Death, kind: str) -> None:
    found = watched(lambda _: death)[0].again("pack", {}, Mismatch(kind, "pack", "with 2 threads", ""))
    assert (found and (found.kind, found.got)) == ((kind, death.text) if kind == death.kind else None)


@pytest.mark.parametrize("kind", ["alpha", "environment", "zeal"])
def test_what_the_first_call_shows_takes_no_other(kind: str) -> None:
    observer, process = watched(lambda _: says(0, "beta", kind, "yonder"))
    found = observer.again("pack", {}, Mismatch(kind, "elsewhere", "other", ""))
    assert found == Mismatch(kind, "q", "got", "expected")
    assert process.conditions == [{}]


@pytest.mark.parametrize("kind", ["alpha", "environment", "zeal"])
def test_what_shows_itself_under_other_conditions_is_told_with_them(kind: str) -> None:
    """Faults of other kinds beside it are not what is looked for."""

    def kernel(call: Call) -> Call:
        return says_three(call, 0, 0, 0, *(["beta", kind, "yonder"] if call["side"] == "after" else []))

    observer, process = watched(kernel)
    found = observer.again("matmul", {}, Mismatch(kind, "", "", "", threads=2, left_out=("acc",)))
    got = "got (with 2 threads, NULL for acc)"
    assert found == Mismatch(kind, "q", got, "expected", threads=2, left_out=("acc",))
    assert len(process.asked) == 3


def test_of_one_thread_and_all_results_nothing_is_told() -> None:
    observer, _ = watched(lambda call: says(0, *(["environment"] if call["side"] == "after" else [])))
    found = observer.again("pack", {}, Mismatch("environment", "", "", ""))
    assert found == Mismatch("environment", "q", "got", "expected")


@pytest.mark.parametrize(("kind", "same"), [("overread", True), ("misaligned", True), ("environment", False)])
def test_a_death_under_a_fault_s_conditions_is_the_fault_if_one_dies_of_it(kind: str, same: bool) -> None:
    observer, process = watched(lambda call: CRASH if "after" in (call["side"], *call["sides"].values()) else says())
    fault = Mismatch(kind, "q", "text", "")
    assert observer.again("pack", {}, fault) == (fault if same else None)
    assert len(process.asked) == (2 if same else 3)


Depends = Callable[[Call], object]

SHOWN: list[tuple[str, str, Depends, str]] = [
    ("stale output", "stale output", lambda c: c["fill"] == 0x3C, "a call whose outputs held other bytes before"),
    ("overread", "overread", lambda c: c["side"] == "before", "a call whose arrays have other bytes around them"),
    ("thread dependent", "thread dependent", lambda c: c["threads"] > 1, "a call with 4 threads"),
    ("not repeatable", "thread dependent", lambda c: c["threads"] == 8, "a call with 8 threads"),
    ("thread dependent", "stale output", lambda c: c["fill"] == 0x3C, "a call whose outputs held other bytes before"),
]


@pytest.mark.parametrize(("kind", "told", "depends", "how"), SHOWN)
def test_a_difference_is_looked_into_again(kind: str, told: str, depends: Depends, how: str) -> None:
    observer, _ = watched(lambda call: says(int(bool(depends(call)))))
    found = observer.again("pack", {}, Mismatch(kind, "result 1[0]", "", ""))
    assert found is not None
    assert (found.kind, found.got) == (told, f"1 in {how}")
    assert found.threads == {"a call with 4 threads": 4, "a call with 8 threads": 8}.get(how, 1)


def test_a_difference_is_none_of_a_fault_of_another_kind() -> None:
    observer, process = watched(lambda call: says(int(call["side"] != "")))
    assert observer.again("pack", {}, Mismatch("environment", "", "", "")) is None
    assert len(process.asked) == 4


def test_a_difference_of_one_thread_is_put_to_several() -> None:
    """It showed itself once; then no condition of that call brings it back, and four threads do."""

    def kernel(call: Call) -> Call:
        return says(int(call["threads"] == 4 or len(process.asked) == 2))

    observer, process = watched(kernel)
    found = observer.again("pack", {}, Mismatch("stale output", "result 1[0]", "", ""))
    assert found == Mismatch("thread dependent", "result 1[0]", "1 in a call with 4 threads", "0 again", threads=4)
    assert process.conditions[1:] == [OTHER, *4 * [{}], *4 * [MOVED], *4 * [OTHER], *4 * [ODD], *4 * [{"threads": 4}]]


@pytest.mark.parametrize("kind", ["stale cache", "changed result"])
def test_a_fault_of_contents_is_looked_for_with_other_contents(kind: str) -> None:
    """Results that change when others are asked for; or results of what lay at the address before."""
    held: dict[str, Any] = {}

    def kernel(call: Call) -> Call:
        q = call["arguments"]["q"]
        if kind == "stale cache":
            return says(held.setdefault(call["side"], q))
        turned = q.tolist() == [[2, 1]] and call["side"] == ""
        return says(0, *(["changed result"] if turned else []))

    observer, process = watched(kernel)
    found = observer.again("pack", {"q": np.array([[1, 2]], np.int8)}, Mismatch(kind, "", "", ""))
    assert found is not None
    assert found.kind == kind
    assert process.conditions[:4] == [{}, {}, {}, MOVED]


def test_a_fault_of_contents_that_is_gone_is_none() -> None:
    observer, process = watched(lambda _: says())
    assert observer.again("pack", {}, Mismatch("stale cache", "", "", "")) is None
    assert process.conditions == [{}, {}, {}, MOVED]
