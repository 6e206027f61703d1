"""Rounding a rational to an integer, and clamping.

Source: IEEE 754-2019 §4.3.1, roundTiesToEven.
"""


def round_half_even(numerator: int, denominator: int) -> int:
    """Round ``numerator / denominator`` to the nearest integer, ties to the even one.

    Domain: any integer numerator, any denominator >= 1; the fraction need not be reduced.
    Errors: ValueError if the denominator is not positive.
    Theorems: ``roundHalfEven_error_le``, ``roundHalfEven_mono``.

    >>> [round_half_even(n, 2) for n in (-5, -3, -1, 1, 3, 5)]
    [-2, -2, 0, 0, 2, 2]

    pre: denominator >= 1
    post: -denominator <= 2 * (numerator - denominator * _) <= denominator
    """
    if denominator < 1:
        raise ValueError(f"denominator: expected an integer >= 1, got {denominator}")
    floor = numerator // denominator
    excess = 2 * (numerator - floor * denominator) - denominator
    if excess > 0 or (excess == 0 and floor % 2 == 1):
        return floor + 1
    return floor


def clamp(value: int, low: int, high: int) -> int:
    """Return the integer of ``low .. high`` that is nearest to ``value``.

    Domain: low <= high. Errors: ValueError if low > high.

    >>> clamp(9, -8, 7), clamp(-9, -8, 7), clamp(3, -8, 7)
    (7, -8, 3)

    pre: low <= high
    post: low <= _ <= high
    post: _ == value or (value < low and _ == low) or (value > high and _ == high)
    """
    if low > high:
        raise ValueError(f"low, high: expected low <= high, got {low} > {high}")
    return max(low, min(value, high))
