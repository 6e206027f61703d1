"""Quantize and dequantize whole matrices: fast in double, and exact where a double cannot tell.

The inputs are float32, so that double sums and products of them are nearly exact; what is left to decide is
found by a test that cannot miss it, and decided by exact arithmetic on those elements alone.
"""

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.numpy.blocks import blocks, lane_gains, lane_limits
from q35ref.backends.numpy.float32 import Float64, round_sum, two_sum
from q35ref.backends.protocol import Float32, Int8
from q35ref.backends.validate import require_finite

LARGEST_QUOTIENT = 2.0**10
"""Quotients beyond this magnitude are clamped in every use: their rounding need not be exact."""

NEAR_TIE = 0.5 - 2.0**-40
"""A quotient of magnitude up to 2**10, three roundings old, is off by less than 2**-40: closer to a half than
this margin, and only there, its rounding may be wrong."""

EXACT_RATIO = 2.0**24
"""Where offset and scale are within this factor of each other, ``scale * gain * q + offset`` is exact in double:
it is below 17 times the larger one, and a multiple of 2**-24 times the smaller."""


def quantize(w: Float32, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Int8:
    """Quantize ``float32[K, N]`` with checked parameters; refuse weights that are not finite."""
    q = np.empty_like(w, np.int8)
    for block in blocks(w, group_size):
        weights = block.cut(w)
        if not np.isfinite(weights).all():
            require_finite("w", w)
        length = weights.shape[1]
        low, high = lane_limits(length)
        gains = lane_gains(length, narrow_gain)
        rounded = round_quotients(weights, block.spread(offset), block.spread(scale), gains)
        np.maximum(rounded, low, out=rounded)
        np.minimum(rounded, high, out=rounded)
        block.cut(q)[:] = rounded
    return q


def round_quotients(weight: NDArray[np.floating], offset: Float64, scale: Float64, gain: Float64) -> Float64:
    """Return ``rne((weight - offset) / (scale * gain))``, exact where its magnitude is below 2**10.

    Domain: weights, offsets and scales that are float32s, gains 1 or 2; shapes that broadcast to weight's.
    """
    quotient: Float64 = weight - offset
    quotient *= 1 / scale
    quotient *= 1 / gain
    rounded = np.rint(quotient)
    distance = quotient - rounded
    near = np.abs(distance, out=distance) > NEAR_TIE
    if near.any():
        at = np.nonzero(near & (np.abs(quotient) < LARGEST_QUOTIENT))
        near_offset, near_scale, near_gain = (
            np.broadcast_to(part, quotient.shape)[at] for part in (offset, scale, gain)
        )
        rounded[at] = _decide(quotient[at], weight[at].astype(np.float64), near_offset, near_scale * near_gain)
    return rounded


def _decide(quotient: Float64, weight: Float64, offset: Float64, step: Float64) -> Float64:
    """Round ``(weight - offset) / step`` exactly, where the quotient is known to be next to a half.

    ``tie = half * step`` is exact: 12 bits by 24. ``s = RN64(weight - offset)`` is on the same side of it as
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

    ``scale * gain * q`` is exact in double, and so is its sum with the offset unless the two are of very
    different size; only such blocks need the correctly rounded sum instead of the plain one.
    """
    w = np.empty_like(q, np.float32)
    with np.errstate(over="ignore"):
        for block in blocks(q, group_size):
            integers = block.cut(q)
            scales, offsets = block.spread(scale), block.spread(offset)
            product = integers * lane_gains(integers.shape[1], narrow_gain)
            product *= scales
            sums_exact = (np.abs(offsets) <= scales * EXACT_RATIO) & (scales <= np.abs(offsets) * EXACT_RATIO)
            if (sums_exact | (offsets == 0)).all():
                product += offsets
                block.cut(w)[:] = product
            else:
                block.cut(w)[:] = round_sum(product, offsets)
    return w
