"""Kernels that quantize wrongly."""

import numpy as np

from tests.kernels.planted.arithmetic import Float32, Float64, Int8, Int64, float32_of_sum
from tests.kernels.planted.correct import Correct


class Wraps(Correct):
    """Both lanes get 4-bit integers, cut to 3 bits in the narrow lane."""

    def clamped(self, y: Float64) -> Int8:
        """Clamp to 4 bits, then keep the low bits."""
        q = np.clip(y, -8, 7).astype(np.int8)
        q[1::2] = ((q[1::2] & 7) ^ 4) - 4
        return q


class Truncates(Correct):
    """Quotients lose their fraction."""

    def rounded(self, y: Float64) -> Float64:
        """Round toward zero."""
        return np.trunc(y)


class RoundsHalfUp(Correct):
    """Ties go up."""

    def rounded(self, y: Float64) -> Float64:
        """Add a half and round down."""
        return np.floor(y + 0.5)


class RoundsHalfAway(Correct):
    """Ties go away from zero."""

    def rounded(self, y: Float64) -> Float64:
        """Round the absolute value half up."""
        return np.copysign(np.floor(np.abs(y) + 0.5), y)


class QuantizesInFloat32(Correct):
    """The quotient is formed in float32."""

    def divided(self, w: Float32, scale: Float64, offset: Float64, gain: Int64) -> Float64:
        """Subtract, multiply and divide in float32."""
        step = scale.astype(np.float32) * gain.astype(np.float32)
        return ((w - offset.astype(np.float32)) / step).astype(np.float64)


class QuantizesInDouble(Correct):
    """The quotient is formed in double precision."""

    def divided(self, w: Float32, scale: Float64, offset: Float64, gain: Int64) -> Float64:
        """Subtract, multiply and divide in double precision."""
        return np.asarray((w - offset) / (scale * gain))


class ReciprocalMultiply(Correct):
    """The quotient is a product with the rounded reciprocal."""

    def divided(self, w: Float32, scale: Float64, offset: Float64, gain: Int64) -> Float64:
        """Multiply by the reciprocal in float32."""
        reciprocal = np.float32(1) / (scale.astype(np.float32) * gain.astype(np.float32))
        return ((w - offset.astype(np.float32)) * reciprocal).astype(np.float64)


class FmaReciprocal(Correct):
    """The quotient is fma(w, r, -offset * r), r the rounded reciprocal."""

    def divided(self, w: Float32, scale: Float64, offset: Float64, gain: Int64) -> Float64:
        """Multiply and add with one rounding to float32; the product of two floats is exact in double precision."""
        reciprocal = np.float32(1) / (scale.astype(np.float32) * gain.astype(np.float32))
        shift = -offset.astype(np.float32) * reciprocal
        product = w.astype(np.float64) * reciprocal.astype(np.float64)
        return float32_of_sum(product, shift.astype(np.float64)).astype(np.float64)


class AcceptsNan(Correct):
    """Weights that are not finite are quantized."""

    def acceptable(self, w: Float32) -> bool:
        """Take all weights."""
        return True
