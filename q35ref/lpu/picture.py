"""A program drawn over time: which unit is busy when. Needs matplotlib, which is optional."""

from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from q35ref.atomic import open_atomic, require_writable
from q35ref.lpu.plan import Plan
from q35ref.lpu.program import OPERATIONS, Program, Records
from q35ref.lpu.timing import activity, phases

SUFFIXES: Final = (".svg", ".png", ".pdf")

NARROW: Final = 0.04
"""Part of the run below which a phase has no room for its name."""

WINDOW: Final = 48
"""Cycles of the lower picture."""

COLOURS: Final = {
    "read": "#0072B2", "shift": "#E69F00", "mask": "#F0E442", "or": "#CC79A7", "install": "#009E73",
    "multiply": "#D55E00", "other ALU": "#999999",
}  # fmt: skip
"""Colours that people who see few colours tell apart (Okabe and Ito)."""


class NoPicture(ValueError):
    """A picture cannot be drawn."""


def require_matplotlib(extra: str = "plots") -> None:
    """Refuse a system without matplotlib with NoPicture, which names the extra that brings it."""
    _module("matplotlib.figure", extra)


def require_possible(path: Path) -> None:
    """Refuse a place that is no file's, a name that says no format of pictures, and a system without matplotlib, with
    NoPicture: before anything takes time."""
    require_matplotlib()
    try:
        require_writable(path)
    except OSError as error:
        raise NoPicture(f"{path}: {error.strerror}") from error
    if path.suffix not in SUFFIXES:
        raise NoPicture(f"{path.name}: expected a name that ends in {', '.join(SUFFIXES)}")


def _module(name: str, extra: str = "plots") -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise NoPicture(f"a picture needs matplotlib: pip install 'q35ref[{extra}]'") from error


def draw(plan: Plan, program: Program, title: str) -> Any:
    """Return a figure: the occupancy of each unit over the whole run, and the instructions of some cycles.

    Both are of hemisphere 0. The cycles are where a job in the middle is unpacked and the one before it multiplied by.
    Errors: NoPicture without matplotlib.
    """
    figure = _module("matplotlib.figure").Figure(figsize=(11, 8), layout="constrained")
    whole, close = figure.subplots(2, 1, height_ratios=(1, 2))
    figure.suptitle(title)
    _draw_whole(whole, plan, program)
    _draw_close(close, plan, program)
    return figure


def save(figure: Any, path: Path) -> None:
    """Write a figure, in whole or not at all; nothing that differs from day to day goes into the file.

    Errors: as :func:`require_possible`, OSError.
    """
    require_possible(path)
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None} if path.suffix == ".png" else None
    style = {"svg.hashsalt": "q35ref", "svg.fonttype": "path"}
    with _module("matplotlib").rc_context(style), open_atomic(path) as file:
        figure.savefig(file, format=path.suffix[1:], metadata=metadata, dpi=130)


def _draw_whole(axes: Any, plan: Plan, program: Program) -> None:
    busy = activity(plan, program)
    names = [name for name, shares in busy.items() if shares.any()]
    shares = np.array([busy[name] for name in names])
    end = sum(phases(plan).values())
    shown = axes.imshow(shares, aspect="auto", cmap="Blues", vmin=0, vmax=1, extent=(0, end, len(names), 0))
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    axes.set_xlabel("cycle")
    axes.set_title("occupancy of hemisphere 0, and phases in cycles: "
                   + ", ".join(f"{name} {cycles:,}" for name, cycles in phases(plan).items()), pad=16)  # fmt: skip
    axes.figure.colorbar(shown, ax=axes, label="share", pad=0.01)
    at = 0
    for name, cycles in phases(plan).items():
        axes.axvline(at, color="#D55E00", linewidth=0.8)
        if cycles > NARROW * end:
            axes.text(at + cycles / 2, -0.1, name, color="#D55E00", ha="center", va="bottom")
        at += cycles


def _draw_close(axes: Any, plan: Plan, program: Program) -> None:
    begin = plan.jobs_begin + plan.jobs // 2 * plan.period + (plan.installed if plan.jobs > 1 else 0)
    rows: dict[str, list[tuple[int, str]]] = {}
    for kind, label, records in _lines(program, begin):
        for record in records:
            name = OPERATIONS[record["operation"]] if kind == "alu" else "multiply" if kind == "matmul" else kind
            name = name if name in COLOURS else "other ALU"
            rows.setdefault(label(record), []).append((int(record["cycle"]), name))
    labels = sorted(rows)
    for height, label in enumerate(labels):
        for name in sorted({name for _, name in rows[label]}):
            spans = [(cycle, 1) for cycle, found in rows[label] if found == name]
            axes.broken_barh(spans, (height - 0.4, 0.8), color=COLOURS[name], edgecolor="white", linewidth=0.3)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlim(begin, begin + WINDOW)
    axes.set_xlabel("cycle of issue")
    axes.set_title(f"reads, ALU instructions, installs and multiplications of hemisphere 0 in {WINDOW} of these cycles")
    patch = _module("matplotlib.patches").Patch
    axes.legend(handles=[patch(color=colour, label=name) for name, colour in COLOURS.items()], loc="upper left",
                bbox_to_anchor=(1, 1))  # fmt: skip


def _lines(program: Program, begin: int) -> list[tuple[str, Any, Records]]:
    """Return instructions of hemisphere 0 by kind, with what says on which line of the picture each is."""
    lines = {
        "read": lambda record: f"MEM {record['quad']:02}",
        "alu": lambda record: f"VXM ALU {record['alu']}",
        "install": lambda record: f"MXM {record['plane']} install {record['port']}",
        "matmul": lambda record: f"MXM {record['plane']} multiply",
    }
    found = []
    for kind, label in lines.items():
        records = program.kinds()[kind]
        near = (records["cycle"] >= begin) & (records["cycle"] < begin + WINDOW) & (records["hemisphere"] == 0)
        found.append((kind, label, records[near]))
    return found
