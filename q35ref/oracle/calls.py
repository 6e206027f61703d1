"""Calling a kernel: what it returned or raised, and whether it wrote into its input."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from q35ref.oracle.judge import REFUSAL, Malformed, Mismatch, Rule, Verdict
from q35ref.oracle.problem import Problem


@dataclass(frozen=True)
class Outcome:
    """What came of one call."""

    result: Any = None
    """What was returned, arrays copied: the kernel may use its own again."""
    raised: BaseException | None = None
    modified: str | None = None
    """Name of an input array that the call changed."""


def call(kernel: object, problem: Problem) -> Outcome:
    """Call a kernel's operation, arguments in the protocol's order, with fresh arrays of its own.

    A kernel that exits is one that raises; only Ctrl-C ends the run. NumPy's error state is restored afterwards.
    """
    arguments = problem.arguments()
    before = {name: value.copy() for name, value in arguments.items() if isinstance(value, np.ndarray)}
    try:
        with np.errstate():
            result = _kept(getattr(kernel, problem.operation)(*arguments.values()))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Outcome(raised=error)
    for name, array in before.items():
        if arguments[name].tobytes() != array.tobytes():
            return Outcome(result, modified=name)
    return Outcome(result)


def _kept(result: Any) -> Any:
    """Return a result that no later call can change."""
    if type(result) is np.ndarray:
        return result.copy()
    if isinstance(result, tuple):
        return tuple(_kept(part) for part in result)
    return result


def judge(rule: Rule, problem: Problem, outcome: Outcome) -> Verdict:
    """Say whether a call keeps a rule. Raises :class:`Absent` for a result that the kernel leaves out."""
    if rule is REFUSAL:
        refused = outcome.raised is not None or not problem.refusal
        return Verdict(judged=1) if refused else rule.judge(problem, outcome.result)
    if outcome.raised is not None:
        error = outcome.raised
        return Verdict(Mismatch("raised", problem.operation, f"{type(error).__name__}: {error}", "a result"))
    if outcome.modified is not None:
        return Verdict(Mismatch("modified input", outcome.modified, "changed by the call", "left as it was"))
    try:
        return rule.judge(problem, outcome.result)
    except Malformed as error:
        return Verdict(error.mismatch)
