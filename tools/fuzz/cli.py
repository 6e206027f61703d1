"""The command ``python -m tools.fuzz``."""

import hashlib
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from q35ref.atomic import open_atomic, write_text
from q35ref.cli.output import UsageProblem
from tools.fuzz import coverage, mutation, native
from tools.fuzz.mutation import CannotRun
from tools.fuzz.native import CannotBuild
from tools.fuzz.outcome import Outcome
from tools.fuzz.record import Record
from tools.fuzz.targets import READERS, TARGETS, find

ALL: Final = (*READERS, native.NAME)
"""What is fuzzed unless told otherwise."""

RUNS: Final = 2000
"""Inputs beside the seeds, unless told otherwise."""

ENGINES: Final = ("auto", "coverage", "mutation")


class Engines:
    """What fuzzes a target: led by coverage where that can be had, unless told otherwise."""

    def __init__(self, wanted: str, runs: int, seconds: float, seed: int, corpus: Path | None) -> None:
        self.wanted, self.runs, self.seconds, self.seed, self.corpus = wanted, runs, seconds, seed, corpus
        self._told: set[str] = set()

    def fuzz(self, name: str) -> Outcome:
        """Fuzz a target. Errors: CannotRun, CannotBuild."""
        lack = self._lack(name)
        if lack and self.wanted == "coverage":
            raise CannotRun(lack)
        if lack and self.wanted == "auto" and lack not in self._told:
            self._told.add(lack)
            click.echo(lack, err=True)
        led = not lack and self.wanted != "mutation"
        if name == native.NAME and not led:
            with tempfile.TemporaryDirectory(prefix="q35-fuzz-") as folder:
                program = native.build_program(Path(folder), native.build_library(Path(folder)))
                return native.mutate(program, runs=self.runs, seconds=self.seconds, seed=self.seed)
        if name == native.NAME:
            return native.fuzz(runs=self.runs, seconds=self.seconds, seed=self.seed, corpus=self.corpus)
        if not led:
            return mutation.fuzz(find(name), runs=self.runs, seconds=self.seconds, seed=self.seed)
        return coverage.fuzz(find(name), runs=self.runs, seconds=self.seconds, seed=self.seed, corpus=self.corpus)

    def _lack(self, name: str) -> str:
        return native.lack() if name == native.NAME else coverage.lack()


def repeat(name: str, path: Path) -> Outcome:
    """Read one input. Errors: CannotRun, CannotBuild."""
    if name != native.NAME:
        return mutation.repeat(find(name), path)
    with tempfile.TemporaryDirectory(prefix="q35-fuzz-") as folder:
        program = native.build_program(Path(folder), native.build_library(Path(folder)))
        return native.read_inputs(program, [path.read_bytes()])


def report(outcome: Outcome, crashes: Path) -> None:
    """Print an outcome; save the input of a finding, and print the command that reads it again."""
    click.echo(outcome.line())
    if not outcome.failed:
        return
    crashes.mkdir(parents=True, exist_ok=True)
    path = crashes / f"{outcome.target}-{hashlib.sha256(outcome.data).hexdigest()[:12]}"
    with open_atomic(path) as file:
        file.write(outcome.data)
    click.echo(f"  {outcome.kind}: {outcome.text}")
    click.echo(f"  again: python -m tools.fuzz --target {outcome.target} --input {shlex.quote(str(path))}")


@click.command()
@click.option(
    "--target",
    "names",
    multiple=True,
    type=click.Choice([*TARGETS, native.NAME]),
    help="What to fuzz; may be repeated. Everything but the planted targets unless told otherwise.",
)
@click.option("--seconds", type=click.FloatRange(0.1), help="Time for each target.")
@click.option(
    "--runs", type=click.IntRange(1), help=f"Inputs for each target beside its seeds; {RUNS} if no time is given."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="auto",
    show_default=True,
    help="coverage is atheris and libFuzzer; mutation needs neither, and the same seed gives the same inputs.",
)
@click.option(
    "--corpus",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep what reaches new code in this folder, and begin with what it holds.",
)
@click.option(
    "--crashes",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/fuzz"),
    show_default=True,
    help="Where the inputs of findings are saved.",
)
@click.option(
    "--input",
    "path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Read this file alone, with one --target.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write the counts as JSON.")
def main(
    names: tuple[str, ...],
    seconds: float | None,
    runs: int | None,
    seed: int,
    engine: str,
    corpus: Path | None,
    crashes: Path,
    path: Path | None,
    json_path: Path | None,
) -> None:
    """Fuzz the readers of files, the pipe protocol and the C entry points, within bounds.

    Exit status: 0 nothing was found, 1 something was, 2 wrong usage, or nothing to build or run it with.
    """
    if path is not None and len(names) != 1:
        raise UsageProblem(f"--input: expected one --target, got {len(names)}")
    engines = Engines(engine, runs or (0 if seconds else RUNS), seconds or 0, seed, corpus)
    try:
        outcomes = list(_reported(engines, names or ALL, path, crashes))
    except (CannotRun, CannotBuild) as error:
        raise UsageProblem(str(error)) from error
    if json_path is not None:
        write_text(json_path, Record.of(outcomes).text())
    sys.exit(any(outcome.failed for outcome in outcomes))


def _reported(engines: Engines, names: tuple[str, ...], path: Path | None, crashes: Path) -> Iterator[Outcome]:
    for name in names:
        outcome = engines.fuzz(name) if path is None else repeat(name, path)
        report(outcome, crashes)
        yield outcome
