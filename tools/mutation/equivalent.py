"""Mutants that no check can kill, each with the reason: the TOML files of ``docs/mutation/equivalent``.

A mutant is named by the text of its line, so that an entry cannot outlive the code that it speaks of: one whose mutant
can no longer be made is stale, and an error. An entry has one reason and all mutants of a file that it holds for::

    [[equivalent]]
    file = "q35ref/reference/lanes.py"
    reason = "Why nothing can tell these mutants from the original."
    mutants = [
        ["text of the line", "what it becomes"],
        ["text that stands in the file twice", "what the second becomes", 1],
    ]
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from tools.mutation.mutant import Key
from tools.mutation.sources import ROOT, made_at, read

EQUIVALENT: Final = ROOT / "docs" / "mutation" / "equivalent"

FIELDS: Final[dict[str, type]] = {"file": str, "reason": str, "mutants": list}
"""Of an entry."""


class BadEntry(ValueError):
    """An entry of the list that cannot stand; the text says which and why."""


def load(folder: Path = EQUIVALENT) -> dict[Key, str]:
    """Return the reason of each mutant of the list. Errors: BadEntry, OSError."""
    found: dict[Key, str] = {}
    for path in sorted(folder.glob("*.toml")):
        for key, reason in _entries(path):
            if key in found:
                raise BadEntry(f"{path.name}: twice: {key}")
            found[key] = reason
    return found


def _entries(path: Path) -> Iterator[tuple[Key, str]]:
    try:
        data = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise BadEntry(f"{path.name}: {error}") from error
    if set(data) - {"equivalent"}:
        raise BadEntry(f"{path.name}: expected tables [[equivalent]] alone, got {', '.join(sorted(data))}")
    for entry in data.get("equivalent", []):
        told = f"{path.name}: {entry.get('file')}: {entry.get('reason')}"
        wrong = sorted(FIELDS.keys() ^ entry.keys())
        wrong = wrong or [name for name, kind in FIELDS.items() if type(entry[name]) is not kind]
        if wrong:
            raise BadEntry(f"{told}: expected {', '.join(FIELDS)}; wrong: {', '.join(wrong)}")
        if not entry["reason"].strip():
            raise BadEntry(f"{told}: reason: expected why nothing can tell the mutants from the original")
        for mutant in entry["mutants"]:
            yield _key(told, entry["file"], mutant), entry["reason"].strip()


def _key(told: str, file: str, mutant: Any) -> Key:
    kinds = [type(part) for part in mutant] if isinstance(mutant, list) else []
    if kinds not in ([str, str], [str, str, int]):
        raise BadEntry(f"{told}: mutants: expected lists of a line, its mutant and, if need be, a number; got {mutant}")
    return Key(file, *mutant)


def stale(entries: Mapping[Key, str], root: Path = ROOT) -> Iterator[Key]:
    """Yield the entries whose mutant cannot be made: their line or their file is there no more."""
    for file in dict.fromkeys(key.file for key in entries):
        mine = [key for key in entries if key.file == file]
        try:
            source = read(file, root)
        except OSError:
            yield from mine
            continue
        made = _keys(file, source, frozenset(key.line for key in mine))
        yield from (key for key in mine if key not in made)


@cache
def _keys(file: str, source: str, texts: frozenset[str]) -> frozenset[Key]:
    """Return the mutants of some lines: each is made, which takes long, so that it is done once for a text."""
    return frozenset(mutant.key for mutant in made_at(file, source, texts))
