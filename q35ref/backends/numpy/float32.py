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

    The double quotient is within an ulp of a float32; comparing the exact dividend with ``divisor`` times the
    two midpoints beside that float32, which are exact doubles, decides. Domain: ``s, e`` from :func:`two_sum`,
    s >= 0, 1 <= divisor < 2**20, the quotient within float32's range.
    """
    dividend = round_to_odd(s, e)  # on the same side of any number of 32 bits as s + e, and equal only if equal
    guess = (dividend / divisor).astype(np.float32)
    below, above = (np.nextafter(guess, np.float32(end)).astype(np.float64) for end in (0.0, np.inf))
    here = guess.astype(np.float64)
    odd = guess.view(np.int32) % 2 == 1
    low_end, high_end = (below + here) / 2 * divisor, (here + above) / 2 * divisor
    down = (guess > 0) & ((dividend < low_end) | ((dividend == low_end) & odd))
    up = (dividend > high_end) | ((dividend == high_end) & odd)
    rounded = np.where(up, above, np.where(down, below, here)).astype(np.float32)
    return np.where((rounded == 0) & (s > 0), MIN_SUBNORMAL, rounded)
