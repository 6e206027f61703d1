"""The command ``python -m tools.faults``."""

import sys
from pathlib import Path

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from q35ref.cli.output import UsageProblem, console
from tools.bench.cli import shown
from tools.faults.record import faults, save
from tools.faults.run import run_all
from tools.faults.tables import commands, table


@click.command()
@click.option("--kills", type=click.IntRange(1), default=200, show_default=True, help="Runs of quantize to kill.")
@click.option("--megabytes", type=click.FloatRange(0.1), default=64, show_default=True, help="Of the checkpoint.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of weights and moments.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write a record of the run.")
def main(kills: int, megabytes: float, seed: int, json_path: Path | None) -> None:
    """Disturb q35ref quantize and dequantize in many ways, and say what was left of them.

    Exit status: 0 all as it must be, 1 something was torn, left over or not said clearly, 2 wrong usage.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
            task = bar.add_task("", total=None)
            record = run_all(kills, megabytes, seed, lambda text: bar.update(task, description=text))
    except (RuntimeError, OSError) as error:
        raise UsageProblem(str(error)) from error
    out = console()
    for command in commands(record.rows):
        out.print(shown(table(command, record.rows)))
    found = faults(record.rows)
    for fault in found:
        out.print(f"FAILED {fault}")
    if json_path is not None:
        save(record, json_path)
    sys.exit(int(bool(found)))
