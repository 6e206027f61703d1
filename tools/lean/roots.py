"""The files that are written from what is there: the package's root, two audits of its axioms, the headlines' page."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tools.lean.sources import modules_below
from tools.lean.statements import PAGE, page

PACKAGE: Final = "Q35"
AUDIT: Final = "Q35.AuditWasm"
ROOTS: Final = (PACKAGE, AUDIT)
"""Each imports all other modules; ``Audit.lean``, for a toolchain with lake, imports the first."""

HAND_WRITTEN: Final = ("Literals", "Cases", "LpuCases", "Shortcuts")
"""Modules of the vectors' folder that no program writes: the words and the meaning of the statements."""

HERE: Final = Path(__file__).parent
HEADLINES: Final = HERE / "headlines.txt"
TEMPLATES: Final = {
    "Q35.lean": HERE / "root.lean.in",
    "Q35/AuditWasm.lean": HERE / "audit_wasm.lean.in",
    "Audit.lean": HERE / "audit_lake.lean.in",
}
GENERATED: Final = (*TEMPLATES, PAGE)


def is_generated(module: str) -> bool:
    """Whether a program writes a module; ``python -m tools.make_lean_vectors --check`` compares those."""
    folder, _, name = module.rpartition(".")
    return folder == f"{PACKAGE}.Vectors" and name not in HAND_WRITTEN


def read_headlines() -> list[str]:
    """Return the names of the theorems that must exist."""
    return [line.strip() for line in HEADLINES.read_text(encoding="utf-8").splitlines() if line.strip()]


def generated_text(name: str, root: Path, headlines: Sequence[str]) -> str:
    """Return what a generated file must say."""
    if name == PAGE:
        return page(root, headlines)
    modules = [module for module in modules_below(root, PACKAGE) if module != AUDIT]
    return fill(name, modules, PACKAGE, [f"{PACKAGE}.{headline}" for headline in headlines])


def fill(name: str, modules: Iterable[str], package: str, headlines: Sequence[str]) -> str:
    """Fill a generated file's template for any modules, and headlines with their namespaces."""
    text = TEMPLATES[name].read_text(encoding="utf-8")
    ours = list(modules)
    parts = {
        "{public_imports}": "".join(f"public import {module}\n" for module in ours),
        "{all_imports}": "".join(f"import all {module}\n" for module in ours),
        "{package}": package,
        "{headlines}": ",\n".join(f"  `{headline}" for headline in headlines),
        "{generated}": ",\n".join(f"  `{module}" for module in ours if is_generated(module)),
        "{prints}": "".join(f"#print axioms {headline}\n" for headline in headlines),
    }
    for sign, part in parts.items():
        text = text.replace(sign, part)
    return text


def write_roots(root: Path, headlines: Sequence[str]) -> list[str]:
    """Write the generated files anew; return those that changed."""
    changed = []
    for name in GENERATED:
        path, text = root / name, generated_text(name, root, headlines)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed
