"""``kill -9``: at moments spread over a run, and at each step by which a file is brought into its place."""

import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from statistics import median
from typing import Final

import numpy as np

from tools.faults.bench import OLDER, WHOLE, Bench
from tools.faults.files import ABSENT, temporaries
from tools.faults.record import Row
from tools.faults.steps import STEPS
from tools.faults.trial import FINISHED, KILLED, ending

MEASURED: Final = 3
"""Undisturbed runs that are timed."""


def seconds_of_a_run(bench: Bench, runs: int = MEASURED) -> float:
    """Return how long a process takes that nobody disturbs. Errors: RuntimeError if it fails."""
    times = []
    for _ in range(runs):
        bench.put_older(there=False)
        begun = time.perf_counter()
        ended, said = ending(bench.first.start())
        times.append(time.perf_counter() - begun)
        if ended != FINISHED:
            raise RuntimeError(f"{bench.first.command}: {ended} {said}")
    return median(times)


def allowed_after_kill(older: bool) -> set[tuple[str, str]]:
    """Return how a killed run may end: with what was there before, or with the whole new file."""
    return {(KILLED, OLDER if older else ABSENT), (KILLED, WHOLE), (FINISHED, WHOLE)}


def random_kills(bench: Bench, count: int, seed: int, duration: float) -> Row:
    """Kill runs at random moments, every other one with an older file at the destination.

    No run tidies up before the next one but the next one itself.
    """
    moments = np.random.default_rng(seed).uniform(0, duration, count)
    tally, stages = bench.tally(), Counter[str]()
    for number, moment in enumerate(moments.tolist()):
        older = number % 2 == 1
        bench.put_older(older)
        before = set(temporaries(bench.destination.parent))
        process = bench.first.start()
        begun = time.perf_counter()
        try:
            process.wait(max(0.0, moment - (time.perf_counter() - begun)))
        except subprocess.TimeoutExpired:
            process.kill()
        ended, said = ending(process, killed=True)
        there = tally.see(ended, said, allowed_after_kill(older), f"killed after {moment:.3f} s")
        left = temporaries(bench.destination.parent)
        if len(left) > 1:
            tally.blame(f"killed after {moment:.3f} s: {len(left)} temporary files: those of earlier runs pile up")
        stages[_stage(ended, there, bool(set(left) - before))] += 1
    told = ", ".join(f"{stages[stage]} {stage}" for stage in STAGES)
    return tally.row("kill -9 at a random moment", bench.first, f"uniform over {duration:.2f} s: {told}", WHOLE)


STAGES: Final = ("before it made its temporary file", "while it wrote that", "after the rename", "after the end")
"""What a kill left, which says when it came."""


def _stage(ended: str, there: str, began: bool) -> str:
    if ended == FINISHED:
        return STAGES[3]
    if there == WHOLE:
        return STAGES[2]
    return STAGES[1] if began else STAGES[0]


def kills_at_steps(bench: Bench, olders: tuple[bool, ...] = (False, True)) -> Row:
    """Let runs kill themselves before and after each step of writing, without and with an older file."""
    tally = bench.tally()
    for step in STEPS:
        for older in olders:
            bench.put_older(older)
            job = replace(bench.first, program=(sys.executable, "-m", "tools.faults.steps", step))
            ended, said = ending(job.start(), killed=True)
            before = (KILLED, OLDER if older else ABSENT)
            tally.see(ended, said, {(KILLED, WHOLE) if STEPS[step].renamed else before}, step)
    return tally.row("kill -9 at a step of writing", bench.first, f"{', '.join(STEPS)}; small file", WHOLE)
