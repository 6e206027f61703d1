"""Files that name checks to skip, or expected to fail: an id or glob pattern a line, ``#`` begins a comment."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

PREFIX = "q35ref::"
"""What the ids of the checks begin with; an entry may leave it out."""


class SelectionError(ValueError):
    """A file that cannot be read, or an entry that matches nothing."""


@dataclass(frozen=True)
class Entry:
    """One line of a file."""

    pattern: str
    """A check's name, or a glob pattern of names."""
    comment: str
    where: str
    """File and line."""

    def matches(self, name: str) -> bool:
        """Tell whether the entry means a check."""
        return fnmatchcase(name, self.pattern.removeprefix(PREFIX))

    @property
    def reason(self) -> str:
        """Why the check is marked: the comment if there is one, and where it stands."""
        return f"{self.comment} ({self.where})" if self.comment else self.where


def read_entries(path: Path, names: Iterable[str]) -> list[Entry]:
    """Return a file's entries. Errors: SelectionError, for all entries that match none of the names at once."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SelectionError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    entries = []
    for number, line in enumerate(lines, 1):
        pattern, _, comment = line.partition("#")
        if pattern.strip():
            entries.append(Entry(pattern.strip(), comment.strip(), f"{path}:{number}"))
    known = list(names)
    unmatched = [entry for entry in entries if not any(entry.matches(name) for name in known)]
    if unmatched:
        listed = "\n".join(f"  {entry.where}: {entry.pattern}" for entry in unmatched)
        raise SelectionError(f"entries that match no check:\n{listed}")
    return entries
