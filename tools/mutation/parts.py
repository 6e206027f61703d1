"""What is mutated, and what must notice: for each source file the checks that are run on its mutants, cheapest first.

A mutant that passes one check meets the next; one that passes all of them has survived.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from tools.mutation.sources import ROOT
from tools.mutation.tree import Check

REFERENCE: Final = "q35ref/reference"
NUMPY: Final = "q35ref/backends/numpy"
ORACLE: Final = "q35ref/oracle"
NATIVE: Final = "q35ref/backends/native/src"

REFERENCE_TESTS: Final = (
    *("lanes", "rounding", "codec", "float32", "quantizer", "calibration", "activations", "matmul"),
)

NUMPY_TESTS: Final = ("numpy_float32", "numpy_memory", "backends", "tensor", "quality")

ORACLE_TESTS: Final = "tests/oracle"
"""The tests of the oracle's parts by themselves. Those that check whole kernels take minutes for a mutant: what they
alone would notice counts as unnoticed."""

NATIVE_TESTS: Final = ("native_safety", "native_rows", "native", "native_edges", "native_callers")

SHORTAGE: Final = "tests/test_native_shortage.py::test_a_shortage_is_a_status_or_changes_nothing"
SANITIZED: Final = "tests/test_native_sanitized.py::test_tests_of_the_kernel_pass_under_the_address_sanitizer[first]"
"""Builds of the mutated sources of which allocations fail, and which look after their arrays."""


def tests(*names: str) -> tuple[str, ...]:
    """Return the paths of tests."""
    return tuple(f"tests/test_{name}.py" for name in names)


def reference_checks(file: str) -> tuple[Check, ...]:
    """Return the checks of a file of the reference: its own tests and examples, then the laws and the vectors."""
    stem = Path(file).stem
    own = Check("pytest", (file, *(tests(stem) if stem in REFERENCE_TESTS else ())))
    return own, Check("q35ref", ("check", "reference", "--quiet"))


def numpy_checks(file: str) -> tuple[Check, ...]:
    """Return the checks of a file of the NumPy backend: its own tests and examples, then what any kernel meets."""
    own = Check("pytest", (file, *tests(*NUMPY_TESTS)))
    return own, Check("q35ref", ("check", "numpy", "--quiet"))


def oracle_checks(file: str) -> tuple[Check, ...]:
    """Return the checks of a file of the oracle: its own tests and examples, then those of all its parts.

    A file's own tests are ``test_NAME.py`` and, where they were too many for one file, ``test_NAME_THEME.py``.
    """
    name = file.removeprefix(f"{ORACLE}/").removesuffix(".py").replace("/", "_")
    own = [path for pattern in (f"test_{name}.py", f"test_{name}_*.py") for path in (ROOT / ORACLE_TESTS).glob(pattern)]
    paths = sorted(path.relative_to(ROOT).as_posix() for path in own)
    every = Check("pytest", (ORACLE_TESTS,))
    return (Check("pytest", (file, *paths)), every) if paths else (every,)


def native_checks(file: str) -> tuple[Check, ...]:
    """Return the checks of a C file: a few problems on every path, edges, builds of their own, what any kernel meets.

    A mutant that leaves an array where nothing else lies changes no result, nor does one of what is done without
    memory: it is built for these.
    """
    name = Path(file).stem
    first = (f"native_{name}" if name in ("dispatch", "threads") else "native_first",)
    near = ("native_callers", "native_safety") if name == "threads" else ("native_safety", "native_edges")
    rest = tuple(name for name in NATIVE_TESTS if name not in near)
    return (
        Check("pytest", tests(*first), has_limit=first == ("native_first",)),
        Check("pytest", (*tests(*near), "-k", "not portable_c")),
        Check("pytest", (SHORTAGE,)),
        Check("pytest", (SANITIZED,), has_limit=False),
        Check("q35ref", ("check", "native", "--quiet")),
        Check("pytest", (*tests(*rest), "-k", "not portable_c", "--hypothesis-profile=mutation-few")),
    )


@dataclass(frozen=True)
class Part:
    """A part of the product."""

    name: str
    folder: str
    patterns: tuple[str, ...]
    checks: Callable[[str], Sequence[Check]]
    is_built: bool = False
    """Whether its mutants are compiled."""
    root: Path = ROOT

    @property
    def quick(self) -> Self:
        """The part with the first check of each file alone: what passes it has yet to meet the others."""
        return replace(self, checks=lambda file: self.checks(file)[:1])

    @property
    def files(self) -> list[str]:
        """Its source files, from the project's root."""
        found = (path for pattern in self.patterns for path in (self.root / self.folder).rglob(pattern))
        return sorted(path.relative_to(self.root).as_posix() for path in found)


PARTS: Final = {
    part.name: part
    for part in (
        Part("reference", REFERENCE, ("*.py",), reference_checks),
        Part("numpy", NUMPY, ("*.py",), numpy_checks),
        Part("oracle", ORACLE, ("*.py",), oracle_checks),
        Part("native", NATIVE, ("[!.]*.c", "[!.]*.h"), native_checks, is_built=True),
    )
}
