"""Mutants that no check can kill, each with the reason: ``docs/mutation/equivalent.toml``.

An entry names a mutant by the text of its line, so that it cannot outlive the code that it speaks of: one whose mutant
can no longer be made is stale, and an error.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tools.mutation.mutant import Key
from tools.mutation.sources import ROOT, made_at, read

EQUIVALENT: Final = ROOT / "docs" / "mutation" / "equivalent.toml"

FIELDS: Final = {"file": str, "line": str, "mutant": str, "nth": int, "reason": str}
"""Of an entry; ``nth`` may be left out."""


class BadEntry(ValueError):
    """An entry of the list that cannot stand; the text says which and why."""


def load(path: Path = EQUIVALENT) -> dict[Key, str]:
    """Return the reason of each mutant of the list. Errors: BadEntry, OSError."""
    try:
        data = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise BadEntry(f"{path.name}: {error}") from error
    if set(data) - {"equivalent"}:
        raise BadEntry(f"{path.name}: expected tables [[equivalent]] alone, got {', '.join(sorted(data))}")
    found: dict[Key, str] = {}
    for entry in data.get("equivalent", []):
        key, reason = _entry(path.name, entry)
        if key in found:
            raise BadEntry(f"{path.name}: twice: {key}")
        found[key] = reason
    return found


def _entry(name: str, entry: Mapping[str, Any]) -> tuple[Key, str]:
    told = f"{entry.get('file')}: {entry.get('line')}"
    wrong = [field for field, value in entry.items() if type(value) is not FIELDS.get(field)]
    missing = set(FIELDS) - {"nth"} - set(entry)
    if wrong or missing:
        raise BadEntry(f"{name}: {told}: expected {', '.join(FIELDS)}; wrong: {', '.join([*wrong, *sorted(missing)])}")
    if not entry["reason"].strip():
        raise BadEntry(f"{name}: {told}: reason: expected why nothing can tell the mutant from the original")
    return Key(entry["file"], entry["line"], entry["mutant"], entry.get("nth", 0)), entry["reason"].strip()


def stale(entries: Mapping[Key, str], root: Path = ROOT) -> Iterator[Key]:
    """Yield the entries whose mutant cannot be made: their line or their file is there no more."""
    for key in entries:
        try:
            source = read(key.file, root)
        except OSError:
            yield key
            continue
        if key not in {mutant.key for mutant in made_at(key.file, source, key.line)}:
            yield key
