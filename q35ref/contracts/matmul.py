"""Laws of accumulators, row sums and the output that is made of them, for up to 4 rows; in the last law, for many."""

from fractions import Fraction

from q35ref.reference import lanes, matmul


def an_accumulator_is_within_its_bound(activations: list[int], column: list[int], narrow_gain: int) -> None:
    """No activations and no integers exceed ``accumulator_bound``.

    pre: len(activations) == len(column) and len(column) <= 4
    pre: all(-128 <= a <= 127 for a in activations)
    pre: all(lanes.lane_interval(row)[0] <= q <= lanes.lane_interval(row)[1] for row, q in enumerate(column))
    pre: 1 <= narrow_gain <= 2
    post: True
    """
    bound = matmul.accumulator_bound(len(column), narrow_gain)
    assert abs(matmul.accumulate(activations, column, narrow_gain)) <= bound


def the_accumulator_bound_is_attained(rows: int, narrow_gain: int) -> None:
    """Activations of -128 and the least integers of the lanes give an accumulator as large as its bound.

    pre: 0 <= rows <= 4
    pre: 1 <= narrow_gain <= 2
    post: True
    """
    column = [lanes.lane_interval(row)[0] for row in range(rows)]
    assert matmul.accumulate([-128] * rows, column, narrow_gain) == matmul.accumulator_bound(rows, narrow_gain)


def accumulator_bounds_grow_with_the_rows(rows: int, narrow_gain: int) -> None:
    """One row more never allows less: the longest legal group bounds them all.

    pre: 0 <= rows < 2097151
    pre: 1 <= narrow_gain <= 2
    post: True
    """
    assert matmul.accumulator_bound(rows, narrow_gain) < matmul.accumulator_bound(rows + 1, narrow_gain)


def an_accumulator_may_be_split_anywhere(
    activations: list[int], column: list[int], narrow_gain: int, first: int, cut: int
) -> None:
    """The accumulators of two parts add up to the whole one's, wherever it is cut, in either lane.

    pre: len(activations) == len(column) and len(column) <= 4
    pre: all(-128 <= a <= 127 for a in activations)
    pre: 0 <= first <= 1
    pre: all(lanes.lane_interval(first + i)[0] <= q <= lanes.lane_interval(first + i)[1] for i, q in enumerate(column))
    pre: 1 <= narrow_gain <= 2
    pre: 0 <= cut <= len(column)
    post: True
    """
    head = matmul.accumulate(activations[:cut], column[:cut], narrow_gain, first)
    tail = matmul.accumulate(activations[cut:], column[cut:], narrow_gain, first + cut)
    assert matmul.accumulate(activations, column, narrow_gain, first) == head + tail


def a_row_sum_may_be_split_anywhere(activations: list[int], cut: int) -> None:
    """The sums of two parts add up to the whole one.

    pre: len(activations) <= 4
    pre: all(-128 <= a <= 127 for a in activations)
    pre: 0 <= cut <= len(activations)
    post: True
    """
    assert matmul.row_sum(activations) == matmul.row_sum(activations[:cut]) + matmul.row_sum(activations[cut:])


def the_dot_product_is_scale_times_acc_plus_offset_times_row_sum(
    activations: list[int], column: list[int], narrow_gain: int, scale: int, offset: int
) -> None:
    """Activations times dequantized weights need only two integers of a group, whatever its parameters are.

    pre: len(activations) == len(column) and len(column) <= 4
    pre: all(-128 <= a <= 127 for a in activations)
    pre: all(lanes.lane_interval(row)[0] <= q <= lanes.lane_interval(row)[1] for row, q in enumerate(column))
    pre: 1 <= narrow_gain <= 2
    post: True
    """
    total = 0
    for row in range(len(column)):
        total += activations[row] * (scale * lanes.lane_gain(row, narrow_gain) * column[row] + offset)
    acc = matmul.accumulate(activations, column, narrow_gain)
    assert total == scale * acc + offset * matmul.row_sum(activations)


def wrapped_sums_are_exact_where_the_total_fits(
    start: int, activations: list[int], column: list[int], narrow_gain: int
) -> None:
    """32-bit arithmetic may wrap on the way: if the exact total fits int32, it is what the register ends with.

    pre: -(2 ** 31) <= start < 2 ** 31
    pre: len(activations) == len(column) and len(column) <= 4
    pre: all(-128 <= a <= 127 for a in activations)
    pre: all(lanes.lane_interval(row)[0] <= q <= lanes.lane_interval(row)[1] for row, q in enumerate(column))
    pre: 1 <= narrow_gain <= 2
    post: True
    """
    register = start
    for row in range(len(column)):
        register += lanes.lane_gain(row, narrow_gain) * activations[row] * column[row]
        register = (register + 2**31) % 2**32 - 2**31
    total = start + matmul.accumulate(activations, column, narrow_gain)
    assert register == total or not -(2**31) <= total < 2**31


def a_matmul_entry_is_the_dot_product_of_its_groups(
    activations: list[int], column: list[int], multiple: int, narrow_gain: int, scale: list[int], offset: list[int]
) -> None:
    """Each row counts once, in its own group, with that group's parameters.

    pre: 1 <= len(column) <= 40
    pre: len(activations) == len(column)
    pre: all(-128 <= a <= 127 for a in activations)
    pre: all(lanes.lane_interval(row)[0] <= q <= lanes.lane_interval(row)[1] for row, q in enumerate(column))
    pre: 0 <= multiple <= 3
    pre: 1 <= narrow_gain <= 2
    pre: len(scale) == lanes.group_count(len(column), 16 * multiple)
    pre: all(s >= 1 for s in scale)
    pre: len(offset) == len(scale)
    post: True
    """
    entry = matmul.matmul_entry(activations, column, 16 * multiple, narrow_gain, scale, offset)
    acc, row_sum = [0] * len(scale), [0] * len(scale)
    total = 0
    for row, (a, q) in enumerate(zip(activations, column, strict=True)):
        g = row // (16 * multiple) if multiple else 0
        gain = narrow_gain if row % 2 else 1
        acc[g] += gain * a * q
        row_sum[g] += a
        total += a * (scale[g] * gain * q + offset[g])
    assert entry.acc == acc
    assert entry.row_sum == row_sum
    assert entry.exact == Fraction(total)
