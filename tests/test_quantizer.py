"""One weight to one integer and back, against the search of the whole lane."""

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from q35ref.reference.float32 import MIN_SUBNORMAL, Number, round_float32, to_float32
from q35ref.reference.lanes import lane_gain, lane_interval
from q35ref.reference.quantizer import (
    dequantize,
    doubled_error_bound_on_grid,
    error_bound,
    quantize,
    quantize_on_grid,
    rounded_dequantize,
    rounded_error_bound,
)

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
SCALES = st.floats(min_value=2.0**-149, width=32, allow_nan=False, allow_infinity=False)
ROWS = st.integers(0, 5)
GAINS = st.integers(1, 2)
KINDS = [(row, gain) for row in (0, 1) for gain in (1, 2)]
BAD = (math.nan, math.inf, -math.inf)


def codes(row: int) -> range:
    low, high = lane_interval(row)
    return range(low, high + 1)


def nearest(weight: Fraction, scale: Fraction, offset: Fraction, row: int, gain: int) -> int:
    """Of all integers of the lane the one whose value is nearest, the even one of two."""
    step = scale * lane_gain(row, gain)
    return min(codes(row), key=lambda q: (abs(weight - (step * q + offset)), q % 2))


@given(FLOATS, SCALES, FLOATS, ROWS, GAINS)
def test_no_integer_of_the_lane_is_nearer(weight: float, scale: float, offset: float, row: int, gain: int) -> None:
    expected = nearest(Fraction(weight), Fraction(scale), Fraction(offset), row, gain)
    assert quantize(weight, scale, offset, row, gain) == expected


@given(st.integers(-80, 80), SCALES, FLOATS, ROWS, GAINS, st.sampled_from([-1, 0, 1]))
def test_ties_and_what_is_next_to_them_by_less_than_any_float_can_tell(
    half_steps: int, scale: float, offset: float, row: int, gain: int, side: int
) -> None:
    step, b = Fraction(scale) * lane_gain(row, gain), Fraction(offset)
    weight = step * Fraction(half_steps, 2) + b + side * step / 2**200
    assert quantize(weight, scale, offset, row, gain) == nearest(weight, Fraction(scale), b, row, gain)


@pytest.mark.parametrize(("row", "gain"), KINDS)
def test_each_tie_of_a_lane_goes_to_the_even_integer(row: int, gain: int) -> None:
    for q in codes(row)[:-1]:
        tie = (q + Fraction(1, 2)) * lane_gain(row, gain)
        assert quantize(tie, 1, 0, row, gain) == (q if q % 2 == 0 else q + 1)


def test_double_arithmetic_is_not_enough() -> None:
    assert quantize(0.5, 1.0, -(2.0**-60), row=0) == 1
    assert round((0.5 + 2.0**-60) / 1.0) == 0  # what a double makes of it


@pytest.mark.parametrize(("row", "gain"), KINDS)
def test_weights_beyond_the_lane_take_its_ends(row: int, gain: int) -> None:
    low, high = lane_interval(row)
    for weight in (1e3, 3.4e38, 10**400):
        assert quantize(weight, 0.5, 0.25, row, gain) == high
        assert quantize(-weight, 0.5, 0.25, row, gain) == low
    assert quantize(3.4e38, 2.0**-149, -3.4e38, row, gain) == high


@given(FLOATS, FLOATS, SCALES, FLOATS, ROWS, GAINS)
def test_it_is_monotone(first: float, second: float, scale: float, offset: float, row: int, gain: int) -> None:
    low, high = sorted((first, second))
    assert quantize(low, scale, offset, row, gain) <= quantize(high, scale, offset, row, gain)


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6), st.integers(-(10**9), 10**9), st.integers(2, 50), ROWS)
def test_the_common_denominator_cancels(weight: int, step: int, offset: int, factor: int, row: int) -> None:
    low, high = lane_interval(row)
    q = quantize_on_grid(weight, step, offset, low, high)
    assert quantize_on_grid(weight * factor, step * factor, offset * factor, low, high) == q
    assert quantize(Fraction(weight, 7), Fraction(step, 7), Fraction(offset, 7), row, 1) == q


# Restoring


@given(SCALES, FLOATS, ROWS, GAINS, st.data())
def test_integers_come_back_from_their_exact_values(
    scale: float, offset: float, row: int, gain: int, data: st.DataObject
) -> None:
    q = data.draw(st.sampled_from(codes(row)))
    value = dequantize(q, scale, offset, row, gain)
    assert value == Fraction(scale) * (gain if row % 2 else 1) * q + Fraction(offset)
    assert quantize(value, scale, offset, row, gain) == q


@given(SCALES, FLOATS, ROWS, GAINS)
def test_integers_come_back_from_the_restored_float32_where_the_step_is_coarse_enough(
    scale: float, offset: float, row: int, gain: int
) -> None:
    half_step = Fraction(scale) * lane_gain(row, gain) / 2
    values = [dequantize(q, scale, offset, row, gain) for q in codes(row)]
    assume(all(abs(value) / 2**24 + MIN_SUBNORMAL / 2 < half_step for value in values))
    for q in codes(row):
        assert quantize(rounded_dequantize(q, scale, offset, row, gain), scale, offset, row, gain) == q


def test_a_restored_weight_is_rounded_once() -> None:
    assert rounded_dequantize(3, 5592407, 1e-30, row=0) == 16777222
    assert to_float32(3 * 5592407 + 1e-30) == 16777220  # rounded to double on the way


@given(SCALES, FLOATS, ROWS, GAINS, st.data())
def test_a_restored_weight_is_rn32_of_the_exact_value(
    scale: float, offset: float, row: int, gain: int, data: st.DataObject
) -> None:
    q = data.draw(st.sampled_from(codes(row)))
    assert rounded_dequantize(q, scale, offset, row, gain) == round_float32(dequantize(q, scale, offset, row, gain))


# The error


@given(FLOATS, SCALES, FLOATS, ROWS, GAINS)
def test_no_error_exceeds_the_bound(weight: float, scale: float, offset: float, row: int, gain: int) -> None:
    q = quantize(weight, scale, offset, row, gain)
    error = abs(Fraction(weight) - dequantize(q, scale, offset, row, gain))
    assert error <= error_bound(weight, scale, offset, row, gain)
    restored = abs(Fraction(weight) - rounded_dequantize(q, scale, offset, row, gain))
    assert restored <= rounded_error_bound(weight, scale, offset, row, gain)


@given(st.integers(-200, 200), SCALES, FLOATS, ROWS, GAINS)
def test_the_bound_is_half_a_step_inside_and_the_distance_to_the_lane_where_that_is_more(
    quarter_steps: int, scale: float, offset: float, row: int, gain: int
) -> None:
    step, b = Fraction(scale) * lane_gain(row, gain), Fraction(offset)
    low, high = (step * q + b for q in lane_interval(row))
    weight = b + step * quarter_steps / 4
    outside = low - weight if weight < low else weight - high if weight > high else Fraction(0)
    assert error_bound(weight, scale, offset, row, gain) == max(step / 2, outside)


@pytest.mark.parametrize(("row", "gain"), KINDS)
def test_the_bound_is_attained_at_every_tie_and_beyond_both_ends(row: int, gain: int) -> None:
    scale, offset = Fraction(3, 8), Fraction(-1, 7)
    step, (low, high) = scale * lane_gain(row, gain), lane_interval(row)
    ties = [step * (q + Fraction(1, 2)) + offset for q in codes(row)[:-1]]
    for weight in [*ties, step * low + offset - 5, step * high + offset + step * 9]:
        error = abs(weight - dequantize(quantize(weight, scale, offset, row, gain), scale, offset, row, gain))
        assert error == error_bound(weight, scale, offset, row, gain)


def test_the_bound_of_a_restored_float32_adds_its_rounding() -> None:
    bound = error_bound(7.25, 1, 0, row=0)
    assert rounded_error_bound(7.25, 1, 0, row=0) == bound + Fraction(7, 2**24) + Fraction(1, 2**150)


def test_the_doubled_bound_is_an_integer_on_the_grid() -> None:
    assert doubled_error_bound_on_grid(weight=0, step=3, offset=0, low=-4, high=3) == 3
    assert doubled_error_bound_on_grid(weight=20, step=3, offset=0, low=-4, high=3) == 22
    assert doubled_error_bound_on_grid(weight=-20, step=3, offset=0, low=-4, high=3) == 16


# Refusals


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("value", BAD)
def test_what_is_not_finite_is_refused_by_name(row: int, value: float) -> None:
    for function in (quantize, error_bound, rounded_error_bound):
        with pytest.raises(ValueError, match="weight: expected a finite number"):
            function(value, 1, 0, row)
        with pytest.raises(ValueError, match="scale: expected a finite number"):
            function(0, value, 0, row)
        with pytest.raises(ValueError, match="offset: expected a finite number"):
            function(0, 1, value, row)
    for restore in (dequantize, rounded_dequantize):
        with pytest.raises(ValueError, match="scale: expected a finite number"):
            restore(0, value, 0, row)
        with pytest.raises(ValueError, match="offset: expected a finite number"):
            restore(0, 1, value, row)


@pytest.mark.parametrize("scale", [0, -1.0, -(2.0**-149), Fraction(-1, 3)])
def test_a_scale_that_is_not_positive_is_refused(scale: Number) -> None:
    for function in (quantize, error_bound, rounded_error_bound):
        with pytest.raises(ValueError, match="scale: expected a number > 0"):
            function(1, scale, 0, 0)
    for restore in (dequantize, rounded_dequantize):
        with pytest.raises(ValueError, match="scale: expected a number > 0"):
            restore(1, scale, 0, 0)


@pytest.mark.parametrize("gain", [0, 3, -2])
def test_a_gain_other_than_1_and_2_is_refused(gain: int) -> None:
    for function in (quantize, error_bound, rounded_error_bound):
        with pytest.raises(ValueError, match="narrow_gain: expected 1 or 2"):
            function(1, 1, 0, 0, gain)
    for restore in (dequantize, rounded_dequantize):
        with pytest.raises(ValueError, match="narrow_gain: expected 1 or 2"):
            restore(1, 1, 0, 0, gain)


@pytest.mark.parametrize(("q", "row"), [(8, 0), (-9, 0), (4, 1), (-5, 1), (7, 3)])
def test_an_integer_outside_its_lane_is_not_restored(q: int, row: int) -> None:
    for restore in (dequantize, rounded_dequantize):
        with pytest.raises(ValueError, match=f"q: expected an integer from .* in row {row}, got {q}"):
            restore(q, 1, 0, row)


def test_a_step_that_is_not_positive_is_refused_on_the_grid() -> None:
    with pytest.raises(ValueError, match="denominator: expected an integer >= 1"):
        quantize_on_grid(weight=1, step=0, offset=0, low=-8, high=7)
    with pytest.raises(ValueError, match="low, high: expected low <= high"):
        quantize_on_grid(weight=1, step=1, offset=0, low=7, high=-8)


@pytest.mark.parametrize("row", [0, 1])
def test_the_narrow_gain_is_2_unless_told(row: int) -> None:
    for function in (quantize, error_bound, rounded_error_bound):
        assert function(5, 1, 0, row) == function(5, 1, 0, row, 2)
        assert (function(5, 1, 0, row) == function(5, 1, 0, row, 1)) == (row == 0)
    for restore in (dequantize, rounded_dequantize):
        assert restore(3, 1, 0, row) == restore(3, 1, 0, row, 2)
        assert (restore(3, 1, 0, row) == restore(3, 1, 0, row, 1)) == (row == 0)
