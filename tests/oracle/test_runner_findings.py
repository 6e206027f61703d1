"""What the runner makes of calls that break a rule: which are kept, cut down, explained, and for how long."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from q35ref.oracle import runner
from q35ref.oracle.calls import Outcome
from q35ref.oracle.cases import smallest
from q35ref.oracle.judge import FAULTS, Mismatch
from q35ref.oracle.problem import Problem
from q35ref.oracle.report import Finding
from tests.oracle.scripted_target import (
    Clock,
    Scripted,
    ended,
    fault,
    number_of,
    numbered,
    packed,
    results,
    right,
    wrong,
)
from tests.oracle.written_arrays import float32, int8


class Stage:
    """What the runner works with, in the place of the oracle's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.posed: list[Problem] = []
        self.smaller: Callable[[Problem, Callable[[Problem], bool]], Problem] = lambda problem, fails: problem
        self.bugs: tuple[str, ...] = ("Explained",)
        self.explained: list[list[tuple[Problem, Outcome]]] = []
        self.clock = Clock()
        monkeypatch.setattr(runner, "problems", lambda kind, level, seed: iter(self.posed))
        monkeypatch.setattr(runner, "shrink", lambda problem, fails: self.smaller(problem, fails))
        monkeypatch.setattr(runner, "explain", self.explain)
        monkeypatch.setattr(runner, "time", self.clock)

    def pose(self, count: int) -> None:
        """Pose problems of packing, so many."""
        self.posed = [numbered(number) for number in range(count)]

    def explain(self, rule: Any, calls: list[tuple[Problem, Outcome]]) -> tuple[str, ...]:
        """Say which classes explain the calls, whatever they are."""
        self.explained.append(calls)
        return self.bugs

    def finding(self, target: Scripted, *names: str) -> Finding:
        """Return the one finding of the last of these rules."""
        *_, result = results(target, *names)
        [finding] = result.findings
        return finding


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def only(*failing: int) -> Callable[[int], Outcome]:
    """Return a kernel that is wrong on some problems."""
    return lambda number: wrong(number) if number in failing else right(number)


# What is kept


def test_classes_are_told_apart_by_the_first_twelve_wrong_calls_and_the_smallest(stage: Stage) -> None:
    """The first by number: 16 and 32 are asked before 8."""
    stage.pose(40)
    stage.smaller = lambda problem, fails: numbered(100)
    [result] = results(Scripted(lambda number: wrong(number)), "pack.bytes")
    assert [number_of(problem) for problem, _ in stage.explained[-1]][:13] == [*range(8), 16, 32, 100]
    assert result.failures == 40
    assert len(stage.explained) == 1
    stage.explained.clear()
    stage.pose(40)
    late = range(17, 32)
    [result] = results(Scripted(only(100, *late)), "pack.bytes")
    [calls] = stage.explained
    assert [number_of(problem) for problem, _ in calls][:13] == [*late[:12], 100]
    for problem, outcome in calls[:13]:
        assert outcome.result.tolist() == packed(number_of(problem), 1).tolist()


def test_and_by_each_eighth_call_that_was_right_twelve_of_them(stage: Stage) -> None:
    stage.pose(128)
    list(results(Scripted(only(3)), "pack.bytes"))
    [early] = stage.explained
    assert [number_of(problem) for problem, _ in early] == [3, 3, 0, 16, 32, 48, 64, 80, 96, 112]
    stage.explained.clear()
    list(results(Scripted(only(9)), "pack.bytes"))
    [calls] = stage.explained
    assert [number_of(problem) for problem, _ in calls] == [9, 9, *range(0, 96, 8)]
    assert calls[3][1].result.tolist() == packed(8).tolist()


def test_of_behaviour_one_call_of_each_kind_of_class_is_told_of_the_first_by_number(stage: Stage) -> None:
    """Both kinds of written inputs are of one class; what is seen late is told of after what was told of early."""
    stage.pose(20)
    kinds = {2: ("modified input", "crash"), 5: ("written input",), 16: ("overread",), 9: ("overread", "hang")}
    target = Scripted(lambda number: Outcome(faults=tuple(fault(kind, number) for kind in kinds.get(number, ()))))
    [result] = results(target, "pack.behaves")
    found = [(finding.kind, finding.place, finding.bugs) for finding in result.findings]
    assert found == [
        ("modified input", "place 2", ("InputModified",)),
        ("crash", "place 2", ("Crash",)),
        ("overread", "place 16", ("Overread",)),
        ("hang", "place 9", ("Hang",)),
    ]
    assert result.failures == 4
    assert stage.explained == []


def test_of_kinds_that_are_seen_late_the_first_by_number_is_told_of(stage: Stage) -> None:
    stage.pose(20)
    target = Scripted(lambda number: Outcome(faults=(fault("crash", number),) if number in (9, 10) else ()))
    assert stage.finding(target, "pack.behaves").place == "place 9"


# For how long


@pytest.mark.parametrize(
    ("kinds", "seconds", "attempts"),
    [
        (("overread", "misaligned", "written input", "null result"), 0.25, 12),
        (("overread", "misaligned", "written input", "null result"), 0.7, 5),
        (("crash", "exit"), 0.25, 8),
        (("crash", "exit"), 0.7, 3),
        (("thread dependent", "not repeatable"), 0.25, 4),
        (("thread dependent", "not repeatable"), 0.7, 2),
        (("hang",), 0.25, 0),
        (("modified input", "flush-to-zero", "environment", "stale output", "changed result"), 9.0, 100),
    ],
)
def test_a_fault_that_is_slow_to_see_is_asked_for_again_for_so_long_and_no_longer(
    stage: Stage, kinds: tuple[str, ...], seconds: float, attempts: int
) -> None:
    """No call begins after three, two, one and no seconds; one more confirms the smallest problem."""
    for kind in kinds:
        target = Scripted(partial(seen, kind))

        def slow(number: int, like: Mismatch) -> Mismatch:
            stage.clock.now += seconds
            return like

        def cut(problem: Problem, fails: Callable[[Problem], bool]) -> Problem:
            all(fails(problem) for _ in range(99))  # as often as it may be asked
            return problem

        stage.pose(1)
        target.faults, stage.smaller = slow, cut
        assert stage.finding(target, "pack.behaves").kind == kind
        assert len(target.asked_again) == attempts + (1 if attempts else 0)


def seen(kind: str, number: int) -> Outcome:
    return Outcome(faults=(fault(kind, number),))


def test_a_call_that_hung_is_not_made_again_however_the_time_goes_by(stage: Stage) -> None:
    stage.pose(1)
    stage.clock.tick = 0.001
    target = Scripted(lambda number: Outcome(faults=(fault("hang", number),), answered=False))
    finding = stage.finding(target, "pack.behaves")
    assert (finding.place, finding.code, target.asked_again) == ("place 0", "code of 0", [])


def test_a_wrong_result_is_cut_down_without_a_limit_of_time(stage: Stage) -> None:
    stage.pose(1)
    stage.clock.tick = 1e6
    stage.smaller = lambda problem, fails: numbered(77) if fails(numbered(77)) and not fails(numbered(8)) else problem
    finding = stage.finding(Scripted(only(0, 77)), "pack.bytes")
    assert (finding.code, finding.got[:4]) == ("code of 77", f"0x{packed(77, 1)[0, 0]:02X}")


# Cutting down


def test_a_finding_is_of_the_smallest_problem_and_says_how_to_see_it(stage: Stage) -> None:
    stage.pose(3)
    stage.smaller = lambda problem, fails: numbered(2) if number_of(problem) == 1 else problem
    target = Scripted(only(1, 2))
    finding = stage.finding(target, "pack.bytes")
    assert finding.kind == "value"
    assert finding.place == "packed[n=0, b=0], layout byte, bit 0"
    assert finding.got == f"0x{packed(2, 1)[0, 0]:02X} ({packed(2, 1)[0, 0]})"
    assert finding.expected == f"0x{packed(2)[0, 0]:02X} ({packed(2)[0, 0]})"
    assert (finding.code, finding.command) == ("code of 2", "again pack.bytes")
    assert (finding.bugs, finding.note, finding.input_size) == (("Explained",), "", 2)
    assert target.codes == [(2, None)]


def test_of_a_fault_the_code_shows_the_fault_as_it_was_seen_again(stage: Stage) -> None:
    stage.pose(1)
    stage.smaller = lambda problem, fails: numbered(5)
    target = Scripted(lambda number: Outcome(faults=(fault("overread", number),)))
    target.faults = lambda number, like: fault(like.kind, number)
    finding = stage.finding(target, "pack.behaves")
    assert (finding.place, finding.bugs, finding.input_size) == ("place 5", ("Overread",), 2)
    assert target.codes == [(5, fault("overread", 5))]
    assert target.asked_again == [0, 5]


def test_a_fault_that_is_not_seen_again_is_told_of_as_it_was_first_seen(stage: Stage) -> None:
    stage.pose(1)
    stage.smaller = lambda problem, fails: numbered(5)
    target = Scripted(lambda number: Outcome(faults=(fault("overread", number),)), faults=lambda number, like: None)
    finding = stage.finding(target, "pack.behaves")
    assert (finding.place, finding.code, target.asked_again) == ("place 0", "code of 0", [0])


def test_what_one_call_shows_is_cut_down_by_single_calls(stage: Stage) -> None:
    stage.pose(1)
    stage.smaller = lambda problem, fails: numbered(9) if fails(numbered(9)) else problem
    target = Scripted(wrong)
    stage.finding(target, "pack.bytes")
    assert target.asked == [0]
    assert target.asked_alone == [0, 0, 9, 9]


def test_what_one_call_does_not_show_is_cut_down_by_whole_ones(stage: Stage) -> None:
    stage.pose(1)
    stage.smaller = lambda problem, fails: numbered(9) if fails(numbered(9)) else problem
    target = Scripted(wrong, alone=right)
    assert stage.finding(target, "pack.bytes").code == "code of 9"
    assert target.asked == [0, 0, 9, 9]
    assert target.asked_alone == [0]


def test_of_a_smaller_problem_that_no_longer_fails_the_first_is_told_as_it_failed_again(stage: Stage) -> None:
    """Its second answer is wrong in another way than its first."""
    stage.pose(1)
    stage.smaller = lambda problem, fails: numbered(9)
    target = Scripted(wrong, alone=lambda number: right(number) if number else Outcome(packed(0, 2)))
    finding = stage.finding(target, "pack.bytes")
    assert (finding.place[-5:], finding.code, finding.note) == ("bit 1", "code of 0", "")


@pytest.mark.parametrize("smaller", [1, 2, 3, 4])
def test_a_problem_that_fails_in_another_way_or_cannot_be_judged_does_not_fail_the_same(
    stage: Stage, smaller: int
) -> None:
    """The first has a wrong value. Another shape and a refusal are other faults; without an answer there is none."""
    others = {1: Outcome("text"), 2: Outcome(raised="no"), 3: ended(3), 4: right(4)}
    fails_too: list[bool] = []

    def cut(problem: Problem, fails: Callable[[Problem], bool]) -> Problem:
        fails_too.append(fails(numbered(smaller)))
        return problem

    stage.posed, stage.smaller = [numbered(0)], cut
    assert stage.finding(Scripted(lambda number: others.get(number, wrong(number))), "pack.bytes").kind == "value"
    assert fails_too == [False]
    fails_too.clear()
    stage.finding(Scripted(lambda number: wrong(number) if number == smaller else Outcome(raised="no")), "pack.bytes")
    stage.finding(Scripted(lambda number: wrong(number) if number == smaller else Outcome("text")), "pack.bytes")
    assert fails_too == [False, False]


def test_a_smaller_problem_that_cannot_be_posed_or_lacks_the_result_does_not_fail(stage: Stage) -> None:
    plain = smallest("matmul")
    without = plain.with_array("a", int8([7, 7]))

    class Matmuls(Scripted):
        def pose(self, problem: Problem) -> Problem | None:
            return None if problem.m > 1 else problem

        def call(self, problem: Problem) -> Outcome:
            return Outcome((None, None, None if problem is without else float32([-5.0])))

        answer = call

        def code(self, problem: Problem, fault: Mismatch | None = None) -> str:
            return ""

    fails_too: list[bool] = []

    def cut(problem: Problem, fails: Callable[[Problem], bool]) -> Problem:
        fails_too.extend([fails(without), fails(plain.with_array("a", int8([1, 1], [1, 1]))), fails(problem)])
        return problem

    stage.posed, stage.smaller = [plain], cut
    stage.finding(Matmuls(), "matmul.out")
    assert fails_too == [False, False, True]


# What it comes from


def test_a_result_that_an_equal_call_does_not_repeat_comes_from_what_is_kept(stage: Stage) -> None:
    stage.pose(1)
    calls = iter([wrong(0)])
    target = Scripted(lambda number: next(calls, right(number)))
    finding = stage.finding(target, "pack.bytes")
    assert finding.note == "an equal call kept the rule: the target is not repeatable"
    assert (finding.bugs, finding.code) == (("KeptState",), "code of 0")
    assert stage.explained == []


def test_a_result_that_is_right_in_the_first_call_of_all_comes_from_what_is_kept(stage: Stage) -> None:
    """The target is made to forget, and asked once more as always."""

    class Keeps(Scripted):
        def call(self, problem: Problem) -> Outcome:
            self.asked.append(number_of(problem))
            return right(0) if self.forgot else wrong(0)

        answer = call

    stage.pose(1)
    finding = stage.finding(Keeps(forgets=True), "pack.bytes")
    note = "only after other calls: as its first call the target keeps the rule, so it keeps something"
    assert (finding.note, finding.bugs) == (note, ("KeptState",))
    for forgets, does in ((False, wrong), (True, wrong)):
        target = Scripted(does, forgets=forgets)
        finding = stage.finding(target, "pack.bytes")
        assert (finding.note, finding.bugs) == ("", ("Explained",))
        assert (target.forgot, len(target.asked)) == (4, 2 if forgets else 1)


def test_what_behaviour_has_shown_explains_a_result_that_comes_from_what_is_kept(stage: Stage) -> None:
    stage.pose(1)
    calls = iter([Outcome(packed(0, 1), faults=(fault("stale output"), fault("crash")))])
    target = Scripted(lambda number: next(calls, right(number)))
    assert stage.finding(target, "pack.behaves", "pack.bytes").bugs == ("StaleOutput", "Crash")


@pytest.mark.parametrize("ill", [True, False])
def test_what_behaviour_has_shown_explains_a_result_of_no_class_if_it_shows_there_too(stage: Stage, ill: bool) -> None:
    stage.pose(2)
    stage.bugs = ()

    def does(number: int) -> Outcome:
        return Outcome(packed(number, 1), faults=(fault("overread"),) if number == 1 or ill else ())

    assert stage.finding(Scripted(does), "pack.behaves", "pack.bytes").bugs == (("Overread",) if ill else ())
    assert stage.finding(Scripted(does), "pack.bytes").bugs == ()
    stage.bugs = ("Explained",)
    assert stage.finding(Scripted(does), "pack.behaves", "pack.bytes").bugs == ("Explained",)


@pytest.mark.parametrize("kind", FAULTS)
def test_only_what_depends_on_threads_is_said_to_be_a_race(stage: Stage, kind: str) -> None:
    """And each kind of fault is explained by its own classes alone."""
    stage.pose(1)
    finding = stage.finding(Scripted(lambda number: Outcome(faults=(fault(kind),))), "pack.behaves")
    race = "a race: it may take several runs to show itself again"
    assert finding.note == (race if kind == "thread dependent" else "")
    assert finding.bugs == FAULTS[kind]


def test_a_fault_where_a_refusal_was_due_is_explained_as_that_fault(stage: Stage) -> None:
    """What the refusal's rule tells of then is no result."""
    stage.posed = [smallest("quantize").with_array("w", float32([0], [float("nan")]))]

    class Crashes(Scripted):
        def pose(self, problem: Problem) -> Problem | None:
            return problem

        def call(self, problem: Problem) -> Outcome:
            return Outcome(faults=(fault("crash"),), answered=False)

        answer = call

        def code(self, problem: Problem, fault: Mismatch | None = None) -> str:
            return f"{fault and fault.kind}"

    finding = stage.finding(Crashes(), "quantize.refuses_nonfinite")
    assert (finding.kind, finding.bugs, finding.code) == ("crash", ("Crash",), "crash")


def test_findings_told_of_early_are_not_worked_out_again(stage: Stage) -> None:
    stage.pose(20)
    early: list[Any] = []
    target = Scripted(only(3, 12))
    [result] = results(target, "pack.bytes", on_early=early.append)
    assert result.findings[0] is early[0].findings[0]
    assert len(stage.explained) == 1
