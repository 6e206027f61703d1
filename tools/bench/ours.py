"""q35ref's own contenders: the native kernel through its C interface, and the NumPy twin."""

import ctypes
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from q35ref.backends import get
from q35ref.backends.native import NativeBackend
from q35ref.backends.native.library import SIGNATURES, Library, available_processors
from q35ref.backends.protocol import Float32, UInt8
from q35ref.reference.lanes import LAYOUTS, group_count
from q35ref.tensor import QuantizedTensor
from tools.bench.compiled import bind
from tools.bench.contender import Contender, relative_error
from tools.bench.memory import empty, repeated

LAYOUT: Final = LAYOUTS.index("dense")

GAIN: Final = 2

FLOAT32_LIMIT: Final = 1e-5
"""Relative error that float32 sums of hundreds of groups stay well below; another result is off by a tenth or more."""

CHECKED_COLUMNS: Final = 2
"""Columns at either end of a matrix that the reference multiplies too."""


def ends(count: int) -> list[int]:
    """Return the first and last few of ``count`` indices.

    >>> ends(9), ends(3)
    ([0, 1, 7, 8], [0, 1, 2])
    """
    return sorted({*range(min(CHECKED_COLUMNS, count)), *range(count)[-CHECKED_COLUMNS:]})


def group_name(group_size: int) -> str:
    """Return how a choice of parameters is called in tables."""
    return f"g{group_size}" if group_size else "per column"


@dataclass(frozen=True, eq=False)
class Weights:
    """A quantized matrix in huge pages."""

    packed: UInt8
    scale: Float32
    offset: Float32
    k: int
    n: int
    group_size: int

    @property
    def nbytes(self) -> int:
        """Bytes of codes, scales and offsets."""
        return self.packed.nbytes + self.scale.nbytes + self.offset.nbytes

    def tensor(self) -> QuantizedTensor:
        """Return the same as users have it."""
        return QuantizedTensor(self.packed, self.scale, self.offset, self.k, self.n, self.group_size, GAIN, "dense")


def make_weights(distinct: Float32, n: int, group_size: int) -> Weights:
    """Quantize columns ``[distinct, K]`` and repeat them to ``n`` columns."""
    backend, w = NativeBackend(), distinct.T
    scale, offset = backend.calibrate(w, group_size, "minmax")
    packed = backend.pack(backend.quantize(w, scale, offset, group_size, GAIN), "dense")
    columns = np.arange(n) % len(distinct)
    wide_scale, wide_offset = empty((len(scale), n), "f4"), empty((len(scale), n), "f4")
    wide_scale[...], wide_offset[...] = scale[:, columns], offset[:, columns]
    return Weights(repeated(packed, n), wide_scale, wide_offset, len(w), n, group_size)


class Native:
    """The native kernel's functions with their arguments bound, so that nothing but the kernel is timed."""

    def __init__(self, library: Library, stack: ExitStack) -> None:
        self.library = library
        self._functions = ctypes.CDLL(str(library.path))
        for name, arguments in SIGNATURES.items():
            function = getattr(self._functions, name)
            function.argtypes, function.restype = arguments, ctypes.c_int
        stack.callback(library.use_isa, library.isa)
        stack.callback(library.use_threads, available_processors())

    def bound(self, name: str, *arguments: int | NDArray[Any] | None) -> Callable[[], int]:
        """Return a call of one of the ABI's functions."""
        return bind(getattr(self._functions, name), *arguments)

    def prepare(self, isa: str, threads: int) -> Callable[[], None]:
        """Return what chooses the instruction set and the threads."""

        def choose() -> None:
            self.library.use_isa(isa)
            self.library.use_threads(threads)

        return choose

    def multiplier(self, weights: Weights, x: Float32, isa: str, threads: int) -> Contender:
        """Return the product of float32 activations and a matrix: round them to int8, multiply, apply their scale."""
        m = len(x)
        scale, a = empty((m,), "f4"), empty((m, weights.k), "i1")
        out = empty((m, weights.n), "f4")
        rounding = self.bound("q35_quantize_activations", x, m, weights.k, scale, a)
        product = self.bound(
            "q35_matmul",
            *(a, weights.packed, m, weights.k, weights.n, LAYOUT, weights.group_size, GAIN),
            *(weights.scale, weights.offset, None, None, out),
        )
        factor = scale[:, None]

        def run() -> None:
            if rounding() or product():
                raise ValueError("the native kernel refused its arguments")
            np.multiply(out, factor, out=out)

        return Contender(
            work="multiply",
            name=f"q35ref {group_name(weights.group_size)}",
            path=isa,
            run=run,
            k=weights.k,
            n=weights.n,
            bytes=weights.nbytes,
            rows=m,
            threads=threads,
            prepare=self.prepare(isa, threads),
            error=partial(_error_of_product, weights, x, out),
            limit=FLOAT32_LIMIT,
            ours=True,
        )


def _error_of_product(weights: Weights, x: Float32, out: Float32) -> float:
    """Return how far the first and last columns of the first and last row are from the reference's."""
    reference, rows = get("reference"), sorted({0, len(x) - 1})
    columns = ends(weights.n)
    scale, a = reference.quantize_activations(x[rows])
    expected = reference.matmul(
        *(a, weights.packed[columns], weights.k, "dense", weights.group_size, GAIN),
        *(np.ascontiguousarray(weights.scale[:, columns]), np.ascontiguousarray(weights.offset[:, columns])),
    )[2]
    return relative_error(out[np.ix_(rows, columns)], np.asarray(expected) * scale[:, None])


def restoring(native: Native, w: Float32, group_size: int, isa: str) -> list[Contender]:
    """Return quantize, calibrate and quantize, dequantize, and for whole columns pack and unpack, of ``[N, K]``."""
    n, k = w.shape
    groups = group_count(k, group_size)
    scale, offset = empty((groups, n), "f4"), empty((groups, n), "f4")
    q, packed = empty((n, k), "i1"), empty((n, -(-k // 16) * 7), "u1")
    again, restored = empty((n, k), "i1"), empty((n, k), "f4")
    parameters = scale.nbytes + offset.nbytes
    calibrate = native.bound("q35_calibrate_minmax", w, k, n, group_size, scale, offset)
    quantize = native.bound("q35_quantize", w, k, n, group_size, GAIN, scale, offset, q)
    dequantize = native.bound("q35_dequantize", q, k, n, group_size, GAIN, scale, offset, restored)
    calls: dict[str, tuple[Callable[[], object], int, Callable[[], float]]] = {
        "calibrate and quantize": (
            lambda: (calibrate(), quantize()),
            w.nbytes + q.nbytes + parameters,
            lambda: _error_of_integers(w, scale, offset, group_size, q),
        ),
        "quantize": (
            quantize,
            w.nbytes + q.nbytes + parameters,
            lambda: _error_of_integers(w, scale, offset, group_size, q),
        ),
        "dequantize": (
            dequantize,
            restored.nbytes + q.nbytes + parameters,
            lambda: _error_of_restored(q, scale, offset, group_size, restored),
        ),
    }
    if not group_size:
        pack = native.bound("q35_pack", q, k, n, LAYOUT, packed)
        unpack = native.bound("q35_unpack", packed, k, n, LAYOUT, again)
        calls["pack"] = (pack, q.nbytes + packed.nbytes, lambda: _error_of_codes(q, packed))
        calls["unpack"] = (unpack, q.nbytes + packed.nbytes, lambda: float((q != again).mean()))
    return [
        Contender(
            work=work,
            name=f"q35ref {group_name(group_size)}" if work not in ("pack", "unpack") else "q35ref",
            path=isa,
            run=run,
            k=k,
            n=n,
            bytes=moved,
            prepare=native.prepare(isa, 1),
            error=error,
            limit=0.0,
            ours=True,
        )
        for work, (run, moved, error) in calls.items()
    ]


def _error_of_integers(w: Float32, scale: Float32, offset: Float32, group_size: int, q: NDArray[Any]) -> float:
    """Return the share of integers that are not those of the NumPy twin, in the first and last columns."""
    columns = ends(len(w))
    twin = get("numpy").quantize(w[columns].T, scale[:, columns], offset[:, columns], group_size, GAIN)
    return float((q[columns] != twin.T).mean())


def _error_of_restored(q: NDArray[Any], scale: Float32, offset: Float32, group_size: int, got: Float32) -> float:
    """Return the share of weights whose bits are not those of the NumPy twin, in the first and last columns."""
    columns = ends(len(q))
    twin = get("numpy").dequantize(q[columns].T, scale[:, columns], offset[:, columns], group_size, GAIN)
    return float((twin.T.view("u4") != got[columns].view("u4")).mean())


def _error_of_codes(q: NDArray[Any], packed: UInt8) -> float:
    """Return the share of bytes that are not those of the NumPy twin, in the first and last columns."""
    columns = ends(len(q))
    return float((get("numpy").pack(q[columns].T, "dense") != packed[columns]).mean())


def twins(w: Float32) -> list[Contender]:
    """Return the NumPy twin's way of quantizing and restoring ``[N, K]``, for those without a C compiler."""
    backend, (n, k) = get("numpy"), w.shape
    scale, offset = backend.calibrate(w.T, 0, "minmax")
    q = backend.quantize(w.T, scale, offset, 0, GAIN)
    calls: dict[str, Callable[[], object]] = {
        "quantize": lambda: backend.quantize(w.T, scale, offset, 0, GAIN),
        "calibrate and quantize": lambda: backend.quantize(w.T, *backend.calibrate(w.T, 0, "minmax"), 0, GAIN),
        "dequantize": lambda: backend.dequantize(q, scale, offset, 0, GAIN),
    }
    return [
        Contender(work=work, name="q35ref per column", path="numpy", run=run, k=k, n=n, bytes=5 * w.size, ours=True)
        for work, run in calls.items()
    ]
