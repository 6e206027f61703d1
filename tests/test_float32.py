"""RN32, against the conversions of C and of NumPy where a single rounding is theirs too, and against midpoints."""

import math
import struct
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from q35ref.reference.float32 import (
    MIN_SUBNORMAL,
    UNIT_ROUNDOFF,
    Number,
    binade,
    exact,
    round_float32,
    round_float32_parts,
    to_float32,
)

MAX = (2**24 - 1) * 2**104
FINITE_DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
RATIONALS = st.builds(
    lambda numerator, denominator, exponent: Fraction(numerator, denominator) * Fraction(2) ** exponent,
    st.integers(-(2**64), 2**64), st.integers(1, 2**64), st.integers(-200, 160),
)  # fmt: skip
PATTERNS = st.integers(0, 0x7F7FFFFF)


def float_of(pattern: int) -> Fraction:
    """The float32 of a bit pattern; for infinity's, the number that would be next."""
    if pattern == 0x7F800000:
        return Fraction(2**128)
    return Fraction(struct.unpack(">f", pattern.to_bytes(4, "big"))[0])


@given(FINITE_DOUBLES)
def test_a_double_is_converted_as_numpy_converts_it(x: float) -> None:
    with np.errstate(over="ignore"):
        assert to_float32(x) == float(np.float32(x))


@given(st.floats(min_value=-MAX, max_value=MAX, allow_nan=False))
def test_a_double_in_range_is_converted_as_c_converts_it(x: float) -> None:
    assert to_float32(x) == struct.unpack("f", struct.pack("f", x))[0]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_stays(x: float) -> None:
    assert round_float32(x) == Fraction(x)
    assert to_float32(x) == x


@given(PATTERNS)
def test_midpoints_go_to_the_even_pattern_and_what_is_next_to_them_to_the_nearer(pattern: int) -> None:
    low, high = float_of(pattern), float_of(pattern + 1)
    middle, hair = (low + high) / 2, (high - low) / 2**80
    even = low if pattern % 2 == 0 else high
    for sign in (-1, 1):
        assert round_float32(sign * middle) == sign * even
        assert round_float32(sign * (middle - hair)) == sign * low
        assert round_float32(sign * (middle + hair)) == sign * high


@pytest.mark.parametrize(
    "pattern", [0, 1, 2, 0x7FFFFE, 0x7FFFFF, 0x800000, 0x3F7FFFFF, 0x3F800000, 0x7F7FFFFE, 0x7F7FFFFF]
)
def test_midpoints_where_the_spacing_changes(pattern: int) -> None:
    low, high = float_of(pattern), float_of(pattern + 1)
    assert round_float32((low + high) / 2) == (low if pattern % 2 == 0 else high)


@given(RATIONALS)
def test_no_float32_is_nearer(x: Fraction) -> None:
    magnitude = abs(round_float32(x))
    error = abs(magnitude - abs(x))
    if 0 < magnitude <= MAX:
        pattern = struct.unpack(">I", struct.pack(">f", float(magnitude)))[0]
        for neighbour in (pattern - 1, pattern + 1):
            assert abs(float_of(neighbour) - abs(x)) >= error


@given(RATIONALS)
def test_the_error_is_at_most_u_times_x_or_half_the_smallest_subnormal(x: Fraction) -> None:
    limit = UNIT_ROUNDOFF * abs(x) if abs(x) >= Fraction(1, 2**126) else MIN_SUBNORMAL / 2
    assert abs(round_float32(x) - x) <= limit


@given(RATIONALS, RATIONALS)
def test_it_is_monotone(x: Fraction, y: Fraction) -> None:
    low, high = sorted((x, y))
    assert round_float32(low) <= round_float32(high)


@given(RATIONALS)
def test_the_parts_are_within_24_bits_and_on_the_grid(x: Fraction) -> None:
    significand, exponent = round_float32_parts(x.numerator, x.denominator)
    assert abs(significand) <= 2**24
    assert exponent >= -149
    assert significand * Fraction(2) ** exponent == round_float32(x)


@given(st.integers(1, 2**300), st.integers(1, 2**300))
def test_binade_is_the_power_of_two_below(numerator: int, denominator: int) -> None:
    exponent = binade(numerator, denominator)
    assert Fraction(2) ** exponent <= Fraction(numerator, denominator) < Fraction(2) ** (exponent + 1)


@given(st.integers(1, 2**70), st.integers(-100, 100))
def test_binade_of_a_power_of_two_is_its_exponent(common: int, exponent: int) -> None:
    numerator, denominator = (common << exponent, common) if exponent >= 0 else (common, common << -exponent)
    assert binade(numerator, denominator) == exponent


def test_the_overflow_threshold_is_2_to_the_128_minus_2_to_the_103() -> None:
    threshold = 2**128 - 2**103
    for sign in (-1, 1):
        assert to_float32(sign * (threshold - Fraction(1, 2**900))) == sign * float(MAX)
        assert to_float32(sign * threshold) == sign * math.inf
        assert to_float32(sign * 10**100) == sign * math.inf
        assert to_float32(sign * sys.float_info.max) == sign * math.inf
        assert to_float32(sign * 10**400) == sign * math.inf  # beyond double's range as well
        assert round_float32(sign * threshold) == sign * 2**128  # no upper limit here


def test_the_smallest_numbers() -> None:
    assert round_float32(MIN_SUBNORMAL / 2) == 0
    assert round_float32(MIN_SUBNORMAL / 2 + Fraction(1, 2**400)) == MIN_SUBNORMAL
    assert round_float32(MIN_SUBNORMAL * Fraction(3, 2)) == 2 * MIN_SUBNORMAL
    assert to_float32(Fraction(2**23 - 1, 2**149)) == float(np.float32(2.0**-126) - np.float32(2.0**-149))


def test_zero_is_positive_also_from_a_negative_underflow() -> None:
    for x in (0, -0.0, -MIN_SUBNORMAL / 4):
        assert math.copysign(1, to_float32(x)) == 1
        assert to_float32(x) == 0
    assert round_float32_parts(0, 1) == (0, -149)


def test_a_carry_reaches_the_next_power_of_two() -> None:
    assert round_float32(2 - Fraction(1, 2**25)) == 2
    assert round_float32(Fraction(2**24 - 1, 2**24) + Fraction(1, 2**26)) == Fraction(2**24 - 1, 2**24)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_by_name(value: float) -> None:
    with pytest.raises(ValueError, match="scale: expected a finite number, got"):
        exact("scale", value)
    for function in (round_float32, to_float32):
        with pytest.raises(ValueError, match="x: expected a finite number, got"):
            function(value)


@pytest.mark.parametrize("value", [3, 0.1, Fraction(1, 3), -0.0])
def test_a_number_stands_for_its_exact_value(value: Number) -> None:
    assert exact("x", value) == value


@pytest.mark.parametrize("value", ["1", None, np.float32(1), [1]])
def test_what_is_no_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(TypeError, match="x: expected int, float or Fraction, got"):
        round_float32(value)
