"""From what a user names to a kernel that can be asked problems, whatever it is written in."""

import inspect
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast

from q35ref.backends import BACKENDS, OPERATIONS, get
from q35ref.backends.lpu import LpuBackend
from q35ref.backends.reference import ReferenceBackend
from q35ref.oracle.calls import Outcome, call, call_twice
from q35ref.oracle.domain import WHOLE, Domain
from q35ref.oracle.foreign.abi import ABIS
from q35ref.oracle.foreign.observe import EXPECTED, Observer
from q35ref.oracle.foreign.pipe import PipeClient
from q35ref.oracle.foreign.process import CannotStart, KernelProcess
from q35ref.oracle.foreign.script import c_script, python_script, write
from q35ref.oracle.judge import Mismatch
from q35ref.oracle.problem import Problem
from q35ref.reference.lanes import Layout

TIMEOUT: Final = 10.0
"""Seconds that a call may take unless told otherwise."""

MOST_SECONDS: Final = 3600
"""No call may take longer."""

MOST_DEATHS: Final = 3
"""Calls of an operation that may end the kernel's process before the operation is given up."""


class TargetError(ValueError):
    """A target that cannot be found or loaded."""


class Target(Protocol):
    """A kernel under test."""

    name: str
    correctly_rounded: bool

    def lack(self, operation: str) -> str:
        """Return why an operation is not there, or nothing."""

    def pose(self, problem: Problem) -> Problem | None:
        """Return a problem in the form in which this kernel can be asked it, or nothing."""

    def call(self, problem: Problem) -> Outcome:
        """Ask it a problem."""

    def answer(self, problem: Problem) -> Outcome:
        """Ask it a problem once, for its result alone: what it does besides is not looked at."""

    def fault_again(self, problem: Problem, fault: Mismatch) -> Mismatch | None:
        """Ask it a problem to see a fault of the same kind; return it, or nothing."""

    def given_up(self, operation: str) -> bool:
        """Whether there is no sense in further problems of an operation."""

    def code(self, problem: Problem, fault: Mismatch | None = None) -> str:
        """Return Python that asks it the problem without the oracle, so that the fault shows if there is one."""

    def forget(self) -> bool:
        """Make the next call the first one that the kernel gets, if that can be done; say whether."""

    def close(self) -> None:
        """Leave nothing running."""


class ObjectTarget:
    """An object in this process: our own backends, and what a test hands over."""

    def __init__(self, kernel: object, name: str = "") -> None:
        self.kernel = kernel
        self.name = name or str(getattr(kernel, "name", None) or type(kernel).__name__)
        self.correctly_rounded = bool(getattr(kernel, "correctly_rounded", False))

    def lack(self, operation: str) -> str:
        """See :meth:`Target.lack`."""
        return "" if callable(getattr(self.kernel, operation, None)) else f"the target has no {operation}"

    def pose(self, problem: Problem) -> Problem | None:
        """See :meth:`Target.pose`. Our simulator says what its chip has room for."""
        if problem.operation != "matmul" or not isinstance(self.kernel, LpuBackend):
            return problem
        shape = problem.m, problem.k, problem.n
        holds = self.kernel.holds(*shape, cast("Layout", problem.layout), problem.group_size, problem.narrow_gain)
        return problem if holds else None

    def call(self, problem: Problem) -> Outcome:
        """See :meth:`Target.call`."""
        return call_twice(self.kernel, problem)

    def answer(self, problem: Problem) -> Outcome:
        """See :meth:`Target.answer`."""
        return call(self.kernel, problem)

    def fault_again(self, problem: Problem, fault: Mismatch) -> Mismatch | None:
        """See :meth:`Target.fault_again`."""
        return _of_kind(self.call(problem), fault)

    def given_up(self, operation: str) -> bool:
        """See :meth:`Target.given_up`."""
        return False

    def code(self, problem: Problem, fault: Mismatch | None = None) -> str:
        """See :meth:`Target.code`."""
        return problem.code()

    def forget(self) -> bool:
        """See :meth:`Target.forget`."""
        return False

    def close(self) -> None:
        """See :meth:`Target.close`."""


class ForeignTarget:
    """A kernel in a process of its own: what it does there ends with it."""

    def __init__(self, name: str, about: dict[str, Any], timeout: float, correctly_rounded: bool) -> None:
        self.name, self.about = name, about
        try:
            self.process = KernelProcess(about, timeout)
        except CannotStart as error:
            raise TargetError(f"target {name}: {error}") from error
        self.offered = self.process.offered
        self.correctly_rounded = correctly_rounded or bool(self.offered["correctly_rounded"])
        self.deaths: Counter[str] = Counter()
        self._observer = Observer(self.process)
        if not self.offered["operations"]:
            self.close()
            raise TargetError(f"target {name}: expected some of {self._expected()}, found none")

    def _expected(self) -> str:
        if "abi" in self.about:
            symbols = ABIS[self.about["abi"]].symbols.values()
            return f"the functions {', '.join(name for names in symbols for name in names)}"
        return f"the methods {', '.join(OPERATIONS)}"

    def lack(self, operation: str) -> str:
        """See :meth:`Target.lack`."""
        return "" if operation in self.offered["operations"] else f"the target has no {operation}"

    def pose(self, problem: Problem) -> Problem | None:
        """See :meth:`Target.pose`."""
        if "abi" not in self.about:
            return problem
        return ABIS[self.about["abi"]].pose(problem, self.offered["functions"])

    def call(self, problem: Problem) -> Outcome:
        """See :meth:`Target.call`."""
        outcome = self._observer.observe(problem.operation, problem.arguments())
        _count_deaths(self.deaths, problem, outcome)
        return outcome

    def answer(self, problem: Problem) -> Outcome:
        """See :meth:`Target.answer`."""
        outcome = self._observer.answer(problem.operation, problem.arguments())
        _count_deaths(self.deaths, problem, outcome)
        return outcome

    def fault_again(self, problem: Problem, fault: Mismatch) -> Mismatch | None:
        """See :meth:`Target.fault_again`."""
        return self._observer.again(problem.operation, problem.arguments(), fault)

    def given_up(self, operation: str) -> bool:
        """See :meth:`Target.given_up`."""
        return self.deaths[operation] >= MOST_DEATHS

    def code(self, problem: Problem, fault: Mismatch | None = None) -> str:
        """See :meth:`Target.code`."""
        if "abi" in self.about:
            abi = ABIS[self.about["abi"]]
            call = abi.call(problem.operation, problem.arguments())
            return write(c_script(call, self.about["path"], self.offered["threads"]), fault)
        module, path = self.about["module"], self.about["object"]
        load = f"import {module}", f"kernel = {module}.{path}{self.offered['made_by']}"
        return write(python_script(problem, load), fault)

    def forget(self) -> bool:
        """See :meth:`Target.forget`."""
        self.process.close()
        return True

    def close(self) -> None:
        """See :meth:`Target.close`."""
        self.process.close()


class PipeTarget:
    """A program that answers a line for a line."""

    def __init__(self, name: str, command: str, timeout: float, correctly_rounded: bool) -> None:
        self.name, self.correctly_rounded = name, correctly_rounded
        try:
            self.client = PipeClient(command, timeout)
        except CannotStart as error:
            raise TargetError(f"target {name}: {error}") from error
        self.deaths: Counter[str] = Counter()

    def lack(self, operation: str) -> str:
        """See :meth:`Target.lack`."""
        return "" if self.client.has(operation) else f"the client answers ? to {operation}"

    def pose(self, problem: Problem) -> Problem | None:
        """See :meth:`Target.pose`."""
        return None if problem.large else problem  # large ones are for threads; a simulator would take minutes

    def call(self, problem: Problem) -> Outcome:
        """See :meth:`Target.call`."""
        outcome = self.client.observe(problem)
        _count_deaths(self.deaths, problem, outcome)
        return outcome

    def answer(self, problem: Problem) -> Outcome:
        """See :meth:`Target.answer`."""
        return self.call(problem)

    def fault_again(self, problem: Problem, fault: Mismatch) -> Mismatch | None:
        """See :meth:`Target.fault_again`."""
        return _of_kind(self.client.observe(problem), fault)

    def given_up(self, operation: str) -> bool:
        """See :meth:`Target.given_up`."""
        return self.deaths[operation] >= MOST_DEATHS

    def code(self, problem: Problem, fault: Mismatch | None = None) -> str:
        """See :meth:`Target.code`."""
        return self.client.code(problem, fault)

    def forget(self) -> bool:
        """See :meth:`Target.forget`."""
        self.client.close()
        return True

    def close(self) -> None:
        """See :meth:`Target.close`."""
        self.client.close()


def _count_deaths(deaths: Counter[str], problem: Problem, outcome: Outcome) -> None:
    """Count a call that ended the kernel's process; one that hung counts for all that are allowed."""
    for fault in outcome.faults:
        if fault.kind in EXPECTED:
            deaths[problem.operation] += {"hang": MOST_DEATHS}.get(fault.kind, 1)


def _of_kind(outcome: Outcome, fault: Mismatch) -> Mismatch | None:
    return next((found for found in outcome.faults if found.kind == fault.kind), None)


@dataclass(frozen=True)
class TargetOptions:
    """How a foreign kernel is run."""

    abi: str = "q35"
    """``q35`` or ``groq-mvp``, for ``c:``."""
    timeout: float = TIMEOUT
    """Seconds that a call may take."""
    correctly_rounded: bool = False
    """Whether a kernel that cannot say so claims to be correctly rounded."""
    domain: Domain = WHOLE
    """The part of the format that it has."""

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= MOST_SECONDS:
            raise ValueError(f"timeout: expected seconds above 0, up to {MOST_SECONDS}, got {self.timeout}")


DEFAULTS: Final = TargetOptions()


def resolve(target: object, options: TargetOptions = DEFAULTS) -> Target:
    """Return what a user names.

    ``reference``, ``numpy``, ``native``; ``python:MODULE:OBJECT``, where the module is looked for in the current folder
    too, and an object that is a class is made without arguments; ``c:PATH``, a shared library; ``pipe:COMMAND``, a
    program. Anything but text is taken as an object with some of the protocol's methods, in this process.
    Errors: TargetError.
    """
    if not isinstance(target, str):
        return ObjectTarget(target() if inspect.isclass(target) else target)
    if target in BACKENDS:
        try:
            return ObjectTarget(get(target), target)
        except ValueError as error:
            raise TargetError(f"target {target}: {error}") from error
    kind, _, rest = target.partition(":")
    module, _, name = rest.partition(":")
    if kind == "python" and module and name:
        about = {"kind": "python", "module": module, "object": name}
        return ForeignTarget(target, about, options.timeout, options.correctly_rounded)
    if kind == "c" and rest:
        return ForeignTarget(target, _library(target, rest, options.abi), options.timeout, options.correctly_rounded)
    if kind == "pipe" and rest.strip():
        return PipeTarget(target, rest, options.timeout, options.correctly_rounded)
    expected = ", ".join([*BACKENDS, "python:MODULE:OBJECT", "c:PATH", "pipe:COMMAND"])
    raise TargetError(f"target: expected one of {expected}, got {target!r}")


def _library(target: str, name: str, abi: str) -> dict[str, Any]:
    if abi not in ABIS:
        raise TargetError(f"abi: expected one of {', '.join(ABIS)}, got {abi!r}")
    path = Path(name)
    if not path.is_file():
        raise TargetError(f"target {target}: there is no file {name}")
    return {"kind": "c", "path": str(path.resolve()), "abi": abi}


def is_reference(target: Target) -> bool:
    """Whether it is the specification itself, which no comparison could fail."""
    return isinstance(target, ObjectTarget) and isinstance(target.kernel, ReferenceBackend)
