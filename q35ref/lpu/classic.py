"""A classic weight-stationary systolic array, as SCALE-Sim counts it: to know that cycles are counted alike.

Each tile of ``rows`` by ``columns`` weights is loaded, a row a cycle, then M activation vectors are streamed, skewed
by a cycle a row; the last product leaves the last column after ``rows + columns + M - 2`` cycles. Nothing overlaps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Array:
    """The array."""

    rows: int
    """Products that are summed."""
    columns: int
    """Sums at once."""

    def __post_init__(self) -> None:
        """Demand an array."""
        for name in ("rows", "columns"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")


CLASSIC: Final = Array(320, 320)
"""One array of the size of a plane of :data:`q35ref.lpu.machine.TSP_V1`."""


@dataclass(frozen=True)
class Event:
    """What happens in a cycle: row ``index`` of weights is loaded, or row ``index`` of activations enters, or the sums
    for it are complete in the last column."""

    cycle: int
    kind: str
    row_tile: int
    column_tile: int
    index: int


def cycles(array: Array, m: int, n: int, k: int) -> int:
    """Return the cycles of ``a[M, K] @ w[K, N]``: ceil(K/R) ceil(N/C) (2R + C + M - 2).

    SCALE-Sim 3 reports one less.

    >>> cycles(Array(320, 320), 1, 320, 320), cycles(Array(32, 32), 128, 256, 128)
    (959, 7104)
    """
    return -(-k // array.rows) * -(-n // array.columns) * period(array, m)


def period(array: Array, m: int) -> int:
    """Return the cycles of a tile."""
    return 2 * array.rows + array.columns + m - 2


def schedule(array: Array, m: int, n: int, k: int) -> Iterator[Event]:
    """Yield every event of a matmul, a tile after the other."""
    row_tiles, column_tiles = -(-k // array.rows), -(-n // array.columns)
    for column_tile in range(column_tiles):
        for row_tile in range(row_tiles):
            begin = (column_tile * row_tiles + row_tile) * period(array, m)
            for row in range(array.rows):
                yield Event(begin + row, "load", row_tile, column_tile, row)
            for row in range(m):
                yield Event(begin + array.rows + row, "enter", row_tile, column_tile, row)
                done = begin + 2 * array.rows + array.columns + row - 2
                yield Event(done, "done", row_tile, column_tile, row)


def run(array: Array, a: NDArray[np.int8], w: NDArray[np.int8]) -> tuple[NDArray[np.int32], int]:
    """Return ``a[M, K] @ w[K, N]`` and the cycles, from the events alone."""
    m, k, n = len(a), len(w), w.shape[1]
    rows, columns = -(-k // array.rows) * array.rows, -(-n // array.columns) * array.columns
    activations = np.pad(a, [(0, 0), (0, rows - k)]).astype(np.int32)
    weights = np.pad(w, [(0, rows - k), (0, columns - n)]).astype(np.int32)
    held = np.zeros((array.rows, array.columns), np.int32)
    out = np.zeros((m, columns), np.int32)
    last = 0
    for event in sorted(schedule(array, m, n, k), key=lambda event: event.cycle):
        left, top = event.column_tile * array.columns, event.row_tile * array.rows
        if event.kind == "load":
            held[event.index] = weights[top + event.index, left : left + array.columns]
        elif event.kind == "done":
            products = activations[event.index, top : top + array.rows] @ held
            out[event.index, left : left + array.columns] += products
        last = max(last, event.cycle)
    return out[:, :n], last + 1
