"""The rules by themselves: what is equal, what is within a bound, and where a difference is said to be."""

from dataclasses import FrozenInstanceError
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.cases import smallest
from q35ref.oracle.judge import (
    BEHAVIOUR,
    REFUSAL,
    RULES,
    Absent,
    Malformed,
    Mismatch,
    Verdict,
    equal,
    place,
    show,
)
from q35ref.oracle.problem import Problem
from tests.kernels.planted import Correct
from tests.oracle.written_arrays import float32, int8

RULE = {rule.name: rule for rule in RULES}

DELTA = 2.0**-24
"""Half the distance from 1 to the next float32."""

UP, DOWN = np.float32(np.inf), np.float32(-np.inf)


def judged(name: str, problem: Problem, result: Any) -> Verdict:
    return RULE[name].judge(problem, result)


def answer(problem: Problem) -> Any:
    """What a kernel written apart from the reference gives."""
    return getattr(Correct(), problem.operation)(**problem.arguments())


def test_what_is_judged_and_said_cannot_be_changed_afterwards() -> None:
    for made, name in ((Mismatch("value", "", "", ""), "kind"), (Verdict(), "judged"), (RULES[0], "name")):
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, 1)


def test_a_mismatch_is_of_a_call_on_one_thread_with_every_result_unless_it_says_otherwise() -> None:
    assert (Mismatch("value", "", "", "").threads, Mismatch("value", "", "", "").left_out) == (1, ())
    assert Verdict() == Verdict(None, 0, 0)


def test_a_number_is_shown_with_all_its_digits_and_anything_else_as_it_is() -> None:
    assert show(np.int32(-1)) == "0xFFFFFFFF (-1)"
    assert show(np.int32(5)) == "0x00000005 (5)"
    assert show(np.float64(1)) == "0x3FF0000000000000 (1.0)"
    assert show(np.uint8(9)) == "0x09 (9)"
    assert show("none") == "'none'"


# Shapes and types


@pytest.mark.parametrize(
    ("got", "expected", "told"),
    [
        ([1, 2], int8([1, 2]), "list"),
        (np.ma.masked_array([[1, 2]], dtype=np.int8), int8([1, 2]), "MaskedArray"),
        (SimpleNamespace(type_name="torch.Tensor"), int8([1]), "torch.Tensor"),
        (int8([1, 2]), np.array([[1, 2]], np.int16), "int8[1, 2]"),
        (np.array([[1, 2]], np.int16), int8([1, 2]), "int16[1, 2]"),
        (np.array([[1, 2]], np.uint8), int8([1, 2]), "uint8[1, 2]"),
        (int8([1, 2]), int8([1], [2]), "int8[1, 2]"),
        (int8([1], [2]), int8([1, 2]), "int8[2, 1]"),
    ],
)
def test_an_array_of_another_type_or_shape_is_malformed(got: Any, expected: Any, told: str) -> None:
    """Though it may hold the same numbers, and be narrower or wider, shorter or longer."""
    with pytest.raises(Malformed) as caught:
        equal("q", "KN", got, expected)
    shape = f"{expected.dtype}{list(expected.shape)}"
    assert caught.value.mismatch == Mismatch("shape", "q", told, shape)
    assert str(caught.value) == "q"


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (float32([1.0]), "ndarray"),
        ([float32([1.0]), float32([1.0])], "list"),
        ((float32([1.0]),), "tuple of 1"),
        ((float32([1.0]), float32([1.0]), float32([1.0])), "tuple of 3"),
    ],
)
def test_results_that_come_together_are_a_tuple_of_so_many(result: Any, told: str) -> None:
    with pytest.raises(Malformed) as caught:
        judged("calibrate.scale", smallest("calibrate"), result)
    assert caught.value.mismatch == Mismatch("shape", "result", told, "a tuple (scale, offset)")


# Equal numbers


def test_equal_numbers_are_counted_and_pass() -> None:
    assert equal("q", "KN", int8([1, 2], [3, 4]), int8([1, 2], [3, 4])) == Verdict(None, 4)
    assert equal("scale", "GN", float32([-0.0]), float32([0.0])) == Verdict(None, 1)


def test_the_first_of_several_differences_is_told_of_whichever_is_larger() -> None:
    expected = int8([1, 2], [3, 4])
    for got, where, given, wanted in (
        (int8([1, 5], [0, 9]), "q[k=0, n=1], wide lane", "0x05 (5)", "0x02 (2)"),
        (int8([1, 2], [-3, 9]), "q[k=1, n=0], narrow lane", "0xFD (-3)", "0x03 (3)"),
    ):
        assert equal("q", "KN", got, expected) == Verdict(Mismatch("value", where, given, wanted), 4)


@pytest.mark.parametrize(("got", "is_right"), [(2, True), (3, False), (1, False)])
def test_a_single_number_is_compared_too(got: int, is_right: bool) -> None:
    assert (equal("q", "KN", int8([got]), int8([2])).mismatch is None) is is_right


def test_a_nan_equals_nothing() -> None:
    verdict = equal("scale", "GN", float32([1.0, np.nan]), float32([1.0, np.nan]))
    assert verdict.mismatch is not None
    assert verdict.mismatch.place == "scale[g=0, n=1]"


@pytest.mark.parametrize(
    ("dimensions", "index", "told"),
    [
        ("KN", (0, 1), "x[k=0, n=1], wide lane"),
        ("KN", (1, 0), "x[k=1, n=0], narrow lane"),
        ("KN", (2, 1), "x[k=2, n=1], wide lane"),
        ("KN", (5, 2), "x[k=5, n=2], narrow lane"),
        ("MK", (0, 1), "x[m=0, k=1]"),
        ("GN", (1, 0), "x[g=1, n=0]"),
        ("MNG", (1, 2, 3), "x[m=1, n=2, g=3]"),
        ("M", (3,), "x[m=3]"),
    ],
)
def test_a_place_names_its_dimensions_and_the_lane_of_a_weight(
    dimensions: str, index: tuple[int, ...], told: str
) -> None:
    """Even rows are wide, odd ones narrow; activations and parameters have no lane."""
    assert place("x", dimensions, index) == told


def test_an_index_with_other_dimensions_than_are_named_is_an_error() -> None:
    with pytest.raises(ValueError, match="argument"):
        place("q", "KN", (1,))


@pytest.mark.parametrize("bit", range(7))
def test_the_lowest_bit_that_differs_in_a_packed_byte_is_named(bit: int) -> None:
    """A byte that differs in one bit, and one that differs in all above it too."""
    problem = Problem("pack", 4, {"q": int8([0, 0], [0, 0], [0, 7], [0, 3])})
    packed = np.array([[0, 0], [0, 0b0111011]], np.uint8)
    assert judged("pack.bytes", problem, packed) == Verdict(None, 4)
    for change in (1 << bit, 0xFF & (-1 << bit)):
        wrong = packed.copy()
        wrong[1, 1] ^= change
        found = judged("pack.bytes", problem, wrong).mismatch
        assert found is not None
        assert found.place == f"packed[n=1, b=1], layout byte, bit {bit}"
        assert found.got == f"0x{0b0111011 ^ change:02X} ({0b0111011 ^ change})"


# Every rule, and every part of a result


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_right_result_keeps_every_rule_and_all_its_numbers_are_compared(rule: Any) -> None:
    """Of one column and two rows there are two weights, and one of everything else."""
    verdict = rule.judge(smallest(rule.operation), answer(smallest(rule.operation)))
    numbers = {"unpack.integers": 2, "quantize.integers": 2, "quantize_activations.integers": 2}
    numbers |= {"dequantize.bound": 2, "dequantize.exact": 2}
    assert verdict == Verdict(None, numbers.get(rule.name, 1))


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("calibrate.scale", "scale[g=0, n=0]"),
        ("calibrate.offset", "offset[g=0, n=0]"),
        ("quantize_activations.scale", "activation_scale[m=0]"),
        ("quantize_activations.integers", "a[m=0, k=0]"),
        ("matmul.acc", "acc[m=0, n=0, g=0]"),
        ("matmul.row_sum", "row_sum[m=0, g=0]"),
        ("matmul.out", "out[m=0, n=0]"),
    ],
)
def test_a_rule_is_about_its_own_part_of_the_results(name: str, where: str) -> None:
    """With that part alone wrong it is broken, with every other part wrong it is kept."""
    operation = name.partition(".")[0]
    names = [rule.name for rule in RULES if rule.operation == operation]
    problem, part = smallest(operation), names.index(name)
    right = answer(problem)
    wrong = [array + array.dtype.type(1) for array in right]
    mine = tuple(wrong[i] if i == part else right[i] for i in range(len(names)))
    others = tuple(right[i] if i == part else wrong[i] for i in range(len(names)))
    found = judged(name, problem, mine).mismatch
    assert found is not None
    assert (found.kind, found.place) == ("value", where)
    assert judged(name, problem, others).mismatch is None


@pytest.mark.parametrize(("name", "part"), [("matmul.acc", 0), ("matmul.row_sum", 1), ("matmul.out", 2)])
def test_a_part_that_is_none_is_absent_and_not_wrong(name: str, part: int) -> None:
    problem = smallest("matmul")
    right = answer(problem)
    with pytest.raises(Absent, match=name.partition(".")[2]):
        judged(name, problem, tuple(None if i == part else right[i] for i in range(3)))
    alone = tuple(right[i] if i == part else None for i in range(3))
    assert judged(name, problem, alone).mismatch is None


def test_row_sums_are_one_a_row_and_group_however_many_columns_there_are() -> None:
    q = np.ones((20, 3), np.int8)
    a = np.arange(40, dtype=np.int8).reshape(2, 20)
    ones = np.ones((2, 3), np.float32)
    problem = Problem("matmul", 20, {"a": a, "q": q, "scale": ones, "offset": ones}, group_size=16)
    sums = np.array([[sum(range(16)), sum(range(16, 20))], [sum(range(20, 36)), sum(range(36, 40))]], np.int32)
    assert judged("matmul.row_sum", problem, (None, sums, None)) == Verdict(None, 4)


def test_only_exact_dequantizing_is_asked_of_kernels_that_claim_correct_rounding_alone() -> None:
    assert [rule.name for rule in RULES if rule.correctly_rounded] == ["dequantize.exact"]
    assert [rule.name for rule in RULES if rule.behaviour] == []
    assert not REFUSAL.correctly_rounded
    assert not REFUSAL.behaviour


# Restored weights


def restored(scale: float, offset: float, *q: int) -> Problem:
    """Weights of one column, restored: q scale + offset, for the gain is 1."""
    arrays = {"q": int8(*([each] for each in q)), "scale": float32([scale]), "offset": float32([offset])}
    return Problem("dequantize", len(q), arrays, narrow_gain=1)


def test_a_restored_weight_may_be_off_by_the_bound_and_by_no_more() -> None:
    """4 - 4 (1 - u) = 4 u; the bound is u (2 + u) 4 + u 4 (1 - u) = 12 u, so 16 u is just allowed."""
    problem = restored(4.0, -4 * (1 - DELTA), 1)
    allowed = np.float32(16 * DELTA)
    right = np.float32(4 * DELTA)
    for value in (right, allowed, np.float32(8 * DELTA), np.float32(-8 * DELTA)):
        assert judged("dequantize.bound", problem, float32([value])) == Verdict(None, 1)
    for value in (np.nextafter(allowed, UP), np.nextafter(np.float32(-8 * DELTA), DOWN), np.float32(1)):
        found = judged("dequantize.bound", problem, float32([value])).mismatch
        assert found is not None
        assert found.expected == f"{show(right)} within {12 * DELTA:.3g}"
        assert (found.place, found.got) == ("w[k=0, n=0], wide lane", show(value))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_restored_weight_that_is_no_number_is_wrong(value: float) -> None:
    found = judged("dequantize.bound", restored(1.0, 0.0, 1), float32([value])).mismatch
    assert found is not None
    assert found.got == show(np.float32(value))


def test_correctly_rounded_weights_are_the_nearest_float32_and_nothing_else() -> None:
    problem = restored(4.0, -4 * (1 - DELTA), 1)
    assert judged("dequantize.exact", problem, float32([4 * DELTA])) == Verdict(None, 1)
    for value in (np.nextafter(np.float32(4 * DELTA), UP), np.nextafter(np.float32(4 * DELTA), DOWN)):
        verdict = judged("dequantize.exact", problem, float32([value]))
        assert verdict.mismatch == Mismatch("value", "w[k=0, n=0], wide lane", show(value), show(np.float32(4 * DELTA)))
        assert verdict.judged == 1


def test_the_first_wrong_weight_of_several_is_told_of() -> None:
    found = judged("dequantize.exact", restored(1.0, 0.0, 1, 2, 3), float32([1.0], [5.0], [6.0])).mismatch
    assert found is not None
    assert (found.place, found.got) == ("w[k=1, n=0], narrow lane", show(np.float32(5)))


@pytest.mark.parametrize(
    ("scale", "offset", "is_judged"),
    [
        (2.0**124, 0.0, False),
        (2.0**125, 0.0, False),
        (2.0**124 * (1 - DELTA), 0.0, True),
        (2.0**123, 2.0**126, False),
        (2.0**123, -(2.0**126), False),
        (2.0**123, 2.0**126 * (1 - DELTA), True),
        (2.0**123, -(2.0**126) * (1 - DELTA), True),
        (2.0**-149, 2.0**126, True),
    ],
)
@pytest.mark.parametrize("name", ["dequantize.bound", "dequantize.exact"])
def test_there_is_no_verdict_where_eight_scales_and_the_offset_reach_2_to_127(
    name: str, scale: float, offset: float, is_judged: bool
) -> None:
    """Whatever the integer is: a kernel may add in any order."""
    problem = restored(scale, offset, 0)
    right, wrong = float32([offset]), float32([-1.0])
    counts = (1, 0) if is_judged else (0, 1)
    assert judged(name, problem, right) == Verdict(None, *counts)
    verdict = judged(name, problem, wrong)
    assert (verdict.judged, verdict.no_verdict) == counts
    assert (verdict.mismatch is not None) is is_judged


@pytest.mark.parametrize("name", ["dequantize.bound", "dequantize.exact"])
def test_weights_of_a_group_without_a_verdict_do_not_hide_those_of_another(name: str) -> None:
    """Two groups and two columns; one group of one column is too large."""
    scale, offset = float32([1.0, 1.0], [2.0**125, 1.0]), float32([0.0, 0.5], [0.0, 0.25])
    problem = Problem("dequantize", 18, {"q": np.zeros((18, 2), np.int8), "scale": scale, "offset": offset}, "byte", 16)
    right = np.repeat(float32([0.0, 0.5], [0.0, 0.25]), (16, 2), axis=0)
    assert judged(name, problem, right) == Verdict(None, 34, 2)
    ignored, wrong = right.copy(), right.copy()
    ignored[16:, 0] = 7
    assert judged(name, problem, ignored) == Verdict(None, 34, 2)
    wrong[16:, 0], wrong[17, 1] = 7, 7
    found = judged(name, problem, wrong)
    assert found.mismatch is not None
    assert found.mismatch.place == "w[k=17, n=1], narrow lane"
    assert (found.judged, found.no_verdict) == (34, 2)


@pytest.mark.parametrize("offset", [float32([0.0]), float32([0.0, 0.0], [0.0, 0.0])])
def test_parameters_that_do_not_fit_each_other_are_not_cut_to_fit(offset: Any) -> None:
    problem = Problem("dequantize", 2, {"q": np.zeros((2, 2), np.int8), "scale": float32([1.0, 1.0]), "offset": offset})
    with pytest.raises(ValueError, match=r"zip\(\)"):
        judged("dequantize.exact", problem, np.zeros((2, 2), np.float32))


# What a kernel does beside its work


def test_of_a_call_that_behaves_ill_the_first_fault_is_told_of() -> None:
    """Each operation has such a rule, and no other rule is about behaviour."""
    first, second, third = (Mismatch(kind, "", "", "") for kind in ("crash", "overread", "hang"))
    for operation in dict.fromkeys(rule.operation for rule in RULES):
        rule = BEHAVIOUR[operation]
        assert (rule.name, rule.operation, rule.behaviour) == (f"{operation}.behaves", operation, True)
        assert not rule.correctly_rounded
        assert rule.judge(smallest(operation), (first, second, third)) == Verdict(first)
        assert rule.judge(smallest(operation), ()) == Verdict()


def test_a_result_for_weights_that_must_be_refused_is_one_wrong_answer() -> None:
    verdict = REFUSAL.judge(smallest("quantize"), int8([1], [1]))
    assert verdict == Verdict(Mismatch("accepted", "w", "a result", "an exception"), 1)
