"""``python -m tools.bench.growth RECORD OUT``: time a weight by the size of the matrix.

OUT is a picture's name; without a suffix an SVG and a PNG are written.
"""

from typing import Any

from tools.bench.pictures import command, figure
from tools.bench.record import Record
from tools.bench.targets import FLAT_FROM, growth_of, spread

LINES = (("#0072B2", "o"), ("#D55E00", "^"), ("#009E73", "D"))


def finding(record: Record) -> str:
    """Return what the picture shows, in one sentence, of one thread."""
    path = record.isas[0]
    flat = spread(record, path)
    if flat is not None:
        return f"Time a weight varies by {flat:.1%} from 64 MB to 4 GB of codes ({path}, 1 thread)"
    sizes = [size for size, _ in growth_of(record, path)]
    largest = f"{max(sizes) / 2**20:.0f} MB" if sizes else "nothing"
    return f"Time a weight up to {largest} of codes ({path}, 1 thread)"


def draw(record: Record) -> Any:
    """Return the figure, a line for each number of threads."""
    drawn = figure(7.2, 4.4)
    panel = drawn.subplots()
    drawn.suptitle(finding(record), fontsize=12)
    panel.set_xscale("log", base=2)
    counts = sorted({m.threads for m in record.find("growth")})
    for (colour, marker), threads in zip(LINES, counts, strict=False):
        found = growth_of(record, record.isas[0], threads)
        sizes, times = [size / 2**20 for size, _ in found], [1e3 * ns for _, ns in found]
        label = f"{threads} thread{'s' * (threads > 1)}"
        panel.plot(sizes, times, color=colour, marker=marker, linewidth=1.2, label=label)
        large = [time for size, time in zip(sizes, times, strict=True) if size >= 0.98 * FLAT_FROM / 2**20]
        if large:
            panel.fill_between([64, max(sizes)], min(large), 1.1 * min(large), color=colour, alpha=0.15, linewidth=0)
    panel.set(xlabel="MB of codes and parameters", ylabel="picoseconds a weight", ylim=(0, None))
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.grid(visible=True, color="#dddddd", linewidth=0.6)
    panel.legend(frameon=False, loc="upper right", title="bands: 10% above the fastest", title_fontsize=8)
    return drawn


main = command(draw, "Draw time a weight by size from a RECORD to OUT, or to OUT.svg and OUT.png.")

if __name__ == "__main__":
    main()
