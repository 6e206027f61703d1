"""The reader of indexes: any bytes at all, beside two small shards that are sound."""

import json
from functools import cache
from pathlib import Path
from typing import Final

from q35ref.checkpoints import CheckpointError, inspect_file
from q35ref.checkpoints.header import TensorInfo
from q35ref.checkpoints.index import INDEX_SUFFIX, read_index
from q35ref.checkpoints.writer import write_checkpoint
from tools.fuzz.target import Target, documented
from tools.fuzz.targets.scratch import folder

SHARDS: Final = {
    "a.safetensors": TensorInfo("a.weight", "F32", (2, 4)),
    "b.safetensors": TensorInfo("b.bias", "F16", (2,)),
}
"""The shards beside each index, with one tensor of zeros each."""


def read(data: bytes) -> None:
    """Read an index with its shards, and alone; what can be read can be written again, as it was."""
    path = _beside_shards() / f"model{INDEX_SUFFIX}"
    path.write_bytes(data)
    with documented(CheckpointError):
        found = inspect_file(path)
        json.dumps(found.document(), allow_nan=False)
    with documented(CheckpointError):
        index = read_index(path)
        for shard in index.shards:
            with documented(CheckpointError):
                index.shard_path(shard)
        again = json.loads(index.encode(index.weight_map, 1))
        if again != {**index.document, "metadata": {**index.document.get("metadata", {}), "total_size": 1}}:
            raise AssertionError("another index than was read")


@cache
def _beside_shards() -> Path:
    """Return a folder with the shards: made once, for the input that comes first."""
    place = folder("index")
    for name, tensor in SHARDS.items():
        with write_checkpoint(place / name, [tensor], {}) as output:
            output.write(tensor.name, [memoryview(bytes(tensor.nbytes))])
            output.finish({})
    return place


INDEX: Final = Target("index", "indexes of checkpoints in several files, two small shards beside them", read)

FOUND: Final = (INDEX,)
"""The targets of this module."""
