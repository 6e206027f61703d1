"""Ways to compute a Linear layer's product, to plug into the model: what is quantized, and how.

Activations become int8 by the format's rule, a scale a row taken from the row itself (*dynamic*), or with one scale for
the whole layer that was measured on calibration sentences (*static*); beyond its reach a static scale clamps.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from q35ref.backends import fastest
from q35ref.backends.protocol import Float32, Int8
from q35ref.evidence.minilm import Linear
from q35ref.reference.activations import ACTIVATION_LIMIT
from q35ref.tensor import QuantizedTensor, matmul

Permutation = NDArray[np.uint16]
"""uint16[K]: row ``i`` of the stored matrix is input channel ``permutation[i]``."""

PERMUTATION_BITS: Final = 16
"""Bits that a channel's place takes, as it is stored."""


def static_scale(absmax: float) -> np.float32:
    """Return the scale that spans activations up to ``absmax``: ``absmax / 127``, and 1 where there were none but 0.

    >>> float(static_scale(254))
    2.0
    """
    if not np.isfinite(absmax) or absmax < 0:
        raise ValueError(f"absmax: expected a finite number, at least 0, got {absmax}")
    return (
        max(np.float32(absmax / ACTIVATION_LIMIT), np.finfo(np.float32).smallest_subnormal) if absmax else np.float32(1)
    )


def quantize_static(x: Float32, scale: np.float32) -> Int8:
    """Return ``clamp(rne(x / scale), -127, 127)``, the quotient evaluated in double.

    >>> quantize_static(np.array([[-1000, 0.5, 1.5]], np.float32), np.float32(1)).tolist()
    [[-127, 0, 2]]
    """
    rounded = np.rint(x.astype(np.float64) / np.float64(scale))
    return np.clip(rounded, -ACTIVATION_LIMIT, ACTIVATION_LIMIT).astype(np.int8)


def packed_linear(
    qt: QuantizedTensor, scale: np.float32 | None = None, permutation: Permutation | None = None
) -> Linear:
    """Return the product by a matrix in the format, by :func:`q35ref.matmul`.

    ``scale`` is a static activation scale; without it activations are quantized dynamically. With a permutation, the
    channels are put in the order of the stored rows first. Errors: ValueError for what is no permutation of the rows.
    """
    if permutation is not None:
        require_permutation(permutation, qt.k)

    def product(x: Float32) -> Float32:
        ordered = x if permutation is None else np.ascontiguousarray(x[:, permutation])
        return matmul(ordered, qt) if scale is None else matmul(quantize_static(ordered, scale), qt, scale)

    return product


def restored_linear(weights: Float32, scale: np.float32 | None = None) -> Linear:
    """Return the product by float32 weights, restored from whatever they were quantized to, and int8 activations."""

    def product(x: Float32) -> Float32:
        if scale is not None:
            return (quantize_static(x, scale).astype(np.float32) @ weights) * scale
        scales, integers = fastest().quantize_activations(np.ascontiguousarray(x))
        return (integers.astype(np.float32) @ weights) * scales[:, None]

    return product


def require_permutation(permutation: NDArray[np.integer], k: int) -> None:
    """Refuse what is not every number below ``k`` once. Errors: ValueError, TypeError."""
    if permutation.dtype != np.uint16:
        raise TypeError(f"permutation: expected uint16, got {permutation.dtype}")
    if permutation.shape != (k,) or not np.array_equal(np.sort(permutation), np.arange(k)):
        raise ValueError(f"permutation: expected each of the {k} rows once")
