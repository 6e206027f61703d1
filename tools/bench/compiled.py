"""The benchmark's own C: compiled when it runs, for this processor."""

import ctypes
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from ctypes import c_int, c_size_t, c_uint64, c_void_p
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from q35ref.backends.native.build import CompilerError, compiler
from tools.bench.contender import Contender
from tools.bench.memory import empty
from tools.bench.settings import Settings

SOURCES: Final = Path(__file__).with_name("c")

FLAGS: Final = ("-std=gnu11", "-O3", "-march=native", "-shared", "-fPIC", "-pthread", "-Wall", "-Wextra")


def compile_c(name: str, flags: Sequence[str] = ()) -> ctypes.CDLL:
    """Compile a source of ours and load it. Errors: CompilerError."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, f"{name}.so")
        command = [*compiler(), *FLAGS, str(SOURCES / f"{name}.c"), *flags, "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CompilerError(f"{name}.c does not compile: {done.stderr.strip()[:2000]}")
        return ctypes.CDLL(str(library))


def bind(function: Any, *arguments: int | NDArray[Any] | None) -> Callable[[], int]:
    """Return a call with fixed arguments, arrays by their addresses; it keeps them alive."""
    call = partial(function, *(a if a is None or isinstance(a, int) else a.ctypes.data for a in arguments))

    def run(_alive: object = arguments) -> int:
        return int(call())

    return run


@cache
def anchors() -> ctypes.CDLL:
    """Return the anchors' library. Errors: CompilerError."""
    library = compile_c("anchors")
    for name, arguments in (
        ("anchor_read", (c_void_p, c_size_t, c_int, c_int)),
        ("anchor_copy", (c_void_p, c_void_p, c_size_t)),
        ("anchor_multiply", (c_size_t, c_int)),
    ):
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, c_uint64
    return library


def read_anchors(settings: Settings) -> list[Contender]:
    """Return three ways of reading memory, the fastest of which is the floor."""
    memory, library = empty((settings.read_bytes,), "u1"), anchors()
    unit = int(library.anchor_read_unit())
    sizes = {threads: memory.size // (unit * threads) * unit * threads for threads in settings.threads}
    return [
        Contender(
            work="read",
            name="memory",
            path=path,
            run=bind(library.anchor_read, memory, sizes[threads], kind, threads),
            k=0,
            n=0,
            bytes=sizes[threads],
            threads=threads,
        )
        for kind, path in enumerate(("one stream", "four streams", "four streams, prefetched"))
        for threads in settings.threads
    ]


def copy_anchor(settings: Settings) -> Contender:
    """Return a plain copy; its bytes are those read and those written."""
    source, target = empty((settings.copy_bytes,), "u1"), empty((settings.copy_bytes,), "u1")
    run = bind(anchors().anchor_copy, target, source, source.size)
    return Contender("copy", "memory", "memcpy", run=run, k=0, n=0, bytes=2 * source.size)


def multiply_anchors(settings: Settings) -> list[Contender]:
    """Return products of bytes that never leave the registers, for the instructions that the anchor knows."""
    library = anchors()
    products = int(library.anchor_multiplied())
    return [
        Contender(
            work="multiply",
            name="arithmetic",
            path=f"{library.anchor_vector_bits()} bits",
            run=bind(library.anchor_multiply, settings.multiply_iterations, threads),
            k=settings.multiply_iterations,
            n=products * threads,
            bytes=0,
            threads=threads,
        )
        for threads in settings.threads
        if products
    ]
