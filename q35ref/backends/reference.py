"""The reference as a backend: arrays in, exact arithmetic on each element, arrays out. Slow by design."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from q35ref import reference
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
from q35ref.reference.lanes import Layout, check_layout, group_rows


def exact_values(values: NDArray[Any]) -> list[Fraction]:
    """Return the exact values of a one-dimensional float array."""
    return [Fraction(value) for value in values.tolist()]


def group_of_rows(k: int, group_size: int) -> list[int]:
    """Return the group index of each row."""
    return [g for g, rows in enumerate(group_rows(k, group_size)) for _ in rows]


class ReferenceBackend:
    """:mod:`q35ref.reference` behind :class:`q35ref.backends.protocol.Backend`."""

    name = "reference"
    correctly_rounded = True

    def pack(self, q: Int8, layout: Layout) -> UInt8:
        """See :func:`q35ref.reference.pack_column`."""
        check_layout(layout)
        require_integers(q)
        return np.array([list(reference.pack_column(column, layout)) for column in q.T.tolist()], np.uint8)

    def unpack(self, packed: UInt8, k: int, layout: Layout) -> Int8:
        """See :func:`q35ref.reference.unpack_column`."""
        require_packed(packed, k, layout)
        return np.array([reference.unpack_column(column, k, layout) for column in packed.tolist()], np.int8).T

    def calibrate(self, w: Float32, group_size: int, method: Method) -> tuple[Float32, Float32]:
        """See :func:`q35ref.reference.calibrate`."""
        require_calibration(method)
        require_integer("group_size", group_size)
        require_weights(w)
        require_finite("w", w)
        groups = group_rows(w.shape[0], group_size)
        scale = np.empty((len(groups), w.shape[1]), np.float32)
        offset = np.empty_like(scale)
        for j in range(w.shape[1]):
            for g, rows in enumerate(groups):
                found = reference.calibrate(exact_values(w[rows.start : rows.stop, j]), method)
                scale[g, j], offset[g, j] = (reference.to_float32(parameter) for parameter in found)
        return scale, offset

    def quantize(self, w: Float32, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Int8:
        """See :func:`q35ref.reference.quantize`."""
        require_weights(w)
        require_parameters(scale, offset, w.shape[0], w.shape[1], group_size, narrow_gain)
        require_finite("w", w)
        groups = group_of_rows(w.shape[0], group_size)
        q = np.empty(w.shape, np.int8)
        for j in range(w.shape[1]):
            scales, offsets = exact_values(scale[:, j]), exact_values(offset[:, j])
            for row, weight in enumerate(exact_values(w[:, j])):
                g = groups[row]
                q[row, j] = reference.quantize(weight, scales[g], offsets[g], row, narrow_gain)
        return q

    def dequantize(self, q: Int8, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Float32:
        """See :func:`q35ref.reference.rounded_dequantize`."""
        require_integers(q)
        require_parameters(scale, offset, q.shape[0], q.shape[1], group_size, narrow_gain)
        groups = group_of_rows(q.shape[0], group_size)
        w = np.empty(q.shape, np.float32)
        for j in range(q.shape[1]):
            scales, offsets = exact_values(scale[:, j]), exact_values(offset[:, j])
            restored: dict[tuple[int, int, int], float] = {}  # a group has no more than 24 values
            for row, integer in enumerate(q[:, j].tolist()):
                place = groups[row], row % 2, integer
                if place not in restored:
                    value = reference.dequantize(integer, scales[place[0]], offsets[place[0]], row, narrow_gain)
                    restored[place] = reference.to_float32(value)
                w[row, j] = restored[place]
        return w

    def quantize_activations(self, x: Float32) -> tuple[Float32, Int8]:
        """See :func:`q35ref.reference.quantize_activations`."""
        require_array("x", x, np.float32, (None, None))
        require_finite("x", x)
        rows = [reference.quantize_activations(exact_values(row)) for row in x]
        scale = np.array([reference.to_float32(found) for found, _ in rows], np.float32)
        return scale, np.array([values for _, values in rows], np.int8)

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
        """See :func:`q35ref.reference.matmul_entry`; ``out`` is RN32 of the exact output."""
        columns = self.unpack(packed, k, layout).T.tolist()
        require_array("a", a, np.int8, (None, k))
        require_parameters(scale, offset, k, len(packed), group_size, narrow_gain)
        groups = len(scale)
        acc = np.empty((len(a), len(columns), groups), np.int32)
        row_sum = np.empty((len(a), groups), np.int32)
        out = np.empty((len(a), len(columns)), np.float32)
        for j, column in enumerate(columns):
            scales, offsets = exact_values(scale[:, j]), exact_values(offset[:, j])
            for i, activations in enumerate(a.tolist()):
                entry = reference.matmul_entry(activations, column, group_size, narrow_gain, scales, offsets)
                acc[i, j], row_sum[i] = entry.acc, entry.row_sum
                out[i, j] = reference.to_float32(entry.exact)
        return MatmulResult(acc, row_sum, out)
