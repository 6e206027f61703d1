"""A mutant: one small change of one source file, named by the text of its line and not by the line's number."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, order=True)
class Key:
    """What names a mutant as long as the text of its line stays."""

    file: str
    """Path from the project's root."""
    line: str
    """The text that is changed, white space collapsed."""
    mutant: str
    """What it becomes."""
    nth: int = 0
    """How often the same text stands earlier in the file."""

    @property
    def which(self) -> str:
        """Which of the places is meant, if the text stands in the file more than once before it; else nothing."""
        return f" (number {self.nth + 1} of this text)" if self.nth else ""

    def __str__(self) -> str:
        return f"{self.file}{self.which}: {self.line}  ->  {self.mutant or '(nothing)'}"


@dataclass(frozen=True)
class Mutant:
    """A change, and the whole text of the file that has it."""

    key: Key
    operator: str
    """What kind of change it is."""
    number: int
    """Line number of the change, from 1; 0 for a change that changes nothing."""
    text: str

    @classmethod
    def between(cls, file: str, operator: str, original: str, text: str) -> Self:
        """Return the mutant that turns a file's original text into another.

        >>> Mutant.between("a.py", "swap", "x\\n  y = 1\\n", "x\\n  y = 2\\n").key
        Key(file='a.py', line='y = 1', mutant='y = 2', nth=0)
        """
        old, new = original.splitlines(), text.splitlines()
        start = 0
        while start < min(len(old), len(new)) and old[start] == new[start]:
            start += 1
        same = 0
        while same < min(len(old), len(new)) - start and old[-1 - same] == new[-1 - same]:
            same += 1
        before, after = old[start : len(old) - same], new[start : len(new) - same]
        found = collapsed(before)
        nth = sum(collapsed(old[i : i + len(before)]) == found for i in range(start)) if before else 0
        return cls(Key(file, found, collapsed(after), nth), operator, start + 1 if before else 0, text)


def collapsed(lines: Sequence[str]) -> str:
    """Return lines as one, with single spaces."""
    return " ".join(" ".join(lines).split())


@dataclass(frozen=True)
class Place:
    """Where a mutant can be made: what making it needs to know, before it is made."""

    file: str
    number: int
    """Line number, from 1."""
    operator: str
    occurrence: int
    """Which of the operator's places in the file."""


def sampled(places: Sequence[Place], limit: int | None, seed: int) -> list[Place]:
    """Return at most ``limit`` places, in an order drawn by the seed; all of them without a limit.

    Whoever stops early has seen a sample too.
    """
    return random.Random(seed).sample(places, len(places) if limit is None else min(limit, len(places)))
