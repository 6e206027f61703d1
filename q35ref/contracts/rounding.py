"""Laws of rounding to integers and of clamping, for all integers there are."""

from q35ref.contracts.proof_steps import assert_same_quotient, one_of
from q35ref.reference import rounding


def round_half_even_is_nearest(numerator: int, denominator: int, other: int) -> None:
    """No integer is nearer to the fraction than the one that it is rounded to.

    pre: denominator >= 1
    post: True
    """
    rounded = rounding.round_half_even(numerator, denominator)
    if other > rounded:
        assert denominator * other >= denominator * (rounded + 1)
    if other < rounded:
        assert denominator * other <= denominator * (rounded - 1)
    assert abs(numerator - denominator * rounded) <= abs(numerator - denominator * other)


def round_half_even_takes_ties_to_even(floor: int, half: int) -> None:
    """``floor + 1/2``, written ``(2 * half * floor + half) / (2 * half)``, goes to the even neighbour.

    pre: 1 <= half <= 32
    post: True
    """
    rounded = rounding.round_half_even(2 * half * floor + half, 2 * half)
    assert rounded % 2 == 0
    assert rounded in (floor, floor + 1)


def round_half_even_is_monotone(numerator: int, more: int, denominator: int) -> None:
    """A larger fraction is never rounded to a smaller integer.

    pre: more >= 0
    pre: denominator >= 1
    post: True
    """
    assert rounding.round_half_even(numerator, denominator) <= rounding.round_half_even(numerator + more, denominator)


def round_half_even_fixes_integers(integer: int, denominator: int) -> None:
    """A fraction that is an integer is rounded to that integer.

    pre: denominator >= 1
    post: True
    """
    assert rounding.round_half_even(integer * denominator, denominator) == integer


def round_half_even_is_odd(numerator: int, denominator: int) -> None:
    """Rounding the negated fraction negates the result: neither sign is preferred.

    pre: denominator >= 1
    post: True
    """
    assert rounding.round_half_even(-numerator, denominator) == -rounding.round_half_even(numerator, denominator)


def round_half_even_does_not_need_reduced_fractions(numerator: int, denominator: int, factor: int) -> None:
    """A factor that numerator and denominator share changes nothing.

    pre: denominator >= 1
    pre: 1 <= factor <= 8
    post: True
    """
    factor = one_of(factor, 1, 8)
    assert_same_quotient(numerator // denominator, numerator * factor // (denominator * factor), denominator)
    rounded = rounding.round_half_even(numerator, denominator)
    assert rounding.round_half_even(numerator * factor, denominator * factor) == rounded


def clamp_is_nearest(value: int, low: int, high: int, other: int) -> None:
    """No integer of the interval is nearer to the value than the one that it is clamped to.

    pre: low <= high
    pre: low <= other <= high
    post: True
    """
    assert abs(value - rounding.clamp(value, low, high)) <= abs(value - other)


def clamp_is_monotone(value: int, more: int, low: int, high: int) -> None:
    """A larger value is never clamped to a smaller integer.

    pre: more >= 0
    pre: low <= high
    post: True
    """
    assert rounding.clamp(value, low, high) <= rounding.clamp(value + more, low, high)


def clamp_fixes_the_interval(value: int, low: int, high: int) -> None:
    """What lies in the interval stays where it is.

    pre: low <= value <= high
    post: True
    """
    assert rounding.clamp(value, low, high) == value
