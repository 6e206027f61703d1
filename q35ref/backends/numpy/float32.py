"""Correct rounding to float32 with double arithmetic, for whole arrays at once.

Two exact tools carry everything: the sum of two doubles as a double plus its error (Knuth's TwoSum; Møller 1965,
Knuth TAOCP 2 §4.2.2), and rounding to odd, after which a second rounding to a shorter format is harmless
(Boldo & Melquiond 2008, doi:10.1109/TC.2007.70819).
"""

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.protocol import Float32

Float64 = NDArray[np.float64]

MIN_SUBNORMAL = np.float32(2.0**-149)
"""The smallest positive float32."""


def two_sum(a: Float64, b: Float64) -> tuple[Float64, Float64]:
    """Return ``s, e`` with ``s = RN64(a + b)`` and ``s + e == a + b`` exactly. Domain: no overflow."""
    s: Float64 = a + b
    b_part = s - a
    e: Float64 = (a - (s - b_part)) + (b - b_part)
    return s, e


def round_to_odd(s: Float64, e: Float64) -> Float64:
    """Return ``s + e`` rounded to odd in double: exact if ``e`` is 0, else the odd one of its two neighbours.

    Domain: ``s, e`` from :func:`two_sum`.
    """
    bits = s.view(np.int64)
    toward_larger_magnitude = (e > 0) == (s > 0)
    neighbour = bits + np.where(toward_larger_magnitude, 1, -1)
    odd = np.where((e != 0) & (bits % 2 == 0), neighbour, bits)
    return odd.view(np.float64)


def round_sum(a: Float64, b: Float64) -> Float32:
    """Return RN32(a + b), an infinity where it overflows. Domain: sums of doubles below 2**1000."""
    with np.errstate(over="ignore"):
        return round_to_odd(*two_sum(a, b)).astype(np.float32)


def round_quotient(s: Float64, e: Float64, divisor: int) -> Float32:
    """Return ``RN32((s + e) / divisor)``, and the smallest positive float32 where that is 0 but ``s`` is not.

    Domain: ``s, e`` from :func:`two_sum`, s >= 0, 1 <= divisor < 2**20, the quotient within float32's range.

    Rounding twice does no harm. Let x be ``s + e`` rounded to odd, t a midpoint of two float32s. ``t * divisor`` has at
    most 45 bits, so that x is on the same side of it as s + e, and equal only if that is. Where x is another double,
    it is away by ulp(t * divisor) or more, and x / divisor from t by more than ulp(t) / 2: the double quotient is not
    t, but on the same side. (Below a power of two an ulp is half of that; but t * divisor is one only where the
    divisor is one, too, and then the double quotient is exact.)
    """
    rounded = (round_to_odd(s, e) / divisor).astype(np.float32)
    return np.where((rounded == 0) & (s > 0), MIN_SUBNORMAL, rounded)
