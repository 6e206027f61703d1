"""What fails on a few problems is told of at once: its findings stand, and each problem is asked once."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from q35ref.backends.numpy import NumpyBackend
from q35ref.oracle import check, problems
from q35ref.oracle.calls import Outcome
from q35ref.oracle.judge import Mismatch
from q35ref.oracle.problem import Problem
from q35ref.oracle.report import Report, Result
from q35ref.oracle.runner import kernel_results
from q35ref.oracle.targets import ObjectTarget
from q35ref.version import __version__


class ScalesTwice(NumpyBackend):
    """Wrong in the operation that is checked last."""

    def quantize_activations(self, x: Any) -> Any:
        scale, integers = super().quantize_activations(x)
        return scale * np.float32(2), integers


def test_what_fails_on_a_few_problems_is_told_of_before_the_rest_is_checked() -> None:
    """The last operation comes first if it fails; the report has all in their order."""
    told: list[str] = []
    report = check(ScalesTwice(), on_result=lambda result: told.append(result.name))
    assert [name.partition(".")[0] for name in told[:3]] == 3 * ["quantize_activations"]
    names = [result.name for result in report.results]
    assert names == [result.name for result in check(NumpyBackend()).results]
    assert names[-3:] == told[:3]
    assert sorted(told) == sorted(names)


def test_findings_of_a_few_problems_are_told_of_at_once_and_stand() -> None:
    """The order of events: what fails early, then every result with the same findings and whole counts."""
    events: list[tuple[str, Result]] = []
    report = check(
        ScalesTwice(),
        on_early=lambda result: events.append(("early", result)),
        on_result=lambda result: events.append(("whole", result)),
    )
    early = [result for kind, result in events if kind == "early"]
    assert [kind for kind, _ in events] == len(early) * ["early"] + len(report.results) * ["whole"]
    assert [result.name for result in early] == [result.name for result in report.failures] != []
    for before, after in zip(early, report.failures, strict=True):
        assert before.findings == after.findings
        assert before.failures <= before.cases < after.cases
        assert 0 < before.failures < after.failures


def test_a_result_told_of_before_is_printed_without_its_findings() -> None:
    early: list[Result] = []
    result = check(ScalesTwice(), only=["*activations.scale"], on_early=early.append).failures[0]
    first, second = early[0].to_text(so_far=True), result.to_text(told=1)
    assert "so far)" in first
    assert "the smallest input found:" in first
    assert second.splitlines() == [second]
    assert second.startswith(f"FAIL quantize_activations.scale: told of above, {result.failures} of {result.cases}")


class ZeroesItsInput(NumpyBackend):
    """Right, but some calls change what they are given."""

    def unpack(self, packed: Any, k: int, layout: Any) -> Any:
        q = super().unpack(packed, k, layout)
        packed[...] = 0
        return q


@pytest.mark.parametrize(
    ("kernel", "only"), [(ScalesTwice, "quantize_activations.*"), (ZeroesItsInput, "unpack.behaves")]
)
def test_what_was_told_of_early_is_not_worked_out_again(kernel: Any, only: str) -> None:
    early: list[Result] = []
    report = check(kernel(), only=only, on_early=early.append)
    told = [id(finding) for result in early for finding in result.findings]
    assert [id(finding) for result in report.failures for finding in result.findings] == told != []


class Dies(ObjectTarget):
    """A stand-in for a kernel in a process: right, but some calls end it, and none does when it is asked again."""

    def __init__(self, deaths: dict[int, str]) -> None:
        super().__init__(NumpyBackend())
        origins = [problem.origin for problem in problems("unpack", 1, 1)]
        self.deaths = {origins[number]: Mismatch(kind, "", str(number), "") for number, kind in deaths.items()}

    def call(self, problem: Problem) -> Outcome:
        death = self.deaths.get(problem.origin)
        return super().call(problem) if death is None else Outcome(faults=(death,), answered=False)

    def fault_again(self, problem: Problem, fault: Mismatch) -> Mismatch | None:
        return None


@pytest.mark.parametrize(
    ("rule", "deaths", "told"),
    [
        ("unpack.integers", {9: "crash", 10: "hang", 40: "exit"}, ["crash 9"]),
        ("unpack.integers", {9: "crash", 16: "exit", 40: "hang"}, ["crash 9"]),
        ("unpack.behaves", {9: "crash", 10: "exit", 40: "crash", 41: "exit"}, ["crash 9", "exit 10"]),
        ("unpack.behaves", {9: "crash", 16: "crash", 40: "crash"}, ["crash 16"]),
    ],
)
def test_of_several_deaths_the_first_is_told_of(rule: str, deaths: dict[int, str], told: list[str]) -> None:
    """By number, though number 16 is asked before number 9; but what behaviour has been told of early stands."""

    def command(name: str, require: str = "") -> str:
        return name

    report = Report("dies", 1, 1, __version__)
    (result,) = kernel_results(Dies(deaths), report, (), lambda name: name == rule, command)
    assert [f"{finding.kind} {finding.got}" for finding in result.findings] == told
    assert result.failures == len(deaths)


class Counted(NumpyBackend):
    """Which weights it was asked to quantize, and how often."""

    def __init__(self, wrong_from: int) -> None:
        self.asked: Counter[bytes] = Counter()
        self.wrong_from = wrong_from

    def quantize(self, w: Any, scale: Any, offset: Any, group_size: int, narrow_gain: int) -> Any:
        arguments = (w, scale, offset, np.array([group_size, narrow_gain]))
        self.asked[b"".join(array.tobytes() for array in arguments)] += 1
        q = super().quantize(w, scale, offset, group_size, narrow_gain)
        return -q if len(w) >= self.wrong_from else q


def test_each_problem_is_asked_once_whether_it_comes_early_or_not() -> None:
    """Twice, for the calls are compared; more often only where two problems are the same."""
    kernel = Counted(wrong_from=10**9)
    report = check(kernel, only=["quantize.integers"])
    posed = list(problems("quantize", 1, 1))
    assert report.results[0].cases == len(posed)
    assert kernel.asked.total() == 2 * len(posed)


def test_what_fails_on_late_problems_alone_is_found_too() -> None:
    early: list[Result] = []
    kernel = Counted(wrong_from=900)
    report = check(kernel, only=["quantize.integers"], on_early=early.append)
    assert early == []
    assert report.failures[0].failures > 0


def test_a_class_of_bad_behaviour_is_named_for_a_wrong_result_only_where_it_shows() -> None:
    class FlipsAndWrites(NumpyBackend):
        """Changes its input on one shape; its results are wrong on all, in a way of no class."""

        def pack(self, q: Any, layout: Any) -> Any:
            packed = super().pack(q, layout)
            if q.shape[0] > 900:
                q[0, 0] = 0
            return packed ^ np.uint8(0x15)

    report = check(FlipsAndWrites(), only=["pack.*"])
    found = {result.name: result.findings for result in report.failures}
    assert "InputModified" in found["pack.behaves"][0].bugs
    assert found["pack.bytes"][0].bugs == ()
