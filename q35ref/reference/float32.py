"""Rounding a rational to float32 (IEEE 754 binary32), exactly.

``RN32(x)`` is the exact value ``x`` rounded once, ties to even. Theorems: ``roundFloat32_error_le``,
``roundFloat32_exact_on_grid``, ``roundFloat32_mono``. Source: IEEE 754-2019 §3.4, §4.3.1.
"""

import math
from fractions import Fraction
from typing import Final

from q35ref.reference.rounding import round_half_even

Number = int | float | Fraction
"""What the wrappers of this package take: each stands for its exact value. Floats must be finite."""

SIGNIFICAND_BITS: Final = 24
"""Precision of float32, the hidden bit included."""

MIN_EXPONENT: Final = -149
"""Exponent of float32's grid near zero: every float32 is an integer multiple of 2**-149."""

UNIT_ROUNDOFF: Final = Fraction(1, 2**24)
"""u: RN32's relative error is at most u for magnitudes from 2**-126 up."""

MIN_SUBNORMAL: Final = Fraction(1, 2**149)
"""The smallest positive float32."""

OVERFLOW: Final = Fraction(2**128)
"""The first magnitude that float32 has no number for; what rounds to it becomes an infinity."""


def exact(name: str, value: Number) -> Fraction:
    """Return the exact value of a number.

    Errors: TypeError for anything but int, float and Fraction, ValueError for NaN and infinities; both name the
    argument.
    """
    if isinstance(value, Fraction):
        return value
    if not isinstance(value, int | float):
        raise TypeError(f"{name}: expected int, float or Fraction, got {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}")
    return Fraction(value)


def binade(numerator: int, denominator: int) -> int:
    """Return ``floor(log2(numerator / denominator))``.

    Domain: numerator >= 1, denominator >= 1.

    >>> binade(1, 1), binade(7, 4), binade(1, 3)
    (0, 0, -2)
    """
    exponent = numerator.bit_length() - denominator.bit_length()
    below = numerator < denominator << exponent if exponent >= 0 else numerator << -exponent < denominator
    return exponent - 1 if below else exponent


def round_float32_parts(numerator: int, denominator: int) -> tuple[int, int]:
    """Round ``numerator / denominator`` to float32 precision; return ``(significand, exponent)``.

    The value is ``significand * 2**exponent`` with ``abs(significand) <= 2**24`` and ``exponent >= -149``.
    There is no upper limit: see :func:`to_float32` for the overflow. Domain: denominator >= 1.

    >>> round_float32_parts(1, 3)
    (11184811, -25)

    pre: denominator >= 1
    post: -(2 ** 24) <= _[0] <= 2 ** 24
    post: _[1] >= -149
    """
    if numerator == 0:
        return 0, MIN_EXPONENT
    exponent = max(binade(abs(numerator), denominator) - (SIGNIFICAND_BITS - 1), MIN_EXPONENT)
    if exponent >= 0:
        return round_half_even(numerator, denominator << exponent), exponent
    return round_half_even(numerator << -exponent, denominator), exponent


def round_float32(x: Number) -> Fraction:
    """Return RN32(x) as an exact rational, with no upper limit on its magnitude.

    Errors: ValueError for NaN and infinities.

    >>> round_float32(Fraction(1, 3))
    Fraction(11184811, 33554432)
    """
    value = exact("x", x)
    significand, exponent = round_float32_parts(value.numerator, value.denominator)
    return significand * Fraction(2) ** exponent


def to_float32(x: Number) -> float:
    """Return RN32(x) as a Python float, an infinity where it overflows, as IEEE 754 has it.

    A zero result is +0.0. Errors: ValueError for NaN and infinities.

    >>> to_float32(Fraction(1, 3)), to_float32(2**128)
    (0.3333333432674408, inf)
    """
    rounded = round_float32(x)
    if abs(rounded) >= OVERFLOW:
        return math.inf if rounded > 0 else -math.inf
    return float(rounded)
