"""Quantize and dequantize whole matrices: fast in double, and exact where a double cannot tell.

The inputs are float32, so that double sums and products of them are nearly exact; what is left to decide is
found by a test that cannot miss it, and decided by exact arithmetic on those elements alone.
"""

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.numpy.blocks import blocks, lanes, places
from q35ref.backends.numpy.float32 import Float64, round_sum, two_sum
from q35ref.backends.protocol import Float32, Int8
from q35ref.backends.validate import require_finite

LARGEST_QUOTIENT = 16.0
"""Quotients of weights beyond this magnitude are clamped: their rounding need not be exact."""

ROUNDINGS = 4
"""More roundings than a quotient is old (a difference, a reciprocal, a product), in units of the work's type."""

FLOAT32_RANGE = (2.0**-60, 2.0**60)
"""Where scales lie in this range and nothing else is beyond it, no float32 quotient overflows, and one that
underflows is next to 0, far from any half."""

EXACT_RATIO = 2.0**24
"""Where the scale is at most this many times the offset, ``scale * gain * q + offset`` is exact in double, or the
product, of 27 bits, is so small beside the offset that double and float32 both round to the offset."""

Work = NDArray[np.float32] | NDArray[np.float64]


def quantize(w: Float32, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Int8:
    """Quantize ``float32[K, N]`` with checked parameters; refuse weights that are not finite."""
    q = np.empty_like(w, np.int8)
    for block in blocks(w, group_size):
        weights, scales, offsets = block.cut(w), block.spread(scale), block.spread(offset)
        rows = lanes(weights.shape[1], narrow_gain)
        parts: tuple[Work, ...] = (*rows, offsets, scales)
        if _tame(weights, scales, offsets):
            parts = tuple(part.astype(np.float32) for part in parts)
        elif not np.isfinite(weights).all():
            require_finite("w", w)
        low, high, gain, offsets_there, scales_there = parts
        rounded = round_quotients(weights, offsets_there, scales_there, gain, largest=LARGEST_QUOTIENT)
        np.maximum(rounded, low, out=rounded)
        np.minimum(rounded, high, out=rounded)
        block.cut(q)[:] = rounded
    return q


def _tame(weights: Float32, scales: Float64, offsets: Float64) -> bool:
    """Whether float32 will do for the approximate quotient; False for any weight that is not finite."""
    least, most = FLOAT32_RANGE
    extremes = (scales.max(), np.abs(offsets).max(), weights.max(), -weights.min())
    return bool(scales.min() > least) and all(bool(extreme < most) for extreme in extremes)


def round_quotients(weight: Float32, offset: Work, scale: Work, gain: Work, *, largest: float) -> Work:
    """Return ``rne((weight - offset) / (scale * gain))``, exact where its magnitude is below ``largest``.

    The quotient is evaluated in the parameters' type, off by less than a margin; closer to a half than that, and
    only there, its rounding may be wrong, and is decided exactly.
    Domain: float32 values, gains 1 or 2, nothing that overflows; shapes that broadcast to weight's.
    """
    quotient: Work = np.subtract(weight, offset, dtype=offset.dtype)
    quotient *= 1 / scale
    quotient *= 1 / gain
    rounded = np.rint(quotient)
    distance = quotient - rounded
    np.abs(distance, out=distance)
    unit = np.finfo(offset.dtype).eps / 2
    near = distance > 0.5 - ROUNDINGS * unit * largest
    if near.any():
        at = places(near)
        spread = (
            np.broadcast_to(part, quotient.shape)[at].astype(np.float64) for part in (weight, offset, scale, gain)
        )
        near_weight, near_offset, near_scale, near_gain = spread
        guess = quotient[at].astype(np.float64)
        exact = _decide(guess, near_weight, near_offset, near_scale * near_gain)
        rounded[at] = np.where(np.abs(guess) < largest, exact, rounded[at])
    return rounded


def _decide(quotient: Float64, weight: Float64, offset: Float64, step: Float64) -> Float64:
    """Round ``(weight - offset) / step`` exactly, where the quotient is known to be next to a half.

    ``tie = half * step`` is exact: 10 bits by 24. ``s = RN64(weight - offset)`` is on the same side of it as
    the exact difference, or equal to it; then the sum's error decides, and where that is 0 it is a tie.
    """
    half = np.rint(quotient - 0.5) + 0.5
    tie = half * step
    s, e = two_sum(weight, -offset)
    side = np.where(s == tie, np.sign(e), np.sign(s - tie))
    even = 2 * np.rint(half / 2)
    return np.where(side == 0, even, half + side / 2)


def dequantize(q: Int8, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Float32:
    """Restore ``float32[K, N]``: RN32 of the exact value, for checked integers and parameters.

    ``scale * gain * q`` is exact in double. Only blocks where an offset other than 0 is very small beside its scale
    need the correctly rounded sum instead of the plain one.
    """
    w = np.empty_like(q, np.float32)
    with np.errstate(over="ignore"):
        for block in blocks(q, group_size):
            integers = block.cut(q)
            scales, offsets = block.spread(scale), block.spread(offset)
            product = integers.astype(np.float64)
            product *= lanes(integers.shape[1], narrow_gain).gain
            product *= scales
            if ((scales <= np.abs(offsets) * EXACT_RATIO) | (offsets == 0)).all():
                product += offsets
                block.cut(w)[:] = product
            else:
                block.cut(w)[:] = round_sum(product, offsets)
    return w
