"""Bugs in sums, epilogues, groups and parameters: as the planted kernels have them, and what each variant does."""

from typing import Any

import numpy as np
import pytest

from q35ref.oracle.bugs import matmuls
from q35ref.oracle.bugs.base import Bug
from q35ref.oracle.problem import Array, Problem
from tests.kernels import planted
from tests.oracle.planted_twins import (
    assert_twins,
    assert_twins_everywhere,
    extreme,
    multiplication,
    multiplying,
    quantizing,
    restoring,
    result,
)


@pytest.mark.parametrize(
    ("bug", "twin"),
    [
        (matmuls.RowSumMissing(), planted.RowSumMissing),
        (matmuls.RowSumMissing.variants()[0], planted.RowSumMissing),
        (matmuls.RowSumMissing.variants()[1], planted.OffsetMissing),
        (matmuls.OffsetBeforeScale(), planted.OffsetBeforeScale),
        (matmuls.RowSumOverWholeRow(), planted.RowSumOverWholeRow),
        (matmuls.UnsignedActivations(), planted.UnsignedActivations),
        (matmuls.MinusOneTwentyEight(), planted.MinusOneTwentyEight),
        (matmuls.MinusOneTwentyEight.variants()[0], planted.MinusOneTwentyEight),
        (matmuls.MinusOneTwentyEight.variants()[1], planted.MinusOneTwentyEightPositive),
        (matmuls.MinusOneTwentyEight.variants()[3], planted.MinusOneTwentyEightZero),
        (matmuls.GroupBoundaryOffByOne(), planted.GroupBoundaryEarly),
        (matmuls.GroupBoundaryOffByOne.variants()[0], planted.GroupBoundaryEarly),
        (matmuls.GroupBoundaryOffByOne.variants()[1], planted.GroupBoundaryOffByOne),
        (matmuls.ShortGroup(), planted.ShortGroup),
        (matmuls.ShortGroup.variants()[0], planted.ShortGroup),
        (matmuls.ScaleByRow(), planted.ScaleByRow),
        (matmuls.ScaleByRow.variants()[0], planted.ScaleByRow),
    ],
)
def test_each_class_is_as_its_planted_kernel(bug: Bug, twin: Any) -> None:
    assert_twins_everywhere(bug, twin())


LONG = [extreme(k, (-128, -8, -4)) for k in (31, 32, 33, 300)] + [extreme(300, (127, 7, 3)), extreme(300, (-128, 7, 3))]
"""Products whose sums reach 2**15 with the 32nd row, and whose activations' do later."""


@pytest.mark.parametrize(
    ("bug", "twin"),
    [
        (matmuls.Int16Accumulators(), planted.Int16Accumulators),
        (matmuls.SaturatingAccumulators(), planted.SaturatingAccumulators),
        (matmuls.SaturatingAccumulators.variants()[0], planted.SaturatingAccumulators),
    ],
)
def test_short_sums_are_as_the_planted_kernels_have_them(bug: Bug, twin: Any) -> None:
    assert_twins(bug, twin(), (*LONG, *multiplying()))


def test_sums_of_24_bits_are_as_the_planted_kernel_has_them() -> None:
    """They reach 2**23 with row 8192."""
    problems = [extreme(k, (-128, -8, -4)) for k in (8191, 8192)] + [extreme(9000, (127, 7, 3)), *LONG]
    assert_twins(matmuls.Int24Accumulators(), planted.Int24Accumulators(), problems)


def summed(bug: Bug, *products: int) -> int:
    """Return a class's sum of a few products with one."""
    return int(bug.total(np.array([products]), np.ones((len(products), 1), int))[0, 0])


A, Q = np.array([[1, 2, 3], [0, -1, 1]]), np.array([[1, 0], [10, 1], [100, -1]])
"""Two rows and two columns, of which three products each are summed."""

SUMS = [[321, -1], [90, -2]]
"""By hand."""


@pytest.mark.parametrize(("kernel", "half"), [("Int16Accumulators", 2**15), ("Int24Accumulators", 2**23)])
def test_a_sum_wraps_from_one_end_to_the_other(kernel: str, half: int) -> None:
    bug = getattr(matmuls, kernel)()
    expected = {half - 1: half - 1, half: -half, -half: -half, -half - 1: half - 1, 5 * half + 3: 3 - half, 0: 0}
    for total, kept in expected.items():
        assert summed(bug, total - 5, 5) == kept
        assert bug.row_total(np.array([[total - 5, 5], [1, 2]])).tolist() == [kept, 3]


def test_a_sum_stops_at_its_ends_after_each_row_or_each_pair_of_rows() -> None:
    rows, pairs = matmuls.SaturatingAccumulators.variants()
    most, least = 2**15 - 1, -(2**15)
    for bug in (rows, pairs):
        assert summed(bug, most - 2, 2, 1, 5) == most
        assert summed(bug, least, 0, -1, -3) == least
        assert summed(bug, most, 0, 9, 0, -5) == most - 5
        assert summed(bug, 1, 2, 4) == 7
    assert summed(rows, most, 0, 9, -9) == most - 9
    assert summed(pairs, most, 0, 9, -9) == most
    assert summed(pairs, most, 9, -9, 0, -1) == most - 10
    assert pairs.total(A, Q).tolist() == rows.total(A, Q).tolist() == SUMS


def test_a_float_sum_loses_what_it_cannot_hold() -> None:
    """At 2**24, ones that are added one by one are lost; in another order the last bit at least is."""
    by_row, at_once = matmuls.Float32Accumulators.variants()
    for bug in (by_row, at_once, matmuls.Float32Accumulators()):
        assert summed(bug, 2**24 - 2, 1) == 2**24 - 1
        assert bug.total(A, Q).tolist() == SUMS
        assert bug.total(A, Q).dtype == np.int64
    for bug in (by_row, matmuls.Float32Accumulators()):
        assert summed(bug, 2**24, *(21 * [1])) == 2**24
        assert summed(bug, 2**24, *(21 * [3])) == 2**24 + 21 * 4
    mixed = summed(at_once, 2**24, *(63 * [1]))
    assert 2**24 <= mixed < 2**24 + 63
    assert mixed % 2 == 0
    assert mixed != summed(by_row, 2**24, *(63 * [1]))


def test_a_product_is_summed_in_float32_in_both_ways() -> None:
    """An odd sum beyond 2**24 has no float32; it is missed by a thousandth at most."""
    problem = extreme(26_501, (127, 7, 3))
    exact = int(result(planted.Correct(), problem)[0][0, 0, 0])
    assert exact % 2 == 1
    for bug in matmuls.Float32Accumulators.variants():
        found = int(result(bug, problem)[0][0, 0, 0])
        assert found != exact
        assert abs(found - exact) < exact / 1000


def test_the_activation_minus_128_is_taken_for_127() -> None:
    bug = matmuls.MinusOneTwentyEight.variants()[2]
    assert len(matmuls.MinusOneTwentyEight.variants()) == 4
    assert bug.activations(np.array([[-128, -127, 0, 127]])).tolist() == [[127, -127, 0, 127]]


def test_a_short_group_may_keep_its_row_sum() -> None:
    """Then its offset counts, times that sum, and its weights do not: by hand for one column."""
    bug = matmuls.ShortGroup.variants()[1]
    a = np.array([[*(16 * [1]), 5], [*(16 * [2]), -7]], np.int8)
    q = np.array([*(8 * [[3], [2]]), [4], [0]], np.int8)
    scale, offset = np.array([[1], [10]], np.float32), np.array([[100], [1000]], np.float32)
    problem = Problem("matmul", 17, {"a": a, "q": q, "scale": scale, "offset": offset}, "byte", 16, 1)
    acc, row_sum, out = result(bug, problem)
    assert acc.tolist() == [[[40, 0]], [[80, 0]]]
    assert row_sum.tolist() == [[16, 5], [32, -7]]
    assert out.tolist() == [[40 + 1600 + 5000], [80 + 3200 - 7000]]
    assert out.dtype == np.float32


def test_a_short_group_that_keeps_its_row_sum_has_the_same_offset_for_each_column() -> None:
    bug = matmuls.ShortGroup(sums=False)
    problem = multiplication(3, 35, 4, 16)
    acc, row_sum, out = result(bug, problem)
    dropped = result(planted.ShortGroup(), problem)
    assert np.array_equal(acc, dropped[0])
    assert np.array_equal(row_sum, result(planted.Correct(), problem)[1])
    more = row_sum[:, -1:] * problem.arrays["offset"][-1].astype(np.float64)
    assert np.allclose(out, dropped[2] + more, rtol=1e-5, atol=1e-5 * abs(more).max())


@pytest.mark.parametrize("bug", matmuls.ShortGroup.variants())
def test_where_no_group_is_short_a_short_group_does_no_harm(bug: Bug) -> None:
    for shape in ((3, 48, 2, 16), (2, 33, 2, 0)):
        problem = multiplication(*shape)
        found, expected = result(bug, problem), result(planted.Correct(), problem)
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_short_group_may_have_the_parameters_of_the_one_before() -> None:
    bug = matmuls.ShortGroup.variants()[2]
    assert_twins(bug, planted.ShortGroupParameters(), multiplying())
    assert_twins(bug, planted.ShortGroup(), (*quantizing(), *restoring()))


def test_offsets_may_be_indexed_by_the_row_too() -> None:
    """Rows of weights, or of activations, taken for columns; from the first column on again at the third row."""
    bug = matmuls.ScaleByRow.variants()[1]
    scale, offset = np.array([[1, 2]], np.float32), np.array([[10, 50]], np.float32)
    q = np.array([[1, 1], [1, 2], [3, 3]], np.int8)
    arrays: dict[str, Array] = {"q": q, "scale": scale, "offset": offset}
    restored = result(bug, Problem("dequantize", 3, arrays, narrow_gain=1))[0]
    assert restored.tolist() == [[11, 11], [52, 54], [13, 13]]
    w = np.array([[13, 8], [52, 47], [13, 13]], np.float32)
    quantized = result(bug, Problem("quantize", 3, {"w": w, "scale": scale, "offset": offset}, narrow_gain=1))[0]
    assert quantized.tolist() == [[3, -2], [1, -2], [3, 3]]
    a = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 2]], np.int8)
    stored = np.vstack([q, [[0, 0]]]).astype(np.int8)
    problem = Problem("matmul", 3, {**arrays, "a": a, "q": stored}, "byte", 0, 1)
    out = result(bug, problem)[2]
    assert out.tolist() == [[1 + 10, 1 + 10], [2 + 50, 4 + 50], [7 + 30, 7 + 30]]


def test_scale_and_offset_are_exchanged_as_the_planted_kernel_has_it() -> None:
    """But for weights of which the offset leaves next to nothing: those of the special regimes."""
    bug, twin = matmuls.ScaleOffsetExchanged(), planted.ScaleOffsetExchanged()
    assert_twins(bug, twin, multiplying())
    assert_twins(bug, twin, restoring())
    assert_twins(bug, twin, quantizing()[-8:])


def test_an_offset_of_zero_that_is_taken_for_the_scale_gives_the_ends_of_the_lanes_and_zero() -> None:
    w, scale, offset = np.array([[3, -3, 2]], np.float32), np.full((1, 3), 2, np.float32), np.zeros((1, 3), np.float32)
    found = matmuls.ScaleOffsetExchanged().quantize(w, scale, offset, 0, 1)
    assert found.tolist() == [[7, -8, 0]]


LEAST = 2.0**-126
"""The least number that is not subnormal."""

TINY = 2.0**-149
"""The least number."""


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        (LEAST, LEAST),
        (-LEAST, -LEAST),
        (LEAST - TINY, 0),
        (TINY - LEAST, 0),
        (TINY, 0),
        (1.5 * LEAST, 1.5 * LEAST),
        (LEAST / 2, 0),
        (0, 0),
        (7, 7),
    ],
)
def test_subnormal_numbers_are_flushed_and_no_others(number: float, kept: float) -> None:
    assert matmuls.FlushToZero().flushed(np.array([number])).tolist() == [kept]


@pytest.mark.parametrize(
    ("q", "scale", "offset", "expected"),
    [
        (1, TINY, 0, 0),
        (4, LEAST / 2, 0, 2 * LEAST),
        (1, TINY, LEAST, LEAST),
        (1, LEAST, TINY, LEAST),
        (1, 1.5 * LEAST, -LEAST, 0),
        (3, LEAST, -LEAST, 2 * LEAST),
    ],
)
def test_restored_weights_have_no_subnormal_terms_and_are_none(
    q: int, scale: float, offset: float, expected: float
) -> None:
    parameters = np.array([[scale]], np.float32), np.array([[offset]], np.float32)
    found = matmuls.FlushToZero().dequantize(np.array([[q]], np.int8), *parameters, 0, 1)
    assert found.tolist() == [[expected]]
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("a", "scale", "offset", "expected"),
    [
        (100, LEAST - TINY, 0, 0),
        (100, LEAST, 0, 100 * LEAST),
        (100, TINY, 1, 100),
        (100, 1, LEAST / 2, 100),
        (100, LEAST, LEAST, 200 * LEAST),
        (1, 1.5 * LEAST, -LEAST, 0),
        (2, 1.5 * LEAST, -LEAST, LEAST),
    ],
)
def test_products_have_no_subnormal_parameters_and_are_none(
    a: int, scale: float, offset: float, expected: float
) -> None:
    """A weight of one times the activation, and the offset times the same."""
    arrays = {"a": [[a]], "q": [[1], [0]], "scale": [[scale]], "offset": [[offset]]}
    kinds = {"a": np.int8, "q": np.int8, "scale": np.float32, "offset": np.float32}
    problem = Problem("matmul", 1, {name: np.array(value, kinds[name]) for name, value in arrays.items()}, "byte", 0, 1)
    assert result(matmuls.FlushToZero(), problem)[2].tolist() == [[expected]]


@pytest.mark.parametrize(("columns", "done"), [(1, 1), (7, 7), (8, 8), (9, 8), (15, 8), (16, 16), (17, 16), (31, 24)])
def test_columns_after_the_last_eight_are_zero(columns: int, done: int) -> None:
    problem = multiplication(3, 20, columns, 16)
    acc, row_sum, out = result(planted.Correct(), problem)
    out[:, done:] = 0
    found = result(matmuls.ColumnTailDropped(), problem)
    assert all(np.array_equal(one, other) for one, other in zip(found, (acc, row_sum, out), strict=True))


@pytest.mark.parametrize(("rows", "done"), [(1, 1), (3, 3), (4, 4), (5, 4), (7, 4), (8, 8), (9, 8), (15, 12)])
def test_rows_of_activations_after_the_last_four_are_zero(rows: int, done: int) -> None:
    problem = multiplication(rows, 20, 5, 16)
    acc, row_sum, out = result(planted.Correct(), problem)
    out[done:] = 0
    found = result(matmuls.ActivationTailDropped(), problem)
    assert all(np.array_equal(one, other) for one, other in zip(found, (acc, row_sum, out), strict=True))


@pytest.mark.parametrize(
    ("k", "group_size", "wrong"),
    [(48, 0, False), (100, 16, False), (100, 48, False), (70, 64, True), (200, 64, True), (129, 0, False)],
)
def test_in_long_groups_all_have_the_parameters_of_the_first(k: int, group_size: int, wrong: bool) -> None:
    """In groups of more than 48 rows; where there is one group it is right."""
    problem = multiplication(3, k, 4, group_size)
    found = result(matmuls.LongGroupsUseTheFirst(), problem)
    scale, offset = (np.repeat(problem.arrays[name][:1], len(problem.arrays[name]), axis=0)
                     for name in ("scale", "offset"))  # fmt: skip
    first = problem.with_array("scale", scale).with_array("offset", offset)
    expected = result(planted.Correct(), first if wrong else problem)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert np.array_equal(found[2], result(planted.Correct(), problem)[2]) != wrong
