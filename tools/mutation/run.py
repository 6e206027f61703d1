"""Runs of the checks on mutants, each mutant in a copy of the tree."""

import math
import tempfile
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path
from typing import Final

from tools.bench.machine import describe, versions
from tools.bench.machine import load as load_average
from tools.mutation import python_source
from tools.mutation.mutant import Key, Mutant, Place, sampled
from tools.mutation.native import Builders
from tools.mutation.parts import Part
from tools.mutation.record import Counts, PartRecord, Survivor, Verdict
from tools.mutation.sources import made_at, make, places, read
from tools.mutation.tree import Check, Tree, tree

PATIENCE: Final = 5.0
"""A check is stopped after so many times what it takes on the original,"""

LEAST_TIME: Final = 5.0
"""and so many seconds more."""

FIRST_TIME: Final = 900.0
"""Seconds that a check may take on the original."""

Tell = Callable[["Judged"], None]


class BrokenCheck(Exception):
    """A check that does not pass on the original says nothing about mutants."""


class Changed(Exception):
    """A recorded mutant can no longer be made."""


@dataclass(frozen=True)
class Judged:
    """A mutant, what became of it, and which check decided."""

    mutant: Mutant
    verdict: Verdict
    by: str = ""


class Worker:
    """A copy of the tree, with what the checks take on the original."""

    def __init__(self, part: Part, copy: Tree, builders: Builders | None) -> None:
        self.part, self._copy, self._builders = part, copy, builders
        self._seconds: dict[Check, float] = {}

    def judge(self, mutant: Mutant) -> Judged:
        """Run the checks on a mutant. Errors: BrokenCheck."""
        file = mutant.key.file
        checks = self.part.checks(file)
        limits = [self._limit(check) for check in checks]
        if file.endswith(".py") and not python_source.is_valid(mutant.text):
            return Judged(mutant, "invalid")
        with self._copy.holding(file, mutant.text):
            if self._builders is not None:
                built = self._builders.build(Path(file).name)
                if built != "built":
                    return Judged(mutant, built)
            for check, limit in zip(checks, limits, strict=True):
                outcome = self._copy.run(check, limit)
                if not outcome.passed:
                    return Judged(mutant, "stopped" if outcome.status is None else "killed", str(check))
            if self._builders is not None and self._builders.makes_same_code(Path(file).name):
                return Judged(mutant, "same_code")
        return Judged(mutant, "survived")

    def _limit(self, check: Check) -> float:
        """Return the seconds that a check may take on a mutant."""
        if check not in self._seconds:
            if self._builders is not None:
                self._builders.restore()
            outcome = self._copy.run(check, FIRST_TIME, write_bytecode=True)
            if not outcome.passed:
                raise BrokenCheck(f"{check}: does not pass on the original: {outcome.output.strip()[-200:]}")
            if " passed" not in outcome.output:  # all skipped, say: it would pass every mutant too
                raise BrokenCheck(f"{check}: runs nothing on the original: {outcome.output.strip()[-200:]}")
            self._seconds[check] = outcome.seconds
        return PATIENCE * self._seconds[check] + LEAST_TIME


@contextmanager
def worker(part: Part) -> Iterator[Worker]:
    """Yield a worker with a tree of its own. Errors: CompilerError, NativeUnavailable."""
    with tree(part.root) as copy, tempfile.TemporaryDirectory() as objects:
        builders = Builders(copy.folder, Path(objects)) if part.is_built else None
        yield Worker(part, copy, builders)


def judge_all(part: Part, mutants: Iterable[Mutant], jobs: int, tell: Tell, seconds: float = math.inf) -> list[Judged]:
    """Judge mutants by so many workers side by side, and begin no more when the seconds are over.

    Tell of each as it is judged. Errors: as :func:`worker`.
    """
    until = time.monotonic() + seconds
    waiting = iter(mutants)
    found: list[Judged] = []
    lock, stop = threading.Lock(), threading.Event()

    def work() -> None:
        with worker(part) as own:
            while not stop.is_set() and time.monotonic() < until:
                with lock:
                    mutant = next(waiting, None)
                if mutant is None:
                    return
                judged = own.judge(mutant)
                with lock:
                    found.append(judged)
                    tell(judged)

    with ThreadPoolExecutor(jobs) as pool:
        done = [pool.submit(work) for _ in range(jobs)]
        try:
            for future in done:
                future.result()
        finally:
            stop.set()
    return sorted(found, key=lambda judged: (judged.mutant.key.file, judged.mutant.number, judged.mutant.key))


@dataclass(frozen=True)
class Plan:
    """What of a part is to be run."""

    part: Part
    files: Sequence[str]
    places: Sequence[Place]
    chosen: Sequence[Place]


def plan(part: Part, limit: int | None, seed: int, only: str = "*", after: int = 0) -> Plan:
    """Return the mutants of a part that are to be run: all, or as many as ``limit`` says, drawn by the seed.

    The first ``after`` of them were run before.
    """
    files = [file for file in part.files if fnmatchcase(file, f"*{only}")]
    found = [place for file in files for place in places(file, read(file, part.root))]
    return Plan(part, files, found, sampled(found, None, seed)[after:][:limit])


def made(plan: Plan) -> Iterator[Mutant]:
    """Yield the mutants of a plan; a change that is no change is none."""
    sources = {file: read(file, plan.part.root) for file in plan.files}
    for place in plan.chosen:
        mutant = make(place, sources[place.file])
        if mutant.number:
            yield mutant


def run(plan: Plan, seed: int, jobs: int, tell: Tell, seconds: float = math.inf) -> PartRecord:
    """Run a plan, as far as it comes in some seconds. Errors: BrokenCheck, CompilerError, NativeUnavailable."""
    begun = time.monotonic()
    counts = {file: Counts(places=sum(place.file == file for place in plan.places)) for file in plan.files}
    judged = judge_all(plan.part, made(plan), jobs, tell, seconds)
    for one in judged:
        counts[one.mutant.key.file] = counts[one.mutant.key.file].plus(one.verdict)
    about, known = describe(), {**versions(), "cosmic-ray": metadata.version("cosmic-ray")}
    return PartRecord(
        seed=seed,
        machine={name: about[name] for name in ("cpu", "processors", "system")},
        versions={name: known[name] for name in ("q35ref", "python", "numpy", "cosmic-ray")},
        seconds=round(time.monotonic() - begun, 1),
        load=load_average(),
        files={file: found for file, found in counts.items() if found.places},
        survivors=tuple(survivor(one.mutant) for one in judged if one.verdict == "survived"),
    )


def with_file(before: PartRecord | None, after: PartRecord, part: Part) -> PartRecord:
    """Return the record of a part of which some files were run anew, each whole.

    What was run of other files in part alone is gone, and so is how many survivors died when they were run again.
    """
    if before is None:
        none = {file: Counts(places=len(places(file, read(file, part.root)))) for file in part.files}
        before = replace(
            after, seconds=0.0, files={file: found for file, found in none.items() if found.places}, survivors=()
        )
    whole = {file: found for file, found in before.files.items() if found.run == found.places}
    old = {file: whole.get(file, Counts(places=found.places)) for file, found in before.files.items()}
    kept = tuple(found for found in before.survivors if found.key.file in whole.keys() - after.files.keys())
    survivors = tuple(sorted((*kept, *after.survivors), key=lambda found: (found.key.file, found.number)))
    seconds = round(before.seconds + after.seconds, 1)
    return replace(after, files={**old, **after.files}, survivors=survivors, seconds=seconds, by_file=True, again=0)


def together(before: PartRecord, after: PartRecord) -> PartRecord:
    """Return two runs of one part, which the seed divides, as one."""
    files = {name: counts + replace(after.files[name], places=0) for name, counts in before.files.items()}
    survivors = tuple(sorted((*before.survivors, *after.survivors), key=lambda found: (found.key.file, found.number)))
    seconds = round(before.seconds + after.seconds, 1)
    return replace(before, files=files, survivors=survivors, seconds=seconds, load=after.load)


def survivor(mutant: Mutant) -> Survivor:
    """Return what is kept of a mutant that survived."""
    return Survivor(mutant.key, mutant.operator, mutant.number)


def run_again(
    part: Part,
    before: PartRecord,
    jobs: int,
    tell: Tell,
    explained: Container[Key] = frozenset(),
    seconds: float = math.inf,
    listed: bool = False,
) -> PartRecord:
    """Run the survivors of a run again with every check, and count those that are dead now.

    Those that are explained are left out, or with ``listed`` those of them that have met every check. Those that the
    time is too short for stay as they are. Errors: Changed, and those of a run.
    """
    mutants = []
    for old in before.survivors:
        if old.key in explained and not (listed and old.is_quick):
            continue
        source = read(old.key.file, part.root)
        found = {mutant.key: mutant for mutant in made_at(old.key.file, source, [old.key.line])}
        if old.key not in found:
            raise Changed(f"{old.key}: cannot be made again; run the part anew")
        mutants.append(found[old.key])
    judged = judge_all(part, mutants, jobs, tell, seconds)
    files = dict(before.files)
    for one in judged:
        file = one.mutant.key.file
        files[file] = files[file].plus("survived", -1).plus(one.verdict)
    verdicts = {one.mutant.key: one.verdict for one in judged}
    left = tuple(
        replace(old, is_quick=old.is_quick and old.key not in verdicts)
        for old in before.survivors
        if verdicts.get(old.key, "survived") == "survived"
    )
    dead = len(before.survivors) - len(left)
    return replace(before, files=files, survivors=left, again=before.again + dead)
