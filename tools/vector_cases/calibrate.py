"""Vectors of ``calibrate`` by ``minmax`` and ``symmetric``."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random

import numpy as np

from tools.vector_cases import grid
from tools.vector_cases.build import SEED, Fields, Flag, Inputs, Operation, RefusedError
from tools.vector_cases.quantize import random_float
from tools.vector_cases.quantizer import SMALLEST_NORMAL

SMALLEST = Fraction(1, 2**149)
"""The smallest positive float32."""

Rule = Callable[[Fraction, Fraction], tuple[Fraction, Fraction]]
"""From a group's smallest and largest weight to its scale and offset."""


def _written(scale: Fraction, offset: Fraction) -> Fields:
    return {"scale": grid.written(scale), "offset": grid.written(offset)}


def _minmax(low: Fraction, high: Fraction) -> tuple[Fraction, Fraction]:
    if low == high:
        return Fraction(1), low
    scale = max(grid.nearest((high - low) / 15), SMALLEST)
    return scale, grid.nearest(low + 8 * scale)


def _symmetric(low: Fraction, high: Fraction) -> tuple[Fraction, Fraction]:
    largest = max(-low, high)
    return (Fraction(1) if largest == 0 else max(grid.nearest(largest / 7), SMALLEST)), Fraction(0)


def _by(minmax: Rule = _minmax, symmetric: Rule = _symmetric) -> Callable[..., Fields]:
    """A variant that differs in one of the two rules."""

    def faulty(group: list[float], method: str) -> Fields:
        weights = sorted(Fraction(weight) for weight in group)
        return _written(*(minmax if method == "minmax" else symmetric)(weights[0], weights[-1]))

    return faulty


def _define(group: list[float], method: str) -> Fields:
    if method not in ("minmax", "symmetric"):
        raise RefusedError("method")
    if not group or not all(map(math.isfinite, group)):
        raise RefusedError("group")
    return _by()(group, method)


def _not_finite_skipped(group: list[float], method: str) -> Fields:
    return _define([weight for weight in group if math.isfinite(weight)], method)


def _unrounded_scale(low: Fraction, high: Fraction) -> tuple[Fraction, Fraction]:
    return _minmax(low, high)[0], grid.nearest(low + 8 * (high - low) / 15) if low != high else low


def _sixteenths(low: Fraction, high: Fraction) -> tuple[Fraction, Fraction]:
    scale = grid.nearest((high - low) / 16) if low != high else Fraction(1)
    return scale, grid.nearest(low + 8 * scale) if low != high else low


def _in_single(low: Fraction, high: Fraction) -> tuple[Fraction, Fraction]:
    if low == high:
        return Fraction(1), low
    with np.errstate(all="ignore"):
        scale = (np.float32(float(high)) - np.float32(float(low))) / np.float32(15)
        offset = np.float32(float(low)) + np.float32(8) * scale
    return max(Fraction(float(scale)), SMALLEST), Fraction(float(offset))


def _flushed(rule: Rule) -> Rule:
    def faulty(low: Fraction, high: Fraction) -> tuple[Fraction, Fraction]:
        def flush(x: Fraction) -> Fraction:
            return x if abs(x) >= SMALLEST_NORMAL else Fraction(0)

        scale, offset = rule(flush(low), flush(high))
        return flush(scale), flush(offset)

    return faulty


def _inputs() -> Iterator[tuple[str, Inputs]]:
    random = Random(f"calibrate {SEED}")
    largest, tiny = float(grid.entry(grid.INFINITY - 1)), 2.0**-149
    groups: list[tuple[str, list[float]]] = [
        ("constant", [value] * length)
        for value, length in ((0.0, 1), (0.0, 3), (2.5, 1), (-2.5, 4), (tiny, 2), (largest, 2), (-largest, 1))
    ]
    groups += [("plain", [-8.0, 7.0]), ("plain", [0.0, 15.0, 3.0]), ("plain", [1.0, 2.0]), ("plain", [-0.5, -0.25])]
    groups += [("huge", [-largest, largest]), ("huge", [0.0, largest]), ("huge", [-largest, -(2.0**127), 0.5])]
    groups += [("huge", [largest, float(grid.entry(grid.INFINITY - 2))]), ("huge", [-largest, largest / 2, tiny])]
    groups += [("subnormal", [0.0, count * tiny]) for count in (1, 2, 7, 8, 15, 22, 23, 100)]
    groups += [("subnormal", [-count * tiny, tiny]) for count in (1, 3, 4, 6, 7, 10, 11)]
    groups += [("close", [value, grid.neighbour(value, 1)]) for value in (1.0, -1.0, 0.1, 2.0**-126, 1e30)]
    for low, high in ((-10, 10), (-149, -126), (-149, 127), (100, 127)):
        for _ in range(45):
            signs = [1 - 2 * random.randrange(2) for _ in range(random.randrange(2, 5))]
            mixed = [sign * float(grid.nearest(Fraction(random_float(random, low, high)))) for sign in signs]
            groups.append((f"random_{low}_{high}".replace("-", "m"), mixed))
    for category, group in groups:
        rounded = [float(grid.nearest(Fraction(weight))) for weight in group]
        for method in ("minmax", "symmetric"):
            yield category, {"group": rounded, "method": method}
    for group, method in (
        ([], "minmax"), ([], "symmetric"), ([1.0], "absmax"), ([float("nan"), 1.0], "minmax"),
        ([1.0, float("inf")], "minmax"), ([float("-inf")], "symmetric"), ([0.0, float("nan")], "symmetric"),
    ):  # fmt: skip
        yield "refused", {"group": group, "method": method}


OPERATIONS = (
    Operation(
        "calibrate",
        "minmax: scale = RN32((max - min) / 15), offset = RN32(min + 8 * scale), of a constant group 1 and its value; "
        "symmetric: scale = RN32(absmax / 7), 1 for zeros, offset = 0; a scale of 0 becomes 2**-149",
        _define,
        {
            "unrounded_scale": Flag(
                "the offset is computed from the scale before it is rounded",
                "offsets one ulp off",
                _by(minmax=_unrounded_scale),
            ),
            "sixteenths": Flag(
                "the range is divided by 16", "the largest weight lies outside the lane", _by(minmax=_sixteenths)
            ),
            "in_single": Flag(
                "each operation is rounded to float32",
                "parameters a few ulps off; max - min overflows",
                _by(minmax=_in_single),
            ),
            "offset_is_min": Flag(
                "the offset is the smallest weight itself",
                "half the lane is never used",
                _by(minmax=lambda low, high: (_minmax(low, high)[0], low)),
            ),
            "constant_range": Flag(
                "a constant group is treated as any other",
                "its weights are not restored exactly",
                _by(minmax=lambda low, high: (max(grid.nearest((high - low) / 15), SMALLEST), low)),
            ),
            "zero_scale": Flag(
                "a scale that rounds to zero stays zero",
                "quantization divides by zero",
                _by(
                    lambda low, high: (
                        grid.nearest((high - low) / 15) if low != high else Fraction(1),
                        _minmax(low, high)[1],
                    ),
                    lambda low, high: (grid.nearest(max(-low, high) / 7) if low or high else Fraction(1), Fraction(0)),
                ),
            ),
            "signed_max": Flag(
                "symmetric looks at the largest weight, not at the largest magnitude",
                "negative weights are clipped",
                _by(symmetric=lambda low, high: (max(grid.nearest(abs(high) / 7), SMALLEST), Fraction(0))),
            ),
            "eighths": Flag(
                "symmetric divides by 8",
                "the largest weight lies outside the lane",
                _by(symmetric=lambda low, high: (_symmetric(low * 7 / 8, high * 7 / 8)[0], Fraction(0))),
            ),
            "flushed": Flag(
                "subnormals count as zero",
                "groups of tiny weights get other parameters",
                _by(_flushed(_minmax), _flushed(_symmetric)),
            ),
            "not_finite_skipped": Flag(
                "NaN and infinities are left out of the range",
                "damaged weights go unnoticed",
                _not_finite_skipped,
                lenient=True,
            ),
        },
        _inputs,
    ),
)
