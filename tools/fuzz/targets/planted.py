"""Targets that are wrong on purpose: what must be found, or the fuzzer finds nothing at all.

Each goes wrong where the first byte is odd; that of the only seed is even.
"""

import os
import warnings
from collections.abc import Callable
from typing import Final

from tools.fuzz.target import Target, documented
from tools.fuzz.targets.scratch import folder


def _wrong(does: Callable[[], object]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        if data[:1] and data[0] % 2:
            does()

    return run


def _abort() -> None:
    """End the process, whose folder stays."""
    folder("planted")
    os.abort()


def _hang() -> None:
    while True:
        pass


def _sleep() -> None:
    """Wait without taking processor time, until the process is killed, whose folder stays."""
    folder("planted")
    os.read(os.pipe()[0], 1)


def _raise() -> None:
    raise IndexError("list index out of range")


def _say() -> None:
    with documented(ValueError):
        raise ValueError("tensor \x1b[2J: expected another")


def _warn() -> None:
    warnings.warn("overflow encountered in cast", RuntimeWarning, stacklevel=1)


FOUND: Final = (
    Target("planted-crash", "ends the process", _wrong(_abort), seconds=0.5),
    Target("planted-hang", "works for ever", _wrong(_hang), seconds=0.5),
    Target("planted-sleep", "waits for ever", _wrong(_sleep), seconds=0.5),
    Target("planted-hog", "takes 64 MB", _wrong(lambda: bytearray(1 << 26)), seconds=0.5),
    Target("planted-error", "raises what is not documented", _wrong(_raise), seconds=0.5),
    Target("planted-message", "says what clears the terminal", _wrong(_say), seconds=0.5),
    Target("planted-warning", "warns", _wrong(_warn), seconds=0.5),
)
"""By what they do."""
