"""One weight to one integer and back, given its group's parameters.

The value of an integer ``q`` of a row is ``scale * gain * q + offset``. The functions whose names end in
``_on_grid`` are the rule itself, on integers over any one common denominator (it cancels); the others take
exact numbers and bring them there. ``step`` is ``scale * gain``.
"""

import math
from fractions import Fraction

from q35ref.reference.float32 import MIN_SUBNORMAL, UNIT_ROUNDOFF, Number, exact, round_float32
from q35ref.reference.lanes import check_narrow_gain, lane_gain, lane_interval
from q35ref.reference.rounding import clamp, round_half_even


def quantize_on_grid(weight: int, step: int, offset: int, low: int, high: int) -> int:
    """Return ``clamp(rne((weight - offset) / step), low, high)``.

    Domain: step >= 1, low <= high; all but the limits over one common denominator.
    Errors: ValueError. Theorems: ``quantize_nearest``, ``quantize_mono``.

    >>> quantize_on_grid(weight=7, step=2, offset=0, low=-4, high=3)
    3

    pre: step >= 1
    pre: low <= high
    post: low <= _ <= high
    """
    return clamp(round_half_even(weight - offset, step), low, high)


def doubled_error_bound_on_grid(weight: int, step: int, offset: int, low: int, high: int) -> int:
    """Return twice the largest error that quantization may make on ``weight``: see :func:`error_bound`.

    Doubled, so that half a step is an integer. Theorem: ``quantize_error_le``.

    pre: step >= 1
    pre: low <= high
    post: _ >= step
    post: _ == step or weight < step * low + offset or weight > step * high + offset
    """
    distance = max(step * low + offset - weight, weight - (step * high + offset), 0)
    return max(step, 2 * distance)


def quantize(weight: Number, scale: Number, offset: Number, row: int, narrow_gain: int = 2) -> int:
    """Quantize one weight: ``clamp(rne((weight - offset) / (scale * gain)), low, high)`` in exact arithmetic.

    ``row`` chooses the lane, hence gain and limits. Domain: finite numbers, scale > 0, gain 1 or 2.
    Errors: ValueError. Theorems: ``quantize_nearest``, ``quantize_error_le``, ``quantize_dequantize``.

    >>> quantize(0.5, 1, -(2.0**-60), row=0)
    1
    """
    (w, step, b), (low, high) = _on_grid(weight, scale, offset, row, narrow_gain)
    return quantize_on_grid(w, step, b, low, high)


def error_bound(weight: Number, scale: Number, offset: Number, row: int, narrow_gain: int = 2) -> Fraction:
    """Return ``max(half step, distance of the weight to its lane's interval)``, for any weight at all.

    No weight is farther than this from ``dequantize(quantize(weight))``; inside the interval
    ``[scale * gain * low + offset, scale * gain * high + offset]`` it is half a step.
    Domain and errors: as :func:`quantize`. Theorems: ``quantize_error_le``, ``quantize_error_attained``.

    >>> error_bound(7.25, scale=1, offset=0, row=0), error_bound(9, scale=1, offset=0, row=0)
    (Fraction(1, 2), Fraction(2, 1))
    """
    (w, step, b), (low, high) = _on_grid(weight, scale, offset, row, narrow_gain)
    exact_step = exact("scale", scale) * lane_gain(row, narrow_gain)
    return doubled_error_bound_on_grid(w, step, b, low, high) * exact_step / (2 * step)


def dequantize(q: int, scale: Number, offset: Number, row: int, narrow_gain: int = 2) -> Fraction:
    """Return the exact value of an integer: ``scale * gain * q + offset``.

    Domain: q within the row's lane, finite numbers, scale > 0, gain 1 or 2. Errors: ValueError.
    Theorem: ``quantize_dequantize``.

    >>> dequantize(-3, 0.5, 1, row=1)
    Fraction(-2, 1)
    """
    step, b = _parameters(scale, offset, row, narrow_gain)
    low, high = lane_interval(row)
    if not low <= q <= high:
        raise ValueError(f"q: expected an integer from {low} to {high} in row {row}, got {q}")
    return step * q + b


def rounded_dequantize(q: int, scale: Number, offset: Number, row: int, narrow_gain: int = 2) -> Fraction:
    """Return RN32 of :func:`dequantize`, what a correctly rounded backend restores. Same domain and errors.

    Theorem: ``quantize_roundedDequantize``.

    >>> rounded_dequantize(3, 5592407, 1e-30, row=0) == 16777222  # a double would round to 16777220
    True
    """
    return round_float32(dequantize(q, scale, offset, row, narrow_gain))


def rounded_error_bound(weight: Number, scale: Number, offset: Number, row: int, narrow_gain: int = 2) -> Fraction:
    """Return :func:`error_bound` plus ``u * abs(value) + 2**-150``, for the restored float32.

    >>> rounded_error_bound(7.25, scale=1, offset=0, row=0) > error_bound(7.25, scale=1, offset=0, row=0)
    True
    """
    value = dequantize(quantize(weight, scale, offset, row, narrow_gain), scale, offset, row, narrow_gain)
    slack = UNIT_ROUNDOFF * abs(value) + MIN_SUBNORMAL / 2
    return error_bound(weight, scale, offset, row, narrow_gain) + slack


def _parameters(scale: Number, offset: Number, row: int, narrow_gain: int) -> tuple[Fraction, Fraction]:
    check_narrow_gain(narrow_gain)
    exact_scale = exact("scale", scale)
    if exact_scale <= 0:
        raise ValueError(f"scale: expected a number > 0, got {scale}")
    return exact_scale * lane_gain(row, narrow_gain), exact("offset", offset)


def _on_grid(
    weight: Number, scale: Number, offset: Number, row: int, narrow_gain: int
) -> tuple[tuple[int, int, int], tuple[int, int]]:
    """Return weight, step and offset as integers over their least common denominator, and the lane's limits."""
    step, b = _parameters(scale, offset, row, narrow_gain)
    w = exact("weight", weight)
    common = math.lcm(w.denominator, step.denominator, b.denominator)
    return (int(w * common), int(step * common), int(b * common)), lane_interval(row)
