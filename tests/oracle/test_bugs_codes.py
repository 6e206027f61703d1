"""Bugs between integers and bytes: as the planted kernels have them, and what each variant writes and reads."""

from typing import Any

import numpy as np
import pytest

from q35ref.oracle import cases
from q35ref.oracle.bugs import codes
from q35ref.oracle.bugs.base import Bug
from tests.kernels import planted
from tests.oracle.planted_twins import (
    assert_twins,
    assert_twins_everywhere,
    assert_unlike,
    packing,
    result,
    right,
    same,
    unpacking,
)

PAIRS = cases.every_pair()
"""All pairs, a column each."""

WIDE, NARROW = PAIRS.astype(int)
"""Their wide and their narrow integers."""


def written(bug: Bug) -> Any:
    """Return the codes that a class writes for every pair."""
    return bug.pack(PAIRS, "byte")[:, 0]


def read(bug: Bug) -> Any:
    """Return the pairs that a class reads from the codes 0 to 127, ``[128, 2]``."""
    return bug.unpack(np.arange(128, dtype=np.uint8)[:, None], 2, "byte").T


@pytest.mark.parametrize(
    "name",
    [
        "LanesSwapped",
        "FieldShift",
        "WideSignMissing",
        "NarrowSignMissing",
        "OnesComplement",
        "BigEndianCodes",
        "OddTail",
        "PaddingBitsSet",
    ],
)
def test_each_class_is_as_its_planted_kernel(name: str) -> None:
    assert_twins_everywhere(getattr(codes, name)(), getattr(planted, name)())


@pytest.mark.parametrize(
    ("variant", "twin"),
    [
        (codes.WideSignThreshold(9), planted.WideSignThreshold),
        (codes.WideSignThreshold(7), planted.WideSignThresholdLow),
        (codes.NarrowSignThreshold(3), planted.NarrowSignThreshold),
        (codes.NarrowSignThreshold(5), planted.NarrowSignThresholdHigh),
        (codes.OddTail(dropped=False), planted.OddTailInNarrowField),
        (codes.PaddingBitsSet(("byte",)), planted.PaddingBitsSetByte),
    ],
)
def test_variants_are_as_the_planted_kernels_of_another_way(variant: Bug, twin: Any) -> None:
    assert_twins_everywhere(variant, twin())


def test_rows_after_the_last_block_are_left_out() -> None:
    """The planted kernel leaves them out of the row sums too."""
    assert_twins(codes.BlockTail(), planted.BlockTail(), (*packing(), *unpacking()))


@pytest.mark.parametrize(
    "name",
    ["LanesSwapped", "FieldShift", "BytesReversed", "PaddingBitsSet", "OddTail", "OrderSwapped"],
)
def test_no_two_variants_are_the_same(name: str) -> None:
    assert_unlike(getattr(codes, name).variants())


@pytest.mark.parametrize("name", ["LanesSwapped", "FieldShift", "BytesReversed", "PaddingBitsSet", "OddTail"])
def test_the_first_variant_is_what_the_class_is_by_itself(name: str) -> None:
    kernel = getattr(codes, name)
    for problem in (*packing(), *unpacking()):
        assert same(result(kernel.variants()[0], problem), result(kernel(), problem))


def test_the_wrong_integers_may_be_in_the_right_fields() -> None:
    """Four bits of the narrow integer above three of the wide one."""
    assert len(codes.LanesSwapped.variants()) == 2
    bug = codes.LanesSwapped.variants()[1]
    assert np.array_equal(written(bug), 8 * (NARROW % 16) + WIDE % 8)
    fields = np.arange(128)
    wide, narrow = fields // 8, fields % 8
    assert np.array_equal(read(bug), np.stack([narrow - 8 * (narrow > 3), wide - 16 * (wide > 7)], axis=1))


@pytest.mark.parametrize(
    ("index", "bits", "negative_from"),
    [(0, 4, 8), (1, 4, 4), (2, 3, 4)],
)
def test_nibbles_may_have_their_sign_in_the_fourth_or_the_third_bit(index: int, bits: int, negative_from: int) -> None:
    """A narrow field of four bits whose sign is the third one is taken off eight, not sixteen."""
    assert len(codes.FieldShift.variants()) == 3
    bug = codes.FieldShift.variants()[index]
    assert np.array_equal(written(bug), 16 * (WIDE % 16) + NARROW % 2**bits)
    fields = np.arange(128)
    wide, narrow = fields // 16, fields % 2**bits
    expected = [wide, np.where(narrow < negative_from, narrow, narrow - 2 * negative_from)]
    assert np.array_equal(read(bug), np.stack(expected, axis=1))


def test_a_byte_whose_high_bit_is_set_is_a_negative_nibble_too() -> None:
    byte = np.array([[0b1000_0001]], np.uint8)
    assert codes.FieldShift().unpack(byte, 2, "byte").tolist() == [[-8], [1]]


@pytest.mark.parametrize(("kernel", "lane", "size"), [("WideSignThreshold", 0, 16), ("NarrowSignThreshold", 1, 8)])
def test_signs_begin_at_every_threshold_but_the_right_one(kernel: str, lane: int, size: int) -> None:
    """A field below the threshold is itself, any other itself less what the field can hold."""
    fields = np.arange(size)
    reads = np.arange(size, dtype=np.uint8)[:, None] << (3 if lane == 0 else 0)
    thresholds = []
    for bug in getattr(codes, kernel).variants():
        found = bug.unpack(reads, 2, "byte")[lane].astype(int)
        threshold = int((found >= 0).sum())
        assert np.array_equal(found, np.where(fields < threshold, fields, fields - size))
        thresholds.append(threshold)
    assert sorted(thresholds) == [number for number in range(1, size) if number != size // 2]


@pytest.mark.parametrize(("kernel", "lane", "size"), [("WideSignThreshold", 0, 16), ("NarrowSignThreshold", 1, 8)])
def test_by_itself_the_threshold_is_none_and_every_field_negative(kernel: str, lane: int, size: int) -> None:
    reads = np.arange(size, dtype=np.uint8)[:, None] << (3 if lane == 0 else 0)
    found = getattr(codes, kernel)().unpack(reads, 2, "byte")[lane]
    assert found.tolist() == list(range(-size, 0))


def test_ones_complement_negates_by_flipping_every_bit() -> None:
    bug = codes.OnesComplement()
    expected = 8 * np.where(WIDE < 0, 15 - -WIDE, WIDE) % 128 + np.where(NARROW < 0, 7 - -NARROW, NARROW) % 8
    assert np.array_equal(written(bug), expected)
    assert read(bug)[0b1000_100].tolist() == [-7, -3]
    assert read(bug)[0b1111_111].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("k", "whole", "short"),
    [
        (16, [6, 5, 4, 3, 2, 1, 0], []),
        (18, [6, 5, 4, 3, 2, 1, 0], [7]),
        (22, [6, 5, 4, 3, 2, 1, 0], [7, 8, 9]),
        (28, [6, 5, 4, 3, 2, 1, 0], [7, 8, 9, 10, 11, 12]),
        (32, [6, 5, 4, 3, 2, 1, 0, 13, 12, 11, 10, 9, 8, 7], []),
        (6, [], [0, 1, 2]),
    ],
)
def test_a_last_block_that_is_short_is_left_as_it_is_or_reversed_too(
    k: int, whole: list[int], short: list[int]
) -> None:
    """Sixteen rows fill a block of seven bytes."""
    q = cases.integers(k, 2, np.random.default_rng(k))
    straight = planted.Correct().pack(q, "dense")
    left, reversed_too = codes.BytesReversed.variants()
    assert np.array_equal(left.pack(q, "dense"), straight[:, whole + short])
    assert np.array_equal(reversed_too.pack(q, "dense"), straight[:, whole + short[::-1]])
    for bug in (left, reversed_too):
        assert np.array_equal(bug.unpack(bug.pack(q, "dense"), k, "dense"), q)


def test_a_reversed_last_block_is_as_the_planted_kernel_has_it() -> None:
    assert_twins_everywhere(codes.BytesReversed(whole=False), planted.BytesReversed())


def test_spare_bits_are_set_in_one_layout_or_in_both() -> None:
    """Each byte's highest bit, or what a column's codes leave of its last byte: three codes leave three bits."""
    dense, byte, both = codes.PaddingBitsSet.variants()
    q = np.zeros((6, 1), np.int8)
    clear = {"byte": [[0, 0, 0]], "dense": [[0, 0, 0]]}
    spare = {"byte": [[128, 128, 128]], "dense": [[0, 0, 0b11100000]]}
    for bug, layouts in ((dense, ["dense"]), (byte, ["byte"]), (both, ["byte", "dense"])):
        for layout in ("byte", "dense"):
            assert bug.pack(q, layout).tolist() == (spare if layout in layouts else clear)[layout]
    eight = np.zeros((16, 2), np.int8)
    assert not both.pack(eight, "dense").any()


def test_packed_bytes_are_in_the_order_of_rows() -> None:
    """Two columns of three bytes come as three of two, all the bytes of the first position first."""
    bug = codes.OrderSwapped.variants()[0]
    q = cases.integers(6, 2, np.random.default_rng(7))
    straight = planted.Correct().pack(q, "byte")
    (a, b, c), (d, e, f) = straight.tolist()
    assert bug.pack(q, "byte").tolist() == [[a, d, b], [e, c, f]]
    assert np.array_equal(bug.unpack(np.array([[a, d, b], [e, c, f]], np.uint8), 6, "byte"), q)


def test_integers_are_taken_in_the_order_of_columns_or_of_rows() -> None:
    """Of 0 to 5 in three rows of two, columns first is 0 2 4 1 3 5, of which the rows are made anew."""
    q = np.array([[0, 1], [2, 3], [4, 1]], np.int8)
    columns, rows = codes.OrderSwapped.variants()[1:]
    correct = planted.Correct()
    assert np.array_equal(columns.pack(q, "byte"), correct.pack(np.array([[0, 2], [4, 1], [3, 1]], np.int8), "byte"))
    assert np.array_equal(rows.pack(q, "byte"), correct.pack(np.array([[0, 3], [1, 4], [2, 1]], np.int8), "byte"))
    packed = correct.pack(q, "byte")
    assert columns.unpack(packed, 3, "byte").tolist() == [[0, 3], [1, 4], [2, 1]]
    assert rows.unpack(packed, 3, "byte").tolist() == [[0, 2], [4, 1], [3, 1]]


def test_taking_columns_for_rows_is_what_the_planted_kernel_does() -> None:
    assert_twins_everywhere(codes.OrderSwapped("rows"), planted.OrderSwapped())
    assert not same(result(codes.OrderSwapped("rows"), packing()[2]), right("pack")[2])
