"""Laws of packed columns, in both layouts.

Up to 8 codes, a dense block, in all laws but the last: it is the block that packing works in.
"""

from q35ref.contracts.proof_steps import assert_equal_digits, assert_padding_is_clear, number_in_base
from q35ref.reference import codec


def a_byte_column_comes_back(column: list[int]) -> None:
    """The integers of up to 16 rows come back from the ``byte`` layout.

    pre: 1 <= len(column) <= 16
    pre: all(-8 <= q <= 7 for q in column[::2])
    pre: all(-4 <= q <= 3 for q in column[1::2])
    post: True
    """
    assert codec.unpack_column(codec.pack_column(column, "byte"), len(column), "byte") == column


def a_dense_column_is_the_stream_of_its_byte_column(column: list[int]) -> None:
    """Both layouts of up to 16 rows hold the same codes, so that what holds of codes and streams holds of columns.

    pre: 1 <= len(column) <= 16
    pre: all(-8 <= q <= 7 for q in column[::2])
    pre: all(-4 <= q <= 3 for q in column[1::2])
    post: True
    """
    codes = list(codec.pack_column(column, "byte"))
    assert list(codec.pack_column(column, "dense")) == codec.pack_dense(codes)


def a_dense_stream_is_read_like_the_byte_column_of_its_codes(stream: list[int], k: int) -> None:
    """Both layouts of up to 16 rows are read alike, an odd column's last narrow field included.

    pre: 1 <= k <= 16
    pre: len(stream) == codec.column_bytes(k, "dense")
    pre: all(0 <= byte < 256 for byte in stream)
    pre: k >= 15 or stream[-1] < 2 ** (8 - codec.pair_count(k))
    post: True
    """
    codes = codec.unpack_dense(stream, codec.pair_count(k))
    assert codec.unpack_column(stream, k, "dense") == codec.unpack_column(codes, k, "byte")


def bytes_of_a_column_come_back(codes: list[int]) -> None:
    """Up to 8 codes come back from the integers that they stand for.

    pre: 1 <= len(codes) <= 8
    pre: all(0 <= code < 128 for code in codes)
    post: True
    """
    column = codec.unpack_column(codes, 2 * len(codes), "byte")
    assert list(codec.pack_column(column, "byte")) == codes


def unpack_dense_inverts_pack_dense(codes: list[int]) -> None:
    """Codes come back from their stream: both are the digits of one number, in base 128 and in base 256.

    pre: len(codes) <= 8
    pre: all(0 <= code < 128 for code in codes)
    post: True
    """
    stream = codec.pack_dense(codes)
    assert_padding_is_clear(stream, len(codes))
    assert number_in_base(256, stream) == number_in_base(128, codes)
    assert_equal_digits(codec.unpack_dense(stream, len(codes)), codes)


def pack_dense_inverts_unpack_dense(stream: list[int], count: int) -> None:
    """A stream with clear padding comes back from its codes: it is the only one that they have.

    pre: 0 <= count <= 8
    pre: len(stream) == codec.dense_bytes(count)
    pre: all(0 <= byte < 256 for byte in stream)
    pre: count in (0, 8) or stream[-1] < 2 ** (8 - count)
    post: True
    """
    codes = codec.unpack_dense(stream, count)
    assert number_in_base(256, stream) == number_in_base(128, codes)
    assert_equal_digits(codec.pack_dense(codes), stream)


def a_set_padding_bit_is_refused(stream: list[int], count: int) -> None:
    """No second stream stands for the same codes.

    pre: 1 <= count <= 7
    pre: len(stream) == codec.dense_bytes(count)
    pre: all(0 <= byte < 256 for byte in stream)
    pre: stream[-1] >= 2 ** (8 - count)
    post: True
    """
    try:
        codec.unpack_dense(stream, count)
    except ValueError:
        return
    raise AssertionError("accepted a stream with a set padding bit")


def a_code_of_eight_bits_is_refused(code: int) -> None:
    """Bit 7 of a byte of the ``byte`` layout must be clear.

    pre: 128 <= code < 256
    post: True
    """
    try:
        codec.unpack_column([code], 2, "byte")
    except ValueError:
        return
    raise AssertionError("accepted a code with bit 7 set")


def a_column_of_many_blocks_comes_back(column: list[int]) -> None:
    """Both layouts give back up to 50 rows: 4 dense blocks, the last one short.

    pre: 1 <= len(column) <= 50
    pre: all(-8 <= q <= 7 for q in column[::2])
    pre: all(-4 <= q <= 3 for q in column[1::2])
    post: True
    """
    dense = codec.pack_column(column, "dense")
    assert len(dense) == codec.column_bytes(len(column), "dense")
    assert codec.unpack_column(dense, len(column), "dense") == column
    assert codec.unpack_column(codec.pack_column(column, "byte"), len(column), "byte") == column
