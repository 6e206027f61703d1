"""Input channels in an order that puts the important ones into the wide lane. The format stays as it is.

A row's error adds ``error² · mean square of its channel`` to that of the product (channels taken as uncorrelated),
and a narrow row's error is twice a wide one's where the narrow gain is 2. So the half of the rows with the larger
importance is stored in even places, and activations are put in the same order before the product. The order is
stored, a uint16 a row. Within each lane rows keep their order, so that one bit a row would tell as much.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from q35ref.backends import fastest
from q35ref.backends.numpy.calibration import minmax, ranges
from q35ref.backends.numpy.float32 import Float64
from q35ref.backends.protocol import Float32
from q35ref.evidence.linears import PERMUTATION_BITS, Permutation, packed_linear, require_permutation
from q35ref.evidence.minilm import Linear
from q35ref.reference.calibration import CLIP_CANDIDATES, CLIP_STEPS, Method
from q35ref.reference.lanes import check_narrow_gain, group_length
from q35ref.tensor import QuantizedTensor, dequantize, quantize

Importance = Literal["activations", "activations and weights"]
"""What a channel's importance is: its mean square, or that times the mean square of its row of weights."""


@dataclass(frozen=True)
class Ordered:
    """A matrix in the format whose rows may be stored in another order. Errors: as :func:`require_permutation`."""

    tensor: QuantizedTensor
    permutation: Permutation | None = None
    """uint16[K]: row ``i`` of the tensor is input channel ``permutation[i]``; nothing: the order is the model's."""

    def __post_init__(self) -> None:
        if self.permutation is not None:
            require_permutation(self.permutation, self.tensor.k)

    @property
    def bits_per_weight(self) -> Fraction:
        """True bits a weight: codes, float32 parameters, and the stored order."""
        bits = 0 if self.permutation is None else PERMUTATION_BITS * self.tensor.k
        return self.tensor.bits_per_weight + Fraction(bits, self.tensor.k * self.tensor.n)

    def restored(self) -> Float32:
        """Return the weights ``float32[K, N]`` in the model's order."""
        values = dequantize(self.tensor)
        if self.permutation is None:
            return values
        undone = np.empty_like(values)
        undone[self.permutation] = values
        return undone

    def linear(self, scale: np.float32 | None = None) -> Linear:
        """Return the product by it, for activations in the model's order."""
        return packed_linear(self.tensor, scale, self.permutation)


MOST_ROWS: Final = 1 << PERMUTATION_BITS
"""Rows whose places a uint16 can tell apart."""


def importance(weights: Float32, mean_square: Float64, kind: Importance = "activations") -> Float64:
    """Return each row's importance, ``float64[K]``. Errors: ValueError."""
    if mean_square.shape != (len(weights),):
        raise ValueError(f"mean_square: expected shape ({len(weights)},), got {mean_square.shape}")
    if kind == "activations":
        return mean_square
    if kind == "activations and weights":
        product: Float64 = mean_square * np.square(weights, dtype=np.float64).mean(axis=1)
        return product
    raise ValueError(f"kind: expected activations, or activations and weights, got {kind!r}")


def lane_order(importances: Float64) -> Permutation:
    """Return the permutation that stores the more important half of the rows, rounded up, in even places.

    Of equally important rows the first counts as the more important one. Errors: ValueError.

    >>> lane_order(np.array([0.0, 5.0, 1.0, 9.0, 2.0])).tolist()
    [1, 0, 3, 2, 4]
    """
    k = len(importances)
    if not 1 <= k <= MOST_ROWS:
        raise ValueError(f"importances: expected 1 to {MOST_ROWS} rows, got {k}")
    if not np.isfinite(importances).all():
        raise ValueError("importances: expected finite numbers")
    by_importance = np.argsort(-importances, kind="stable")
    permutation = np.empty(k, np.uint16)
    permutation[0::2] = np.sort(by_importance[: (k + 1) // 2])
    permutation[1::2] = np.sort(by_importance[(k + 1) // 2 :])
    return permutation


def quantize_ordered(
    weights: Float32,
    permutation: Permutation | None,
    *,
    group_size: int = 0,
    narrow_gain: int = 2,
    method: Method = "clip",
) -> Ordered:
    """Quantize the rows in another order, each to its nearest code. Errors: as :func:`q35ref.quantize`."""
    rows = weights if permutation is None else weights[permutation]
    return Ordered(quantize(rows, group_size=group_size, narrow_gain=narrow_gain, method=method), permutation)


def quantize_weighted(
    weights: Float32,
    mean_square: Float64,
    permutation: Permutation | None,
    *,
    group_size: int = 0,
    narrow_gain: int = 2,
) -> Ordered:
    """Quantize with the shrunken ranges whose squared errors, weighted by ``mean_square``, are least.

    The ranges are those of the method ``clip``. The weighted error is the output's, channels taken as uncorrelated.
    Errors: as :func:`q35ref.quantize`.
    """
    rows = weights if permutation is None else weights[permutation]
    squares = mean_square if permutation is None else mean_square[permutation]
    scale, offset = _weighted_clip(rows, squares, group_size, narrow_gain)
    backend = fastest()
    q = backend.quantize(rows, scale, offset, group_size, narrow_gain)
    packed, (k, n) = backend.pack(q, "dense"), rows.shape
    return Ordered(QuantizedTensor(packed, scale, offset, k, n, group_size, narrow_gain), permutation)


def _weighted_clip(
    rows: Float32, mean_square: NDArray[np.float64], group_size: int, narrow_gain: int
) -> tuple[Float32, Float32]:
    check_narrow_gain(narrow_gain)
    backend, (low, high) = fastest(), ranges(rows, group_size)
    length = group_length(len(rows), group_size)
    starts = np.arange(0, len(rows), length)
    best, least = minmax(low, high), np.full(low.shape, np.inf)
    for candidate in range(CLIP_CANDIDATES):
        margin = (high - low) * (candidate / (2 * CLIP_STEPS))
        tried = minmax(low + margin, high - margin)
        q = backend.quantize(rows, *tried, group_size, narrow_gain)
        errors = np.square(backend.dequantize(q, *tried, group_size, narrow_gain) - rows, dtype=np.float64)
        weighted = np.add.reduceat(errors * mean_square[:, None], starts, axis=0)
        better = weighted < least
        best = np.where(better, tried[0], best[0]), np.where(better, tried[1], best[1])
        least = np.where(better, weighted, least)
    return best
