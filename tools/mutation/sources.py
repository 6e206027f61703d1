"""Source files of either language, by one face: where they can be mutated, and the mutants."""

from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

from tools.mutation import c_source, python_source
from tools.mutation.mutant import Mutant, Place, collapsed

ROOT: Final = Path(__file__).parents[2]


def read(file: str, root: Path = ROOT) -> str:
    """Return a source file's text. Errors: OSError."""
    return (root / file).read_text(encoding="utf-8")


def _language(file: str) -> ModuleType:
    return python_source if file.endswith(".py") else c_source


def places(file: str, source: str) -> list[Place]:
    """Return where a file can be mutated, from its first line to its last."""
    found: list[Place] = _language(file).places(file, source)
    return found


def make(place: Place, source: str) -> Mutant:
    """Return the mutant of a place of a file."""
    made: Mutant = _language(place.file).make(place, source)
    return made


def made_at(file: str, source: str, texts: Collection[str]) -> Iterator[Mutant]:
    """Yield the mutants of the lines that any of some texts, white space collapsed, begins with."""
    lines = [collapsed([line]) for line in source.splitlines()]
    wanted = {i for i, line in enumerate(lines, 1) if line and any(text.startswith(line) for text in texts)}
    for place in places(file, source):
        if place.number in wanted:
            yield make(place, source)
