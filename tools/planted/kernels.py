"""The kernels of ``tests/kernels`` and ``examples/fortran``, planted and correct, as targets of ``q35ref check``."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from q35ref.backends.native.build import SOURCES, compiler
from tests.kernels import planted

ROOT: Final = Path(__file__).parents[2]

FOLDER: Final = ROOT / "tests" / "kernels"

FORTRAN: Final = ROOT / "examples" / "fortran"

CORRECT: Final = "Correct"
"""Name of the kernels without a bug."""

FLAGS: Final = (
    *("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"),
    *("-fPIC", "-shared", "-pthread"),
)

Language = Literal["C", "Fortran", "Python"]


class BuildError(Exception):
    """A compiler is missing, or refused a kernel."""


@dataclass(frozen=True)
class Kernel:
    """A kernel."""

    language: Language
    name: str
    bug: str = ""
    """Its bug class; empty if it has no bug, or one of no class."""

    @property
    def label(self) -> str:
        """What the kernel is called in patterns and messages."""
        return f"{self.language}:{self.name}"

    @property
    def correct(self) -> bool:
        """Whether it has no bug."""
        return self.name == CORRECT

    def target(self, folder: Path) -> str:
        """Return the kernel as a target, built in a folder if it has to be. Errors: BuildError, CompilerError."""
        if self.language == "Python":
            return f"python:{planted.__name__}:{self.name}"
        made = fortran_library(folder) if self.language == "Fortran" else c_library(folder, self.bug)
        return f"c:{made}"


def planted_kernels() -> list[Kernel]:
    """Return every planted kernel: those in C, then those in Python."""
    classes = [line.partition(" | ")[0] for line in (FOLDER / "classes.txt").read_text().splitlines()]
    names = [name for name in planted.__all__ if name not in (CORRECT, "CLASS_OF")]
    in_python = [Kernel("Python", name, planted.CLASS_OF.get(name, name)) for name in names]
    return [*(Kernel("C", name, name) for name in classes), *in_python]


def correct_kernels() -> list[Kernel]:
    """Return a correct kernel in each language."""
    return [Kernel("C", CORRECT), Kernel("Fortran", CORRECT), Kernel("Python", CORRECT)]


def c_library(folder: Path, bug: str = "") -> Path:
    """Compile the C kernel, with one bug or with none. Errors: BuildError, CompilerError."""
    made = folder / f"{bug or CORRECT}.so"
    sources = [str(FOLDER / f"{part}.c") for part in ("codes", "weights", "matmul")]
    define = [f"-DPLANT={bug}"] if bug else []
    _run([*compiler(), *FLAGS, f"-I{SOURCES}", *define, *sources, "-o", str(made), "-lm"])
    return made


def fortran_library(folder: Path) -> Path:
    """Build the Fortran example as its Makefile does. Errors: BuildError."""
    for program in ("make", "gfortran"):
        if shutil.which(program) is None:
            raise BuildError(f"{program} is not on the path")
    copy = shutil.copytree(FORTRAN, folder / "fortran", dirs_exist_ok=True)
    _run(["make", "-s", "-C", str(copy)])
    return copy / "libkernel.so"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(done.stderr.strip())
