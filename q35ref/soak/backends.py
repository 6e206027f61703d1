"""Who is asked: NumPy, the native kernel by instruction set and number of threads, the simulator, other targets."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from q35ref.backends.lpu import LpuBackend
from q35ref.backends.native import NativeBackend, NativeUnavailable
from q35ref.backends.native.library import ISA_VARIABLE, THREADS_VARIABLE, Library
from q35ref.backends.numpy import NumpyBackend
from q35ref.oracle.calls import Outcome
from q35ref.oracle.problem import Problem
from q35ref.oracle.targets import ObjectTarget, Target, resolve

THREADS: Final = (2, 3, 7, 16)
"""Numbers of threads beside one."""

THREADED: Final = 1 << 14
"""Products or weights from which on all of those are asked, and every instruction set; below, one each by turns."""

SIMULATED: Final = 1 << 12
"""Products up to which the simulator is asked, which takes a while..."""

SIMULATED_TURN: Final = 4
"""...and one of how many problems it is asked."""


@dataclass(frozen=True)
class Setting:
    """A backend as it is set up for a call."""

    name: str
    target: Target
    spec: str
    """What ``q35ref check`` calls the target."""
    environment: str = ""
    """Variables for that command, each with a blank behind it."""
    prepare: Callable[[], None] = lambda: None
    """Sets it up."""
    same_bits: bool = False
    """Whether it gives the same bits as every other setting of which this holds."""

    def answer(self, problem: Problem) -> Outcome:
        """Ask a problem."""
        self.prepare()
        return self.target.answer(problem)


class Lineup:
    """Everybody who is asked. Use it in a ``with`` block, which leaves the native kernel as it was found.

    ``also`` holds more targets as ``q35ref check`` knows them, or objects. Errors: TargetError for one that cannot be
    found; ValueError for a native kernel that is older than its sources.
    """

    def __init__(self, also: Sequence[object] = ()) -> None:
        self._numpy = Setting("numpy", ObjectTarget(NumpyBackend()), "numpy")
        self._lpu = Setting("lpu", ObjectTarget(LpuBackend()), "lpu")
        self.missing = ""
        self._native: list[list[Setting]] = []
        try:
            native = NativeBackend()
            self._native = [_native(native, isa) for isa in native.library.isas]
            self._library: Library | None = native.library
        except NativeUnavailable as error:
            self.missing, self._library = str(error), None
        self._also = [_other(target) for target in also]

    @property
    def names(self) -> tuple[str, ...]:
        """Everybody, threads left out: counts of runs with the same names may be added up."""
        native = [settings[0] for settings in self._native]
        return tuple(one.name for one in (self._numpy, *native, self._lpu, *self._also))

    def __enter__(self) -> "Lineup":
        return self

    def __exit__(self, *_: object) -> None:
        for setting in self._also:
            setting.target.close()

    @contextlib.contextmanager
    def as_found(self) -> Iterator[None]:
        """Leave the native kernel's instruction set and threads as they were when the block ends."""
        if self._library is None:
            yield
            return
        isa, threads = self._library.isa, self._library.threads
        try:
            yield
        finally:
            self._library.use_isa(isa)
            self._library.use_threads(threads)

    def asked(self, number: int, problem: Problem) -> list[Setting]:
        """Return who is asked a problem, NumPy first: a function of the problem and its number alone."""
        found = [self._numpy]
        if self._native and problem.size >= THREADED:
            found += [setting for settings in self._native for setting in settings]
        elif self._native:
            found += [settings[0] for settings in self._native]
            turn, place = divmod(number, len(THREADS))
            found.append(self._native[turn % len(self._native)][1 + place])
        if problem.size <= SIMULATED and number % SIMULATED_TURN == 0:
            found.append(self._lpu)
        found += self._also
        return [one for one in found if _can_answer(one.target, problem)]


def _can_answer(target: Target, problem: Problem) -> bool:
    operation = problem.operation
    if target.lack(operation) or target.given_up(operation):
        return False
    return target.pose(problem) is problem


def _native(native: NativeBackend, isa: str) -> list[Setting]:
    """Return the settings of an instruction set: one thread first, then each other number of them."""
    target = ObjectTarget(native)

    def prepare(threads: int) -> Callable[[], None]:
        def prepared() -> None:
            native.library.use_isa(isa)
            native.library.use_threads(threads)

        return prepared

    return [
        Setting(
            f"native {isa}" + (f", {threads} threads" if threads > 1 else ""),
            target,
            "native",
            f"{ISA_VARIABLE}={isa} {THREADS_VARIABLE}={threads} ",
            prepare(threads),
            same_bits=True,
        )
        for threads in (1, *THREADS)
    ]


def _other(target: object) -> Setting:
    found = resolve(target)
    return Setting(found.name, found, target if isinstance(target, str) else f"python:MODULE:{found.name}")
