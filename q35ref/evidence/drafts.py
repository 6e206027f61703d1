"""The drafts' own converter and epilogue, from their description: what they do, not what the format asks.

Per column ``scale = (max - min) / 15`` (1 where that is 0), ``zero = min + 8 scale``, ``q = clip(rint((w - zero) /
scale), -8, 7)`` in *both* lanes, and the byte ``(q_even mod 16) << 3 | (q_odd mod 8)``. A second converter: ``scale =
absmax / 3``, no zero, integers clipped to [-8, 7] in even rows and [-4, 3] in odd ones. INT4 beside them: ``scale =
absmax / 7``. The kernel's epilogue: ``(acc + offset) scale``.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
"""float64."""


def convert(weights: Floats) -> tuple[NDArray[np.uint8], Floats, Floats]:
    """Return the drafts' bytes ``[ceil(K/2), N]``, scales and zeros ``[N]`` of weights ``[K, N]``."""
    scale, zero = parameters(weights)
    q = rounded(weights, scale, zero)
    odd = np.zeros((len(q) % 2, q.shape[1]), np.int64)
    pairs = np.concatenate([q, odd]).reshape(-1, 2, q.shape[1])
    return ((pairs[:, 0] % 16 << 3) | pairs[:, 1] % 8).astype(np.uint8), scale, zero


def parameters(weights: Floats) -> tuple[Floats, Floats]:
    """Return the drafts' scale and zero of each column."""
    low, high = weights.min(axis=0), weights.max(axis=0)
    scale = np.where(high > low, (high - low) / 15, 1.0)
    return scale, low + 8 * scale


def rounded(weights: Floats, scale: Floats, zero: Floats) -> NDArray[np.int64]:
    """Return the drafts' integers, of four bits in both lanes."""
    return np.clip(np.rint((weights - zero) / scale), -8, 7).astype(np.int64)


def unpacked(codes: NDArray[np.uint8], k: int) -> NDArray[np.int64]:
    """Return what the drafts' bytes hold: ``[K, N]``, the narrow lane of three bits."""
    wide, narrow = (codes >> 3).astype(np.int64), (codes & 7).astype(np.int64)
    pairs = np.stack([(wide + 8) % 16 - 8, (narrow + 4) % 8 - 4], axis=1)
    return pairs.reshape(-1, codes.shape[1])[:k]


def symmetric(weights: Floats) -> Floats:
    """Return weights restored from the drafts' second converter, a scale a column and no zero."""
    scale = np.abs(weights).max(axis=0) / 3
    scale = np.where(scale > 0, scale, 1.0)
    odd = (np.arange(len(weights)) % 2)[:, None]
    restored: Floats = scale * np.clip(np.rint(weights / scale), np.where(odd, -4, -8), np.where(odd, 3, 7))
    return restored


def int4(weights: Floats) -> Floats:
    """Return weights restored from the drafts' INT4: symmetric, ``absmax / 7`` a column."""
    scale = np.abs(weights).max(axis=0) / 7
    scale = np.where(scale > 0, scale, 1.0)
    restored: Floats = scale * np.clip(np.rint(weights / scale), -8, 7)
    return restored


def epilogue(acc: Any, scale: Any, offset: Any) -> Any:
    """Return what the drafts' kernel makes of an accumulator."""
    return (acc + offset) * scale


def normalized_rmse(weights: Floats, restored: Floats) -> float:
    """Return the root of the mean squared error over the weights' standard deviation."""
    return float(np.sqrt(np.mean((weights - restored) ** 2)) / weights.std())
