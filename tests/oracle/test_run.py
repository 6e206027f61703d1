"""A run by itself: what is refused before anything is asked, who is told of what, and the commands of a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from q35ref.oracle import run
from q35ref.oracle.domain import WHOLE, Domain
from q35ref.oracle.report import Report, Result
from q35ref.oracle.run import check
from q35ref.oracle.runner import rules_in_order
from q35ref.oracle.targets import DEFAULTS, ObjectTarget, TargetOptions
from q35ref.version import __version__

NAMES = [rule.name for rules in rules_in_order().values() for rule in rules]


class Stage:
    """What a run is made of, played: targets, and results that come in this order."""

    def __init__(self) -> None:
        self.comes = ["pack.bytes"]
        self.told: list[Any] = []
        self.is_reference = False
        self.wanted: Callable[[str], bool] = bool
        self.command: Any = None

    def resolve(self, target: object, options: TargetOptions) -> Any:
        """Return a target that says when it is closed."""
        self.told.append(("resolve", target, options))
        made = ObjectTarget(target, "theirs")
        made.close = lambda: self.told.append("closed")  # type: ignore[method-assign]
        return made

    def results(self, kind: str, wanted: Callable[[str], bool], command: Any, *about: Any) -> Any:
        """Yield the results that come, of those that are wanted."""
        self.wanted, self.command = wanted, command
        self.told.append((kind, *about))
        return (Result(name, "", "", "passed") for name in self.comes if wanted(name))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    played = Stage()
    monkeypatch.setattr(run, "resolve", played.resolve)
    monkeypatch.setattr(run, "is_reference", lambda kernel: played.is_reference)

    def kernel(target: Any, report: Report, required: Any, wanted: Any, command: Any, domain: Any, early: Any) -> Any:
        return played.results("kernel", wanted, command, report.level, report.seed, required, domain, early)

    def reference(level: int, seed: int, wanted: Any, command: Any) -> Any:
        return played.results("reference", wanted, command, level, seed)

    def replay(target: Any, path: Any, wanted: Any, command: Any, domain: Any) -> Any:
        return played.results("vectors", wanted, command, path, domain)

    monkeypatch.setattr(run, "kernel_results", kernel)
    monkeypatch.setattr(run, "reference_results", reference)
    monkeypatch.setattr(run, "replay_vectors", replay)
    return played


def refused(target: object = "numpy", **asked: Any) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check(target, **asked)
    return str(caught.value)


# What is checked


def test_unless_told_otherwise_every_rule_is_checked_at_level_and_seed_one(stage: Stage) -> None:
    stage.comes = NAMES
    report = check(target="numpy")
    assert [result.name for result in report.results] == NAMES
    assert (report.target, report.level, report.seed, report.version) == ("theirs", 1, 1, __version__)
    assert report.domain == ""
    assert stage.told == [("resolve", "numpy", DEFAULTS), ("kernel", 1, 1, (), WHOLE, None), "closed"]


def test_what_is_asked_for_is_passed_on(stage: Stage) -> None:
    def early(result: Result) -> None:
        """Is told of nothing."""

    options = TargetOptions(domain=Domain(("dense",)))
    report = check(
        "numpy", level=3, seed=0, require=["pack"], only=["pack.*", "unpack.*"], on_early=early, options=options
    )
    assert (report.level, report.seed, report.domain) == (3, 0, "layout dense")
    assert stage.told[1] == ("kernel", 3, 0, ("pack",), options.domain, early)
    assert [stage.wanted(name) for name in ("pack.bytes", "unpack.integers", "matmul.acc")] == [True, True, False]
    check("numpy", require="pack", only="pack.bytes", seed=2)
    assert stage.told[4] == ("kernel", 1, 2, ("pack",), WHOLE, None)
    assert [stage.wanted(name) for name in ("pack.bytes", "pack.behaves")] == [True, False]


def test_the_reference_is_held_to_its_laws(stage: Stage) -> None:
    stage.is_reference, stage.comes = True, ["law.a", "vectors.pack"]
    report = check("reference", only=["law.*", "vectors.*"], level=2, seed=9)
    assert stage.told[1] == ("reference", 2, 9)
    assert [result.name for result in report.results] == ["law.a", "vectors.pack"]


@pytest.mark.parametrize("is_reference", [True, False])
def test_vectors_are_replayed_instead_of_anything_else(stage: Stage, is_reference: bool, tmp_path: Path) -> None:
    stage.is_reference, stage.comes = is_reference, ["vectors.pack"]
    options = TargetOptions(domain=Domain(("dense",)))
    check("numpy", vectors=tmp_path, only=["vectors.p*", "vectors.none"], options=options)
    assert stage.told[1] == ("vectors", tmp_path, options.domain)


def test_results_are_told_of_as_they_come_and_reported_in_order(stage: Stage) -> None:
    stage.comes = ["matmul.acc", "pack.bytes", "quantize.refuses_nonfinite", "matmul.behaves", "pack.behaves"]
    told: list[str] = []
    report = check(object(), on_result=lambda result: told.append(result.name))
    assert told == stage.comes
    assert [result.name for result in report.results] == sorted(stage.comes, key=NAMES.index)
    stage.comes = ["vectors.z", "vectors.a", "vectors.k"]
    assert [result.name for result in check(object()).results] == stage.comes


def test_the_target_is_closed_though_who_is_told_fails(stage: Stage) -> None:
    def fail(result: Result) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        check("numpy", on_result=fail)
    assert stage.told[-1] == "closed"


# What is refused


def test_levels_and_seeds_that_there_are_not_are_refused(stage: Stage) -> None:
    assert refused(level=0) == "level: expected one of (1, 2, 3), got 0"
    assert refused(level=4) == "level: expected one of (1, 2, 3), got 4"
    assert refused(seed=-1) == "seed: expected an integer >= 0, got -1"
    assert refused(seed=-7) == "seed: expected an integer >= 0, got -7"
    assert stage.told == []


def test_only_operations_that_are_checked_can_be_required(stage: Stage) -> None:
    assert refused(require=["pack", "nothing"]).startswith("require: expected operations among ")
    assert refused(require="nothing").endswith(", got 'nothing'")
    for others in (["pack.*", "dequantize.*"], ["unpack.*"], ["calibrate.scale", "unpack.integers"], "*.behaves"):
        patterns = [others] if isinstance(others, str) else others
        told = f"require: quantize is left out by only = {', '.join(patterns)}"
        assert refused(require=["quantize"], only=others) == told
    assert refused(require=["pack"], vectors="here").startswith("require: cannot be joined with vectors")
    assert stage.told == []
    check("numpy", require=["quantize", "pack"], only=["quantize.i*", "pack.*"])
    check("numpy", require=iter(["pack"]))
    assert stage.told[4] == ("kernel", 1, 1, ("pack",), WHOLE, None)


@pytest.mark.parametrize("target", ["numpy", "zzz", "native"])
def test_a_pattern_that_no_check_of_a_named_target_matches_is_refused_at_once(stage: Stage, target: str) -> None:
    assert refused(target, only=["pack.*", "law.*", "none"]) == "only: no check matches law.*"
    assert refused(target, only="none") == "only: no check matches none"
    assert stage.told == []


def test_the_names_of_other_checks_are_known_when_they_come(stage: Stage) -> None:
    """Of the reference, of vectors and of objects a pattern may match nothing, but not all of them."""
    for target, vectors in (("reference", None), ("numpy", "here"), (object(), None), (object(), "here")):
        check(target, only=["pack.*", "none"], vectors=vectors)
        assert refused(target, only=["none", "n?ne"], vectors=vectors) == "only: no check matches none, n?ne"
        assert stage.told[-1] == "closed"


# Commands


def command_of(stage: Stage, target: object, **asked: Any) -> Any:
    check(target, **asked)
    return stage.command


def test_a_named_target_is_checked_again_by_a_command(stage: Stage) -> None:
    command = command_of(stage, "python:m:a b", level=2, seed=5)
    start = "q35ref check 'python:m:a b' --level 2 --seed 5 --only pack.bytes"
    assert command("pack.bytes") == start
    assert command("pack.bytes", "pack") == f"{start} --require pack"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (TargetOptions(abi="groq-mvp"), " --abi groq-mvp"),
        (TargetOptions(abi="zzz"), " --abi zzz"),
        (TargetOptions(timeout=5.0), " --timeout 5.0"),
        (TargetOptions(timeout=20.5), " --timeout 20.5"),
        (TargetOptions(correctly_rounded=True), " --correctly-rounded"),
        (TargetOptions(domain=Domain(("dense",), k_multiple=4)), " --layout dense --k-multiple 4"),
        (TargetOptions("a", 1.0, correctly_rounded=True), " --abi a --timeout 1.0 --correctly-rounded"),
    ],
)
def test_a_command_has_the_options_that_were_given(stage: Stage, options: TargetOptions, told: str) -> None:
    command = command_of(stage, "numpy", options=options)
    assert command("pack.bytes") == f"q35ref check numpy --level 1 --seed 1 --only pack.bytes{told}"


def test_an_object_is_checked_again_by_python(stage: Stage) -> None:
    command = command_of(stage, object(), level=2, seed=5)
    start = "q35ref.check(kernel, level=2, seed=5, only=['pack.bytes']"
    assert command("pack.bytes") == f"{start})"
    assert command("pack.bytes", "pack") == f"{start}, require=['pack'])"


def test_vectors_are_replayed_again_by_a_command_or_by_python(stage: Stage) -> None:
    """Levels and seeds say nothing of them."""
    command = command_of(stage, "numpy", vectors=Path("my vectors"))
    assert command("pack.bytes") == "q35ref check numpy --vectors 'my vectors' --only pack.bytes"
    command = command_of(stage, object(), vectors=Path("my vectors"))
    assert command("pack.bytes") == "q35ref.check(kernel, vectors='my vectors', only=['pack.bytes'])"
