"""What every backend refuses, with one wording: the argument's name, what was expected, what came.

The rules that speak of sizes are the reference's own (:mod:`q35ref.reference.lanes`); these here are about arrays.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.protocol import Float32, Int8, UInt8
from q35ref.reference.codec import column_bytes, pair_count
from q35ref.reference.lanes import NARROW, WIDE, Layout, check_narrow_gain, group_count, lane_interval

CALIBRATIONS = ("minmax", "symmetric")
"""The methods that every backend computes, bit for bit."""

AT_ONCE = 1 << 18
"""Integers that are looked at together, so that what is made of them stays in the cache."""


def require_array(name: str, value: object, dtype: type[np.generic], shape: tuple[int | None, ...]) -> None:
    """Refuse anything but an array of this dtype and shape, ``None`` standing for any length of at least 1.

    Errors: TypeError for another type or dtype, ValueError for another shape.
    """
    wanted = np.dtype(dtype)
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):  # a mask would hide what it masks
        raise TypeError(f"{name}: expected an array of {wanted}, got {type(value).__name__}")
    if value.dtype != wanted:
        raise TypeError(f"{name}: expected an array of {wanted}, got {value.dtype}")
    fits = len(shape) == value.ndim and all(
        length >= 1 if want is None else length == want for want, length in zip(shape, value.shape, strict=False)
    )
    if not fits:
        dimensions = ", ".join(">= 1" if want is None else str(want) for want in shape)
        raise ValueError(f"{name}: expected shape ({dimensions}), got {value.shape}")


def require_integer(name: str, value: object) -> None:
    """Refuse what is no integer with a TypeError that names the argument.

    A bool is none, and NumPy's narrow integers are none: sums of sizes would wrap.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.int64 | np.uint64):
        raise TypeError(f"{name}: expected an integer, got {value!r}")


def require_finite(name: str, values: NDArray[Any]) -> None:
    """Refuse NaN and infinities with a ValueError that names the first of them."""
    if np.isfinite(values).all():
        return
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
    raise ValueError(f"{name}: expected finite numbers, got {values[index]} at {list(index)}")


def require_weights(w: Float32) -> None:
    """Refuse what is no ``float32[K, N]``; whether it is finite is the caller's to check, block by block."""
    require_array("w", w, np.float32, (None, None))


def require_integers(q: Int8) -> None:
    """Refuse what is no ``int8[K, N]`` with every integer inside its row's lane."""
    require_array("q", q, np.int8, (None, None))
    odd = np.arange(len(q))[:, None] % 2
    lowest = np.where(odd, NARROW[0], WIDE[0]).astype(np.uint8)
    steps = np.where(odd, NARROW[1] - NARROW[0], WIDE[1] - WIDE[0]).astype(np.uint8)
    columns_at_once = max(1, AT_ONCE // len(q))
    for start in range(0, q.shape[1], columns_at_once):
        part = q[:, start : start + columns_at_once]
        outside = part.view(np.uint8) - lowest > steps  # modulo 256, what is too low is far too high
        if outside.any():
            row, column = (int(i) for i in np.argwhere(outside)[0])
            low, high = lane_interval(row)
            value = part[row, column]
            raise ValueError(f"q[{row}, {start + column}]: expected an integer from {low} to {high}, got {value}")


def require_parameter_shapes(
    scale: Float32, offset: Float32, k: int, n: int | None, group_size: int, narrow_gain: int
) -> None:
    """Refuse illegal groups and gains, and parameters of the wrong dtype or shape; their numbers are not looked at."""
    require_integer("group_size", group_size)
    require_integer("narrow_gain", narrow_gain)
    check_narrow_gain(narrow_gain)
    groups = group_count(k, group_size)
    require_array("scale", scale, np.float32, (groups, n))
    require_array("offset", offset, np.float32, (groups, n))


def require_parameters(
    scale: Float32, offset: Float32, k: int, n: int | None, group_size: int, narrow_gain: int
) -> None:
    """Refuse illegal groups and gains, and parameters of the wrong shape, not finite, or with a scale <= 0."""
    require_parameter_shapes(scale, offset, k, n, group_size, narrow_gain)
    require_finite("scale", scale)
    require_finite("offset", offset)
    if not (scale > 0).all():
        index = tuple(int(i) for i in np.argwhere(~(scale > 0))[0])
        raise ValueError(f"scale: expected numbers > 0, got {scale[index]} at {list(index)}")


def require_packed(packed: UInt8, k: int, layout: Layout) -> None:
    """Refuse a packed array of the wrong dtype or width, codes above 127 and padding bits that are set."""
    require_integer("k", k)
    width = column_bytes(k, layout)
    require_array("packed", packed, np.uint8, (None, width))
    if layout == "byte":
        if packed.max() > 127:
            column, index = np.argwhere(packed > 127)[0]
            raise ValueError(f"packed[{column}, {index}]: expected a code below 128, got {packed[column, index]}")
        return
    spare = 8 * width - 7 * pair_count(k)
    padding = packed[:, -1] >> (8 - spare) if spare else np.zeros(1, np.uint8)
    if padding.any():
        column = int(np.flatnonzero(padding)[0])
        raise ValueError(f"packed[{column}]: a padding bit after the last code is set")


def require_calibration(method: str) -> None:
    """Refuse a method that backends do not offer; ``clip`` has one implementation, used beside any backend."""
    if method not in CALIBRATIONS:
        raise ValueError(f"method: expected one of {', '.join(CALIBRATIONS)}, got {method!r}")
