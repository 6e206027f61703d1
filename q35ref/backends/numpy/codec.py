"""Packing whole matrices: a column's codes lie together, eight codes to a 56-bit word."""

import numpy as np

from q35ref.backends.protocol import Int8, UInt8
from q35ref.reference.codec import BYTES_PER_BLOCK, CODE_COUNT, CODES_PER_BLOCK, dense_bytes, pair_count
from q35ref.reference.lanes import Layout

WORD = np.dtype("<u8")
"""A block of codes as one number: little-endian on every machine."""

CODE_MASK = np.uint8(CODE_COUNT - 1)
"""The bits of a code."""

CODES_AT_ONCE = 1 << 17
"""Codes that are unpacked at a time, unless a column has more: as words they take 128 KiB."""


def pack(q: Int8, layout: Layout) -> UInt8:
    """Pack checked integers ``int8[K, N]`` into ``uint8[N, column_bytes]``."""
    columns: UInt8 = np.ascontiguousarray(q.T).view(np.uint8)
    k, pairs = q.shape[0], pair_count(q.shape[0])
    codes: UInt8 = (columns[:, 0::2] & np.uint8(15)) << np.uint8(3)
    codes[:, : k // 2] |= columns[:, 1::2] & np.uint8(7)
    if layout == "byte":
        return codes
    blocks = -(-pairs // CODES_PER_BLOCK)
    words = np.zeros((len(codes), blocks), WORD)
    for place in range(CODES_PER_BLOCK):
        digits = codes[:, place::CODES_PER_BLOCK].astype(WORD)
        words[:, : digits.shape[1]] |= digits << WORD.type(7 * place)
    stream = words.view(np.uint8).reshape(len(codes), blocks, 8)[:, :, :BYTES_PER_BLOCK]
    return np.ascontiguousarray(stream.reshape(len(codes), -1)[:, : dense_bytes(pairs)])


def unpack(packed: UInt8, k: int, layout: Layout) -> Int8:
    """Unpack checked ``uint8[N, column_bytes]`` into integers ``int8[K, N]``, column by column in memory."""
    pairs = pair_count(k)
    columns = np.empty((len(packed), 2 * pairs), np.uint8)
    at_once = max(1, CODES_AT_ONCE // pairs)
    for start in range(0, len(packed), at_once):
        part = packed[start : start + at_once]
        codes = part if layout == "byte" else _dense_codes(part, pairs)
        # Subtracting the sign bit after flipping it extends the sign, modulo 256.
        columns[start : start + at_once, 0::2] = ((codes >> 3) ^ 8) - np.uint8(8)
        columns[start : start + at_once, 1::2] = ((codes & 7) ^ 4) - np.uint8(4)
    return columns.view(np.int8)[:, :k].T


def _dense_codes(packed: UInt8, pairs: int) -> UInt8:
    """Return the codes ``uint8[N, pairs]`` of dense streams."""
    blocks = -(-pairs // CODES_PER_BLOCK)
    padded = np.zeros((len(packed), blocks, 8), np.uint8)
    whole = packed.shape[1] // BYTES_PER_BLOCK
    padded[:, :whole, :BYTES_PER_BLOCK] = packed[:, : whole * BYTES_PER_BLOCK].reshape(
        len(packed), whole, BYTES_PER_BLOCK
    )
    tail = packed[:, whole * BYTES_PER_BLOCK :]
    if tail.shape[1]:
        padded[:, whole, : tail.shape[1]] = tail
    words = padded.view(WORD)[:, :, 0]
    codes = np.empty((len(packed), blocks, CODES_PER_BLOCK), np.uint8)
    for place in range(CODES_PER_BLOCK):
        np.copyto(codes[:, :, place], words >> WORD.type(7 * place), casting="unsafe")  # keeps the low 8 bits
    codes &= CODE_MASK
    return codes.reshape(len(packed), -1)[:, :pairs]
