"""A checkpoint of one file or of many, read and written alike: one file is a checkpoint of one shard, without index."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from q35ref.atomic_folder import open_folder
from q35ref.checkpoints.errors import CheckpointError, StrPath, naming, printable
from q35ref.checkpoints.header import TensorInfo
from q35ref.checkpoints.index import Index, find_index, read_index
from q35ref.checkpoints.reader import Checkpoint
from q35ref.checkpoints.schema import TensorRecord
from q35ref.checkpoints.writer import CheckpointWriter, write_checkpoint


@dataclass(frozen=True)
class Source:
    """An open checkpoint. No tensor and no quantized tensor is in two shards."""

    path: str
    """The path that the user gave."""
    shards: dict[str, Checkpoint]
    """Each file, by its name within the folder."""
    index: Index | None
    """What binds the files together; None for a single one."""

    @property
    def plain(self) -> list[TensorInfo]:
        """The tensors that are no part of a quantized one."""
        return [tensor for shard in self.shards.values() for tensor in shard.plain.values()]

    @property
    def records(self) -> list[TensorRecord]:
        """The quantized tensors."""
        return [record for shard in self.shards.values() for record in shard.records.values()]

    @property
    def file_bytes(self) -> int:
        """Bytes of all files, the index not counted."""
        return sum(shard.file_bytes for shard in self.shards.values())

    @property
    def metadata(self) -> dict[str, str]:
        """What all files say of themselves alike, without q35ref's own."""
        first, *others = (shard.metadata for shard in self.shards.values())
        return {key: text for key, text in first.items() if all(other.get(key) == text for other in others)}

    def holding(self, name: str) -> Checkpoint:
        """Return the file that stores a tensor. Errors: CheckpointError."""
        for shard in self.shards.values():
            if name in shard.tensors:
                return shard
        raise CheckpointError(self.path, f"tensor {printable(name)}: expected it in this file, found none")

    def check_unchanged(self) -> None:
        """Refuse files that were written to or replaced since they were opened. Errors: CheckpointError."""
        for shard in self.shards.values():
            shard.check_unchanged()


class Contents(NamedTuple):
    """What a file will hold."""

    tensors: list[TensorInfo]
    """Every tensor that it stores."""
    longest_metadata: Mapping[str, str]
    """Metadata at least as long as that which it will have."""


@contextlib.contextmanager
def open_source(path: StrPath) -> Iterator[Source]:
    """Open a safetensors file, an index, or a folder that holds one index, with all shards. Errors: CheckpointError."""
    found = find_index(path)
    if found is None:
        with Checkpoint(path) as checkpoint:
            yield Source(os.fspath(path), {Path(path).name: checkpoint}, None)
        return
    index = read_index(found)
    with contextlib.ExitStack() as opened:
        shards = {}
        for name, listed in index.shards.items():
            shards[name] = opened.enter_context(Checkpoint(index.shard_path(name)))
            _check_listed(index, shards[name], name, listed)
        source = Source(os.fspath(path), shards, index)
        _check_names(source)
        yield source


@contextlib.contextmanager
def write_like(
    source: Source, destination: StrPath, contents: Mapping[str, Contents]
) -> Iterator[dict[str, CheckpointWriter]]:
    """Open a checkpoint of as many files as a source has for writing; it appears whole when the block ends.

    A single file goes to ``destination`` itself. Shards go into a folder ``destination`` under the names that they
    have, with a new index; a folder that is there already must be empty. Errors: CheckpointError.
    """
    if source.index is None:
        [(name, content)] = contents.items()
        with write_checkpoint(destination, *content) as writer:
            yield {name: writer}
        return
    weight_map = {tensor.name: name for name, content in contents.items() for tensor in content.tensors}
    total_size = sum(tensor.nbytes for content in contents.values() for tensor in content.tensors)
    with naming(destination), open_folder(destination, lambda found: False) as folder:
        writers = {}
        for name, content in contents.items():
            (folder / name).touch(exist_ok=False)
            writers[name] = CheckpointWriter(folder / name, Path(destination) / name, *content)
        yield writers
        (folder / source.index.name).write_bytes(source.index.encode(weight_map, total_size))


def _check_listed(index: Index, shard: Checkpoint, name: str, listed: set[str]) -> None:
    """Refuse a shard that holds something else than the index says. Errors: CheckpointError."""
    for tensor in sorted(listed - shard.tensors.keys()):
        raise CheckpointError(index.path, f"tensor {printable(tensor)}: expected it in {name}, found none")
    for tensor in sorted(shard.tensors.keys() - listed):
        other = index.weight_map.get(tensor)
        where = f"in {other} alone, as the index says" if other is not None else "to be listed in the index"
        raise CheckpointError(index.path, f"tensor {printable(tensor)}: expected it {where}, got it in {name}")


def _check_names(source: Source) -> None:
    """Refuse a tensor that one shard stores as it is and another one quantized. Errors: CheckpointError."""
    plain = {tensor.name for tensor in source.plain}
    for record in source.records:
        if record.name in plain:
            about = f"tensor {printable(record.name)}"
            raise CheckpointError(source.path, f"{about}: expected it quantized or not, got both in two shards")
