"""Integers to codes to bytes, and back.

A pair of rows ``2i, 2i+1`` of a column makes one 7-bit code: the wide integer modulo 16 in bits 3 to 6, the
narrow integer modulo 8 in bits 0 to 2. A column's codes are stored one a byte (``byte``) or as one
little-endian bit stream (``dense``), where 8 codes fill exactly 7 bytes.

Written with ``//``, ``%`` and ``*``, which CrossHair confirms far faster than shifts and masks.
Theorems: ``unpackPair_packPair``, ``packPair_unpackPair``, ``unpackDense_packDense``, ``packDense_length``.
"""

from collections.abc import Sequence
from typing import Final

from q35ref.reference.lanes import NARROW, WIDE, Layout, check_layout, check_size, lane_interval

CODE_COUNT: Final = 128
"""Number of codes: a code has 7 bits. No shorter code exists (theorem ``no_shorter_code``)."""

CODES_PER_BLOCK: Final = 8
"""Codes in a dense block, the least number that ends on a byte."""

BYTES_PER_BLOCK: Final = 7
"""Bytes in a dense block."""


def sign_extend(field: int, bits: int) -> int:
    """Read an unsigned field of ``bits`` bits as two's complement.

    Domain: bits >= 1, 0 <= field < 2**bits. Theorem: ``signExtend_eq_toInt``.

    >>> sign_extend(0b110, 3), sign_extend(0b0101, 4)
    (-2, 5)

    pre: 1 <= bits <= 8
    pre: 0 <= field < 2 ** bits
    post: -(2 ** bits) <= 2 * _ < 2 ** bits
    post: (_ - field) % 2 ** bits == 0
    """
    # Without a branch: a column of 16 integers would double CrossHair's paths 16 times.
    half: int = 2 ** (bits - 1)
    return (field + half) % (2 * half) - half


def pack_pair(wide: int, narrow: int) -> int:
    """Return the 7-bit code of a pair: ``(wide mod 16) * 8 + narrow mod 8``.

    Domain: -8 <= wide <= 7, -4 <= narrow <= 3; outside it, ValueError: a code never wraps.

    >>> pack_pair(5, -2)
    46

    pre: -8 <= wide <= 7
    pre: -4 <= narrow <= 3
    post: 0 <= _ < 128
    post: _ // 8 == wide % 16 and _ % 8 == narrow % 8
    """
    for name, value, (low, high) in (("wide", wide, WIDE), ("narrow", narrow, NARROW)):
        if not low <= value <= high:
            raise ValueError(f"{name}: expected an integer from {low} to {high}, got {value}")
    return wide % 16 * 8 + narrow % 8


def unpack_pair(code: int) -> tuple[int, int]:
    """Return the wide and the narrow integer of a 7-bit code.

    Domain: 0 <= code < 128; outside it, ValueError.

    >>> unpack_pair(46)
    (5, -2)

    pre: 0 <= code < 128
    post: -8 <= _[0] <= 7 and -4 <= _[1] <= 3
    post: _[0] % 16 == code // 8 and _[1] % 8 == code % 8
    """
    if not 0 <= code < CODE_COUNT:
        raise ValueError(f"code: expected an integer from 0 to {CODE_COUNT - 1}, got {code}")
    return sign_extend(code // 8, 4), sign_extend(code % 8, 3)


def pair_codes(column: Sequence[int]) -> list[int]:
    """Return the codes of a column of integers, two rows a code; a missing last narrow integer counts as 0.

    Domain: each integer within its row's lane; outside it, ValueError.

    >>> pair_codes([5, -2, -8])
    [46, 64]
    """
    for row, q in enumerate(column):
        low, high = lane_interval(row)
        if not low <= q <= high:
            raise ValueError(f"q[{row}]: expected an integer from {low} to {high}, got {q}")
    return [pack_pair(column[row], column[row + 1] if row + 1 < len(column) else 0) for row in range(0, len(column), 2)]


def unpair_codes(codes: Sequence[int], k: int) -> list[int]:
    """Return the ``k`` integers that ``codes`` stand for; for odd ``k`` the last narrow field is ignored.

    Domain: ``len(codes) == ceil(k / 2)``; otherwise ValueError.

    >>> unpair_codes([46, 64], 3)
    [5, -2, -8]
    """
    if len(codes) != pair_count(k):
        raise ValueError(f"codes: expected {pair_count(k)} codes for k = {k}, got {len(codes)}")
    return [q for code in codes for q in unpack_pair(code)][:k]


def pair_count(k: int) -> int:
    """Return the number of codes of a column of ``k`` rows, ``ceil(k / 2)``.

    pre: k >= 1
    post: k <= 2 * _ <= k + 1
    """
    return (k + 1) // 2


def dense_bytes(count: int) -> int:
    """Return the number of bytes of ``count`` codes in the dense layout, ``ceil(7 * count / 8)``.

    >>> dense_bytes(8), dense_bytes(9)
    (7, 8)

    pre: count >= 0
    post: 7 * count <= 8 * _ < 7 * count + 8
    """
    return (BYTES_PER_BLOCK * count + 7) // 8


def column_bytes(k: int, layout: Layout) -> int:
    """Return the number of bytes of a packed column of ``k`` rows.

    Errors: ValueError for k < 1 or an unknown layout.

    >>> column_bytes(16, "dense"), column_bytes(16, "byte")
    (7, 8)
    """
    check_size("k", k)
    check_layout(layout)
    return pair_count(k) if layout == "byte" else dense_bytes(pair_count(k))


def pack_dense(codes: Sequence[int]) -> list[int]:
    """Return the dense stream of ``codes``: code ``i`` holds stream bits ``[7i, 7i + 7)``, padding bits clear.

    Each block of up to 8 codes is a number in base 128, written in base 256, least digit first.
    Domain: codes of 0 to 127; outside it, ValueError.

    >>> pack_dense([46, 64])
    [46, 32]

    pre: len(codes) <= 8
    pre: all(0 <= code < 128 for code in codes)
    post: len(_) == dense_bytes(len(codes))
    post: all(0 <= byte < 256 for byte in _)
    """
    stream = []
    for start in range(0, len(codes), CODES_PER_BLOCK):
        block = codes[start : start + CODES_PER_BLOCK]
        number = 0
        for code in reversed(block):
            if not 0 <= code < CODE_COUNT:
                raise ValueError(f"codes: expected integers from 0 to {CODE_COUNT - 1}, got {code}")
            number = number * CODE_COUNT + code
        for _ in range(dense_bytes(len(block))):
            stream.append(number % 256)
            number //= 256
    return stream


def unpack_dense(stream: Sequence[int], count: int) -> list[int]:
    """Return the ``count`` codes of a dense stream. It accepts exactly what :func:`pack_dense` writes.

    Errors: ValueError for a negative count, a stream of the wrong length, a value outside 0 .. 255, and padding
    bits that are set.

    >>> unpack_dense([46, 32], 2)
    [46, 64]

    pre: 0 <= count <= 8
    pre: len(stream) == dense_bytes(count)
    pre: all(0 <= byte < 256 for byte in stream)
    :raises ValueError: if a padding bit is set.
    post: count in (0, 8) or stream[-1] < 2 ** (8 - count)
    post: len(_) == count
    post: all(0 <= code < 128 for code in _)
    """
    if count < 0:
        raise ValueError(f"count: expected an integer >= 0, got {count}")
    if len(stream) != dense_bytes(count):
        raise ValueError(f"packed: expected {dense_bytes(count)} bytes for {count} codes, got {len(stream)}")
    codes: list[int] = []
    for start in range(0, len(stream), BYTES_PER_BLOCK):
        number = 0
        for byte in reversed(stream[start : start + BYTES_PER_BLOCK]):
            if not 0 <= byte < 256:
                raise ValueError(f"packed: expected bytes from 0 to 255, got {byte}")
            number = number * 256 + byte
        for _ in range(min(CODES_PER_BLOCK, count - len(codes))):
            codes.append(number % CODE_COUNT)
            number //= CODE_COUNT
        if number != 0:
            raise ValueError("packed: a padding bit after the last code is set")
    return codes


def pack_column(column: Sequence[int], layout: Layout) -> bytes:
    """Return the packed bytes of a column of integers.

    Domain: at least one row, each integer within its row's lane. Errors: ValueError.

    >>> pack_column([5, -2, -8], "dense").hex()
    '2e20'
    """
    check_size("k", len(column))
    check_layout(layout)
    codes = pair_codes(column)
    return bytes(codes if layout == "byte" else pack_dense(codes))


def unpack_column(packed: Sequence[int], k: int, layout: Layout) -> list[int]:
    """Return the ``k`` integers of a packed column.

    Errors: ValueError for a wrong length, a code above 127 (``byte``) and set padding bits (``dense``).

    >>> unpack_column(bytes.fromhex("2e20"), 3, "dense")
    [5, -2, -8]
    """
    check_size("k", k)
    check_layout(layout)
    codes = _byte_codes(packed, pair_count(k)) if layout == "byte" else unpack_dense(packed, pair_count(k))
    return unpair_codes(codes, k)


def _byte_codes(packed: Sequence[int], count: int) -> Sequence[int]:
    """Return a ``byte`` column's codes, its own bytes, once they are known to be ``count`` codes."""
    if len(packed) != count:
        raise ValueError(f"packed: expected {count} bytes for {count} codes, got {len(packed)}")
    for index, byte in enumerate(packed):
        if not 0 <= byte < CODE_COUNT:
            raise ValueError(f"packed[{index}]: expected a code from 0 to {CODE_COUNT - 1}, got {byte}")
    return packed
