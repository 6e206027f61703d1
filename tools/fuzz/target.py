"""What is fuzzed: a function of bytes, and what it may cost."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SEEDS: Final = Path(__file__).with_name("seeds")
"""The committed inputs, a folder for each target; ``python -m tools.fuzz.make_seeds`` writes them."""

LONGEST: Final = 1 << 15
"""Bytes of an input."""

MEMORY_FACTOR: Final = 2
"""Memory may be so many times the input, beside the target's allowance."""

LONGEST_MESSAGE: Final = 1000
"""Characters of what an error says."""


@dataclass(frozen=True)
class Target:
    """A reader under test."""

    name: str
    """Its name, and that of its folder of seeds."""
    what: str
    """What is read, in one line."""
    run: Callable[[bytes], None]
    """Reads an input. Whatever it raises is a finding; what is documented it keeps to itself (:func:`documented`)."""
    allowance: int = 1 << 20
    """Bytes of memory that any input may take, beside :data:`MEMORY_FACTOR` times its own."""
    seconds: float = 2.0
    """Processor time that an input may take."""

    def most_memory(self, size: int) -> int:
        """Return how many bytes of memory an input of so many bytes may take."""
        return MEMORY_FACTOR * size + self.allowance

    def seeds(self) -> list[bytes]:
        """Return the committed inputs, in the order of their names."""
        return [path.read_bytes() for path in sorted((SEEDS / self.name).iterdir())]


class BadMessage(Exception):
    """An error is documented, but what it says is no clear line."""


@contextlib.contextmanager
def documented(*errors: type[Exception]) -> Iterator[None]:
    """Let a block end with one of these errors, if what it says is one short printable line. Errors: BadMessage."""
    try:
        yield
    except errors as error:
        require_line(type(error).__name__, str(error))


def require_line(about: str, text: str) -> None:
    """Refuse a text that is no line, that a terminal would take for a command, or that nobody would read to its end.

    Errors: BadMessage.

    >>> require_line("ValueError", "k: expected 1")
    """
    if not text.isprintable():
        wrong = next(index for index, character in enumerate(text) if not character.isprintable())
        raise BadMessage(f"{about}: not one printable line at character {wrong}: {text[max(0, wrong - 40) :][:80]!a}")
    if len(text) > LONGEST_MESSAGE:
        raise BadMessage(f"{about}: {len(text)} characters: {text[:80]!a}...")
