"""Uniform grids of any width, to compare the format's two lanes with: every row has the same integers."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from q35ref.backends.numpy.float32 import Float64
from q35ref.backends.protocol import Float32
from q35ref.reference.calibration import CLIP_CANDIDATES, CLIP_STEPS, METHODS, Method
from q35ref.reference.lanes import group_count, group_length

FLOAT32_BITS: Final = 32


@dataclass(frozen=True)
class Restored:
    """A matrix that was quantized, restored to float32."""

    weights: Float32
    """float32[K, N]."""
    bits_per_weight: Fraction
    """True bits a weight: codes, and parameters at the precision in which they are stored."""


def uniform(weights: Float32, bits: int, group_size: int = 0, method: Method = "minmax") -> Restored:
    """Quantize ``float32[K, N]`` to integers of ``bits`` bits, and restore them.

    ``minmax`` spreads the grid over each group, with a scale and an offset; ``clip`` takes the shrunken range of
    least squared error, from the grid of ranges that the format's own method has; ``symmetric`` has no offset, and
    ``absmax / (2**(bits - 1) - 1)`` for scale. Parameters are float32, and counted as such. Errors: ValueError.

    >>> restored = uniform(np.array([[-8.0], [0.4], [7.0]], np.float32), 4)
    >>> restored.weights.ravel().tolist(), restored.bits_per_weight
    ([-8.0, 0.0, 7.0], Fraction(76, 3))
    """
    scale, offset = uniform_parameters(weights, bits, group_size, method)
    length = group_length(len(weights), group_size)
    restored = np.empty(weights.shape, np.float32)
    for g, start in enumerate(range(0, len(weights), length)):
        group = weights[start : start + length].astype(np.float64)
        restored[start : start + length] = _nearest(group, scale[g], offset[g], bits)
    return Restored(restored, uniform_bits(weights, bits, group_size, symmetric=method == "symmetric"))


def uniform_bits(weights: Float32, bits: int, group_size: int, *, symmetric: bool) -> Fraction:
    """Return the true bits a weight: codes, a float32 scale a group, and an offset unless the grid is symmetric."""
    k, n = weights.shape
    parameters = (1 if symmetric else 2) * group_count(k, group_size) * n
    return bits + Fraction(FLOAT32_BITS * parameters, k * n)


def uniform_limits(bits: int) -> tuple[int, int]:
    """Return the least and the greatest integer.

    >>> uniform_limits(3)
    (-4, 3)
    """
    if not 2 <= bits <= 16:
        raise ValueError(f"bits: expected 2 to 16, got {bits}")
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def uniform_parameters(weights: Float32, bits: int, group_size: int, method: Method) -> tuple[Float32, Float32]:
    """Return ``scale, offset``, each ``float32[G, N]``. Errors: ValueError."""
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    uniform_limits(bits)
    k, n = weights.shape
    length = group_length(k, group_size)
    scale, offset = (np.empty((group_count(k, group_size), n), np.float32) for _ in range(2))
    for g, start in enumerate(range(0, k, length)):
        scale[g], offset[g] = _parameters(weights[start : start + length].astype(np.float64), bits, method)
    return scale, offset


def _parameters(group: Float64, bits: int, method: Method) -> tuple[Float32, Float32]:
    low, high = group.min(axis=0), group.max(axis=0)
    least, most = uniform_limits(bits)
    if method == "symmetric":
        largest = np.maximum(np.abs(low), np.abs(high))
        return _stored(largest / most), np.zeros(low.shape, np.float32)
    best = _spread(low, high, least, most)
    if method == "minmax":
        return best
    narrow = group.astype(np.float32)  # float32 is enough to choose between ranges, and twice as fast
    error = _squares(narrow, *best, bits)
    for candidate in range(1, CLIP_CANDIDATES):
        margin = (high - low) * (candidate / (2 * CLIP_STEPS))
        tried = _spread(low + margin, high - margin, least, most)
        squares = _squares(narrow, *tried, bits)
        better = squares < error
        best = np.where(better, tried[0], best[0]), np.where(better, tried[1], best[1])
        error = np.minimum(squares, error)
    return best


def _spread(low: Float64, high: Float64, least: int, most: int) -> tuple[Float32, Float32]:
    """Return the parameters whose grid spans ``[low, high]``; scale 1 and the value for a constant."""
    scale = _stored((high - low) / (most - least))
    offset = np.where(low == high, low, low - least * scale.astype(np.float64))
    return scale, offset.astype(np.float32)


def _stored(scale: Float64) -> Float32:
    """Return scales as they are stored: float32, at least its smallest positive number, 1 for 0."""
    narrow = np.maximum(scale.astype(np.float32), np.finfo(np.float32).smallest_subnormal)
    return np.where(scale == 0, np.float32(1), narrow)


def _squares(group: Float32, scale: Float32, offset: Float32, bits: int) -> Float32:
    """Return each column's squared error, evaluated in float32; NaN, which is never the least, where that overflows."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        units = (group - offset) / scale
        rounded = np.rint(units)
        np.clip(rounded, *uniform_limits(bits), out=rounded)
        units -= rounded
        squares: Float32 = np.einsum("kn,kn->n", units, units) * np.square(scale)
    return squares


def _nearest(group: Float64, scale: Float32, offset: Float32, bits: int) -> Float64:
    """Return the nearest values of the grid."""
    s, b = scale.astype(np.float64), offset.astype(np.float64)
    values: Float64 = s * np.clip(np.rint((group - b) / s), *uniform_limits(bits)) + b
    return values
