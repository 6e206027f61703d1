"""Checkpoints in several files made by hand, and jobs that kill, stall or bloat the process that does them."""

import hashlib
import json
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from q35ref.checkpoints import Runner
from q35ref.checkpoints.jobs import Job
from q35ref.checkpoints.spans import Place
from q35ref.quality import Quality
from tests.checkpoint_files import Stored, save, stored, weights

INDEX = "model.safetensors.index.json"


def shard_name(number: int, of: int) -> str:
    """Return a shard's name as Hugging Face writes it."""
    return f"model-{number + 1:05}-of-{of:05}.safetensors"


def write_index(folder: Path, document: object) -> Path:
    """Write an index that says anything at all."""
    path = folder / INDEX
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    return path


def save_shards(folder: Path, shards: Sequence[Mapping[str, Stored]]) -> Path:
    """Write a checkpoint of some shards with an index; return its folder."""
    folder.mkdir()
    weight_map: dict[str, str] = {}
    for number, tensors in enumerate(shards):
        name = shard_name(number, len(shards))
        save(folder / name, tensors, {"format": "pt", "shard": str(number)})
        weight_map |= dict.fromkeys(tensors, name)
    size = sum(len(tensor.data) for tensors in shards for tensor in tensors.values())
    write_index(folder, {"metadata": {"total_size": size, "note": "é"}, "weight_map": weight_map})
    return folder


def sharded_model(folder: Path, dtype: str = "F32") -> Path:
    """Write a small model in three shards, the last of which has nothing to quantize."""
    return save_shards(
        folder,
        [
            {
                "first.weight": stored(weights(6, 33, dtype=dtype), dtype),
                "embeddings.word.weight": stored(weights(9, 16, seed=2)),
                "ids": Stored("I64", (3,), bytes(range(24))),
            },
            {
                "first.bias": stored(weights(6, seed=4)),
                "second.weight": stored(weights(40, 48, seed=3, dtype=dtype), dtype),
                "third.weight": stored(weights(5, 1, seed=5, dtype=dtype), dtype),
            },
            {"half.weight": Stored("F8_E4M3", (3, 3), bytes(range(9))), "flag": Stored("BOOL", (), b"\x01")},
        ],
    )


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@dataclass(frozen=True)
class Wrapped(ABC):
    """A job with something else done first."""

    job: Job
    marks: str
    """A folder that all processes see."""
    times: int = 0

    @property
    def name(self) -> str:
        return self.job.name

    @property
    def path(self) -> str:
        return self.job.path

    @property
    def nbytes(self) -> int:
        return self.job.nbytes

    @property
    def places(self) -> tuple[Place, ...]:
        return self.job.places

    @abstractmethod
    def first(self) -> None:
        """Do what goes wrong before the job."""

    def run(self) -> Quality | None:
        self.first()
        return self.job.run()


class Dying(Wrapped):
    """The first times that it is done, it writes nonsense in its result's place and kills its process."""

    def first(self) -> None:
        for number in range(self.times):
            try:
                Path(self.marks, f"death {number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            self.places[0].write([memoryview(b"\xaa" * self.places[0].tensor.nbytes)])
            os.kill(os.getpid(), signal.SIGKILL)


class Stalling(Wrapped):
    """It leaves the number of its process, and waits until it is told to go on."""

    def first(self) -> None:
        Path(self.marks, f"process {os.getpid()}").touch()
        end = time.monotonic() + 120
        while not Path(self.marks, "go").exists() and time.monotonic() < end:
            time.sleep(0.02)


KEPT: list[Any] = []


class Hoarding(Wrapped):
    """It keeps as many bytes as it reads, for ever."""

    def first(self) -> None:
        KEPT.append(np.ones(self.nbytes, np.uint8))


def wrapping(
    runner: Runner, kind: Callable[[Job, str, int], Job], marks: Path, times: int = 0, only: str | None = None
) -> Runner:
    """Return a runner whose jobs, or that of one tensor, are wrapped."""

    def run(jobs: Sequence[Job], starting: Callable[[Job], None]) -> Generator[tuple[int, Quality | None], None, None]:
        wrapped = [kind(job, str(marks), times) if only in (None, job.name) else job for job in jobs]
        return runner(wrapped, starting)

    return run


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asked about does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
