"""A kernel that is right, in small steps each of which a bug class does wrong."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from q35ref.backends.numpy import NumpyBackend
from q35ref.backends.numpy.float32 import round_sum
from q35ref.backends.protocol import Float32, Int8, MatmulResult, UInt8
from q35ref.reference.codec import pair_count
from q35ref.reference.lanes import NARROW, WIDE, Layout, group_rows

NEAR = 1e-6
"""Quotients this near to where rounding changes are rounded exactly."""


class Bug(NumpyBackend):
    """Every operation, right; a subclass does one step wrong, and its docstring says which."""

    operations: ClassVar[tuple[str, ...]] = ()
    """The operations in which it shows."""
    effect: ClassVar[str] = ""
    """What it does to somebody's numbers."""

    def __init_subclass__(cls) -> None:
        cls.name = cls.__name__

    @classmethod
    def variants(cls) -> Sequence["Bug"]:
        """Return the ways in which people make this mistake."""
        return [cls()]

    # ---- codes

    def write(self, wide: Any, narrow: Any) -> Any:
        """Return the code of each pair."""
        return wide % 16 * 8 + narrow % 8

    def read(self, codes: Any) -> tuple[Any, Any]:
        """Return the pair of each code."""
        return self.extend_wide(codes >> 3 & 15), self.extend_narrow(codes & 7)

    def extend_wide(self, field: Any) -> Any:
        """Return the integer of a wide field."""
        return np.where(field >= 8, field - 16, field)

    def extend_narrow(self, field: Any) -> Any:
        """Return the integer of a narrow field."""
        return np.where(field >= 4, field - 8, field)

    def to_stream(self, codes: Any) -> UInt8:
        """Return codes ``[N, pairs]`` as dense columns."""
        bits = np.unpackbits(codes.astype(np.uint8)[:, :, None], axis=2, bitorder="little")[:, :, :7]
        return np.packbits(bits.reshape(len(codes), 7 * codes.shape[1]), axis=1, bitorder="little")

    def from_stream(self, packed: UInt8, pairs: int) -> Any:
        """Return the codes of dense columns."""
        bits = np.unpackbits(packed, axis=1, bitorder="little")[:, : 7 * pairs].reshape(len(packed), pairs, 7)
        return np.packbits(bits, axis=2, bitorder="little").reshape(len(packed), pairs).astype(np.int64)

    def to_bytes(self, codes: Any, layout: Layout) -> UInt8:
        """Return codes as columns of a layout."""
        return codes.astype(np.uint8) if layout == "byte" else self.to_stream(codes)

    def from_bytes(self, packed: UInt8, pairs: int, layout: Layout) -> Any:
        """Return the codes of columns."""
        return packed.astype(np.int64) if layout == "byte" else self.from_stream(packed, pairs)

    def pack(self, q: Int8, layout: Layout) -> UInt8:
        padded = np.vstack([q, np.zeros((len(q) % 2, q.shape[1]), np.int8)]).astype(np.int64)
        return self.to_bytes(self.write(padded[0::2].T, padded[1::2].T), layout)

    def unpack(self, packed: UInt8, k: int, layout: Layout) -> Int8:
        wide, narrow = self.read(self.from_bytes(packed, pair_count(k), layout))
        integers: Int8 = (
            np.stack([wide, narrow], axis=2).reshape(len(packed), 2 * pair_count(k))[:, :k].T.astype(np.int8)
        )
        return integers

    # ---- lanes and groups

    def gains(self, k: int, narrow_gain: int) -> Any:
        """Return each row's gain, ``[K, 1]``."""
        return np.where(np.arange(k)[:, None] % 2, narrow_gain, 1)

    def groups(self, k: int, group_size: int) -> list[range]:
        """Return each group's rows."""
        return group_rows(k, group_size)

    def by_row(self, parameter: Float32, k: int, group_size: int) -> Float32:
        """Return a parameter ``[G, N]`` for each row, ``[K, N]``."""
        index = np.zeros(k, np.int64)
        for g, rows in enumerate(self.groups(k, group_size)):
            index[rows.start : rows.stop] = g
        return parameter[index]

    # ---- weights

    def quantize(self, w: Float32, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Int8:
        if not np.isfinite(w).all():
            raise ValueError("w: expected finite numbers")
        k = len(w)
        scales, offsets = (self.by_row(part, k, group_size) for part in self.exchanged(scale, offset))
        with np.errstate(all="ignore"):
            rounded = self.rounded(w, scales, offsets, np.broadcast_to(self.gains(k, narrow_gain), w.shape))
        q: Int8 = self.clamp(rounded, np.arange(k)[:, None] % 2).astype(np.int8)
        return q

    def exchanged(self, scale: Float32, offset: Float32) -> tuple[Float32, Float32]:
        """Return what is taken for the scale and for the offset."""
        return scale, offset

    def rounded(self, w: Any, scale: Any, offset: Any, gain: Any) -> Any:
        """Return each weight's integer before it is clamped."""
        quotient = (w.astype(np.float64) - offset) / (scale.astype(np.float64) * gain)
        found = self.round_many(quotient)
        doubled = 2 * quotient
        near = (abs(doubled - np.rint(doubled)) < NEAR) & (abs(quotient) < 64)
        for at in map(tuple, np.argwhere(near)):
            exact = (Fraction(float(w[at])) - Fraction(float(offset[at]))) / (
                Fraction(float(scale[at])) * int(gain[at])
            )
            found[at] = self.round(exact)
        return found

    def round_many(self, quotient: Any) -> Any:
        """Round quotients that are not near where rounding changes."""
        return np.rint(quotient)

    def round(self, quotient: Fraction) -> int:
        """Round an exact quotient."""
        return round(quotient)

    def clamp(self, rounded: Any, odd: Any) -> Any:
        """Bring integers into their lanes."""
        return np.clip(rounded, np.where(odd, NARROW[0], WIDE[0]), np.where(odd, NARROW[1], WIDE[1]))

    def dequantize(self, q: Int8, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Float32:
        k = len(q)
        scales, offsets = (self.by_row(part, k, group_size) for part in self.exchanged(scale, offset))
        with np.errstate(all="ignore"):
            steps = q * self.gains(k, narrow_gain) * scales.astype(np.float64)
            return self.restored(steps, offsets.astype(np.float64))

    def restored(self, steps: Any, offset: Any) -> Float32:
        """Return the sums as float32."""
        return round_sum(steps, offset)

    # ---- matmul

    def activations(self, a: Any) -> Any:
        """Return the activations as they are read."""
        return a

    def total(self, a: Any, q: Any) -> Any:
        """Return a group's sums ``[M, N]`` of activations ``[M, rows]`` times integers ``[rows, N]``."""
        return a @ q

    def row_total(self, a: Any) -> Any:
        """Return the sums of a group's activations ``[M, rows]``."""
        return a.sum(axis=1)

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        """Return outputs from sums ``[M, N, G]``, ``[M, G]`` and parameters ``[N, G]``, all in double."""
        return (scale * acc + offset * row_sum[:, None]).sum(axis=2)

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
        q = self.unpack(packed, k, layout).astype(np.int64) * self.gains(k, narrow_gain)
        read = self.activations(a.astype(np.int64))
        groups = self.groups(k, group_size)
        parts = [(read[:, rows.start : rows.stop], q[rows.start : rows.stop]) for rows in groups]
        acc = np.stack([self.total(*part) for part in parts], axis=2)
        row_sum = np.stack([self.row_total(part) for part, _ in parts], axis=1)
        scales, offsets = (part.T.astype(np.float64) for part in self.exchanged(scale, offset))
        with np.errstate(all="ignore"):
            out = self.epilogue(acc.astype(np.float64), row_sum.astype(np.float64), scales, offsets)
            return MatmulResult(acc.astype(np.int32), row_sum.astype(np.int32), out.astype(np.float32))


def half_up(quotient: Fraction) -> int:
    """Return ``floor(quotient + 1/2)``."""
    return math.floor(quotient + Fraction(1, 2))


__all__ = ["Bug", "half_up"]
