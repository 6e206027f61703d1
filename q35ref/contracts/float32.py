"""Laws of rounding to float32. Lean carries them; here they are run."""

from fractions import Fraction

from q35ref.reference import float32


def round_float32_error_is_at_most_half_a_spacing(numerator: int, denominator: int) -> None:
    """The error is at most ``u * abs(x)``, and below ``2**-126`` at most half the smallest float32.

    pre: denominator >= 1
    post: True
    """
    x = Fraction(numerator, denominator)
    error = abs(float32.round_float32(x) - x)
    assert error <= (Fraction(1, 2**150) if abs(x) < Fraction(1, 2**126) else abs(x) / 2**24)


def round_float32_is_monotone(numerator: int, more: int, denominator: int) -> None:
    """A larger number is never rounded to a smaller float32.

    pre: denominator >= 1
    pre: more >= 0
    post: True
    """
    x, y = Fraction(numerator, denominator), Fraction(numerator + more, denominator)
    assert float32.round_float32(x) <= float32.round_float32(y)


def round_float32_fixes_float32s(significand: int, exponent: int) -> None:
    """A multiple of ``2**-149`` with at most 24 significant bits is a float32: it stays as it is.

    pre: -(2 ** 24) <= significand <= 2 ** 24
    pre: -149 <= exponent <= 104
    post: True
    """
    x = significand * Fraction(2) ** exponent
    assert float32.round_float32(x) == x


def round_float32_takes_ties_to_even(significand: int, exponent: int) -> None:
    """A number midway between two neighbours goes to the one whose significand is even.

    pre: 2 ** 23 <= significand < 2 ** 24
    pre: -149 <= exponent <= 103
    post: True
    """
    even = significand + significand % 2
    x = (2 * significand + 1) * Fraction(2) ** (exponent - 1)
    assert float32.round_float32(x) == even * Fraction(2) ** exponent
    assert float32.round_float32(-x) == -even * Fraction(2) ** exponent
