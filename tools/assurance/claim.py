"""What a claim is, and the words for how it is held."""

from collections.abc import Mapping
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
"""About what a program does or what a text says, not about numbers: no theorem and no law of contracts can state it."""

BY_DEFINITION: Final = "none: true by definition"
"""The Lean definition says it in so many words; a theorem would repeat it."""

IN_VECTORS: Final = "none: stated case by case in proofs/Q35/Vectors"
"""Lean's kernel decides it for each vector; those generated theorems are not listed here."""

REFUSAL: Final = "none: about what is refused"
"""Theorems and contracts speak of legal arguments; what happens to others is left to tests."""

OTHER_IMPLEMENTATION: Final = "none: about another implementation"
"""The Lean definitions and the contracts are the reference's; other code is compared with it by tests."""

NOT_EXECUTABLE: Final = "none: universal, not executable"
"""It speaks of all functions of a kind, which no program can run through."""

SAMPLED: Final = "none: too large to explore, the test samples it"
"""No contract states it, for CrossHair would come to no end; tests run it on some inputs."""

INPUT_OUTPUT: Final = "none: I/O"
"""It reads or writes files, which CrossHair does not run."""

NOTHING_TO_RUN: Final = "none: trusted, nothing to run"
"""What all proving, exploring and testing stands on: it cannot vouch for itself."""

REASONS: Final[Mapping[str, tuple[str, ...]]] = {
    NOT_MATHEMATICAL: ("theorems", "contracts"),
    BY_DEFINITION: ("theorems",),
    IN_VECTORS: ("theorems",),
    REFUSAL: ("theorems", "contracts"),
    OTHER_IMPLEMENTATION: ("theorems", "contracts"),
    NOT_EXECUTABLE: ("contracts", "tests"),
    SAMPLED: ("contracts",),
    INPUT_OUTPUT: ("contracts",),
    NOTHING_TO_RUN: ("theorems", "contracts", "tests"),
}
"""The only reasons for which a cell may hold no name, each with the columns in which it makes sense."""


@dataclass(frozen=True)
class Claim:
    """One line of the index. A cell is a tuple of names, or one of :data:`REASONS` that suits its column."""

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
