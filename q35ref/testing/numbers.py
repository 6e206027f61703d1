"""Strategies for sizes and single numbers, edges first, and for arrays of them that shrink well.

An array is drawn as a string of bytes, one a number, and a table gives the numbers: one draw an array, dense, and
every number shrinks on its own towards the table's first. Sizes are one draw each from a sorted table, in which the
likely ones stand more than once, so that they shrink to the next smaller one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from q35ref.oracle.cases import EDGE_ROWS, LARGEST, REGIMES
from q35ref.oracle.problem import Array
from q35ref.reference.lanes import GROUP_MULTIPLE

SMALLEST = 2.0**-149
"""The smallest positive float32."""

POOL = 8
"""At most so many different floats are in an array."""

SPECIAL = (0.0, 1.0, -1.0, 0.5, 7.5, SMALLEST, -SMALLEST, 2.0**-126, 16777215.0, 2.0**100, LARGEST, -LARGEST)
"""Floats at the ends of the range, of the normal numbers and of the significand, and a tie."""


def rows() -> st.SearchStrategy[int]:
    """Numbers of rows: 1 to 70, the ends of codes, blocks and groups far too often, now and then a few more."""
    return st.sampled_from(sorted([*range(1, 71), *4 * EDGE_ROWS, 64, 65, 100, 130]))


def few() -> st.SearchStrategy[int]:
    """Numbers of columns or of activations: mostly up to 4, also around the widths by which kernels are tiled."""
    return st.sampled_from((1, 1, 1, 2, 2, 3, 4, 5, 7, 8, 9, 16, 17))


def group_sizes() -> st.SearchStrategy[int]:
    """Group sizes: 0 for the whole column, else a multiple of 16."""
    return st.sampled_from([GROUP_MULTIPLE * count for count in (0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 64)])


def finite() -> st.SearchStrategy[float]:
    """Finite float32 numbers; ties, subnormals and the largest ones far too often."""
    floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
    dyadic = st.builds(lambda n, e: float(np.ldexp(np.float32(n), e)), st.integers(-255, 255), st.integers(-149, 119))
    return st.one_of(st.integers(-20, 20).map(lambda n: n / 2), st.sampled_from(SPECIAL), floats, dyadic)


def scale_and_offset() -> st.SearchStrategy[tuple[float, float]]:
    """A legal scale and offset: one of the oracle's special pairs, or any."""
    scale = st.one_of(
        st.just(1.0), st.integers(-149, 127).map(lambda e: 2.0**e), st.floats(SMALLEST, LARGEST, width=32)
    )
    return st.one_of(st.sampled_from(REGIMES), st.tuples(scale, finite()))


def from_table(table: Sequence[Any] | Array, shape: tuple[int, ...], dtype: Any) -> st.SearchStrategy[Array]:
    """Arrays of a table's numbers; they shrink to its first. Domain: at most 256 numbers."""
    numbers = np.array(table).astype(dtype)
    size = int(np.prod(shape))

    def looked_up(data: bytes) -> Array:
        chosen: Array = numbers[np.frombuffer(data, np.uint8).astype(np.intp) % len(numbers)].reshape(shape)
        return chosen

    return st.binary(min_size=size, max_size=size).map(looked_up)


def zigzag(low: int, high: int) -> list[int]:
    """Return the integers of an interval in the order in which they shrink.

    >>> zigzag(-4, 3)
    [0, 1, -1, 2, -2, 3, -3, -4]
    """
    return sorted(range(low, high + 1), key=lambda number: (abs(number), number < 0))
