"""Building the native kernel with whatever C compiler there is. Standard library only: the wheel's build runs it."""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).with_name("src")
"""The C sources; they are part of the package."""

LIBRARY: Final = Path(__file__).with_name("libq35.so")
"""Where the library lies once it is built."""

FLAGS: Final = (
    "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O3", "-fPIC", "-fvisibility=hidden", "-pthread",
    "-fno-fast-math",  # whatever CC asks for
    "-ffp-contract=off",  # a float32 product and sum are two roundings, here as everywhere
    "-Wall", "-Wextra",
)  # fmt: skip
"""For every file."""

STAYS: Final = ("-Wl,-z,nodelete",) if sys.platform == "linux" else ()
"""A library that is closed stays where it is: its threads wait in its code."""

AVX512: Final = ("f", "bw", "dq", "vl", "vbmi", "vnni")

X86: Final = {"avx2.c": ("-mavx2",), "avx512.c": ("-mavx2", *(f"-mavx512{part}" for part in AVX512))}
"""Files for processors of the x86-64 family alone, and what they may use of them: the library chooses at run time."""


class CompilerError(Exception):
    """There is no C compiler, or it failed; the text says which, and why."""


class NoCompiler(CompilerError):
    """There is no C compiler."""


def sources_digest(folder: Path = SOURCES) -> str:
    """Return a digest of the sources, by which a library is known to be built from them."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("[!.]*.c"), *folder.glob("[!.]*.h")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def compiler() -> list[str]:
    """Return the command of the C compiler: ``CC``, which may hold arguments, else ``cc``, ``gcc`` or ``clang``.

    Errors: CompilerError.
    """
    try:
        own = shlex.split(os.environ.get("CC", ""))
    except ValueError as error:
        raise CompilerError(f"CC: expected a command, got {os.environ['CC']!r}: {error}") from error
    commands = [own] if own else [["cc"], ["gcc"], ["clang"]]
    for name, *arguments in commands:
        found = shutil.which(name)
        if found:
            return [found, *arguments]
    raise NoCompiler(f"no C compiler: {' or '.join(command[0] for command in commands)} is not on the path")


def build(library: Path = LIBRARY, *, sanitize: str = "", simde: bool = False, extra: Iterable[str] = ()) -> Path:
    """Build the library, whole or not at all; return its path. Errors: CompilerError, also for a file that cannot be.

    ``sanitize`` is a list for the compiler's ``-fsanitize=``. With ``simde`` the vector intrinsics are those of
    SIMDe, in portable C, so that every instruction set runs on every machine: slow, for tests.
    """
    command = [*compiler(), *FLAGS, *extra, f'-DQ35_SOURCES="{sources_digest()}"']
    if sanitize:
        command += [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g", "-O1"]
    if simde:
        command += ["-DQ35_SIMDE", "-Wno-unknown-pragmas"]
    x86 = platform.machine().lower() in ("x86_64", "amd64") or simde
    if x86:
        command += ["-DQ35_HAVE_AVX2", "-DQ35_HAVE_AVX512"]
    try:
        with tempfile.TemporaryDirectory(dir=library.parent, prefix=".build-") as folder:
            _build(Path(folder), command, library, x86=x86, simde=simde)
    except OSError as error:
        raise CompilerError(f"{library} cannot be written: {error.strerror}") from error
    return library


def _build(folder: Path, command: list[str], library: Path, *, x86: bool, simde: bool) -> None:
    """Compile and link in a folder; what stood at the library's place is replaced at the end."""
    objects = []
    for source in sorted(SOURCES.glob("[!.]*.c")):
        if source.name in X86 and not x86:
            continue
        flags = X86.get(source.name, ()) if not simde else ()
        objects.append(folder / f"{source.stem}.o")
        _run([*command, *flags, "-c", str(source), "-o", str(objects[-1])])
    linked = folder / "linked"
    _run([*command, "-shared", *STAYS, *map(str, objects), "-o", str(linked), "-lm"])
    if not linked.exists():
        raise CompilerError(f"{command[0]} says that it succeeded, and made nothing")
    linked.replace(library)


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
    except OSError as error:
        raise CompilerError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise CompilerError(f"{' '.join(command)}\n{done.stderr.strip()}")
    if done.stderr.strip():
        print(done.stderr.strip(), file=sys.stderr)
