"""Vectors of ``dequantize`` (the exact value, and the float32 it is restored as) and of ``error_bound``."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random

import numpy as np

from tools.vector_cases import grid
from tools.vector_cases.build import SEED, Fields, Flag, Inputs, Operation, RefusedError
from tools.vector_cases.quantize import LANES, PLAIN, case, random_float
from tools.vector_cases.quantizer import SMALLEST_NORMAL, check_parameters, gain, lane, nearest_code

UNIT_ROUNDOFF = Fraction(1, 2**24)
"""u: float32's rounding error is at most this part of the result."""


def _value(exact: Fraction) -> Fields:
    return {"exact": exact, "rounded": grid.written(grid.nearest(exact))}


def _dequantize(q: int, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
    check_parameters(scale, offset, narrow_gain)
    if q not in lane(row):
        raise RefusedError("q")
    # as many steps as q says, one after the other, from the offset
    step = Fraction(scale) * gain(row, narrow_gain)
    return _value(sum([step if q > 0 else -step] * abs(q), Fraction(offset)))


def _by(value: Callable[[int, Fraction, Fraction, int, int], Fraction]) -> Callable[..., Fields]:
    """A faulty variant that computes another value, exactly."""

    def faulty(q: int, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
        return _value(value(q, Fraction(scale), Fraction(offset), row, narrow_gain))

    return faulty


def _rounded_by(evaluate: Callable[[int, float, float], Fraction]) -> Callable[..., Fields]:
    """A faulty variant that rounds otherwise: ``evaluate`` gets the steps (gain * q), scale and offset."""

    def faulty(q: int, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
        steps = gain(row, narrow_gain) * q
        exact = Fraction(scale) * steps + Fraction(offset)
        return {"exact": exact, "rounded": grid.written(evaluate(steps, scale, offset))}

    return faulty


def _through_double(steps: int, scale: float, offset: float) -> Fraction:
    return grid.nearest(Fraction(scale * steps + offset))


def _in_single(steps: int, scale: float, offset: float) -> Fraction:
    with np.errstate(all="ignore"):
        return Fraction(float(np.float32(scale) * np.float32(steps) + np.float32(offset)))


def _flushed(steps: int, scale: float, offset: float) -> Fraction:
    terms = [x if abs(x) >= SMALLEST_NORMAL else 0.0 for x in (scale, offset)]
    rounded = grid.nearest(Fraction(terms[0]) * steps + Fraction(terms[1]))
    return rounded if abs(rounded) >= SMALLEST_NORMAL else Fraction(0)


def element(q: int, scale: float, offset: float, row: int, narrow_gain: int) -> Inputs:
    """Return the inputs of one case."""
    return {"q": q, "scale": scale, "offset": offset, "row": row, "narrow_gain": narrow_gain}


def _dequantize_inputs() -> Iterator[tuple[str, Inputs]]:
    for scale, offset in PLAIN:
        for row, g in LANES:
            for q in lane(row):
                yield "plain", element(q, scale, offset, row, g)
    random = Random(f"dequantize {SEED}")
    for number in range(60):  # q * scale has 25 bits and ends in 1, a midpoint; the offset moves it off by a hair
        row, g = LANES[number % 4]
        q = (-7, -5, -3, 3, 5, 7)[random.randrange(6)] if row == 0 else (-3, 3)[random.randrange(2)]
        scale = float((2**24 // abs(q) + random.randrange(2**24 // abs(q))) | 1)
        tiny = float(grid.nearest(Fraction(1, 10) ** random.randrange(8, 44)))
        yield "double_trap", element(q, scale, tiny * (1 - 2 * random.randrange(2)), row, g)
    yield "double_trap", element(3, 5592407.0, float(grid.nearest(Fraction(1, 10**30))), 0, 2)
    for number in range(100):
        row, g = LANES[number % 4]
        scale = random_float(random, -10, 10)
        offset = random_float(random, -10, 14) * (1 - 2 * random.randrange(2))
        yield "random", element(lane(row)[random.randrange(len(lane(row)))], scale, offset, row, g)
    largest = float(grid.entry(grid.INFINITY - 1))
    for row, g in LANES:
        for q in (lane(row)[0], -1, 0, 1, lane(row)[-1]):
            for scale in (2.0**-149, 3 * 2.0**-140, largest):
                for offset in (0.0, largest, -(2.0**-149)):
                    yield "extreme", element(q, scale, offset, row, g)
    for q, row in ((8, 0), (-9, 0), (4, 1), (-5, 1), (7, 1)):
        yield "refused", element(q, 1.0, 0.0, row, 2)
    for bad in (float("nan"), float("inf"), float("-inf")):
        yield "refused", element(1, bad, 0.0, 0, 2)
        yield "refused", element(1, 1.0, bad, 1, 2)
    for scale in (0.0, -1.0):
        yield "refused", element(1, scale, 0.0, 0, 2)
    yield "refused", element(1, 1.0, 0.0, 0, 3)


def _bounds(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
    check_parameters(scale, offset, narrow_gain)
    w, step, b = Fraction(weight), Fraction(scale) * gain(row, narrow_gain), Fraction(offset)
    values = [step * q + b for q in lane(row)]
    outside = max(values[0] - w, w - values[-1], Fraction(0))
    bound = max(step / 2, outside)
    restored = step * nearest_code(w, step, b, lane(row)) + b
    assert abs(w - restored) <= bound, (weight, scale, offset, row, narrow_gain)
    return {"bound": bound, "rounded_bound": bound + UNIT_ROUNDOFF * abs(restored) + Fraction(1, 2**150)}


def _bounds_of_inside(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
    step, right = Fraction(scale) * gain(row, narrow_gain), _bounds(weight, scale, offset, row, narrow_gain)
    return {"bound": step / 2, "rounded_bound": right["rounded_bound"] - right["bound"] + step / 2}


def _bounds_without_gain(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
    return _bounds(weight, scale, offset, row, 1)


def _bounds_without_underflow(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Fields:
    right = _bounds(weight, scale, offset, row, narrow_gain)
    return {**right, "rounded_bound": right["rounded_bound"] - Fraction(1, 2**150)}


def _bound_inputs() -> Iterator[tuple[str, Inputs]]:
    for scale, offset in PLAIN[:4]:
        for row, g in LANES:
            codes, step = lane(row), Fraction(scale) * gain(row, g)
            for quarter_steps in (
                4 * codes[0] - 40,
                4 * codes[0] - 2,
                4 * codes[0] - 1,
                -6,
                -1,
                0,
                1,
                2,
                5,
                4 * codes[-1] + 3,
                90,
            ):
                weight = float(grid.nearest(Fraction(quarter_steps, 4) * step + Fraction(offset)))
                yield "bound", case(weight, scale, offset, row, g)
    for scale, offset, g in ((0.0, 0.0, 2), (float("nan"), 0.0, 2), (1.0, float("inf"), 2), (1.0, 0.0, 0)):
        yield "refused", case(1.0, scale, offset, 1, g)


OPERATIONS = (
    Operation(
        "dequantize",
        "exact = scale * gain * q + offset; rounded = RN32(exact); row chooses the lane",
        _dequantize,
        {
            "double_rounding": Flag(
                "the value is evaluated in double and then converted",
                "values next to a midpoint are one ulp off",
                _rounded_by(_through_double),
            ),
            "in_single": Flag(
                "product and sum are each rounded to float32",
                "values may be one ulp off, more where they cancel",
                _rounded_by(_in_single),
            ),
            "flushed": Flag("subnormals count as zero", "the smallest weights vanish", _rounded_by(_flushed)),
            "gain_ignored": Flag(
                "the narrow lane is restored with gain 1",
                "narrow weights are half as large",
                _by(lambda q, s, b, row, g: s * q + b),
            ),
            "gain_everywhere": Flag(
                "the narrow lane's gain is applied to the wide lane too",
                "wide weights are twice as large",
                _by(lambda q, s, b, row, g: s * g * q + b),
            ),
            "gain_on_offset": Flag(
                "the gain multiplies the offset too",
                "narrow weights are shifted",
                _by(lambda q, s, b, row, g: gain(row, g) * (s * q + b)),
            ),
            "offset_sign": Flag(
                "the offset is subtracted",
                "weights are shifted by twice the offset",
                _by(lambda q, s, b, row, g: s * gain(row, g) * q - b),
            ),
            "offset_ignored": Flag(
                "the offset is left out", "weights are shifted", _by(lambda q, s, b, row, g: s * gain(row, g) * q)
            ),
            "offset_in_steps": Flag(
                "the offset is taken for an integer zero-point: scale * (q + offset)",
                "weights are shifted",
                _by(lambda q, s, b, row, g: s * gain(row, g) * (q + b)),
            ),
            "range_unchecked": Flag(
                "integers outside the lane and scales <= 0 are used as they are",
                "meaningless weights",
                _by(lambda q, s, b, row, g: s * gain(row, g) * q + b),
                lenient=True,
            ),
        },
        _dequantize_inputs,
    ),
    Operation(
        "error_bound",
        "bound = max(half a step, distance of the weight to its lane's interval); "
        "rounded_bound = bound + u * abs(restored value) + 2**-150",
        _bounds,
        {
            "half_step_only": Flag(
                "the distance to the lane is left out", "weights outside it seem wrong", _bounds_of_inside
            ),
            "gain_ignored": Flag(
                "the narrow lane's step is taken without its gain", "narrow weights seem wrong", _bounds_without_gain
            ),
            "underflow_ignored": Flag(
                "2**-150 is left out", "correctly rounded subnormal weights may seem wrong", _bounds_without_underflow
            ),
        },
        _bound_inputs,
    ),
)
