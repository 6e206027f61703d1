"""What the kernel has to reach, and whether a record shows that it does. Nothing is guessed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from tools.bench.record import Measurement, Record
from tools.bench.settings import MIB

Q4_K: Final = {"name": "ggml Q4_K", "path": "graph, CPU_REPACK"}

Q3_K: Final = {"name": "ggml Q3_K"}

FLAT_FROM, FLAT_TO = 64 * MIB, 4096 * MIB

Measure = Callable[[Record, str], float | None]
"""The figure that a record has for a path of ours, if it has one."""


@dataclass(frozen=True)
class Target:
    """One figure to reach."""

    work: str
    figure: str
    bound: float
    measure: Measure
    path: str = ""
    """The instruction set that it is set for; empty: the best that the machine has."""
    at_most: bool = False


@dataclass(frozen=True)
class Verdict:
    """A target, and what became of it."""

    target: Target
    path: str
    """The instruction set that was measured."""
    measured: float | None
    status: str
    """``met``, ``not met``, ``not measurable here`` or ``not measured``."""


SIZES: Final = {"gemv": 28672 * 8192, "gemm": 4096 * 8192, "weights": 1024 * 8192}
"""Weights of the matrices that the targets are judged on; a record of others says nothing about them."""


def _ours(record: Record, section: str, path: str, name: str, **more: object) -> Measurement | None:
    found = record.fastest(section, name=name, path=path, **more)
    return found if found and found.k * found.n == SIZES[section] else None


def share_of_read(name: str, threads: int) -> Measure:
    """Return bytes a second of a GEMV over those of the faster read of the same run."""

    def measure(record: Record, path: str) -> float | None:
        ours = _ours(record, "gemv", path, f"q35ref {name}", threads=threads)
        read = record.fastest("gemv", work="read", threads=threads)
        return ours.giga_bytes / read.giga_bytes if ours and read else None

    return measure


def times(section: str, name: str, peer: dict[str, str], rows: int, threads: int) -> Measure:
    """Return weights a second over those of a peer, the fastest of its paths, with as many rows and threads."""

    def measure(record: Record, path: str) -> float | None:
        ours = _ours(record, section, path, f"q35ref {name}", rows=rows, threads=threads)
        theirs = record.fastest(section, work="multiply", rows=rows, threads=threads, **peer)
        return ours.giga_weights / theirs.giga_weights if ours and theirs else None

    return measure


def weights_a_second(work: str) -> Measure:
    """Return G weights a second, one thread, the slower of whole columns and groups."""

    def measure(record: Record, path: str) -> float | None:
        found = record.find("weights", work=work, name="q35ref", path=path)
        return min((m.giga_weights for m in found if m.k * m.n == SIZES["weights"]), default=None)

    return measure


def growth_of(record: Record, path: str, threads: int = 1) -> list[tuple[int, float]]:
    """Return bytes of codes and parameters, and nanoseconds a weight, the smallest first."""
    found = record.find("growth", name="q35ref", path=path, threads=threads)
    return sorted((m.bytes, 1 / m.giga_weights) for m in found)


def spread(record: Record, path: str, threads: int = 1) -> float | None:
    """Return how much slower than the fastest the slowest size from 64 MB to 4 GB is; nothing if 4 GB is missing."""
    large = [(size, ns) for size, ns in growth_of(record, path, threads) if size >= 0.98 * FLAT_FROM]
    if len(large) < 2 or large[-1][0] < 0.98 * FLAT_TO:
        return None
    return max(ns for _, ns in large) / min(ns for _, ns in large) - 1


def small_over_large(record: Record, path: str, threads: int = 1) -> float | None:
    """Return the slowest smaller size's time a weight over the slowest large one's."""
    found = growth_of(record, path, threads)
    small = [ns for size, ns in found if size < 0.98 * FLAT_FROM]
    large = [ns for size, ns in found if size >= 0.98 * FLAT_FROM]
    return max(small) / max(large) if small and large else None


def _gemv_targets() -> list[Target]:
    size, found = "GEMV 28672 x 8192", []
    for name, shares in (("per column", (0.92, 1.6, 2.1)), ("g128", (0.88, 1.4, 1.9))):
        work, read, q4_k, q3_k = f"{size}, {name}, 1 thread", *shares
        found += [
            Target(work, "share of the read rate", read, share_of_read(name, 1), "avx512"),
            Target(work, "x ggml Q4_K CPU_REPACK", q4_k, times("gemv", name, Q4_K, 1, 1), "avx512"),
            Target(work, "x ggml Q3_K", q3_k, times("gemv", name, Q3_K, 1, 1), "avx512"),
        ]
    work = f"{size}, per column, 2 threads"
    return [
        *found,
        Target(work, "share of the 2-thread read rate", 0.80, share_of_read("per column", 2), "avx512"),
        Target(work, "x ggml Q4_K CPU_REPACK", 1.3, times("gemv", "per column", Q4_K, 1, 2), "avx512"),
        Target(
            f"{size}, per column, 1 thread, avx2 path",
            "x ggml Q3_K",
            1.0,
            times("gemv", "per column", Q3_K, 1, 1),
            "avx2",
        ),
    ]


def _gemm_targets() -> list[Target]:
    return [
        Target(
            f"GEMM, {rows} rows, {name}, {threads} thread{'s' * (threads > 1)}",
            "x ggml Q4_K CPU_REPACK",
            1.0,
            times("gemm", name, Q4_K, rows, threads),
        )
        for rows in (8, 64, 512)
        for name in ("per column", "g128")
        for threads in (1, 2)
    ]


def _growth_targets() -> list[Target]:
    found = []
    for threads in (1, 2):
        count = f"{threads} thread{'s' * (threads > 1)}"
        flat, small = partial(spread, threads=threads), partial(small_over_large, threads=threads)
        found += [
            Target(
                f"GEMV from 64 MB to 4 GB of codes, {count}", "slowest over fastest, less 1", 0.10, flat, at_most=True
            ),
            Target(f"GEMV on smaller sizes, {count}", "time a weight over the large ones'", 1.0, small, at_most=True),
        ]
    return found


TARGETS: Final = (
    *_gemv_targets(),
    *_gemm_targets(),
    *(
        Target(f"{work} 1024 x 8192, 1 thread", "G weights/s", bound, weights_a_second(work))
        for work, bound in (
            *(("quantize", 1.0), ("calibrate and quantize", 0.7)),
            *(("dequantize", 4.0), ("pack", 4.0), ("unpack", 4.0)),
        )
    ),
    *_growth_targets(),
)
"""In the order of the issue that sets them."""


def judge(record: Record) -> list[Verdict]:
    """Return a verdict on every target."""
    verdicts = []
    for target in TARGETS:
        path = target.path or record.isas[0]
        if path not in record.isas:
            verdicts.append(Verdict(target, path, None, "not measurable here"))
            continue
        measured = target.measure(record, path)
        if measured is None:
            status = "not measured"
        else:
            status = "met" if (measured <= target.bound if target.at_most else measured >= target.bound) else "not met"
        verdicts.append(Verdict(target, path, measured, status))
    return verdicts


def instead(record: Record, verdict: Verdict) -> tuple[str, float] | None:
    """Return the best path of this machine and its figure, for a target that is set for another."""
    if verdict.status != "not measurable here":
        return None
    measured = verdict.target.measure(record, record.isas[0])
    return (record.isas[0], measured) if measured is not None else None
