"""The native twin of the reference: portable C with vector instructions, by ctypes; the same integers and bits.

The C sources in ``src`` have the arrays of the C ABI (``src/q35_abi.h``), in which a column's rows lie together: give
weights as the transpose of ``[N, K]`` in C order, which is how checkpoints keep them, and nothing is copied.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.native.library import Library, NativeUnavailable, load
from q35ref.backends.protocol import Float32, Int8, MatmulResult, UInt8
from q35ref.backends.validate import (
    require_array,
    require_calibration,
    require_finite,
    require_integer,
    require_integers,
    require_packed,
    require_parameter_shapes,
    require_parameters,
    require_weights,
)
from q35ref.reference.calibration import Method
from q35ref.reference.codec import column_bytes
from q35ref.reference.lanes import LAYOUTS, Layout, check_layout, group_count

NO_MEMORY = 3
"""The library's status for a failed allocation (``src/q35_abi.h``)."""


class NativeBackend:
    """Every operation of :class:`q35ref.backends.protocol.Backend`.

    Shapes are looked at here, numbers by the library as it goes; when it refuses some, they are looked at again for
    the error to name the first of them. Errors when made: NativeUnavailable.
    """

    name = "native"
    correctly_rounded = True

    def __init__(self) -> None:
        self.library: Library = load()

    def pack(self, q: Int8, layout: Layout) -> UInt8:
        """See :meth:`Backend.pack`. Theorem: ``unpackDense_packDense``."""
        check_layout(layout)
        require_array("q", q, np.int8, (None, None))
        k, n = q.shape
        packed = np.empty((n, column_bytes(k, layout)), np.uint8)
        self._run("q35_pack", (_by_column(q), k, n, LAYOUTS.index(layout), packed), lambda: require_integers(q))
        return packed

    def unpack(self, packed: UInt8, k: int, layout: Layout) -> Int8:
        """See :meth:`Backend.unpack`. Refuses set padding bits and codes above 127."""
        n = _columns(packed, k, layout)
        q = np.empty((n, k), np.int8)
        arguments = (_for_c(packed), k, n, LAYOUTS.index(layout), q)
        self._run("q35_unpack", arguments, lambda: require_packed(packed, k, layout))
        return q.T

    def calibrate(self, w: Float32, group_size: int, method: Method) -> tuple[Float32, Float32]:
        """See :meth:`Backend.calibrate`; bit-identical with the reference."""
        require_calibration(method)
        require_integer("group_size", group_size)
        require_weights(w)
        k, n = w.shape
        scale = np.empty((group_count(k, group_size), n), np.float32)
        offset = np.empty_like(scale)
        arguments = (_by_column(w), k, n, 0 if group_size > k else int(group_size), scale, offset)
        self._run(f"q35_calibrate_{method}", arguments, lambda: require_finite("w", w))
        return scale, offset

    def quantize(self, w: Float32, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Int8:
        """See :meth:`Backend.quantize`; exact next to ties too. Theorem: ``quantize_nearest``."""
        require_weights(w)
        k, n = w.shape
        require_parameter_shapes(scale, offset, k, n, group_size, narrow_gain)
        q = np.empty((n, k), np.int8)

        def explain() -> None:
            require_parameters(scale, offset, k, n, group_size, narrow_gain)
            require_finite("w", w)

        self._run("q35_quantize", (_by_column(w), *_grouping(k, n, group_size, narrow_gain, scale, offset), q), explain)
        return q.T

    def dequantize(self, q: Int8, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Float32:
        """See :meth:`Backend.dequantize`; correctly rounded, an infinity where float32 overflows."""
        require_array("q", q, np.int8, (None, None))
        k, n = q.shape
        require_parameter_shapes(scale, offset, k, n, group_size, narrow_gain)
        w = np.empty((n, k), np.float32)

        def explain() -> None:
            require_integers(q)
            require_parameters(scale, offset, k, n, group_size, narrow_gain)

        self._run(
            "q35_dequantize", (_by_column(q), *_grouping(k, n, group_size, narrow_gain, scale, offset), w), explain
        )
        return w.T

    def quantize_activations(self, x: Float32) -> tuple[Float32, Int8]:
        """See :meth:`Backend.quantize_activations`."""
        require_array("x", x, np.float32, (None, None))
        m, k = x.shape
        scale, a = np.empty(m, np.float32), np.empty((m, k), np.int8)
        arguments = (_for_c(x), m, k, scale, a)
        self._run("q35_quantize_activations", arguments, lambda: require_finite("x", x))
        return scale, a

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
    ) -> MatmulResult:
        """See :meth:`Backend.matmul`. Theorems: ``acc_fits_int32``, ``epilogue_error_le``.

        ``out`` is summed in float32, group after group: the same bits for any number of threads and of rows, and on
        any processor.
        """
        m, n = self._checked(a, packed, k, layout, group_size, narrow_gain, scale, offset)
        groups = len(scale)
        acc, row_sum = np.empty((m, n, groups), np.int32), np.empty((m, groups), np.int32)
        out = self._multiply(a, packed, k, layout, group_size, narrow_gain, scale, offset, acc, row_sum)
        return MatmulResult(acc, row_sum, out)

    def matmul_output(
        self,
        a: Int8,
        packed: UInt8,
        k: int,
        layout: Layout,
        group_size: int,
        narrow_gain: int,
        scale: Float32,
        offset: Float32,
    ) -> Float32:
        """Return the ``out`` of :meth:`matmul` alone, which spares the memory of the accumulators."""
        self._checked(a, packed, k, layout, group_size, narrow_gain, scale, offset)
        return self._multiply(a, packed, k, layout, group_size, narrow_gain, scale, offset, None, None)

    def _checked(
        self,
        a: Int8,
        packed: UInt8,
        k: int,
        layout: Layout,
        group_size: int,
        narrow_gain: int,
        scale: Float32,
        offset: Float32,
    ) -> tuple[int, int]:
        """Return M and N of a matmul whose shapes are as they should be."""
        n = _columns(packed, k, layout)
        require_array("a", a, np.int8, (None, k))
        require_parameter_shapes(scale, offset, k, n, group_size, narrow_gain)
        return len(a), n

    def _multiply(
        self,
        a: Int8,
        packed: UInt8,
        k: int,
        layout: Layout,
        group_size: int,
        narrow_gain: int,
        scale: Float32,
        offset: Float32,
        acc: NDArray[np.int32] | None,
        row_sum: NDArray[np.int32] | None,
    ) -> Float32:
        m, n = len(a), len(packed)
        out = np.empty((m, n), np.float32)

        def explain() -> None:
            require_packed(packed, k, layout)
            require_parameters(scale, offset, k, n, group_size, narrow_gain)

        self._run(
            "q35_matmul",
            (
                *(_for_c(a), _for_c(packed), m, k, n, LAYOUTS.index(layout)),
                *_grouping(k, n, group_size, narrow_gain, scale, offset)[2:],
                *(acc, row_sum, out),
            ),
            explain,
        )
        return out

    def _run(self, name: str, arguments: tuple[int | NDArray[Any] | None, ...], explain: Callable[[], None]) -> None:
        """Call the library; let ``explain`` raise for what it refused."""
        status = self.library.call(name, *arguments)
        if status == NO_MEMORY:
            raise MemoryError(f"{name}: not enough memory")
        if status:
            explain()
            raise ValueError(f"{name}: status {status}")


def _by_column(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return ``[K, N]`` as ``[N, K]`` in C order: itself, if it is the transpose of such an array."""
    return _for_c(matrix.T)


def _for_c(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in C order at an address that C allows for its type: itself, if it is so."""
    return np.require(array, requirements=("C", "A"))


def _columns(packed: UInt8, k: int, layout: Layout) -> int:
    """Return N of a packed array of the right dtype and width."""
    require_integer("k", k)
    require_array("packed", packed, np.uint8, (None, column_bytes(k, layout)))
    return len(packed)


def _grouping(
    k: int, n: int, group_size: int, narrow_gain: int, scale: Float32, offset: Float32
) -> tuple[int | NDArray[Any], ...]:
    """Return the ABI's arguments from ``k`` to ``offset``; a group size beyond int64 is as good as none."""
    parameters = (_for_c(scale), _for_c(offset))
    return (k, n, 0 if group_size > k else int(group_size), int(narrow_gain), *parameters)


__all__ = ["NativeBackend", "NativeUnavailable"]
