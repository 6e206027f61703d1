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
    """Yield the mutants of the lines that any of some texts, white space collapsed, begins with.

    Each is made in a piece of the file, since a whole file takes long to parse.
    """
    lines = source.splitlines(keepends=True)
    told = [collapsed([line]) for line in lines]
    wanted = {i for i, line in enumerate(told, 1) if line and any(text.startswith(line) for text in texts)}
    for first, last in _language(file).pieces(source):
        if wanted.isdisjoint(range(first, last + 1)):
            continue
        before, piece, after = ("".join(part) for part in (lines[: first - 1], lines[first - 1 : last], lines[last:]))
        for place in places(file, piece):
            if place.number + first - 1 in wanted:
                mutant = make(place, piece)
                yield Mutant.between(file, mutant.operator, source, before + mutant.text + after)
