"""Posing problems until somebody says stop."""

import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from q35ref.oracle.problem import Problem
from q35ref.soak.backends import Lineup
from q35ref.soak.failures import Failure, keep
from q35ref.soak.judging import Judged, judge
from q35ref.soak.problems import problem
from q35ref.soak.state import Counts, State

SAVE_SECONDS: Final = 10.0
"""The state is written so often at least; a run that is killed loses no more, and poses those problems again."""


def soak(
    state: State,
    lineup: Lineup,
    *,
    failures: Path,
    stop: Callable[[State], bool],
    on_failure: Callable[[Failure], None] = lambda failure: None,
    on_problem: Callable[[State], None] = lambda state: None,
    save: Path | None = None,
    also: Sequence[str] = (),
) -> State:
    """Pose the problems from ``state.next`` on until ``stop`` says so, which is asked before each; return the state.

    What is wrong is kept below the folder ``failures``. ``save`` names the state's file, which is written as the run
    goes on and when it ends. ``also`` holds the names of the line-up's further targets, for the commands that repeat a
    failure. Errors: OSError for what cannot be written.
    """
    options = "".join(f" --also {shlex.quote(target)}" for target in also)
    before, begun = state.milliseconds, time.monotonic()
    saved = begun
    try:
        with lineup.as_found():
            while not stop(state):
                posed = problem(state.seed, state.next)
                judged = judge(posed, lineup.asked(state.next, posed), f"calls/{posed.operation}/soak/{state.next}")
                if judged.failures:
                    for failure in keep(failures, state.seed, state.next, judged.vector, judged.failures, options):
                        on_failure(failure)
                now = time.monotonic()
                state = state.after(posed.operation, counts(posed, judged), before + int(1000 * (now - begun)))
                on_problem(state)
                if save is not None and now - saved >= SAVE_SECONDS:
                    state.save(save)
                    saved = now
    finally:
        if save is not None:
            state.save(save)
    return state


def counts(posed: Problem, judged: Judged) -> Counts:
    """Return what a problem adds to the counts."""
    width = posed.m if "x" in posed.arrays else posed.n
    return Counts(
        problems=1,
        by_reference=int(judged.by_reference),
        cases=judged.calls,
        weights=posed.k * width,
        numbers=judged.numbers,
        no_verdict=judged.no_verdict,
        failures=len(judged.failures),
    )
