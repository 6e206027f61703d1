"""Where the names that claims refer to stand: theorems, contracts and tests, read from the sources."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.crosshair_excuses import EXCUSES
from tools.crosshair_gate import FOLDERS, find_modules
from tools.lean.sources import code_of

_THEOREM = re.compile(r"^(?:protected\s+)?theorem\s+([^\s({\[:]+)", re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """A file, relative to the repository, and a line."""

    file: str
    line: int


@dataclass(frozen=True)
class Names:
    """All names that a cell may hold, each with its place."""

    theorems: Mapping[str, Place]
    contracts: Mapping[str, Place]
    tests: Mapping[str, Place]
    excused: frozenset[str]
    """Contracts that CrossHair need not confirm."""


def theorems_of(root: Path) -> dict[str, Place]:
    """Return the theorems of the proofs, those that state vectors left out."""
    found = {}
    for folder in ("Spec", "Thm"):
        for path in sorted((root / "proofs" / "Q35" / folder).glob("*.lean")):
            code = code_of(path.read_text(encoding="utf-8"))
            for match in _THEOREM.finditer(code):
                place = Place(path.relative_to(root).as_posix(), code.count("\n", 0, match.start()) + 1)
                found[match[1]] = place
    return found


def contracts_of(root: Path) -> dict[str, Place]:
    """Return the contracts by their names below ``q35ref``."""
    modules, problems = find_modules(root, FOLDERS)
    if problems:
        raise ValueError("; ".join(problems))
    found = {}
    for module in modules:
        lines = {
            node.name: node.lineno
            for node in ast.parse(module.path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef)
        }
        for contract in module.contracts:
            place = Place(module.path.relative_to(root).as_posix(), lines[contract.function])
            found[contract.name.removeprefix("q35ref.")] = place
    return found


def tests_of(root: Path) -> dict[str, Place]:
    """Return the test functions as ``module::function``."""
    found = {}
    for path in sorted((root / "tests").glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[f"{path.stem}::{node.name}"] = Place(path.relative_to(root).as_posix(), node.lineno)
    return found


def collect(root: Path) -> Names:
    """Read all names below a repository."""
    excused = frozenset(name.removeprefix("q35ref.") for name in EXCUSES)
    return Names(theorems_of(root), contracts_of(root), tests_of(root), excused)


def theorems_named_in_python(root: Path) -> dict[str, str]:
    """Return the theorems that docstrings of the reference and CrossHair's excuses name, each with where."""
    found = {excuse.theorem: f"tools/crosshair_excuses.py ({name})" for name, excuse in EXCUSES.items()}
    for path in sorted((root / "q35ref" / "reference").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        for sentence in re.findall(r"[Tt]heorems?:? ((?:``\w+``(?:, |,\s+)?)+)", text):
            for name in re.findall(r"``(\w+)``", sentence):
                found.setdefault(name, path.relative_to(root).as_posix())
    return found
