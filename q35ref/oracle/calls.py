"""Calling a kernel: what it returned or refused, and what it did beside its work."""

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from q35ref.oracle.judge import REFUSAL, Absent, Malformed, Mismatch, Rule, Verdict
from q35ref.oracle.problem import Problem


@dataclass(frozen=True)
class Outcome:
    """What came of a call."""

    result: Any = None
    """What was returned, arrays copied: the kernel may use its own again."""
    raised: str | None = None
    """The exception, or the status, with which the kernel refused."""
    faults: tuple[Mismatch, ...] = ()
    """What the kernel did beside its work, one of a kind."""
    answered: bool = True
    """Whether the kernel lived to return or refuse."""
    also: tuple[Any, ...] = ()
    """Results of the same call at other addresses, where floats within a bound may differ: judged too."""


class Unanswered(Exception):
    """The kernel did not live to give a result."""


def call(kernel: object, problem: Problem) -> Outcome:
    """Call a method of an object in this process, arguments in the protocol's order, with fresh arrays of its own.

    A kernel that exits is one that raises; only Ctrl-C ends the run. NumPy's error state is restored afterwards.
    """
    arguments = problem.arguments()
    before = {name: value.copy() for name, value in arguments.items() if isinstance(value, np.ndarray)}
    result, raised = None, None
    try:
        with np.errstate():
            result = _kept(getattr(kernel, problem.operation)(*arguments.values()))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raised = f"{type(error).__name__}: {error}"
    faults = tuple(
        Mismatch("modified input", name, "changed by the call", "left as it was")
        for name, array in before.items()
        if arguments[name].tobytes() != array.tobytes()
    )
    return Outcome(result, raised, faults[:1])


def call_twice(kernel: object, problem: Problem) -> Outcome:
    """Call a method twice; equal calls that differ are a fault."""
    first, second = call(kernel, problem), call(kernel, problem)
    if first.faults or alike(first, second):
        return first
    return Outcome(first.result, first.raised, (unlike("not repeatable", first, second, "an equal call"),))


def alike(one: Outcome, other: Outcome) -> bool:
    """Whether two calls came to the same, bit for bit."""
    return (one.raised is None) == (other.raised is None) and _alike(one.result, other.result)


def _alike(one: Any, other: Any) -> bool:
    if type(one) is np.ndarray and type(other) is np.ndarray:
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return type(one) is type(other)


def unlike(kind: str, one: Outcome, other: Outcome, how: str) -> Mismatch:
    """Return the fault of two calls that differ, at the first place where they do."""
    for number, (a, b) in enumerate(zip(_arrays(one.result), _arrays(other.result), strict=False)):
        if a.shape == b.shape and a.dtype == b.dtype and a.tobytes() != b.tobytes():
            different = np.flatnonzero((a != b) & ~((a != a) & (b != b)))
            at = np.unravel_index(int(different[0]) if len(different) else 0, a.shape)
            place = f"result {number + 1}{[int(i) for i in at]}"
            return Mismatch(kind, place, f"{b[at]} in {how}", f"{a[at]} again")
    return Mismatch(kind, "result", f"another result in {how}", "the same again")


def _arrays(result: Any) -> list[Any]:
    parts = result if isinstance(result, tuple | list) else [result]
    return [part for part in parts if type(part) is np.ndarray]


def _kept(result: Any) -> Any:
    """Return a result that no later call can change."""
    if type(result) is np.ndarray:
        return result.copy()
    if isinstance(result, tuple):
        return tuple(_kept(part) for part in result)
    return result


def judge(rule: Rule, problem: Problem, outcome: Outcome) -> Verdict:
    """Say whether a call keeps a rule; of a large problem, whether the part of it that is judged does.

    Raises :class:`Absent` for a result that the kernel leaves out, :class:`Unanswered` where there is none to judge.
    """
    if rule.behaviour:
        return rule.judge(problem, outcome.faults)
    if rule is REFUSAL and outcome.faults:
        return Verdict(outcome.faults[0])
    if not outcome.answered:
        raise Unanswered
    if rule is REFUSAL:
        refused = outcome.raised is not None or not problem.refusal
        return Verdict(judged=1) if refused else rule.judge(problem, outcome.result)
    if outcome.raised is not None:
        return Verdict(Mismatch("raised", problem.operation, outcome.raised, "a result"))
    verdict = _judge_result(rule, problem, outcome.result)
    for result in outcome.also:
        with contextlib.suppress(Absent):
            verdict = verdict if verdict.mismatch else _judge_result(rule, problem, result)
    return verdict


def _judge_result(rule: Rule, problem: Problem, result: Any) -> Verdict:
    problem, result = judged_part(problem, result)
    try:
        return rule.judge(problem, result)
    except Malformed as error:
        return Verdict(error.mismatch)


def judged_part(problem: Problem, result: Any) -> tuple[Problem, Any]:
    """Return a problem and its result, cut to what is judged of them."""
    judged = problem.judged
    if judged is None:
        return problem, result
    part, where = judged
    if isinstance(result, tuple):
        return part, tuple(_cut(problem, each, where) for each in result)
    return part, _cut(problem, result, where)


def _cut(problem: Problem, array: Any, where: slice) -> Any:
    """Cut an array of a matmul's results to some columns; row sums have none."""
    columns = type(array) is np.ndarray and array.shape[1:2] == (problem.n,)
    return array[:, where] if columns else array
