"""How a value stands in a vector file: no decimal fraction anywhere, so that nothing depends on who reads it.

=================  ============================================================================================
integer            a JSON integer, always below 2**53 in magnitude
large integer      a string of decimal digits, for the few operations that take any integer
float32            ``[significand, exponent, bits]``: the value is ``significand * 2**exponent`` with an odd
                   significand (``[0, 0, ...]`` for zero); ``bits`` is its pattern in hex, for the reader
not finite         ``"nan"``, ``"inf"`` or ``"-inf"``; only ever the input of a refusal
exact rational     ``"numerator/denominator"`` in decimal digits, in lowest terms, the slash always there
bytes              a string of hex digits
=================  ============================================================================================
"""

import math
import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import TypeAlias

Json: TypeAlias = "int | str | list[Json] | dict[str, Json]"
"""What a case is made of in a file."""

Value: TypeAlias = "int | float | str | bytes | Fraction | list[Value]"
"""What a case is made of in memory: a Python float is the value of a float32, a Fraction an exact rational."""

FLOAT32_INFINITY = 0x7F800000
"""Bit pattern of float32's positive infinity."""


def encode(value: Value) -> Json:
    """Return the JSON form of a value.

    >>> encode(0.5), encode(Fraction(-1, 3)), encode(b"\\x2e"), encode([1, 2])
    ([1, -1, '3f000000'], '-1/3', '2e', [1, 2])
    """
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, float):
        return _encode_float32(value)
    if isinstance(value, bytes):
        return value.hex()
    return value


def decode(value: Json) -> Value:
    """Return the value that a JSON form stands for; digits without a slash stay a string.

    >>> decode([1, -1, "3f000000"]), decode("-1/3"), decode([1, 2])
    (0.5, Fraction(-1, 3), [1, 2])
    """
    match value:
        case "nan" | "inf" | "-inf":
            return float(value)
        case str() if "/" in value:
            return Fraction(value)
        case [int(significand), int(exponent), str()]:
            return math.ldexp(significand, exponent)
        case list():
            return [decode(item) for item in value]
        case dict():
            raise TypeError(f"value: expected an integer, a string or a list, got {value}")
        case _:
            return value


def encode_fields(fields: Mapping[str, Value]) -> dict[str, Json]:
    """Return the JSON form of the inputs, or of the expected values, of a case."""
    return {name: encode(value) for name, value in fields.items()}


def decode_fields(fields: Mapping[str, Json]) -> dict[str, Value]:
    """Return what the inputs of a case stand for."""
    return {name: decode(value) for name, value in fields.items()}


def float32_form(rounded: Fraction, bits: int | None = None) -> Json:
    """Return the float32 form of a value that is rounded already, but may lie beyond float32's largest number.

    >>> float32_form(Fraction(3, 4)), float32_form(Fraction(2**128))
    ([3, -2, '3f400000'], [1, 128, '7f800000'])
    """
    pattern = float32_bits(_as_float(rounded)) if bits is None else bits
    significand, exponent = rounded.numerator, 1 - rounded.denominator.bit_length()
    if significand != 0:
        zeros = (significand & -significand).bit_length() - 1
        significand, exponent = significand >> zeros, exponent + zeros
    return [significand, exponent, f"{pattern:08x}"]


def float32_bits(value: float) -> int:
    """Return the bit pattern of a float that is the value of a float32, or an infinity or NaN.

    >>> hex(float32_bits(1.0))
    '0x3f800000'
    """
    pattern: int = struct.unpack(">I", struct.pack(">f", value))[0]
    return pattern


def _encode_float32(value: float) -> Json:
    if not math.isfinite(value):
        return str(value)
    bits = float32_bits(value)
    if struct.unpack(">f", bits.to_bytes(4, "big"))[0] != value:
        raise ValueError(f"value: expected the value of a float32, got {value!r}")
    return float32_form(Fraction(value), bits)


def _as_float(rounded: Fraction) -> float:
    if abs(rounded) < 2**128:
        return float(rounded)
    return math.inf if rounded > 0 else -math.inf
