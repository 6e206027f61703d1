"""Bugs between weights and integers, and between parameters and weights."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from q35ref.backends.numpy import NumpyBackend
from q35ref.backends.numpy.calibration import ranges
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
        return np.where(odd, self.extend_narrow(q % 8), q)


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
        return int(math.copysign(half_up(abs(quotient)), quotient))


class _Evaluates(Bug):
    """The quotient is a float."""

    operations = QUANTIZE

    def __init__(self, double: bool = False, apart: bool = False) -> None:
        self._kind, self._apart = np.float64 if double else np.float32, apart

    def quotient(self, w: Any, scale: Any, offset: Any, gain: Any) -> Any:
        """Return the quotient of arrays of floats of the class's kind, as it is evaluated."""
        return (w - offset) / (scale * gain)

    def rounded(self, w: Any, scale: Any, offset: Any, gain: Any) -> Any:
        found = np.rint(self.quotient(*(array.astype(self._kind) for array in (w, scale, offset, gain))))
        return np.where(np.isnan(found), 0, found)


class QuantizesInDouble(_Evaluates):
    """The quotient is evaluated in double, not as if exact."""

    effect = "near-ties go wrong: w = 0.5, offset = -2**-60, scale = 1 gives 0 instead of 1"

    def __init__(self) -> None:
        super().__init__(double=True)


class QuantizesInFloat32(_Evaluates):
    """The quotient is evaluated in float32."""

    effect = "weights near a half-way point go wrong, many where the offset is large"

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """Divided by the step, or by the scale and then the gain."""
        return [cls(), cls(apart=True)]

    def quotient(self, w: Any, scale: Any, offset: Any, gain: Any) -> Any:
        return (w - offset) / scale / gain if self._apart else super().quotient(w, scale, offset, gain)


class ReciprocalMultiply(_Evaluates):
    """The quotient is a product with the rounded reciprocal of the step."""

    effect = "weights near a half-way point go wrong, exact ties too"

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """In float32, the gain in the reciprocal or after it; in double, where the two are the same."""
        return [cls(), cls(apart=True), cls(double=True)]

    def quotient(self, w: Any, scale: Any, offset: Any, gain: Any) -> Any:
        difference, one = w - offset, self._kind(1)
        return difference * (one / scale) / gain if self._apart else difference * (one / (scale * gain))


class FmaReciprocal(_Evaluates):
    """The quotient is ``fma(w, r, -offset * r)`` with the rounded reciprocal ``r`` of the step."""

    effect = "weights go wrong where the offset is large beside the step"

    @classmethod
    def variants(cls) -> Sequence[Bug]:
        """With a fused multiply-add, or rounded after both; in float32 and in double."""
        return [cls(double, apart) for double in (False, True) for apart in (False, True)]

    def quotient(self, w: Any, scale: Any, offset: Any, gain: Any) -> Any:
        r = self._kind(1) / (scale * gain)
        shift = -offset * r
        return w * r + shift if self._apart else (w.astype(np.longdouble) * r + shift).astype(self._kind)


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
        return scale, (low + 8 * ((high - low) / 15)).astype(np.float32)


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
