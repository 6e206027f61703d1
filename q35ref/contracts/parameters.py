"""Laws of parameters that are chosen from the numbers themselves: calibration, and the activations' scale.

Numbers are ``n / denominator`` for the integers ``n`` of a list. Each law allows for one rounding of each
parameter, with the difference that it made.
"""

from fractions import Fraction

from q35ref.reference import activations, calibration


def minmax_covers_its_group(weights: list[int], denominator: int) -> None:
    """No weight lies outside the wide lane by more than ``abs(b' - b) + 8 * abs(s' - s)``, the rounding's doing.

    pre: 1 <= len(weights) <= 6
    pre: denominator >= 1
    post: True
    """
    group = [Fraction(weight, denominator) for weight in weights]
    scale, offset = calibration.calibrate_minmax(group)
    exact_scale = (max(group) - min(group)) / 15 or Fraction(1)
    exact_offset = min(group) + (8 * exact_scale if max(group) > min(group) else 0)
    slack = abs(offset - exact_offset) + 8 * abs(scale - exact_scale)
    assert all(offset - 8 * scale - slack <= weight <= offset + 7 * scale + slack for weight in group)


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
    """No weight is larger than 7 scales by more than 7 times what rounding took from the scale; the offset is 0.

    pre: 1 <= len(weights) <= 6
    pre: denominator >= 1
    post: True
    """
    group = [Fraction(weight, denominator) for weight in weights]
    scale, offset = calibration.calibrate_symmetric(group)
    assert scale > 0
    assert offset == 0
    largest = max(abs(weight) for weight in group)
    assert largest <= 7 * scale + 7 * abs(scale - largest / 7)


def activations_are_restored_within_half_a_step(values: list[int], denominator: int) -> None:
    """Activations lie in -127 .. 127, off by half a step and 127 times what rounding took from the scale at most.

    pre: 1 <= len(values) <= 6
    pre: denominator >= 1
    post: True
    """
    row = [Fraction(value, denominator) for value in values]
    scale, quantized = activations.quantize_activations(row)
    slack = 127 * max(max(abs(x) for x in row) / 127 - scale, Fraction(0))
    assert all(-127 <= a <= 127 for a in quantized)
    assert all(abs(x - scale * a) <= scale / 2 + slack for x, a in zip(row, quantized, strict=True))
