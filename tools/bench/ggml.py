"""ggml's contenders: the libraries of an installed llama-cpp-python, driven by a small C harness of our own."""

from collections.abc import Callable
from contextlib import ExitStack
from ctypes import c_char_p, c_int, c_int64, c_void_p
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.native.build import CompilerError
from q35ref.backends.protocol import Float32, UInt8
from tools.bench.compiled import bind, compile_c
from tools.bench.contender import Contender, Skipped, nothing, relative_error
from tools.bench.memory import empty, placed, repeated
from tools.bench.settings import Settings

PACKAGE: Final = "llama-cpp-python"

REMEDY: Final = 'CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF" pip install llama-cpp-python'

REPACKED: Final = "CPU_REPACK"
"""The CPU backend's own layout, in which the rows of eight columns are interleaved; the default where there is one."""

PRODUCTS: Final = (("q4_K", REPACKED), ("q4_0", REPACKED), ("q3_K", REPACKED), ("q3_K", ""), ("q3_K", "rows"))
"""Types, and how they are multiplied: a buffer's layout, plain if it has no name, or row by row."""

ACTIVATION_LIMIT: Final = 0.03
"""Relative error that eight-bit activations stay below: a half in 127 steps, over the ratio of root mean square to
maximum. Another product altogether is off by about 1."""

FLOAT32_LIMIT: Final = 1e-5

SIGNATURES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "peer_init": (c_int, ()),
    "peer_type": (c_int, (c_char_p,)),
    "peer_row_bytes": (c_int64, (c_int, c_int64)),
    "peer_quantize": (c_int, (c_int, c_void_p, c_void_p, c_int64, c_int64)),
    "peer_dequantize": (c_int, (c_int, c_void_p, c_void_p, c_int64, c_int64)),
    "peer_converted_bytes": (c_int64, (c_int, c_int64, c_int64)),
    "peer_rows": (
        c_int,
        (c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_int),
    ),
    "peer_graph_new": (c_void_p, (c_int, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_char_p)),
    "peer_graph_free": (None, (c_void_p,)),
    "peer_graph_threads": (c_int, (c_void_p, c_int)),
    "peer_graph_run": (c_int, (c_void_p,)),
    "peer_graph_out": (None, (c_void_p, c_void_p)),
}


class Ggml:
    """The harness. Errors when made: PackageNotFoundError, CompilerError, OSError."""

    def __init__(self, stack: ExitStack) -> None:
        files = [Path(str(file.locate())) for file in metadata.distribution(PACKAGE).files or ()]
        header = next((file for file in files if file.name == "ggml-cpu.h"), None)
        libraries = {file.name.split(".")[0]: file for file in files if file.suffix in (".so", ".dylib")}
        base, cpu = libraries.get("libggml-base"), libraries.get("libggml-cpu")
        if header is None or base is None or cpu is None:
            raise CompilerError(f"the installed {PACKAGE} has no ggml headers or shared libraries")
        linked = [str(base), str(cpu), f"-Wl,-rpath,{base.parent}"]
        self._library = compile_c("ggml", [f"-I{header.parent}", *linked])
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        self._library.peer_init()
        self._stack = stack

    def quantized(self, kind: int, rows: Float32) -> UInt8:
        """Quantize rows ``[N, K]``."""
        packed = empty((len(rows), self._library.peer_row_bytes(kind, rows.shape[1])), "u1")
        self._library.peer_quantize(kind, rows.ctypes.data, packed.ctypes.data, *rows.shape)
        return packed

    def restored(self, kind: int, packed: UInt8, k: int) -> Float32:
        """Restore rows to float32."""
        rows = empty((len(packed), k), "f4")
        self._library.peer_dequantize(kind, packed.ctypes.data, rows.ctypes.data, len(packed), k)
        return rows

    def multipliers(self, distinct: Float32, n: int, x: Float32, threads: tuple[int, ...]) -> list[Contender]:
        """Return the products of x ``[M, K]`` and ``n`` columns, those that this build of ggml has."""
        found = []
        for name, layout in PRODUCTS:
            kind = self._library.peer_type(name.encode())
            if kind < 0:
                continue
            few = self.quantized(kind, distinct)
            expected = self.restored(kind, few, distinct.shape[1]) @ x.T
            packed = repeated(few, n)
            if layout == "rows":
                found += [self._rows(name, kind, packed, x, count, expected) for count in threads]
            else:
                found += self._graphs(name, kind, packed, x, threads, expected, layout)
        return found

    def _rows(self, name: str, kind: int, packed: UInt8, x: Float32, threads: int, expected: Float32) -> Contender:
        (m, k), n = x.shape, len(packed)
        converted = empty((self._library.peer_converted_bytes(kind, m, k),), "u1")
        out = empty((m, n), "f4")
        run = bind(self._library.peer_rows, kind, packed, x, converted, out, m, k, n, threads)
        return _multiplier(name, "rows", run, packed, x, threads, partial(_error, lambda: out, expected))

    def _graphs(
        self,
        name: str,
        kind: int,
        packed: UInt8,
        x: Float32,
        threads: tuple[int, ...],
        expected: Float32,
        layout: str,
    ) -> list[Contender]:
        library, (m, k), n = self._library, x.shape, len(packed)
        graph = library.peer_graph_new(
            kind, packed.ctypes.data, np.ascontiguousarray(x).ctypes.data, m, k, n, layout.encode()
        )
        if not graph:
            return []
        self._stack.callback(library.peer_graph_free, graph)

        def result() -> Float32:
            out = np.empty((m, n), np.float32)
            library.peer_graph_out(graph, out.ctypes.data)
            return out

        return [
            _multiplier(
                name,
                f"graph, {layout}" if layout else "graph",
                partial(library.peer_graph_run, graph),
                packed,
                x,
                count,
                partial(_error, result, expected),
                prepare=partial(library.peer_graph_threads, graph, count),
                finish=partial(library.peer_graph_threads, graph, 1),
            )
            for count in threads
        ]

    def weights(self, w: Float32, settings: Settings) -> list[Contender]:
        """Return what quantizes and restores rows; the slow ones get fewer of them."""
        found = []
        for name, share in (("q4_0", 1), ("q4_K", settings.slow_share), ("q3_K", settings.slow_share)):
            kind, k = self._library.peer_type(name.encode()), w.shape[1]
            if kind < 0:
                continue
            rows = placed(w[: max(1, len(w) // share)])
            packed, target = empty(self.quantized(kind, rows).shape, "u1"), empty(w.shape, "f4")
            whole = repeated(self.quantized(kind, rows), len(w))
            found.append(
                Contender(
                    work="calibrate and quantize",
                    name=f"ggml {_named(name)}",
                    path="rows",
                    run=bind(self._library.peer_quantize, kind, rows, packed, *rows.shape),
                    k=k,
                    n=len(rows),
                    bytes=rows.nbytes + packed.nbytes,
                    error=partial(self._error_of_quantized, kind, rows, packed),
                    limit=0.25,
                )
            )
            found.append(
                Contender(
                    work="dequantize",
                    name=f"ggml {_named(name)}",
                    path="rows",
                    run=bind(self._library.peer_dequantize, kind, whole, target, *w.shape),
                    k=k,
                    n=len(w),
                    bytes=target.nbytes + whole.nbytes,
                    error=partial(_error_of_restored, rows, target),
                    limit=0.25,
                )
            )
        return found

    def _error_of_quantized(self, kind: int, rows: Float32, packed: UInt8) -> float:
        return relative_error(self.restored(kind, packed, rows.shape[1]), rows)


def _error_of_restored(rows: Float32, target: Float32) -> float:
    return relative_error(target[: len(rows)], rows)


def _error(result: Callable[[], Float32], expected: Float32) -> float:
    """Return how far a product is from that with the restored weights, column by column of all."""
    out = result()
    return relative_error(out.T, expected[np.arange(out.shape[1]) % len(expected)])


def _named(kind: str) -> str:
    """Return a type's name as people write it: ``Q4_K``."""
    return "Q" + kind[1:]


def _multiplier(
    kind: str,
    path: str,
    run: Callable[[], object],
    packed: NDArray[Any],
    x: Float32,
    threads: int,
    error: Callable[[], float],
    prepare: Callable[[], object] = nothing,
    finish: Callable[[], object] = nothing,
) -> Contender:
    return Contender(
        work="multiply",
        name=f"ggml {_named(kind)}",
        path=path,
        run=run,
        k=x.shape[1],
        n=len(packed),
        bytes=packed.nbytes,
        rows=len(x),
        threads=threads,
        prepare=prepare,
        finish=finish,
        error=error,
        limit=ACTIVATION_LIMIT,
    )


def ggml(stack: ExitStack, skipped: list[Skipped]) -> Ggml | None:
    """Return the harness, or nothing and say why."""
    try:
        return Ggml(stack)
    except metadata.PackageNotFoundError:
        skipped.append(Skipped("ggml", f"{PACKAGE} is not installed", REMEDY))
    except (CompilerError, OSError) as error:
        skipped.append(Skipped("ggml", str(error).splitlines()[0], REMEDY))
    return None
