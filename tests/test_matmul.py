"""Accumulators, row sums, the exact output and its bound, against sums over restored weights."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from q35ref.reference.float32 import OVERFLOW
from q35ref.reference.lanes import MAX_GROUP_ROWS, group_rows, lane_interval
from q35ref.reference.matmul import (
    INT32_MAX,
    NO_VERDICT,
    VERDICT_GROUPS,
    accumulate,
    accumulator_bound,
    exact_output,
    matmul_entry,
    output_bound,
    output_magnitude,
    row_sum,
)
from q35ref.reference.quantizer import dequantize

U = Fraction(1, 2**24)
SCALES = st.floats(min_value=2.0**-149, max_value=2.0**100, width=32)
OFFSETS = st.floats(min_value=-(2.0**100), max_value=2.0**100, width=32)


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of ``matmul_entry``: up to 70 rows, with or without groups."""
    k = draw(st.integers(1, 70))
    group_size = draw(st.sampled_from([0, 16, 32, 48, 128]))
    groups = len(group_rows(k, group_size))
    return {
        "activations": draw(st.lists(st.integers(-128, 127), min_size=k, max_size=k)),
        "column": [draw(st.integers(*lane_interval(row))) for row in range(k)],
        "group_size": group_size,
        "narrow_gain": draw(st.integers(1, 2)),
        "scale": draw(st.lists(SCALES, min_size=groups, max_size=groups)),
        "offset": draw(st.lists(OFFSETS, min_size=groups, max_size=groups)),
    }


@given(entries())
def test_the_output_is_the_dot_product_with_the_restored_weights(entry: dict[str, Any]) -> None:
    size, total = entry["group_size"], Fraction(0)
    for row, (a, q) in enumerate(zip(entry["activations"], entry["column"], strict=True)):
        g = row // size if size else 0
        total += a * dequantize(q, entry["scale"][g], entry["offset"][g], row, entry["narrow_gain"])
    assert matmul_entry(**entry).exact == total


@given(entries())
def test_integers_are_those_of_numpy(entry: dict[str, Any]) -> None:
    a, q = np.array(entry["activations"], np.int64), np.array(entry["column"], np.int64)
    row = np.arange(len(q))
    gains = np.where(row % 2, entry["narrow_gain"], 1)
    starts = range(0, len(q), entry["group_size"] or len(q))
    found = matmul_entry(**entry)
    assert found.acc == np.add.reduceat(gains * a * q, list(starts)).tolist()
    assert found.row_sum == np.add.reduceat(a, list(starts)).tolist()


@given(entries())
def test_magnitude_and_bound_follow_from_the_integers(entry: dict[str, Any]) -> None:
    found = matmul_entry(**entry)
    terms = [
        (Fraction(s) * acc, Fraction(o) * total)
        for s, o, acc, total in zip(entry["scale"], entry["offset"], found.acc, found.row_sum, strict=True)
    ]
    assert found.magnitude == sum(abs(x) + abs(y) for x, y in terms)
    n = 2 * len(terms) + 1
    assert found.bound == n * U / (1 - n * U) * found.magnitude


@given(entries())
def test_float32_evaluation_in_any_order_stays_within_the_bound(entry: dict[str, Any]) -> None:
    found = matmul_entry(**entry)
    if found.magnitude >= NO_VERDICT:
        return
    terms = []
    for s, o, acc, total in zip(entry["scale"], entry["offset"], found.acc, found.row_sum, strict=True):
        terms += [np.float32(s) * np.float32(acc), np.float32(o) * np.float32(total)]
    tree = sorted(terms, key=abs)
    while len(tree) > 1:  # pairs, then pairs of pairs: another tree of additions than the running sum
        tree = [sum(tree[i : i + 2], np.float32(0)) for i in range(0, len(tree), 2)]
    running = np.float32(0)
    for term in terms:
        running += term
    for out in (running, tree[0]):
        assert abs(Fraction(float(out)) - found.exact) <= found.bound


@given(entries(), st.integers(0, 70))
def test_splitting_a_sum_changes_nothing(entry: dict[str, Any], cut: int) -> None:
    a, q, gain = entry["activations"], entry["column"], entry["narrow_gain"]
    parts = accumulate(a[:cut], q[:cut], gain) + accumulate(a[cut:], q[cut:], gain, first_row=cut)
    assert parts == accumulate(a, q, gain)
    assert row_sum(a[:cut]) + row_sum(a[cut:]) == row_sum(a)


@given(entries())
def test_no_accumulator_exceeds_the_bound(entry: dict[str, Any]) -> None:
    found = matmul_entry(**entry)
    for rows, acc, total in zip(
        group_rows(len(entry["column"]), entry["group_size"]), found.acc, found.row_sum, strict=True
    ):
        assert abs(acc) <= accumulator_bound(len(rows), entry["narrow_gain"])
        assert abs(total) <= 128 * len(rows)


@pytest.mark.parametrize("gain", [1, 2])
@pytest.mark.parametrize("rows", [1, 2, 3, 16, 17, 255, 4096])
def test_the_accumulator_bound_is_attained(rows: int, gain: int) -> None:
    column = [lane_interval(row)[0] for row in range(rows)]
    assert accumulate([-128] * rows, column, gain) == accumulator_bound(rows, gain)


def test_int32_holds_every_legal_group_and_the_limits_are_tight() -> None:
    assert np.iinfo(np.int32).max == INT32_MAX
    assert accumulator_bound(MAX_GROUP_ROWS, 2) <= INT32_MAX < accumulator_bound(MAX_GROUP_ROWS + 1, 2)
    assert accumulator_bound(2_796_202, 1) <= INT32_MAX < accumulator_bound(2_796_203, 1)
    assert accumulator_bound(0, 2) == 0


def test_minus_128_is_a_legal_activation() -> None:
    found = matmul_entry([-128, -128, 127], [-8, -4, 7], 0, 2, [1.0], [0.0])
    assert found.acc == [128 * 8 + 2 * 128 * 4 + 127 * 7]
    assert found.row_sum == [-129]


def test_a_lane_is_counted_from_the_first_row_of_the_column() -> None:
    assert accumulate([1, 1], [3, 7], narrow_gain=2, first_row=1) == 13
    assert accumulate([1, 1], [7, 3], narrow_gain=2, first_row=0) == 13


def test_an_example_with_a_short_last_group() -> None:
    found = matmul_entry([1] * 18, [1, -1] * 9, 16, 2, [0.5, 0.25], [2.0, -1.0])
    assert found.acc == [-8, -1]
    assert found.row_sum == [16, 2]
    assert found.exact == Fraction(-4) + 32 - Fraction(1, 4) - 2
    assert found.magnitude == Fraction(4) + 32 + Fraction(1, 4) + 2


# The bound


@pytest.mark.parametrize("groups", [1, 2, 7, 2**20])
def test_the_bound_counts_two_roundings_a_group_and_one_more(groups: int) -> None:
    n = 2 * groups + 1
    assert output_bound(groups, Fraction(3)) == 3 * n * U / (1 - n * U)
    scaled = output_bound(groups, Fraction(3), activation_scale=-0.5)
    assert scaled == Fraction(3, 2) * (n + 1) * U / (1 - (n + 1) * U) + Fraction(1, 2**150)


def test_the_bound_ends_where_its_denominator_does() -> None:
    assert output_bound(2**23 - 1, Fraction(1)) == 2**24 - 1
    with pytest.raises(ValueError, match=f"groups: expected 1 to {2**23 - 1}, got {2**23}"):
        output_bound(2**23, Fraction(1))
    assert output_bound(2**23 - 2, Fraction(1), 1) == 2**23 - 1 + Fraction(1, 2**150)
    with pytest.raises(ValueError, match=f"groups: expected 1 to {2**23 - 2}, got {2**23 - 1}"):
        output_bound(2**23 - 1, Fraction(1), 1)
    with pytest.raises(ValueError, match=r"groups: expected 1 to .*, got 0"):
        output_bound(0, Fraction(1))


def test_an_activation_scale_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="activation_scale: expected a finite number"):
        output_bound(1, Fraction(1), math.nan)


# Refusals

LEGAL: dict[str, Any] = {
    "activations": [1] * 20,
    "column": [1] * 20,
    "group_size": 16,
    "narrow_gain": 2,
    "scale": [1.0, 1.0],
    "offset": [0.0, 0.0],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"column": []}, "k: expected 1 to"),
        ({"activations": [1] * 19}, "activations: expected 20 values, got 19"),
        ({"activations": [1] * 21}, "activations: expected 20 values, got 21"),
        ({"activations": [0] * 19 + [128]}, r"activations\[19\]: expected an integer from -128 to 127, got 128"),
        ({"activations": [-129] + [0] * 19}, r"activations\[0\]: expected an integer from -128 to 127, got -129"),
        ({"column": [8] + [0] * 19}, r"q\[0\]: expected an integer from -8 to 7, got 8"),
        ({"column": [0, -5] + [0] * 18}, r"q\[1\]: expected an integer from -4 to 3, got -5"),
        ({"group_size": 8}, "group_size: expected 0 .whole column. or a multiple of 16, got 8"),
        ({"group_size": -16}, "group_size: expected 0"),
        ({"narrow_gain": 3}, "narrow_gain: expected 1 or 2, got 3"),
        ({"scale": [1.0]}, "scale: expected 2 values, one a group, got 1"),
        ({"offset": [1.0] * 3}, "offset: expected 2 values, one a group, got 3"),
        ({"scale": [1.0, 0.0]}, r"scale\[1\]: expected a number > 0, got 0.0"),
        ({"scale": [-1.0, 1.0]}, r"scale\[0\]: expected a number > 0, got -1.0"),
        ({"scale": [1.0, math.inf]}, r"scale\[1\]: expected a finite number, got inf"),
        ({"offset": [math.nan, 0.0]}, r"offset\[0\]: expected a finite number, got nan"),
    ],
)
def test_illegal_input_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    assert matmul_entry(**LEGAL).row_sum == [16, 4]
    with pytest.raises(ValueError, match=message):
        matmul_entry(**{**LEGAL, **change})


def test_an_output_is_judged_as_long_as_its_bound_is_no_larger_than_its_terms() -> None:
    """Then nothing overflows where S < 2**127: exact value and error are below 2**127 each."""
    assert 2 * NO_VERDICT == OVERFLOW == 2**128
    assert output_bound(VERDICT_GROUPS, Fraction(1)) <= 1 < output_bound(VERDICT_GROUPS + 1, Fraction(1))


def test_sums_of_unequal_length_are_refused() -> None:
    for activations in ([1], [1, 1, 1]):
        with pytest.raises(ValueError, match=f"activations: expected 2 values, got {len(activations)}"):
            accumulate(activations, [1, 1], 2)
    for function in (exact_output, output_magnitude):
        with pytest.raises(ValueError, match="row_sums: expected 1 values, one a group, got 2"):
            function([1], [1, 2], [1.0], [0.0])
