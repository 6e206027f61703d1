"""Correct rounding with double arithmetic, against exact rationals."""

from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
from hypothesis import example, given

from q35ref.backends.numpy import NumpyBackend
from q35ref.backends.numpy.float32 import round_quotient, round_sum, round_to_odd, two_sum
from q35ref.reference import to_float32

DOUBLES = st.floats(-1e60, 1e60, allow_subnormal=False)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def test_weights_of_very_different_size_are_quantized_without_a_warning() -> None:
    """A float32 quotient of the largest of them would overflow."""
    w = np.array([[1e17], [-1e17], [1e-30]], np.float32)
    scale, offset = np.full((1, 1), 1e-28, np.float32), np.zeros((1, 1), np.float32)
    with np.errstate(all="raise"):
        assert NumpyBackend().quantize(w, scale, offset, 0, 2).tolist() == [[7], [-4], [0]]


@given(DOUBLES, DOUBLES)
def test_two_sum_is_exact(a: float, b: float) -> None:
    s, e = two_sum(np.array([a]), np.array([b]))
    assert s[0] == a + b
    assert Fraction(s[0]) + Fraction(e[0]) == Fraction(a) + Fraction(b)


@given(DOUBLES, DOUBLES)
def test_rounding_to_odd_is_exact_or_an_odd_neighbour(a: float, b: float) -> None:
    exact = Fraction(a) + Fraction(b)
    odd = round_to_odd(*two_sum(np.array([a]), np.array([b])))[0]
    error = abs(Fraction(odd) - exact)
    assert error < Fraction(float(np.spacing(abs(odd))))
    assert error == 0 or odd.view(np.int64) % 2 == 1


@given(FLOATS, FLOATS, st.integers(-8, 7))
@example(1e-30, 5592407.0, 3)
def test_a_rounded_sum_is_rounded_once(offset: float, scale: float, q: int) -> None:
    rounded = round_sum(np.array([scale * q]), np.array([offset]))[0]
    assert float(rounded) == to_float32(Fraction(scale) * q + Fraction(offset))


@given(FLOATS, FLOATS, st.sampled_from((7, 15, 127)))
@example(2.0**-149, 0.0, 15)
@example(2.0**-149 * 8, 0.0, 15)
@example(16777215.0, -(2.0**-60), 15)
def test_a_rounded_quotient_is_rounded_once(high: float, low: float, divisor: int) -> None:
    low, high = sorted((low, high))
    if divisor != 15:
        low = 0.0
        high = abs(high)
    expected = to_float32((Fraction(high) - Fraction(low)) / divisor)
    if expected == 0 and high != low:
        expected = 2.0**-149
    s, e = two_sum(np.array([high]), np.array([-low]))
    assert float(round_quotient(s, e, divisor)[0]) == expected


@given(
    st.integers(0, 2**24 - 1),
    st.integers(-149, 60),
    st.sampled_from((7, 15, 127)) | st.integers(1, 2**20 - 1),
    st.sampled_from((-1, 0, 1)),
    st.sampled_from((-1, 0, 1)),
)
@example(2**23, 0, 2**20 - 1, 1, 0)
@example(2**23, 0, 2**20 - 1, -1, 0)
@example(0, -149, 2**19, 1, 0)
@example(0, -149, 2**19, -1, 0)
def test_a_quotient_next_to_a_midpoint_is_rounded_once(
    digits: int, exponent: int, divisor: int, step: int, side: int
) -> None:
    """At a midpoint times the divisor, at the doubles next to that, and a hair beside each of them."""
    midpoint = Fraction(2 * digits + 1, 2) * Fraction(2) ** exponent
    dividend = midpoint * divisor
    s = np.array([float(dividend)])
    assert Fraction(s[0]) == dividend
    if step:
        s = np.nextafter(s, step * np.inf)
    e = np.array([side * float(np.spacing(s[0])) / 1024])
    expected = to_float32((Fraction(s[0]) + Fraction(e[0])) / divisor) or 2.0**-149
    assert float(round_quotient(s, e, divisor)[0]) == expected
