"""Where a kernel's arrays lie: amid bytes that must not change, against pages that must not be touched, or sealed."""

import ctypes
import mmap
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

PAGE: Final = mmap.PAGESIZE

SLACK: Final = 4096
"""Bytes around an array, at least, whose change is noticed."""

GUARD: Final = 1 << 24
"""Bytes on either side that must not be touched, whole pages of any size; they take no memory."""

CANARY: Final = 0xC3
"""What those bytes hold."""

FORBIDDEN: Final = 0
"""``PROT_NONE``: neither to be read nor to be written."""

WRITABLE: Final = mmap.PROT_READ | mmap.PROT_WRITE

Side = Literal["", "after", "before", "odd", "moved", "wide"]
"""``after``: the array ends at a forbidden page. ``before``: it begins after one. Else neither is near; ``odd``: at an
address that is a multiple of the element's size alone, as with ``after``; ``moved``: a page further on; ``wide``: no
page is forbidden, so that what is written far away is seen instead of ending the process."""


class Room:
    """Memory between forbidden pages, for one array at a time."""

    def __init__(self, size: int) -> None:
        inner = -(-(size + 2 * SLACK) // PAGE) * PAGE + PAGE  # one more for arrays that lie further on
        self.size, self._inner = size, inner
        self._memory = mmap.mmap(-1, inner + 2 * GUARD)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._wide = True
        self._widen(False)
        self._bytes = np.frombuffer(self._memory, np.uint8)
        self._sealed = False

    def _protect(self, start: int, length: int, access: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        if libc.mprotect(self._base + start, length, access):
            raise OSError(ctypes.get_errno(), "mprotect")

    def _widen(self, wide: bool) -> None:
        if wide != self._wide:
            for start in (0, GUARD + self._inner):
                self._protect(start, GUARD, WRITABLE if wide else FORBIDDEN)
            self._wide = wide

    def seal(self, sealed: bool = True) -> None:
        """Let the array be read alone, or be written again."""
        if sealed != self._sealed:
            self._protect(GUARD, self._inner, mmap.PROT_READ if sealed else WRITABLE)
            self._sealed = sealed

    def hold(self, dtype: Any, shape: tuple[int, ...], side: Side) -> NDArray[Any]:
        """Return an array here; what it holds is not defined."""
        count = int(np.prod(shape, dtype=np.int64))
        length = count * np.dtype(dtype).itemsize
        end, near = GUARD + self._inner, GUARD + SLACK
        self.seal(False)
        self._widen(side == "wide")
        places = {"": near, "wide": near, "moved": near + PAGE, "before": GUARD, "after": end - length}
        first = places.get(side, near + (end - length) % 64)
        self._first, self._last = first, first + length
        for part in self._slack():
            part[:] = CANARY
        array: NDArray[Any] = np.frombuffer(self._memory, dtype, count, first).reshape(shape)
        return array

    def _slack(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        start, end = (0, len(self._bytes)) if self._wide else (GUARD, GUARD + self._inner)
        return self._bytes[start : self._first], self._bytes[self._last : end]

    def damage(self) -> str:
        """Return where bytes around the array were changed, or nothing."""
        before, after = (np.flatnonzero(part != CANARY) for part in self._slack())
        if len(after):
            return f"{len(after)} bytes from {after[0]} to {after[-1]} past its end"
        if len(before):
            distance = len(self._slack()[0]) - int(before[0])
            return f"{len(before)} bytes up to {distance} before its start"
        return ""


class Rooms:
    """A room for each array of a call, by name."""

    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}

    def hold(self, name: str, dtype: Any, shape: tuple[int, ...], side: Side) -> NDArray[Any]:
        """Return an array in the room of this name, a larger room if need be."""
        needed = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if name not in self._rooms or self._rooms[name].size < needed:
            self._rooms[name] = Room(max(needed, 1 << 16))
        return self._rooms[name].hold(dtype, shape, side)

    def seal(self, name: str) -> None:
        """See :meth:`Room.seal`."""
        self._rooms[name].seal()

    def damage(self, name: str) -> str:
        """See :meth:`Room.damage`."""
        return self._rooms[name].damage()
