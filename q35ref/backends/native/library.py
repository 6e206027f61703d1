"""The native kernel's shared library, as ctypes sees it."""

import ctypes
import os
from ctypes import c_char_p, c_int, c_int32, c_int64, c_void_p
from functools import cache
from itertools import count, takewhile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.native.build import LIBRARY, SOURCES, sources_digest

LIBRARY_VARIABLE: Final = "Q35_NATIVE_LIBRARY"
"""Path of another build of the kernel, one with sanitizers say."""

ISA_VARIABLE: Final = "Q35_NATIVE_ISA"
"""Instruction set to use instead of the best that the processor has: avx512, avx2 or scalar."""

THREADS_VARIABLE: Final = "Q35_NUM_THREADS"
"""Threads to use instead of one for each processor."""

MOST_THREADS: Final = 256
"""More are never started."""

SIGNATURES: Final[dict[str, tuple[Any, ...]]] = {
    "q35_pack": (c_void_p, c_int64, c_int64, c_int32, c_void_p),
    "q35_unpack": (c_void_p, c_int64, c_int64, c_int32, c_void_p),
    "q35_calibrate_minmax": (c_void_p, c_int64, c_int64, c_int64, c_void_p, c_void_p),
    "q35_calibrate_symmetric": (c_void_p, c_int64, c_int64, c_int64, c_void_p, c_void_p),
    "q35_quantize": (c_void_p, c_int64, c_int64, c_int64, c_int32, c_void_p, c_void_p, c_void_p),
    "q35_dequantize": (c_void_p, c_int64, c_int64, c_int64, c_int32, c_void_p, c_void_p, c_void_p),
    "q35_quantize_activations": (c_void_p, c_int64, c_int64, c_void_p, c_void_p),
    "q35_matmul": (
        *(c_void_p, c_void_p, c_int64, c_int64, c_int64, c_int32, c_int64, c_int32),
        *(c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
    ),
}
"""Arguments of the ABI's functions (``src/q35_abi.h``), all of which return a status."""


class NativeUnavailable(ValueError):
    """The native kernel was not built here, or not for this system; the text says what to do."""


BUILD: Final = "python -m q35ref.backends.native"
"""What builds the kernel."""


class Library:
    """The shared library: its functions by name, its instruction sets, its threads."""

    def __init__(self, path: Path) -> None:
        try:
            self._functions = ctypes.CDLL(os.path.realpath(path))  # unlike Path.resolve, it takes a loop of links
            for name, arguments in SIGNATURES.items():
                function = getattr(self._functions, name)
                function.argtypes, function.restype = arguments, c_int
            self._functions.q35_set_num_threads.argtypes = (c_int32,)
            self._functions.q35_set_num_threads.restype = None
            self._functions.q35_native_use_isa.argtypes = (c_char_p,)
            self._functions.q35_native_isa_at.argtypes = (c_int32,)
            for name in ("q35_native_isa", "q35_native_isa_at", "q35_native_sources"):
                getattr(self._functions, name).restype = c_char_p
        except (OSError, AttributeError) as error:
            raise NativeUnavailable(f"the native kernel {path} cannot be loaded: {error}") from error
        self.path = path
        self.use_threads(1)

    def call(self, name: str, *arguments: int | NDArray[Any] | None) -> int:
        """Call a function with integers and C-contiguous arrays; return its status."""
        passed = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments]
        return int(getattr(self._functions, name)(*passed))

    @property
    def sources(self) -> str:
        """Digest of the sources that the library was built from."""
        return str(self._functions.q35_native_sources().decode())

    @property
    def threads(self) -> int:
        """The number of threads in use."""
        return self._threads

    @property
    def isa(self) -> str:
        """The instruction set in use."""
        return str(self._functions.q35_native_isa().decode())

    @property
    def isas(self) -> tuple[str, ...]:
        """Every instruction set that was built and that the processor has, the fastest first."""
        names = (self._functions.q35_native_isa_at(place) for place in count())
        return tuple(name.decode() for name in takewhile(bool, names))

    def use_isa(self, name: str) -> None:
        """Use an instruction set from now on, in the whole process. Errors: ValueError for one that is not there."""
        if self._functions.q35_native_use_isa(os.fsencode(name)):
            raise ValueError(f"{ISA_VARIABLE}: expected one of {', '.join(self.isas)}, got {name!r}")

    def use_threads(self, threads: int) -> None:
        """Use up to ``threads`` threads from now on, in the whole process; no result depends on it.

        Errors: ValueError.
        """
        if not 1 <= threads <= MOST_THREADS:
            raise ValueError(f"{THREADS_VARIABLE}: expected 1 to {MOST_THREADS} threads, got {threads}")
        self._functions.q35_set_num_threads(threads)
        self._threads = threads


@cache
def load() -> Library:
    """Return the library, set up as the environment says.

    Errors: NativeUnavailable if none was built; ValueError for one that was asked for and is not there, for one that
    is older than its sources, and for other settings of the environment.
    """
    library = _find()
    if SOURCES.is_dir() and library.sources != sources_digest():
        raise ValueError(f"the native kernel {library.path} was not built from these sources: {BUILD}")
    isa, threads = os.environ.get(ISA_VARIABLE), os.environ.get(THREADS_VARIABLE)
    if isa:
        library.use_isa(isa)
    if threads and not (threads.isascii() and threads.isdigit() and len(threads) < 9):
        raise ValueError(f"{THREADS_VARIABLE}: expected 1 to {MOST_THREADS} threads, got {threads!r}")
    library.use_threads(int(threads) if threads else min(MOST_THREADS, available_processors()))
    return library


def _find() -> Library:
    named = os.environ.get(LIBRARY_VARIABLE)
    if not named and not LIBRARY.exists():
        raise NativeUnavailable(f"the native kernel is not built: install a C compiler, then {BUILD}")
    try:
        return Library(Path(named or LIBRARY))
    except NativeUnavailable as error:
        if not named:
            raise
        raise ValueError(f"{LIBRARY_VARIABLE}: {error}") from error


def available_processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
