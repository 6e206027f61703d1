"""The direction of imports: the specification stands on the standard library alone, and nothing leans backwards."""

import ast
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import q35ref

PACKAGE = Path(q35ref.__file__).parent


class Rule(NamedTuple):
    """What the modules of a folder may import."""

    folder: str
    """Folder within the package."""
    allowed: tuple[str, ...] = ()
    """Parts of the package that may be imported; with these, anything else but the standard library is refused."""
    forbidden: tuple[str, ...] = ()
    """Parts of the package that must not be imported, where everything else may be."""


RULES = (
    Rule("reference", allowed=("q35ref.reference",)),
    Rule("contracts", allowed=("q35ref.reference", "q35ref.contracts")),
    Rule("vectors", allowed=("q35ref.reference", "q35ref.vectors")),
    Rule("backends", forbidden=("q35ref.oracle", "q35ref.cli", "q35ref.checkpoints")),
)

FOREIGN = ("ctypes",)
"""Modules of the standard library that a specification has no business with."""


def imported(path: Path, root: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it; relative imports are resolved."""
    here = (root.name, *path.relative_to(root).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def within(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def violations(root: Path, rule: Rule) -> list[str]:
    """Every import of a folder that its rule does not allow, as ``file: module``."""
    found = []
    for path in sorted((root / rule.folder).rglob("*.py")):
        for name in imported(path, root):
            if rule.allowed:
                top = name.split(".")[0]
                bad = not within(name, rule.allowed) and (top not in sys.stdlib_module_names or top in FOREIGN)
            else:
                bad = within(name, rule.forbidden)
            if bad:
                found.append(f"{path.relative_to(root)}: {name}")
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.folder)
def test_imports_point_one_way(rule: Rule) -> None:
    assert len(list((PACKAGE / rule.folder).rglob("*.py"))) > 1, "an empty folder proves nothing"
    assert violations(PACKAGE, rule) == []


@pytest.mark.parametrize(
    ("folder", "statement", "module"),
    [
        ("reference", "import numpy as np", "numpy"),
        ("reference", "import ctypes", "ctypes"),
        ("reference", "from q35ref.backends import numpy", "q35ref.backends.numpy"),
        ("reference", "from q35ref import oracle", "q35ref.oracle"),
        ("reference", "from ..backends import protocol", "q35ref.backends.protocol"),
        ("reference", "def late():\n    import numpy.linalg", "numpy.linalg"),
        ("contracts", "from hypothesis import given", "hypothesis.given"),
        ("contracts", "import q35ref.backends.numpy", "q35ref.backends.numpy"),
        ("vectors", "import numpy", "numpy"),
        ("backends", "from q35ref.oracle import run", "q35ref.oracle.run"),
        ("backends", "from ..cli import main", "q35ref.cli.main"),
        ("backends", "import q35ref.checkpoints", "q35ref.checkpoints"),
    ],
)
def test_a_planted_import_is_found(folder: str, statement: str, module: str, tmp_path: Path) -> None:
    root = tmp_path / "q35ref"
    shutil.copytree(PACKAGE / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    (root / folder / "planted.py").write_text(f"{statement}\n")
    (rule,) = (rule for rule in RULES if rule.folder == folder)
    assert violations(root, rule) == [f"{folder}/planted.py: {module}"]
