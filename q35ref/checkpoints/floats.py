"""The bytes of float tensors to float32 and back, also for bfloat16, which NumPy does not have."""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.protocol import Float32, UInt8

FLOAT_DTYPES: Final = ("F64", "F32", "F16", "BF16")
"""The dtypes that can be quantized, and restored to."""

STORED: Final = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""How NumPy reads each of them; a bfloat16 is the upper half of a float32."""

BFLOAT16_INFINITY: Final = 0x7F80
"""The bits of bfloat16's infinity; greater magnitudes are NaN."""


def decode(name: str, raw: UInt8, dtype: str, shape: tuple[int, ...]) -> Float32:
    """Return the float32s that a tensor's bytes stand for: F16 and BF16 widened exactly, F64 rounded once.

    Errors: ValueError naming the tensor and the first place for NaN, infinities, and an F64 beyond float32.

    >>> decode("a", np.array([0xC0, 0x3F], np.uint8), "BF16", (1,)).tolist()
    [1.5]
    """
    return decode_pieces(name, [raw.data], dtype, shape)


def decode_pieces(name: str, pieces: Iterable[memoryview], dtype: str, shape: tuple[int, ...]) -> Float32:
    """Return what :func:`decode` does for bytes that come piece by piece, whole numbers in each.

    Beside the result, memory is taken for one piece alone.
    """
    try:
        result = np.empty(shape, np.float32)
    except (ValueError, OverflowError) as error:  # without elements it may be as long as it likes
        raise ValueError(f"{name}: expected a shape that an array can have, got {list(shape)}: {error}") from error
    values, done = result.reshape(-1), 0
    for piece in pieces:
        numbers: NDArray[Any] = np.frombuffer(piece, STORED[dtype])
        place = values[done : done + len(numbers)]
        if dtype == "BF16":
            np.left_shift(numbers, 16, out=place.view(np.uint32), dtype=np.uint32)
            numbers = place
        with np.errstate(over="ignore", under="ignore"):
            place[...] = numbers
        for expected, found in (("finite numbers", numbers), ("numbers that fit float32", place)):
            if not np.isfinite(found).all():
                first = int(np.flatnonzero(~np.isfinite(found))[0])
                index = [int(i) for i in np.unravel_index(done + first, shape)]
                raise ValueError(f"{name}: expected {expected}, got {numbers[first]} at {index}")
        done += len(numbers)
    return result


def encode(name: str, values: Float32, dtype: str) -> UInt8:
    """Return the bytes of float32s as another dtype: rounded once, ties to even, for F16 and BF16.

    Errors: ValueError naming the tensor and the first place for a value that is not finite in that dtype.

    >>> encode("a", np.array([1.5], np.float32), "BF16").tolist()
    [192, 63]
    """
    if dtype == "BF16":
        stored = _round_bfloat16(values)
        overflow = (stored & BFLOAT16_INFINITY) == BFLOAT16_INFINITY
    else:
        with np.errstate(over="ignore", under="ignore"):
            stored = values.astype(STORED[dtype])
        overflow = ~np.isfinite(stored)
    if overflow.any():
        index = tuple(int(i) for i in np.argwhere(overflow)[0])
        raise ValueError(f"{name}: expected numbers that fit {dtype}, got {values[index]} at {list(index)}")
    return np.ascontiguousarray(stored).reshape(-1).view(np.uint8)


def _round_bfloat16(values: Float32) -> NDArray[Any]:
    """Return bfloat16 bits: adding just below half a unit, one more where the kept part is odd, rounds to even."""
    bits = values.view(np.uint32)
    kept_is_odd = (bits >> 16) & 1
    rounded = (bits + (0x7FFF + kept_is_odd)) >> 16
    not_numbers = np.isnan(values)
    return np.where(not_numbers, BFLOAT16_INFINITY + 1, rounded).astype("<u2")
