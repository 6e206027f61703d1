"""The record of a run: what the tables and the page are made from, and nothing else is."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, Self

from q35ref.atomic import write_text
from tools.mutation.mutant import Key

SCHEMA: Final = 1
"""Version of the record's shape."""

Verdict = Literal["killed", "stopped", "survived", "invalid", "absent", "same_code"]
"""What became of a mutant.

``killed``: a check failed. ``stopped``: a check did not end in its time, which counts as killed. ``survived``: every
check passed. ``invalid``: it is no program. ``absent``: it is in code that this processor never runs. ``same_code``:
the compiler makes the same machine code of it, so that nothing can tell it from the original.
"""


@dataclass(frozen=True)
class Counts:
    """How many mutants of a file came to what."""

    places: int = 0
    """All mutants that there are."""
    killed: int = 0
    stopped: int = 0
    survived: int = 0
    invalid: int = 0
    absent: int = 0
    same_code: int = 0

    @property
    def run(self) -> int:
        """Mutants that were looked at."""
        return self.killed + self.stopped + self.survived + self.invalid + self.absent + self.same_code

    @property
    def dead(self) -> int:
        """Mutants that the checks noticed."""
        return self.killed + self.stopped

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def plus(self, verdict: Verdict, number: int = 1) -> "Counts":
        """Return the counts with some more of one verdict."""
        return self + Counts(**{verdict: number})


@dataclass(frozen=True)
class Survivor:
    """A mutant that passed every check that it met."""

    key: Key
    operator: str
    number: int
    """Its line's number when it was run."""
    is_quick: bool = False
    """Whether it met the first check alone."""


@dataclass(frozen=True)
class PartRecord:
    """A run on one part."""

    seed: int
    """Draws which mutants are run, if it is not all."""
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    seconds: float
    load: float
    """The mean number of processes that ran or waited in the run's last minute, its own included."""
    files: Mapping[str, Counts]
    survivors: tuple[Survivor, ...]
    by_file: bool = False
    """Whether the files were run one by one, each whole, in runs that may be years apart; else it is one run."""
    again: int = 0
    """Survivors of the run that were killed when they were run again: by new tests, or by the other checks."""

    @property
    def total(self) -> Counts:
        """The counts of all files."""
        return sum(self.files.values(), Counts())

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the run that JSON data stands for. Errors: KeyError, TypeError, ValueError."""
        files = {name: Counts(**counts) for name, counts in data["files"].items()}
        survivors = tuple(Survivor(**{**entry, "key": Key(**entry["key"])}) for entry in data["survivors"])
        made = cls(**{**data, "files": files, "survivors": survivors})
        if made.total.survived != len(survivors):
            raise ValueError(f"survivors: expected {made.total.survived}, as the counts say, got {len(survivors)}")
        return made


@dataclass(frozen=True)
class Record:
    """The last run of each part."""

    parts: Mapping[str, PartRecord] = field(default_factory=dict)
    schema: int = SCHEMA

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the record that JSON data stands for. Errors: ValueError, KeyError, TypeError."""
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema: expected {SCHEMA}, got {data['schema']!r}")
        if set(data) != {"schema", "parts"}:
            raise ValueError(f"expected the fields of a record, got {', '.join(sorted(data))}")
        return cls({name: PartRecord.from_json(part) for name, part in data["parts"].items()})


def save(record: Record, path: Path) -> None:
    """Write a record as JSON, whole or not at all."""
    write_text(path, json.dumps(asdict(record), indent=1) + "\n")


def load(path: Path) -> Record:
    """Read a record. Errors: ValueError for what is none, OSError."""
    try:
        return Record.from_json(json.loads(path.read_text()))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name}: not a record of mutants: {error!r}") from error


def faults(part: PartRecord, equivalent: Mapping[Key, str]) -> list[Survivor]:
    """Return the survivors that nobody has explained."""
    return [survivor for survivor in part.survivors if survivor.key not in equivalent]


def score(part: PartRecord, equivalent: Mapping[Key, str]) -> float:
    """Return the share of the mutants that the checks noticed among those that could be noticed."""
    total, unexplained = part.total, len(faults(part, equivalent))
    return total.dead / (total.dead + unexplained) if total.dead + unexplained else 0.0
