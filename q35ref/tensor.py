"""A quantized matrix, and the three things that users do with one: make it, restore it, multiply by it."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from q35ref.backends import fastest
from q35ref.backends.numpy.calibration import calibrate_clip
from q35ref.backends.protocol import Float32, UInt8
from q35ref.backends.validate import (
    require_array,
    require_finite,
    require_integer,
    require_packed,
    require_parameters,
)
from q35ref.reference.calibration import METHODS, Method
from q35ref.reference.codec import CODE_COUNT
from q35ref.reference.lanes import Layout, check_layout, check_narrow_gain, check_size, group_length

PAIR_ROWS = 2
"""Rows whose integers share a code."""

CODE_BITS = CODE_COUNT.bit_length() - 1
"""Bits that a code carries."""


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """A matrix ``[K, N]`` in the 3.5-bit format, checked when made. Two are equal only if they are the same object.

    The value of row ``r`` and column ``j`` is ``scale[g, j] * gain(r) * q[r, j] + offset[g, j]``, ``g`` the row's
    group, the gain 1 in even rows and ``narrow_gain`` in odd ones. Errors: ValueError, TypeError.
    """

    packed: UInt8
    """uint8[N, column_bytes]: a column's codes lie together."""
    scale: Float32
    """float32[G, N], finite, > 0."""
    offset: Float32
    """float32[G, N], finite: a real zero-point."""
    k: int
    """Rows, the summed dimension."""
    n: int
    """Columns."""
    group_size: int = 0
    """Rows of a group, a multiple of 16; 0 for the whole column."""
    narrow_gain: int = 2
    """Factor of the narrow lane, 1 or 2."""
    layout: Layout = "dense"
    """``"dense"`` (3.5 bits a weight) or ``"byte"`` (4)."""

    def __post_init__(self) -> None:
        for name in ("k", "n", "group_size", "narrow_gain"):
            require_integer(name, getattr(self, name))
        check_size("k", self.k)
        check_size("n", self.n)
        check_layout(self.layout)
        require_packed(self.packed, self.k, self.layout)
        if len(self.packed) != self.n:
            raise ValueError(f"packed: expected {self.n} columns, got {len(self.packed)}")
        require_parameters(self.scale, self.offset, self.k, self.n, self.group_size, self.narrow_gain)

    @property
    def nbytes(self) -> int:
        """Bytes of codes and parameters together."""
        return self.packed.nbytes + self.scale.nbytes + self.offset.nbytes

    @property
    def bits_per_weight(self) -> Fraction:
        """True bits a weight: codes with their padding, scales and offsets, as they are stored."""
        return Fraction(8 * self.nbytes, self.k * self.n)

    def __repr__(self) -> str:
        return (
            f"QuantizedTensor(k={self.k}, n={self.n}, group_size={self.group_size}, narrow_gain={self.narrow_gain},"
            f" layout={self.layout!r}, bits_per_weight={float(self.bits_per_weight):.3f})"
        )


def to_float32(name: str, values: ArrayLike) -> Float32:
    """Return an array of float32: float16 widened exactly, float64 rounded once, ties to even.

    Errors: TypeError for another dtype; ValueError for NaN, infinities, and a float64 that overflows float32.
    """
    array = np.asarray(values)
    if array.dtype == np.float32:
        return array
    if array.dtype.name not in ("float16", "float64", "bfloat16"):
        raise TypeError(f"{name}: expected float16, bfloat16, float32 or float64, got {array.dtype}")
    require_finite(name, array)
    with np.errstate(over="ignore", under="ignore"):
        narrowed: Float32 = array.astype(np.float32)
    if not np.isfinite(narrowed).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(narrowed))[0])
        raise ValueError(f"{name}: expected numbers that fit float32, got {array[index]} at {list(index)}")
    return narrowed


def quantize(
    weights: ArrayLike,
    *,
    group_size: int = 0,
    narrow_gain: int = 2,
    layout: Layout = "dense",
    method: Method = "minmax",
) -> QuantizedTensor:
    """Quantize a matrix ``[K, N]``, K the summed dimension (the transpose of a Hugging Face Linear weight).

    ``method`` chooses the parameters: ``"minmax"``, ``"symmetric"`` or ``"clip"`` (least squared error over a
    grid of shrunken ranges). float16 and bfloat16 widen exactly, float64 is rounded once to float32. The bytes do
    not depend on the backend. Errors: TypeError for another dtype, ValueError for NaN, infinities, overflow and
    illegal sizes. Theorems: ``quantize_nearest``, ``quantize_error_le``.

    >>> import numpy as np
    >>> quantize(np.arange(32.0).reshape(16, 2), layout="byte")
    QuantizedTensor(k=16, n=2, group_size=0, narrow_gain=2, layout='byte', bits_per_weight=8.000)
    """
    w = to_float32("weights", weights)
    require_array("weights", w, np.float32, (None, None))
    check_layout(layout)
    require_integer("group_size", group_size)
    require_integer("narrow_gain", narrow_gain)
    check_narrow_gain(narrow_gain)
    k, n = w.shape
    group_length(k, group_size)
    require_finite("weights", w)
    backend = fastest()
    if method == "clip":
        scale, offset = calibrate_clip(w, group_size, narrow_gain)
    elif method in METHODS:
        scale, offset = backend.calibrate(w, group_size, method)
    else:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    q = backend.quantize(w, scale, offset, group_size, narrow_gain)
    return QuantizedTensor(backend.pack(q, layout), scale, offset, k, n, group_size, narrow_gain, layout)


def dequantize(qt: QuantizedTensor) -> Float32:
    """Restore ``float32[K, N]``: each value is RN32 of the exact one, an infinity where that overflows.

    Theorem: ``quantize_roundedDequantize``.

    >>> import numpy as np
    >>> dequantize(quantize(np.array([[-8.0], [0.0], [7.0]]))).ravel().tolist()
    [-8.0, 0.0, 7.0]
    """
    backend = fastest()
    q = backend.unpack(qt.packed, qt.k, qt.layout)
    return backend.dequantize(q, qt.scale, qt.offset, qt.group_size, qt.narrow_gain)


def matmul(a: NDArray[Any], qt: QuantizedTensor, activation_scale: ArrayLike | None = None) -> Float32:
    """Multiply activations ``[M, K]`` by a quantized matrix; return ``float32[M, N]``.

    int8 activations are taken as they are, and ``activation_scale`` (one float32, or one a row ``[M]``), if any,
    is applied as one last float32 product. Float activations go through ``quantize_activations`` first, and
    bring their own scale. Without a scale the result is within ``reference.output_bound`` of the exact one
    (theorem ``epilogue_error_le``). Errors: ValueError, TypeError.

    >>> import numpy as np
    >>> qt = quantize(np.array([[-8.0], [0.0], [7.0]]))
    >>> matmul(np.array([[1, 2, 3]], np.int8), qt).tolist()
    [[13.0]]
    """
    backend = fastest()
    activations = np.asarray(a)
    if activations.dtype.kind in "iub" and activations.dtype != np.int8:
        raise TypeError(f"a: expected int8 or floats, got {activations.dtype}")
    if activations.dtype != np.int8:
        if activation_scale is not None:
            raise ValueError("activation_scale: expected none with float activations, which bring their own")
        activation_scale, activations = backend.quantize_activations(to_float32("a", activations))
    result = backend.matmul_output(
        activations, qt.packed, qt.k, qt.layout, qt.group_size, qt.narrow_gain, qt.scale, qt.offset
    )
    if activation_scale is None:
        return result
    numbers = np.asarray(activation_scale)
    factor = to_float32("activation_scale", numbers.astype(np.float64) if numbers.dtype.kind in "iu" else numbers)
    require_finite("activation_scale", factor)
    if factor.shape not in ((), (len(result),)):
        raise ValueError(f"activation_scale: expected one number or shape ({len(result)},), got {factor.shape}")
    with np.errstate(over="ignore", under="ignore"):
        return result * (factor if factor.ndim == 0 else factor[:, None])
