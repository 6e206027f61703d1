"""What helps a symbolic checker through a law, and changes nothing for a run on concrete integers.

CrossHair keeps what an assertion has established as known on that path. A law may therefore assert an intermediate
step, a lemma, which the solver can settle alone and without which its last assertion would take it for ever.
"""

from collections.abc import Sequence


def number_in_base(base: int, digits: Sequence[int]) -> int:
    """Return the number that has these digits, the least one first.

    >>> number_in_base(256, [46, 32])
    8238
    """
    number = 0
    for digit in reversed(digits):
        number = number * base + digit
    return number


def one_of(value: int, low: int, high: int) -> int:
    """Return ``value``, which lies in ``low .. high``; to a symbolic checker it is a known number from here on.

    Products with it become linear, at the price of a path for each value.

    >>> one_of(3, 1, 8)
    3
    """
    for known in range(low, high):
        if value == known:
            return known
    return high


def assert_same_quotient(quotient: int, other: int, divisor: int) -> None:
    """Assert that two quotients by one divisor are equal, by way of their products with it.

    >>> assert_same_quotient(7 // 2, 14 // 4, divisor=2)
    """
    if other > quotient:
        assert divisor * other >= divisor * (quotient + 1)
    if other < quotient:
        assert divisor * other <= divisor * (quotient - 1)
    assert other == quotient


def assert_equal_digits(digits: Sequence[int], others: Sequence[int]) -> None:
    """Assert that two sequences are equal, the least digit first, as each follows from those before it.

    >>> assert_equal_digits([46, 64], [46, 64])
    """
    assert len(digits) == len(others)
    for index in range(len(others)):
        assert digits[index] == others[index]


def assert_padding_is_clear(stream: Sequence[int], count: int) -> None:
    """Assert that a dense stream of up to 8 codes is clear after the last one.

    >>> assert_padding_is_clear([46, 32], 2)
    """
    assert count in (0, 8) or stream[-1] < 2 ** (8 - count)
