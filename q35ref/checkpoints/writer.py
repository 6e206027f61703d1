"""Writing a safetensors file tensor by tensor, in any order.

All sizes are known from the shapes, so every tensor has its place before the first is computed, and no more than
one need be in memory. The metadata may be known only at the end; room is kept for it.
"""

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from q35ref.atomic import open_atomic
from q35ref.checkpoints.errors import StrPath, naming
from q35ref.checkpoints.header import TensorInfo, arrange, encode_header
from q35ref.checkpoints.spans import Place

UNSUPPORTED: Final = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""What the system says where room cannot be set aside."""


class CheckpointWriter:
    """A checkpoint that is being written: the file exists, empty, under a temporary name.

    Tensors are written by whoever is given their place, this process or another one.
    """

    def __init__(
        self, file: StrPath, destination: StrPath, tensors: Iterable[TensorInfo], longest_metadata: Mapping[str, str]
    ) -> None:
        self._file = Path(file).absolute()
        self._destination = os.fspath(destination)
        self._header = arrange(tensors, longest_metadata)
        self._room = len(encode_header(self._header))
        self._missing = set(self._header.tensors)
        _reserve(self._file, self._room + self._header.data_bytes)

    def place(self, name: str) -> Place:
        """Return where a tensor's bytes go."""
        tensor = self._header.tensors[name]
        return Place(self._destination, str(self._file), tensor, self._room + tensor.start)

    def written(self, place: Place) -> None:
        """Take note that a tensor is there. Errors: KeyError for one that was there, or is none of this file's."""
        self._missing.remove(place.tensor.name)

    def write(self, name: str, chunks: Iterable[memoryview]) -> None:
        """Write all the bytes of a tensor. Errors: ValueError if they are not as many as its shape says."""
        place = self.place(name)
        place.write(chunks)
        self.written(place)

    def finish(self, metadata: Mapping[str, str]) -> None:
        """Write the header. Errors: ValueError if a tensor is missing, or the metadata longer than foreseen."""
        if self._missing:
            raise ValueError(f"expected every tensor to be written, got none for {sorted(self._missing)}")
        header = encode_header(replace(self._header, metadata=dict(metadata)), at_least=self._room)
        if len(header) != self._room:
            raise ValueError(f"expected a header of {self._room} bytes, got {len(header)}")
        with self._file.open("r+b") as file:
            file.write(header)


@contextlib.contextmanager
def write_checkpoint(
    path: StrPath, tensors: Iterable[TensorInfo], longest_metadata: Mapping[str, str]
) -> Iterator[CheckpointWriter]:
    """Open a checkpoint for writing; it takes its place at ``path`` when the block ends without an exception.

    ``tensors`` says what it will hold, ``longest_metadata`` is at least as long as what ``finish`` will be given.
    Errors: CheckpointError, also for a full disk.
    """
    with naming(path), open_atomic(path) as file:
        yield CheckpointWriter(file.name, path, tensors, longest_metadata)


def _reserve(file: Path, size: int) -> None:
    """Set room on the disk aside, so that a full one is found before the work and not after it."""
    if not hasattr(os, "posix_fallocate"):
        return
    with file.open("r+b") as opened:
        try:
            os.posix_fallocate(opened.fileno(), 0, size)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
