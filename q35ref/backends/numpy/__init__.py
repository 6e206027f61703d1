"""The vectorized twin of the reference: NumPy alone, whole arrays, the same integers and bits."""

import numpy as np

from q35ref.backends.numpy import activations, calibration, codec, matmul, quantizer
from q35ref.backends.protocol import Float32, Int8, MatmulResult, UInt8
from q35ref.backends.validate import (
    require_array,
    require_calibration,
    require_finite,
    require_integer,
    require_integers,
    require_packed,
    require_parameters,
    require_weights,
)
from q35ref.reference.calibration import Method
from q35ref.reference.lanes import Layout, check_layout


class NumpyBackend:
    """Every operation of :class:`q35ref.backends.protocol.Backend`; illegal input raises before any work."""

    name = "numpy"
    correctly_rounded = True

    def pack(self, q: Int8, layout: Layout) -> UInt8:
        """See :meth:`Backend.pack`. Theorem: ``unpackDense_packDense``."""
        check_layout(layout)
        require_integers(q)
        return codec.pack(q, layout)

    def unpack(self, packed: UInt8, k: int, layout: Layout) -> Int8:
        """See :meth:`Backend.unpack`. Refuses set padding bits and codes above 127."""
        require_packed(packed, k, layout)
        return codec.unpack(packed, k, layout)

    def calibrate(self, w: Float32, group_size: int, method: Method) -> tuple[Float32, Float32]:
        """See :meth:`Backend.calibrate`; bit-identical with the reference."""
        require_calibration(method)
        require_integer("group_size", group_size)
        require_weights(w)
        return calibration.calibrate(w, group_size, method)

    def quantize(self, w: Float32, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Int8:
        """See :meth:`Backend.quantize`; exact next to ties too. Theorem: ``quantize_nearest``."""
        require_weights(w)
        require_parameters(scale, offset, w.shape[0], w.shape[1], group_size, narrow_gain)
        return quantizer.quantize(w, scale, offset, group_size, narrow_gain)

    def dequantize(self, q: Int8, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Float32:
        """See :meth:`Backend.dequantize`; correctly rounded, an infinity where float32 overflows."""
        require_integers(q)
        require_parameters(scale, offset, q.shape[0], q.shape[1], group_size, narrow_gain)
        return quantizer.dequantize(q, scale, offset, group_size, narrow_gain)

    def quantize_activations(self, x: Float32) -> tuple[Float32, Int8]:
        """See :meth:`Backend.quantize_activations`."""
        require_array("x", x, np.float32, (None, None))
        require_finite("x", x)
        return activations.quantize_activations(x)

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
        """See :meth:`Backend.matmul`. Theorems: ``acc_fits_int32``, ``epilogue_error_le``."""
        require_packed(packed, k, layout)
        require_array("a", a, np.int8, (None, k))
        require_parameters(scale, offset, k, len(packed), group_size, narrow_gain)
        return matmul.matmul(a, codec.unpack(packed, k, layout), group_size, narrow_gain, scale, offset)

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
        """Return the ``out`` of :meth:`matmul`."""
        return np.asarray(self.matmul(a, packed, k, layout, group_size, narrow_gain, scale, offset).out)
