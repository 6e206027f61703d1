"""What a kernel's worker has to do with, none of it real: a library, settings, and requests."""

import os
from collections.abc import Callable
from typing import Any

from q35ref.oracle.cases import smallest
from q35ref.oracle.foreign.environment import Environment


class Settings(Environment):
    """Settings of a floating-point unit that is not there."""

    def __init__(self) -> None:
        self.now = (0x37F, 0xFFFF, 0x1F80)
        self.restored = 0

    def read(self) -> tuple[int, ...]:
        return self.now

    def restore(self) -> None:
        self.restored += 1
        self.now = (0x37F, 0xFFFF, 0x1F80)


class Function:
    """A function of a library."""

    def __init__(self, does: Callable[..., Any]) -> None:
        self.does = does
        self.restype: Any = "not said"
        self.passed: tuple[Any, ...] = ()

    def __call__(self, *passed: Any) -> Any:
        self.passed = passed
        return self.does(*passed)


class Library:
    """What is loaded instead of a shared library."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        for name, does in functions.items():
            setattr(self, name, Function(does))


def asked(operation: str, **conditions: Any) -> dict[str, Any]:
    """Return a request of the smallest problem."""
    usual = {"fill": 0xA5, "threads": 1, "side": "", "sides": {}, "sealed": (), "left_out": ()}
    return {"operation": operation, "arguments": smallest(operation).arguments(), **usual, **conditions}


def page(address: int) -> int:
    """Return where an address lies in its page of memory."""
    return address % os.sysconf("SC_PAGESIZE")
