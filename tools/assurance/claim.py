"""What a claim is, and the words for how it is held."""

from dataclasses import dataclass
from typing import Final

PROVED: Final = "proved"
"""A Lean theorem states it for all inputs, about the definition that mirrors the reference's function."""

CONFIRMED: Final = "confirmed"
"""CrossHair has explored all paths of the Python function within its contract's ``pre:``."""

EXHAUSTED: Final = "exhausted"
"""A test runs every input that there is."""

TESTED: Final = "tested"
"""Tests run it on examples, or on inputs that Hypothesis draws."""

TRUSTED: Final = "trusted"
"""Nothing here shows it; the page says why it is believed."""

NOT_MATHEMATICAL: Final = "none: not a mathematical claim"
NOT_EXECUTABLE: Final = "none: universal, not executable"
INPUT_OUTPUT: Final = "none: I/O"
SAMPLED: Final = "none: too large to explore, the test samples it"

REASONS: Final = (NOT_MATHEMATICAL, NOT_EXECUTABLE, INPUT_OUTPUT, SAMPLED)
"""The only reasons for which a cell may hold no name."""


@dataclass(frozen=True)
class Claim:
    """One line of the index. A cell is a tuple of names, or one of :data:`REASONS`."""

    text: str
    """What is promised, as a user would say it."""

    theorems: tuple[str, ...] | str
    """Lean theorems, in the namespace ``Q35``."""

    contracts: tuple[str, ...] | str
    """Contracts below ``q35ref``: ``module.function``."""

    tests: tuple[str, ...] | str
    """Tests: ``test_module::test_name``, without the folder and the ending."""

    exhausted: bool = False
    """Whether one of the tests runs every input."""

    trusted: str = ""
    """Why it is believed, if nothing else holds it."""


@dataclass(frozen=True)
class Part:
    """A section of the page."""

    title: str
    claims: tuple[Claim, ...]
