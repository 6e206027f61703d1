"""Vectors of ``round_float32``: RN32 of an exact rational, and the float32 that stands for it."""

import math
import struct
from collections.abc import Iterator
from fractions import Fraction
from random import Random

from tools.vector_cases import grid
from tools.vector_cases.build import SEED, Fields, Flag, Inputs, Operation
from tools.vector_cases.rounding import half_away

MAX = (2 - Fraction(1, 2**23)) * 2**127
"""The largest float32."""


def _define(x: Fraction) -> Fields:
    rounded = grid.written(grid.nearest(x))
    if abs(x) <= MAX and Fraction(float(x)) == x:  # one rounding from double: C's conversion is a second witness
        assert grid.as_stored(x) == math.ldexp(int(rounded[0]), int(rounded[1])), x
    return {"rounded": rounded}


def _truncated(x: Fraction) -> Fields:
    return {"rounded": grid.written(_signed(grid.entry(grid.place_below(abs(x))), x))}


def _half_away(x: Fraction) -> Fields:
    below = grid.place_below(abs(x))
    spacing = grid.entry(below + 1) - grid.entry(below)
    return {"rounded": grid.written(_signed(grid.entry(below) + spacing * half_away((abs(x) % spacing) / spacing), x))}


def _flushed(x: Fraction) -> Fields:
    rounded = grid.nearest(x)
    return {"rounded": grid.written(rounded if abs(rounded) >= Fraction(1, 2**126) else Fraction(0))}


def _through_double(x: Fraction) -> Fields:
    return {"rounded": grid.written(grid.nearest(Fraction(float(x))))}


def _early_infinity(x: Fraction) -> Fields:
    return {"rounded": grid.written(grid.nearest(x) if abs(x) <= MAX else _signed(Fraction(2**128), x))}


def _saturated(x: Fraction) -> Fields:
    return {"rounded": grid.written(_signed(min(abs(grid.nearest(x)), MAX), x))}


def _unbounded_exponent(x: Fraction) -> Fields:
    if x == 0 or abs(x) >= Fraction(1, 2**126):
        return _define(x)
    _, exponent = math.frexp(float(x))
    spacing = Fraction(2) ** (exponent - 24)
    rounded = round(x / spacing) * spacing
    significand, shift = rounded.numerator, 1 - rounded.denominator.bit_length()
    zeros = (significand & -significand).bit_length() - 1
    return {"rounded": [significand >> zeros, shift + zeros, struct.pack(">f", float(grid.nearest(rounded))).hex()]}


def _signed(magnitude: Fraction, like: Fraction) -> Fraction:
    return -magnitude if like < 0 else magnitude


def _both_signs(category: str, x: Fraction) -> Iterator[tuple[str, Inputs]]:
    yield category, {"x": x}
    yield category, {"x": -x}


def _around_midpoint(category: str, place: int) -> Iterator[tuple[str, Inputs]]:
    """The midpoint above a place, and what lies a hair to its left and right; the hairs vanish in a double."""
    middle = (grid.entry(place) + grid.entry(place + 1)) / 2
    hair = (grid.entry(place + 1) - grid.entry(place)) / 2**40
    for x in (middle - hair, middle, middle + hair):
        yield from _both_signs(category, x)


def _inputs() -> Iterator[tuple[str, Inputs]]:
    random = Random(f"round_float32 {SEED}")
    for x in (Fraction(0), Fraction(1), Fraction(1, 3), Fraction(1, 10), Fraction(2, 3), Fraction(10) ** 30):
        yield from _both_signs("plain", x)
    for place in (0, 1, 2, 3, 0x7FFFFE, 0x7FFFFF, 0x800000, 0x800001):
        yield from _around_midpoint("subnormal", place)
    for _ in range(12):
        yield from _around_midpoint("subnormal", random.randrange(4, 0x7FFFFE))
    for exponent in (-126, -125, -24, -1, 0, 1, 23, 24, 100, 127):  # the spacing changes, and a carry may run
        power = (exponent + 127) << 23
        for place in (power - 2, power - 1, power, power + 1):
            yield from _around_midpoint("power_of_two", place)
    for _ in range(30):
        yield from _around_midpoint("normal", random.randrange(0x800000, grid.INFINITY - 1))
    threshold = Fraction(2**128 - 2**103)  # half way between the largest float32 and 2**128
    for x in (
        MAX,
        threshold - Fraction(1, 2**60),
        threshold - 1,
        threshold,
        threshold + 1,
        Fraction(2**128),
        2**140 / Fraction(3),
        Fraction(2**1023 - 2**998),
        Fraction(2**1024),
        Fraction(2**2000),
    ):
        yield from _both_signs("overflow", x)
    for _ in range(60):
        numerator, denominator = random.randrange(1, 2**64), random.randrange(1, 2**64)
        yield "quotient", {"x": Fraction(numerator, denominator) * Fraction(2) ** random.randrange(-140, 100)}
    for tiny in (Fraction(1, 2**150), Fraction(1, 2**151), Fraction(1, 2**300), Fraction(3, 2**151)):
        yield from _both_signs("underflow", tiny)


OPERATIONS = (
    Operation(
        "round_float32",
        "RN32(x): x rounded once to float32, ties to even; bits are those of infinity where it overflows",
        _define,
        {
            "truncated": Flag("the low bits are cut off", "results up to one ulp too small", _truncated),
            "half_away": Flag("ties go away from zero", "midpoints with an even lower neighbour differ", _half_away),
            "flushed": Flag("subnormal results become zero", "the smallest scales and weights vanish", _flushed),
            "double_rounding": Flag(
                "x is rounded to double, then to float32",
                "values a hair from a midpoint round the wrong way",
                _through_double,
            ),
            "unbounded_exponent": Flag(
                "24 bits are kept below 2**-126 too",
                "subnormal results have digits that float32 lacks",
                _unbounded_exponent,
            ),
            "early_infinity": Flag(
                "whatever exceeds the largest float32 becomes infinite",
                "values that round down to the largest float32 are lost",
                _early_infinity,
            ),
            "saturated": Flag(
                "overflow yields the largest float32", "an infinity that IEEE 754 demands is missing", _saturated
            ),
        },
        _inputs,
    ),
)
