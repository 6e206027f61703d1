"""How far a soak has come, and its file: written whole or not at all, and refused if it is damaged or another run's."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from q35ref.atomic import write_text
from q35ref.vectors.files import VectorFileError, parse, read
from q35ref.vectors.shape import FormError, require_form
from q35ref.version import __version__

GENERATOR: Final = "q35ref soak"
"""What the file says that it is from."""

SCHEMA_VERSION: Final = 1
"""Version of the file's form and of the problems."""


class StateError(Exception):
    """A state that cannot be gone on with; the message names the file and what was expected."""


@dataclass(frozen=True)
class Counts:
    """What was done; ``state.schema.json`` says what each number means."""

    problems: int = 0
    by_reference: int = 0
    cases: int = 0
    weights: int = 0
    numbers: int = 0
    no_verdict: int = 0
    failures: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))


@dataclass(frozen=True)
class State:
    """A run so far: the problems from ``first`` to before ``next`` were posed, each of them completely."""

    seed: int
    backends: tuple[str, ...]
    first: int = 0
    next: int = 0
    milliseconds: int = 0
    counts: dict[str, Counts] = field(default_factory=dict)
    """By operation."""

    @property
    def total(self) -> Counts:
        """All counts together."""
        return sum(self.counts.values(), Counts())

    def after(self, operation: str, counts: Counts, milliseconds: int) -> "State":
        """Return the state after one more problem, and the time since the start."""
        merged = {**self.counts, operation: self.counts.get(operation, Counts()) + counts}
        return replace(self, next=self.next + 1, milliseconds=milliseconds, counts=merged)

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        content = {
            "generator": GENERATOR,
            "schema_version": SCHEMA_VERSION,
            "q35ref_version": __version__,
            "numpy_version": np.__version__,
            "seed": self.seed,
            "backends": list(self.backends),
            "first": self.first,
            "next": self.next,
            "milliseconds": self.milliseconds,
            "counts": {name: asdict(counts) for name, counts in sorted(self.counts.items())},
        }
        return {**content, "sha256": _digest(content)}

    def save(self, path: Path) -> None:
        """Write it. Errors: OSError."""
        write_text(path, json.dumps(self.document(), indent=1) + "\n")


def load(path: Path, seed: int, backends: tuple[str, ...], first: int | None) -> State:
    """Return the state that a file holds. Errors: StateError for a damaged file, and one of another run.

    ``first`` is the first problem's number if somebody asks for it.
    """
    name = str(path)
    try:
        content = parse(path.name, read(path))
        require_form(content, json.loads(schema_path().read_text()))
    except (VectorFileError, FormError, RecursionError) as error:
        reason = str(error).removeprefix(f"{path.name}: ")
        raise StateError(f"{name}: no state of q35ref soak: {reason}") from error
    digest = content.pop("sha256")
    if digest != _digest(content):
        raise StateError(f"{name}: damaged: its SHA-256 is not the one that it says")
    expected = {
        "q35ref_version": __version__,
        "numpy_version": np.__version__,
        "seed": seed,
        "backends": list(backends),
    }
    if first is not None:
        expected["first"] = first
    for key, wanted in expected.items():
        if content[key] != wanted:
            raise StateError(f"{name}: a run with {key} {_shown(content[key])}; expected {_shown(wanted)}")
    counts = {operation: Counts(**found) for operation, found in content["counts"].items()}
    state = State(seed, backends, content["first"], content["next"], content["milliseconds"], counts)
    if state.total.problems != state.next - state.first:
        raise StateError(f"{name}: expected {state.next - state.first} problems in its counts")
    return state


def schema_path() -> Path:
    """Return where the published schema stands."""
    return Path(str(files("q35ref.soak"))) / "state.schema.json"


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
