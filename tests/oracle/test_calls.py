"""Calls by themselves: what is kept of a result, when two calls are alike, and what a call is judged by."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.calls import Outcome, Unanswered, alike, call, call_twice, judge, judged_part, unlike
from q35ref.oracle.cases import smallest
from q35ref.oracle.judge import BEHAVIOUR, REFUSAL, RULES, Absent, Mismatch, Verdict
from q35ref.oracle.problem import Problem
from tests.oracle.written_arrays import float32, int8

RULE = {rule.name: rule for rule in RULES}

FAULTS = tuple(Mismatch(kind, "", "", "") for kind in ("overread", "misaligned", "modified input"))


class Quantizes:
    """A kernel with one operation, which does what it is told."""

    def __init__(self, does: Callable[..., Any]) -> None:
        self.does = does

    def quantize(self, *arguments: Any) -> Any:
        return self.does(*arguments)


def asked(does: Callable[..., Any]) -> Outcome:
    return call(Quantizes(does), smallest("quantize"))


# Calls


def test_an_outcome_is_an_answer_unless_it_says_otherwise_and_cannot_be_changed() -> None:
    outcome = Outcome()
    assert (outcome.result, outcome.raised, outcome.faults, outcome.answered, outcome.also) == (
        None,
        None,
        (),
        True,
        (),
    )
    with pytest.raises(FrozenInstanceError):
        setattr(outcome, "raised", "")  # noqa: B010


def test_a_kernel_gets_the_arguments_in_the_protocols_order() -> None:
    problem = smallest("quantize")
    w, scale, offset, group_size, narrow_gain = asked(lambda *arguments: arguments).result
    for name, array in (("w", w), ("scale", scale), ("offset", offset)):
        assert array.tobytes() == problem.arrays[name].tobytes()
    assert (group_size, narrow_gain) == (problem.group_size, problem.narrow_gain)


def test_a_result_is_kept_though_the_kernel_uses_its_array_again() -> None:
    own = np.zeros(3)

    def plain(*arguments: Any) -> Any:
        own[:] += 1
        return own

    first, second = asked(plain), asked(plain)
    assert (first.result.tolist(), second.result.tolist()) == ([1, 1, 1], [2, 2, 2])
    first, second = (asked(lambda *arguments: (plain(), None, 5)) for _ in range(2))
    assert first.result[0].tolist() == [3, 3, 3]
    assert (first.result[1:], second.result[1:]) == ((None, 5), (None, 5))


def test_what_is_neither_an_array_nor_a_tuple_is_kept_as_it_is() -> None:
    for given in (None, "text", [1, 2]):
        assert asked(lambda *arguments, given=given: given).result is given


@pytest.mark.parametrize(
    ("error", "told"),
    [(ValueError("no"), "ValueError: no"), (SystemExit(3), "SystemExit: 3"), (GeneratorExit(), "GeneratorExit: ")],
)
def test_a_kernel_that_raises_or_exits_has_refused(error: BaseException, told: str) -> None:
    def refuse(*arguments: Any) -> Any:
        raise error

    assert asked(refuse) == Outcome(None, told)


def test_ctrl_c_ends_the_run_and_is_no_refusal() -> None:
    def interrupted(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asked(interrupted)


def test_numpys_settings_are_those_of_before_after_a_call() -> None:
    before = np.geterr()
    asked(lambda *arguments: np.seterr(over="raise", divide="ignore", invalid="raise"))
    assert np.geterr() == before


@pytest.mark.parametrize("number", [-2.0, 5.0])
def test_an_input_that_the_call_changed_is_a_fault_whichever_way_it_was_changed(number: float) -> None:
    """One fault, of the first such argument; the caller's own array is as it was."""

    def change(w: Any, scale: Any, *others: Any) -> Any:
        w[1, 0] = scale[0, 0] = number

    problem = smallest("quantize")
    outcome = call(Quantizes(change), problem)
    assert outcome.faults == (Mismatch("modified input", "w", "changed by the call", "left as it was"),)
    assert problem.arrays["w"].tolist() == [[0.0], [1.0]]
    assert asked(lambda *arguments: None).faults == ()


def test_of_two_equal_calls_the_first_is_what_is_judged() -> None:
    counts = iter(range(100))
    outcome = call_twice(Quantizes(lambda *arguments: [next(counts)]), smallest("quantize"))
    assert outcome == Outcome([0])
    assert next(counts) == 2


def test_equal_calls_that_differ_are_a_fault() -> None:
    counts = iter(range(100))
    outcome = call_twice(Quantizes(lambda *arguments: np.full(2, next(counts))), smallest("quantize"))
    assert outcome.result.tolist() == [0, 0]
    assert outcome.faults == (Mismatch("not repeatable", "result 1[0]", "1 in an equal call", "0 again"),)


def test_a_kernel_that_changes_its_input_is_not_called_unrepeatable_too() -> None:
    counts = iter(range(100))

    def change(w: Any, *others: Any) -> Any:
        w[0, 0] = 9
        return np.full(2, next(counts))

    [fault] = call_twice(Quantizes(change), smallest("quantize")).faults
    assert fault.kind == "modified input"


# Two calls


def both(one: Any, other: Any) -> set[bool]:
    """Whether two results are alike, asked both ways."""
    return {alike(Outcome(one), Outcome(other)), alike(Outcome(other), Outcome(one))}


@pytest.mark.parametrize(
    "result",
    [None, 3, float32([1, np.nan]), (int8([1, 2]), None), [int8([1])], (), ((int8([1]),), "x")],
)
def test_a_result_is_like_its_copy(result: Any) -> None:
    """NaNs too: bits are compared, and of what is no array, the type."""
    copy = result.copy() if isinstance(result, np.ndarray) else result
    assert both(result, copy) == {True}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.array([True]), np.array([1], np.int8)),
        (np.array([1], np.int8), np.array([1], np.uint8)),
        (np.array([], np.int8), np.array([], np.int16)),
        (np.zeros((1, 4)), np.zeros((2, 2))),
        (np.array([1, 2], np.int8), np.array([1, 3], np.int8)),
        (np.array([0.0]), np.array([-0.0])),
        (np.array([1, 2], np.int8), [1, 2]),
        (np.array([1, 2], np.int8), None),
        (np.ma.masked_array([1]), np.array([1])),
        ((np.zeros(1),), (np.zeros(1), np.zeros(1))),
        ((np.zeros(1), np.zeros(1)), (np.zeros(1), np.ones(1))),
        ((np.zeros(1), np.zeros(1)), (np.ones(1), np.zeros(1))),
        ((np.zeros(1), None), None),
        ([np.zeros(1)], np.zeros(1)),
        (1, 1.0),
        (None, 1),
    ],
)
def test_results_that_differ_in_a_bit_a_shape_or_a_type_are_not_alike(one: Any, other: Any) -> None:
    assert both(one, other) == {False}


def test_a_tuple_and_a_list_of_the_same_are_alike() -> None:
    assert both((np.ones(2), None), [np.ones(2), None]) == {True}


def test_a_refusal_is_like_any_other_and_unlike_a_result() -> None:
    refused, otherwise, answered = Outcome(None, "ValueError: 1"), Outcome(None, "ValueError: 2"), Outcome(None)
    assert alike(refused, otherwise)
    for one, other in permutations((refused, answered)):
        assert not alike(one, other)


NAN = np.nan


@pytest.mark.parametrize(
    ("one", "other", "place", "got", "expected"),
    [
        ([1, 2, 3], [1, 5, 9], [1], "5", "2"),
        ([1, 5, 9], [1, 2, 3], [1], "2", "5"),
        ([NAN, 1, 2], [NAN, 1, 3], [2], "3", "2"),
        ([1, NAN, 2], [1, 4, 3], [1], "4", "nan"),
        ([1, 4, 3], [1, NAN, 2], [1], "nan", "4"),
        ([[1, 2], [3, 4]], [[1, 2], [5, 4]], [1, 0], "5", "3"),
        ([0, 1], [-0.0, 1], [0], "-0", "0"),
        ([7], [8], [0], "8", "7"),
    ],
)
def test_two_calls_differ_at_the_first_number_that_is_not_the_same(
    one: Any, other: Any, place: list[int], got: str, expected: str
) -> None:
    """A NaN for a NaN is the same; where bits alone differ, the first place stands for all."""
    outcomes = [Outcome(np.array(numbers, np.float32)) for numbers in (one, other)]
    fault = unlike("stale output", outcomes[0], outcomes[1], "a call")
    assert (fault.kind, fault.place) == ("stale output", f"result 1{place}")
    assert fault.got.replace(".0", "") == f"{got} in a call"
    assert fault.expected.replace(".0", "") == f"{expected} again"


def test_the_result_that_differs_is_named_by_its_number_among_the_arrays() -> None:
    same, zero, one = np.ones(2), np.zeros(1), np.ones(1)
    for container in (tuple, list):
        fault = unlike("k", Outcome(container([None, same, zero])), Outcome(container([None, same, one])), "x")
        assert fault.place == "result 2[0]"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros(2), np.ones(1)),
        (np.zeros((1, 2)), np.ones(2)),
        (np.array([True]), np.array([0], np.int8)),
        (np.zeros(1, np.int8), np.ones(1, np.int16)),
        ((np.ones(1), None), (np.ones(1), np.ones(1))),
        (np.ones(1), None),
        (None, None),
    ],
)
def test_results_that_cannot_be_compared_number_by_number_differ_as_a_whole(one: Any, other: Any) -> None:
    expected = Mismatch("k", "result", "another result in x", "the same again")
    assert unlike("k", Outcome(one), Outcome(other), "x") == expected
    assert unlike("k", Outcome(other), Outcome(one), "x") == expected


# Judging


def ones(operation: str = "pack") -> tuple[Problem, Any]:
    """A problem and its right result."""
    problem = smallest(operation)
    return problem, problem.expected


def test_a_right_result_passes_and_a_wrong_or_malformed_one_does_not() -> None:
    problem, right = ones()
    rule = RULE["pack.bytes"]
    assert judge(rule, problem, Outcome(right)) == Verdict(None, 1)
    wrong = judge(rule, problem, Outcome(right ^ np.uint8(1))).mismatch
    assert wrong is not None
    assert wrong.kind == "value"
    malformed = judge(rule, problem, Outcome("bytes"))
    assert malformed == Verdict(Mismatch("shape", "packed", "str", "uint8[1, 1]"))


def test_what_a_kernel_does_besides_says_nothing_of_its_result_and_the_other_way_round() -> None:
    problem, right = ones()
    assert judge(RULE["pack.bytes"], problem, Outcome(right, faults=FAULTS)) == Verdict(None, 1)
    assert judge(BEHAVIOUR["pack"], problem, Outcome(right, faults=FAULTS)) == Verdict(FAULTS[0])
    for outcome in (Outcome("wrong"), Outcome(raised="no"), Outcome(answered=False)):
        assert judge(BEHAVIOUR["pack"], problem, outcome) == Verdict()


def test_a_refusal_of_legal_input_is_wrong() -> None:
    problem, _ = ones()
    verdict = judge(RULE["pack.bytes"], problem, Outcome(raised="ValueError: no"))
    assert verdict == Verdict(Mismatch("raised", "pack", "ValueError: no", "a result"))


def test_a_kernel_that_did_not_live_to_answer_cannot_be_judged() -> None:
    problem, right = ones()
    for rule, about in ((RULE["pack.bytes"], problem), (REFUSAL, nan())):
        with pytest.raises(Unanswered):
            judge(rule, about, Outcome(right, answered=False))


def nan() -> Problem:
    return smallest("quantize").with_array("w", float32([0], [np.nan]))


def test_weights_that_are_no_numbers_must_be_refused_and_by_no_fault() -> None:
    accepted = Verdict(Mismatch("accepted", "w", "a result", "an exception"), 1)
    assert judge(REFUSAL, nan(), Outcome(raised="ValueError: no")) == Verdict(None, 1)
    assert judge(REFUSAL, nan(), Outcome(int8([0], [0]))) == accepted
    assert judge(REFUSAL, nan(), Outcome(faults=FAULTS, answered=False)) == Verdict(FAULTS[0])
    assert judge(REFUSAL, nan(), Outcome(raised="ValueError: no", faults=FAULTS)) == Verdict(FAULTS[0])


def test_finite_weights_need_not_be_refused() -> None:
    """A problem that was cut down may have lost its NaN: whatever is answered, it shows nothing."""
    problem = smallest("quantize")
    for outcome in (Outcome(int8([0], [0])), Outcome(raised="ValueError: no")):
        assert judge(REFUSAL, problem, outcome) == Verdict(None, 1)


def test_results_of_the_same_call_elsewhere_are_judged_too() -> None:
    problem, right = ones()
    wrong, worse = right ^ np.uint8(1), right ^ np.uint8(2)
    found = []
    for result, also in ((right, (right, wrong, worse)), (worse, (wrong,)), (worse, (right,)), (right, (right,))):
        mismatch = judge(RULE["pack.bytes"], problem, Outcome(result, also=also)).mismatch
        found.append(mismatch and int(mismatch.got.split()[0], 16))
    assert found == [wrong[0, 0], worse[0, 0], worse[0, 0], None]


def test_a_part_that_was_not_asked_for_elsewhere_is_not_missed_there() -> None:
    """In the call itself it is."""
    problem, right = ones("matmul")
    acc, row_sum, out = right
    rule = RULE["matmul.row_sum"]
    assert judge(rule, problem, Outcome((acc, row_sum, out), also=((acc, None, out),))) == Verdict(None, 1)
    also = ((acc, None, out), (acc, row_sum + np.int32(1), out))
    assert judge(rule, problem, Outcome((acc, row_sum, out), also=also)).mismatch is not None
    with pytest.raises(Absent):
        judge(rule, problem, Outcome((acc, None, out)))


# Large problems


def large() -> Problem:
    """More weights than the reference could judge: 2**16 rows, 8 columns, 2 rows of activations, 4 groups."""
    parameters = np.arange(1, 33, dtype=np.float32).reshape(4, 8)
    arrays: dict[str, Any] = {"a": np.ones((2, 1 << 16), np.int8), "q": np.zeros((1 << 16, 8), np.int8)}
    return Problem("matmul", 1 << 16, {**arrays, "scale": parameters, "offset": parameters}, group_size=1 << 14)


@pytest.mark.parametrize(
    ("layout", "gain", "first"), [("byte", 1, 0), ("byte", 2, 2), ("dense", 1, 2), ("dense", 2, 5)]
)
def test_of_a_large_matmul_three_columns_are_judged_and_row_sums_have_none(layout: str, gain: int, first: int) -> None:
    problem = replace(large(), layout=layout, narrow_gain=gain)
    columns = slice(first, first + 3)
    acc, row_sum, out = np.arange(64).reshape(2, 8, 4), np.arange(8).reshape(2, 4), np.arange(16).reshape(2, 8)
    part, cut = judged_part(problem, (acc, row_sum, out))
    assert part.arrays["scale"].tolist() == problem.arrays["scale"][:, columns].tolist()
    assert cut[0].tolist() == acc[:, columns].tolist()
    assert cut[1].tolist() == row_sum.tolist()
    assert cut[2].tolist() == out[:, columns].tolist()


def test_what_has_not_the_shape_of_a_result_is_not_cut() -> None:
    """It is wrong as it is: one column more or less, no array, no columns, or none at all."""
    for given in (np.zeros((2, 7)), np.zeros((2, 9)), np.zeros(8), np.zeros((8, 2)), None, "text"):
        assert judged_part(large(), given)[1] is given
        assert judged_part(large(), (None, given))[1][1] is given
    assert judged_part(large(), np.zeros((2, 8)))[1].shape == (2, 3)


def test_a_small_problem_is_judged_whole() -> None:
    problem, result = ones("matmul")
    assert judged_part(problem, result) == (problem, result)
    part, cut = judged_part(problem, result)
    assert part is problem
    assert cut is result


def test_a_large_result_is_judged_by_the_part_that_is_judged_of_it() -> None:
    """Wrong in another column, it passes: the same fault shows in the columns that are looked at, or in none."""
    seen: list[tuple[Problem, Any]] = []

    def see(part: Problem, result: Any) -> Verdict:
        seen.append((part, result))
        return Verdict(judged=1)

    assert judge(replace(RULE["matmul.out"], judge=see), large(), Outcome(np.zeros((2, 8)))) == Verdict(None, 1)
    [(part, result)] = seen
    assert (part.n, result.shape) == (3, (2, 3))
