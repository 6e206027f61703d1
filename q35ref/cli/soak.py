"""``q35ref soak``: every backend against the reference and the others, on random problems, for as long as one likes."""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import click
from rich import box
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from q35ref.cli.output import UsageProblem, console
from q35ref.soak import Lineup, State, StateError
from q35ref.soak import soak as pose
from q35ref.soak.failures import Failure
from q35ref.soak.state import Counts, load

MOST_FAILURES = 20
"""Failures that are written out in the terminal; all are kept."""

HEADINGS = ("operation", "problems", "by the reference", "cases", "weights", "numbers", "no verdict", "failures")
"""Of the table of counts."""


@click.command()
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Stop after so many.")
@click.option(
    "--problems",
    type=click.IntRange(1),
    help="Stop after so many, those of earlier runs with the same --state counted.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--start", type=click.IntRange(min=0), help="Number of the first problem.  [default: 0]")
@click.option("--state", "state_path", type=click.Path(path_type=Path), help="Go on from this file, and keep it.")
@click.option(
    "--failures",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("soak-failures"),
    show_default=True,
    help="Where vectors of failures are kept; made when there is one.",
)
@click.option("--also", metavar="TARGET", multiple=True, help="Ask this too, as q35ref check has it. May be repeated.")
def soak(
    minutes: float | None,
    problems: int | None,
    seed: int,
    start: int | None,
    state_path: Path | None,
    failures: Path,
    also: tuple[str, ...],
) -> None:
    """Pose random problems of every operation to NumPy, the native kernel and the simulator, until told to stop.

    The native kernel is asked with every instruction set that the processor has, and with several numbers of threads.
    Small problems are judged by the reference; answers to larger ones are compared, and the reference says who is
    wrong where they do not agree. Each failure is kept as a vector file, cut down, with the command that repeats it.
    Problem i is a function of the seed and i: with --state a run goes on where an earlier one stopped, and its counts
    add up. Ctrl-C stops after the problem at hand; a second one at once.

    Exit status: 0 nothing failed, in all runs of the state together, 1 something did, 2 wrong usage.
    """
    if minutes is None and problems is None:
        raise UsageProblem("--minutes or --problems: expected one of them at least")
    try:
        with Lineup(also) as lineup:
            state = _begun(state_path, seed, lineup.names, start)
            if lineup.missing:
                click.echo(f"native: not asked: {lineup.missing}", err=True)
            state = _run(state, lineup, minutes, problems, failures, state_path, also)
    except (StateError, ValueError) as error:
        raise UsageProblem(str(error)) from error
    except OSError as error:
        raise UsageProblem(f"{error.filename or failures}: {error.strerror or error}") from error
    _print(state)
    sys.exit(int(state.total.failures > 0))


def _begun(path: Path | None, seed: int, backends: tuple[str, ...], start: int | None) -> State:
    """Return the state to go on from. Errors: StateError, and OSError for a file that could not be written."""
    if path is not None and path.exists():
        return load(path, seed, backends, start)
    state = State(seed, backends, start or 0, start or 0)
    if path is not None:
        state.save(path)  # at once, so that a path that cannot be written is no surprise at the end
    return state


def _run(
    state: State,
    lineup: Lineup,
    minutes: float | None,
    problems: int | None,
    failures: Path,
    save: Path | None,
    also: tuple[str, ...],
) -> State:
    """Pose problems behind a line that says how far it is."""
    end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    most = float("inf") if problems is None else problems
    told = 0
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        _interruptible() as interrupted,
        Progress(*columns, console=console(sys.stderr), transient=True) as bar,
    ):
        task = bar.add_task("", total=None)

        def stop(now: State) -> bool:
            return bool(interrupted) or time.monotonic() >= end or now.next - now.first >= most

        def tell(failure: Failure) -> None:
            nonlocal told
            told += 1
            if told <= MOST_FAILURES:
                click.echo(str(failure))
            elif told == MOST_FAILURES + 1:
                click.echo(f"more failures are kept in {failures}")

        def progress(now: State) -> None:
            total = now.total
            bar.update(task, description=f"{total.problems:,} problems, {total.failures:,} failures")

        state = pose(
            state, lineup, failures=failures, stop=stop, on_failure=tell, on_problem=progress, save=save, also=also
        )
    if interrupted:
        click.echo("Interrupted.", err=True)
    return state


@contextlib.contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Yield a list that is empty until Ctrl-C or a request to end comes; a second one raises KeyboardInterrupt."""
    came: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in signals]
    try:
        yield came
    finally:
        for number, old in zip(signals, before, strict=True):
            signal.signal(number, old)


def _print(state: State) -> None:
    """Print the counts of an operation a line, and their sum."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == HEADINGS[0] else "right", no_wrap=True)
    for operation, counts in sorted(state.counts.items()):
        table.add_row(operation, *_numbers(counts))
    total = state.total
    console().print(table)
    click.echo(f"asked: {', '.join(state.backends)}")
    click.echo(
        f"seed {state.seed}, problems {state.first} to {state.next - 1}, {state.milliseconds / 60_000:.1f} minutes: "
        f"{total.cases:,} cases, {total.weights:,} weights, {total.failures:,} failures; "
        f"{total.by_reference:,} of {total.problems:,} problems judged by the reference"
        if total.problems
        else f"seed {state.seed}: no problem was posed"
    )


def _numbers(counts: Counts) -> list[str]:
    found = (counts.problems, counts.by_reference, counts.cases, counts.weights)
    return [f"{number:,}" for number in (*found, counts.numbers, counts.no_verdict, counts.failures)]
