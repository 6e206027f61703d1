"""Laws of lanes and groups."""

import itertools

from q35ref.reference import lanes


def lanes_alternate(row: int) -> None:
    """Two rows on, the lane is the same; one row on, it is the other.

    pre: row >= 0
    post: True
    """
    assert lanes.lane_interval(row) == lanes.lane_interval(row + 2)
    assert lanes.lane_interval(row) != lanes.lane_interval(row + 1)


def only_narrow_rows_have_a_gain(row: int, narrow_gain: int) -> None:
    """With gain 2 the narrow lane spans -8 to 6 scales, inside the wide lane's -8 to 7; no gain changes a wide row.

    pre: row >= 0
    pre: 1 <= narrow_gain <= 2
    post: True
    """
    low, high = lanes.lane_interval(row)
    gain = lanes.lane_gain(row, narrow_gain)
    assert -8 <= gain * low <= gain * high <= 7
    assert gain == 1 or row % 2 == 1


def groups_partition_the_rows(k: int, multiple: int) -> None:
    """The groups' rows, in order, are the rows 0 to k - 1, each once.

    pre: 1 <= k <= 100
    pre: 0 <= multiple <= 8
    post: True
    """
    groups = lanes.group_rows(k, 16 * multiple)
    assert groups[0].start == 0
    assert groups[-1].stop == k
    assert all(rows.stop == following.start for rows, following in itertools.pairwise(groups))


def groups_have_their_size(k: int, multiple: int) -> None:
    """Every group has ``group_size`` rows, except the last, which may be short but never empty.

    pre: 1 <= k <= 100
    pre: 1 <= multiple <= 8
    post: True
    """
    groups = lanes.group_rows(k, 16 * multiple)
    assert all(len(rows) == 16 * multiple for rows in groups[:-1])
    assert 1 <= len(groups[-1]) <= 16 * multiple


def groups_begin_on_a_byte(k: int, multiple: int) -> None:
    """Every group begins with a wide row and with a dense block: its columns' codes can be cut out as bytes.

    pre: 1 <= k <= 100
    pre: 0 <= multiple <= 8
    post: True
    """
    assert all(rows.start % 16 == 0 for rows in lanes.group_rows(k, 16 * multiple))


def group_count_counts_the_groups(k: int, multiple: int) -> None:
    """``group_count`` is the number of groups that ``group_rows`` lists; ``group_length`` is that of the longest.

    pre: 1 <= k <= 100
    pre: 0 <= multiple <= 8
    post: True
    """
    groups = lanes.group_rows(k, 16 * multiple)
    assert lanes.group_count(k, 16 * multiple) == len(groups)
    assert lanes.group_length(k, 16 * multiple) == len(groups[0])
