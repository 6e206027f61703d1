"""What must hold of the sources as a whole, whoever checks the proofs: lake, or Lean in WebAssembly."""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tools.lean.roots import GENERATED, PACKAGE, ROOTS, generated_text
from tools.lean.sources import SourceError, Sources, code_of, modules_below
from tools.lean.statements import declared
from tools.lean.words import faults_of
from tools.lean.worker import source_path

TOOLCHAIN: Final = "leanprover/lean4:v4.28.0"
"""The content of ``lean-toolchain``: the version that the build in WebAssembly is one of, too."""

UNTRACKED: Final = (".lake", "Scratch")
"""Folders that are no part of the project (``proofs/.gitignore``)."""

LAKEFILE: Final = {
    "name": "q35",
    "version": "0.1.0",
    "defaultTargets": ["Q35", "Audit"],
    "leanOptions": {"warningAsError": True},
    "lean_lib": [{"name": "Q35"}, {"name": "Audit", "roots": ["Audit"]}],
}
"""All that ``lakefile.toml`` may say: an option more could turn the kernel off, a folder more lead elsewhere."""

ALLOWED: Final = {"Q35/Vectors/Literals.lean": ("prefix",)}
"""Words that a file may hold after all: the vectors' own sign of negative numbers."""

REMEDY: Final = "run python -m tools.lean --write-roots"


def lint(root: Path, headlines: Sequence[str]) -> list[str]:
    """Return all that is wrong with the sources below ``root`` that can be seen without Lean."""
    problems = [*word_problems(root, modules_below(root, PACKAGE)), *orphans(root)]
    problems += [*stale_roots(root, headlines), *headline_problems(root, headlines), *lakefile_problems(root)]
    return problems


def word_problems(root: Path, modules: Iterable[str]) -> Iterator[str]:
    """Yield the forbidden words of modules. The generated roots are exempt: they must be what their template says."""
    for module in modules:
        path = source_path(module)
        if not (root / path).is_file():
            yield f"{module}: no such module: expected a file {path.as_posix()}"
        elif path.as_posix() not in GENERATED:
            for fault in faults_of((root / path).read_text(encoding="utf-8"), ALLOWED.get(path.as_posix(), ())):
                yield f"{path.as_posix()}: {fault}"


def orphans(root: Path) -> Iterator[str]:
    """Yield the files that neither root imports, wherever they are: nobody would notice if they were wrong."""
    for path in sorted(path.relative_to(root) for path in root.rglob("*.lean")):
        if path.parts[0] not in (PACKAGE, *UNTRACKED) and path.as_posix() not in GENERATED:
            yield f"{path.as_posix()}: not below {PACKAGE}/, so that nothing checks it"
    try:
        for top in ROOTS:
            reached = {*Sources(root, [top]).text, *ROOTS}
            for module in modules_below(root, PACKAGE):
                if module not in reached:
                    yield f"{source_path(module).as_posix()}: {top} does not import it: {REMEDY}"
    except SourceError as problem:
        yield str(problem)


def stale_roots(root: Path, headlines: Sequence[str]) -> Iterator[str]:
    """Yield the generated files that are not what would be written now."""
    for name in GENERATED:
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != generated_text(name, root, headlines):
            yield f"{name}: not as its template and the files present say: {REMEDY}"


def headline_problems(root: Path, headlines: Sequence[str]) -> Iterator[str]:
    """Yield the headlines that no source declares as a public theorem."""
    texts = [code_of((root / source_path(m)).read_text(encoding="utf-8")) for m in modules_below(root, PACKAGE)]
    if not headlines:
        yield "no headline theorem is asked for"
    for name in headlines:
        pattern = declared(name)
        kinds = [(found[1].split(), found[2]) for text in texts for found in pattern.finditer(text)]
        if not any(kind == "theorem" and "private" not in modifiers for modifiers, kind in kinds):
            instead = f"; there is: {' '.join([*kinds[0][0], kinds[0][1]])}" if kinds else ""
            yield f"headline {name}: no public theorem of this name{instead}"


def lakefile_problems(root: Path) -> Iterator[str]:
    """Yield what keeps lake from building all, and from checking it: anything else than what is known to do both."""
    lakefile = tomllib.loads((root / "lakefile.toml").read_text(encoding="utf-8"))
    for key in sorted({*lakefile, *LAKEFILE}):
        if lakefile.get(key) != LAKEFILE.get(key):
            yield f"lakefile.toml: {key}: expected {LAKEFILE.get(key)}, got {lakefile.get(key)}"
    for library in lakefile.get("lean_lib", []):
        for top in library.get("roots", [library.get("name", "")]):
            if not (root / source_path(top)).is_file():
                yield f"lakefile.toml: its root {top} has no file"
    if (root / "lakefile.lean").exists():
        yield "lakefile.lean: lake would read it instead of lakefile.toml"
    if (root / "lean-toolchain").read_text(encoding="utf-8").strip() != TOOLCHAIN:
        yield f"lean-toolchain: expected {TOOLCHAIN}"
