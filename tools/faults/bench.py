"""Two versions of a source, what each becomes, and an older file to be replaced."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tools.faults.files import digest, make_checkpoint
from tools.faults.trial import Q35REF, Job, Tally

WHOLE: Final = "whole"
OLDER: Final = "older file"
SECOND: Final = "whole, of the second version"

OLDER_MEGABYTES: Final = 0.01
"""Size of what the older file was made from."""


@dataclass(frozen=True)
class Bench:
    """What the trials of a command need. The folder of the destination holds nothing else."""

    folder: Path
    first: Job
    """From the first version; its source is only ever read, and copied where it is to be spoilt."""
    second: Job
    """From the second version."""
    older: Path
    known: dict[str, str]
    """What may be at the destination, by digest."""

    @property
    def destination(self) -> Path:
        """Where all jobs write."""
        return self.first.destination

    def tally(self) -> Tally:
        """Return counts of nothing yet."""
        return Tally(self.known, self.destination)

    def put_older(self, there: bool) -> None:
        """Put the older file at the destination, or nothing."""
        self.destination.unlink(missing_ok=True)
        if there:
            shutil.copyfile(self.older, self.destination)

    def from_copy(self, version: Job) -> Job:
        """Return the job on a fresh copy of a version's source."""
        copy = self.folder / "copy"
        shutil.copyfile(version.source, copy)
        return replace(self.first, source=copy)


def quantize_bench(folder: Path, megabytes: float, seed: int, program: Sequence[str] = Q35REF) -> Bench:
    """Make the files for ``quantize``; ``program`` is what is then put to the test."""
    folder.mkdir()
    for name, size, number in (
        ("first", megabytes, seed),
        ("second", megabytes, seed + 1),
        ("old", OLDER_MEGABYTES, 0),
    ):
        make_checkpoint(folder / name, size, number)
    return _bench(folder, "quantize", program)


def dequantize_bench(folder: Path, quantized: Bench, program: Sequence[str] = Q35REF) -> Bench:
    """Make the files for ``dequantize`` from those of ``quantize``."""
    folder.mkdir()
    for name in ("first", "second", "old"):
        Job("quantize", quantized.folder / name, folder / name).run()
    return _bench(folder, "dequantize", program)


def _bench(folder: Path, command: str, program: Sequence[str]) -> Bench:
    out = folder / "out"
    out.mkdir()
    made = {}
    for name, known in (("first", WHOLE), ("second", SECOND), ("old", OLDER)):
        Job(command, folder / name, folder / f"{name}.made").run()
        made[digest(folder / f"{name}.made")] = known
    first = Job(command, folder / "first", out / "model.safetensors", program)
    return Bench(folder, first, replace(first, source=folder / "second"), folder / "old.made", made)
