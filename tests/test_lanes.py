"""Lanes, groups and legal sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from q35ref.reference.lanes import (
    GROUP_MULTIPLE,
    LAYOUTS,
    MAX_GROUP_ROWS,
    MAX_SIZE,
    check_layout,
    check_narrow_gain,
    check_size,
    group_count,
    group_length,
    group_rows,
    lane_gain,
    lane_interval,
)


def test_even_rows_hold_four_bits_and_odd_rows_three() -> None:
    for row in range(64):
        low, high = lane_interval(row)
        bits = 4 if row % 2 == 0 else 3
        assert list(range(low, high + 1)) == [value - 2 ** (bits - 1) for value in range(2**bits)]


def test_only_the_narrow_lane_has_the_gain() -> None:
    for gain in (1, 2):
        assert [lane_gain(row, gain) for row in range(4)] == [1, gain, 1, gain]


def test_a_group_of_the_longest_legal_length_fits_int32_and_no_longer_one_does() -> None:
    assert MAX_GROUP_ROWS * 128 * 8 <= 2**31 - 1 < (MAX_GROUP_ROWS + 1) * 128 * 8


@given(st.integers(1, 400), st.integers(0, 30))
def test_groups_are_consecutive_rows_and_only_the_last_may_be_short(k: int, multiple: int) -> None:
    group_size = multiple * GROUP_MULTIPLE
    rows = group_rows(k, group_size)
    assert [row for group in rows for row in group] == list(range(k))
    assert len(rows) == group_count(k, group_size)
    for row in range(k):
        assert row in rows[row // group_size if group_size else 0]
    assert {len(group) for group in rows[:-1]} <= {group_length(k, group_size)}


@pytest.mark.parametrize(
    ("k", "group_size", "lengths"),
    [
        (1, 0, [1]),
        (1, 16, [1]),
        (16, 16, [16]),
        (17, 16, [16, 1]),
        (40, 16, [16, 16, 8]),
        (40, 64, [40]),
        (MAX_GROUP_ROWS, 0, [MAX_GROUP_ROWS]),
        (MAX_GROUP_ROWS + 1, MAX_GROUP_ROWS - 15, [MAX_GROUP_ROWS - 15, 16]),
    ],
)
def test_the_lengths_of_groups(k: int, group_size: int, lengths: list[int]) -> None:
    assert [len(rows) for rows in group_rows(k, group_size)] == lengths


def test_the_number_of_rows_is_bounded_by_int64_only() -> None:
    assert MAX_SIZE.bit_length() == 63 < (MAX_SIZE + 1).bit_length()
    assert group_count(MAX_SIZE, 16) == 2**59
    with pytest.raises(ValueError, match=f"k: expected 1 to {MAX_SIZE}, got {MAX_SIZE + 1}"):
        group_count(MAX_SIZE + 1, 16)


@pytest.mark.parametrize("k", [0, -1])
def test_a_column_without_rows_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="k: expected 1 to"):
        group_length(k, 16)


@pytest.mark.parametrize("group_size", [-16, -1, 1, 8, 17, 24, 2**63])
def test_a_group_size_that_is_negative_or_no_multiple_of_16_is_refused(group_size: int) -> None:
    for function in (group_length, group_count, group_rows):
        with pytest.raises(ValueError, match=r"group_size: expected 0 .* or a multiple of 16"):
            function(64, group_size)


@pytest.mark.parametrize(("k", "group_size"), [(MAX_GROUP_ROWS + 1, 0), (2**40, 2**21), (MAX_GROUP_ROWS + 1, 2**40)])
def test_a_group_that_is_too_long_is_refused(k: int, group_size: int) -> None:
    with pytest.raises(ValueError, match=f"group_size: a group has at most {MAX_GROUP_ROWS} rows"):
        group_length(k, group_size)


@pytest.mark.parametrize("gain", [0, -1, 3])
def test_a_gain_other_than_1_and_2_is_refused(gain: int) -> None:
    check_narrow_gain(1)
    check_narrow_gain(2)
    with pytest.raises(ValueError, match=f"narrow_gain: expected 1 or 2, got {gain}"):
        check_narrow_gain(gain)


def test_a_layout_other_than_byte_and_dense_is_refused() -> None:
    for layout in LAYOUTS:
        check_layout(layout)
    with pytest.raises(ValueError, match="layout: expected 'byte' or 'dense', got 'nibble'"):
        check_layout("nibble")


def test_sizes_are_refused_by_name() -> None:
    check_size("m", 1)
    check_size("m", MAX_SIZE)
    for value in (0, -5, MAX_SIZE + 1):
        with pytest.raises(ValueError, match=f"m: expected 1 to {MAX_SIZE}, got {value}"):
            check_size("m", value)
