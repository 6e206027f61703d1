"""Vectors of ``round_half_even`` and ``clamp``."""

import math
from collections.abc import Iterator
from fractions import Fraction
from random import Random

from tools.vector_cases.build import SEED, Fields, Flag, Inputs, Operation, RefusedError


def nearest_integer(x: Fraction) -> int:
    """Return the nearest integer by comparing candidates, the even one on a tie."""
    near = int(x)
    return min(range(near - 1, near + 2), key=lambda integer: (abs(integer - x), integer % 2))


def half_away(x: Fraction) -> int:
    """Return the nearest integer, ties away from zero: C's ``round``."""
    return int(math.copysign(1, x)) * math.floor(abs(x) + Fraction(1, 2))


def _define(numerator: str, denominator: str) -> Fields:
    if int(denominator) < 1:
        raise RefusedError("denominator")
    return {"integer": str(nearest_integer(Fraction(int(numerator), int(denominator))))}


def _half_up(numerator: str, denominator: str) -> Fields:
    return {"integer": str(math.floor(Fraction(int(numerator), int(denominator)) + Fraction(1, 2)))}


def _half_away(numerator: str, denominator: str) -> Fields:
    return {"integer": str(half_away(Fraction(int(numerator), int(denominator))))}


def _half_down(numerator: str, denominator: str) -> Fields:
    return {"integer": str(math.ceil(Fraction(int(numerator), int(denominator)) - Fraction(1, 2)))}


def _truncated(numerator: str, denominator: str) -> Fields:
    return {"integer": str(int(Fraction(int(numerator), int(denominator))))}


def _in_double(numerator: str, denominator: str) -> Fields:
    return {"integer": str(round(int(numerator) / int(denominator)))}


def _inputs() -> Iterator[tuple[str, Inputs]]:
    def case(numerator: int, denominator: int) -> Inputs:
        return {"numerator": str(numerator), "denominator": str(denominator)}

    for denominator in range(1, 9):
        for numerator in range(-20, 21):
            yield "small", case(numerator, denominator)
    random = Random(f"round_half_even {SEED}")
    for _ in range(60):
        integer, half = random.randrange(-(2**70), 2**70), random.randrange(1, 2**60)
        for numerator in ((2 * integer + 1) * half - 1, (2 * integer + 1) * half, (2 * integer + 1) * half + 1):
            yield "large_tie", case(numerator, 2 * half)
    for denominator in (0, -1, -2):
        yield "refused", case(1, denominator)


def _clamp(value: int, low: int, high: int) -> Fields:
    if low > high:
        raise RefusedError("low, high")
    return {"value": min(range(low, high + 1), key=lambda inside: abs(inside - value))}


def _clamp_inputs() -> Iterator[tuple[str, Inputs]]:
    for low, high in ((-8, 7), (-4, 3), (-127, 127), (0, 0)):
        for value in (
            -(2**52),
            low - 17,
            low - 16,
            low - 1,
            low,
            low + 1,
            0,
            high - 1,
            high,
            high + 1,
            high + 9,
            2**52,
        ):
            yield "lane", {"value": value, "low": low, "high": high}
    yield "refused", {"value": 0, "low": 1, "high": 0}


OPERATIONS = (
    Operation(
        "round_half_even",
        "the integer nearest to numerator / denominator, ties to the even one",
        _define,
        {
            "half_up": Flag("ties go up: floor(x + 1/2)", "ties with an even floor come out 1 too high", _half_up),
            "half_down": Flag("ties go down: ceil(x - 1/2)", "ties with an odd floor come out 1 too low", _half_down),
            "half_away": Flag(
                "ties go away from zero, as C's round does", "ties between -1 and 0, 0 and 1, ... differ", _half_away
            ),
            "truncated": Flag("the fraction is cut off", "a bias towards zero of up to 1", _truncated),
            "in_double": Flag(
                "the quotient is formed in double first", "large quotients, or ones next to a tie, differ", _in_double
            ),
        },
        _inputs,
    ),
    Operation(
        "clamp",
        "the integer of low .. high that is nearest to value",
        _clamp,
        {
            "wrapped": Flag(
                "the value wraps around instead",
                "weights beyond the lane change sign",
                lambda value, low, high: {"value": (value - low) % (high - low + 1) + low},
            ),
            "symmetric": Flag(
                "the lower end is taken as -high",
                "the lane's lowest integer is never used",
                lambda value, low, high: {"value": max(-high, min(value, high))},
            ),
            "upper_only": Flag(
                "the lower end is not enforced",
                "low weights leave the lane",
                lambda value, low, high: {"value": min(value, high)},
            ),
        },
        _clamp_inputs,
    ),
)
