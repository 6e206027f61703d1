"""Where the bytes of tensors lie in files: what a job is told, so that any process can do it.

Files are read with plain reads, never through a memory map: when a mapped file is cut short underfoot, the system
ends the whole process, whereas a read that comes back short is an error with a name.
"""

import contextlib
import io
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from q35ref.backends.protocol import Float32, UInt8
from q35ref.checkpoints.errors import CheckpointError, naming, printable
from q35ref.checkpoints.floats import FLOAT_DTYPES, decode_pieces
from q35ref.checkpoints.header import TensorInfo

CHUNK: Final = 1 << 20
"""Bytes that are copied at a time: whole numbers of every dtype."""

FILE_CLOCK: Final = 5 if sys.platform == "linux" else time.CLOCK_REALTIME
"""The clock that gives files their times; on Linux it is CLOCK_REALTIME_COARSE, which ticks every 1 to 10 ms."""

LONGEST_TICK: Final = 20_000_000
"""Nanoseconds. A time farther in the future is no time that the next write will have."""

PATIENCE: Final = 100
"""Milliseconds to wait for a writer that is at work."""


def open_file(path: str | os.PathLike[str]) -> io.FileIO:
    """Open a regular file to read it; what is none is neither touched nor waited for, even if it has just come.

    Errors: OSError, ValueError.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise ValueError("expected a regular file")
    try:
        file = io.FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY))
    except BlockingIOError:  # somebody has a lease of it, and is asked by the system to give it back
        file = io.FileIO(path)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("expected a regular file")
    return file


@dataclass(frozen=True)
class Stamp:
    """What tells that a file was written to, or that its path leads to another one by now.

    The system sets ``noted``, and nobody can set it back: it catches a write whose time of writing was set back, and
    another file of the same size and time (``cp -p``, ``rsync -t``). It changes with every link, rename and chmod as
    well. A file to which that happens while it is read is refused too: nothing tells whether it was written to.

    The number of the device is left out: each machine numbers its own, and a worker on another one reads the same file.
    The file's number is the same everywhere on NFS and its like; where each mount numbers files anew (some of FUSE), a
    worker on another machine refuses the file, in place of trusting a size and a time.
    """

    size: int
    number: int
    """The file's own, on its device."""
    changed: int
    """When it was last written to, as anybody may have set it."""
    noted: int
    """When the system last noted a change of the file, its names or its permissions."""

    @classmethod
    def of(cls, descriptor: int) -> "Stamp":
        """Return an open file's."""
        found = os.fstat(descriptor)
        return cls(found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)

    @classmethod
    def settled(cls, descriptor: int) -> "Stamp":
        """Return an open file's once any later write would give it another one. Errors: ValueError.

        Two writes in one tick of the clock may give the file the same time; the second one would go unseen.
        """
        for _ in range(PATIENCE):
            found = cls.of(descriptor)
            now = time.clock_gettime_ns(FILE_CLOCK)
            if not any(0 <= moment - now < LONGEST_TICK for moment in (found.changed, found.noted)):
                return found
            time.sleep(0.001)
        raise ValueError("the file is being written to")

    def check(self, descriptor: int) -> None:
        """Refuse a file that was written to since, and another one: what was read may be neither old nor new.

        Errors: ValueError.
        """
        now = Stamp.of(descriptor)
        if now.number != self.number:
            raise ValueError("the file was replaced while it was read")
        if now.size < self.size:
            raise ValueError("the file was cut short while it was read")
        if now != self:
            raise ValueError("the file was changed while it was read")


@dataclass(frozen=True)
class Span:
    """The bytes of a stored tensor in a file that was opened once and may be opened again, by anyone."""

    path: str
    """The file's path, as the user gave it."""
    tensor: TensorInfo
    """What is stored."""
    position: int
    """Its first byte, counted from the beginning of the file."""
    stamp: Stamp
    """What the file was when its header was read."""
    folder: str
    """The folder that a relative path starts from, as another process may work in another one; else empty."""

    @contextlib.contextmanager
    def open(self) -> Iterator[io.FileIO]:
        """Open the file again, and refuse it if it is another; in the end too, if it was changed meanwhile."""
        with naming(self.path, self.tensor.name):
            file = open_file(Path(self.folder, self.path))
        with file:
            # First as well: the bytes of another file may lead to an error that would hide this one.
            with naming(self.path, self.tensor.name):
                self.stamp.check(file.fileno())
            yield file
            with naming(self.path, self.tensor.name):
                self.stamp.check(file.fileno())

    def chunks(self, file: io.FileIO) -> Iterator[memoryview]:
        """Yield the bytes, a piece at a time; each piece is gone when the next one comes."""
        buffer = memoryview(bytearray(min(CHUNK, self.tensor.nbytes)))
        for start in range(0, self.tensor.nbytes, CHUNK):
            piece = buffer[: min(CHUNK, self.tensor.nbytes - start)]
            self._fill(file, piece, start)
            yield piece

    def raw(self, file: io.FileIO) -> UInt8:
        """Return the bytes."""
        data = np.empty(self.tensor.nbytes, np.uint8)
        for start in range(0, len(data), CHUNK):
            self._fill(file, data[start : start + CHUNK].data, start)
        return data

    def read_float32(self, file: io.FileIO) -> Float32:
        """Return a float tensor in its own shape as float32; F64 is rounded once, F16 and BF16 widen exactly."""
        about, dtype = f"tensor {printable(self.tensor.name)}", self.tensor.dtype
        if dtype not in FLOAT_DTYPES:
            raise CheckpointError(self.path, f"{about}: expected {', '.join(FLOAT_DTYPES)}, got {dtype}")
        with naming(self.path):
            return decode_pieces(about, self.chunks(file), dtype, self.tensor.shape)

    def _fill(self, file: io.FileIO, target: memoryview, start: int) -> None:
        with naming(self.path, self.tensor.name):
            fill(file, target, self.position + start)


@dataclass(frozen=True)
class Place:
    """Where the bytes of a tensor go in a file that is being written, under a temporary name."""

    destination: str
    """The file's path in the end, for errors to name."""
    file: str
    """Its temporary path, absolute; it exists."""
    tensor: TensorInfo
    """What goes there."""
    position: int
    """Its first byte, counted from the beginning of the file."""

    def write(self, chunks: Iterable[memoryview]) -> None:
        """Write all the bytes; to do it twice is as good as once. Errors: CheckpointError; ValueError if they are not
        as many as the tensor's shape says."""
        # What makes the bytes may fail too, and has its own names for that: only the writing is named here.
        with naming(self.destination):
            file = Path(self.file).open("r+b", buffering=0)  # noqa: SIM115 - closed by the next block
        with file:
            written = 0
            for chunk in chunks:
                if written + len(chunk) <= self.tensor.nbytes:
                    with naming(self.destination):
                        file.seek(self.position + written)
                        _write_all(file, chunk)
                written += len(chunk)
        if written != self.tensor.nbytes:
            raise ValueError(f"tensor {self.tensor.name!r}: expected {self.tensor.nbytes} bytes, got {written}")


def fill(file: io.FileIO, target: memoryview, position: int) -> None:
    """Fill ``target`` with a file's bytes from a position on. Errors: OSError; ValueError for a file too short."""
    file.seek(position)
    done = 0
    while done < len(target):
        count = file.readinto(target[done:])
        if not count:
            raise ValueError("the file was cut short while it was read")
        done += count


def _write_all(file: io.FileIO, chunk: memoryview) -> None:
    """Write a piece: the system may take less of it at a time."""
    done = 0
    while done < len(chunk):
        done += file.write(chunk[done:])
