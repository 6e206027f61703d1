"""What the bug classes share."""

from typing import Any, ClassVar

import numpy as np

from q35ref.backends.numpy import NumpyBackend
from q35ref.backends.protocol import Float32
from q35ref.reference.lanes import group_rows


class Bug(NumpyBackend):
    """A correct kernel but for one operation; the docstring of a subclass describes the bug."""

    operation: ClassVar[str] = ""
    """The operation that is wrong."""
    effect: ClassVar[str] = ""
    """What it does to somebody's numbers."""

    def __init_subclass__(cls) -> None:
        cls.name = cls.__name__


def lanes(k: int, wide: float, narrow: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a column ``[k, 1]`` with one number in even rows and another in odd ones."""
    return np.where(np.arange(k)[:, None] % 2, narrow, wide).astype(np.float64)


def by_row(parameter: Float32, k: int, group_size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a parameter ``[G, N]`` as doubles for each row ``[k, N]``."""
    return np.repeat(parameter.astype(np.float64), lengths(k, group_size), axis=0)


def lengths(k: int, group_size: int) -> list[int]:
    return [len(rows) for rows in group_rows(k, group_size)]
