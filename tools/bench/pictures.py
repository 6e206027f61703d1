"""Drawing with matplotlib, which is optional: what the pictures have in common."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from q35ref.cli.output import UsageProblem
from tools.bench.record import Record, load

COLOURS: Final = {
    "q35ref per column": ("#0072B2", "o"),
    "q35ref g128": ("#56B4E9", "s"),
    "ggml Q4_K": ("#D55E00", "^"),
    "ggml Q4_0": ("#E69F00", "v"),
    "ggml Q3_K": ("#009E73", "D"),
    "torch int4pack g64": ("#CC79A7", "P"),
    "NumPy float32": ("#555555", "X"),
}
"""Colours that people who see few colours tell apart (Okabe and Ito), each with a marker of its own."""

FORMATS: Final = (".svg", ".png")

SAVED: Final[dict[str, dict[str, Any]]] = {".svg": {"Date": None}, ".png": {"Software": None}}
"""Nothing that differs from day to day goes into the files."""


def figure(width: float, height: float) -> Any:
    """Return an empty figure. Errors: UsageProblem without matplotlib."""
    try:
        module = import_module("matplotlib.figure")
    except ImportError as error:
        raise UsageProblem("pictures need matplotlib: pip install matplotlib") from error
    return module.Figure(figsize=(width, height), layout="constrained")


def save(drawn: Any, out: Path) -> list[Path]:
    """Write a figure to ``out``, or, where that has no suffix, as SVG and as PNG beside each other."""
    if out.suffix and out.suffix not in FORMATS:
        raise UsageProblem(f"{out.name}: expected a name that ends in {' or '.join(FORMATS)}, or in neither")
    paths = [out] if out.suffix else [out.with_suffix(suffix) for suffix in FORMATS]
    with import_module("matplotlib").rc_context({"svg.hashsalt": "q35ref", "svg.fonttype": "path"}):
        for path in paths:
            drawn.savefig(path, metadata=SAVED[path.suffix], dpi=130)
    return paths


def command(draw: Callable[[Record], Any], says: str) -> click.Command:
    """Return the command that draws a record's picture."""

    @click.command(help=says)
    @click.argument("record", type=click.Path(exists=True, dir_okay=False, path_type=Path))
    @click.argument("out", type=click.Path(path_type=Path))
    def main(record: Path, out: Path) -> None:
        try:
            read = load(record)
        except ValueError as error:
            raise UsageProblem(str(error)) from error
        for path in save(draw(read), out):
            click.echo(path)

    return main
