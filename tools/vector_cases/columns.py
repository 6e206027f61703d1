"""Vectors of ``pack_column`` and ``unpack_column``: both layouts, odd K, the last narrow field."""

from collections.abc import Iterator
from random import Random

from tools.vector_cases.build import SEED, Fields, Flag, Inputs, Operation, RefusedError
from tools.vector_cases.codec import NARROW, WIDE, code_of, pair_of
from tools.vector_cases.streams import codes_of, padding_is_clear, stream_of

LAYOUTS = ("byte", "dense")
"""One code a byte, or a stream without gaps."""


def packed_bytes(codes: list[int], layout: str) -> bytes:
    """Return the codes as they are stored."""
    return bytes(codes) if layout == "byte" else stream_of(codes)


def random_column(random: Random, k: int) -> list[int]:
    """Return a column whose integers are spread over the whole of their lanes."""
    return [(WIDE, NARROW)[row % 2][random.randrange((16, 8)[row % 2])] for row in range(k)]


def pairs(column: list[int], tail: int = 0) -> list[tuple[int, int]]:
    """Return the column two rows at a time; for odd K the last narrow integer is ``tail``."""
    filled = column + [tail] * (len(column) % 2)
    return list(zip(filled[::2], filled[1::2], strict=True))


def _pack(column: list[int], layout: str) -> Fields:
    if not column:
        raise RefusedError("k")
    if layout not in LAYOUTS:
        raise RefusedError("layout")
    if any(q not in (WIDE, NARROW)[row % 2] for row, q in enumerate(column)):
        raise RefusedError("q")
    return {"packed": packed_bytes([code_of(*pair) for pair in pairs(column)], layout)}


def _pack_lanes_swapped(column: list[int], layout: str) -> Fields:
    return {"packed": packed_bytes([code_of(narrow, wide) for wide, narrow in pairs(column)], layout)}


def _pack_tail_garbage(column: list[int], layout: str) -> Fields:
    return {"packed": packed_bytes([code_of(*pair) for pair in pairs(column, tail=-1)], layout)}


def _pack_halves(column: list[int], layout: str) -> Fields:
    filled = column + [0] * (len(column) % 2)
    half = len(filled) // 2
    codes = [code_of(*pair) for pair in zip(filled[:half], filled[half:], strict=True)]
    return {"packed": packed_bytes(codes, layout)}


def _pack_other_layout(column: list[int], layout: str) -> Fields:
    return _pack(column, "dense" if layout == "byte" else "byte")


def _pack_unchecked(column: list[int], layout: str) -> Fields:
    return {"packed": packed_bytes([code_of(*pair) for pair in pairs(column)], layout)}


def _pack_inputs() -> Iterator[tuple[str, Inputs]]:
    random = Random(f"pack_column {SEED}")
    for k in [*range(1, 36), 47, 48, 63, 64, 65]:
        column = random_column(random, k)
        for layout in LAYOUTS:
            yield f"{layout}_{'odd' if k % 2 else 'even'}", {"column": column, "layout": layout}
    for column in ([5, -2], [-8, -4], [7, 3], [-8], [-1, -1, -1], [-8, -4] * 16, [7, 3] * 16):
        for layout in LAYOUTS:
            yield "ends", {"column": column, "layout": layout}
    for column, layout in (
        ([], "dense"), ([0], "sparse"), ([8, 0], "byte"), ([-9, 0], "dense"), ([0, 4], "dense"),
        ([0, -5], "byte"), ([0, 0, 0, 7], "dense"),
    ):  # fmt: skip
        yield "refused", {"column": column, "layout": layout}


def _unpack(packed: str, k: int, layout: str) -> Fields:
    if k < 1:
        raise RefusedError("k")
    if layout not in LAYOUTS:
        raise RefusedError("layout")
    content, count = bytes.fromhex(packed), -(-k // 2)
    if layout == "byte":
        if len(content) != count or any(byte >= 128 for byte in content):
            raise RefusedError("packed")
        codes = list(content)
    else:
        if len(content) != -(-7 * count // 8) or not padding_is_clear(content, count):
            raise RefusedError("packed")
        codes = codes_of(content, count)
    return {"column": [q for code in codes for q in pair_of(code)][:k]}


def _stored_codes(packed: str, k: int, layout: str) -> list[int]:
    content, count = bytes.fromhex(packed), -(-k // 2)
    return list(content) if layout == "byte" else codes_of(content, count)


def _unpack_unchecked(packed: str, k: int, layout: str) -> Fields:
    return {"column": [q for code in _stored_codes(packed, k, layout) for q in pair_of(code)][:k]}


def _unpack_lanes_swapped(packed: str, k: int, layout: str) -> Fields:
    return {"column": [q for code in _stored_codes(packed, k, layout) for q in reversed(pair_of(code))][:k]}


def _unpack_tail_read(packed: str, k: int, layout: str) -> Fields:
    return {"column": [q for code in _stored_codes(packed, k, layout) for q in pair_of(code)]}


def _unpack_tail_demanded(packed: str, k: int, layout: str) -> Fields:
    fields = _unpack(packed, k, layout)
    if k % 2 and pair_of(_stored_codes(packed, k, layout)[-1])[1] != 0:
        raise RefusedError("packed")
    return fields


def _unpack_halves(packed: str, k: int, layout: str) -> Fields:
    found = [pair_of(code) for code in _stored_codes(packed, k, layout)]
    return {"column": [wide for wide, _ in found] + [narrow for _, narrow in found[: k // 2]]}


def _unpack_inputs() -> Iterator[tuple[str, Inputs]]:
    random = Random(f"unpack_column {SEED}")
    for k in [*range(1, 36), 47, 48, 63, 64, 65]:
        codes = [random.randrange(128) for _ in range(-(-k // 2))]  # for odd k the last narrow field is not 0
        for layout in LAYOUTS:
            category = f"{layout}_{'odd' if k % 2 else 'even'}"
            yield category, {"packed": packed_bytes(codes, layout).hex(), "k": k, "layout": layout}
    for packed, k, layout in (
        ("2e", 0, "dense"), ("2e20", 3, "bytes"), ("2e", 3, "byte"), ("2e2000", 3, "byte"), ("2e", 3, "dense"),
        ("2e2000", 3, "dense"), ("2ec0", 3, "byte"), ("ae", 1, "byte"), ("2e60", 3, "dense"), ("ae", 1, "dense"),
    ):  # fmt: skip
        yield "refused", {"packed": packed, "k": k, "layout": layout}


OPERATIONS = (
    Operation(
        "pack_column",
        "a column's pair codes, one a byte or as one dense stream; for odd K the last narrow field is 0",
        _pack,
        {
            "lanes_swapped": Flag("even rows go into the narrow field", "integers are cut", _pack_lanes_swapped),
            "tail_garbage": Flag(
                "for odd K the last narrow field is not cleared",
                "equal weights give different bytes",
                _pack_tail_garbage,
            ),
            "halves": Flag("row i is paired with row i + K/2", "rows come back in another order", _pack_halves),
            "layout_confused": Flag("the other layout is written", "readers see other codes", _pack_other_layout),
            "range_unchecked": Flag(
                "integers outside their lanes are cut instead of refused",
                "they wrap around",
                _pack_unchecked,
                lenient=True,
            ),
        },
        _pack_inputs,
    ),
    Operation(
        "unpack_column",
        "the integers of a packed column; for odd K the last narrow field is ignored",
        _unpack,
        {
            "lanes_swapped": Flag(
                "even rows are read from the narrow field", "rows are swapped", _unpack_lanes_swapped
            ),
            "tail_read": Flag("for odd K the last narrow field is returned too", "one row too many", _unpack_tail_read),
            "tail_refused": Flag(
                "for odd K a last narrow field other than 0 is refused",
                "files of other writers cannot be read",
                _unpack_tail_demanded,
            ),
            "halves": Flag("code i is taken for rows i and i + K/2", "rows come back in another order", _unpack_halves),
            "damage_unchecked": Flag(
                "wrong lengths, codes above 127 and set padding bits are accepted",
                "damage goes unnoticed",
                _unpack_unchecked,
                lenient=True,
            ),
        },
        _unpack_inputs,
    ),
)
