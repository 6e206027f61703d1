"""Vectors of ``quantize``: ties and what lies next to them, the ends of the lanes, scales and offsets of all sizes."""

from collections.abc import Iterator
from fractions import Fraction
from random import Random

from tools.vector_cases import grid
from tools.vector_cases.build import SEED, Inputs, Operation
from tools.vector_cases.quantizer import FLAGS, gain, lane, quantize

LANES = ((0, 1), (0, 2), (1, 1), (1, 2))
"""Row and narrow gain of the four kinds of step. Row 0 with gain 2 shows a gain that leaks into the wide lane."""

PLAIN = ((1.0, 0.0), (0.75, 0.25), (3 * 2.0**-149, 0.0), (2.0**-148, 5 * 2.0**-149), (5 * 2.0**124, -(2.0**120)))
"""Scales and offsets whose ties are float32s: ordinary, subnormal, huge."""

TINY = (2.0**-60, 2.0**-100, 2.0**-149)
"""Offsets that vanish next to a weight of 1 in double arithmetic."""


def case(weight: float, scale: float, offset: float, row: int, narrow_gain: int) -> Inputs:
    """Return the inputs of one case."""
    return {"weight": weight, "scale": scale, "offset": offset, "row": row, "narrow_gain": narrow_gain}


def random_float(random: Random, low: int, high: int) -> float:
    """Return a positive float32 of 24 random bits whose exponent lies in ``low .. high - 1``."""
    return float((2**23 + random.getrandbits(23)) * Fraction(2) ** (random.randrange(low, high) - 23))


def _near(
    category: str, target: Fraction, scale: float, offset: float, row: int, g: int
) -> Iterator[tuple[str, Inputs]]:
    """The float32 next to a target value, and the ones below and above it."""
    if abs(target) >= 2**127:
        return
    nearest = float(grid.nearest(target))
    for steps in (-1, 0, 1):
        yield category, case(grid.neighbour(nearest, steps), scale, offset, row, g)


def _plain() -> Iterator[tuple[str, Inputs]]:
    """Every code and every tie of each lane, and two steps beyond each end."""
    for scale, offset in PLAIN:
        for row, g in LANES:
            codes, step = lane(row), Fraction(scale) * gain(row, g)
            for half_steps in range(2 * codes[0] - 4, 2 * codes[-1] + 5):
                target = Fraction(half_steps, 2) * step + Fraction(offset)
                kind = "tie" if half_steps % 2 else "code"
                if half_steps % 2:
                    yield from _near(kind, target, scale, offset, row, g)
                elif abs(target) < 2**127:
                    yield kind, case(float(grid.nearest(target)), scale, offset, row, g)


def _tiny_offsets() -> Iterator[tuple[str, Inputs]]:
    """A weight on a tie of offset 0, and an offset too small for a double to see it there."""
    for row, g in LANES[1:]:
        for offset in TINY:
            for q in lane(row)[:-1]:
                weight = float((q + Fraction(1, 2)) * gain(row, g))
                for sign in (-1, 1):
                    yield "tiny_offset", case(weight, 1.0, sign * offset, row, g)


def _random() -> Iterator[tuple[str, Inputs]]:
    random = Random(f"quantize {SEED}")
    for exponents in ((-20, 20), (-149, -120), (100, 124)):
        for number in range(48):
            row, g = LANES[number % 4]
            scale = max(float(grid.nearest(Fraction(random_float(random, *exponents)))), 2.0**-149)
            offset = float(grid.nearest(Fraction(scale) * random.randrange(-(2**20), 2**20) / 2**17))
            q = lane(row)[random.randrange(len(lane(row)) - 1)]
            target = (q + Fraction(1, 2)) * Fraction(scale) * gain(row, g) + Fraction(offset)
            yield from _near("near_tie", target, scale, offset, row, g)
            inside = Fraction(random.randrange(-(2**20), 2**20), 2**16) * Fraction(scale) + Fraction(offset)
            if abs(inside) < 2**127:
                yield "random", case(float(grid.nearest(inside)), scale, offset, row, g)


def _quotients() -> Iterator[tuple[str, Inputs]]:
    """Quotients nearer to a tie than float32 can tell: weight and scale are odd integers of 24 bits."""
    random = Random(f"quotients {SEED}")
    for number in range(60):
        row, g = LANES[number % 4]
        scale = 2**23 + 2 * random.getrandbits(22) + 1
        for twice in (scale * gain(row, g) - 1, scale * gain(row, g) + 1):
            if twice % 2 == 0:
                yield "quotient", case(float((1 - 2 * (number // 4 % 2)) * (twice // 2)), float(scale), 0.0, row, g)


def _extremes() -> Iterator[tuple[str, Inputs]]:
    largest = float(grid.entry(grid.INFINITY - 1))
    for row, g in LANES:
        for weight in (largest, -largest, 2.0**-149, -(2.0**-149), 0.0):
            for scale in (2.0**-149, 2.0**-126, 1.0, largest):
                for offset in (0.0, largest, -largest, 2.0**-149):
                    yield "extreme", case(weight, scale, offset, row, g)


def _refused() -> Iterator[tuple[str, Inputs]]:
    bad = (float("nan"), float("inf"), float("-inf"))
    for row in (0, 1):
        for value in bad:
            yield "refused", case(value, 1.0, 0.0, row, 2)
            yield "refused", case(1.0, value, 0.0, row, 2)
            yield "refused", case(1.0, 1.0, value, row, 2)
        for scale in (0.0, -1.0, -(2.0**-149)):
            yield "refused", case(1.0, scale, 0.0, row, 2)
        for narrow_gain in (-1, 0, 3):
            yield "refused", case(1.0, 1.0, 0.0, row, narrow_gain)


def _inputs() -> Iterator[tuple[str, Inputs]]:
    for part in (_plain, _tiny_offsets, _random, _quotients, _extremes, _refused):
        yield from part()


OPERATIONS = (
    Operation(
        "quantize",
        "clamp(rne((weight - offset) / (scale * gain)), lowest, highest) in exact arithmetic; row chooses the lane",
        quantize,
        FLAGS,
        _inputs,
    ),
)
