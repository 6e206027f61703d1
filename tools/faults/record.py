"""The record of a run: what the tables and the page are made from, and nothing else is."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from q35ref.atomic import write_text

SCHEMA: Final = 1
"""Version of the record's shape."""


@dataclass(frozen=True)
class Row:
    """All trials of a fault."""

    fault: str
    command: str
    how: str
    """How it was brought about; of a fault that was not, why."""
    trials: int
    endings: Mapping[str, int]
    """How the runs ended, counted."""
    destinations: Mapping[str, int]
    """What was at the destination afterwards, counted."""
    torn: int
    """Of those, neither nothing, nor an older file, nor a whole new one."""
    most_left: int
    """Temporary files that were there at once, at most."""
    left_after_next: int
    """Temporary files after the next run, which nobody disturbed."""
    wrong: tuple[str, ...] = ()
    """What was not as it must be, in sentences."""


@dataclass(frozen=True)
class Record:
    """A whole run."""

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    seed: int
    kills: int
    megabytes: float
    """Size of the checkpoint."""
    quantize_seconds: float
    """Of a run that nobody disturbed, the median of three."""
    seconds: float
    """All of it."""
    rows: tuple[Row, ...]
    schema: int = SCHEMA

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the record that JSON data stands for. Errors: ValueError, KeyError, TypeError."""
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema: expected {SCHEMA}, got {data['schema']!r}")
        if set(data) != {field.name for field in fields(cls)}:
            raise ValueError(f"expected the fields of a record, got {', '.join(sorted(data))}")
        rows = tuple(Row(**{**row, "wrong": tuple(row["wrong"])}) for row in data["rows"])
        for row in rows:
            if {sum(row.endings.values()), sum(row.destinations.values())} != {row.trials}:
                raise ValueError(f"{row.fault}: expected counts of {row.trials} trials")
        return cls(**{**data, "rows": rows})


def save(record: Record, path: Path) -> None:
    """Write a record as JSON, whole or not at all."""
    write_text(path, json.dumps(asdict(record), indent=1) + "\n")


def load(path: Path) -> Record:
    """Read a record. Errors: ValueError for what is none, OSError."""
    try:
        return Record.from_json(json.loads(path.read_text()))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name}: not a record of faults: {error!r}") from error


def faults(rows: tuple[Row, ...]) -> list[str]:
    """Return what was not as it must be."""
    found = []
    for row in rows:
        found += [f"{row.command}, {row.fault}: {sentence}" for sentence in row.wrong]
        if row.torn and not row.wrong:
            found.append(f"{row.command}, {row.fault}: {row.torn} torn")
    return found
