"""Memory that is the same for every contender: huge pages, there before anything is timed."""

import mmap
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

HUGE_PAGE: Final = 1 << 21

HUGE_PAGES_FILE: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")

MEMORY_FILE: Final = Path("/proc/meminfo")


def empty(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros that begins at a huge page, whose pages exist and are huge where the system has them."""
    kind = np.dtype(dtype)
    count = prod(shape)
    room = mmap.mmap(-1, max(1, count * kind.itemsize) + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        room.madvise(mmap.MADV_HUGEPAGE)
    skip = -np.frombuffer(room, np.uint8).ctypes.data % HUGE_PAGE
    array = np.frombuffer(room, kind, count, skip).reshape(shape)
    array.fill(0)
    return array


def placed(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of an array in such memory, in C order."""
    array = empty(values.shape, values.dtype)
    array[...] = values
    return array


def repeated(values: NDArray[Any], count: int) -> NDArray[Any]:
    """Return ``count`` entries along the first axis in such memory: those of ``values``, again and again."""
    array = empty((count, *values.shape[1:]), values.dtype)
    for start in range(0, count, len(values)):
        here = min(len(values), count - start)
        array[start : start + here] = values[:here]
    return array


def huge_pages() -> str:
    """Return the system's mode of transparent huge pages, ``unknown`` where it does not say."""
    try:
        text = HUGE_PAGES_FILE.read_text()
    except OSError:
        return "unknown"
    return text[text.find("[") + 1 : text.find("]")]


def available() -> int:
    """Return the bytes of memory that can be had without swapping; a huge number where the system does not say."""
    try:
        lines = MEMORY_FILE.read_text().splitlines()
    except OSError:
        return 1 << 62
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 1 << 62)
