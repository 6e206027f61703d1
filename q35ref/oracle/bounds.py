"""How far a float may be from its exact value, as the least and the greatest float32 that are allowed."""

from fractions import Fraction

import numpy as np

from q35ref.oracle.problem import Array
from q35ref.reference.float32 import UNIT_ROUNDOFF, to_float32
from q35ref.reference.matmul import NO_VERDICT


def interval(
    name: str, exact: list[list[Fraction]], bound: list[list[Fraction]], silent: list[list[bool]]
) -> dict[str, Array]:
    """Return the least and the greatest float32 within a bound of each exact value."""
    low = np.full(np.shape(silent), -np.inf, np.float32)
    high = np.full_like(low, np.inf)
    for i, row in enumerate(exact):
        for j, value in enumerate(row):
            if not silent[i][j]:
                low[i, j] = _at_least(value - bound[i][j])
                high[i, j] = _at_most(value + bound[i][j])
    return {f"{name}_low": low, f"{name}_high": high}


def _at_least(end: Fraction) -> np.float32:
    """Return the least float32 from an end on."""
    nearest = np.float32(to_float32(end))
    return np.nextafter(nearest, np.float32(np.inf)) if Fraction(float(nearest)) < end else nearest


def _at_most(end: Fraction) -> np.float32:
    """Return the greatest float32 up to an end."""
    nearest = np.float32(to_float32(end))
    return np.nextafter(nearest, np.float32(-np.inf)) if Fraction(float(nearest)) > end else nearest


def weight_bound(value: Fraction, offset: Fraction) -> Fraction:
    """Return how far a dequantized weight may be from its value: the offset is rounded into it once, the rest twice."""
    return UNIT_ROUNDOFF * ((2 + UNIT_ROUNDOFF) * abs(value - offset) + abs(offset))


def weight_is_silent(scale: Fraction, offset: Fraction) -> bool:
    """Return whether the weights of a group may overflow on the way: the largest is eight steps from the offset."""
    return 8 * scale + abs(offset) >= NO_VERDICT
