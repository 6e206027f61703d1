"""Vectors of ``sign_extend``, ``pack_pair`` and ``unpack_pair``: every input there is."""

from collections.abc import Iterator

from tools.vector_cases.build import Fields, Flag, Inputs, Operation, RefusedError

WIDE = range(-8, 8)
"""The integers of four bits."""

NARROW = range(-4, 4)
"""The integers of three bits."""


def twos_complement(bits: str) -> int:
    """Return what a string of bits, highest first, stands for: the first bit's weight is negative."""
    weights = [2**place for place in reversed(range(len(bits)))]
    weights[0] = -weights[0]
    return sum(weight for weight, bit in zip(weights, bits, strict=True) if bit == "1")


def bits_of(value: int, count: int) -> str:
    """Return the ``count`` low bits of an integer, highest first."""
    return "".join("1" if value >> place & 1 else "0" for place in reversed(range(count)))


def code_of(wide: int, narrow: int) -> int:
    """Return a pair's code by writing its bits side by side."""
    return int(bits_of(wide, 4) + bits_of(narrow, 3), 2)


def pair_of(code: int) -> tuple[int, int]:
    """Return a code's pair by reading its bits."""
    bits = bits_of(code, 7)
    return twos_complement(bits[:4]), twos_complement(bits[4:])


def _sign_extend(field: int, bits: int) -> Fields:
    return {"value": twos_complement(bits_of(field, bits))}


def _sign_extend_late(field: int, bits: int) -> Fields:
    return {"value": field - 2**bits if 2 * field > 2**bits else field}


def _sign_extend_inputs() -> Iterator[tuple[str, Inputs]]:
    for bits in range(1, 9):
        for field in range(2**bits):
            yield f"{bits}_bits", {"field": field, "bits": bits}


def _pack_pair(wide: int, narrow: int) -> Fields:
    if wide not in WIDE:
        raise RefusedError("wide")
    if narrow not in NARROW:
        raise RefusedError("narrow")
    return {"code": code_of(wide, narrow)}


def _pack_pair_inputs() -> Iterator[tuple[str, Inputs]]:
    for wide in WIDE:
        for narrow in NARROW:
            yield "all", {"wide": wide, "narrow": narrow}
    for wide, narrow in ((8, 0), (-9, 0), (0, 4), (0, -5), (0, 7), (0, -8), (15, 0), (0, 2**31), (-(2**31), 0)):
        yield "refused", {"wide": wide, "narrow": narrow}


def _unpack_pair(code: int) -> Fields:
    if code not in range(128):
        raise RefusedError("code")
    wide, narrow = pair_of(code)
    return {"wide": wide, "narrow": narrow}


def _unpack_pair_inputs() -> Iterator[tuple[str, Inputs]]:
    for code in range(128):
        yield "all", {"code": code}
    for code in (-1, 128, 174, 255, 256):
        yield "refused", {"code": code}


def _late(field: int, bits: int) -> int:
    return int(_sign_extend_late(field, bits)["value"])


OPERATIONS = (
    Operation(
        "sign_extend",
        "an unsigned field of some bits, read as two's complement",
        _sign_extend,
        {
            "unsigned": Flag(
                "the sign bit counts as positive", "negative integers turn large", lambda field, bits: {"value": field}
            ),
            "sign_threshold": Flag(
                "a field is negative only above half its range, not from half on",
                "the lane's lowest integer turns positive",
                _sign_extend_late,
            ),
            "ones_complement": Flag(
                "one too little is subtracted",
                "negative integers are 1 too high",
                lambda field, bits: {"value": field - 2**bits + 1 if 2 * field >= 2**bits else field},
            ),
        },
        _sign_extend_inputs,
    ),
    Operation(
        "pack_pair",
        "(wide mod 16) * 8 + narrow mod 8; integers outside their lanes are refused",
        _pack_pair,
        {
            "fields_swapped": Flag(
                "the wide integer is put into the low bits",
                "every reader takes both integers wrongly",
                lambda wide, narrow: {"code": narrow % 8 * 16 + wide % 16},
            ),
            "sign_leak": Flag(
                "the narrow integer is not cut to three bits before it is joined",
                "its sign bits overwrite the wide integer",
                lambda wide, narrow: {"code": (wide % 16 * 8 | narrow) % 128},
            ),
            "range_unchecked": Flag(
                "integers outside their lanes are cut instead of refused, as the drafts' converter does",
                "narrow integers outside -4 .. 3 wrap around",
                lambda wide, narrow: {"code": code_of(wide, narrow)},
                lenient=True,
            ),
        },
        _pack_pair_inputs,
    ),
    Operation(
        "unpack_pair",
        "the two integers of a 7-bit code; anything else is refused",
        _unpack_pair,
        {
            "fields_swapped": Flag(
                "the wide integer is read from the low bits",
                "both integers are wrong",
                lambda code: {
                    "wide": twos_complement(bits_of(code, 4)),
                    "narrow": twos_complement(bits_of(code >> 4, 3)),
                },
            ),
            "wide_unsigned": Flag(
                "the wide field is not sign-extended",
                "negative wide integers turn positive",
                lambda code: {"wide": code // 8, "narrow": pair_of(code)[1]},
            ),
            "narrow_unsigned": Flag(
                "the narrow field is not sign-extended",
                "negative narrow integers turn positive",
                lambda code: {"wide": pair_of(code)[0], "narrow": code % 8},
            ),
            "sign_threshold": Flag(
                "a field is negative only above half its range, not from half on",
                "the lanes' lowest integers turn positive",
                lambda code: {"wide": _late(code // 8, 4), "narrow": _late(code % 8, 3)},
            ),
            "range_unchecked": Flag(
                "bit 7 is ignored instead of refused",
                "damaged bytes go unnoticed",
                lambda code: dict(zip(("wide", "narrow"), pair_of(code), strict=True)),
                lenient=True,
            ),
        },
        _unpack_pair_inputs,
    ),
)
