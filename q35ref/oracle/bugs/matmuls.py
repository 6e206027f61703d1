"""Bugs in the sums of a matmul and in its epilogue."""

from itertools import pairwise
from typing import Any

import numpy as np

from q35ref.backends.numpy import codec
from q35ref.backends.protocol import Float32, Int8, MatmulResult, UInt8
from q35ref.oracle.bugs.base import Bug
from q35ref.reference.lanes import Layout, group_rows


class _Matmul(Bug):
    """A matmul with sums or an epilogue of its own."""

    operation = "matmul"

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
        q = codec.unpack(packed, k, layout).astype(np.int64)
        products = self.products(a.astype(np.int64), q, narrow_gain)
        groups = self.groups(k, group_size)
        acc = np.stack([self.total(products[:, g.start : g.stop]) for g in groups], axis=2)
        row_sum = np.stack([a[:, g.start : g.stop].sum(axis=1, dtype=np.int64) for g in groups], axis=1)
        with np.errstate(over="ignore"):
            out = self.epilogue(acc.astype(np.float64), row_sum.astype(np.float64), scale.T, offset.T)
            return MatmulResult(acc.astype(np.int32), row_sum.astype(np.int32), out.astype(np.float32))

    def groups(self, k: int, group_size: int) -> list[range]:
        return group_rows(k, group_size)

    def products(self, a: Any, q: Any, narrow_gain: int) -> Any:
        gains = np.where(np.arange(len(q)) % 2, narrow_gain, 1)
        return a[:, :, None] * (q * gains[:, None])

    def total(self, products: Any) -> Any:
        return products.sum(axis=1)

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        return (scale * acc + offset.astype(np.float64) * row_sum[:, None]).sum(axis=2)


class RowSumMissing(_Matmul):
    """The drafts' kernel: the offset is added once instead of times the row sum of the activations."""

    effect = "the result is wrong by offset times the sum of the activations"

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        return (scale * acc + offset).sum(axis=2)


class OffsetBeforeScale(_Matmul):
    """The drafts' epilogue: ``(acc + offset) * scale``."""

    effect = "the offset is scaled, and counted once instead of times the row sum"

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        return ((acc + offset) * scale.astype(np.float64)).sum(axis=2)


class RowSumOverWholeRow(_Matmul):
    """Each group's offset is multiplied by the sum over the whole row of activations."""

    effect = "with more than one group the offsets count too often"

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        whole = np.broadcast_to(row_sum.sum(axis=1, keepdims=True), row_sum.shape)
        return super().epilogue(acc, whole, scale, offset)


class MatmulIgnoresGain(_Matmul):
    """The narrow lane is multiplied with gain 1 whatever ``narrow_gain`` says."""

    effect = "with gain 2 the narrow lane counts half"

    def products(self, a: Any, q: Any, narrow_gain: int) -> Any:
        return super().products(a, q, 1)


class GainOnWideLane(_Matmul):
    """The gain is applied to the wide lane."""

    effect = "with gain 2 the wide lane counts double and the narrow one half"

    def products(self, a: Any, q: Any, narrow_gain: int) -> Any:
        gains = np.where(np.arange(len(q)) % 2, 1, narrow_gain)
        return a[:, :, None] * (q * gains[:, None])


class UnsignedActivations(_Matmul):
    """Activations are read as uint8."""

    effect = "negative activations count as themselves plus 256"

    def products(self, a: Any, q: Any, narrow_gain: int) -> Any:
        return super().products(a % 256, q, narrow_gain)


class Int16Accumulators(_Matmul):
    """Sums wrap at 16 bits."""

    effect = "from 32 rows on, large sums come back with the wrong sign"

    def total(self, products: Any) -> Any:
        return (products.sum(axis=1) + 2**15) % 2**16 - 2**15


class Float32Accumulators(_Matmul):
    """Sums are kept in float32, row by row."""

    effect = "beyond 2**24 sums lose their last bits"

    def total(self, products: Any) -> Any:
        return np.cumsum(products, axis=1, dtype=np.float32)[:, -1].astype(np.int64)


class GroupBoundaryOffByOne(_Matmul):
    """Each group's last row is counted with the next group."""

    effect = "one row in each group takes its neighbour's scale and offset"

    def groups(self, k: int, group_size: int) -> list[range]:
        groups = group_rows(k, group_size)
        ends = [0, *(g.stop - 1 for g in groups[:-1]), k]
        return [range(start, stop) for start, stop in pairwise(ends)]


class ShortGroupDropped(_Matmul):
    """A last group that is shorter than the others is left out."""

    effect = "the last rows of a matrix do not count"

    def groups(self, k: int, group_size: int) -> list[range]:
        groups = group_rows(k, group_size)
        if len(groups[-1]) < len(groups[0]):
            groups[-1] = range(k, k)
        return groups


class ColumnTailDropped(_Matmul):
    """Columns are done eight at a time, and what is left over after the last eight is not done."""

    effect = "the last columns of most matrices are zero"

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        out = super().epilogue(acc, row_sum, scale, offset)
        if out.shape[1] > 8:
            out[:, out.shape[1] // 8 * 8 :] = 0
        return out


class ActivationTailDropped(_Matmul):
    """Rows of activations are done four at a time, and what is left over after the last four is not done."""

    effect = "the last tokens of a batch get zeros"

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        out = super().epilogue(acc, row_sum, scale, offset)
        if len(out) > 4:
            out[len(out) // 4 * 4 :] = 0
        return out


class LongGroupsUseTheFirst(_Matmul):
    """Groups of more than 48 rows all use the first one's parameters."""

    effect = "right in tests with small groups, wrong with groups of 64 or 128"

    def epilogue(self, acc: Any, row_sum: Any, scale: Any, offset: Any) -> Any:
        if self.longest > 48:
            scale, offset = (np.broadcast_to(part[:, :1], part.shape) for part in (scale, offset))
        return super().epilogue(acc, row_sum, scale, offset)

    def groups(self, k: int, group_size: int) -> list[range]:
        groups = super().groups(k, group_size)
        self.longest = len(groups[0])
        return groups
