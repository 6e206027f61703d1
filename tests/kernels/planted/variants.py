"""The same bug classes once more, each in another natural way; ``CLASS_OF`` says of which class each kernel is."""

from fractions import Fraction

import numpy as np

from tests.kernels.planted.arithmetic import Float32, Float64, Int8, Int64, UInt8, nearest_float32
from tests.kernels.planted.correct import Correct


class FieldShiftThreeBits(Correct):
    """Fields are taken for two nibbles, the narrow one's sign for bit 2."""

    def encode(self, wide: Int64, narrow: Int64) -> UInt8:
        """Shift by 4."""
        return ((wide & 15) << 4 | narrow & 7).astype(np.uint8)

    def decode(self, codes: UInt8) -> tuple[Int64, Int64]:
        """Shift by 4 and mask with 15."""
        fields = codes.astype(np.int64)
        return self.extend_wide(fields >> 4 & 15), self.extend_narrow(fields & 15)


class WideSignThresholdLow(Correct):
    """The wide field's 7 is read as -9."""

    def extend_wide(self, field: Int64) -> Int64:
        """Take values from 7 on for negative."""
        return np.where(field >= 7, field - 16, field)


class NarrowSignThresholdHigh(Correct):
    """The narrow field's -4 is read as 4."""

    def extend_narrow(self, field: Int64) -> Int64:
        """Take values above 4 for negative."""
        return np.where(field > 4, field - 8, field)


class OnesComplementWritten(Correct):
    """Negative integers are written as one's complement, but read rightly."""

    def encode(self, wide: Int64, narrow: Int64) -> UInt8:
        """Write the complement of the absolute value."""
        return super().encode(np.where(wide < 0, ~-wide, wide), np.where(narrow < 0, ~-narrow, narrow))


class PaddingBitsSetByte(Correct):
    """Bit 7 of layout byte is left set."""

    def pack(self, q: Int8, layout: str) -> UInt8:
        """Set the bit that no code uses."""
        packed = super().pack(q, layout)
        return packed | np.uint8(128) if layout == "byte" else packed


class OddTailInNarrowField(Correct):
    """The last row of an odd K lies in the last narrow field."""

    def pack(self, q: Int8, layout: str) -> UInt8:
        """Pair the last row with a zero before it."""
        if len(q) % 2:
            q = np.insert(q, len(q) - 1, 0, axis=0)
        return super().pack(q, layout)

    def unpacked(self, packed: UInt8, k: int, layout: str) -> Int64:
        """Skip the field before the last."""
        q = super().unpacked(packed, k + k % 2, layout)
        return np.delete(q, -2, axis=0) if k % 2 else q


class ReciprocalMultiplyDouble(Correct):
    """The quotient is an exact difference times the reciprocal of the step, rounded to double."""

    def divided(self, w: Float32, scale: Float64, offset: Float64, gain: Int64) -> Float64:
        """Multiply by the reciprocal in double precision."""
        reciprocal = np.reciprocal(scale * gain)
        return np.multiply(w.astype(np.float64) - offset, reciprocal)


class AcceptsInfinity(Correct):
    """Infinite weights are quantized; a NaN is refused."""

    def acceptable(self, w: Float32) -> bool:
        """Look for a NaN only."""
        return not np.isnan(w).any()


class GainOnBothLanes(Correct):
    """The gain is applied to both lanes."""

    def gain_of_rows(self, k: int, narrow_gain: int) -> Int64:
        """Return the gain for each row."""
        return np.full(k, narrow_gain, np.int64)


class OffsetMissing(Correct):
    """The offset is not added at all."""

    def combined(self, acc: Float64, row_sum: Float64, scale: Float64, offset: Float64) -> Float64:
        """Scale the sum only."""
        return scale * acc


class RowSumOverWholeRowInOutput(Correct):
    """The row sums are right, but the output uses those of the whole row."""

    def combined(self, acc: Float64, row_sum: Float64, scale: Float64, offset: Float64) -> Float64:
        """Add the groups' sums before use."""
        total: Float64 = row_sum.sum(axis=2, keepdims=True)
        return scale * acc + offset * total


class Int16ProductsOnly(Correct):
    """Products are summed in 16 bits, row sums rightly."""

    def dot(self, a: Int64, b: Int64) -> Int64:
        """Multiply int16 matrices."""
        return (a.astype(np.int16) @ b.astype(np.int16)).astype(np.int64)


class MinusOneTwentyEightPositive(Correct):
    """The activation -128 is taken for +128."""

    def widened(self, a: Int8) -> Int64:
        """Multiply the sign by an unsigned absolute value, the sign lost at -128."""
        wide = a.astype(np.int64)
        return np.where(wide == -128, 128, wide)


class MinusOneTwentyEightZero(Correct):
    """The activation -128 is taken for 0."""

    def widened(self, a: Int8) -> Int64:
        """Treat -128 as a mark for nothing."""
        wide = a.astype(np.int64)
        return np.where(wide == -128, 0, wide)


class GroupBoundaryEarly(Correct):
    """A group's last row counts to the group after."""

    def group_of_rows(self, k: int, group_size: int) -> Int64:
        """Count rows from one."""
        size = group_size or k
        return np.minimum((np.arange(k) + 1) // size, -(-k // size) - 1)


class ShortGroupParameters(Correct):
    """In a product, a short last group gets the parameters of the one before; its sums are right."""

    whole = 0

    def group_of_rows(self, k: int, group_size: int) -> Int64:
        """Keep the number of whole groups."""
        self.whole = max(k // (group_size or k), 1)
        return super().group_of_rows(k, group_size)

    def combined(self, acc: Float64, row_sum: Float64, scale: Float64, offset: Float64) -> Float64:
        """Count the whole groups only."""
        groups = np.minimum(np.arange(acc.shape[2]), self.whole - 1)
        return super().combined(acc, row_sum, scale[:, :, groups], offset[:, :, groups])


class StaleIntegers(Correct):
    """Unpack ORs fields into the bytes that the last call of the same shape left."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, ...], Int8] = {}

    def unpack(self, packed: UInt8, k: int, layout: str) -> Int8:
        """Add to the array that is kept."""
        new = super().unpack(packed, k, layout)
        kept = self.kept.setdefault(new.shape, np.zeros_like(new))
        kept += new
        return kept


class ActivationsModified(Correct):
    """Activations are divided in place."""

    def quantize_activations(self, x: Float32) -> tuple[Float32, Int8]:
        """Leave the quotients in the input."""
        result = super().quantize_activations(x)
        with np.errstate(all="ignore"):
            x /= result[0][:, None]
        return result


class SymmetricByFifteen(Correct):
    """No class of the list: a symmetric scale is twice the absolute maximum by 15."""

    def calibrate(self, w: Float32, group_size: int, method: str) -> tuple[Float32, Float32]:
        """Use 7.5 for 7."""
        scale, offset = super().calibrate(w, group_size, method)
        if method == "symmetric":
            scale = np.array([[nearest_float32(Fraction(float(s)) * 14 / 15) for s in row] for row in scale])
        return scale, offset


CLASS_OF = {
    "FieldShiftThreeBits": "FieldShift",
    "WideSignThresholdLow": "WideSignThreshold",
    "NarrowSignThresholdHigh": "NarrowSignThreshold",
    "OnesComplementWritten": "OnesComplement",
    "PaddingBitsSetByte": "PaddingBitsSet",
    "OddTailInNarrowField": "OddTail",
    "ReciprocalMultiplyDouble": "ReciprocalMultiply",
    "AcceptsInfinity": "AcceptsNan",
    "GainOnBothLanes": "GainOnWideLane",
    "OffsetMissing": "RowSumMissing",
    "RowSumOverWholeRowInOutput": "RowSumOverWholeRow",
    "Int16ProductsOnly": "Int16Accumulators",
    "MinusOneTwentyEightPositive": "MinusOneTwentyEight",
    "MinusOneTwentyEightZero": "MinusOneTwentyEight",
    "GroupBoundaryEarly": "GroupBoundaryOffByOne",
    "ShortGroupParameters": "ShortGroup",
    "StaleIntegers": "StaleOutput",
    "ActivationsModified": "InputModified",
    "SymmetricByFifteen": "",
}
"""Name of each variant and its bug class, nothing for a bug of no class."""
