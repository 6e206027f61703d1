"""The definition of ``quantize``, by trying every integer of the lane, and what faulty quantizers do instead."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from tools.vector_cases.build import Fields, Flag, RefusedError
from tools.vector_cases.codec import NARROW, WIDE
from tools.vector_cases.rounding import half_away

SMALLEST_NORMAL = 2.0**-126
"""The smallest float32 that is not subnormal."""


def lane(row: int) -> range:
    """Return the integers that a row can hold."""
    return (WIDE, NARROW)[row % 2]


def gain(row: int, narrow_gain: int) -> int:
    """Return the factor of a row's lane."""
    return (1, narrow_gain)[row % 2]


def check_parameters(scale: float, offset: float, narrow_gain: int) -> None:
    """Refuse what is no parameter."""
    if narrow_gain not in (1, 2):
        raise RefusedError("narrow_gain")
    if not (math.isfinite(scale) and scale > 0):
        raise RefusedError("scale")
    if not math.isfinite(offset):
        raise RefusedError("offset")


def nearest_code(weight: Fraction, step: Fraction, offset: Fraction, codes: range) -> int:
    """Return the integer whose value is nearest to the weight, the even one of two that are equally near."""
    return min(codes, key=lambda q: (abs(weight - (step * q + offset)), q % 2))


def quantize(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
    """Return the nearest integer of the lane; refuse what is not finite."""
    check_parameters(scale, offset, narrow_gain)
    if not math.isfinite(weight):
        raise RefusedError("weight")
    step = Fraction(scale) * gain(row, narrow_gain)
    return {"q": nearest_code(Fraction(weight), step, Fraction(offset), lane(row))}


def clamp(value: int, codes: range) -> int:
    """Return the integer of the lane that is nearest to ``value``."""
    return codes[0] if value < codes[0] else codes[-1] if value > codes[-1] else value


def _rounded_by(rule: Callable[[Fraction], int]) -> Callable[..., Fields]:
    """A faulty variant that is exact but for the rounding of the quotient."""

    def faulty(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
        quotient = (Fraction(weight) - Fraction(offset)) / (Fraction(scale) * gain(row, narrow_gain))
        return {"q": clamp(rule(quotient), lane(row))}

    return faulty


def _limited_by(rule: Callable[[int, range], int]) -> Callable[..., Fields]:
    """A faulty variant that is exact but for what it does with integers outside the lane."""

    def faulty(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
        quotient = (Fraction(weight) - Fraction(offset)) / (Fraction(scale) * gain(row, narrow_gain))
        return {"q": rule(round(quotient), lane(row))}

    return faulty


def _narrow_cut(q: int, codes: range) -> int:
    four_bits = clamp(q, WIDE)
    return four_bits if codes is WIDE else (four_bits + 4) % 8 - 4


def _with(
    change: Callable[[float, float, float, int, int], tuple[float, float, float, int, int]],
) -> Callable[..., Fields]:
    """A faulty variant that is exact on changed arguments, without their refusals."""

    def faulty(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
        w, s, b, factor, parity = change(weight, scale, offset, row, narrow_gain)
        return {"q": nearest_code(Fraction(w), Fraction(s) * factor, Fraction(b), lane(parity))}

    return faulty


def _flushed(x: float) -> float:
    return 0.0 if abs(x) < SMALLEST_NORMAL else x


def _in_double(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
    return {"q": clamp(round((weight - offset) / (scale * gain(row, narrow_gain))), lane(row))}


def _limit_single(quotient: np.float32, codes: range) -> Fields:
    bounded = min(max(float(np.rint(quotient)), codes[0]), codes[-1])
    return {"q": int(bounded)}


def _in_single(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
    w, s, b = np.float32(weight), np.float32(scale), np.float32(offset)
    with np.errstate(all="ignore"):
        return _limit_single((w - b) / (s * np.float32(gain(row, narrow_gain))), lane(row))


def _reciprocal(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
    w, s, b = np.float32(weight), np.float32(scale), np.float32(offset)
    with np.errstate(all="ignore"):
        return _limit_single((w - b) * (np.float32(1) / (s * np.float32(gain(row, narrow_gain)))), lane(row))


def _integer_zero_point(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
    step = Fraction(scale) * gain(row, narrow_gain)
    return {"q": clamp(round(Fraction(weight) / step) - round(Fraction(offset) / step), lane(row))}


def _not_finite_mapped(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
    if math.isnan(weight):
        return {"q": 0}
    if math.isinf(weight):
        return {"q": lane(row)[-1 if weight > 0 else 0]}
    return quantize(weight, scale, offset, row, narrow_gain)


FLAGS = {
    "half_away": Flag("ties go away from zero, as C's round does", "half of all ties differ", _rounded_by(half_away)),
    "half_up": Flag(
        "ties go up: floor(x + 1/2)", "half of all ties differ", _rounded_by(lambda x: math.floor(x + Fraction(1, 2)))
    ),
    "truncated": Flag("the quotient's fraction is cut off", "errors of up to a whole step", _rounded_by(int)),
    "in_double": Flag(
        "weight - offset and the quotient are evaluated in double",
        "weights next to a tie, by less than a double can tell, differ",
        _in_double,
    ),
    "in_single": Flag(
        "weight - offset and the quotient are evaluated in float32",
        "weights near a tie differ, and large differences overflow",
        _in_single,
    ),
    "reciprocal": Flag(
        "float32 multiplication by a rounded 1 / scale takes the place of the division",
        "weights near a tie differ, and a tiny scale has an infinite reciprocal",
        _reciprocal,
    ),
    "integer_zero_point": Flag(
        "the offset is rounded to a whole number of steps of its own",
        "the lane is shifted by up to half a step",
        _integer_zero_point,
    ),
    "wrapped": Flag(
        "integers outside the lane wrap around",
        "large weights change sign",
        _limited_by(lambda q, codes: (q - codes[0]) % len(codes) + codes[0]),
    ),
    "narrow_cut": Flag(
        "narrow integers are limited to 4 bits and cut to 3, as the drafts' converter does",
        "narrow integers outside -4 .. 3 wrap around",
        _limited_by(_narrow_cut),
    ),
    "symmetric_limits": Flag(
        "integers are limited to -high .. high",
        "the lane's lowest integer is never used",
        _limited_by(lambda q, codes: max(-codes[-1], min(q, codes[-1]))),
    ),
    "gain_ignored": Flag(
        "the narrow lane is quantized with gain 1",
        "narrow integers are twice too large",
        _with(lambda w, s, b, row, narrow_gain: (w, s, b, 1, row)),
    ),
    "gain_everywhere": Flag(
        "the narrow lane's gain is applied to the wide lane too",
        "wide integers are halved",
        _with(lambda w, s, b, row, narrow_gain: (w, s, b, narrow_gain, row)),
    ),
    "lanes_swapped": Flag(
        "even rows are taken for the narrow lane",
        "limits and gain of the wrong lane",
        _with(lambda w, s, b, row, narrow_gain: (w, s, b, gain(row + 1, narrow_gain), row + 1)),
    ),
    "offset_sign": Flag(
        "the offset is added instead of subtracted",
        "integers are shifted by twice the offset",
        _with(lambda w, s, b, row, narrow_gain: (w, s, -b, gain(row, narrow_gain), row)),
    ),
    "offset_ignored": Flag(
        "the offset is left out", "integers are shifted", _with(lambda w, s, b, row, g: (w, s, 0.0, gain(row, g), row))
    ),
    "flushed": Flag(
        "subnormal inputs count as zero",
        "subnormal scales divide by zero, subnormal weights vanish",
        _with(lambda w, s, b, row, g: (_flushed(w), _flushed(s), _flushed(b), gain(row, g), row)),
    ),
    "not_finite_mapped": Flag(
        "NaN becomes 0 and infinities the ends of the lane",
        "damaged weights go unnoticed",
        _not_finite_mapped,
        lenient=True,
    ),
    "parameters_unchecked": Flag(
        "scales <= 0 and unknown gains are used as they are",
        "meaningless integers",
        _with(lambda w, s, b, row, g: (w, s, b, gain(row, g), row)),
        lenient=True,
    ),
}
"""The faulty quantizers."""
