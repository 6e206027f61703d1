"""The record of a run: what the tables and the page are made from, and nothing else is."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from q35ref.atomic import write_text

SCHEMA: Final = 1
"""Version of the record's shape."""

GROUP_SIZE: Final = 128
"""Rows of a group in all runs."""

BASE: Final = 150 << 20
"""Bytes that a process may have besides: the interpreter, NumPy, codes, headers, blocks of a measurement."""

MATRICES: Final = 4
"""How many times the largest matrix, as float32, a process may have: itself, what is restored of it, and its squares in
doubles, which its standard deviation is taken from; smaller things are in the base."""


@dataclass(frozen=True)
class Source:
    """What was quantized."""

    shards: int
    tensors: int
    bytes: int
    """Of all files."""
    weights: int
    """Those that are quantized."""
    largest: int
    """Bytes of the largest matrix as float32."""


@dataclass(frozen=True)
class Run:
    """One quantization of all shards."""

    name: str
    seconds: float
    cpu: float
    """Seconds that processors worked on it, in all its processes."""
    peak: int
    """The most bytes that the first process had."""
    worker_peak: int
    """The most that any of its workers had; nothing to speak of for a serial run."""
    bytes: int
    """Of all files written."""
    digest: str
    """SHA-256 of the names and SHA-256s of all files."""


@dataclass(frozen=True)
class Parts:
    """Seconds that processors worked on each part of the work on one matrix."""

    weights: int
    read: float
    """To read it and widen it to float32."""
    quantize: float
    """To calibrate, quantize and pack."""
    measure: float
    """To measure the error of every weight."""


@dataclass(frozen=True)
class Record:
    """Everything."""

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    load: tuple[float, float]
    """The mean number of processes that ran or waited in a minute, before and after."""
    source: Source
    copies: tuple[float, ...]
    """Seconds to copy the source's files to the same disk, before and after the runs."""
    runs: tuple[Run, ...]
    """The serial one first."""
    parts: Parts
    schema: int = SCHEMA

    @property
    def copied(self) -> float:
        """Bytes of the source a second of the faster copy: the floor."""
        return self.source.bytes / min(self.copies)

    @property
    def limit(self) -> int:
        """The most bytes that a process may have."""
        return BASE + MATRICES * self.source.largest

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the record that JSON data stands for. Errors: ValueError, KeyError, TypeError."""
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema: expected {SCHEMA}, got {data['schema']!r}")
        if set(data) != {field.name for field in fields(cls)}:
            raise ValueError(f"expected the fields of a record, got {', '.join(sorted(data))}")
        before, after = data["load"]
        return cls(
            machine=dict(data["machine"]),
            versions=dict(data["versions"]),
            load=(before, after),
            source=Source(**data["source"]),
            copies=tuple(data["copies"]),
            runs=tuple(Run(**run) for run in data["runs"]),
            parts=Parts(**data["parts"]),
        )


def save(record: Record, path: Path) -> None:
    """Write a record as JSON, whole or not at all."""
    write_text(path, json.dumps(asdict(record), indent=1) + "\n")


def load(path: Path) -> Record:
    """Read a record. Errors: ValueError for what is none, OSError."""
    try:
        return Record.from_json(json.loads(path.read_text()))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name}: not a record of a run at scale: {error!r}") from error


def faults(record: Record) -> list[str]:
    """Return what must not be: other bytes than those of the serial run, or more memory than tensors explain."""
    serial, *others = record.runs
    found = [f"{run.name}: other bytes than the serial run" for run in others if run.digest != serial.digest]
    for run in record.runs:
        for who, peak in (("the first process", run.peak), ("a worker", run.worker_peak)):
            if peak > record.limit:
                found.append(f"{run.name}: {who} had {peak:,} bytes, expected at most {record.limit:,}")
    return found
