"""Parameters of whole matrices, bit for bit the reference's for ``minmax`` and ``symmetric``."""

from collections.abc import Callable

import numpy as np

from q35ref.backends.numpy.blocks import blocks, lanes
from q35ref.backends.numpy.float32 import Float64, round_quotient, round_sum, two_sum
from q35ref.backends.protocol import Float32
from q35ref.backends.validate import require_finite, require_weights
from q35ref.reference.calibration import CLIP_CANDIDATES, CLIP_STEPS, WIDE_STEPS, Method
from q35ref.reference.lanes import check_narrow_gain, group_count


def calibrate(w: Float32, group_size: int, method: Method) -> tuple[Float32, Float32]:
    """Return ``scale, offset`` of ``float32[K, N]`` by ``minmax`` or ``symmetric``; refuse weights not finite."""
    low, high = ranges(w, group_size)
    return minmax(low, high) if method == "minmax" else symmetric(low, high)


def ranges(w: Float32, group_size: int) -> tuple[Float64, Float64]:
    """Return the least and the greatest weight of each group, ``[G, N]``; refuse weights that are not finite."""
    shape = (group_count(len(w), group_size), w.shape[1])
    low, high = np.full(shape, np.inf, np.float32), np.full(shape, -np.inf, np.float32)
    for block in blocks(w, group_size):
        weights, where = block.cut(w), (block.groups, block.columns)
        low[where] = np.minimum(low[where], weights.min(axis=1))
        high[where] = np.maximum(high[where], weights.max(axis=1))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):  # both pass NaN on
        require_finite("w", w)
    return low.astype(np.float64), high.astype(np.float64)


def minmax(low: Float64, high: Float64) -> tuple[Float32, Float32]:
    """Return ``RN32((high - low) / 15)`` and ``RN32(low + 8 * scale)``; scale 1 and the value for a constant."""
    scale = round_quotient(*two_sum(high, -low), WIDE_STEPS)
    offset = round_sum(low, 8 * scale.astype(np.float64))
    constant = low == high
    # Adding 0 makes a constant -0.0 the +0.0 that the exact rational is.
    return np.where(constant, np.float32(1), scale), np.where(constant, low.astype(np.float32) + 0, offset)


def symmetric(low: Float64, high: Float64) -> tuple[Float32, Float32]:
    """Return ``RN32(absmax / 7)`` and 0; scale 1 for a group of zeros."""
    largest = np.maximum(np.abs(low), np.abs(high))
    scale = round_quotient(largest, np.zeros_like(largest), 7)
    return np.where(largest == 0, np.float32(1), scale), np.zeros(scale.shape, np.float32)


def calibrate_clip(w: Float32, group_size: int, narrow_gain: int) -> tuple[Float32, Float32]:
    """Return the parameters of least squared error over both lanes, from the grid of shrunken ranges.

    The grid is that of :func:`q35ref.reference.calibration.calibrate_clip`. Ranges and errors are evaluated in
    double, so that of two candidates within some 2**-40 of each other either may be taken; its parameters are
    as legal as the exact search's, and its error as small to that degree.

    Shapes: ``w float32[K, N]`` to ``scale, offset float32[G, N]``. Errors: ValueError, TypeError.
    """
    require_weights(w)
    check_narrow_gain(narrow_gain)
    low, high = ranges(w, group_size)
    scale, offset = np.empty_like(low, np.float32), np.empty_like(low, np.float32)
    for block in blocks(w, group_size, whole_groups=True):
        where = (block.groups, block.columns)
        evaluate = _squared_error(block.cut(w).astype(np.float64), narrow_gain)
        scale[where], offset[where] = _best_range(low[where], high[where], evaluate)
    return scale, offset


def _best_range(
    low: Float64, high: Float64, squared_error: Callable[[Float32, Float32], Float64]
) -> tuple[Float32, Float32]:
    """Return the parameters ``[groups, columns]`` of least error; of equal errors the wider range wins."""
    best_scale, best_offset = minmax(low, high)
    least = squared_error(best_scale, best_offset)
    for j in range(1, CLIP_CANDIDATES):
        margin = (high - low) * (j / (2 * CLIP_STEPS))
        scale, offset = minmax(low + margin, high - margin)
        error = squared_error(scale, offset)
        better = error < least
        least = np.where(better, error, least)
        best_scale, best_offset = np.where(better, scale, best_scale), np.where(better, offset, best_offset)
    return best_scale, best_offset


def _squared_error(weights: Float64, narrow_gain: int) -> Callable[[Float32, Float32], Float64]:
    """Return the function from parameters ``[groups, columns]`` to the sum of squared errors of ``weights``."""
    low, high, gains = lanes(weights.shape[1], narrow_gain)
    low, high = low * gains, high * gains
    scratch = np.empty_like(weights)

    def evaluate(scale: Float32, offset: Float32) -> Float64:
        steps, offsets = scale.astype(np.float64)[:, None, :], offset.astype(np.float64)[:, None, :]
        units = np.subtract(weights, offsets, out=scratch)
        units *= 1 / steps
        rounded = np.rint(units / gains)
        rounded *= gains
        np.clip(rounded, low, high, out=rounded)
        units -= rounded
        error: Float64 = np.einsum("ijk,ijk->ik", units, units) * steps[:, 0] ** 2
        return error

    return evaluate
