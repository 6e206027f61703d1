"""Running the checks against a target, from Python."""

import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

from q35ref.backends import OPERATIONS
from q35ref.backends.reference import ReferenceBackend
from q35ref.oracle.bugs import explain
from q35ref.oracle.calls import Outcome, call, judge
from q35ref.oracle.cases import LEVELS, problems
from q35ref.oracle.judge import REFUSAL, RULES, Absent, Mismatch, Rule
from q35ref.oracle.laws import reference_results
from q35ref.oracle.problem import Problem
from q35ref.oracle.report import Finding, Report, Result
from q35ref.oracle.shrink import shrink
from q35ref.oracle.targets import resolve
from q35ref.version import __version__

OnResult = Callable[[Result], None]
"""Told of each result as it comes."""

WITNESSES = 8
"""Failing calls that are kept to tell bug classes apart."""


def check(
    target: object,
    *,
    level: int = 1,
    seed: int = 1,
    require: Iterable[str] = (),
    only: Iterable[str] = ("*",),
    on_result: OnResult | None = None,
) -> Report:
    """Check an implementation of the format against the reference.

    ``target`` is an object with any of the methods of :class:`q35ref.backends.Backend`, or a name: ``reference``,
    ``numpy`` or ``python:MODULE:OBJECT``. The same level and seed give the same problems. An operation that the
    target lacks is *not checked*, and fails only if ``require`` names it. ``only`` keeps the checks whose names
    match one of its patterns. ``on_result`` is called with each result as it comes.

    Errors: ValueError for an unknown level, operation or pattern, TargetError for a target that cannot be found.
    """
    if level not in LEVELS:
        raise ValueError(f"level: expected one of {LEVELS}, got {level}")
    if seed < 0:
        raise ValueError(f"seed: expected an integer >= 0, got {seed}")
    required = (require,) if isinstance(require, str) else tuple(require)
    patterns = (only,) if isinstance(only, str) else tuple(only)
    for operation in required:
        if operation not in OPERATIONS:
            raise ValueError(f"require: expected operations among {', '.join(OPERATIONS)}, got {operation!r}")
        if not any(fnmatchcase(rule.name, p) for rule in RULES if rule.operation == operation for p in patterns):
            raise ValueError(f"require: {operation} is left out by only = {', '.join(patterns)}")
    name, kernel = resolve(target)
    report = Report(name, level, seed, __version__)
    command = _command(target, report)

    def wanted(check_name: str) -> bool:
        return any(fnmatchcase(check_name, pattern) for pattern in patterns)

    if isinstance(kernel, ReferenceBackend):
        results = reference_results(level, seed, wanted, command)
    else:
        results = _kernel_results(kernel, report, required, wanted, command)
    for result in results:
        report.results.append(result)
        if on_result is not None:
            on_result(result)
    if not report.results:
        raise ValueError(f"only: no check matches {', '.join(patterns)}")
    return report


class Command(Protocol):
    """The function from a check's name, and an operation to require, to what runs it again."""

    def __call__(self, name: str, require: str = "") -> str:
        """Return a command, or Python for an object."""


def _command(target: object, report: Report) -> Command:
    """Return what writes the commands of a run."""

    def command(name: str, require: str = "") -> str:
        options = f"--level {report.level} --seed {report.seed} --only {name}"
        return f"q35ref check {shlex.quote(str(target))} {options}{f' --require {require}' if require else ''}"

    def python(name: str, require: str = "") -> str:
        options = f"level={report.level}, seed={report.seed}, only=[{name!r}]"
        return f"q35ref.check(kernel, {options}{f', require=[{require!r}]' if require else ''})"

    return command if isinstance(target, str) else python


def _kernel_results(
    kernel: object,
    report: Report,
    required: tuple[str, ...],
    wanted: Callable[[str], bool],
    command: Command,
) -> Iterator[Result]:
    """Yield the results of every wanted rule, an operation after the other."""
    for operation in OPERATIONS:
        rules = [rule for rule in RULES if rule.operation == operation and wanted(rule.name)]
        batches = [(operation, rules)]
        if operation == REFUSAL.operation and wanted(REFUSAL.name):
            batches.append(("refusal", [REFUSAL]))
        for kind, batch in batches:
            runner = _Runner(kernel, kind, operation in required, report, command)
            yield from runner.results(batch)


@dataclass(frozen=True)
class Witness:
    """A call that breaks a rule."""

    problem: Problem
    outcome: Outcome
    mismatch: Mismatch


@dataclass
class _Tally:
    """What one rule has seen so far."""

    cases: int = 0
    numbers: int = 0
    no_verdict: int = 0
    absent: list[Problem] = field(default_factory=list)
    failed: list[Witness] = field(default_factory=list)
    """The first failing calls."""
    failures: int = 0
    seconds: float = 0.0


class _Runner:
    """One operation of a kernel, called on every problem of a kind and judged by each of its rules."""

    def __init__(self, kernel: object, kind: str, required: bool, report: Report, command: Command) -> None:
        self.kernel, self.kind, self.required, self.report, self.command = kernel, kind, required, report, command

    def results(self, rules: list[Rule]) -> Iterator[Result]:
        """Yield a result for each rule, once all problems have been tried."""
        tallies: dict[str, _Tally] = {}
        for rule in rules:
            reason = self._lack(rule)
            if reason:
                yield self._not_checked(rule, reason)
            else:
                tallies[rule.name] = _Tally()
        if not tallies:
            return
        for problem in problems(self.kind, self.report.level, self.report.seed):
            outcome = call(self.kernel, problem)
            for rule in rules:
                if rule.name in tallies:
                    self._count(tallies[rule.name], rule, problem, outcome)
        for rule in rules:
            if rule.name in tallies:
                yield self._result(rule, tallies[rule.name])

    def _lack(self, rule: Rule) -> str:
        """Return why a rule does not bind the kernel, or nothing."""
        if not callable(getattr(self.kernel, rule.operation, None)):
            return f"the target has no {rule.operation}"
        if rule.correctly_rounded and not getattr(self.kernel, "correctly_rounded", False):
            return "the target does not set correctly_rounded = True"
        return ""

    def _not_checked(self, rule: Rule, reason: str) -> Result:
        """Return the result of a rule that was not checked: a failure if the operation is required."""
        about = (rule.name, rule.operation, rule.promise)
        if self.required and not rule.correctly_rounded:
            again = self.command(rule.name, rule.operation)
            finding = Finding("missing", rule.operation, "nothing", "a result", "", again)
            return Result(*about, "failed", failures=1, reason=f"required, but {reason}", finding=finding)
        return Result(*about, "not checked", reason=reason)

    def _count(self, tally: _Tally, rule: Rule, problem: Problem, outcome: Outcome) -> None:
        begun = time.perf_counter()
        try:
            verdict = judge(rule, problem, outcome)
        except Absent:
            tally.absent.append(problem)
            return
        tally.cases += 1
        tally.numbers += verdict.judged
        tally.no_verdict += verdict.no_verdict
        if verdict.mismatch is not None:
            tally.failures += 1
            if len(tally.failed) < WITNESSES:
                tally.failed.append(Witness(problem, outcome, verdict.mismatch))
        tally.seconds += time.perf_counter() - begun

    def _result(self, rule: Rule, tally: _Tally) -> Result:
        if tally.cases == 0:
            return self._not_checked(rule, f"the target returns None for {rule.name.partition('.')[2]}")
        finding = None
        begun = time.perf_counter()
        if tally.failed:
            finding = self._finding(rule, tally.failed)
        elif tally.absent:
            tally.failures = len(tally.absent)
            got = f"None in {tally.failures} of {tally.failures + tally.cases} calls"
            code, again = tally.absent[0].code(), self.command(rule.name)
            finding = Finding("shape", rule.operation, got, "a result in all calls or in none", code, again)
        return Result(
            rule.name,
            rule.operation,
            rule.promise,
            "passed" if finding is None else "failed",
            tally.cases,
            tally.numbers,
            tally.failures,
            tally.no_verdict,
            finding=finding,
            seconds=tally.seconds + time.perf_counter() - begun,
        )

    def _finding(self, rule: Rule, failed: list[Witness]) -> Finding:
        """Cut the first failing problem down, and say what is wrong with it."""
        smallest = failed[0]

        def fails(problem: Problem) -> bool:
            again = self._witness(rule, problem)
            return again is not None and again.mismatch.kind == smallest.mismatch.kind

        shrunk = self._witness(rule, shrink(smallest.problem, fails)) if fails(smallest.problem) else None
        note = "" if shrunk else " (an equal call kept the rule: the target is not deterministic)"
        smallest = shrunk or smallest
        found = smallest.mismatch
        bugs = explain(rule, [(witness.problem, witness.outcome) for witness in (*failed, smallest)])
        code, again = smallest.problem.code(), self.command(rule.name)
        return Finding(found.kind, found.place + note, found.got, found.expected, code, again, bugs)

    def _witness(self, rule: Rule, problem: Problem) -> Witness | None:
        """Call the kernel on a problem; return the call if it breaks the rule."""
        outcome = call(self.kernel, problem)
        try:
            mismatch = judge(rule, problem, outcome).mismatch
        except Absent:
            return None
        return None if mismatch is None else Witness(problem, outcome, mismatch)
