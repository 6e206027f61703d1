"""A target that does as it is told, small problems that are told apart by a number, and a clock that is set."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from q35ref.oracle.calls import Outcome
from q35ref.oracle.judge import Mismatch
from q35ref.oracle.problem import Problem
from q35ref.oracle.report import Report, Result
from q35ref.oracle.runner import kernel_results
from tests.oracle.written_arrays import int8

MOST = 128
"""Problems that can be told apart."""


def numbered(number: int) -> Problem:
    """Return the problem of packing the pair of this number: a wide integer, and a narrow one."""
    return Problem("pack", 2, {"q": int8([number // 8 - 8], [number % 8 - 4])}, origin=f"number({number})")


def number_of(problem: Problem) -> int:
    """Return a problem's number."""
    (wide,), (narrow,) = problem.arrays["q"].tolist()
    return int(8 * (wide + 8) + narrow + 4)


def packed(number: int, wrong: int = 0) -> Any:
    """Return the byte of a pair, with some bits wrong."""
    wide, narrow = number // 8 - 8, number % 8 - 4
    return np.array([[((wide & 15) << 3 | narrow & 7) ^ wrong]], np.uint8)


def right(number: int) -> Outcome:
    """Return the right answer."""
    return Outcome(packed(number))


def wrong(number: int) -> Outcome:
    """Return a wrong answer."""
    return Outcome(packed(number, 1))


def fault(kind: str, number: int = 0) -> Mismatch:
    """Return a fault that tells the number of its problem."""
    return Mismatch(kind, f"place {number}", f"got {number}", "expected")


def ended(number: int, kind: str = "crash") -> Outcome:
    """Return the outcome of a call that the kernel did not survive."""
    return Outcome(faults=(fault(kind, number), fault("overread", number)), answered=False)


@dataclass
class Scripted:
    """A target whose calls come to what a function of the problem's number says."""

    does: Callable[[int], Outcome] = right
    alone: Callable[[int], Outcome] | None = None
    """What a call for its result alone comes to; the same unless given."""
    lacks: dict[str, str] = field(default_factory=dict)
    correctly_rounded: bool = False
    faults: Callable[[int, Mismatch], Mismatch | None] = lambda number, like: like
    """What asking for a fault again comes to."""
    refused: tuple[int, ...] = ()
    """Problems that it cannot be asked."""
    gives_up_after: int = MOST
    """Calls after which it is given up."""
    forgets: bool = False
    name: str = "scripted"
    asked: list[int] = field(default_factory=list)
    """The problems of all calls, in order."""
    asked_alone: list[int] = field(default_factory=list)
    asked_again: list[int] = field(default_factory=list)
    codes: list[tuple[int, Mismatch | None]] = field(default_factory=list)
    forgot: int = 0
    """Calls that had been made when it was last told to forget."""

    def lack(self, operation: str) -> str:
        return self.lacks.get(operation, "")

    def pose(self, problem: Problem) -> Problem | None:
        return None if number_of(problem) in self.refused else problem

    def call(self, problem: Problem) -> Outcome:
        self.asked.append(number_of(problem))
        return self.does(number_of(problem))

    def answer(self, problem: Problem) -> Outcome:
        self.asked_alone.append(number_of(problem))
        return (self.alone or self.does)(number_of(problem))

    def fault_again(self, problem: Problem, fault: Mismatch) -> Mismatch | None:
        self.asked_again.append(number_of(problem))
        return self.faults(number_of(problem), fault)

    def given_up(self, operation: str) -> bool:
        return len(self.asked) >= self.gives_up_after

    def code(self, problem: Problem, fault: Mismatch | None = None) -> str:
        self.codes.append((number_of(problem), fault))
        return f"code of {number_of(problem)}"

    def forget(self) -> bool:
        self.forgot = len(self.asked) + len(self.asked_alone)
        return self.forgets

    def close(self) -> None:
        """Nothing runs."""


def command(name: str, require: str = "") -> str:
    """Return what runs a check again."""
    return f"again {name} {require}".strip()


def results(kernel: Any, *names: str, **options: Any) -> Iterator[Result]:
    """Check some rules, by name, of a target."""
    report = Report(kernel.name, 1, 1, "0")
    required = options.pop("required", ())
    return kernel_results(kernel, report, required, lambda name: name in names, command, **options)


@dataclass
class Clock:
    """In the place of the module ``time``."""

    now: float = 1000.0
    tick: float = 0.0
    """Seconds that go by with each look at the time."""

    def monotonic(self) -> float:
        """Return the time."""
        self.now += self.tick
        return self.now

    perf_counter = monotonic
