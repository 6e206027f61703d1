"""The command ``python -m tools.mutation``."""

import math
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from q35ref.backends import NativeUnavailable
from q35ref.backends.native.build import CompilerError
from q35ref.cli.output import UsageProblem, console
from tools.bench.cli import shown
from tools.mutation.equivalent import EQUIVALENT, BadEntry, load, stale
from tools.mutation.mutant import Key
from tools.mutation.parts import PARTS, Part
from tools.mutation.record import PartRecord, Record, faults, save
from tools.mutation.record import load as load_record
from tools.mutation.run import BrokenCheck, Changed, Judged, plan, run, run_again, together, with_file
from tools.mutation.sources import ROOT, places, read
from tools.mutation.tables import files, summary
from tools.mutation.tree import ServerEnded


def explained() -> dict[Key, str]:
    """Return the list of equivalent mutants. Errors: UsageProblem, also for a stale entry."""
    try:
        entries = load(EQUIVALENT)
    except (BadEntry, OSError) as error:
        raise UsageProblem(str(error)) from error
    for key in stale(entries, ROOT):
        raise UsageProblem(f"docs/mutation/equivalent: stale, no such mutant can be made: {key}")
    return entries


def old_record(path: Path | None, needed: bool) -> Record:
    """Return the record that a run adds to: an empty one if there is none yet. Errors: UsageProblem."""
    if path is None or not path.exists():
        if needed:
            raise UsageProblem("--again, --more: expected --json with the record of a run")
        return Record()
    try:
        return load_record(path)
    except (OSError, ValueError) as error:
        raise UsageProblem(f"--json: {error}") from error


Work = Callable[[Callable[[Judged], None]], PartRecord]


def watched(total: int, part: Part, seen: list[Judged], work: Work) -> PartRecord:
    """Do a part's work behind a bar, and say of each survivor when it is found; ``seen`` gets every mutant.

    Errors: UsageProblem.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task(part.name, total=total)

        def tell(judged: Judged) -> None:
            seen.append(judged)
            bar.advance(task)
            if judged.verdict == "survived":
                bar.console.print(f"survived: {judged.mutant.key}")

        try:
            return work(tell)
        except (BrokenCheck, Changed, CompilerError, NativeUnavailable, ServerEnded) as error:
            raise UsageProblem(f"{part.name}: {error}") from error


@dataclass(frozen=True)
class Options:
    """What is asked for."""

    limit: int | None
    minutes: float
    seed: int
    jobs: int
    only: str
    again: bool
    listed: bool
    more: bool
    quick: bool
    explained: Container[Key]


def one_part(name: str, before: PartRecord | None, asked: Options, seen: list[Judged]) -> PartRecord:
    """Run a part, or its survivors again. Errors: UsageProblem."""
    part, limit, seed, jobs = PARTS[name], asked.limit, asked.seed, asked.jobs
    if asked.quick:
        part = part.quick
    if asked.again:
        if before is None:
            raise UsageProblem(f"--again: the record has no run of {name}")
        return watched(
            len(before.survivors),
            part,
            seen,
            lambda tell: run_again(part, before, jobs, tell, asked.explained, 60 * asked.minutes, asked.listed),
        )
    if asked.more and before is not None:
        if before.by_file:
            raise UsageProblem(f"--more: the files of {name} were run one by one; name others with --only")
        done = before.total
        planned = plan(part, limit, before.seed, after=done.run)
        if len(planned.places) != done.places:
            raise UsageProblem(f"--more: {name} has changed since its run; run it anew")
        more = watched(
            len(planned.chosen), part, seen, lambda tell: run(planned, before.seed, jobs, tell, 60 * asked.minutes)
        )
        return together(before, more)
    planned = plan(part, limit, seed, asked.only)
    found = watched(len(planned.chosen), part, seen, lambda tell: run(planned, seed, jobs, tell, 60 * asked.minutes))
    return replace(found, survivors=tuple(replace(one, is_quick=asked.quick) for one in found.survivors))


def steps(name: str, before: PartRecord | None, asked: Options, seen: list[Judged]) -> Iterator[PartRecord]:
    """Yield what is to be recorded of a part: one run, or the record so far after each file. Errors: UsageProblem."""
    if asked.only == "*":
        yield one_part(name, before, asked, seen)
        return
    files = [file for file in PARTS[name].files if fnmatchcase(file, f"*{asked.only}")]
    files = [file for file in files if places(file, read(file, PARTS[name].root))]
    if not files:
        raise UsageProblem(f"--only: no file of {name} that can be mutated ends like {asked.only}")
    for file in files:
        before = with_file(before, one_part(name, None, replace(asked, only=file), seen), PARTS[name])
        yield before


@click.command()
@click.option("--part", "names", type=click.Choice(list(PARTS)), multiple=True, help="All of them unless given.")
@click.option("--limit", type=click.IntRange(min=1), help="Run at most so many mutants of a part, drawn by the seed.")
@click.option("--minutes", type=click.FloatRange(min=0), default=math.inf, help="Begin no mutant of a part later.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--jobs", type=click.IntRange(1, 2), default=1, show_default=True, help="Workers side by side.")
@click.option("--only", metavar="PATTERN", default="*", help="Only files whose path ends like this, one by one.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write a record; other parts stay in it.")
@click.option("--more", is_flag=True, help="Go on where the run in the record ended, by its seed.")
@click.option("--quick", is_flag=True, help="Only the first check; --again runs all on what passes it, unexplained.")
@click.option("--again", is_flag=True, help="Run only the record's unexplained survivors again.")
@click.option(
    "--listed", is_flag=True, help="With --again: those too that are explained and met the first check alone."
)
def main(
    names: Sequence[str],
    limit: int | None,
    minutes: float,
    seed: int,
    jobs: int,
    only: str,
    json_path: Path | None,
    again: bool,
    listed: bool,
    more: bool,
    quick: bool,
) -> None:
    """Change the sources in small ways, one at a time, and say which changes no check noticed.

    Exit status: 0 every mutant was killed or is listed as equivalent with the reason, 1 some survived unexplained or
    are listed and were noticed, 2 wrong usage, a stale list, or a check that fails without any mutant.
    """
    if only != "*" and (again or more):
        raise UsageProblem("--only: expected neither --again nor --more, which are about a whole part")
    if only != "*" and json_path is not None and (limit is not None or minutes < math.inf):
        raise UsageProblem("--only: a file is recorded whole; expected neither --limit nor --minutes beside --json")
    if quick and (again or more):
        raise UsageProblem("--quick: expected neither --again nor --more, which run every check")
    if listed and not again:
        raise UsageProblem("--listed: expected --again")
    if quick and only == "*" and json_path is not None:
        raise UsageProblem("--quick: whole files are recorded; expected --only beside --json")
    entries, record, out = explained(), old_record(json_path, again or more), console()
    asked, parts, seen = (
        Options(limit, minutes, seed, jobs, only, again, listed, more, quick, entries),
        dict(record.parts),
        list[Judged](),
    )
    for name in names or PARTS:
        for found in steps(name, record.parts.get(name), asked, seen):
            parts[name] = found
            if json_path is not None:
                save(Record(parts), json_path)
        out.print(shown(files(parts[name])))
    mine = {name: parts[name] for name in names or PARTS}
    out.print(shown(summary(Record(mine), entries)))
    unexplained = [found.key for part in mine.values() for found in faults(part, entries)]
    for key in unexplained:
        out.print(f"FAILED {key}: survived, and is not in docs/mutation/equivalent")
    wrongly = [one for one in seen if one.verdict in ("killed", "stopped") and one.mutant.key in entries]
    for one in wrongly:
        out.print(f"FAILED {one.mutant.key}: listed as equivalent, and {one.verdict} by {one.by}")
    sys.exit(int(bool(unexplained or wrongly)))
