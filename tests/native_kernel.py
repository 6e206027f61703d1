"""What the tests of the native kernel share: builds of it, its instruction sets, buffers next to forbidden pages."""

import ctypes
import mmap
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from q35ref.backends import present
from q35ref.backends.native import NativeBackend
from q35ref.backends.native.build import FLAGS, SOURCES, CompilerError, compiler

PAGE = mmap.PAGESIZE
FOLDER = Path(__file__).with_name("native")
REASON = present()["native"]
needs_native = pytest.mark.skipif(bool(REASON), reason=REASON)
"""Skips where the kernel was not built, with the reason."""

ISAS = ("avx512", "avx2", "scalar")
"""All that there are; a test of one that the processor lacks is skipped, and says so."""


@contextmanager
def using(isa: str = "", threads: int = 0) -> Iterator[NativeBackend]:
    """Yield the backend with an instruction set and a number of threads, and restore both."""
    backend = NativeBackend()
    if isa and isa not in backend.library.isas:  # an instruction that the processor lacks would end the process
        pytest.skip(f"this processor has no {isa}: the build with SIMDe runs that path")
    before = backend.library.isa
    try:
        if isa:
            backend.library.use_isa(isa)
        backend.library.use_threads(threads or 1)
        yield backend
    finally:
        backend.library.use_isa(before)
        backend.library.use_threads(1)


@cache
def compiles(source: str, *flags: str) -> str:
    """Return why a program does not compile and link with these flags, or nothing."""
    try:
        command = [*compiler(), "-x", "c", "-", *flags, "-o", "/dev/null"]
    except CompilerError as error:
        return str(error)
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[0] if done.returncode else ""


EMPTY = "int main(void) { return 0; }\n"
SANITIZE = "address,undefined"
NO_ADDRESS = compiles(EMPTY, f"-fsanitize={SANITIZE}")
needs_address = pytest.mark.skipif(bool(NO_ADDRESS), reason=f"the compiler has no address sanitizer: {NO_ADDRESS}")
SANITIZERS = () if NO_ADDRESS else (f"-fsanitize={SANITIZE}",)
"""Options for the sanitizers of addresses and undefined behaviour, where the compiler has them."""

NO_THREAD = compiles(EMPTY, "-fsanitize=thread", "-pthread")
needs_thread = pytest.mark.skipif(bool(NO_THREAD), reason=f"the compiler has no thread sanitizer: {NO_THREAD}")
UNPLACED = "unexpected memory mapping"
"""What the thread sanitizer says where addresses are laid out too randomly for it; setarch can make them plain."""


def library_of(name: str) -> Path | None:
    """Return a library of the compiler's own, such as ``libasan.so``."""
    found = subprocess.run([*compiler(), f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    path = Path(found.stdout.strip())
    return path if path.is_absolute() and path.exists() else None


def compiled(source: str, made: Path, *flags: str, linked: tuple[str, ...] = ()) -> Path:
    """Build a program of ``tests/native``; return its path."""
    options = (*FLAGS, "-fvisibility=default", "-Werror", "-O1", f"-I{SOURCES}", *flags)
    command = [*compiler(), *options, str(FOLDER / source), *linked, "-lm", "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


def program(source: str, library: Path, *flags: str) -> Path:
    """Build a program of ``tests/native`` that uses a build of the kernel; return its path."""
    made = library.with_name(f"{Path(source).stem}{len(flags)}")
    linked = (str(library), f"-Wl,-rpath,{library.parent}", "-rdynamic")
    return compiled(source, made, *flags, linked=linked)


def outcome(*command: str | Path) -> tuple[int, str, str]:
    """Return a program's exit status, output and errors. Errors: subprocess.TimeoutExpired after five minutes."""
    words = [str(word) for word in command]
    run = partial(subprocess.run, capture_output=True, text=True, check=False, timeout=300)
    done = run(words)
    if UNPLACED in done.stderr and shutil.which("setarch"):
        done = run(["setarch", "-R", *words])
    if UNPLACED in done.stderr or "setarch" in done.stderr:  # the system's limit: the program did not begin
        pytest.skip(f"the thread sanitizer cannot lay out its memory here: {done.stderr.strip()}")
    return done.returncode, done.stdout, done.stderr


class Guarded:
    """Arrays that lie right before a page that must not be touched, or right after one."""

    def __init__(self, *, at_end: bool) -> None:
        self.at_end = at_end
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        self._maps: list[mmap.mmap] = []

    def array(self, values: NDArray[Any], *, read_only: bool = False) -> NDArray[Any]:
        """Return a copy between forbidden pages, up to the second one or from the first one on."""
        pages = max(1, -(-values.nbytes // PAGE))
        memory = mmap.mmap(-1, (pages + 2) * PAGE)
        self._maps.append(memory)
        start = PAGE + (pages * PAGE - values.nbytes if self.at_end else 0)
        array: NDArray[Any] = np.frombuffer(memory, values.dtype, values.size, start).reshape(values.shape)
        array[...] = values
        base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self._protect(base, PAGE, 0)
        self._protect(base + (pages + 1) * PAGE, PAGE, 0)
        if read_only:
            self._protect(base + PAGE, pages * PAGE, mmap.PROT_READ)
        return array

    def _protect(self, address: int, length: int, access: int) -> None:
        if self._libc.mprotect(address, length, access):
            raise OSError(ctypes.get_errno(), "mprotect")


def has(program: str) -> bool:
    """Whether a program is on the path."""
    return shutil.which(program) is not None
