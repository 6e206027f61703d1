"""Exact arithmetic on arrays of floats: a sum rounded once, and a quotient that rounds as the exact one does."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int8 = NDArray[np.int8]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]


def nearest_float32(value: Fraction) -> np.float32:
    """Return a rational rounded to float32, ties to even."""
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if size < Fraction(2) ** exponent:
        exponent -= 1
    unit = max(exponent - 23, -149)
    with np.errstate(over="ignore"):
        return np.float32(math.ldexp(round(value / Fraction(2) ** unit), unit))


def float32_of_sum(x: Float64, y: Float64) -> Float32:
    """Return the exact sum of two doubles rounded once to float32: through the double that is rounded to odd."""
    total = np.asarray(x + y)
    part = total - x
    error = (x - (total - part)) + (y - part)
    even = (total.view(np.int64) & 1) == 0
    odd = np.where((error != 0) & even, np.nextafter(total, np.copysign(np.inf, error)), total)
    with np.errstate(over="ignore"):
        return odd.astype(np.float32)


def quotient(w: Float64, offset: Float64, step: Float64) -> Float64:
    """Return a double that lies to each multiple of 1/2 as the exact (w - offset) / step does: less, equal, greater.

    Next to such a multiple the double quotient is replaced by a value clearly on the side of the exact one.
    """
    w, offset, step = np.broadcast_arrays(w, offset, step)
    with np.errstate(all="ignore"):
        y = np.asarray((w - offset) / step)
        half = np.rint(2 * y) / 2
        near = (np.abs(y) < 200) & (np.abs(y - half) < 2.0**-20)
    for i in zip(*np.nonzero(near), strict=True):
        exact = (Fraction(float(w[i])) - Fraction(float(offset[i]))) / Fraction(float(step[i]))
        middle = Fraction(float(half[i]))
        y[i] = half[i] + ((exact > middle) - (exact < middle)) * 2.0**-12
    return y
