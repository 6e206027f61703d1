"""The record of a run: what the tables and the page are made from, and nothing else is."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from q35ref.atomic import write_text

SCHEMA: Final = 1
"""Version of the record's shape."""

MOST_NAMED: Final = 2
"""Bug classes that may be named: the planted one, and one that looks alike."""


@dataclass(frozen=True)
class Found:
    """What is kept of a finding."""

    check: str
    kind: str
    bugs: tuple[str, ...]
    """The classes that it names."""
    input_size: int
    """Numbers in the arrays of the smallest input found."""


@dataclass(frozen=True)
class Planted:
    """A run on a kernel with a bug."""

    language: str
    name: str
    bug: str
    """The bug's class; empty if it has none."""
    exit_status: int
    first_seconds: float | None
    """From the start of the process until the first finding was printed."""
    seconds: float
    failures: int
    """Cases that broke a rule."""
    findings: tuple[Found, ...]

    @property
    def variant(self) -> bool:
        """Whether it is another way to have a bug than that which gave its class the name."""
        return self.name != self.bug

    @property
    def caught(self) -> bool:
        """Whether something was found."""
        return self.exit_status == 1 and bool(self.findings)

    @property
    def named(self) -> bool:
        """Whether the first finding names the class."""
        return self.caught and self._fits(self.findings[0].bugs)

    @property
    def named_throughout(self) -> bool:
        """Whether all findings together name it."""
        return self.caught and self._fits(self.classes)

    @property
    def strangers(self) -> tuple[Found, ...]:
        """The findings that do not name it."""
        return tuple(found for found in self.findings if not self._fits(found.bugs))

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class that some finding names, once."""
        return tuple(dict.fromkeys(bug for found in self.findings for bug in found.bugs))

    def _fits(self, bugs: tuple[str, ...]) -> bool:
        """Return whether classes are the planted one and at most one other; for a bug of no class, none at all."""
        return self.bug in bugs and len(bugs) <= MOST_NAMED if self.bug else not bugs


@dataclass(frozen=True)
class Correct:
    """A run on a kernel without a bug."""

    language: str
    level: int
    seed: int
    exit_status: int
    passed: int
    """Checks that passed."""
    not_checked: int
    """Checks of what the kernel lacks."""
    cases: int
    """Cases that were judged; a call counts for every rule about it."""
    numbers: int
    findings: int
    seconds: float

    @property
    def conforms(self) -> bool:
        """Whether something was checked and nothing was found."""
        return self.exit_status == 0 and self.findings == 0 and self.passed > 0


@dataclass(frozen=True)
class Load:
    """The mean number of processes that ran or waited in a minute, those of the run included."""

    before: float
    highest: float
    after: float


@dataclass(frozen=True)
class Record:
    """A whole run."""

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    load: Load
    planted: tuple[Planted, ...]
    correct: tuple[Correct, ...]
    schema: int = SCHEMA

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the record that JSON data stands for. Errors: ValueError, KeyError, TypeError."""
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema: expected {SCHEMA}, got {data['schema']!r}")
        if set(data) != {field.name for field in fields(cls)}:
            raise ValueError(f"expected the fields of a record, got {', '.join(sorted(data))}")
        return cls(
            machine=dict(data["machine"]),
            versions=dict(data["versions"]),
            load=Load(**data["load"]),
            planted=tuple(_planted(entry) for entry in data["planted"]),
            correct=tuple(Correct(**entry) for entry in data["correct"]),
        )


def _planted(entry: Mapping[str, Any]) -> Planted:
    findings = tuple(Found(**{**found, "bugs": tuple(found["bugs"])}) for found in entry["findings"])
    made = Planted(**{**entry, "findings": findings})
    if (made.first_seconds is None) != (not findings):
        raise ValueError(f"{made.language}:{made.name}: expected a time of the first finding just if there is one")
    return made


def save(record: Record, path: Path) -> None:
    """Write a record as JSON, whole or not at all."""
    write_text(path, json.dumps(asdict(record), indent=1) + "\n")


def load(path: Path) -> Record:
    """Read a record. Errors: ValueError for what is none, OSError."""
    try:
        return Record.from_json(json.loads(path.read_text()))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name}: not a record of planted bugs: {error!r}") from error


def faults(record: Record) -> list[str]:
    """Return what the oracle got wrong: bugs not caught or not named, findings on correct kernels."""
    found = []
    for run in record.planted:
        if not run.caught:
            found.append(f"{run.language}:{run.name}: not caught (exit status {run.exit_status})")
        elif not run.named:
            named = ", ".join(run.findings[0].bugs) or "no class"
            found.append(
                f"{run.language}:{run.name}: expected {run.bug or 'no class'}, the first finding names {named}"
            )
    for right in record.correct:
        if not right.conforms:
            found.append(
                f"{right.language}, correct, level {right.level}, seed {right.seed}: exit status {right.exit_status}, "
                f"{right.findings} findings"
            )
    return found
