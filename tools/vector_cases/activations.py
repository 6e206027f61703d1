"""Vectors of ``quantize_activations``."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random

import numpy as np

from tools.vector_cases import grid
from tools.vector_cases.build import SEED, Fields, Flag, Inputs, Operation, RefusedError
from tools.vector_cases.calibrate import SMALLEST
from tools.vector_cases.quantize import random_float
from tools.vector_cases.quantizer import SMALLEST_NORMAL, clamp, nearest_code
from tools.vector_cases.rounding import half_away

LEGAL = range(-127, 128)
"""The integers that activations are quantized to."""

INT8 = range(-128, 128)
"""Every int8, one more."""


def _scale(row: list[float], limit: int = 127) -> Fraction:
    largest = max(abs(Fraction(x)) for x in row)
    return Fraction(1) if largest == 0 else max(grid.nearest(largest / limit), SMALLEST)


def _integers(row: list[float], scale: Fraction, codes: range = LEGAL) -> list[int]:
    # of 255 candidates only those around the truncated quotient can be nearest
    def nearest(x: Fraction) -> int:
        middle = clamp(int(x / scale), codes)
        return nearest_code(x, scale, Fraction(0), range(max(middle - 2, codes[0]), min(middle + 2, codes[-1]) + 1))

    return [nearest(Fraction(x)) for x in row]


def _quantized(row: list[float], scale: Fraction, codes: range = LEGAL) -> Fields:
    return {"activation_scale": grid.written(scale), "a": _integers(row, scale, codes)}


def _define(row: list[float]) -> Fields:
    if not row or not all(map(math.isfinite, row)):
        raise RefusedError("x")
    return _quantized(row, _scale(row))


def _each(rule: Callable[[float, float], int]) -> Callable[..., Fields]:
    """A faulty variant with the right scale that quantizes each value otherwise."""

    def faulty(row: list[float]) -> Fields:
        scale = _scale(row)
        return {"activation_scale": grid.written(scale), "a": [clamp(rule(x, float(scale)), LEGAL) for x in row]}

    return faulty


def _in_single(x: float, scale: float) -> int:
    return int(np.rint(np.float32(x) / np.float32(scale)))


def _unrounded_scale(row: list[float]) -> Fields:
    largest = max(abs(Fraction(x)) for x in row)
    return {"activation_scale": grid.written(_scale(row)), "a": _integers(row, largest / 127 or Fraction(1))}


def _reciprocal(row: list[float]) -> Fields:
    with np.errstate(all="ignore"):
        factor = np.float32(127) / np.float32(max(map(abs, row)))
        a = [int(np.rint(np.float32(x) * factor)) for x in row]
    return {"activation_scale": grid.written(_scale(row)), "a": a}


def _signed_max(row: list[float]) -> Fields:
    return _quantized(row, max(grid.nearest(abs(Fraction(max(row))) / 127), SMALLEST))


def _zero_scale(row: list[float]) -> Fields:
    scale = grid.nearest(max(abs(Fraction(x)) for x in row) / 127)
    return {**_define(row), "activation_scale": grid.written(scale)}


def _flushed(row: list[float]) -> Fields:
    return _define([x if abs(x) >= SMALLEST_NORMAL else 0.0 for x in row])


def _not_finite_skipped(row: list[float]) -> Fields:
    return _define([x if math.isfinite(x) else 0.0 for x in row])


def _inputs() -> Iterator[tuple[str, Inputs]]:
    largest, tiny = float(grid.entry(grid.INFINITY - 1)), 2.0**-149
    plain = (
        [0.0], [0.0, 0.0, 0.0], [1.0], [-1.0], [-127.0, 63.5, 0.5, 1.5, 2.5, -0.5, -1.5], [254.0, 1.0, 3.0, -1.0, -3.0],
        [127.0, -127.0], [-128.0, 127.0], [-128.0, 1.0], [1.0, -2.0, 0.25],
    )  # fmt: skip
    for row in plain:
        yield "plain", {"row": row}
    for row in ([largest, -largest, 1.0], [-largest, largest / 2], [largest, 2.0**120, tiny]):
        yield "huge", {"row": [float(grid.nearest(Fraction(x))) for x in row]}
    for count in (1, 2, 63, 64, 126, 127, 190, 191, 192, 1000, 2**20):
        yield "subnormal", {"row": [count * tiny, -tiny, tiny, (count // 2) * tiny]}
    random = Random(f"quantize_activations {SEED}")
    for low, high in ((-4, 4), (-149, -130), (-30, 127)):
        for _ in range(30):
            numbers = [random_float(random, low, high) for _ in range(random.randrange(1, 7))]
            signs = [1 - 2 * random.randrange(2) for _ in numbers]
            row = [float(grid.nearest(Fraction(x) * sign)) for x, sign in zip(numbers, signs, strict=True)]
            yield f"random_{low}_{high}".replace("-", "m"), {"row": row}
    for _ in range(30):  # values next to the ties of the row's own scale
        absmax = random_float(random, -4, 4)
        scale = _scale([absmax])
        ties = [grid.nearest((random.randrange(0, 126) + Fraction(1, 2)) * scale) for _ in range(3)]
        yield "near_tie", {"row": [absmax, *(grid.neighbour(float(tie), random.randrange(-1, 2)) for tie in ties)]}
    for bad in ([], [float("nan")], [1.0, float("inf")], [float("-inf"), 0.0]):
        yield "refused", {"row": bad}


OPERATIONS = (
    Operation(
        "quantize_activations",
        "activation_scale = RN32(absmax / 127), 2**-149 if that is 0, 1 for zeros; "
        "a = clamp(rne(x / scale), -127, 127)",
        _define,
        {
            "minus_128": Flag(
                "the scale is absmax / 128 and -128 is used",
                "an integer that is never produced appears",
                lambda row: _quantized(row, _scale(row, 128), INT8),
            ),
            "half_away": Flag(
                "ties go away from zero",
                "half of all ties differ",
                _each(lambda x, scale: half_away(Fraction(x) / Fraction(scale))),
            ),
            "truncated": Flag(
                "the quotient's fraction is cut off",
                "errors of up to a whole step",
                _each(lambda x, scale: int(Fraction(x) / Fraction(scale))),
            ),
            "in_single": Flag(
                "the quotient is rounded to float32 first", "values near a tie differ", _each(_in_single)
            ),
            "unrounded_scale": Flag(
                "values are divided by absmax / 127 before that is rounded",
                "values near a tie differ",
                _unrounded_scale,
            ),
            "reciprocal": Flag(
                "values are multiplied by a rounded 127 / absmax",
                "values near a tie differ, tiny rows overflow",
                _reciprocal,
            ),
            "signed_max": Flag(
                "the scale comes from the largest value, not the largest magnitude",
                "negative values are clipped",
                _signed_max,
            ),
            "zero_scale": Flag(
                "a scale that rounds to zero stays zero, a row of zeros has scale 0",
                "the result is all zeros or NaN",
                _zero_scale,
            ),
            "flushed": Flag("subnormals count as zero", "rows of tiny values vanish", _flushed),
            "not_finite_skipped": Flag(
                "NaN and infinities count as zero",
                "damaged activations go unnoticed",
                _not_finite_skipped,
                lenient=True,
            ),
        },
        _inputs,
    ),
)
