"""Asking a kernel its problems, an operation after the other, and judging what comes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from q35ref.oracle.bugs import explain
from q35ref.oracle.calls import Outcome, Unanswered, judge
from q35ref.oracle.cases import problems
from q35ref.oracle.domain import WHOLE, Domain
from q35ref.oracle.judge import BEHAVIOUR, FAULTS, REFUSAL, RULES, Absent, Mismatch, Rule
from q35ref.oracle.problem import Problem
from q35ref.oracle.report import Finding, Report, Result
from q35ref.oracle.shrink import shrink
from q35ref.oracle.targets import Target

ORDER: Final = ("pack", "unpack", "matmul", "quantize", "dequantize", "calibrate", "quantize_activations")
"""Operations in the order in which they are checked: what is most often wrong comes soon."""

EARLY: Final = {"calibrate": 4, "quantize_activations": 4}
"""One of so many problems of these operations, which take little time, is asked before all others; of the others..."""

EARLY_OTHERS: Final = 16
"""...one of so many, and..."""

EARLY_FIRST: Final = 8
"""...so many of the first, among which are the longest sums."""

WITNESSES: Final = 12
"""Failing calls that are kept to tell bug classes apart, and as many that kept the rule."""

SECONDS: Final = {
    **dict.fromkeys(("overread", "misaligned", "written input", "null result"), 3.0),
    **dict.fromkeys(("crash", "exit"), 2.0),
    **dict.fromkeys(("thread dependent", "not repeatable"), 1.0),
    "hang": 0.0,
}
"""How long a problem is cut down that ends the kernel's process, or must be asked again and again."""


class Command(Protocol):
    """The function from a check's name, and an operation to require, to what runs it again."""

    def __call__(self, name: str, require: str = "") -> str:
        """Return a command, or Python for an object."""


def kernel_results(
    kernel: Target,
    report: Report,
    required: tuple[str, ...],
    wanted: Callable[[str], bool],
    command: Command,
    domain: Domain = WHOLE,
    on_early: Callable[[Result], None] | None = None,
) -> Iterator[Result]:
    """Yield the results of every wanted rule on problems inside a domain, an operation after the other.

    A few problems of every operation are asked first. What fails on them is told of at once to ``on_early``, with
    findings that stand and counts that do not yet, so that who waits for the first finding does not wait for all that
    is right. The operations that failed are finished before the others.
    """
    runners = []
    for kind, rules in rules_in_order().items():
        batch = [rule for rule in rules if wanted(rule.name)]
        if batch:
            is_required = any(rule.operation in required for rule in batch)
            runners.append(_Runner(kernel, kind, batch, is_required, report, command, domain))
    for runner in runners:
        runner.ask(early=True)
        for result in runner.so_far():  # whoever is told of them: a report is the same
            if on_early is not None:
                on_early(result)
    for runner in sorted(runners, key=lambda runner: not runner.failed):
        runner.ask(early=False)
        yield from runner.results()


def rules_in_order() -> dict[str, list[Rule]]:
    """Return every rule, by the kind of problems on which it is judged, in the order in which they are posed."""
    found: dict[str, list[Rule]] = {}
    for operation in ORDER:
        found[operation] = [rule for rule in (BEHAVIOUR[operation], *RULES) if rule.operation == operation]
        if operation == REFUSAL.operation:
            found["refusal"] = [REFUSAL]
    return found


@dataclass(frozen=True)
class Witness:
    """A call that breaks a rule."""

    problem: Problem
    outcome: Outcome
    mismatch: Mismatch
    number: int = 0
    """The problem's: the first ones are told of, in whatever order they were asked."""


@dataclass
class _Tally:
    """What one rule has seen so far."""

    cases: int = 0
    numbers: int = 0
    no_verdict: int = 0
    absent: list[Problem] = field(default_factory=list)
    failed: list[Witness] = field(default_factory=list)
    """Failing calls: the first ones; of a rule about behaviour, the first of each kind."""
    kept: list[tuple[int, Problem, Outcome]] = field(default_factory=list)
    """Calls that kept the rule, with their problems' numbers."""
    died: list[tuple[int, Mismatch]] = field(default_factory=list)
    """How the kernel ended instead of giving a result to judge."""
    failures: int = 0
    seconds: float = 0.0
    findings: dict[tuple[str, ...], Finding] = field(default_factory=dict)
    """What has been told of failing calls; by kind of fault, where the rule is about behaviour."""


def _number(found: Witness | tuple[Any, ...]) -> int:
    """Return a problem's number."""
    number: int = found.number if isinstance(found, Witness) else found[0]
    return number


class _Runner:
    """One operation of a kernel, called on every problem of a kind and judged by each of its rules."""

    def __init__(
        self,
        kernel: Target,
        kind: str,
        rules: list[Rule],
        required: bool,
        report: Report,
        command: Command,
        domain: Domain,
    ) -> None:
        self.kernel, self.kind, self.rules, self.required = kernel, kind, rules, required
        self.report, self.command, self.domain = report, command, domain
        self.lacks = {rule.name: reason for rule in rules if (reason := self._lack(rule))}
        self.tallies = {rule.name: _Tally() for rule in rules if rule.name not in self.lacks}
        self.asked: set[int] = set()
        """Numbers of problems that have been asked."""

    @property
    def failed(self) -> bool:
        """Whether a call so far has broken a rule."""
        return any(tally.failures or tally.died for tally in self.tallies.values())

    def ask(self, early: bool) -> None:
        """Ask the problems that come early, or all others, and judge each answer by every rule."""
        if not self.tallies:
            return
        every = EARLY.get(self.kind, EARLY_OTHERS)
        for number, made in enumerate(problems(self.kind, self.report.level, self.report.seed)):
            if self.kernel.given_up(made.operation):
                break
            if number in self.asked or (early and number % every and number >= EARLY_FIRST):
                continue
            self.asked.add(number)
            problem = self._posed(made)
            if problem is None:
                continue
            outcome = self.kernel.call(problem)
            for rule in self.rules:
                if rule.name in self.tallies:
                    self._count(self.tallies[rule.name], rule, problem, outcome, number)
            if early and not outcome.answered:
                break  # a kernel that ends is slow to ask again, and there is something to tell of

    def so_far(self) -> Iterator[Result]:
        """Yield a result for each rule that a call so far has broken."""
        return self._judged(lambda tally: bool(tally.failed))

    def results(self) -> Iterator[Result]:
        """Yield a result for each rule, once all problems have been asked."""
        for rule in self.rules:
            if rule.name in self.lacks:
                yield self._not_checked(rule, self.lacks[rule.name])
        yield from self._judged(lambda tally: True)

    def _judged(self, told: Callable[[_Tally], bool]) -> Iterator[Result]:
        """Yield the results of the rules that are told of."""
        shown: tuple[str, ...] = ()
        for rule in self.rules:
            if rule.name in self.tallies and told(self.tallies[rule.name]):
                result = self._result(rule, self.tallies[rule.name], shown)
                if rule.behaviour:
                    shown = tuple(dict.fromkeys(bug for found in result.findings for bug in found.bugs))
                yield result

    def _posed(self, problem: Problem) -> Problem | None:
        """Return a problem as the kernel can be asked it, or nothing."""
        inside = self.domain.nearest(problem)
        return None if inside is None else self.kernel.pose(inside)

    def _lack(self, rule: Rule) -> str:
        """Return why a rule does not bind the kernel, or nothing."""
        if rule.correctly_rounded and not self.kernel.correctly_rounded:
            return self.kernel.lack(rule.operation) or "the target does not set correctly_rounded = True"
        return self.kernel.lack(rule.operation)

    def _not_checked(self, rule: Rule, reason: str) -> Result:
        """Return the result of a rule that was not checked: a failure if the operation is required."""
        about = (rule.name, rule.operation, rule.promise)
        if self.required and not rule.correctly_rounded:
            again = self.command(rule.name, rule.operation)
            finding = Finding("missing", rule.operation, "nothing", "a result", "", again)
            return Result(*about, "failed", failures=1, reason=f"required, but {reason}", findings=(finding,))
        return Result(*about, "not checked", reason=reason)

    def _count(self, tally: _Tally, rule: Rule, problem: Problem, outcome: Outcome, number: int) -> None:
        begun = time.perf_counter()
        try:
            verdict = judge(rule, problem, outcome)
        except Unanswered:
            tally.died.append((number, outcome.faults[0]))
            return
        except Absent:
            tally.absent.append(problem)
            return
        if rule.behaviour and outcome.raised is not None and verdict.mismatch is None:
            return  # whoever refuses everything has shown nothing
        tally.cases += 1
        tally.numbers += verdict.judged
        tally.no_verdict += verdict.no_verdict
        if verdict.mismatch is None:
            if not number % 8:
                tally.kept = sorted([*tally.kept, (number, problem, outcome)], key=_number)[:WITNESSES]
        else:
            tally.failures += 1
            self._keep(tally, rule, Witness(problem, outcome, verdict.mismatch, number))
        tally.seconds += time.perf_counter() - begun

    def _keep(self, tally: _Tally, rule: Rule, found: Witness) -> None:
        """Keep a failing call: of a rule about behaviour, one for each kind of fault."""
        if not rule.behaviour:
            tally.failed = sorted([*tally.failed, found], key=_number)[:WITNESSES]
            return
        faults = (replace(found, mismatch=fault) for fault in found.outcome.faults)
        first: dict[tuple[str, ...], Witness] = {}
        for witness in sorted([*tally.failed, *faults], key=_number):
            first.setdefault(FAULTS[witness.mismatch.kind], witness)
        tally.failed = list(first.values())

    def _result(self, rule: Rule, tally: _Tally, shown: tuple[str, ...]) -> Result:
        """Return a rule's result; ``shown`` are classes that the operation's behaviour has shown."""
        if tally.died and not tally.failed:
            return self._died(rule, tally, shown)
        if not tally.cases:
            absent = f"the target returns None for {rule.name.partition('.')[2]}"
            return self._not_checked(rule, absent if tally.absent else "no call came to a result")
        findings: tuple[Finding, ...] = ()
        if tally.failed:
            findings = self._findings(rule, tally, shown)
        elif tally.absent:
            tally.failures = len(tally.absent)
            got = f"None in {tally.failures} of {tally.failures + tally.cases} calls"
            problem, told = tally.absent[0], "a result in all calls or in none"
            code, again = self.kernel.code(problem), self.command(rule.name)
            findings = (Finding("shape", rule.operation, got, told, code, again, input_size=problem.input_size),)
        return Result(
            rule.name,
            rule.operation,
            rule.promise,
            "failed" if findings else "passed",
            tally.cases,
            tally.numbers,
            tally.failures,
            tally.no_verdict,
            findings=findings,
            seconds=tally.seconds,
        )

    def _findings(self, rule: Rule, tally: _Tally, shown: tuple[str, ...]) -> tuple[Finding, ...]:
        """Return what is to be told of failing calls: what has been told before, and what has come since."""
        begun = time.perf_counter()
        if rule.behaviour:
            for witness in tally.failed:
                kind = FAULTS[witness.mismatch.kind]
                if kind not in tally.findings:
                    tally.findings[kind] = self._finding(rule, [witness], [], ())
        elif not tally.findings:
            kept = [(problem, outcome) for _, problem, outcome in tally.kept]
            tally.findings[()] = self._finding(rule, tally.failed, kept, shown)
        tally.seconds += time.perf_counter() - begun
        return tuple(tally.findings.values())

    def _died(self, rule: Rule, tally: _Tally, shown: tuple[str, ...]) -> Result:
        """Return the result of a rule that could not be judged on every call: the kernel's end is its finding."""
        reason = f"the kernel ended in {len(tally.died)} calls instead of giving a result"
        if shown:
            return self._not_checked(rule, f"{reason}: see {BEHAVIOUR[rule.operation].name}")
        _, end = min(tally.died, key=_number)
        again = self.command(BEHAVIOUR[rule.operation].name)
        finding = Finding(end.kind, end.place, end.got, end.expected, "", again, FAULTS[end.kind], reason)
        return Result(
            rule.name,
            rule.operation,
            rule.promise,
            "failed",
            tally.cases,
            failures=len(tally.died),
            findings=(finding,),
        )

    def _finding(
        self, rule: Rule, failed: list[Witness], kept: list[tuple[Problem, Outcome]], shown: tuple[str, ...]
    ) -> Finding:
        """Cut the first failing problem down, and say what is wrong with it."""
        first = failed[0]
        kind = first.mismatch.kind
        until = time.monotonic() + SECONDS.get(kind, float("inf"))

        # One call is enough to cut down what one call shows.
        once = not rule.behaviour and self._witness(rule, first.problem, first.mismatch, once=True) is not None

        def fails(problem: Problem) -> bool:
            return time.monotonic() < until and self._witness(rule, problem, first.mismatch, once=once) is not None

        again = self._witness(rule, first.problem, first.mismatch, once=once) if time.monotonic() < until else None
        shrunk = self._witness(rule, shrink(first.problem, fails), first.mismatch, once=once) if again else None
        smallest = shrunk or again or first
        note = self._note(rule, smallest, again is not None)
        if kind in FAULTS:
            bugs = FAULTS[kind]
        elif note:  # of what the kernel keeps between calls
            bugs = shown or ("KeptState",)
        else:
            calls = [(witness.problem, witness.outcome) for witness in (*failed, smallest)]
            bugs = explain(rule, [*calls, *kept]) or (shown if self._behaves_ill(smallest.problem) else ())
        found = smallest.mismatch
        return Finding(
            kind,
            found.place,
            found.got,
            found.expected,
            self.kernel.code(smallest.problem, found if kind in FAULTS else None),
            self.command(rule.name),
            bugs,
            note,
            smallest.problem.input_size,
        )

    def _behaves_ill(self, problem: Problem) -> bool:
        """Whether the kernel, asked a problem, does something else than to give a wrong result."""
        posed = self._posed(problem)
        return posed is not None and bool(self.kernel.call(posed).faults)

    def _note(self, rule: Rule, smallest: Witness, again: bool) -> str:
        """Return what is to be known of a finding: of behaviour whether it is a race, of a result whether it comes from
        what the kernel keeps between calls; nothing if that is not so."""
        if rule.behaviour:
            races = FAULTS[smallest.mismatch.kind] == FAULTS["thread dependent"]
            return "a race: it may take several runs to show itself again" if races else ""
        if not again:
            return "an equal call kept the rule: the target is not repeatable"
        if self.kernel.forget() and self._witness(rule, smallest.problem, smallest.mismatch) is None:
            return "only after other calls: as its first call the target keeps the rule, so it keeps something"
        return ""

    def _witness(self, rule: Rule, problem: Problem, like: Mismatch, once: bool = False) -> Witness | None:
        """Call the kernel on a problem, for its result alone or as often as always; return the call if it breaks the
        rule in the same way."""
        posed = self._posed(problem)
        if posed is None:
            return None
        problem = posed
        if rule.behaviour:
            fault = self.kernel.fault_again(problem, like)
            return None if fault is None else Witness(problem, Outcome(faults=(fault,)), fault)
        outcome = self.kernel.answer(problem) if once else self.kernel.call(problem)
        try:
            mismatch = judge(rule, problem, outcome).mismatch
        except (Absent, Unanswered):
            return None
        return Witness(problem, outcome, mismatch) if mismatch is not None and mismatch.kind == like.kind else None
