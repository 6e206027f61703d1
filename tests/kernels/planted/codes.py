"""Kernels that read or write codes wrongly."""

import numpy as np

from tests.kernels.planted.arithmetic import Int8, Int64, UInt8
from tests.kernels.planted.correct import Correct, bits_of_codes


class LanesSwapped(Correct):
    """Wide and narrow fields are exchanged in the code."""

    def encode(self, wide: Int64, narrow: Int64) -> UInt8:
        """Put the wide field into the low bits."""
        return ((narrow & 7) << 4 | wide & 15).astype(np.uint8)

    def decode(self, codes: UInt8) -> tuple[Int64, Int64]:
        """Take the wide field from the low bits."""
        fields = codes.astype(np.int64)
        return self.extend_wide(fields & 15), self.extend_narrow(fields >> 4 & 7)


class FieldShift(Correct):
    """The fields are taken for two nibbles."""

    def encode(self, wide: Int64, narrow: Int64) -> UInt8:
        """Shift by 4 and mask with 15."""
        return ((wide & 15) << 4 | narrow & 15).astype(np.uint8)

    def decode(self, codes: UInt8) -> tuple[Int64, Int64]:
        """Shift by 4 and mask with 15, sign bit 3 in both."""
        fields = codes.astype(np.int64)
        return self.extend_wide(fields >> 4 & 15), self.extend_wide(fields & 15)


class WideSignMissing(Correct):
    """The wide field is read as unsigned."""

    def extend_wide(self, field: Int64) -> Int64:
        """Leave the field as it is."""
        return field


class NarrowSignMissing(Correct):
    """The narrow field is read as unsigned."""

    def extend_narrow(self, field: Int64) -> Int64:
        """Leave the field as it is."""
        return field


class WideSignThreshold(Correct):
    """The wide field's -8 is read as 8."""

    def extend_wide(self, field: Int64) -> Int64:
        """Take values above 8 for negative."""
        return np.where(field > 8, field - 16, field)


class NarrowSignThreshold(Correct):
    """The narrow field's 3 is read as -5."""

    def extend_narrow(self, field: Int64) -> Int64:
        """Take values from 3 on for negative."""
        return np.where(field >= 3, field - 8, field)


class OnesComplement(Correct):
    """Negative integers are written and read as one's complement."""

    def encode(self, wide: Int64, narrow: Int64) -> UInt8:
        """Write the complement of the absolute value."""
        return super().encode(np.where(wide < 0, ~-wide, wide), np.where(narrow < 0, ~-narrow, narrow))

    def extend_wide(self, field: Int64) -> Int64:
        """Negate the complement."""
        return np.where(field & 8, -(~field & 15), field)

    def extend_narrow(self, field: Int64) -> Int64:
        """Negate the complement."""
        return np.where(field & 4, -(~field & 7), field)


class BigEndianCodes(Correct):
    """Codes lie in the dense stream most significant bit first."""

    def to_stream(self, codes: UInt8) -> UInt8:
        """Leave the bit order at its default."""
        bits = np.unpackbits(codes[..., None], axis=2)[..., 1:]
        return np.packbits(bits.reshape(codes.shape[0], -1), axis=1)

    def from_stream(self, packed: UInt8, pairs: int) -> UInt8:
        """Leave the bit order at its default."""
        bits = np.unpackbits(packed, axis=1, count=7 * pairs).reshape(-1, pairs, 7)
        return np.packbits(bits, axis=2)[..., 0] >> np.uint8(1)


def reversed_blocks(packed: UInt8) -> UInt8:
    """Return dense columns with each block of 7 bytes, and the rest, in reverse order."""
    size = packed.shape[1]
    return np.concatenate([packed[:, start : min(start + 7, size)][:, ::-1] for start in range(0, size, 7)], axis=1)


class BytesReversed(Correct):
    """The 7 bytes of each dense block are in reverse order."""

    def to_stream(self, codes: UInt8) -> UInt8:
        """Write each block most significant byte first."""
        return reversed_blocks(super().to_stream(codes))

    def from_stream(self, packed: UInt8, pairs: int) -> UInt8:
        """Read each block most significant byte first."""
        return super().from_stream(reversed_blocks(packed), pairs)


class PaddingBitsSet(Correct):
    """The padding bits of a dense column are left set."""

    def to_stream(self, codes: UInt8) -> UInt8:
        """Write into bits that are all ones."""
        bits = np.ones((codes.shape[0], -(-7 * codes.shape[1] // 8) * 8), np.uint8)
        bits[:, : 7 * codes.shape[1]] = bits_of_codes(codes)
        return np.packbits(bits, axis=1, bitorder="little")


class OddTail(Correct):
    """The last row of an odd K is dropped."""

    def pack(self, q: Int8, layout: str) -> UInt8:
        """Write the whole pairs only."""
        whole = np.zeros_like(q)
        whole[: len(q) // 2 * 2] = q[: len(q) // 2 * 2]
        return super().pack(whole, layout)

    def unpacked(self, packed: UInt8, k: int, layout: str) -> Int64:
        """Read the whole pairs only."""
        q = np.zeros((k, packed.shape[0]), np.int64)
        q[: k // 2 * 2] = super().unpacked(packed, k, layout)[: k // 2 * 2]
        return q


class BlockTail(Correct):
    """Rows after the last whole block of 16 are dropped."""

    def pack(self, q: Int8, layout: str) -> UInt8:
        """Write the whole blocks only."""
        whole = np.zeros_like(q)
        whole[: len(q) // 16 * 16] = q[: len(q) // 16 * 16]
        return super().pack(whole, layout)

    def unpacked(self, packed: UInt8, k: int, layout: str) -> Int64:
        """Read the whole blocks only."""
        q = np.zeros((k, packed.shape[0]), np.int64)
        q[: k // 16 * 16] = super().unpacked(packed, k, layout)[: k // 16 * 16]
        return q

    def accumulated(self, a: Int64, b: Int64, group: Int64, groups: int) -> tuple[Int64, Int64]:
        """Sum over the whole blocks only."""
        whole = len(b) // 16 * 16
        return super().accumulated(a[:, :whole], b[:whole], group[:whole], groups)


class OrderSwapped(Correct):
    """Columns are read and written in the order of rows."""

    def columns(self, q: Int64) -> Int64:
        """Reshape where a transposition is due."""
        return q.reshape(q.shape[1], q.shape[0])

    def rows(self, columns: Int64) -> Int64:
        """Reshape where a transposition is due."""
        return np.ascontiguousarray(columns).reshape(columns.shape[1], columns.shape[0])
