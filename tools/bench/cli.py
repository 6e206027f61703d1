"""The command ``python -m tools.bench``."""

import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from q35ref.backends import NativeUnavailable
from q35ref.backends.native.build import CompilerError
from q35ref.backends.native.library import load
from q35ref.cli.output import UsageProblem, console
from tools.bench.contender import WrongResult
from tools.bench.record import Record, save
from tools.bench.run import run
from tools.bench.sections import SECTIONS
from tools.bench.settings import SMALL, Settings
from tools.bench.tables import LEGEND, Grid, grids, targets


def shown(grid: Grid) -> Table:
    """Return a table as the terminal shows it."""
    table = Table(title=grid.title, title_justify="left")
    for number, heading in enumerate(grid.headings):
        table.add_column(heading, justify="left" if number < grid.left else "right")
    for row in grid.rows:
        table.add_row(*row)
    return table


def show_section(record: Record, out: Console) -> None:
    """Print the tables of a section that is done."""
    for grid in grids(record):
        out.print(shown(grid))


def show_verdicts(record: Record, out: Console) -> None:
    """Print what all sections together say, and what was not timed, why, and how to have it."""
    out.print(LEGEND)
    for note in record.skipped:
        out.print(note.text())
    out.print(shown(targets(record)))
    loads = ", ".join(f"{s.name} {s.load_before:.2f} to {s.load_after:.2f}" for s in record.sections)
    out.print(f"{record.machine['cpu']}, instruction sets {', '.join(record.isas)}. Load: {loads}.")


def chosen_settings(small: bool, rounds: int | None, threads: int | None) -> Settings:
    """Return the settings that the options ask for."""
    settings = SMALL if small else Settings()
    if rounds is not None:
        settings = replace(settings, rounds=rounds)
    if threads is not None:
        settings = replace(settings, threads=tuple(sorted({1, threads})))
    return settings


@click.command()
@click.option(
    "--section",
    "names",
    type=click.Choice(list(SECTIONS)),
    multiple=True,
    help="What to time; may be repeated. All of it unless given.",
)
@click.option("--rounds", type=click.IntRange(1), help="Samples of each contender.  [default: 15]")
@click.option("--threads", type=click.IntRange(1, 64), help="Beside one thread.  [default: 2, where there are two]")
@click.option("--small", is_flag=True, help="Tiny matrices, to try the benchmark out: no number means anything.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write a record of the run.")
def main(names: tuple[str, ...], rounds: int | None, threads: int | None, small: bool, json_path: Path | None) -> None:
    """Time the native kernel beside its peers: ratios within one run. Peers that are not installed are named."""
    out = console()
    try:
        record = run(
            chosen_settings(small, rounds, threads),
            names or tuple(SECTIONS),
            load(),
            lambda text: print(text, file=sys.stderr, flush=True),
            lambda section: show_section(section, out),
        )
    except (NativeUnavailable, CompilerError, WrongResult) as error:
        raise UsageProblem(str(error)) from error
    show_verdicts(record, out)
    if json_path is not None:
        save(record, json_path)
