"""Laws of parameters that are chosen from the numbers themselves: calibration, and the activations' scale.

Numbers are ``n / denominator`` for the integers ``n`` of a list. Each law allows for one rounding of each
parameter, with the difference that it made.
"""

from fractions import Fraction

from q35ref.reference import activations, calibration
from q35ref.reference.float32 import MIN_SUBNORMAL, UNIT_ROUNDOFF


def minmax_covers_its_group(weights: list[int], denominator: int) -> None:
    """Scale and offset are one rounding from the rule's, so that the wide lane misses no weight by more than that.

    pre: 1 <= len(weights) <= 6
    pre: denominator >= 1
    post: True
    """
    group = [Fraction(weight, denominator) for weight in weights]
    scale, offset = calibration.calibrate_minmax(group)
    low, high = min(group), max(group)
    if low == high:
        assert scale == 1
        assert abs(offset - low) <= _rounding(low)
        return
    scale_slack = max(_rounding((high - low) / 15), MIN_SUBNORMAL if scale == MIN_SUBNORMAL else 0)
    assert abs(scale - (high - low) / 15) <= scale_slack
    assert abs(offset - (low + 8 * scale)) <= _rounding(low + 8 * scale)
    slack = 15 * scale_slack + _rounding(low + 8 * scale)
    assert all(offset - 8 * scale - slack <= weight <= offset + 7 * scale + slack for weight in group)


def _rounding(exact: Fraction) -> Fraction:
    """Return the most by which one rounding to float32 may move a number."""
    return max(UNIT_ROUNDOFF * abs(exact), MIN_SUBNORMAL / 2)


def a_constant_group_is_restored(significand: int, exponent: int, rows: int) -> None:
    """A group of one float32 gets the integer 0 in every row, and its value as the offset.

    pre: -(2 ** 24) <= significand <= 2 ** 24
    pre: -149 <= exponent <= 103
    pre: 1 <= rows <= 4
    post: True
    """
    value = significand * Fraction(2) ** exponent
    assert calibration.calibrate_minmax([value] * rows) == (Fraction(1), value)


def symmetric_covers_its_group(weights: list[int], denominator: int) -> None:
    """The scale is one rounding from a seventh of the largest magnitude, and the offset is 0.

    pre: 1 <= len(weights) <= 6
    pre: denominator >= 1
    post: True
    """
    group = [Fraction(weight, denominator) for weight in weights]
    scale, offset = calibration.calibrate_symmetric(group)
    largest = max(abs(weight) for weight in group)
    assert offset == 0
    assert scale == 1 if largest == 0 else scale > 0
    if largest > 0:
        slack = max(_rounding(largest / 7), MIN_SUBNORMAL if scale == MIN_SUBNORMAL else 0)
        assert abs(scale - largest / 7) <= slack


def activations_are_restored_within_half_a_step(values: list[int], denominator: int) -> None:
    """Activations lie in -127 .. 127, off by at most half a step and 127 roundings of the scale.

    pre: 1 <= len(values) <= 6
    pre: denominator >= 1
    post: True
    """
    row = [Fraction(value, denominator) for value in values]
    scale, quantized = activations.quantize_activations(row)
    largest = max(abs(x) for x in row)
    if largest == 0:
        assert scale == 1
        assert not any(quantized)
        return
    slack = max(_rounding(largest / 127), MIN_SUBNORMAL if scale == MIN_SUBNORMAL else 0)
    assert scale > 0
    assert abs(scale - largest / 127) <= slack
    assert all(-127 <= a <= 127 for a in quantized)
    assert all(abs(x - scale * a) <= scale / 2 + 127 * slack for x, a in zip(row, quantized, strict=True))
