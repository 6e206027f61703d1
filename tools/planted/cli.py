"""The command ``python -m tools.planted``."""

import sys
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from q35ref.backends.native.build import CompilerError
from q35ref.cli.output import UsageProblem, console
from tools.bench.cli import shown
from tools.planted.kernels import BuildError, Kernel, correct_kernels, planted_kernels
from tools.planted.record import Record, faults, save
from tools.planted.run import NoReport, run_all, settings
from tools.planted.tables import classes, correct, summary, variants


def chosen(pattern: str, skip_correct: bool) -> list[Kernel]:
    """Return the kernels that the options ask for. Errors: UsageProblem."""
    kernels = planted_kernels() + ([] if skip_correct else correct_kernels())
    found = [kernel for kernel in kernels if fnmatchcase(kernel.label, pattern)]
    if not found:
        raise UsageProblem(f"--only: no kernel matches {pattern}; expected a pattern such as C:* or *:Hang")
    return found


def run(kernels: list[Kernel]) -> Record:
    """Check the kernels, behind a bar. Errors: UsageProblem."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    done = count()
    try:
        with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
            task = bar.add_task("", total=sum(len(settings(kernel)) for kernel in kernels))
            return run_all(kernels, lambda text: bar.update(task, description=text, completed=next(done)))
    except (BuildError, CompilerError, NoReport) as error:
        raise UsageProblem(str(error)) from error


@click.command()
@click.option("--only", metavar="PATTERN", default="*", help="Kernels to check, by LANGUAGE:NAME.")
@click.option("--skip-correct", is_flag=True, help="Leave out the kernels without a bug, which take most of the time.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write a record of the run.")
def main(only: str, skip_correct: bool, json_path: Path | None) -> None:
    """Check kernels with one planted bug each, and kernels with none, and say what was caught and named.

    Exit status: 0 all as it must be, 1 a bug was not caught or not named, or a correct kernel did not pass, 2 wrong
    usage or nothing to build the kernels with.
    """
    record = run(chosen(only, skip_correct))
    out = console()
    for grid in (summary(record), classes(record), variants(record), correct(record)):
        if grid.rows:
            out.print(shown(grid))
    found = faults(record)
    for fault in found:
        out.print(f"FAILED {fault}")
    if json_path is not None:
        save(record, json_path)
    sys.exit(int(bool(found)))
