"""Float dtypes to float32 and back, against conversions that share no code with ours."""

import math
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from q35ref import reference
from q35ref.checkpoints.floats import decode, encode


def raw(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(data, np.uint8)


def test_every_bfloat16_widens_exactly_and_back() -> None:
    values = {bits: _bfloat16(bits) for bits in range(1 << 16)}
    finite = {bits: value for bits, value in values.items() if math.isfinite(value)}
    assert len(values) - len(finite) == 2 * 128
    data = struct.pack(f"<{len(finite)}H", *finite)
    found = decode("a", raw(data), "BF16", (len(finite),))
    assert found.tobytes() == struct.pack(f"<{len(finite)}f", *finite.values())
    assert encode("a", found, "BF16").tobytes() == data
    for bits in values.keys() - finite.keys():
        with pytest.raises(ValueError, match="finite"):
            decode("a", raw(struct.pack("<H", bits)), "BF16", ())


def test_every_float16_widens_exactly_and_back() -> None:
    data = np.arange(1 << 16, dtype="<u2")
    finite = data[(data & 0x7C00) != 0x7C00]
    found = decode("a", raw(finite.tobytes()), "F16", finite.shape)
    expected = [value for (value,) in struct.iter_unpack("<e", finite.tobytes())]
    assert found.tolist() == expected
    assert encode("a", found, "F16").tobytes() == finite.tobytes()


finite_float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def next_to_a_tie(bits: int, low: float, high: float) -> st.SearchStrategy[float]:
    """Return float32s of which all but the lower ``bits`` are free, and those lie at or next to one half."""
    half = 1 << (bits - 1)
    lower = st.sampled_from([0, 1, half - 1, half, half + 1, 2 * half - 1])
    upper = st.integers(0, (1 << (32 - bits)) - 1)
    codes = st.builds(lambda u, v: u << bits | v, upper, lower)
    values = codes.map(lambda code: float(np.array(code, np.uint32).view(np.float32)))
    return values.filter(lambda value: low <= value <= high)


@given(finite_float32 | next_to_a_tie(16, -math.inf, math.inf).filter(math.isfinite))
def test_bfloat16_is_the_nearest_ties_to_even(value: float) -> None:
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    below, above = bits >> 16, (bits >> 16) + 1
    if above & 0x7FFF == 0x7F80:
        return  # next to the largest: the test on overflow below has it
    down, up = (abs(Fraction(_bfloat16(code)) - Fraction(value)) for code in (below, above))
    expected = below if down < up or (down == up and below % 2 == 0) else above
    assert encode("a", np.array(value, np.float32), "BF16").tobytes() == struct.pack("<H", expected)


def _bfloat16(bits: int) -> float:
    (value,) = struct.unpack("<f", struct.pack("<I", bits << 16))
    assert isinstance(value, float)
    return value


@given(st.floats(min_value=-65519, max_value=65519, width=32) | next_to_a_tie(13, -65519, 65519))
def test_float16_is_the_nearest_ties_to_even(value: float) -> None:
    assert encode("a", np.array(value, np.float32), "F16").tobytes() == struct.pack("<e", value)


@given(st.floats(min_value=-3.4e38, max_value=3.4e38))
def test_float64_is_rounded_once(value: float) -> None:
    found = decode("a", raw(struct.pack("<d", value)), "F64", ())
    assert Fraction(float(found)) == reference.round_float32(Fraction(value))


@given(finite_float32)
def test_float64_and_float32_hold_a_float32(value: float) -> None:
    array = np.array(value, np.float32)
    assert encode("a", array, "F64").tobytes() == struct.pack("<d", value)
    assert encode("a", array, "F32").tobytes() == struct.pack("<f", value)
    assert struct.pack("<f", decode("a", raw(struct.pack("<f", value)), "F32", ())) == struct.pack("<f", value)


LARGEST_BFLOAT16 = (2 - 2.0**-7) * 2.0**127


@pytest.mark.parametrize(
    ("dtype", "fits", "overflows"),
    [
        ("BF16", np.nextafter(np.float32(LARGEST_BFLOAT16 + 2.0**119), np.float32(0)), LARGEST_BFLOAT16 + 2.0**119),
        ("F16", np.nextafter(np.float32(65520), np.float32(0)), 65520.0),
    ],
)
def test_a_value_that_would_round_to_infinity_is_refused(dtype: str, fits: np.float32, overflows: float) -> None:
    for sign in (1, -1):
        encode("a", np.array([sign * fits], np.float32), dtype)
        with pytest.raises(ValueError, match=rf"a: .* fit {dtype}, got .* at \[1, 0\]"):
            encode("a", np.array([[1], [sign * overflows]], np.float32), dtype)


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_both_ways(dtype: str, value: float) -> None:
    array = np.array([[0, 1, 2], [3, value, math.nan]], np.float32)
    bits = {"F64": array.astype("<f8"), "F32": array, "F16": array.astype("<f2"),
            "BF16": (array.view(np.uint32) >> 16).astype("<u2")}[dtype]  # fmt: skip
    with pytest.raises(ValueError, match=r"a: expected finite numbers, got (nan|inf|-inf) at \[1, 1\]"):
        decode("a", raw(bits.tobytes()), dtype, (2, 3))
    with pytest.raises(ValueError, match=rf"a: .* fit {dtype}, got (nan|inf|-inf) at \[1, 1\]"):
        encode("a", array, dtype)


def test_a_float64_beyond_float32_is_refused() -> None:
    edge = float(np.finfo(np.float32).max) + 2.0**103
    decode("a", raw(struct.pack("<d", math.nextafter(edge, 0))), "F64", ())
    with pytest.raises(ValueError, match=r"a: .* fit float32, got .* at \[1\]"):
        decode("a", raw(struct.pack("<dd", 0, edge)), "F64", (2,))


@pytest.mark.parametrize("bits", [0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF, 0xFF800001])
def test_a_nan_whose_bits_would_round_to_a_number_is_refused(bits: int) -> None:
    array = np.array([bits], np.uint32).view(np.float32)
    with pytest.raises(ValueError, match="fit BF16, got nan"):
        encode("a", array, "BF16")
