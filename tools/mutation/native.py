"""Builds of the native kernel with a mutant in its sources: only what the mutant can change is compiled again.

The preprocessor and the compiler decide two questions about a mutant before any check runs. If no unit that this
processor can run has another text, the mutant is in code that it never takes. If every such unit has the same machine
code, byte for byte, nothing could tell the mutant from the original.
"""

import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

from q35ref.backends.native.build import FLAGS, LIBRARY, SOURCES, STAYS, X86, compiler, sources_digest
from q35ref.backends.native.library import load
from tools.mutation.sources import ROOT

FOLDER: Final = SOURCES.relative_to(ROOT).as_posix()

INCLUDE: Final = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)

DIGEST_UNIT: Final = "dispatch.c"
"""Holds the digest of the sources, by which a library is known to be built from them."""

QUICK: Final = ("-O1",)
"""Options by which compiling takes a third of the time."""

Verdict = Literal["built", "invalid", "absent", "same_code"]


def runnable_units() -> list[str]:
    """Return the C files that this processor can run. Errors: NativeUnavailable."""
    isas = load().isas
    return [path.name for path in sorted(SOURCES.glob("[!.]*.c")) if path.name not in X86 or path.stem in isas]


def units_with(name: str, folder: Path, units: Iterable[str]) -> list[str]:
    """Return the units that a source file is part of."""
    return [unit for unit in units if name in _included(unit, folder)]


def _included(name: str, folder: Path) -> set[str]:
    """Return a file and all that it includes of ours."""
    found, waiting = set[str](), [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += INCLUDE.findall((folder / current).read_text())
    return found


class Builder:
    """Builds the library of a copy of the tree, whose sources begin as they are and end so."""

    def __init__(self, tree: Path, objects: Path, extra: Sequence[str] = ()) -> None:
        """Compile everything once, with some more options. Errors: CompilerError."""
        self.sources = tree / FOLDER
        self.library = tree / LIBRARY.relative_to(ROOT)
        self.objects = objects
        self.units = runnable_units()
        self._compiler, self._extra = compiler(), extra
        self._expanded: dict[str, bytes] = {}
        for path in sorted(self.sources.glob("[!.]*.c")):
            if path.name in X86 and not _is_x86():
                continue
            made = self._compile(path.name, objects)
            if made is None:
                raise RuntimeError(f"{path.name} does not compile")
            self._expanded[path.name] = self._expand(path.name)
        self.restore()

    def restore(self) -> None:
        """Put the library of the sources as they were at first in its place."""
        self._link(self.objects.glob("*.o"))

    def build(self, name: str) -> Verdict:
        """Build the library with what a source file holds now, if that can matter."""
        changed = []
        for unit in units_with(name, self.sources, self.units):
            try:
                if self._expand(unit) != self._expanded[unit]:
                    changed.append(unit)
            except subprocess.CalledProcessError:
                return "invalid"
        if not changed:
            return "absent"
        mutated = self.objects / "mutated"
        mutated.mkdir(exist_ok=True)
        made = [self._compile(unit, mutated) for unit in changed]
        objects = [path for path in made if path is not None]
        if len(objects) < len(changed):
            return "invalid"
        if all(path.read_bytes() == (self.objects / path.name).read_bytes() for path in objects):
            return "same_code"
        if DIGEST_UNIT not in changed:
            self._compile(DIGEST_UNIT, mutated)
            objects.append(mutated / f"{Path(DIGEST_UNIT).stem}.o")
        names = {path.name for path in objects}
        self._link([*objects, *(path for path in self.objects.glob("*.o") if path.name not in names)])
        return "built"

    def _command(self, unit: str) -> list[str]:
        command = [*self._compiler, *FLAGS, *self._extra, "-w", *(X86.get(unit, ()))]
        if _is_x86():
            command += ["-DQ35_HAVE_AVX2", "-DQ35_HAVE_AVX512"]
        if unit == DIGEST_UNIT:
            command.append(f'-DQ35_SOURCES="{sources_digest(self.sources)}"')
        return command

    def _expand(self, unit: str) -> bytes:
        command = [*self._command(unit), "-E", "-P", unit]
        done = subprocess.run(command, cwd=self.sources, capture_output=True, check=True).stdout
        return re.sub(rb'"[0-9a-f]{64}"', b'""', done)

    def _compile(self, unit: str, folder: Path) -> Path | None:
        """Return the object file of a unit, or None if it does not compile."""
        made = folder / f"{Path(unit).stem}.o"
        command = [*self._command(unit), "-c", unit, "-o", str(made)]
        done = subprocess.run(command, cwd=self.sources, capture_output=True, check=False)
        return None if done.returncode else made

    def _link(self, objects: Iterable[Path]) -> None:
        linked = self.library.with_suffix(".linked")
        command: Sequence[str] = [*self._compiler, *FLAGS, "-shared", *STAYS, *map(str, objects), "-o", str(linked)]
        subprocess.run([*command, "-lm"], capture_output=True, check=True)
        linked.replace(self.library)


class Builders:
    """Builds mutants in the third of the time that it takes to build them as the kernel is built.

    Where C says what a program does, both do the same, and a check notices the same. But only of the code that the
    kernel is made of can it be said that a mutant's is the same.
    """

    def __init__(self, tree: Path, objects: Path) -> None:
        """Compile everything in both ways. Errors: CompilerError."""
        folders = objects / "as it is", objects / "quick"
        for folder in folders:
            folder.mkdir()
        self._as_it_is, self._quick = Builder(tree, folders[0]), Builder(tree, folders[1], QUICK)

    def restore(self) -> None:
        """Put the library of the sources as they were at first in its place."""
        self._quick.restore()

    def build(self, name: str) -> Verdict:
        """Build the library with what a source file holds now, if that can matter."""
        built = self._quick.build(name)
        if built != "same_code":
            return built
        return self._as_it_is.build(name)

    def makes_same_code(self, name: str) -> bool:
        """Whether the kernel as it is built has the same machine code with what a source file holds now."""
        return self._as_it_is.build(name) == "same_code"


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")
