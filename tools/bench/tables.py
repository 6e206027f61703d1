"""Tables of a record as rows of text: the command prints them, the page shows them."""

from dataclasses import dataclass
from typing import Final

from tools.bench.record import Measurement, Record
from tools.bench.targets import Q3_K, Q4_K, instead, judge

LEGEND: Final = """\
IQR: distance of the quartiles, as a share of the median.
G w/s: 1e9 weights a second, each counted once for every row of activations.
GB/s: bytes of codes and parameters a second.
Of read: those, over the fastest of three plain reads of memory in the same section on as many threads.
Of peak: G w/s over the multiply-adds of bytes that this processor does on as many threads, out of its registers.
x Q4_K, x Q3_K: weights a second over those of ggml's fastest path, on the same rows and threads.
Of memcpy: bytes read and written a second, over those of a plain copy."""
"""What the headings mean."""

LIMITS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "gemv": ("of read", {"work": "read"}),
    "gemm": ("of peak", {"work": "multiply", "name": "arithmetic"}),
}
"""What bounds a product: memory where weights are used once, arithmetic where they are used for several rows."""

Rows = list[list[str]]


@dataclass(frozen=True)
class Grid:
    """A table: a title, headings, rows; the first ``left`` columns are texts."""

    title: str
    headings: list[str]
    rows: Rows
    left: int


def _ratio(ours: Measurement, theirs: Measurement | None, by_bytes: bool = False) -> str:
    if theirs is None:
        return ""
    return f"{ours.giga_bytes / theirs.giga_bytes if by_bytes else ours.giga_weights / theirs.giga_weights:.2f}"


def _spread(m: Measurement) -> str:
    low, high = m.quartiles
    return f"{100 * (high - low) / m.seconds:.0f}%"


def _time(m: Measurement) -> str:
    return f"{m.seconds * 1e3:.3f}"


def multiplying(record: Record, section: str) -> list[Grid]:
    """Return a table for each number of rows of activations."""
    grids = []
    everything = record.find(section, work="multiply")
    products = [m for m in everything if m.name != "arithmetic"]
    for rows in sorted({m.rows for m in products}):
        lines: Rows = []
        for m in sorted((m for m in products if m.rows == rows), key=lambda m: (m.threads, -m.giga_weights)):
            limit = record.fastest(section, **LIMITS[section][1], threads=m.threads)
            same = {"work": "multiply", "rows": rows, "threads": m.threads}
            lines.append(
                [
                    *(m.name, m.path, str(m.threads), f"{m.bits:.3f}", _time(m), _spread(m)),
                    *(f"{m.giga_weights:.2f}", f"{m.giga_bytes:.1f}", _ratio(m, limit, by_bytes=section == "gemv")),
                    _ratio(m, record.fastest(section, **same, **Q4_K)),
                    _ratio(m, record.fastest(section, **same, **Q3_K)),
                ]
            )
        one = next(m for m in products if m.rows == rows)
        title = f"{section}: {rows} row{'s' * (rows > 1)} of activations, weights {one.n} x {one.k}"
        headings = [
            "contender",
            "path",
            "threads",
            "bits/w",
            "ms",
            "IQR",
            "G w/s",
            "GB/s",
            LIMITS[section][0],
            "x Q4_K",
            "x Q3_K",
        ]
        grids.append(Grid(title, headings, lines, 2))
    return grids


def anchors(record: Record) -> Grid:
    """Return what the machine itself did in each section."""
    lines = [
        [section.name, m.name, m.path, str(m.threads), _time(m), _spread(m), _rate(m)]
        for section in record.sections
        for m in record.find(section.name)
        if m.name in ("memory", "arithmetic")
    ]
    return Grid("anchors", ["section", "what", "how", "threads", "ms", "IQR", "rate"], lines, 3)


def _rate(m: Measurement) -> str:
    if m.name == "memory":
        return f"{m.giga_bytes:.1f} GB/s"
    return f"{m.giga_weights:.0f} G multiply-adds/s"


def weights(record: Record) -> list[Grid]:
    """Return what quantizing and restoring took, one thread."""
    copy = record.fastest("weights", work="copy")
    works = dict.fromkeys(m.work for m in record.find("weights") if m.work != "copy")
    lines = [
        [
            *(m.work, m.name, m.path, f"{m.n} x {m.k}", _time(m), _spread(m)),
            *(f"{m.giga_weights:.3f}", _ratio(m, copy, by_bytes=True)),
        ]
        for work in works
        for m in sorted((m for m in record.find("weights") if m.work == work), key=lambda m: -m.giga_weights)
    ]
    headings = ["work", "contender", "path", "weights", "ms", "IQR", "G w/s", "of memcpy"]
    return [Grid("weights: quantize and restore, 1 thread", headings, lines, 3)]


def growth(record: Record) -> list[Grid]:
    """Return time a weight by size."""
    found = sorted(record.find("growth"), key=lambda m: (m.threads, m.bytes))
    lines = [
        [m.name, m.path, str(m.threads), f"{m.bytes / 2**20:.0f}", f"{1e3 / m.giga_weights:.2f}", _spread(m)]
        for m in found
    ]
    return [Grid("growth: GEMV by size", ["contender", "path", "threads", "MiB", "ps a weight", "IQR"], lines, 2)]


def overhead(record: Record) -> list[Grid]:
    """Return what Python adds to the bare calls."""
    lines: Rows = []
    for bare in (m for m in record.find("overhead") if m.path.endswith(", C")):
        same = [m for m in record.find("overhead", work=bare.work, k=bare.k, n=bare.n) if m.path.endswith(", Python")]
        for m in same:
            added = (m.seconds - bare.seconds) * 1e6
            lines.append(
                [
                    *(m.work, f"{m.n} x {m.k}", f"{bare.seconds * 1e6:.1f}", f"{m.seconds * 1e6:.1f}"),
                    *(f"{added:+.1f}", f"{100 * added / bare.seconds / 1e6:+.1f}%"),
                ]
            )
    headings = ["work", "weights", "C, us", "Python, us", "added, us", "added"]
    return [Grid("overhead: q35ref.matmul over the bare calls, 1 row, 1 thread", headings, lines, 2)]


def grids(record: Record) -> list[Grid]:
    """Return all tables of a record but that of the targets."""
    names = [section.name for section in record.sections]
    found = [anchors(record)]
    for section in ("gemv", "gemm"):
        found += multiplying(record, section) if section in names else []
    for name, make in (("weights", weights), ("growth", growth), ("overhead", overhead)):
        found += make(record) if name in names else []
    return found


def targets(record: Record) -> Grid:
    """Return every target with what was measured."""
    lines: Rows = []
    for verdict in judge(record):
        target, other = verdict.target, instead(record, verdict)
        sign = "<=" if target.at_most else ">="
        measured = "" if verdict.measured is None else f"{verdict.measured:.3f}"
        here = f"{other[0]}: {other[1]:.2f}" if other else ""
        lines.append(
            [target.work, target.figure, verdict.path, f"{sign} {target.bound:.2f}", measured, verdict.status, here]
        )
    headings = ["work", "figure", "path", "target", "measured", "verdict", "best path here"]
    return Grid("targets", headings, lines, 3)
