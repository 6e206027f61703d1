"""A correct kernel in small steps; each planted kernel replaces one of them."""

from fractions import Fraction

import numpy as np

from q35ref.backends import MatmulResult
from tests.kernels.planted.arithmetic import (
    Float32,
    Float64,
    Int8,
    Int64,
    UInt8,
    float32_of_sum,
    nearest_float32,
    quotient,
)

SMALLEST = np.float32(2.0**-149)
"""The smallest positive float32."""


def bits_of_codes(codes: UInt8) -> UInt8:
    """Return the stream bits of codes [N, pairs]: seven a code, the least significant one first."""
    return np.unpackbits(codes[..., None], axis=2, bitorder="little")[..., :7].reshape(codes.shape[0], -1)


class Correct:
    """Every operation of the format, right."""

    correctly_rounded = True

    @property
    def name(self) -> str:
        """What the kernel is called in reports."""
        return type(self).__name__

    # Codes

    def encode(self, wide: Int64, narrow: Int64) -> UInt8:
        """Return the codes of wide and narrow integers."""
        return ((wide & 15) << 3 | narrow & 7).astype(np.uint8)

    def decode(self, codes: UInt8) -> tuple[Int64, Int64]:
        """Return the wide and the narrow integers of codes."""
        wide, narrow = codes.astype(np.int64) >> 3 & 15, codes.astype(np.int64) & 7
        return self.extend_wide(wide), self.extend_narrow(narrow)

    def extend_wide(self, field: Int64) -> Int64:
        """Return the signed integer of a 4-bit field."""
        return np.where(field >= 8, field - 16, field)

    def extend_narrow(self, field: Int64) -> Int64:
        """Return the signed integer of a 3-bit field."""
        return np.where(field >= 4, field - 8, field)

    def to_stream(self, codes: UInt8) -> UInt8:
        """Return the dense bytes [N, column_bytes] of codes [N, pairs]."""
        return np.packbits(bits_of_codes(codes), axis=1, bitorder="little")

    def from_stream(self, packed: UInt8, pairs: int) -> UInt8:
        """Return the codes [N, pairs] of dense bytes [N, column_bytes]."""
        bits = np.unpackbits(packed, axis=1, count=7 * pairs, bitorder="little")
        return np.packbits(bits.reshape(-1, pairs, 7), axis=2, bitorder="little")[..., 0]

    def columns(self, q: Int64) -> Int64:
        """Return integers [K, N] as columns [N, K]."""
        return q.T

    def rows(self, columns: Int64) -> Int64:
        """Return columns [N, K] as integers [K, N]."""
        return columns.T

    def pack(self, q: Int8, layout: str) -> UInt8:
        """Pack integers [K, N]."""
        columns = self.columns(q.astype(np.int64))
        even = np.zeros((columns.shape[0], (columns.shape[1] + 1) // 2 * 2), np.int64)
        even[:, : columns.shape[1]] = columns
        codes = self.encode(even[:, 0::2], even[:, 1::2])
        return codes if layout == "byte" else self.to_stream(codes)

    def unpacked(self, packed: UInt8, k: int, layout: str) -> Int64:
        """Return the integers [K, N] of packed weights: for unpack and matmul alike."""
        codes = packed if layout == "byte" else self.from_stream(packed, (k + 1) // 2)
        columns = np.stack(self.decode(codes), axis=2).reshape(packed.shape[0], -1)[:, :k]
        return self.rows(columns)

    def unpack(self, packed: UInt8, k: int, layout: str) -> Int8:
        """Unpack integers [K, N]."""
        return np.ascontiguousarray(self.unpacked(packed, k, layout), dtype=np.int8)

    # Groups, parameters and gain

    def group_of_rows(self, k: int, group_size: int) -> Int64:
        """Return the group of each row."""
        return np.arange(k) // (group_size or k)

    def gain_of_rows(self, k: int, narrow_gain: int) -> Int64:
        """Return the gain of each row."""
        return np.where(np.arange(k) % 2 == 1, narrow_gain, 1)

    def parameters(self, scale: Float32, offset: Float32, k: int, group_size: int) -> tuple[Float64, Float64]:
        """Return scale and offset of each weight, [K, N]."""
        group = self.group_of_rows(k, group_size)
        return scale[group].astype(np.float64), offset[group].astype(np.float64)

    def calibrate(self, w: Float32, group_size: int, method: str) -> tuple[Float32, Float32]:
        """Return scale and offset [G, N] of weights [K, N]."""
        starts = range(0, w.shape[0], group_size or w.shape[0])
        scale = np.ones((len(starts), w.shape[1]), np.float32)
        offset = np.zeros_like(scale)
        for g, start in enumerate(starts):
            for j, column in enumerate(w[start : start + (group_size or w.shape[0])].T):
                low, high = column.min(), column.max()
                if method == "symmetric":
                    span, steps = Fraction(float(max(abs(low), abs(high)))), 7
                else:
                    span, steps = Fraction(float(high)) - Fraction(float(low)), 15
                if span:
                    scale[g, j] = nearest_float32(span / steps) or SMALLEST
                if method == "minmax":
                    sum_ = Fraction(float(low)) + 8 * Fraction(float(scale[g, j]))
                    offset[g, j] = nearest_float32(sum_) if span else low
        return scale, offset

    # Rounding

    def rounded(self, y: Float64) -> Float64:
        """Return quotients rounded to integers."""
        return np.rint(y)

    def divided(self, w: Float32, scale: Float64, offset: Float64, gain: Int64) -> Float64:
        """Return (w - offset) / (scale * gain) for each weight [K, N]; gain is [K, 1]."""
        return quotient(w.astype(np.float64), offset, scale * gain)

    def clamped(self, y: Float64) -> Int8:
        """Return integers [K, N] cut to their lanes."""
        wide = (np.arange(y.shape[0]) % 2 == 0)[:, None]
        return np.clip(y, np.where(wide, -8, -4), np.where(wide, 7, 3)).astype(np.int8)

    def acceptable(self, w: Float32) -> bool:
        """Say whether weights may be quantized."""
        return bool(np.isfinite(w).all())

    def quantize(self, w: Float32, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Int8:
        """Quantize weights [K, N]."""
        if not self.acceptable(w):
            raise ValueError("w: expected finite weights")
        scales, offsets = self.parameters(scale, offset, w.shape[0], group_size)
        gain = self.gain_of_rows(w.shape[0], narrow_gain)[:, None]
        with np.errstate(all="ignore"):
            return self.clamped(self.rounded(self.divided(w, scales, offsets, gain)))

    def dequantize(self, q: Int8, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Float32:
        """Restore weights [K, N]."""
        scales, offsets = self.parameters(scale, offset, q.shape[0], group_size)
        gain = self.gain_of_rows(q.shape[0], narrow_gain)[:, None]
        return float32_of_sum(scales * (gain * q.astype(np.int64)), offsets)

    def quantize_activations(self, x: Float32) -> tuple[Float32, Int8]:
        """Return a scale a row and integers [M, K] for activations [M, K]."""
        if not np.isfinite(x).all():
            raise ValueError("x: expected finite activations")
        scale = np.ones(x.shape[0], np.float32)
        for i, peak in enumerate(np.abs(x).max(axis=1)):
            if peak:
                scale[i] = nearest_float32(Fraction(float(peak)) / 127) or SMALLEST
        y = quotient(x.astype(np.float64), np.float64(0) * x, scale[:, None].astype(np.float64))
        return scale, np.clip(np.rint(y), -127, 127).astype(np.int8)

    # Product

    def widened(self, a: Int8) -> Int64:
        """Return activations [M, K] as wide integers."""
        return a.astype(np.int64)

    def dot(self, a: Int64, b: Int64) -> Int64:
        """Return the product of activations [M, rows] and integers [rows, N] of one group."""
        return a @ b

    def accumulated(self, a: Int64, b: Int64, group: Int64, groups: int) -> tuple[Int64, Int64]:
        """Return acc [M, N, G] and row_sum [M, G] of activations and integers times gain."""
        acc = np.zeros((a.shape[0], b.shape[1], groups), np.int64)
        row_sum = np.zeros((a.shape[0], groups), np.int64)
        for g in range(groups):
            acc[:, :, g] = self.dot(a[:, group == g], b[group == g])
            row_sum[:, g] = a[:, group == g].sum(axis=1)
        return acc, row_sum

    def combined(self, acc: Float64, row_sum: Float64, scale: Float64, offset: Float64) -> Float64:
        """Return each group's part of the output [M, N, G]; row_sum is [M, 1, G], the parameters are [1, N, G]."""
        return scale * acc + offset * row_sum

    def matmul(
        self,
        a: Int8,
        packed: UInt8,
        k: int,
        layout: str,
        group_size: int,
        narrow_gain: int,
        scale: Float32,
        offset: Float32,
    ) -> MatmulResult:
        """Multiply activations [M, K] by packed weights."""
        b = self.unpacked(packed, k, layout) * self.gain_of_rows(k, narrow_gain)[:, None]
        group = self.group_of_rows(k, group_size)
        acc, row_sum = self.accumulated(self.widened(a), b, group, scale.shape[0])
        scales, offsets = scale.T[None].astype(np.float64), offset.T[None].astype(np.float64)
        parts = self.combined(acc.astype(np.float64), row_sum[:, None].astype(np.float64), scales, offsets)
        with np.errstate(over="ignore"):
            out = parts.sum(axis=2).astype(np.float32)
        return MatmulResult(acc.astype(np.int32), row_sum.astype(np.int32), out)
