"""Activations to int8, against the search of all 255 integers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from q35ref.reference.activations import (
    ACTIVATION_LIMIT,
    activation_scale,
    quantize_activation,
    quantize_activations,
)
from q35ref.reference.float32 import MIN_SUBNORMAL, Number, round_float32

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
ROWS = st.lists(FLOATS, min_size=1, max_size=4)
MAX = float(np.finfo(np.float32).max)
LEGAL = range(-127, 128)


def nearest(x: Fraction, scale: Fraction) -> int:
    """Of all legal integers the one whose value is nearest, the even one of two."""
    return min(LEGAL, key=lambda a: (abs(x - scale * a), a % 2))


@given(ROWS)
def test_the_scale_is_the_rule_as_it_is_written(row: list[float]) -> None:
    largest = max(map(abs, row))
    expected = Fraction(1) if largest == 0 else max(round_float32(Fraction(largest) / 127), MIN_SUBNORMAL)
    assert activation_scale(row) == expected


@given(ROWS)
def test_no_legal_integer_is_nearer(row: list[float]) -> None:
    scale, integers = quantize_activations(row)
    assert integers == [nearest(Fraction(x), scale) for x in row]


@given(ROWS)
def test_minus_128_is_never_produced(row: list[float]) -> None:
    _, integers = quantize_activations(row)
    assert all(abs(a) <= ACTIVATION_LIMIT for a in integers)


def test_minus_128_is_not_produced_where_the_quotient_reaches_it() -> None:
    for quotient in (127.5, 128, 1000, 10**30):
        assert quantize_activation(-quotient, 1) == -127
        assert quantize_activation(quotient, 1) == 127
    assert quantize_activations([-MAX, MAX])[1] == [-127, 127]
    # absmax / 127 rounded down: the largest value lies beyond 127 steps
    assert any(absmax > 127 * activation_scale([absmax]) for absmax in (float(np.float32(i / 3)) for i in range(1, 50)))


@given(st.integers(-126, 125), st.floats(min_value=2.0**-149, max_value=MAX, width=32), st.sampled_from([-1, 0, 1]))
def test_ties_and_what_is_next_to_them_by_less_than_any_float_can_tell(floor: int, scale: float, side: int) -> None:
    step = Fraction(scale)
    x = (floor + Fraction(1, 2)) * step + side * step / 2**200
    assert quantize_activation(x, step) == nearest(x, step)


@given(ROWS)
def test_the_error_is_half_a_step_and_what_the_scale_lost_in_rounding(row: list[float]) -> None:
    scale, integers = quantize_activations(row)
    lost = max(max(abs(Fraction(x)) for x in row) - 127 * scale, Fraction(0))
    for x, a in zip(row, integers, strict=True):
        assert abs(Fraction(x) - scale * a) <= max(scale / 2, lost)


def test_a_row_of_zeros_has_scale_1() -> None:
    assert quantize_activations([0.0, -0.0]) == (Fraction(1), [0, 0])


@pytest.mark.parametrize("count", [1, 2, 63])
def test_a_scale_that_rounds_to_zero_becomes_the_smallest_float32(count: int) -> None:
    tiny = 2.0**-149
    assert round_float32(Fraction(count * tiny) / 127) == 0
    assert quantize_activations([count * tiny, -tiny]) == (MIN_SUBNORMAL, [count, -1])


def test_an_empty_row_is_refused() -> None:
    for function in (activation_scale, quantize_activations):
        with pytest.raises(ValueError, match="x: expected at least one activation, got none"):
            function([])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_by_name(value: float) -> None:
    for function in (activation_scale, quantize_activations):
        with pytest.raises(ValueError, match=r"x\[1\]: expected a finite number, got"):
            function([1.0, value])
    with pytest.raises(ValueError, match="x: expected a finite number, got"):
        quantize_activation(value, 1)
    with pytest.raises(ValueError, match="scale: expected a finite number, got"):
        quantize_activation(1, value)


@pytest.mark.parametrize("scale", [0, -1.0, Fraction(-1, 2**149)])
def test_a_scale_that_is_not_positive_is_refused(scale: Number) -> None:
    with pytest.raises(ValueError, match="scale: expected a number > 0"):
        quantize_activation(1, scale)
