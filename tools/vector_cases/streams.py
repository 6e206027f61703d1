"""Vectors of ``pack_dense`` and ``unpack_dense``, by the definition of the stream bit for bit."""

from collections.abc import Iterator
from random import Random

from tools.vector_cases.build import SEED, Fields, Flag, Inputs, Operation, RefusedError


def stream_of(codes: list[int]) -> bytes:
    """Return the stream: code ``i`` holds bits ``[7i, 7i + 7)``, bit ``b`` is bit ``b mod 8`` of byte ``b div 8``."""
    stream = bytearray(-(-7 * len(codes) // 8))
    for index, code in enumerate(codes):
        for place in range(7):
            bit = 7 * index + place
            stream[bit // 8] |= (code >> place & 1) << bit % 8
    return bytes(stream)


def codes_of(stream: bytes, count: int) -> list[int]:
    """Return the codes of a stream by the same definition, whatever its padding bits are; missing bits are 0."""

    def bit(place: int) -> int:
        return stream[place // 8] >> place % 8 & 1 if place < 8 * len(stream) else 0

    return [sum(bit(7 * index + place) << place for place in range(7)) for index in range(count)]


def padding_is_clear(stream: bytes, count: int) -> bool:
    """Return whether no bit after the last code's is set."""
    return int.from_bytes(stream, "little") >> 7 * count == 0


def _msb_first(codes: list[int]) -> bytes:
    bits = "".join(f"{code:07b}" for code in codes)
    return bytes(int(bits[start : start + 8].ljust(8, "0"), 2) for start in range(0, len(bits), 8))


def _pack(codes: list[int]) -> Fields:
    if any(code not in range(128) for code in codes):
        raise RefusedError("codes")
    return {"stream": stream_of(codes)}


def _pack_padded_with_ones(codes: list[int]) -> Fields:
    stream = bytearray(stream_of(codes))
    for bit in range(7 * len(codes), 8 * len(stream)):
        stream[bit // 8] |= 1 << bit % 8
    return {"stream": bytes(stream)}


def _pack_whole_blocks(codes: list[int]) -> Fields:
    return {"stream": stream_of(codes + [0] * (-len(codes) % 8))}


def _pack_inputs() -> Iterator[tuple[str, Inputs]]:
    random = Random(f"pack_dense {SEED}")
    for count in range(41):
        for _ in range(3):
            yield "random", {"codes": [random.randrange(128) for _ in range(count)]}
    for count in (1, 7, 8, 9, 16, 17):
        yield "zeros", {"codes": [0] * count}
        yield "ones", {"codes": [127] * count}
    for place in range(9):  # each bit of a code, at each of the eight alignments and one block on
        for bit in range(7):
            yield "one_bit", {"codes": [0] * place + [1 << bit]}
    for codes in ([128], [-1], [0] * 8 + [200], [46, 64, 255]):
        yield "refused", {"codes": codes}


def _unpack(stream: str, count: int) -> Fields:
    if count < 0:
        raise RefusedError("count")
    content = bytes.fromhex(stream)
    if len(content) != -(-7 * count // 8) or not padding_is_clear(content, count):
        raise RefusedError("packed")
    return {"codes": codes_of(content, count)}


def _unpack_msb_first(stream: str, count: int) -> Fields:
    bits = "".join(f"{byte:08b}" for byte in bytes.fromhex(stream)).ljust(7 * count, "0")
    return {"codes": [int(bits[7 * index : 7 * index + 7], 2) for index in range(count)]}


def _unpack_padding_ignored(stream: str, count: int) -> Fields:
    if len(bytes.fromhex(stream)) != -(-7 * count // 8):
        raise RefusedError("packed")
    return {"codes": codes_of(bytes.fromhex(stream), count)}


def _unpack_length_unchecked(stream: str, count: int) -> Fields:
    if not padding_is_clear(bytes.fromhex(stream), max(count, 0)):
        raise RefusedError("packed")
    return {"codes": codes_of(bytes.fromhex(stream), count)}


def _unpack_inputs() -> Iterator[tuple[str, Inputs]]:
    random = Random(f"unpack_dense {SEED}")
    for count in range(41):
        for _ in range(2):
            codes = [random.randrange(128) for _ in range(count)]
            yield "random", {"stream": stream_of(codes).hex(), "count": count}
    for count in (1, 2, 7, 9, 15, 40):
        stream = stream_of([random.randrange(128) for _ in range(count)])
        for bit in range(7 * count, 8 * len(stream)):
            damaged = bytearray(stream)
            damaged[bit // 8] |= 1 << bit % 8
            yield "padding_set", {"stream": damaged.hex(), "count": count}
    for count in (1, 7, 8, 9, 16):
        stream = stream_of([random.randrange(128) for _ in range(count)])
        yield "too_short", {"stream": stream[:-1].hex(), "count": count}
        yield "too_long", {"stream": (stream + b"\0").hex(), "count": count}
    yield "negative", {"stream": "", "count": -1}


OPERATIONS = (
    Operation(
        "pack_dense",
        "code i holds stream bits [7i, 7i + 7), stream bit b is bit b mod 8 of byte b div 8, padding bits clear",
        _pack,
        {
            "msb_first": Flag(
                "bits are filled from the highest down",
                "the stream is unreadable for others",
                lambda codes: {"stream": _msb_first(codes)},
            ),
            "byte_layout": Flag(
                "each code takes a byte",
                "an eighth more memory, and the wrong bytes",
                lambda codes: {"stream": bytes(codes)},
            ),
            "padding_set": Flag("padding bits are ones", "the stream is not canonical", _pack_padded_with_ones),
            "whole_blocks": Flag(
                "the last block is filled up to 8 codes",
                "the stream is longer than the format says",
                _pack_whole_blocks,
            ),
            "range_unchecked": Flag(
                "a code's eighth bit is dropped instead of refused",
                "damaged codes go unnoticed",
                lambda codes: {"stream": stream_of(codes)},
                lenient=True,
            ),
        },
        _pack_inputs,
    ),
    Operation(
        "unpack_dense",
        "the codes of a dense stream; a wrong length and set padding bits are refused",
        _unpack,
        {
            "msb_first": Flag("bits are read from the highest down", "every code is wrong", _unpack_msb_first),
            "byte_layout": Flag(
                "each byte is taken as a code",
                "every code after the first is wrong",
                lambda stream, count: {"codes": list(bytes.fromhex(stream))},
            ),
            "padding_ignored": Flag(
                "set padding bits are accepted",
                "damaged or foreign streams go unnoticed",
                _unpack_padding_ignored,
                lenient=True,
            ),
            "length_unchecked": Flag(
                "a stream of the wrong length is accepted",
                "codes are read from beyond its end, or bytes are lost",
                _unpack_length_unchecked,
                lenient=True,
            ),
        },
        _unpack_inputs,
    ),
)
