"""``python -m tools.bench.roofline RECORD OUT``: what memory and arithmetic allow, and what was reached.

OUT is a picture's name; without a suffix an SVG and a PNG are written.
"""

from math import atan2, degrees
from typing import Any

from tools.bench.pictures import COLOURS, command, figure
from tools.bench.record import Measurement, Record

LEAST, MOST = 0.2, 4000.0
"""Multiply-adds for each byte of weights that the picture spans."""


def roofs(record: Record, threads: int) -> tuple[float, float]:
    """Return GB/s of the faster read and G multiply-adds/s of bytes, 0 for what was not measured."""
    read = record.fastest("gemv", work="read", threads=threads)
    peak = record.fastest("gemm", work="multiply", name="arithmetic", threads=threads)
    return (read.giga_bytes if read else 0.0), (peak.giga_weights if peak else 0.0)


def reached(record: Record, name: str, threads: int) -> list[Measurement]:
    """Return the fastest path of a contender for each number of rows, the fewest first."""
    found: dict[int, Measurement] = {}
    for section in ("gemv", "gemm"):
        for m in record.find(section, work="multiply", name=name, threads=threads):
            if m.rows not in found or m.giga_weights > found[m.rows].giga_weights:
                found[m.rows] = m
    return [found[rows] for rows in sorted(found)]


def finding(record: Record) -> str:
    """Return what the picture shows, in one sentence, of one thread."""
    memory, peak = roofs(record, 1)
    ours = reached(record, "q35ref per column", 1)
    if not ours or not memory:
        return "nothing was measured that memory could be compared with"
    one, most = ours[0], ours[-1]
    text = f"One row: {one.giga_bytes / memory:.0%} of the speed of memory"
    if peak and most.rows > 1:
        text += f"; {most.rows} rows: {most.giga_weights / peak:.0%} of the peak of byte products"
    return f"{text} (q35ref per column, {one.path}, 1 thread)"


def draw(record: Record) -> Any:
    """Return the figure, a panel for each number of threads."""
    counts = sorted({m.threads for m in record.find("gemv", work="read")}) or [1]
    drawn = figure(1.5 + 5.2 * len(counts), 5.4)
    panels = drawn.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    drawn.suptitle(finding(record), fontsize=12)
    for panel, threads in zip(panels, counts, strict=True):
        _panel(panel, record, threads)
    panels[0].set_ylabel("G multiply-adds a second")
    handles, labels = panels[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return drawn


def _panel(panel: Any, record: Record, threads: int) -> None:
    memory, peak = roofs(record, threads)
    panel.set(xscale="log", yscale="log", xlim=(LEAST, MOST))
    panel.set_title(f"{threads} thread{'s' * (threads > 1)}", fontsize=10)
    panel.set_xlabel("multiply-adds for each byte of weights")
    panel.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    ridge = min(MOST, peak / memory) if memory and peak else MOST
    if memory:
        panel.plot([LEAST, ridge], [LEAST * memory, ridge * memory], color="black", linewidth=1.2)
        panel.text(
            LEAST * 2,
            LEAST * 2.6 * memory,
            f"memory, {memory:.1f} GB/s",
            rotation=degrees(atan2(memory, 1)),  # along the roof, which matplotlib turns into the picture's angle
            rotation_mode="anchor",
            transform_rotates_text=True,
            fontsize=8,
        )
    if peak:
        panel.plot([ridge, MOST], [peak, peak], color="black", linewidth=1.2)
        text = f"products of bytes, {peak:.0f} G/s"
        panel.annotate(
            text, (MOST, peak), xytext=(-4, 4), textcoords="offset points", ha="right", va="bottom", fontsize=8
        )
    for name, (colour, marker) in COLOURS.items():
        points = reached(record, name, threads)
        if points:
            panel.plot(
                [m.k * m.n * m.rows / m.bytes for m in points],
                [m.giga_weights for m in points],
                color=colour,
                marker=marker,
                markersize=6,
                linewidth=0.8,
                alpha=0.9,
                label=name,
            )
    colour, _ = COLOURS["q35ref per column"]
    for m in reached(record, "q35ref per column", threads):
        at = (m.k * m.n * m.rows / m.bytes, m.giga_weights)
        label = f"{m.rows} row{'s' * (m.rows > 1)}"
        panel.annotate(label, at, xytext=(0, 8), textcoords="offset points", ha="center", fontsize=8, color=colour)


main = command(draw, "Draw the roofline of a RECORD to OUT, or to OUT.svg and OUT.png.")

if __name__ == "__main__":
    main()
