"""Rounding to integers and clamping, against Python's own ``round`` of fractions and decimals."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from q35ref.reference.rounding import clamp, round_half_even

INTEGERS = st.integers(-(2**200), 2**200)
POSITIVE = st.integers(1, 2**200)


@given(INTEGERS, POSITIVE)
def test_it_rounds_as_python_rounds_a_fraction(numerator: int, denominator: int) -> None:
    assert round_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(st.integers(-(10**20), 10**20), st.integers(0, 6))
def test_it_rounds_as_decimal_arithmetic_does(numerator: int, digits: int) -> None:
    exact = Decimal(numerator).scaleb(-digits)
    assert round_half_even(numerator, 10**digits) == int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))


@given(INTEGERS, POSITIVE)
def test_ties_go_to_the_even_neighbour(integer: int, half: int) -> None:
    rounded = round_half_even((2 * integer + 1) * half, 2 * half)
    assert rounded in (integer, integer + 1)
    assert rounded % 2 == 0


@given(INTEGERS, POSITIVE)
def test_integers_stay(integer: int, denominator: int) -> None:
    assert round_half_even(integer * denominator, denominator) == integer


@given(INTEGERS, INTEGERS, POSITIVE)
def test_it_is_monotone(first: int, second: int, denominator: int) -> None:
    low, high = sorted((first, second))
    assert round_half_even(low, denominator) <= round_half_even(high, denominator)


@pytest.mark.parametrize("denominator", range(1, 13))
def test_the_fraction_need_not_be_reduced(denominator: int) -> None:
    for numerator in range(-40, 41):
        assert round_half_even(numerator, denominator) == round_half_even(numerator * 7, denominator * 7)


@pytest.mark.parametrize("denominator", [0, -1, -(2**70)])
def test_a_denominator_that_is_not_positive_is_refused(denominator: int) -> None:
    with pytest.raises(ValueError, match=f"denominator: expected an integer >= 1, got {denominator}"):
        round_half_even(1, denominator)


@pytest.mark.parametrize(("low", "high"), [(-8, 7), (-4, 3), (-127, 127), (5, 5)])
def test_clamp_is_the_nearest_integer_of_the_interval(low: int, high: int) -> None:
    for value in range(low - 300, high + 300):
        assert clamp(value, low, high) == min(range(low, high + 1), key=lambda inside: abs(inside - value))


def test_clamp_refuses_an_empty_interval() -> None:
    with pytest.raises(ValueError, match="low, high: expected low <= high, got 1 > 0"):
        clamp(0, 1, 0)
