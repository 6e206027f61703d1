"""Bugs between weights and integers, and between parameters and weights."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from q35ref.backends.numpy import NumpyBackend
from q35ref.backends.numpy.calibration import minmax, ranges
from q35ref.backends.protocol import Float32, Int8
from q35ref.oracle.bugs.base import Bug, half_up
from q35ref.reference.calibration import Method

QUANTIZE = ("quantize",)
GROUPED = ("quantize", "dequantize", "matmul")


class Wraps(Bug):
    """The drafts' converter: 4-bit integers in both lanes, the narrow one cut to three bits, so that it wraps."""

    operations = QUANTIZE
    effect = "every narrow weight outside [-4, 3] steps lands on the other side of its lane"

    def clamp(self, rounded: Any, odd: Any) -> Any:
        q = np.clip(rounded, -8, 7)
        return np.where(odd, (q + 4) % 8 - 4, q)


class Truncates(Bug):
    """The quotient is cut towards zero, as a cast does, instead of rounded."""

    operations = QUANTIZE
    effect = "errors up to a whole step, biased towards the offset"

    def round_many(self, quotient: Any) -> Any:
        return np.trunc(quotient)

    def round(self, quotient: Fraction) -> int:
        return math.trunc(quotient)


class RoundsHalfUp(Bug):
    """Ties are rounded up: ``floor(x + 0.5)``."""

    operations = QUANTIZE
    effect = "weights half-way between two values are biased upwards"

    def round(self, quotient: Fraction) -> int:
        return half_up(quotient)


class RoundsHalfAway(Bug):
    """Ties are rounded away from zero, as C's ``round`` does."""

    operations = QUANTIZE
    effect = "weights half-way between two values are off by one, with a bias away from zero"

    def round(self, quotient: Fraction) -> int:
        magnitude = half_up(abs(quotient))
        return magnitude if quotient > 0 else -magnitude


class _Evaluates(Bug):
    """The quotient is a float."""

    operations = QUANTIZE

    def __init__(self, way: int = 0) -> None:
        self._way = way

    def quotient(self, w: Any, scale: Any, offset: Any, gain: Any) -> Any:
        """Return the quotient as it is evaluated: in double, unless a class says otherwise."""
        return (w.astype(np.float64) - offset) / (scale.astype(np.float64) * gain)

    def rounded(self, w: Any, scale: Any, offset: Any, gain: Any) -> Any:
        found = np.clip(np.rint(self.quotient(w, scale, offset, gain)), -1e6, 1e6)
        return np.where(np.isnan(found), 0, found)


class QuantizesInDouble(_Evaluates):
    """The quotient is evaluated in double, not as if exact."""

    effect = "near-ties go wrong: w = 0.5, offset = -2**-60, scale = 1 gives 0 instead of 1"


class QuantizesInFloat32(_Evaluates):
    """The quotient is evaluated in float32."""

    effect = "weights near a half-way point go wrong, many where the offset is large"

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """Divided by the step, or by the scale and then the gain."""
        return [cls(), cls(1)]

    def quotient(self, w: Any, scale: Any, offset: Any, gain: Any) -> Any:
        factor = gain.astype(np.float32)
        return (w - offset) / scale / factor if self._way else (w - offset) / (scale * factor)


class ReciprocalMultiply(_Evaluates):
    """The quotient is a product with the rounded reciprocal of the step."""

    operations = QUANTIZE
    effect = "weights near a half-way point go wrong, exact ties too"

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """In float32 or in double, the gain in the reciprocal or after it."""
        return [cls(way) for way in range(4)]

    def quotient(self, w: Any, scale: Any, offset: Any, gain: Any) -> Any:
        kind = np.float64 if self._way >= 2 else np.float32
        one, factor = kind(1), gain.astype(kind)
        difference, step = w.astype(kind) - offset, scale.astype(kind)
        return difference * (one / step) / factor if self._way % 2 else difference * (one / (step * factor))


class FmaReciprocal(_Evaluates):
    """The quotient is ``fma(w, r, -offset * r)`` with the rounded reciprocal ``r`` of the step."""

    effect = "weights go wrong where the offset is large beside the step"

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """With and without a fused multiply-add, in float32 and in double."""
        return [cls(way) for way in range(4)]

    def quotient(self, w: Any, scale: Any, offset: Any, gain: Any) -> Any:
        kind = np.float64 if self._way >= 2 else np.float32
        r = kind(1) / (scale.astype(kind) * gain.astype(kind))
        shift = -offset.astype(kind) * r
        if self._way % 2:
            return w.astype(kind) * r + shift
        return (w.astype(np.longdouble) * r + shift).astype(kind)


class GainIgnored(Bug):
    """The narrow lane has gain 1 whatever ``narrow_gain`` says."""

    operations = GROUPED
    effect = "with gain 2 narrow weights are off by a factor of two, or clamped"

    def gains(self, k: int, narrow_gain: int) -> Any:
        return super().gains(k, 1)


class GainOnWideLane(Bug):
    """The gain is applied to the wide lane."""

    operations = GROUPED
    effect = "with gain 2 the wide lane counts double"

    def __init__(self, both: bool = False) -> None:
        self._both = both

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """Instead of to the narrow one, or to both."""
        return [cls(), cls(both=True)]

    def gains(self, k: int, narrow_gain: int) -> Any:
        return np.where(np.arange(k)[:, None] % 2, narrow_gain if self._both else 1, narrow_gain)


class AcceptsNan(Bug):
    """Weights that are not finite are quantized to something instead of refused."""

    operations = QUANTIZE
    effect = "a broken checkpoint is silently turned into plausible weights"

    def quantize(self, w: Float32, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Int8:
        return super().quantize(np.nan_to_num(w), scale, offset, group_size, narrow_gain)


class OffsetFromUnroundedScale(Bug):
    """The min-max offset is computed from the scale before it is rounded to float32."""

    operations = ("calibrate",)
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

    operations = ("dequantize",)
    effect = "restored weights are sometimes one float32 off; claims of correct rounding are false"

    def restored(self, steps: Any, offset: Any) -> Float32:
        rounded: Float32 = (steps + offset).astype(np.float32)
        return rounded


class ActivationsInFloat32(Bug):
    """Activations are divided by their scale in float32."""

    operations = ("quantize_activations",)
    effect = "activations next to a half-way point are off by one"

    def quantize_activations(self, x: Float32) -> tuple[Float32, Int8]:
        scale, _ = NumpyBackend.quantize_activations(self, x)
        return scale, np.clip(np.rint(x / scale[:, None]), -127, 127).astype(np.int8)
