"""Bugs in the sums of a matmul, in its epilogue, and in groups and parameters wherever they are used."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from q35ref.backends.protocol import Float32, Int8, MatmulResult, UInt8
from q35ref.oracle.bugs.base import Bug
from q35ref.oracle.bugs.quantizers import GROUPED
from q35ref.reference.lanes import Layout, group_rows

MATMUL = ("matmul",)


class RowSumMissing(Bug):
    """The drafts' kernel: the offset is added once, or not at all, instead of times the sum of the activations."""

    operations = MATMUL
    effect = "the result is wrong by offset times the sum of the activations"

    def __init__(self, times: int = 1) -> None:
        self._times = times

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """Once, or not at all."""
        return [cls(), cls(0)]

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        return (scale * acc + self._times * offset).sum(axis=2)


class OffsetBeforeScale(Bug):
    """The drafts' epilogue: ``(acc + offset) * scale``."""

    operations = MATMUL
    effect = "the offset is scaled, and counted once instead of times the row sum"

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        return ((acc + offset) * scale).sum(axis=2)


class RowSumOverWholeRow(Bug):
    """Each group's offset is multiplied by the sum over the whole row of activations."""

    operations = MATMUL
    effect = "with more than one group the offsets count too often"

    def matmul(
        self, a: Int8, packed: UInt8, k: int, layout: Layout, group_size: int, narrow_gain: int, scale: Float32,
        offset: Float32,
    ) -> MatmulResult:  # fmt: skip
        result = super().matmul(a, packed, k, layout, group_size, narrow_gain, scale, offset)
        row_sum = np.repeat(a.sum(axis=1, dtype=np.int32)[:, None], len(scale), axis=1)
        return MatmulResult(result.acc, row_sum, result.out)

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        whole = np.broadcast_to(row_sum.sum(axis=1, keepdims=True), row_sum.shape)
        return super().epilogue(acc, whole, scale, offset)


class _Narrow(Bug):
    """Sums are kept in too few bits."""

    operations = MATMUL
    bits: ClassVar[int]

    def wrapped(self, total: Any) -> Any:
        """Return what is left of a sum."""
        kept = total % 2**self.bits
        return np.where(kept >= 2 ** (self.bits - 1), kept - 2**self.bits, kept)

    def total(self, a: Any, q: Any) -> Any:
        return self.wrapped(super().total(a, q))

    def row_total(self, a: Any) -> Any:
        return self.wrapped(super().row_total(a))


class Int16Accumulators(_Narrow):
    """Sums wrap at 16 bits."""

    bits = 16
    effect = "from 32 rows on, large sums come back with the wrong sign"


class Int24Accumulators(_Narrow):
    """Sums wrap at 24 bits."""

    bits = 24
    effect = "beyond 8192 rows, large sums come back with the wrong sign"


class SaturatingAccumulators(Bug):
    """Sums are kept in 16 bits and stop at their ends, row by row."""

    operations = MATMUL
    effect = "from 32 rows on, large sums are cut"

    def __init__(self, pairwise: bool = False) -> None:
        self._pairwise = pairwise

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """After each row, or after each pair of rows, as multiply-add instructions do."""
        return [cls(), cls(pairwise=True)]

    def total(self, a: Any, q: Any) -> Any:
        step = 2 if self._pairwise else 1
        sums = np.zeros((len(a), q.shape[1]), np.int64)
        for row in range(0, len(q), step):
            sums = np.clip(sums + a[:, row : row + step] @ q[row : row + step], -(2**15), 2**15 - 1)
        return sums


class Float32Accumulators(Bug):
    """Sums are kept in float32."""

    operations = MATMUL
    effect = "beyond 2**24 sums lose their last bits"

    def __init__(self, at_once: bool = False) -> None:
        self._at_once = at_once

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """Row by row, or in another order."""
        return [cls(), cls(at_once=True)]

    def total(self, a: Any, q: Any) -> Any:
        products = a[:, :, None] * q
        if self._at_once:
            return products.astype(np.float32).sum(axis=1, dtype=np.float32).astype(np.int64)
        return np.cumsum(products, axis=1, dtype=np.float32)[:, -1].astype(np.int64)


class UnsignedActivations(Bug):
    """Activations are read as uint8."""

    operations = MATMUL
    effect = "negative activations count as themselves plus 256"

    def activations(self, a: Any) -> Any:
        return a % 256


class MinusOneTwentyEight(Bug):
    """The activation -128 is taken for another."""

    operations = MATMUL
    effect = "the smallest activation counts as its neighbour, its opposite, or nothing"

    def __init__(self, taken: int = -127) -> None:
        self._taken = taken

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """For -127, 128, 127 or 0."""
        return [cls(taken) for taken in (-127, 128, 127, 0)]

    def activations(self, a: Any) -> Any:
        return np.where(a == -128, self._taken, a)


class GroupBoundaryOffByOne(Bug):
    """Groups begin a row too early or too late."""

    operations = GROUPED
    effect = "one row in each group takes its neighbour's scale and offset"

    def __init__(self, shift: int = -1) -> None:
        self._shift = shift

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """Too early, or too late."""
        return [cls(), cls(1)]

    def groups(self, k: int, group_size: int) -> list[range]:
        groups = group_rows(k, group_size)
        ends = [0, *(min(k, g.stop + self._shift) for g in groups[:-1]), k]
        return [range(start, stop) for start, stop in pairwise(ends)]


class ShortGroup(Bug):
    """A last group that is shorter than the others is left out, or done with the parameters of the one before."""

    operations = GROUPED
    effect = "the last rows of a matrix do not count, or count wrong"

    def __init__(self, dropped: bool = True, sums: bool = True) -> None:
        self._dropped, self._sums = dropped, sums

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """Left out, with its row sum or without; or done with other parameters."""
        return [cls(), cls(sums=False), cls(dropped=False)]

    def _is_short(self, groups: list[range]) -> bool:
        return len(groups[-1]) < len(groups[0])

    def by_row(self, parameter: Float32, k: int, group_size: int) -> Float32:
        rows = super().by_row(parameter, k, group_size).copy()
        last = group_rows(k, group_size)[-1]
        if self._is_short(group_rows(k, group_size)):
            rows[last.start :] = parameter[-2]
        return rows

    def matmul(
        self, a: Int8, packed: UInt8, k: int, layout: Layout, group_size: int, narrow_gain: int, scale: Float32,
        offset: Float32,
    ) -> MatmulResult:  # fmt: skip
        groups = group_rows(k, group_size)
        if not self._is_short(groups):
            return super().matmul(a, packed, k, layout, group_size, narrow_gain, scale, offset)
        if not self._dropped:
            scale, offset = (np.vstack([part[:-1], part[-2:-1]]) for part in (scale, offset))
            return super().matmul(a, packed, k, layout, group_size, narrow_gain, scale, offset)
        silent = a.copy()
        silent[:, groups[-1].start :] = 0
        result = super().matmul(silent, packed, k, layout, group_size, narrow_gain, scale, offset)
        if self._sums:
            return result
        row_sum = np.array(result.row_sum)
        row_sum[:, -1] = a[:, groups[-1].start :].sum(axis=1, dtype=np.int32)
        with np.errstate(all="ignore"):
            out = result.out + (offset[-1].astype(np.float64) * row_sum[:, -1:]).astype(np.float32)
        return MatmulResult(result.acc, row_sum, out)


class ScaleByRow(Bug):
    """The scale is indexed by the row, of weights or of activations, instead of by the column."""

    operations = GROUPED
    effect = "each weight is scaled by another column's scale"

    def __init__(self, offset_too: bool = False) -> None:
        self._offset_too = offset_too

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """The scale alone or the offset too."""
        return [cls(), cls(offset_too=True)]

    def quantize(self, w: Float32, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Int8:
        self._by_row = iter((True, self._offset_too))
        return super().quantize(w, scale, offset, group_size, narrow_gain)

    def dequantize(self, q: Int8, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Float32:
        self._by_row = iter((True, self._offset_too))
        return super().dequantize(q, scale, offset, group_size, narrow_gain)

    def by_row(self, parameter: Float32, k: int, group_size: int) -> Float32:
        rows = super().by_row(parameter, k, group_size)
        if not next(self._by_row):
            return rows
        index = np.arange(k) % parameter.shape[1]
        return np.broadcast_to(rows[np.arange(k), index][:, None], rows.shape)

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        index = np.arange(len(acc)) % len(scale)
        offsets = offset[index][:, None] if self._offset_too else offset
        return (scale[index][:, None] * acc + offsets * row_sum[:, None]).sum(axis=2)


class ScaleOffsetExchanged(Bug):
    """The scale is taken for the offset and the offset for the scale."""

    operations = GROUPED
    effect = "nothing is right but by chance"

    def exchanged(self, scale: Float32, offset: Float32) -> tuple[Float32, Float32]:
        return offset, scale

    def rounded(self, w: Any, scale: Any, offset: Any, gain: Any) -> Any:
        quotient = (w.astype(np.float64) - offset) / (scale.astype(np.float64) * gain)
        return np.where(np.isnan(quotient), 0, np.rint(quotient))


class FlushToZero(Bug):
    """Subnormal numbers are taken for zero, in the call or, where the setting is left on, in the caller's own."""

    operations = ("dequantize", "matmul")
    effect = "small scales count as none, and the caller's own arithmetic may be another afterwards"

    def flushed(self, numbers: Any) -> Any:
        """Return numbers without the subnormal ones."""
        return np.where(abs(numbers) < 2.0**-126, 0, numbers)

    def restored(self, steps: Any, offset: Any) -> Float32:
        rounded = super().restored(self.flushed(steps), self.flushed(offset))
        kept: Float32 = self.flushed(rounded).astype(np.float32)
        return kept

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        scale, offset = self.flushed(scale), self.flushed(offset)
        return self.flushed(super().epilogue(acc, row_sum, scale, offset))


class ColumnTailDropped(Bug):
    """Columns are done eight at a time, and what is left over after the last eight is not done."""

    operations = MATMUL
    effect = "the last columns of most matrices are zero"

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        out = super().epilogue(acc, row_sum, scale, offset)
        done = out.shape[1] // 8 * 8
        if done:
            out[:, done:] = 0
        return out


class ActivationTailDropped(Bug):
    """Rows of activations are done four at a time, and what is left over after the last four is not done."""

    operations = MATMUL
    effect = "the last tokens of a batch get zeros"

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        out = super().epilogue(acc, row_sum, scale, offset)
        done = len(out) // 4 * 4
        if done:
            out[done:] = 0
        return out


class LongGroupsUseTheFirst(Bug):
    """Groups of more than 48 rows all use the first one's parameters."""

    operations = MATMUL
    effect = "right in tests with small groups, wrong with groups of 64 or 128"

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        if self.longest > 48:
            scale, offset = (np.broadcast_to(part[:, :1], part.shape) for part in (scale, offset))
        return super().epilogue(acc, row_sum, scale, offset)

    def groups(self, k: int, group_size: int) -> list[range]:
        groups = super().groups(k, group_size)
        self.longest = len(groups[0])
        return groups
