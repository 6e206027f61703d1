"""A row of float activations to int8, with a scale of its own (dynamic quantization).

Theorems: ``quantizeActivations_in_range``, ``quantizeActivations_error_le_half_step``.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from q35ref.reference.float32 import MIN_SUBNORMAL, Number, exact, round_float32
from q35ref.reference.quantizer import quantize_on_grid

ACTIVATION_LIMIT: Final = 127
"""Quantized activations lie in -127 .. 127; -128 is legal in a matmul but never produced here."""


def activation_scale(row: Sequence[Number]) -> Fraction:
    """Return ``RN32(absmax / 127)``, the smallest positive float32 if that is 0, and 1 for a row of zeros.

    Domain: at least one value, each that of a finite float32. Errors: ValueError.

    >>> activation_scale([-127.0, 63.5])
    Fraction(1, 1)
    """
    if not row:
        raise ValueError("x: expected at least one activation, got none")
    largest = max(abs(exact(f"x[{index}]", value)) for index, value in enumerate(row))
    if largest == 0:
        return Fraction(1)
    return round_float32(largest / ACTIVATION_LIMIT) or MIN_SUBNORMAL


def quantize_activation(value: Number, scale: Number) -> int:
    """Return ``clamp(rne(value / scale), -127, 127)`` in exact arithmetic. Domain: finite, scale > 0.

    >>> [quantize_activation(x, 1) for x in (0.5, 1.5, 200, -200)]
    [0, 2, 127, -127]
    """
    x, step = exact("x", value), exact("scale", scale)
    if step <= 0:
        raise ValueError(f"scale: expected a number > 0, got {scale}")
    common = math.lcm(x.denominator, step.denominator)
    return quantize_on_grid(int(x * common), int(step * common), 0, -ACTIVATION_LIMIT, ACTIVATION_LIMIT)


def quantize_activations(row: Sequence[Number]) -> tuple[Fraction, list[int]]:
    """Return a row's scale and its int8 values. Domain and errors: as :func:`activation_scale`.

    >>> quantize_activations([-127.0, 63.5, 0.25])
    (Fraction(1, 1), [-127, 64, 0])
    """
    scale = activation_scale(row)
    return scale, [quantize_activation(value, scale) for value in row]
