"""How values are written in Lean; ``proofs/Q35/Vectors/Literals.lean`` has the words that are not Lean's own."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any


def integer(value: int) -> str:
    """Return an integer; the sign is one of ours, which Lean reads ten times faster than its own.

    >>> integer(5), integer(-5)
    ('5', '−5')
    """
    return str(value) if value >= 0 else f"−{-value}"


def natural(value: int) -> str:
    """Return a natural number. Errors: ValueError for a negative one.

    >>> natural(5)
    '5'
    """
    if value < 0:
        raise ValueError(f"value: expected a natural number, got {value}")
    return str(value)


def rational(value: Fraction) -> str:
    """Return a rational, with an odd significand where the denominator is a power of two.

    >>> rational(Fraction(-3, 4)), rational(Fraction(40)), rational(Fraction(0)), rational(Fraction(-1, 3))
    ('dyadic −3 −2', 'dyadic 5 3', 'dyadic 0 0', 'ratio −1 3')
    """
    if value.denominator & (value.denominator - 1):
        return f"ratio {integer(value.numerator)} {value.denominator}"
    if value == 0:
        return "dyadic 0 0"
    zeros = (value.numerator & -value.numerator).bit_length() - 1
    exponent = zeros + 1 - value.denominator.bit_length()
    return f"dyadic {integer(value.numerator >> zeros)} {integer(exponent)}"


def number(form: Any) -> Fraction:
    """Return the value of a vector file's float32 or rational. Errors: ValueError for one that is not finite.

    >>> number([3, -2, "3f400000"]), number("-1/3")
    (Fraction(3, 4), Fraction(-1, 3))
    """
    match form:
        case [int(significand), int(exponent), str()]:
            return significand * Fraction(2) ** exponent
        case str() if "/" in form:
            return Fraction(form)
    raise ValueError(f"number: expected a float32 or a rational, got {form!r}")


def numbers(forms: Iterable[Any]) -> str:
    """Return a list of rationals."""
    return listed(rational(number(form)) for form in forms)


def integers(values: Iterable[int]) -> str:
    """Return a list of integers."""
    return listed(map(integer, values))


def naturals(values: Iterable[int]) -> str:
    """Return a list of natural numbers."""
    return listed(map(natural, values))


def octets(digits: str) -> str:
    """Return a list of bytes.

    >>> octets("2e20")
    '[46, 32]'
    """
    return naturals(bytes.fromhex(digits))


def listed(items: Iterable[str]) -> str:
    """Return a list."""
    return f"[{', '.join(items)}]"


def tupled(*items: str) -> str:
    """Return a tuple."""
    return f"({', '.join(items)})"


def structure(*fields: str) -> str:
    """Return a structure's value."""
    return f"⟨{', '.join(fields)}⟩"


def optional(item: str | None) -> str:
    """Return a result, or a refusal.

    >>> optional("[1]"), optional(None)
    ('some [1]', 'none')
    """
    if item is None:
        return "none"
    return f"some {item}"
