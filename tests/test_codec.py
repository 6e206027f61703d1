"""Pair codes and both layouts, against definitions bit for bit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from q35ref.reference.codec import (
    CODE_COUNT,
    column_bytes,
    dense_bytes,
    pack_column,
    pack_dense,
    pack_pair,
    pair_codes,
    pair_count,
    sign_extend,
    unpack_column,
    unpack_dense,
    unpack_pair,
    unpair_codes,
)
from q35ref.reference.lanes import Layout, lane_interval

CODES = st.lists(st.integers(0, 127), max_size=60)
LAYOUTS: tuple[Layout, ...] = ("byte", "dense")


@st.composite
def columns(draw: st.DrawFn) -> list[int]:
    """Columns of 1 to 70 integers within their lanes."""
    return [draw(st.integers(*lane_interval(row))) for row in range(draw(st.integers(1, 70)))]


def bits(stream: bytes) -> list[int]:
    """Stream bit ``b`` is bit ``b mod 8`` of byte ``b div 8``."""
    return [stream[b // 8] >> b % 8 & 1 for b in range(8 * len(stream))]


# Pairs


def test_the_design_s_example() -> None:
    assert pack_pair(5, -2) == 46 == 0b0101_110
    assert unpack_pair(46) == (5, -2)


@pytest.mark.parametrize("width", range(1, 9))
def test_sign_extension_is_two_s_complement(width: int) -> None:
    for field in range(2**width):
        shifted = (field << (8 - width)).to_bytes(1, "big")
        assert sign_extend(field, width) == int.from_bytes(shifted, "big", signed=True) >> (8 - width)


def test_all_pairs_have_codes_of_their_own_and_come_back() -> None:
    codes = {}
    for wide in range(-8, 8):
        for narrow in range(-4, 4):
            code = pack_pair(wide, narrow)
            assert code == ((wide & 0xF) << 3 | narrow & 0x7)
            assert unpack_pair(code) == (wide, narrow)
            codes[code] = (wide, narrow)
    assert sorted(codes) == list(range(CODE_COUNT))


@pytest.mark.parametrize(
    ("wide", "narrow", "named"), [(8, 0, "wide"), (-9, 0, "wide"), (0, 4, "narrow"), (0, -5, "narrow")]
)
def test_an_integer_outside_its_lane_is_refused_and_never_wraps(wide: int, narrow: int, named: str) -> None:
    with pytest.raises(ValueError, match=f"{named}: expected an integer from"):
        pack_pair(wide, narrow)


@pytest.mark.parametrize("code", [-1, 128, 255])
def test_a_code_of_more_than_seven_bits_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match=f"code: expected an integer from 0 to 127, got {code}"):
        unpack_pair(code)


# Dense streams


@given(CODES)
def test_code_i_holds_stream_bits_7i_to_7i_plus_6(codes: list[int]) -> None:
    stream = bits(bytes(pack_dense(codes)))
    for i, code in enumerate(codes):
        assert stream[7 * i : 7 * i + 7] == [code >> place & 1 for place in range(7)]
    assert not any(stream[7 * len(codes) :])


@given(CODES)
def test_a_dense_stream_is_a_number_in_base_128_written_in_base_256(codes: list[int]) -> None:
    number = sum(code * 128**i for i, code in enumerate(codes))
    assert bytes(pack_dense(codes)) == number.to_bytes(-(-7 * len(codes) // 8), "little")


@given(CODES)
def test_dense_streams_come_back(codes: list[int]) -> None:
    assert unpack_dense(pack_dense(codes), len(codes)) == codes
    assert len(pack_dense(codes)) == dense_bytes(len(codes))


@given(st.binary(max_size=40), st.integers(0, 45))
def test_exactly_the_streams_that_pack_dense_writes_are_accepted(stream: bytes, count: int) -> None:
    written = len(stream) == -(-7 * count // 8) and int.from_bytes(stream, "little") < 128**count
    if written:
        assert bytes(pack_dense(unpack_dense(stream, count))) == stream
        return
    with pytest.raises(ValueError, match="packed: "):
        unpack_dense(stream, count)


def test_eight_codes_fill_seven_bytes() -> None:
    assert (dense_bytes(8), column_bytes(16, "dense"), column_bytes(16, "byte")) == (7, 7, 8)
    assert len(pack_dense([127] * 8)) == 7


@pytest.mark.parametrize("count", range(1, 41))
def test_each_padding_bit_that_is_set_is_refused(count: int) -> None:
    stream = bytearray(dense_bytes(count))
    for bit in range(7 * count, 8 * len(stream)):
        stream[bit // 8] = 1 << bit % 8
        with pytest.raises(ValueError, match="packed: a padding bit after the last code is set"):
            unpack_dense(stream, count)
        stream[bit // 8] = 0
    assert unpack_dense(stream, count) == [0] * count


@pytest.mark.parametrize("code", [-1, 128, 1000])
def test_a_code_that_is_none_is_not_packed(code: int) -> None:
    with pytest.raises(ValueError, match=f"codes: expected integers from 0 to 127, got {code}"):
        pack_dense([1, code])


@pytest.mark.parametrize("byte", [-1, 256, 257, 10**6])
def test_a_byte_that_is_none_is_not_unpacked(byte: int) -> None:
    with pytest.raises(ValueError, match=f"packed: expected bytes from 0 to 255, got {byte}"):
        unpack_dense([byte], 1)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="count: expected an integer >= 0, got -1"):
        unpack_dense([], -1)


# Columns


@given(columns())
def test_columns_come_back_in_both_layouts(column: list[int]) -> None:
    for layout in LAYOUTS:
        packed = pack_column(column, layout)
        assert len(packed) == column_bytes(len(column), layout)
        assert unpack_column(packed, len(column), layout) == column


@given(columns())
def test_rows_2i_and_2i_plus_1_make_code_i(column: list[int]) -> None:
    codes = pair_codes(column)
    assert len(codes) == pair_count(len(column)) == -(-len(column) // 2)
    for row, q in enumerate(column):
        assert unpack_pair(codes[row // 2])[row % 2] == q
    assert bytes(codes) == pack_column(column, "byte")
    assert bytes(pack_dense(codes)) == pack_column(column, "dense")


@pytest.mark.parametrize("k", [1, 3, 15, 17, 33])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_for_odd_k_the_last_narrow_field_is_written_as_zero_and_ignored(k: int, layout: Layout) -> None:
    column = [-1] * k
    assert pair_codes(column)[-1] % 8 == 0
    codes = [0b1111_111] * pair_count(k)
    packed = codes if layout == "byte" else pack_dense(codes)
    assert unpack_column(packed, k, layout) == column


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("row", "q"), [(0, 8), (0, -9), (1, 4), (1, -5), (2, 8), (3, 7)])
def test_a_column_with_an_integer_outside_its_lane_is_refused(layout: Layout, row: int, q: int) -> None:
    column = [0] * 5
    column[row] = q
    with pytest.raises(ValueError, match=rf"q\[{row}\]: expected an integer from .*, got {q}"):
        pack_column(column, layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("change", [-1, 1])
def test_a_packed_column_of_the_wrong_length_is_refused(layout: Layout, change: int) -> None:
    packed = bytes(column_bytes(20, layout) + change)
    with pytest.raises(ValueError, match=f"packed: expected {column_bytes(20, layout)} bytes"):
        unpack_column(packed, 20, layout)


@pytest.mark.parametrize("byte", [128, 255, -1])
def test_a_byte_with_bit_7_set_is_refused(byte: int) -> None:
    with pytest.raises(ValueError, match=rf"packed\[1\]: expected a code from 0 to 127, got {byte}"):
        unpack_column([46, byte], 4, "byte")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_number_of_codes_must_fit_the_number_of_rows(count: int) -> None:
    with pytest.raises(ValueError, match=f"codes: expected 2 codes for k = 3, got {count}"):
        unpair_codes([0] * count, 3)


def test_an_empty_column_is_refused() -> None:
    for layout in LAYOUTS:
        with pytest.raises(ValueError, match="k: expected 1 to"):
            pack_column([], layout)
        with pytest.raises(ValueError, match="k: expected 1 to"):
            unpack_column(b"", 0, layout)
        with pytest.raises(ValueError, match="k: expected 1 to"):
            column_bytes(0, layout)


def test_an_unknown_layout_is_refused() -> None:
    for call in (
        lambda layout: pack_column([0], layout),
        lambda layout: unpack_column(b"\0", 1, layout),
        lambda layout: column_bytes(1, layout),
    ):
        with pytest.raises(ValueError, match="layout: expected 'byte' or 'dense', got 'sparse'"):
            call("sparse")
