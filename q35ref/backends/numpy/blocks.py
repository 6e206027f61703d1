"""Walking a matrix ``[K, N]`` in pieces that stay in the processor's cache, cut so that groups line up.

A piece is seen as ``[groups, length, columns]``, a view whatever the matrix's order in memory; NumPy then walks
it in that order, so that neither order needs a copy.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from q35ref.reference.lanes import GROUP_MULTIPLE, NARROW, WIDE, group_rows

BLOCK_WEIGHTS = 1 << 17
"""Weights in a block: enough that NumPy's calls cost little, and as doubles 1 MiB, near what a core's cache holds."""

RUN = 1 << 11
"""Weights that a block takes one after the other in memory where it can: 8 KiB of float32."""

Scalar = TypeVar("Scalar", bound=np.generic)


class Block(NamedTuple):
    """Some whole groups of equal length, or a part of one group that begins at an even row, in some columns."""

    rows: slice
    """The rows' indices."""
    groups: slice
    """The groups' indices."""
    columns: slice
    """The columns' indices."""

    def cut(self, matrix: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return this block of a matrix ``[K, N]`` as a view ``[groups, length, columns]``."""
        part = matrix[self.rows, self.columns]
        return part.reshape(self.groups.stop - self.groups.start, -1, part.shape[1])

    def spread(self, parameter: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return this block of a parameter ``[G, N]`` as doubles ``[groups, 1, columns]``."""
        return parameter[self.groups, None, self.columns].astype(np.float64)


def blocks(matrix: NDArray[Any], group_size: int, *, whole_groups: bool = False) -> Iterator[Block]:
    """Yield blocks that cover a matrix ``[K, N]`` once, a group's rows in order.

    With ``whole_groups`` no group is cut, however long it is.
    """
    k, n = matrix.shape
    down_columns = matrix.strides[0] < matrix.strides[1]
    width = max(1, BLOCK_WEIGHTS // k) if down_columns else min(n, RUN)
    height = max(GROUP_MULTIPLE, BLOCK_WEIGHTS // width // GROUP_MULTIPLE * GROUP_MULTIPLE)
    for rows, groups in _spans(group_rows(k, group_size), height, whole_groups):
        for column in range(0, n, width):
            yield Block(rows, groups, slice(column, min(column + width, n)))


def _spans(groups: list[range], height: int, whole_groups: bool) -> Iterator[tuple[slice, slice]]:
    """Yield rows and groups of each block: runs of whole groups of equal length, or parts of a long one."""
    length = len(groups[0])
    if length > height and not whole_groups:
        for g, rows in enumerate(groups):
            for start in range(rows.start, rows.stop, height):
                yield slice(start, min(start + height, rows.stop)), slice(g, g + 1)
        return
    at_once = max(1, height // length)
    full = len(groups) if len(groups[-1]) == length else len(groups) - 1
    for first in range(0, full, at_once):
        last = min(first + at_once, full)
        yield slice(groups[first].start, groups[last - 1].stop), slice(first, last)
    if full < len(groups):
        yield slice(groups[full].start, groups[full].stop), slice(full, full + 1)


class Lanes(NamedTuple):
    """What the rows of a block are, ``[length, 1]``, from an even one on; not to be written to."""

    low: NDArray[np.float64]
    """Smallest integer."""
    high: NDArray[np.float64]
    """Largest integer."""
    gain: NDArray[np.float64]
    """Factor between an integer and the group's scale."""


@lru_cache(maxsize=4)
def lanes(length: int, narrow_gain: int) -> Lanes:
    """Return the lanes of a block's rows. Blocks of a matrix have few different lengths: they are kept."""
    odd = np.arange(length)[:, None] % 2
    pairs = ((WIDE[0], NARROW[0]), (WIDE[1], NARROW[1]), (1, narrow_gain))
    return Lanes(*(np.where(odd, narrow, wide).astype(np.float64) for wide, narrow in pairs))


def places(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], ...]:
    """Return the indices at which a dense mask is set, as ``nonzero`` does, but at the speed of a flat one."""
    order = sorted(range(mask.ndim), key=lambda axis: -mask.strides[axis])
    found = np.unravel_index(np.flatnonzero(mask.transpose(order)), [mask.shape[axis] for axis in order])
    return tuple(found[order.index(axis)] for axis in range(mask.ndim))
