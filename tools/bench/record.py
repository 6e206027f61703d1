"""The record of a run: what every table, page and picture is made from, and nothing else is."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from q35ref.atomic import write_text
from tools.bench.contender import Skipped

SCHEMA: Final = 1
"""Version of the record's shape."""


@dataclass(frozen=True)
class Measurement:
    """Of one contender in one section."""

    section: str
    work: str
    name: str
    path: str
    k: int
    n: int
    rows: int
    threads: int
    bytes: int
    calm: int
    """Samples that no other process disturbed."""
    disturbed: int
    """Samples that one did; they count only where less than half as many are calm as there are rounds."""
    seconds: float
    """Median of one call."""
    quartiles: tuple[float, float]
    error: float | None
    """How far its result was from the right one; nothing for an anchor."""

    @property
    def giga_weights(self) -> float:
        """Weights in 1e9 a second, each counted once for every row of activations."""
        return self.k * self.n * self.rows / self.seconds / 1e9

    @property
    def giga_bytes(self) -> float:
        """Bytes in 1e9 a second."""
        return self.bytes / self.seconds / 1e9

    @property
    def bits(self) -> float:
        """Bits a weight."""
        return 8 * self.bytes / (self.k * self.n)


@dataclass(frozen=True)
class Section:
    """A section's conditions."""

    name: str
    rounds: int
    load_before: float
    load_after: float


@dataclass(frozen=True)
class Record:
    """A whole run."""

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    isas: tuple[str, ...]
    """The native kernel's instruction sets on this machine, the fastest first."""
    sections: tuple[Section, ...]
    measurements: tuple[Measurement, ...]
    skipped: tuple[Skipped, ...]
    schema: int = SCHEMA

    def find(self, section: str, **wanted: object) -> list[Measurement]:
        """Return a section's measurements whose fields are as wanted; of texts a prefix is enough."""

        def fits(m: Measurement) -> bool:
            for key, value in wanted.items():
                found = getattr(m, key)
                if not (found.startswith(value) if isinstance(value, str) else found == value):
                    return False
            return True

        return [m for m in self.measurements if m.section == section and fits(m)]

    def fastest(self, section: str, **wanted: object) -> Measurement | None:
        """Return the fastest of them, by weights or, where none are counted, by bytes a second."""
        found = self.find(section, **wanted)
        return max(found, key=lambda m: (m.giga_weights, m.giga_bytes)) if found else None


def save(record: Record, path: Path) -> None:
    """Write a record as JSON, whole or not at all."""
    write_text(path, json.dumps(asdict(record), indent=1) + "\n")


def load(path: Path) -> Record:
    """Read a record. Errors: ValueError for what is none, OSError."""
    try:
        return from_json(json.loads(path.read_text()))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name}: not a record of the benchmark: {error!r}") from error


def from_json(data: Mapping[str, Any]) -> Record:
    """Return the record that JSON data stands for. Errors: ValueError, KeyError, TypeError."""
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema: expected {SCHEMA}, got {data['schema']!r}")
    if set(data) != {field.name for field in fields(Record)}:
        raise ValueError(f"expected the fields of a record, got {', '.join(sorted(data))}")
    return Record(
        machine=_texts(data["machine"]),
        versions=_texts(data["versions"]),
        isas=tuple(map(str, data["isas"])),
        sections=tuple(Section(**entry) for entry in data["sections"]),
        measurements=tuple(_measurement(entry) for entry in data["measurements"]),
        skipped=tuple(Skipped(**entry) for entry in data["skipped"]),
    )


def _texts(data: Mapping[str, Any]) -> dict[str, str]:
    if not all(isinstance(value, str) for value in data.values()):
        raise ValueError(f"expected texts, got {data!r}")
    return dict(data)


def _measurement(entry: Mapping[str, Any]) -> Measurement:
    low, high = entry["quartiles"]
    made = Measurement(**{**entry, "quartiles": (low, high)})
    for name in ("k", "n", "rows", "threads", "bytes", "calm", "disturbed"):
        value = getattr(made, name)
        if not isinstance(value, int) or value < 0:
            raise ValueError(f"{name}: expected a count, got {value!r}")
    if not 0 < low <= made.seconds <= high:
        raise ValueError(f"expected 0 < quartile <= median <= quartile, got {low!r}, {made.seconds!r}, {high!r}")
    return made
