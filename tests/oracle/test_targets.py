"""Targets by themselves: what a name stands for, and what is passed on to the process, the program or the object."""

from dataclasses import FrozenInstanceError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from q35ref.backends import OPERATIONS
from q35ref.backends.lpu import LpuBackend
from q35ref.backends.numpy import NumpyBackend
from q35ref.backends.reference import ReferenceBackend
from q35ref.oracle import targets
from q35ref.oracle.calls import Outcome
from q35ref.oracle.cases import smallest
from q35ref.oracle.judge import Mismatch
from q35ref.oracle.problem import Problem
from q35ref.oracle.targets import (
    DEFAULTS,
    ForeignTarget,
    ObjectTarget,
    PipeTarget,
    TargetError,
    TargetOptions,
    is_reference,
    resolve,
)
from tests.oracle.played_host import Host

PACK = smallest("pack")

LARGE = Problem("pack", 1 << 16, {"q": np.zeros((1 << 16, 4), np.int8)})


def fault(kind: str, got: str = "") -> Mismatch:
    return Mismatch(kind, "", got, "")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    played = Host()
    monkeypatch.setattr(targets, "KernelProcess", played.process)
    monkeypatch.setattr(targets, "Observer", played.observer)
    monkeypatch.setattr(targets, "PipeClient", played.client)
    monkeypatch.setattr(targets, "ABIS", {"q35": played.abi(), "other": played.abi()})
    monkeypatch.setattr(targets, "c_script", lambda *parts: ("c", *parts))
    monkeypatch.setattr(targets, "python_script", lambda *parts: ("python", *parts))
    monkeypatch.setattr(targets, "write", lambda script, fault: (script, fault))
    return played


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "kernel.so"
    path.touch()
    return path


# Objects


class Packs:
    """A kernel with one operation."""

    matmul = "no method"

    def __init__(self) -> None:
        self.calls = 0

    def pack(self, q: Any, layout: Any) -> Any:
        self.calls += 1
        q[0, 0] = 7
        return q


def test_an_object_is_called_by_its_name_or_its_classs_and_claims_nothing_by_itself() -> None:
    assert (ObjectTarget(Packs()).name, ObjectTarget(Packs(), "mine").name) == ("Packs", "mine")
    named = SimpleNamespace(name="theirs", correctly_rounded=True)
    assert (ObjectTarget(named).name, ObjectTarget(named).correctly_rounded) == ("theirs", True)
    assert ObjectTarget(SimpleNamespace(name=None)).name == "SimpleNamespace"
    assert ObjectTarget(Packs()).correctly_rounded is False


def test_an_object_lacks_what_cannot_be_called() -> None:
    target = ObjectTarget(Packs())
    assert target.lack("pack") == ""
    assert target.lack("unpack") == "the target has no unpack"
    assert target.lack("matmul") == "the target has no matmul"


def test_an_object_is_called_twice_or_for_its_result_alone_once() -> None:
    kernel = Packs()
    target = ObjectTarget(kernel)
    outcome = target.call(PACK)
    assert (kernel.calls, outcome.faults[0].kind) == (2, "modified input")
    assert outcome.result.tolist() == target.answer(PACK).result.tolist() == [[7], [1]]
    assert kernel.calls == 3
    assert target.fault_again(PACK, fault("modified input")) == outcome.faults[0]
    for kind in ("a", "z"):
        assert target.fault_again(PACK, fault(kind)) is None


def test_of_several_faults_the_first_of_the_kind_is_seen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = (fault("m", "1"), fault("a", "2"), fault("z", "3"), fault("m", "4"))
    monkeypatch.setattr(targets, "call_twice", lambda kernel, problem: Outcome(faults=faults))
    target = ObjectTarget(Packs())
    assert [target.fault_again(PACK, fault(kind)) for kind in "maz"] == list(faults[:3])


def test_an_object_is_never_given_up_nor_made_to_forget() -> None:
    """Its code is the problem's own."""
    target = ObjectTarget(Packs())
    assert target.given_up("pack") is False
    assert target.forget() is False
    assert target.code(PACK, fault("crash")) == PACK.code()
    target.close()


class Chip(LpuBackend):
    """Our simulator, which says what it has room for."""

    def __init__(self, room: bool) -> None:
        self.room, self.asked = room, list[Any]()

    def holds(self, *shape: Any) -> bool:
        self.asked.append(shape)
        return self.room


@pytest.mark.parametrize("operation", OPERATIONS)
def test_our_simulator_is_asked_matmuls_alone_that_it_has_room_for(operation: str) -> None:
    """Anything else, and whatever another kernel is asked, is asked as it is."""
    problem = smallest(operation)
    full, wide = Chip(room=False), Chip(room=True)
    assert ObjectTarget(wide).pose(problem) is problem
    assert ObjectTarget(NumpyBackend()).pose(problem) is problem
    assert ObjectTarget(full).pose(problem) is (None if operation == "matmul" else problem)
    assert full.asked == wide.asked == ([(1, 2, 1, "byte", 0, 2)] if operation == "matmul" else [])


# Kernels in a process


def made(host: Host, **about: Any) -> ForeignTarget:
    described = about or {"kind": "python", "module": "m", "object": "a.b"}
    return ForeignTarget("mine", described, 7.0, correctly_rounded=False)


def in_c(host: Host) -> ForeignTarget:
    return made(host, kind="c", path="/k.so", abi="q35")


def test_a_kernel_in_a_process_offers_what_it_has(host: Host) -> None:
    target = made(host)
    assert host.told == [("process", target.about, 7.0)]
    assert (target.lack("pack"), target.lack("matmul"), target.lack("unpack")) == ("", "", "the target has no unpack")


@pytest.mark.parametrize(("told", "offered"), [(False, False), (True, False), (False, True), (True, True)])
def test_correct_rounding_is_claimed_by_the_user_or_by_the_kernel(host: Host, told: bool, offered: bool) -> None:
    host.offered["correctly_rounded"] = offered
    target = ForeignTarget("mine", {"kind": "python"}, 7.0, told)
    assert target.correctly_rounded is (told or offered)


def test_a_kernel_that_cannot_be_loaded_or_offers_nothing_is_no_target(host: Host) -> None:
    """Its process is ended."""
    host.offered["operations"] = []
    with pytest.raises(TargetError, match=r"^target mine: expected some of the methods pack, unpack, .*, found none$"):
        made(host)
    with pytest.raises(TargetError, match=r"^target mine: expected some of the functions f, g, h, found none$"):
        in_c(host)
    assert [told[0] for told in host.told] == ["process", "close"] * 2
    host.fails = True
    with pytest.raises(TargetError, match=r"^target mine: it has no legs$"):
        made(host)


def test_a_c_kernel_is_asked_as_its_abi_has_it_and_any_other_as_it_is(host: Host) -> None:
    assert made(host).pose(PACK) is PACK
    posed: Any = in_c(host).pose(PACK)
    assert posed == (PACK, ["f", "g"])


def test_calls_are_passed_on_to_the_observer(host: Host) -> None:
    target = made(host)
    host.told.clear()
    assert target.call(PACK) is host.outcome
    assert target.answer(PACK) is host.outcome
    assert target.fault_again(PACK, fault("crash")) == fault("crash")
    arguments = ["q", "layout"]
    again = ("again", "pack", arguments, fault("crash"))
    assert host.told == [("observe", "pack", arguments), ("answer", "pack", arguments), again]


def test_the_code_of_a_finding_is_in_the_kernels_language(host: Host) -> None:
    load = ("import m", "kernel = m.a.b()")
    codes: list[Any] = [made(host).code(PACK, fault("crash")), in_c(host).code(PACK)]
    assert codes[0] == (("python", PACK, load), fault("crash"))
    assert codes[1] == (("c", ("pack", ["q", "layout"]), "/k.so", True), None)


def test_a_kernel_in_a_process_forgets_when_the_process_ends(host: Host) -> None:
    for target in (made(host), PipeTarget("mine", "cmd", 1.0, correctly_rounded=False)):
        host.told.clear()
        assert target.forget() is True
        assert host.told == [("close",)]
        target.close()
        assert host.told == [("close",), ("close",)]


@pytest.mark.parametrize("is_pipe", [False, True])
@pytest.mark.parametrize("ask", ["call", "answer"])
def test_after_three_ends_of_the_process_or_one_hang_an_operation_is_given_up(
    host: Host, is_pipe: bool, ask: str
) -> None:
    """Each operation by itself; what the kernel does beside its work and lives through does not count."""
    for kinds in (["crash", "exit", "crash", "crash"], ["hang", "crash"], ["crash", "hang"], ["exit", "overread"]):
        target = PipeTarget("mine", "cmd", 1.0, correctly_rounded=False) if is_pipe else made(host)
        weight = 0
        assert not target.given_up("pack")
        for kind in kinds:
            host.outcome = Outcome(faults=(fault("overread"), fault(kind)))
            getattr(target, ask)(PACK)
            weight += {"hang": 3, "overread": 0}.get(kind, 1)
            assert target.given_up("pack") is (weight >= 3)
            assert not target.given_up("matmul")


# Programs


def test_a_program_is_asked_by_its_client(host: Host) -> None:
    target = PipeTarget("mine", "cmd", 3.0, correctly_rounded=True)
    assert host.told == [("client", "cmd", 3.0)]
    assert (target.name, target.correctly_rounded) == ("mine", True)
    assert (target.lack("pack"), target.lack("matmul")) == ("", "the client answers ? to matmul")
    host.outcome = Outcome("result", faults=(fault("a"), fault("crash", "1"), fault("crash", "2")))
    assert target.call(PACK) is host.outcome
    assert target.answer(PACK) is host.outcome
    assert target.fault_again(PACK, fault("crash")) == fault("crash", "1")
    assert target.fault_again(PACK, fault("hang")) is None
    code: Any = target.code(PACK, fault("crash"))
    assert code == (PACK, fault("crash"))


def test_a_program_is_not_asked_large_problems(host: Host) -> None:
    target = PipeTarget("mine", "cmd", 3.0, correctly_rounded=True)
    assert target.pose(PACK) is PACK
    assert target.pose(LARGE) is None


def test_a_program_that_cannot_be_started_is_no_target(host: Host) -> None:
    host.fails = True
    with pytest.raises(TargetError, match=r"^target mine: it has no legs$"):
        PipeTarget("mine", "cmd", 3.0, correctly_rounded=True)


# Options


def test_a_call_may_take_ten_seconds_unless_told_otherwise_and_an_hour_at_most() -> None:
    assert (DEFAULTS.timeout, DEFAULTS.abi, DEFAULTS.correctly_rounded) == (10, "q35", False)
    for legal in (0.001, 1.0, 3599.5, 3600.0):
        assert TargetOptions(timeout=legal).timeout == legal
    for illegal in (0.0, -0.5, -1.0, 3600.5, 3601.0, 1e9, float("nan")):
        with pytest.raises(ValueError, match=rf"^timeout: expected seconds above 0, up to 3600, got {illegal}$"):
            TargetOptions(timeout=illegal)
    with pytest.raises(FrozenInstanceError):
        setattr(DEFAULTS, "timeout", 1.0)  # noqa: B010


# Names


def test_an_object_is_taken_as_it_is_and_a_class_is_made() -> None:
    kernel = Packs()
    target = resolve(kernel)
    assert isinstance(target, ObjectTarget)
    assert target.kernel is kernel
    of_class = resolve(Packs)
    assert isinstance(of_class, ObjectTarget)
    assert isinstance(of_class.kernel, Packs)


def test_our_own_backends_have_names(monkeypatch: pytest.MonkeyPatch) -> None:
    target = resolve("numpy")
    assert isinstance(target, ObjectTarget)
    assert isinstance(target.kernel, NumpyBackend)
    assert target.name == "numpy"

    def missing(name: str) -> Any:
        raise ValueError("no compiler")

    monkeypatch.setattr(targets, "get", missing)
    with pytest.raises(TargetError, match=r"^target native: no compiler$"):
        resolve("native")


def test_only_the_reference_is_the_reference(host: Host) -> None:
    assert is_reference(resolve("reference"))
    assert is_reference(ObjectTarget(ReferenceBackend()))
    assert not is_reference(resolve("numpy"))
    assert not is_reference(made(host))


def test_a_python_object_a_library_and_a_program_have_names(host: Host, library: Path) -> None:
    options = TargetOptions("other", 5.0, correctly_rounded=True)
    for name, expected in (
        ("python:m:a.b", ("process", {"kind": "python", "module": "m", "object": "a.b"}, 5.0)),
        ("python:m:a:b", ("process", {"kind": "python", "module": "m", "object": "a:b"}, 5.0)),
        (f"c:{library}", ("process", {"kind": "c", "path": str(library), "abi": "other"}, 5.0)),
        ("pipe:run it: now", ("client", "run it: now", 5.0)),
    ):
        host.told.clear()
        target = resolve(name, options)
        assert (target.name, target.correctly_rounded, host.told) == (name, True, [expected])


def test_a_library_is_named_from_the_current_folder(host: Host, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(library.parent)
    target = resolve("c:kernel.so")
    assert isinstance(target, ForeignTarget)
    assert target.about["path"] == str(library.resolve())
    assert target.about["abi"] == "q35"


def test_a_library_that_is_not_there_or_an_abi_that_nobody_knows_is_refused(host: Host, library: Path) -> None:
    for name in (f"{library}x", str(library.parent)):
        with pytest.raises(TargetError) as caught:
            resolve(f"c:{name}")
        assert str(caught.value) == f"target c:{name}: there is no file {name}"
    with pytest.raises(TargetError, match=r"^abi: expected one of q35, other, got 'third'$"):
        resolve(f"c:{library}", TargetOptions("third"))


@pytest.mark.parametrize(
    "name",
    ["", "nothing", "python", "python:", "python:m", "python:m:", "python::o", "c", "c:", "pipe", "pipe:", "pipe:  "]
    + [f"{kind}:m:o" for kind in ("a", "d", "lua", "o", "pipes", "pythons", "zig", "C", "")],
)
def test_any_other_name_is_refused_and_says_what_there_is(host: Host, name: str) -> None:
    with pytest.raises(TargetError) as caught:
        resolve(name)
    there_is = "python:MODULE:OBJECT, c:PATH, pipe:COMMAND"
    assert str(caught.value).endswith(f"{there_is}, got {name!r}")
    assert str(caught.value).startswith("target: expected one of reference, ")
    assert host.told == []
