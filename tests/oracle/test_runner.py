"""The runner by itself: which problems are asked and when, what is counted, and what becomes of each rule."""

from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from functools import partial
from typing import Any

import pytest

from q35ref.backends import OPERATIONS
from q35ref.oracle import runner
from q35ref.oracle.calls import Outcome
from q35ref.oracle.cases import smallest
from q35ref.oracle.domain import Domain
from q35ref.oracle.judge import BEHAVIOUR, REFUSAL, RULES, Mismatch
from q35ref.oracle.problem import Problem
from q35ref.oracle.report import Result
from q35ref.oracle.runner import Witness, rules_in_order
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

Pose = Callable[..., None]


@pytest.fixture
def pose(monkeypatch: pytest.MonkeyPatch) -> Pose:
    """Put other problems in the place of the oracle's own; nothing is cut down, and one class explains all."""

    def put(count: int = 0, **others: list[Problem]) -> None:
        posed = {"pack": [numbered(number) for number in range(count)], **others}
        monkeypatch.setattr(runner, "problems", lambda kind, level, seed: iter(posed[kind]))

    monkeypatch.setattr(runner, "shrink", lambda problem, fails: problem)
    monkeypatch.setattr(runner, "explain", lambda rule, calls: ("Explained",))
    return put


# Order


def test_rules_are_posed_by_operation_behaviour_first_and_the_refusal_after_quantize() -> None:
    kinds = rules_in_order()
    order = ["pack", "unpack", "matmul", "quantize", "refusal", "dequantize", "calibrate", "quantize_activations"]
    assert list(kinds) == order
    assert set(OPERATIONS) == set(order) - {"refusal"}
    assert kinds.pop("refusal") == [REFUSAL]
    for operation, rules in kinds.items():
        assert rules == [BEHAVIOUR[operation], *(rule for rule in RULES if rule.operation == operation)]
    assert sum(map(len, kinds.values())) == len(RULES) + len(BEHAVIOUR)


def test_a_witness_of_a_problem_that_was_cut_down_has_no_number_and_none_can_be_changed() -> None:
    witness = Witness(numbered(1), Outcome(), fault("crash"))
    assert witness.number == 0
    with pytest.raises(FrozenInstanceError):
        setattr(witness, "number", 1)  # noqa: B010


def test_the_first_eight_problems_and_each_sixteenth_are_asked_before_the_others(pose: Pose) -> None:
    """Each problem once."""
    pose(70)
    target = Scripted()
    list(results(target, "pack.bytes"))
    early = [*range(8), 16, 32, 48, 64]
    assert target.asked == early + [number for number in range(70) if number not in early]


@pytest.mark.parametrize("kind", ["calibrate", "quantize_activations"])
def test_of_operations_that_take_little_time_each_fourth_is_asked_early(pose: Pose, kind: str) -> None:
    """The problems are those of packing, for their numbers: what is asked depends on the kind alone."""
    pose(**{kind: [numbered(number) for number in range(41)]})
    target = Scripted()
    list(results(target, f"{kind}.behaves"))
    early = [*range(8), *range(8, 41, 4)]
    assert target.asked == early + [number for number in range(41) if number not in early]


def faulty(failing: int, number: int) -> Outcome:
    return Outcome(faults=(fault("crash", number),) if number == failing else ())


def test_an_operation_that_fails_early_is_finished_before_the_others(pose: Pose) -> None:
    """And is told of at once, with the counts so far."""
    pose(20, unpack=[numbered(number) for number in range(100, 120)])
    for failing, order in ((0, ["pack.behaves", "unpack.behaves"]), (100, ["unpack.behaves", "pack.behaves"])):
        target = Scripted(partial(faulty, failing))
        early: list[Result] = []
        found = list(results(target, "pack.behaves", "unpack.behaves", on_early=early.append))
        assert [result.name for result in found] == order
        assert [(result.name, result.cases, result.failures) for result in early] == [(order[0], 9, 1)]
        assert [(result.cases, result.failures) for result in found] == [(20, 1), (20, 0)]
        assert found[0].findings == early[0].findings


def test_an_operation_whose_process_ends_early_is_finished_first_too(pose: Pose) -> None:
    """Of a rule about results nothing is told early then: there is none to judge."""
    pose(9, unpack=[numbered(number) for number in range(9)])
    target = Scripted(lambda number: ended(number))
    early: list[Result] = []
    kernel = results(target, "pack.behaves", "unpack.integers", on_early=early.append)
    assert [result.name for result in kernel] == ["pack.behaves", "unpack.integers"]
    assert [result.name for result in early] == ["pack.behaves"]

    def only_unpack_dies(number: int) -> Outcome:
        return ended(number) if number >= 100 else Outcome()

    pose(9, unpack=[numbered(number) for number in range(100, 109)])
    names = [result.name for result in results(Scripted(only_unpack_dies), "pack.behaves", "unpack.integers")]
    assert names == ["unpack.integers", "pack.behaves"]


def test_nothing_is_asked_of_what_is_not_wanted_or_not_there(pose: Pose) -> None:
    pose(5)
    target = Scripted()
    assert list(results(target, "none")) == []
    [result] = results(Scripted(lacks={"pack": "it has no pack"}), "pack.bytes")
    assert (result.status, result.reason) == ("not checked", "it has no pack")
    lacking = Scripted(lacks={"pack": "it has no pack"})
    list(results(lacking, "pack.bytes", "pack.behaves"))
    assert target.asked == lacking.asked == []


# Asking


def test_a_problem_that_cannot_be_posed_or_brought_inside_is_left_out_and_the_next_is_asked(pose: Pose) -> None:
    pose(12)
    target = Scripted(refused=(2, 9))
    [result] = results(target, "pack.bytes")
    assert sorted(target.asked) == [0, 1, 3, 4, 5, 6, 7, 8, 10, 11]
    assert result.cases == 10
    target = Scripted()
    [result] = results(target, "pack.bytes", domain=Domain(k_multiple=4))
    assert (target.asked, result.status, result.reason) == ([], "not checked", "no call came to a result")


def test_a_problem_is_asked_as_the_domain_and_the_target_have_it(pose: Pose) -> None:
    """And judged so: this target takes the next problem for each, and answers that."""

    class Next(Scripted):
        def pose(self, problem: Problem) -> Problem | None:
            assert problem.layout == "dense"
            return numbered(number_of(problem) + 1)

    pose(3)
    target = Next()
    [result] = results(target, "pack.bytes", domain=Domain(layouts=("dense",)))
    assert (target.asked, result.status) == ([1, 2, 3], "passed")


def test_an_operation_that_is_given_up_is_asked_no_more(pose: Pose, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is another problem made."""
    made: list[int] = []

    def making(kind: str, level: int, seed: int) -> Iterator[Problem]:
        for number in range(20):
            made.append(number)
            yield numbered(number)

    pose()
    monkeypatch.setattr(runner, "problems", making)
    target = Scripted(gives_up_after=5)
    [result] = results(target, "pack.bytes")
    assert (target.asked, result.cases) == ([0, 1, 2, 3, 4], 5)
    assert made == [0, 1, 2, 3, 4, 5, 0]


def test_early_the_first_call_that_ends_the_kernel_is_enough_later_it_is_not(pose: Pose) -> None:
    pose(12)
    target = Scripted(lambda number: ended(number) if number in (3, 9) else right(number))
    list(results(target, "pack.bytes"))
    assert target.asked == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    target = Scripted(lambda number: ended(number) if number in (0, 9) else right(number))
    list(results(target, "pack.bytes"))
    assert target.asked == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    pose(20)
    target = Scripted(lambda number: ended(number) if number == 3 else right(number))
    list(results(target, "pack.bytes"))
    assert target.asked == [0, 1, 2, 3, *range(4, 20)]


# Counting


def test_calls_numbers_and_failures_are_counted(pose: Pose, monkeypatch: pytest.MonkeyPatch) -> None:
    pose(20)
    monkeypatch.setattr(runner, "time", Clock())
    target = Scripted(lambda number: wrong(number) if number in (3, 8, 15) else right(number))
    behaves, result = results(target, "pack.bytes", "pack.behaves")
    assert (behaves.status, behaves.cases, behaves.numbers, behaves.failures) == ("passed", 20, 0, 0)
    assert (result.status, result.cases, result.numbers, result.failures) == ("failed", 20, 20, 3)
    assert (result.name, result.operation, result.promise) == ("pack.bytes", "pack", RULES[0].promise)
    assert (result.no_verdict, behaves.seconds, result.seconds) == (0, 0, 0)
    assert len(result.findings) == 1


def test_numbers_without_a_verdict_are_counted(pose: Pose) -> None:
    """With scales of 2**125 nothing restored is judged, with scales of 1 everything is."""
    plain = smallest("dequantize")
    huge = plain.with_array("scale", plain.arrays["scale"] * 2**125)
    pose(dequantize=[plain, huge, plain])

    class Restores(Scripted):
        def pose(self, problem: Problem) -> Problem | None:
            return problem

        def call(self, problem: Problem) -> Outcome:
            return Outcome(problem.expected)

    [result] = results(Restores(), "dequantize.bound")
    assert (result.cases, result.numbers, result.no_verdict, result.status) == (3, 4, 2, "passed")


def test_the_seconds_of_a_result_are_those_of_judging_and_of_its_finding(
    pose: Pose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick goes by between the two looks at the time of each; a call that is not counted takes none."""
    pose(6)
    monkeypatch.setattr(runner, "time", Clock(tick=0.25))
    [result] = results(Scripted(lambda number: ended(number) if number == 2 else right(number)), "pack.behaves")
    assert result.cases == 6
    judging, looks = 6 * 0.25, result.seconds - 6 * 0.25
    assert result.seconds > judging
    assert 0 < looks < 4
    [result] = results(Scripted(), "pack.bytes")
    assert result.seconds == judging


def test_whoever_refuses_everything_has_not_shown_how_it_behaves(pose: Pose) -> None:
    """A refusal with a fault is one, and a result without a fault is one."""
    pose(6)

    def refuses(number: int) -> Outcome:
        faults = (fault("crash", number),) if number == 4 else ()
        return right(number) if number == 1 else Outcome(raised="no", faults=faults)

    [result] = results(Scripted(refuses), "pack.behaves")
    assert (result.cases, result.failures) == (2, 1)
    [result] = results(Scripted(lambda number: Outcome(raised="no")), "pack.behaves")
    assert (result.status, result.reason) == ("not checked", "no call came to a result")
    [result] = results(Scripted(lambda number: Outcome(raised="no")), "pack.bytes")
    assert (result.cases, result.failures, result.status) == (6, 6, "failed")
    [result] = results(Scripted(lambda number: Outcome(raised="no", faults=(fault("crash"),))), "pack.behaves")
    assert (result.cases, result.failures, result.status) == (6, 6, "failed")


# Rules that are not checked


def test_correct_rounding_is_asked_of_those_alone_who_claim_it(pose: Pose) -> None:
    pose(dequantize=[])
    names = ("dequantize.bound", "dequantize.exact")
    exact, bound = results(Scripted(), *names)
    assert (exact.name, exact.status) == ("dequantize.exact", "not checked")
    assert exact.reason == "the target does not set correctly_rounded = True"
    assert (bound.name, bound.reason) == ("dequantize.bound", "no call came to a result")
    assert [result.reason for result in results(Scripted(correctly_rounded=True), *names)] == [bound.reason] * 2
    lacking = Scripted(lacks={"dequantize": "it has none"})
    assert [result.reason for result in results(lacking, *names)] == ["it has none"] * 2


def test_what_is_required_and_not_there_has_failed_but_for_correct_rounding(pose: Pose) -> None:
    pose(3, dequantize=[])
    lacking = Scripted(lacks={"pack": "it has none", "dequantize": "it has none"})
    names = ("pack.bytes", "dequantize.bound", "dequantize.exact")
    packs, bound, exact = results(lacking, *names, required=("dequantize",))
    assert (packs.status, packs.findings) == ("not checked", ())
    assert (bound.status, bound.reason, bound.failures) == ("failed", "required, but it has none", 1)
    [finding] = bound.findings
    assert (finding.kind, finding.place, finding.got) == ("missing", "dequantize", "nothing")
    assert (finding.expected, finding.command) == ("a result", "again dequantize.bound dequantize")
    assert (exact.status, exact.findings, exact.reason) == ("not checked", (), "it has none")
    [alone] = results(Scripted(), "pack.bytes", required=("pack",))
    assert alone.status == "passed"


def matmul_without(*absent: bool) -> tuple[list[Problem], Any]:
    """Matmuls, and a target that leaves row sums out of some of them."""
    plain = smallest("matmul")
    made = [plain.with_array("a", plain.arrays["a"] * number) for number in range(1, len(absent) + 1)]

    class LeavesOut(Scripted):
        def pose(self, problem: Problem) -> Problem | None:
            return problem

        def call(self, problem: Problem) -> Outcome:
            number = int(problem.arrays["a"][0, 0])
            acc, row_sum, out = problem.expected
            return Outcome((acc, None if absent[number - 1] else row_sum, out))

        def code(self, problem: Problem, fault: Mismatch | None = None) -> str:
            return f"a = {problem.arrays['a'][0, 0]}"

    return made, LeavesOut()


def test_a_part_that_is_never_given_is_not_checked(pose: Pose) -> None:
    made, target = matmul_without(True, True)
    pose(matmul=made)
    acc, row_sum = results(target, "matmul.acc", "matmul.row_sum")
    assert (acc.status, acc.cases) == ("passed", 2)
    assert (row_sum.status, row_sum.reason) == ("not checked", "the target returns None for row_sum")


def test_a_part_that_is_given_at_times_is_wrong_where_it_is_not(pose: Pose) -> None:
    made, target = matmul_without(False, True, False, True, False)
    pose(matmul=made)
    [result] = results(target, "matmul.row_sum")
    assert (result.status, result.cases, result.failures) == ("failed", 3, 2)
    [finding] = result.findings
    assert (finding.kind, finding.place, finding.got) == ("shape", "matmul", "None in 2 of 5 calls")
    assert (finding.expected, finding.code) == ("a result in all calls or in none", "a = 2")
    assert (finding.command, finding.input_size) == ("again matmul.row_sum", made[0].input_size)


# Kernels that end


def test_a_rule_that_could_not_be_judged_tells_of_the_first_end_and_of_how_many(pose: Pose) -> None:
    """The first by number, though number 16 is asked first; the first fault of several."""
    pose(20)
    target = Scripted(lambda number: ended(number, "exit") if number in (9, 12, 16) else right(number))
    [result] = results(target, "pack.bytes")
    assert (result.status, result.cases, result.failures, result.numbers) == ("failed", 17, 3, 0)
    [finding] = result.findings
    assert (finding.kind, finding.place, finding.got, finding.expected) == ("exit", "place 9", "got 9", "expected")
    assert (finding.bugs, finding.command) == (("Exits",), "again pack.behaves")
    assert finding.note == "the kernel ended in 3 calls instead of giving a result"


def test_where_behaviour_is_checked_too_the_end_is_told_of_there(pose: Pose) -> None:
    pose(10)
    target = Scripted(lambda number: ended(number) if number == 9 else right(number))
    behaves, result = results(target, "pack.bytes", "pack.behaves")
    assert (behaves.name, behaves.status, behaves.findings[0].bugs) == ("pack.behaves", "failed", ("Crash",))
    assert (result.name, result.status) == ("pack.bytes", "not checked")
    assert result.reason == "the kernel ended in 1 calls instead of giving a result: see pack.behaves"


def test_a_wrong_result_is_told_of_rather_than_the_end_of_another_call(pose: Pose) -> None:
    pose(10)

    def dies_and_errs(number: int) -> Outcome:
        return ended(number) if number == 2 else wrong(number) if number == 5 else right(number)

    [result] = results(Scripted(dies_and_errs), "pack.bytes")
    assert (result.status, result.cases, result.failures) == ("failed", 9, 1)
    assert (result.findings[0].kind, result.findings[0].got[:4]) == ("value", f"0x{packed(5, 1)[0, 0]:02X}")
