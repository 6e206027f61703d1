"""Stand-ins for a kernel's process: they answer in this one, and keep what they were asked."""

from collections.abc import Callable
from typing import Any

import numpy as np

from q35ref.oracle.foreign.observe import Observer
from q35ref.oracle.foreign.process import Death, KernelProcess

Call = dict[str, Any]
"""A request, as the worker gets it."""

Kernel = Callable[[Call], "Call | Death"]

CRASH, HANG, EXIT = Death("crash", "SIGSEGV"), Death("hang", "no answer"), Death("exit", "status 3")

ONE = {"fill": 0xA5, "threads": 1, "side": "", "sides": {}, "sealed": (), "left_out": ()}
"""The conditions of a first call."""


class FakeProcess(KernelProcess):
    """Answers by a function."""

    def __init__(self, kernel: Kernel, **offered: Any) -> None:
        self.kernel, self.offered = kernel, offered
        self.asked: list[Call] = []
        self.closed = 0

    def request(self, message: Call) -> Call | Death:
        self.asked.append(message)
        return self.kernel(message)

    def close(self) -> None:
        self.closed += 1

    @property
    def conditions(self) -> list[Call]:
        """What differed from the first call in each."""
        return [{name: call[name] for name, usual in ONE.items() if call[name] != usual} for call in self.asked]


def watched(kernel: Kernel, **offered: Any) -> tuple[Observer, FakeProcess]:
    """Return an observer of a fake kernel, and the kernel's process."""
    process = FakeProcess(kernel, **offered)
    return Observer(process), process


def says(result: Any = 0, *faults: str, **more: Any) -> Call:
    """Return a worker's answer; a number is the one number of an array, a fault is its kind."""
    told = [[kind, "q", "got", "expected"] for kind in faults]
    part = np.array([result], np.int8) if isinstance(result, int) else result
    names = {"inputs": ["q"], "outputs": ["packed"], "optional": []}
    return {"result": part, "raised": None, "faults": told, **names, **more}


def says_three(call: Call, acc: int = 0, row_sum: int = 0, out: float = 0, *faults: str) -> Call:
    """Return the answer of a matmul, without what is not asked for."""
    parts = {"acc": np.array([acc], "i4"), "row_sum": np.array([row_sum], "i4"), "out": np.array([out], "f4")}
    result = tuple(None if name in call["left_out"] else part for name, part in parts.items())
    return says(result, *faults, inputs=["a", "packed"], outputs=list(parts), optional=list(parts))
