"""What an implementation of the format offers: the protocol that every check is written against.

Arrays are NumPy's. ``K`` rows (the summed dimension), ``N`` columns, ``M`` rows of activations, ``G`` groups a
column. An implementation may lack any method; what it lacks is *not checked*.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from q35ref.reference.calibration import Method
from q35ref.reference.lanes import Layout

Float32 = NDArray[np.float32]
Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

OPERATIONS = ("pack", "unpack", "calibrate", "quantize", "dequantize", "quantize_activations", "matmul")
"""The protocol's methods, in the order in which data passes through them."""


class MatmulResult(NamedTuple):
    """The three results of a matmul; an implementation may return ``None`` for any of them."""

    acc: Int32 | None
    """int32[M, N, G]: sum over the group of gain * activation * integer, exact."""
    row_sum: Int32 | None
    """int32[M, G]: sum over the group of the activations, exact."""
    out: Float32 | None
    """float32[M, N]: sum over the groups of scale * acc + offset * row_sum, within ``output_bound``."""


class Backend(Protocol):
    """Every operation of the format, arguments in this order.

    The oracle passes fresh C-contiguous arrays and judges on legal input, with one exception: weights that are not
    finite must be refused. Results are plain arrays of the dtype and shape that is named; inputs are never written.
    Our own implementations take arrays in any order, and refuse all illegal input with ValueError or TypeError.
    """

    name: str
    """What the implementation is called in reports."""

    correctly_rounded: bool
    """Whether ``dequantize`` returns RN32 of the exact value, bit for bit."""

    def pack(self, q: Int8, layout: Layout) -> UInt8:
        """Pack integers ``int8[K, N]`` into ``uint8[N, column_bytes]``."""

    def unpack(self, packed: UInt8, k: int, layout: Layout) -> Int8:
        """Unpack ``uint8[N, column_bytes]`` into integers ``int8[K, N]``."""

    def calibrate(self, w: Float32, group_size: int, method: Method) -> tuple[Float32, Float32]:
        """Return ``scale, offset``, each ``float32[G, N]``, by ``"minmax"`` or ``"symmetric"``, bit for bit.

        ``"clip"`` is never asked for: it has one implementation, used beside any backend.
        """

    def quantize(self, w: Float32, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Int8:
        """Quantize weights ``float32[K, N]`` to integers ``int8[K, N]``, rounded as if in exact arithmetic.

        Double arithmetic is not enough next to a tie: w = 0.5, offset = -2**-60, scale = 1 must give 1. How to
        decide such cases exactly at little cost: ``q35ref/backends/numpy/quantizer.py``.
        """

    def dequantize(self, q: Int8, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Float32:
        """Restore weights ``float32[K, N]`` from integers ``int8[K, N]``."""

    def quantize_activations(self, x: Float32) -> tuple[Float32, Int8]:
        """Return ``activation_scale float32[M]`` and ``a int8[M, K]`` for activations ``float32[M, K]``."""

    def matmul(
        self,
        a: Int8,
        packed: UInt8,
        k: int,
        layout: Layout,
        group_size: int,
        narrow_gain: int,
        scale: Float32,
        offset: Float32,
    ) -> MatmulResult | tuple[Any, Any, Any]:
        """Multiply ``int8[M, K]`` by packed weights; return ``(acc, row_sum, out)``."""
