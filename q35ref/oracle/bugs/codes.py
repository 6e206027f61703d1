"""Bugs between integers and bytes, which show wherever codes are written or read."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from q35ref.backends.protocol import Int8, UInt8
from q35ref.oracle.bugs.base import Bug
from q35ref.reference.codec import column_bytes
from q35ref.reference.lanes import Layout

ALL = ("pack", "unpack", "matmul")
READING = ("unpack", "matmul")


class LanesSwapped(Bug):
    """The narrow integer lies above the wide one in the code."""

    operations = ALL
    effect = "every weight takes its neighbour's place, wide ones lose a bit"

    def __init__(self, exchanged: bool = False) -> None:
        self._exchanged = exchanged

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """Fields of 3 and 4 bits, or the right fields of the wrong integers."""
        return [cls(), cls(exchanged=True)]

    def write(self, wide: Any, narrow: Any) -> Any:
        return super().write(narrow, wide) if self._exchanged else narrow % 8 * 16 + wide % 16

    def read(self, codes: Any) -> tuple[Any, Any]:
        if self._exchanged:
            wide, narrow = super().read(codes)
            return narrow, wide
        return self.extend_wide(codes & 15), self.extend_narrow(codes >> 4 & 7)


class FieldShift(Bug):
    """Fields are shifted by 4 and masked with 15, as for two nibbles, instead of by 3 and with 15 and 7."""

    operations = ALL
    effect = "wide integers lose a bit, narrow ones gain one of their neighbour's"

    def __init__(self, mask: int = 15, signed: int = 8) -> None:
        self._mask, self._signed = mask, signed

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """The narrow field with 4 bits and its sign in the fourth or third, or with 3."""
        return [cls(), cls(15, 4), cls(7, 4)]

    def write(self, wide: Any, narrow: Any) -> Any:
        return wide % 16 * 16 + (narrow & self._mask)

    def read(self, codes: Any) -> tuple[Any, Any]:
        narrow, sign = codes & self._mask, self._signed
        return self.extend_wide(codes >> 4 & 15), np.where(narrow >= sign, narrow - 2 * sign, narrow)


class WideSignMissing(Bug):
    """The wide field is read as an unsigned integer."""

    operations = READING
    effect = "negative wide weights become large positive ones"

    def extend_wide(self, field: Any) -> Any:
        return field


class NarrowSignMissing(Bug):
    """The narrow field is read as an unsigned integer."""

    operations = READING
    effect = "negative narrow weights become positive ones"

    def extend_narrow(self, field: Any) -> Any:
        return field


class _Threshold(Bug):
    """A field's sign is taken for set from another value on."""

    operations = READING
    effect = "integers near the end of the lane jump to its other end"

    def __init__(self, threshold: int = 0) -> None:
        self._threshold = threshold


class WideSignThreshold(_Threshold):
    """The wide field is negative from another value on than 8."""

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """Every threshold."""
        return [cls(threshold) for threshold in (9, 7, 4, *range(1, 4), 5, 6, *range(10, 16))]

    def extend_wide(self, field: Any) -> Any:
        return np.where(field >= self._threshold, field - 16, field)


class NarrowSignThreshold(_Threshold):
    """The narrow field is negative from another value on than 4."""

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """Every threshold."""
        return [cls(threshold) for threshold in (5, 3, 2, 1, 6, 7)]

    def extend_narrow(self, field: Any) -> Any:
        return np.where(field >= self._threshold, field - 8, field)


class OnesComplement(Bug):
    """Negative integers are written or read as one's complement."""

    operations = ALL
    effect = "every negative weight is one step off"

    def write(self, wide: Any, narrow: Any) -> Any:
        return super().write(wide - (wide < 0), narrow - (narrow < 0))

    def extend_wide(self, field: Any) -> Any:
        return np.where(field >= 8, field - 15, field)

    def extend_narrow(self, field: Any) -> Any:
        return np.where(field >= 4, field - 7, field)


class BigEndianCodes(Bug):
    """Codes lie in the dense stream most significant bit first."""

    operations = ALL
    effect = "every code but those of whole zero blocks is another"

    def to_stream(self, codes: Any) -> UInt8:
        bits = np.unpackbits(codes.astype(np.uint8)[:, :, None], axis=2)[:, :, 1:]
        return np.packbits(bits.reshape(len(codes), 7 * codes.shape[1]), axis=1)

    def from_stream(self, packed: UInt8, pairs: int) -> Any:
        bits = np.unpackbits(packed, axis=1)[:, : 7 * pairs].reshape(len(packed), pairs, 7)
        return bits.astype(np.int64) @ (1 << np.arange(6, -1, -1))


class BytesReversed(Bug):
    """The seven bytes of each dense block of 16 weights are in reverse order."""

    operations = ALL
    effect = "all codes but the middle ones are mixed up with others"

    def __init__(self, whole: bool = True) -> None:
        self._whole = whole

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """A last block that is short, left as it is or reversed too."""
        return [cls(), cls(whole=False)]

    def _reversed(self, packed: UInt8) -> UInt8:
        order = np.arange(packed.shape[1])
        for start in range(0, len(order) - 6 if self._whole else len(order), 7):
            order[start : start + 7] = order[start : start + 7][::-1].copy()
        return packed[:, order]

    def to_stream(self, codes: Any) -> UInt8:
        return self._reversed(super().to_stream(codes))

    def from_stream(self, packed: UInt8, pairs: int) -> Any:
        return super().from_stream(self._reversed(packed), pairs)


class PaddingBitsSet(Bug):
    """The bits after the last code of a column, or above a code in a byte, are ones."""

    operations = ("pack",)
    effect = "a strict reader refuses the file, and equal weights have unequal digests"

    def __init__(self, layouts: tuple[str, ...] = ("dense",)) -> None:
        self._layouts = layouts

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """In one layout, in the other, or in both."""
        return [cls(), cls(("byte",)), cls(("byte", "dense"))]

    def to_bytes(self, codes: Any, layout: Layout) -> UInt8:
        filled = super().to_bytes(codes, layout).copy()
        if layout not in self._layouts:
            return filled
        if layout == "byte":
            return filled | np.uint8(128)
        spare = 8 * filled.shape[1] - 7 * codes.shape[1]
        filled[:, -1] |= np.uint8(256 - 2 ** (8 - spare))
        return filled


class _Tail(Bug):
    """Rows at the end are left out."""

    operations = ALL

    def kept(self, k: int) -> int:
        """Return the number of rows that are done: all, unless a class says otherwise."""
        return k

    def pack(self, q: Int8, layout: Layout) -> UInt8:
        return super().pack(np.where(np.arange(len(q))[:, None] < self.kept(len(q)), q, 0).astype(np.int8), layout)

    def unpack(self, packed: UInt8, k: int, layout: Layout) -> Int8:
        q = super().unpack(packed, k, layout).copy()
        q[self.kept(k) :] = 0
        return q


class OddTail(_Tail):
    """The last row of an odd K is left out, or lies in the narrow field."""

    effect = "one row of weights is zero, or wrapped"

    def __init__(self, dropped: bool = True) -> None:
        self._dropped = dropped

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """The row is dropped; it is kept in the field of the other lane."""
        return [cls(), cls(dropped=False)]

    def kept(self, k: int) -> int:
        return k - k % 2 if self._dropped else k

    def pack(self, q: Int8, layout: Layout) -> UInt8:
        moved = len(q) % 2 and not self._dropped
        return super().pack(np.insert(q, len(q) - 1, 0, axis=0) if moved else q, layout)

    def unpack(self, packed: UInt8, k: int, layout: Layout) -> Int8:
        moved = k % 2 and not self._dropped
        return (
            np.delete(super().unpack(packed, k + 1, layout), -2, axis=0) if moved else super().unpack(packed, k, layout)
        )


class BlockTail(_Tail):
    """The rows after the last whole block of 16 are left out."""

    effect = "up to fifteen rows of weights are zero"

    def kept(self, k: int) -> int:
        return k - k % 16


class OrderSwapped(Bug):
    """A matrix is read or written in the order of rows where it lies in the order of columns."""

    operations = ALL
    effect = "weights are at each other's places unless there is one column or one row"

    def __init__(self, what: str = "bytes") -> None:
        self._what = what

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """The packed bytes; or the integers, columns taken for rows or rows for columns."""
        return [cls(), cls("columns"), cls("rows")]

    def pack(self, q: Int8, layout: Layout) -> UInt8:
        match self._what:
            case "columns":
                return super().pack(np.ascontiguousarray(q.T).reshape(q.shape), layout)
            case "rows":
                return super().pack(np.ascontiguousarray(q).reshape(q.shape[::-1]).T, layout)
            case _:
                packed = super().pack(q, layout)
                return np.ascontiguousarray(packed.T).reshape(packed.shape)

    def unpack(self, packed: UInt8, k: int, layout: Layout) -> Int8:
        match self._what:
            case "columns":
                q = super().unpack(packed, k, layout)
                return np.ascontiguousarray(q).reshape(q.shape[::-1]).T
            case "rows":
                q = super().unpack(packed, k, layout)
                return np.ascontiguousarray(q.T).reshape(q.shape)
            case _:
                columns = (column_bytes(k, layout), len(packed))
                return super().unpack(np.ascontiguousarray(packed.reshape(columns).T), k, layout)
