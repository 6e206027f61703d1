"""float32 as a list of numbers in ascending order: rounding is looking for the nearest entry.

The reference scales and rounds an integer; this finds the two neighbours by bisection over bit patterns and
takes the nearer one, the even pattern on a tie. The list goes on past float32's largest number by the same
rule, so that "too large" is a property of the answer and not of the search.
"""

import struct
from fractions import Fraction

INFINITY = 0x7F800000
"""The pattern after the largest float32; its place in the list is 2**128."""


def units(pattern: int) -> int:
    """Return the non-negative number that stands at a place of the list, its bit pattern, in units of 2**-149."""
    exponent, fraction = pattern >> 23, pattern & 0x7FFFFF
    return fraction if exponent == 0 else (fraction + 2**23) << (exponent - 1)


def entry(pattern: int) -> Fraction:
    """Return the non-negative number that stands at a place of the list."""
    return Fraction(units(pattern), 2**149)


def place_below(magnitude: Fraction) -> int:
    """Return the place of the largest entry that is not above ``magnitude``."""
    whole_units = magnitude * 2**149 // 1
    low, high = 0, INFINITY
    while units(high) <= whole_units:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if units(middle) <= whole_units else (low, middle)
    return low


def nearest_place(magnitude: Fraction) -> int:
    """Return the place of the entry that is nearest to ``magnitude``, the even place on a tie."""
    below = place_below(magnitude)
    return min((below, below + 1), key=lambda place: (abs(entry(place) - magnitude), place % 2))


def nearest(x: Fraction) -> Fraction:
    """Return RN32(x), with no upper limit."""
    rounded = entry(nearest_place(abs(x)))
    return -rounded if x < 0 else rounded


def is_entry(x: Fraction) -> bool:
    """Return whether ``x`` is the value of a finite float32."""
    return nearest(x) == x and abs(x) < 2**128


def neighbour(x: float, steps: int) -> float:
    """Return the float32 that lies ``steps`` places above ``x``."""
    pattern = place_below(abs(Fraction(x)))
    place = (-pattern if x < 0 else pattern) + steps
    return float(entry(abs(place))) * (-1 if place < 0 else 1)


def written(rounded: Fraction) -> list[int | str]:
    """Return ``[odd significand, exponent, bits]`` of an entry or its negative; from 2**128 on, infinity's."""
    place = place_below(abs(rounded))
    if entry(place) != abs(rounded):
        raise ValueError(f"rounded: {rounded} has not been rounded to float32")
    sign = 0x80000000 if rounded < 0 else 0
    significand, exponent = units(place), -149 if place else 0
    while significand % 2 == 0 and significand:
        significand, exponent = significand // 2, exponent + 1
    return [-significand if sign else significand, exponent, f"{sign | min(place, INFINITY):08x}"]


def as_stored(x: Fraction) -> float:
    """Return RN32(x) as C's conversion from double has it; only for an ``x`` that a double holds exactly."""
    if Fraction(float(x)) != x:
        raise ValueError(f"x: {x} is not the value of a double")
    value: float = struct.unpack("=f", struct.pack("=f", float(x)))[0]
    return value
