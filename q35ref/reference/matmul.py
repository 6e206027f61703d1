"""int8 activations times quantized weights: integers exactly, the float result within a proved bound.

For one row of activations and one column of integers, in each group ``g``::

    acc[g]     = sum over k in g of gain(k) * a[k] * q[k]
    row_sum[g] = sum over k in g of a[k]
    out        = sum over g of scale[g] * acc[g] + offset[g] * row_sum[g]

``acc`` and ``row_sum`` fit int32 for every legal size (``acc_fits_int32``); ``out`` may be evaluated in float32
in any order, and is then within :func:`output_bound` of the exact value (``epilogue_error_le``).
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from q35ref.reference.float32 import MIN_SUBNORMAL, UNIT_ROUNDOFF, Number, exact
from q35ref.reference.lanes import check_narrow_gain, check_size, group_rows, lane_gain, lane_interval

INT8: Final = (-128, 127)
"""Smallest and largest activation."""

INT32_MAX: Final = 2**31 - 1
"""Largest accumulator."""

NO_VERDICT: Final = Fraction(2**127)
"""From this magnitude S on, a float32 evaluation may overflow on the way, and ``out`` is not judged."""

VERDICT_GROUPS: Final = 2**22 - 1
"""With more groups a column it is not judged either: that nothing overflows is proved up to here (theorem
``epilogue_float32_error_le``)."""


def accumulate(activations: Sequence[int], column: Sequence[int], narrow_gain: int, first_row: int = 0) -> int:
    """Return ``sum of gain(k) * a[k] * q[k]`` over a run of rows that begins at row ``first_row``.

    Domain: equal lengths. Errors: ValueError. Theorems: ``acc_append``, ``acc_fits_int32``, ``acc_wraps_eq``.

    >>> accumulate([1, -128], [7, -4], narrow_gain=2)
    1031

    pre: len(activations) == len(column) and len(column) <= 4
    pre: all(-128 <= a <= 127 for a in activations)
    pre: 1 <= narrow_gain <= 2
    pre: 0 <= first_row <= 8
    pre: all(lane_interval(first_row + i)[0] <= q <= lane_interval(first_row + i)[1] for i, q in enumerate(column))
    post: abs(_) <= 1024 * len(column)
    """
    if len(activations) != len(column):
        raise ValueError(f"activations: expected {len(column)} values, got {len(activations)}")
    total = 0
    for index, (a, q) in enumerate(zip(activations, column, strict=True)):
        total += lane_gain(first_row + index, narrow_gain) * a * q
    return total


def row_sum(activations: Sequence[int]) -> int:
    """Return the sum of the activations.

    >>> row_sum([1, -128])
    -127

    pre: len(activations) <= 4
    pre: all(-128 <= a <= 127 for a in activations)
    post: abs(_) <= 128 * len(activations)
    """
    return sum(activations)


def accumulator_bound(rows: int, narrow_gain: int) -> int:
    """Return the largest magnitude of an accumulator over ``rows`` rows from an even one on; it is attained.

    A wide row adds at most 128 * 8, a narrow row 128 * 4 * narrow_gain. Domain: rows >= 0, gain 1 or 2.
    Theorems: ``acc_fits_int32``, ``acc_overflows_at``.

    >>> accumulator_bound(2_097_151, 2) <= INT32_MAX < accumulator_bound(2_097_152, 2)
    True
    >>> accumulator_bound(2_796_202, 1) <= INT32_MAX < accumulator_bound(2_796_203, 1)
    True

    pre: 0 <= rows <= 2097151
    pre: 1 <= narrow_gain <= 2
    post: 0 <= _ < 2 ** 31
    post: _ <= 1024 * rows
    """
    return 1024 * ((rows + 1) // 2) + 512 * narrow_gain * (rows // 2)


def exact_output(
    acc: Sequence[int], row_sums: Sequence[int], scale: Sequence[Number], offset: Sequence[Number]
) -> Fraction:
    """Return ``sum over groups of scale * acc + offset * row_sum`` as an exact rational.

    Domain: four sequences of one length G >= 1, finite numbers. Errors: ValueError.
    Theorem: ``dot_dequantize_eq``, it equals the dot product with the dequantized column.

    >>> exact_output([10], [3], [0.5], [-1])
    Fraction(2, 1)
    """
    return sum((s + o for s, o in _terms(acc, row_sums, scale, offset)), Fraction(0))


def output_magnitude(
    acc: Sequence[int], row_sums: Sequence[int], scale: Sequence[Number], offset: Sequence[Number]
) -> Fraction:
    """Return ``S = sum over groups of abs(scale * acc) + abs(offset * row_sum)``. Domain: as :func:`exact_output`.

    >>> output_magnitude([10], [3], [0.5], [-1])
    Fraction(8, 1)
    """
    return sum((abs(s) + abs(o) for s, o in _terms(acc, row_sums, scale, offset)), Fraction(0))


def output_bound(groups: int, magnitude: Fraction, activation_scale: Number | None = None) -> Fraction:
    """Return B, how far a float32 ``out`` may be from the exact value: ``n*u / (1 - n*u) * S``, ``n = 2G + 1``.

    One rounding for each integer made float, one for each product, at most ``2G - 1`` for the sums, in any
    order. With an ``activation_scale`` the result is scaled by one more product: n grows by one, S is scaled
    too, and ``2**-150`` is added for an underflow. Domain: n * u < 1, S < 2**127. Errors: ValueError.
    Theorem: ``epilogue_error_le``.

    >>> output_bound(1, Fraction(1)) == 3 * UNIT_ROUNDOFF / (1 - 3 * UNIT_ROUNDOFF)
    True
    """
    scaled = activation_scale is not None
    roundings = 2 * groups + 1 + (1 if scaled else 0)
    relative = roundings * UNIT_ROUNDOFF
    if groups < 1 or relative >= 1:
        raise ValueError(f"groups: expected 1 to {2**23 - (2 if scaled else 1)}, got {groups}")
    factor = Fraction(1) if activation_scale is None else abs(exact("activation_scale", activation_scale))
    return relative / (1 - relative) * factor * magnitude + (MIN_SUBNORMAL / 2 if scaled else 0)


class Output(NamedTuple):
    """What a matmul yields for one row of activations and one column."""

    acc: list[int]
    """Accumulator of each group."""
    row_sum: list[int]
    """Sum of the activations of each group."""
    exact: Fraction
    """The exact output."""
    magnitude: Fraction
    """S, the sum of the magnitudes of its terms."""
    bound: Fraction
    """B, how far a float32 evaluation may be from ``exact``; no verdict where S >= 2**127."""


def matmul_entry(
    activations: Sequence[int],
    column: Sequence[int],
    group_size: int,
    narrow_gain: int,
    scale: Sequence[Number],
    offset: Sequence[Number],
) -> Output:
    """Return one entry of a matmul: its integers, the exact output, and the bound on a float32 evaluation.

    Shapes: activations[K], column[K], scale[G], offset[G]. Domain: activations in -128 .. 127, integers within
    their lanes, scale > 0. Errors: ValueError that names the argument.

    >>> matmul_entry([1, 2], [3, -1], 0, 2, [0.5], [1])[:3]
    ([-1], [3], Fraction(5, 2))
    """
    check_size("k", len(column))
    check_narrow_gain(narrow_gain)
    if len(activations) != len(column):
        raise ValueError(f"activations: expected {len(column)} values, got {len(activations)}")
    for row, (a, q) in enumerate(zip(activations, column, strict=True)):
        low, high = lane_interval(row)
        if not INT8[0] <= a <= INT8[1]:
            raise ValueError(f"activations[{row}]: expected an integer from {INT8[0]} to {INT8[1]}, got {a}")
        if not low <= q <= high:
            raise ValueError(f"q[{row}]: expected an integer from {low} to {high}, got {q}")
    groups = group_rows(len(column), group_size)
    accs, sums = [], []
    for rows in groups:
        part = slice(rows.start, rows.stop)
        accs.append(accumulate(activations[part], column[part], narrow_gain, rows.start))
        sums.append(row_sum(activations[part]))
    magnitude = output_magnitude(accs, sums, scale, offset)
    return Output(accs, sums, exact_output(accs, sums, scale, offset), magnitude, output_bound(len(groups), magnitude))


def _terms(
    acc: Sequence[int], row_sums: Sequence[int], scale: Sequence[Number], offset: Sequence[Number]
) -> list[tuple[Fraction, Fraction]]:
    for name, values in (("row_sums", row_sums), ("scale", scale), ("offset", offset)):
        if len(values) != len(acc):
            raise ValueError(f"{name}: expected {len(acc)} values, one a group, got {len(values)}")
    terms = []
    for g, (integer, total, s, o) in enumerate(zip(acc, row_sums, scale, offset, strict=True)):
        exact_scale = exact(f"scale[{g}]", s)
        if exact_scale <= 0:
            raise ValueError(f"scale[{g}]: expected a number > 0, got {s}")
        terms.append((exact_scale * integer, exact(f"offset[{g}]", o) * total))
    return terms
