"""Kernels that apply gain, groups and parameters wrongly, or sum wrongly."""

import numpy as np

from tests.kernels.planted.arithmetic import Float32, Float64, Int8, Int64
from tests.kernels.planted.correct import Correct


class GainIgnored(Correct):
    """The narrow lane's gain is always 1."""

    def gain_of_rows(self, k: int, narrow_gain: int) -> Int64:
        """Return ones."""
        return np.ones(k, np.int64)


class GainOnWideLane(Correct):
    """The gain is applied to the wide lane in place of the narrow one."""

    def gain_of_rows(self, k: int, narrow_gain: int) -> Int64:
        """Take even rows for narrow ones."""
        return np.where(np.arange(k) % 2 == 0, narrow_gain, 1)


class RowSumMissing(Correct):
    """The offset is added once."""

    def combined(self, acc: Float64, row_sum: Float64, scale: Float64, offset: Float64) -> Float64:
        """Leave the sum of the activations out."""
        return scale * acc + offset


class RowSumOverWholeRow(Correct):
    """The sum of the activations is that of the whole row."""

    def accumulated(self, a: Int64, b: Int64, group: Int64, groups: int) -> tuple[Int64, Int64]:
        """Repeat the row's sum for each group."""
        acc, _ = super().accumulated(a, b, group, groups)
        return acc, np.repeat(a.sum(axis=1, keepdims=True), groups, axis=1)


class OffsetBeforeScale(Correct):
    """The offset is added before the scale is applied."""

    def combined(self, acc: Float64, row_sum: Float64, scale: Float64, offset: Float64) -> Float64:
        """Scale the sum of both."""
        return (acc + offset) * scale


class Int16Accumulators(Correct):
    """Sums wrap at 16 bits."""

    def accumulated(self, a: Int64, b: Int64, group: Int64, groups: int) -> tuple[Int64, Int64]:
        """Keep both sums in int16."""
        acc, row_sum = super().accumulated(a, b, group, groups)
        return acc.astype(np.int16).astype(np.int64), row_sum.astype(np.int16).astype(np.int64)


class Int24Accumulators(Correct):
    """Sums wrap at 24 bits."""

    def dot(self, a: Int64, b: Int64) -> Int64:
        """Keep the low 24 bits, sign-extended."""
        return ((a @ b & 0xFFFFFF) ^ 0x800000) - 0x800000


class SaturatingAccumulators(Correct):
    """Sums saturate at 16 bits, at each step."""

    def dot(self, a: Int64, b: Int64) -> Int64:
        """Add one row after the other, and clip."""
        total = np.zeros((a.shape[0], b.shape[1]), np.int64)
        for column, row in zip(a.T, b, strict=True):
            total = np.minimum(np.maximum(total + column[:, None] * row, -32768), 32767)
        return total


class Float32Accumulators(Correct):
    """Sums are formed in float32."""

    def dot(self, a: Int64, b: Int64) -> Int64:
        """Multiply float32 matrices."""
        return (a.astype(np.float32) @ b.astype(np.float32)).astype(np.int64)


class UnsignedActivations(Correct):
    """Activations are read as uint8."""

    def widened(self, a: Int8) -> Int64:
        """Widen without the sign."""
        return a.view(np.uint8).astype(np.int64)


class MinusOneTwentyEight(Correct):
    """The activation -128 is taken for -127."""

    def widened(self, a: Int8) -> Int64:
        """Clip to the symmetric range."""
        return np.clip(a, -127, 127).astype(np.int64)


class GroupBoundaryOffByOne(Correct):
    """A group's first row counts to the group before."""

    def group_of_rows(self, k: int, group_size: int) -> Int64:
        """Look rows up among the groups' first ones, from the wrong side."""
        starts = np.arange(0, k, group_size or k)
        return np.maximum(np.searchsorted(starts, np.arange(k), side="left") - 1, 0).astype(np.int64)


class ShortGroup(Correct):
    """A short last group gets the parameters of the one before, and takes no part in a product."""

    def parameters(self, scale: Float32, offset: Float32, k: int, group_size: int) -> tuple[Float64, Float64]:
        """Count the whole groups only."""
        whole = max(k // (group_size or k), 1)
        scales, offsets = super().parameters(scale, offset, k, group_size)
        if whole < len(scale):
            scales[whole * group_size :] = scale[whole - 1]
            offsets[whole * group_size :] = offset[whole - 1]
        return scales, offsets

    def accumulated(self, a: Int64, b: Int64, group: Int64, groups: int) -> tuple[Int64, Int64]:
        """Sum over the whole groups only."""
        acc, row_sum = super().accumulated(a, b, group, groups)
        if np.count_nonzero(group == groups - 1) < np.count_nonzero(group == 0):
            acc[:, :, -1], row_sum[:, -1] = 0, 0
        return acc, row_sum


class ScaleByRow(Correct):
    """The scale is indexed by the row in place of the column."""

    def parameters(self, scale: Float32, offset: Float32, k: int, group_size: int) -> tuple[Float64, Float64]:
        """Take a scale for each row of the weights, from the first again where there are no more."""
        scales, offsets = super().parameters(scale, offset, k, group_size)
        rows = np.arange(k)
        return np.broadcast_to(scales[rows, rows % scale.shape[1]][:, None], scales.shape), offsets

    def combined(self, acc: Float64, row_sum: Float64, scale: Float64, offset: Float64) -> Float64:
        """Take a scale for each row of the activations."""
        rows = np.arange(acc.shape[0]) % acc.shape[1]
        return super().combined(acc, row_sum, scale[0, rows][:, None], offset)


class ScaleOffsetExchanged(Correct):
    """Scale and offset are exchanged."""

    def parameters(self, scale: Float32, offset: Float32, k: int, group_size: int) -> tuple[Float64, Float64]:
        """Exchange them for each weight."""
        return super().parameters(offset, scale, k, group_size)

    def combined(self, acc: Float64, row_sum: Float64, scale: Float64, offset: Float64) -> Float64:
        """Exchange them in the output."""
        return super().combined(acc, row_sum, offset, scale)
