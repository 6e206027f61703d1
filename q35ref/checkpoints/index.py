"""The index of a checkpoint in several files, as Hugging Face writes it: which tensor lies in which shard.

An index is JSON, ``{"metadata": {"total_size": BYTES, ...}, "weight_map": {TENSOR: SHARD, ...}}``, beside its shards,
under a name such as ``model.safetensors.index.json``. Nothing in it is believed before it is looked at: it comes from
other people, and its names become paths.
"""

import io
import json
import os
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from q35ref.checkpoints import strict_json
from q35ref.checkpoints.errors import CheckpointError, StrPath, naming, printable
from q35ref.checkpoints.spans import open_file

INDEX_SUFFIX: Final = ".safetensors.index.json"
"""How the names of indexes end."""

SHARD_SUFFIX: Final = ".safetensors"
"""How the names of shards must end."""

SHARD: Final = re.compile(r"(?!\.)[^/\\]+" + re.escape(SHARD_SUFFIX))
"""The names that a shard may have: no path, not hidden."""

LONGEST_NAME: Final = 255
"""Bytes of a shard's name, as file systems count; it is written under the same name, with nothing added."""

MAX_INDEX: Final = 100_000_000
"""Longest index, in bytes, that is read; as for a shard's header."""

HUB_BLOBS: Final = ("snapshots", "blobs")
"""In the cache of Hugging Face's hub, ``snapshots/REVISION/`` holds links into ``blobs/``, and nowhere else."""


@dataclass(frozen=True)
class Index:
    """An index that was read and found sound."""

    path: str
    """Its path."""
    weight_map: dict[str, str]
    """The shard of each tensor."""
    document: dict[str, Any]
    """Everything that it says."""

    @property
    def name(self) -> str:
        """Its name within the folder."""
        return Path(self.path).name

    @property
    def shards(self) -> dict[str, set[str]]:
        """The tensors of each shard, the shards in the order of their names."""
        found: dict[str, set[str]] = {shard: set() for shard in sorted(set(self.weight_map.values()))}
        for tensor, shard in self.weight_map.items():
            found[shard].add(tensor)
        return found

    def shard_path(self, shard: str) -> Path:
        """Return a shard's path. Errors: CheckpointError for one that is missing, or a link to somewhere else."""
        folder = Path(self.path).parent
        path = folder / shard
        try:
            found, home, real = path.exists(), Path(os.path.realpath(folder)), Path(os.path.realpath(path))
        except OSError as error:  # a name too long for this file system, a folder that must not be looked into
            raise CheckpointError(self.path, f"shard {shard}: {error.strerror or error}") from error
        if not found:
            raise CheckpointError(self.path, f"expected the shard {shard} beside it, found none")
        allowed = [home]
        if home.parent.name == HUB_BLOBS[0]:
            allowed.append(home.parent.parent / HUB_BLOBS[1])
        if real.parent not in allowed:
            raise CheckpointError(
                self.path, f"expected the shard {shard} in its folder, got a link to {printable(str(real))}"
            )
        return path

    def encode(self, weight_map: Mapping[str, str], total_size: int) -> bytes:
        """Return the text of an index for other tensors; whatever else this one says is kept."""
        metadata = {**self.document.get("metadata", {}), "total_size": total_size}
        document = {**self.document, "metadata": metadata, "weight_map": dict(weight_map)}
        return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def find_index(path: StrPath) -> Path | None:
    """Return the index that a user means: a file so named, or the only one of a folder; None for any other file.

    Errors: CheckpointError for a folder that holds none or several.
    """
    found = Path(path)
    with naming(path):
        if not found.is_dir():
            return found if found.name.endswith(".json") else None
        indexes = sorted(file.name for file in found.iterdir() if file.name.endswith(INDEX_SUFFIX))
    if len(indexes) != 1:
        listed = ", ".join(map(printable, indexes[:3])) or "none"
        raise CheckpointError(path, f"expected one *{INDEX_SUFFIX} in this folder, got {listed}")
    return found / indexes[0]


def read_index(path: StrPath) -> Index:
    """Read an index and look at all that it says. Errors: CheckpointError."""
    with naming(path):
        with io.BufferedReader(open_file(path)) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_INDEX:
                raise ValueError(f"index: expected at most {MAX_INDEX} bytes, got {size}")
            text = file.read(size + 1)  # memory is taken for as many bytes as are asked for
        if len(text) != size:
            raise ValueError("index: the file was changed while it was read")
        document = strict_json.loads(text.decode())
        if not isinstance(document, dict):
            raise ValueError("index: expected a JSON object")
        if not isinstance(document.get("metadata", {}), dict):
            raise ValueError("index: expected metadata to be an object")
        weight_map = document.get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ValueError("index: expected weight_map to be an object that names at least one tensor")
        for tensor, shard in weight_map.items():
            _check_shard(tensor, shard)
        return Index(os.fspath(path), weight_map, document)


def _check_shard(tensor: str, shard: object) -> None:
    """Refuse what is no plain name of a file beside the index. Errors: ValueError."""
    if not isinstance(shard, str) or not SHARD.fullmatch(shard) or not shard.isprintable():
        raise ValueError(
            f"tensor {printable(tensor)}: expected its shard to be the plain name of a {SHARD_SUFFIX} file,"
            f" got {reprlib.repr(shard)}"
        )
    if len(os.fsencode(shard)) > LONGEST_NAME:
        raise ValueError(
            f"tensor {printable(tensor)}: expected the name of its shard to have at most {LONGEST_NAME} bytes,"
            f" got {len(os.fsencode(shard))}: {reprlib.repr(shard)}"
        )
