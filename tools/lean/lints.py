"""What must hold of the sources as a whole, whoever checks the proofs: lake, or Lean in WebAssembly."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tools.lean.roots import GENERATED, PACKAGE, ROOTS, generated_text
from tools.lean.sources import SourceError, Sources, code_of, modules_below
from tools.lean.words import faults_of
from tools.lean.worker import source_path

TOOLCHAIN: Final = "leanprover/lean4:v4.28.0"
"""The content of ``lean-toolchain``: the version that the build in WebAssembly is one of, too."""

REMEDY: Final = "run python -m tools.lean --write-roots"

_DECLARATION: Final = (
    r"^[^\S\n]*(?:@\[[^\]]*\]\s*)?((?:(?:public|protected|private|noncomputable|scoped)\s+)*)"
    r"(theorem|def|abbrev|axiom|opaque|instance|structure|inductive|class)\s+(?:Q35\.)?{name}(?![\w.'!?])"
)


def lint(root: Path, headlines: Sequence[str]) -> list[str]:
    """Return all that is wrong with the sources below ``root`` that can be seen without Lean."""
    problems = [*word_problems(root, modules_below(root, PACKAGE)), *orphans(root)]
    problems += [*stale_roots(root, headlines), *headline_problems(root, headlines), *lakefile_problems(root)]
    return problems


def word_problems(root: Path, modules: Iterable[str]) -> Iterator[str]:
    """Yield the forbidden words of modules. The generated roots are exempt: they must be what their template says."""
    for module in modules:
        path = source_path(module)
        if path.as_posix() not in GENERATED:
            for fault in faults_of((root / path).read_text(encoding="utf-8")):
                yield f"{path.as_posix()}: {fault}"


def orphans(root: Path) -> Iterator[str]:
    """Yield the files that neither root imports: nobody would notice if they were wrong."""
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
        pattern = re.compile(_DECLARATION.replace("{name}", re.escape(name)), re.MULTILINE)
        kinds = [(found[1].split(), found[2]) for text in texts for found in pattern.finditer(text)]
        if not any(kind == "theorem" and "private" not in modifiers for modifiers, kind in kinds):
            instead = f"; there is: {' '.join([*kinds[0][0], kinds[0][1]])}" if kinds else ""
            yield f"headline {name}: no public theorem of this name{instead}"


def lakefile_problems(root: Path) -> Iterator[str]:
    """Yield what keeps lake from building all: a default target that is no library, a root that is no file."""
    lakefile = tomllib.loads((root / "lakefile.toml").read_text(encoding="utf-8"))
    libraries = {library["name"]: library.get("roots", [library["name"]]) for library in lakefile.get("lean_lib", [])}
    for target in {*lakefile.get("defaultTargets", []), "Q35", "Audit"}:
        if target not in libraries or target not in lakefile.get("defaultTargets", []):
            yield f"lakefile.toml: {target} must be a lean_lib and a default target"
    for name, tops in libraries.items():
        for top in tops:
            if not (root / source_path(top)).is_file():
                yield f"lakefile.toml: {name}: its root {top} has no file"
    if lakefile.get("leanOptions", {}).get("warningAsError") is not True:
        yield "lakefile.toml: leanOptions.warningAsError must be true"
    if (root / "lean-toolchain").read_text(encoding="utf-8").strip() != TOOLCHAIN:
        yield f"lean-toolchain: expected {TOOLCHAIN}"
