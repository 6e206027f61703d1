"""What each section of the benchmark times."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np

import q35ref
from q35ref.backends.native.library import Library
from q35ref.backends.protocol import Float32
from q35ref.reference.lanes import LAYOUTS
from tools.bench.compiled import copy_anchor, multiply_anchors, read_anchors
from tools.bench.contender import Contender, Skipped
from tools.bench.ggml import Ggml, ggml
from tools.bench.memory import available, empty, placed, repeated
from tools.bench.others import gguf_weights, numpy_multipliers, torch_multipliers
from tools.bench.ours import GAIN, Native, Weights, make_weights, restoring, twins
from tools.bench.settings import Settings

GROUPS: Final = (0, 128)
"""Group sizes that are timed: whole columns, and the usual one."""

SPARE: Final = 1.25
"""Memory that must be available, as a multiple of what a contender takes."""


@dataclass
class Bench:
    """What the sections share; ``stack`` frees what ctypes holds when a section ends."""

    settings: Settings
    library: Library
    stack: ExitStack
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def native(self) -> Native:
        """The kernel, with its instruction set put back at the end."""
        return Native(self.library, self.stack)

    @property
    def fast_paths(self) -> tuple[str, ...]:
        """Instruction sets but for the portable one, where there is another."""
        return tuple(isa for isa in self.library.isas if isa != "scalar") or self.library.isas

    def peer(self) -> Ggml | None:
        """Return ggml, if it is there."""
        before = list(self.skipped)
        found = ggml(self.stack, self.skipped)
        self.skipped[:] = before + [note for note in self.skipped[len(before) :] if note not in before]
        return found

    def random(self, rows: int, seed: int = 1) -> Float32:
        """Return N(0,1) numbers ``[rows, K]``."""
        return placed(np.random.default_rng(seed).standard_normal((rows, self.settings.k), np.float32))


def _multiplying(
    bench: Bench, n: int, m: int, paths: tuple[str, ...], peer: Ggml | None, weights: list[Weights]
) -> list[Contender]:
    distinct, x, threads = (
        bench.random(min(n, bench.settings.distinct)),
        bench.random(m, seed=2),
        bench.settings.threads,
    )
    native = bench.native
    found = [native.multiplier(w, x, isa, count) for w in weights for isa in paths for count in threads]
    if peer is not None:
        found += peer.multipliers(distinct, n, x, threads)
    found += numpy_multipliers(distinct, n, x, threads, bench.skipped, bench.stack)
    return found + torch_multipliers(distinct, n, x, threads, bench.skipped)


def gemv(bench: Bench) -> list[Contender]:
    """One row of activations: the weights are read once, so that memory sets the limit."""
    settings = bench.settings
    distinct = bench.random(min(settings.n, settings.distinct))
    weights = [make_weights(distinct, settings.n, group) for group in GROUPS]
    return read_anchors(settings) + _multiplying(bench, settings.n, 1, bench.library.isas, bench.peer(), weights)


def gemm(bench: Bench) -> list[Contender]:
    """Several rows, for all of which the weights are unpacked once: arithmetic sets the limit."""
    settings, peer = bench.settings, bench.peer()
    distinct = bench.random(min(settings.gemm_n, settings.distinct))
    weights = [make_weights(distinct, settings.gemm_n, group) for group in GROUPS]
    found = read_anchors(settings) + multiply_anchors(settings)
    for rows in settings.gemm_rows:
        found += _multiplying(bench, settings.gemm_n, rows, bench.fast_paths, peer, weights)
    return found


def weights(bench: Bench) -> list[Contender]:
    """Quantize and restore, one thread."""
    settings = bench.settings
    distinct = bench.random(min(*settings.weights_n, settings.distinct, settings.distinct))
    found, peer = [copy_anchor(settings)], bench.peer()
    for n in settings.weights_n:
        w = repeated(distinct, n)
        for isa in bench.fast_paths:
            for group in GROUPS:
                found += restoring(bench.native, w, group, isa)
        found += peer.weights(w, settings) if peer is not None else []
    few = placed(distinct[: max(1, settings.weights_n[0] // settings.slow_share)])
    return found + twins(few) + gguf_weights(few, bench.skipped)


def growth(bench: Bench) -> list[Contender]:
    """The same product on more and more columns, from what caches hold to what they do not."""
    settings = bench.settings
    distinct = bench.random(min(512, settings.distinct))
    few = make_weights(distinct, len(distinct), 0)
    column = few.packed.shape[1]
    taken = (column + 12) / column * SPARE  # the codes, two parameters and a result a column
    sizes = [size for size in settings.growth_bytes if size * taken < available()]
    for size in sorted(set(settings.growth_bytes) - set(sizes)):
        bench.skipped.append(Skipped(f"growth at {size >> 20} MiB of codes", "not enough memory", "more memory"))
    if not sizes:
        return []
    largest, x = max(sizes) // column, bench.random(1, seed=2)
    packed = repeated(few.packed, largest)
    columns = np.arange(largest) % len(distinct)
    found = []
    for size in sizes:
        n = size // column
        scale, offset = few.scale[:, columns[:n]], few.offset[:, columns[:n]]
        matrix = Weights(packed[:n], placed(scale), placed(offset), settings.k, n, 0)
        for count in settings.threads:
            made = bench.native.multiplier(matrix, x, bench.library.isas[0], count)
            found.append(repeated_calls(made, settings.least_sample))
    return found


def repeated_calls(contender: Contender, least: float) -> Contender:
    """Return a contender whose samples last long enough to be timed, at some 20 G weights a second."""
    return replace(contender, calls=max(1, round(least * 20e9 / (contender.k * contender.n))))


def overhead(bench: Bench) -> list[Contender]:
    """What Python adds: ``q35ref.matmul`` beside the bare calls that it ends in, one thread."""
    found: list[Contender] = []
    native, isa = bench.native, bench.library.isas[0]
    for k, n in bench.settings.overhead_sizes:
        rng = np.random.default_rng(3)
        distinct = placed(rng.standard_normal((min(n, 512), k), np.float32))
        matrix, x = make_weights(distinct, n, 0), placed(rng.standard_normal((1, k), np.float32))
        tensor, whole = matrix.tensor(), native.multiplier(matrix, x, isa, 1)
        a, out = empty((1, k), "i1"), empty((1, n), "f4")
        a[...] = np.random.default_rng(4).integers(-127, 128, (1, k))
        bare = native.bound(
            "q35_matmul",
            *(a, matrix.packed, 1, k, n, LAYOUTS.index("dense"), 0, GAIN, matrix.scale, matrix.offset),
            *(None, None, out),
        )
        in_python = partial(q35ref.matmul, a, tensor)
        calls: dict[tuple[str, str], tuple[Callable[[], object], Callable[[], float] | None]] = {
            ("multiply int8", "C"): (bare, partial(_share_that_differs, out, in_python)),
            ("multiply int8", "Python"): (in_python, None),
            ("multiply float32", "C"): (whole.run, whole.error),
            ("multiply float32", "Python"): (partial(q35ref.matmul, x, tensor), None),
        }
        for (work, language), (run, error) in calls.items():
            made = Contender(
                work=work,
                name="q35ref per column",
                path=f"{isa}, {language}",
                run=run,
                k=k,
                n=n,
                bytes=matrix.nbytes,
                prepare=native.prepare(isa, 1),
                error=error,
                limit=whole.limit,
                ours=True,
            )
            found.append(repeated_calls(made, bench.settings.least_sample))
    return found


def _share_that_differs(out: Float32, again: Callable[[], Float32]) -> float:
    return float((out != again()).mean())


SECTIONS: Final[dict[str, Callable[[Bench], list[Contender]]]] = {
    "gemv": gemv,
    "gemm": gemm,
    "weights": weights,
    "growth": growth,
    "overhead": overhead,
}
"""By the names that the command knows."""
