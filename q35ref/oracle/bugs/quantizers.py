"""Bugs between weights and integers, and between parameters and weights."""

import math
from fractions import Fraction
from typing import Any

import numpy as np

from q35ref.backends.numpy.calibration import minmax, ranges
from q35ref.backends.protocol import Float32, Int8
from q35ref.oracle.bugs.base import Bug, by_row, lanes, lengths
from q35ref.reference.calibration import Method
from q35ref.reference.lanes import lane_gain, lane_interval


class _Quantizer(Bug):
    """A quantizer in exact arithmetic that rounds, clamps or scales in a way of its own."""

    operation = "quantize"

    def quantize(self, w: Float32, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Int8:
        if not np.isfinite(w).all():
            raise ValueError("w: expected finite numbers")
        scales, offsets = (np.repeat(p, lengths(len(w), group_size), axis=0) for p in (scale, offset))
        q = np.empty(w.shape, np.int8)
        for row, column in np.ndindex(w.shape):
            at = (row, column)
            quotient = self.quotient(w[at], scales[at], offsets[at], self.gain(row, narrow_gain))
            q[at] = self.clamp(self.round(quotient), row)
        return q

    def gain(self, row: int, narrow_gain: int) -> int:
        return lane_gain(row, narrow_gain)

    def quotient(self, w: Any, scale: Any, offset: Any, gain: int) -> Fraction:
        return (Fraction(float(w)) - Fraction(float(offset))) / (Fraction(float(scale)) * gain)

    def round(self, quotient: Fraction) -> int:
        return round(quotient)

    def clamp(self, rounded: int, row: int) -> int:
        low, high = lane_interval(row)
        return max(low, min(rounded, high))


class NarrowCodesWrap(_Quantizer):
    """The drafts' converter: 4-bit integers in both lanes, the narrow one cut to three bits, so that it wraps."""

    effect = "every narrow weight outside [-4, 3] steps lands on the other side of its lane"

    def clamp(self, rounded: int, row: int) -> int:
        q = max(-8, min(rounded, 7))
        return (q + 4) % 8 - 4 if row % 2 else q


class RoundsHalfAway(_Quantizer):
    """Ties are rounded away from zero, as C's ``round`` does."""

    effect = "weights half-way between two values are off by one, with a bias away from zero"

    def round(self, quotient: Fraction) -> int:
        magnitude = math.floor(abs(quotient) + Fraction(1, 2))
        return magnitude if quotient > 0 else -magnitude


class RoundsHalfUp(_Quantizer):
    """Ties are rounded up: ``floor(x + 0.5)``."""

    effect = "weights half-way between two values are biased upwards"

    def round(self, quotient: Fraction) -> int:
        return math.floor(quotient + Fraction(1, 2))


class Truncates(_Quantizer):
    """The quotient is cut towards zero, as a cast does, instead of rounded."""

    effect = "errors up to a whole step, biased towards the offset"

    def round(self, quotient: Fraction) -> int:
        return math.trunc(quotient)


class QuantizesInDouble(_Quantizer):
    """The quotient is evaluated in double, not as if exact."""

    effect = "near-ties go wrong: w = 0.5, offset = -2**-60, scale = 1 gives 0 instead of 1"

    def quotient(self, w: Any, scale: Any, offset: Any, gain: int) -> Fraction:
        return Fraction((float(w) - float(offset)) / (float(scale) * gain))


class QuantizesInFloat32(_Quantizer):
    """The quotient is evaluated in float32."""

    effect = "weights near a half-way point go wrong, many where the offset is large"

    def quotient(self, w: Any, scale: Any, offset: Any, gain: int) -> Fraction:
        with np.errstate(all="ignore"):
            found = float((w - offset) / (scale * np.float32(gain)))
        return Fraction(max(-1e9, min(found, 1e9)))


class QuantizerIgnoresGain(_Quantizer):
    """The narrow lane is quantized with gain 1 whatever ``narrow_gain`` says."""

    effect = "with gain 2 narrow weights come back twice as large, or clamped"

    def gain(self, row: int, narrow_gain: int) -> int:
        return 1


class AcceptsNan(Bug):
    """Weights that are not finite are quantized to something instead of refused."""

    operation = "quantize"
    effect = "a broken checkpoint is silently turned into plausible weights"

    def quantize(self, w: Float32, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Int8:
        return super().quantize(np.nan_to_num(w), scale, offset, group_size, narrow_gain)


class OffsetFromUnroundedScale(Bug):
    """The min-max offset is computed from the scale before it is rounded to float32."""

    operation = "calibrate"
    effect = "files differ in the last bit of their offsets"

    def calibrate(self, w: Float32, group_size: int, method: Method) -> tuple[Float32, Float32]:
        scale, offset = super().calibrate(w, group_size, method)
        if method != "minmax":
            return scale, offset
        low, high = ranges(w, group_size)
        with np.errstate(all="ignore"):
            unrounded = (low + 8 * ((high - low) / 15)).astype(np.float32)
        return scale, np.where(low == high, minmax(low, high)[1], unrounded)


class DequantizesInDouble(Bug):
    """The value is evaluated in double and converted, which rounds it twice."""

    operation = "dequantize"
    effect = "restored weights are sometimes one float32 off; claims of correct rounding are false"

    def dequantize(self, q: Int8, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Float32:
        k = len(q)
        steps = by_row(scale, k, group_size) * lanes(k, 1, narrow_gain)
        with np.errstate(over="ignore"):
            restored: Float32 = (q * steps + by_row(offset, k, group_size)).astype(np.float32)
        return restored


class ActivationsInFloat32(Bug):
    """Activations are divided by their scale in float32."""

    operation = "quantize_activations"
    effect = "activations next to a half-way point are off by one"

    def quantize_activations(self, x: Float32) -> tuple[Float32, Int8]:
        scale, _ = super().quantize_activations(x)
        return scale, np.clip(np.rint(x / scale[:, None]), -127, 127).astype(np.int8)
