"""Bounds of floats: where an interval ends, how far a weight may be from its value, and where nothing is said."""

from fractions import Fraction

import numpy as np
import pytest

from q35ref.oracle.bounds import interval, weight_bound, weight_is_silent
from tests.oracle.last_inside import require_last_inside

HALF_UNIT = Fraction(1, 2**24)
"""The largest relative error of one rounding to float32."""


def test_an_interval_ends_with_the_last_floats_in_it() -> None:
    """Above and below zero, where the nearest float32 of an end lies inside and where it lies outside."""
    exact = [[Fraction(1, 3), Fraction(2, 3), Fraction(1, 5)], [Fraction(-1, 3), Fraction(-2, 3), Fraction(-1, 5)]]
    bound = [[Fraction(1, 1000)] * 3, [Fraction(1, 999)] * 3]
    found = interval("w", exact, bound, [[False] * 3] * 2)
    assert list(found) == ["w_low", "w_high"]
    for i in range(2):
        for j in range(3):
            require_last_inside(found["w_low"][i, j], found["w_high"][i, j], exact[i][j], bound[i][j])


def test_an_interval_of_one_float_is_that_float_and_a_silent_one_has_no_ends() -> None:
    found = interval("out", [[Fraction(-3), Fraction(5)]], [[Fraction(0), Fraction(0)]], [[False, True]])
    assert found["out_low"].tolist() == [[-3, -np.inf]]
    assert found["out_high"].tolist() == [[-3, np.inf]]
    assert found["out_low"].dtype == found["out_high"].dtype == np.float32


@pytest.mark.parametrize(("value", "offset"), [(5, 2), (-5, 2), (5, -2), (-5, -2), (3, 0), (2, 2), (0, 7)])
def test_a_weight_may_err_by_two_roundings_of_its_steps_and_one_of_its_offset(value: int, offset: int) -> None:
    steps = (1 + HALF_UNIT) ** 2 * abs(value - offset) - abs(value - offset)
    assert weight_bound(Fraction(value), Fraction(offset)) == steps + HALF_UNIT * abs(offset)


@pytest.mark.parametrize(
    ("scale", "offset", "silent"),
    [
        (Fraction(2**124), 0, True),
        (Fraction(2**125), 0, True),
        (Fraction(2**124 - 2**100), 0, False),
        (Fraction(2**123), 2**126, True),
        (Fraction(2**123), -(2**126), True),
        (Fraction(2**123), 2**125, False),
    ],
)
def test_a_weight_has_no_verdict_if_eight_steps_and_the_offset_reach_2_127(
    scale: Fraction, offset: int, silent: bool
) -> None:
    assert weight_is_silent(scale, Fraction(offset)) is silent
