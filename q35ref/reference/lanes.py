"""The two lanes of the format, its groups, and the sizes that are legal.

Rows ``0 .. K-1`` of a weight matrix are the summed dimension. Even rows form the wide lane (4 bits), odd rows
the narrow lane (3 bits). A group is a run of consecutive rows that share one scale and one offset.
"""

from typing import Final, Literal

Layout = Literal["byte", "dense"]
"""How a column's 7-bit codes are stored: one a byte, or as one little-endian bit stream."""

LAYOUTS: Final = ("byte", "dense")
"""Every :data:`Layout`, in the order of the C ABI's numbers."""

WIDE: Final = (-8, 7)
"""Smallest and largest integer of the wide lane: 4 bits, two's complement."""

NARROW: Final = (-4, 3)
"""Smallest and largest integer of the narrow lane: 3 bits, two's complement."""

NARROW_GAINS: Final = (1, 2)
"""The legal gains of the narrow lane; the wide lane's gain is always 1."""

GROUP_MULTIPLE: Final = 16
"""A group size is a multiple of this many rows, so that a dense group ends on a byte: 8 codes fill 7 bytes."""

MAX_GROUP_ROWS: Final = 2_097_151
"""Longest legal group: one row more and 128 * 8 a row can pass 2**31 - 1 (theorem ``acc_fits_int32``)."""

MAX_SIZE: Final = 2**63 - 1
"""Largest K, N or M: they are int64 in the C ABI."""


def lane_interval(row: int) -> tuple[int, int]:
    """Return the smallest and largest integer that row ``row`` can hold.

    >>> lane_interval(0), lane_interval(1)
    ((-8, 7), (-4, 3))

    pre: row >= 0
    post: _ == ((-8, 7) if row % 2 == 0 else (-4, 3))
    """
    return WIDE if row % 2 == 0 else NARROW


def lane_gain(row: int, narrow_gain: int) -> int:
    """Return the factor between an integer of row ``row`` and the group's scale.

    >>> [lane_gain(row, narrow_gain=2) for row in range(4)]
    [1, 2, 1, 2]

    pre: row >= 0
    pre: 1 <= narrow_gain <= 2
    post: _ == (1 if row % 2 == 0 else narrow_gain)
    """
    return 1 if row % 2 == 0 else narrow_gain


def check_size(name: str, value: int) -> None:
    """Refuse a dimension outside ``1 .. MAX_SIZE`` with a ValueError that names it."""
    if not 1 <= value <= MAX_SIZE:
        raise ValueError(f"{name}: expected 1 to {MAX_SIZE}, got {value}")


def check_narrow_gain(narrow_gain: int) -> None:
    """Refuse a gain that the format does not have with a ValueError."""
    if narrow_gain not in NARROW_GAINS:
        raise ValueError(f"narrow_gain: expected 1 or 2, got {narrow_gain}")


def check_layout(layout: str) -> None:
    """Refuse a layout that the format does not have with a ValueError."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout: expected 'byte' or 'dense', got {layout!r}")


def group_length(k: int, group_size: int) -> int:
    """Return the number of rows of the longest group: ``group_size``, or ``k`` where that is 0 or too long.

    Errors: ValueError for an illegal ``k``, a group size that is negative or no multiple of 16, and a group
    of more than :data:`MAX_GROUP_ROWS` rows.

    >>> group_length(40, 16), group_length(40, 0), group_length(40, 64)
    (16, 40, 40)

    pre: 1 <= k <= 2097151
    pre: 0 <= group_size <= 4194304
    pre: group_size % 16 == 0
    post: 1 <= _ <= k
    post: _ == k or _ == group_size
    """
    check_size("k", k)
    if group_size < 0 or group_size % GROUP_MULTIPLE != 0 or group_size > MAX_SIZE:
        raise ValueError(f"group_size: expected 0 (whole column) or a multiple of {GROUP_MULTIPLE}, got {group_size}")
    length = k if group_size == 0 else min(group_size, k)
    if length > MAX_GROUP_ROWS:
        raise ValueError(f"group_size: a group has at most {MAX_GROUP_ROWS} rows, got {length}")
    return length


def group_count(k: int, group_size: int) -> int:
    """Return G, the number of groups of a column of ``k`` rows; the last one may be short.

    Errors: as :func:`group_length`.

    >>> group_count(40, 16), group_count(40, 0)
    (3, 1)

    pre: 1 <= k <= 2097151
    pre: 0 <= group_size <= 4194304
    pre: group_size % 16 == 0
    post: _ >= 1
    post: (_ - 1) * group_length(k, group_size) < k <= _ * group_length(k, group_size)
    """
    length = group_length(k, group_size)
    return (k + length - 1) // length


def group_rows(k: int, group_size: int) -> list[range]:
    """Return the rows of each group, in order. Errors: as :func:`group_length`.

    >>> group_rows(40, 16)
    [range(0, 16), range(16, 32), range(32, 40)]
    """
    length = group_length(k, group_size)
    return [range(start, min(start + length, k)) for start in range(0, k, length)]
