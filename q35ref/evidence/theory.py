"""What can be had at all: the error of the best quantizers of N(0, 1), as parts of its standard deviation."""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
"""float64."""

SETTLED: Final = 1e-13
"""Change of a level below which iterating ends."""


def shannon(bits: float) -> float:
    """Return the least error that any code of so many bits a weight can have, by rate-distortion theory: ``2**-bits``.

    >>> shannon(3.5)
    0.08838834764831845
    """
    return float(2.0**-bits)


def density(x: Floats) -> Floats:
    """Return the density of N(0, 1)."""
    value: Floats = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return value


def below(x: Floats) -> Floats:
    """Return the probability of less."""
    return np.array([0.5 * (1 + math.erf(each / math.sqrt(2))) for each in x])


def error_of(levels: Floats) -> float:
    """Return the error of rounding N(0, 1) to the nearest of some ascending levels."""
    edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
    mass = np.diff(below(edges))
    finite = np.where(np.isinf(edges), 0, edges)
    first = -np.diff(density(edges))
    second = mass - np.diff(finite * density(edges))
    return float(np.sqrt((second - 2 * levels * first + levels**2 * mass).sum()))


def lloyd_max(count: int) -> Floats:
    """Return the levels of the best quantizer of N(0, 1) with so many of them, each the mean of what is nearest."""
    levels = np.linspace(-2, 2, count) if count > 1 else np.zeros(1)
    while True:
        edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
        better = -np.diff(density(edges)) / np.diff(below(edges))
        if np.abs(better - levels).max() < SETTLED:
            return better
        levels = better


def best_uniform(count: int) -> tuple[float, float]:
    """Return the step of the best evenly spaced quantizer with so many levels, symmetric about 0, and its error."""
    offsets = np.arange(count) - (count - 1) / 2
    low, high = 1e-3, 4.0
    ratio = (math.sqrt(5) - 1) / 2
    while high - low > 1e-10:
        one, two = high - ratio * (high - low), low + ratio * (high - low)
        if error_of(one * offsets) < error_of(two * offsets):
            high = two
        else:
            low = one
    step = (low + high) / 2
    return step, error_of(step * offsets)


def lanes(wide: float, narrow: float) -> float:
    """Return the error of two lanes with as many weights each."""
    return math.sqrt((wide**2 + narrow**2) / 2)
