"""The settings of the floating-point unit: which of them are read, how a change of them is told, that it is undone."""

import ctypes
import platform
import runpy
import struct
import sys
from typing import Any

import pytest

from q35ref.oracle.foreign import environment
from q35ref.oracle.foreign.environment import Environment, change


class Unit:
    """A library that holds an environment as the GNU C library lays it out on x86-64."""

    def __init__(self) -> None:
        self.control, self.tags, self.mxcsr, self.rounding = 0x37F, 0xFFFF, 0x1F80, 0
        self.set: list[bytes] = []

    def fegetenv(self, held: Any) -> None:
        """Control, status and tag word, each in four bytes; sixteen bytes of pointers; MXCSR; and what is not its."""
        words = self.control, 0xAAAA, 0x5555, 0xAAAA, self.tags, 0xAAAA
        held[:96] = struct.pack("<6H16sI", *words, b"", self.mxcsr) + 64 * b"\xee"

    def fesetenv(self, held: Any) -> None:
        self.set.append(held.raw[:32])

    def fegetround(self) -> int:
        return self.rounding


@pytest.fixture(name="unit")
def fake_unit(monkeypatch: pytest.MonkeyPatch) -> Unit:
    """Return a fake library, which is loaded instead of the mathematical one."""
    unit = Unit()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: unit)
    return unit


def test_on_x86_the_control_words_are_read_without_the_flags(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The six lowest bits of MXCSR say what happened. What was read is set again, for reading masks exceptions."""
    monkeypatch.setattr(environment, "X86", True)
    found = Environment()
    unit.control, unit.tags, unit.mxcsr = 0x1234, 0x5678, 0x9ABCDEFF
    assert found.read() == (0x1234, 0x5678, 0x9ABCDEC0)
    assert [struct.unpack("<H", held[:2]) for held in unit.set] == [(0x1234,)]


def test_elsewhere_the_rounding_mode_alone_is_read(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "X86", False)
    unit.rounding = 0x400000
    assert Environment().read() == (0x400000,)
    assert unit.set == []


def test_the_first_settings_are_restored(unit: Unit) -> None:
    found = Environment()
    unit.control, unit.mxcsr = 0, 0
    found.restore()
    assert [(held[:2], held[28:32]) for held in unit.set] == [(b"\x7f\x03", b"\x80\x1f\0\0")]


MODES = 0x400, 0x800, 0xC00, 0x400000
"""Numbers of other rounding modes, on one processor or another."""


def test_a_change_in_this_process_is_seen_told_and_undone() -> None:
    found = Environment()
    before = found.read()
    assert found.read() == before
    try:
        assert any(found._libm.fesetround(mode) == 0 for mode in MODES)
        after = found.read()
    finally:
        found.restore()
    assert found.read() == before
    assert change(before, after)[0] == "environment"
    assert change(before, before) == ("", "")


@pytest.mark.parametrize(
    ("system", "machine", "x86"),
    [
        ("linux", "x86_64", True),
        ("linux", "AMD64", True),
        ("linux", "aarch64", False),
        ("darwin", "x86_64", False),
        ("win32", "AMD64", False),
        ("darwin", "arm64", False),
    ],
)
def test_which_machines_have_these_registers(
    system: str, machine: str, x86: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the layout, which is the GNU C library's, thus Linux's."""
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert runpy.run_path(environment.__file__)["X86"] == x86


USUAL = (0x37F, 0xFFFF, 0x1F80)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (USUAL, USUAL, ("", "")),
        (USUAL, (0x37F, 0xFFFF, 0x9F80), ("flush-to-zero", "flush-to-zero is switched on")),
        (USUAL, (0x37F, 0xFFFF, 0x1FC0), ("flush-to-zero", "flush-to-zero is switched on")),
        (USUAL, (0x37F, 0xFFFF, 0xBFC0), ("flush-to-zero", "flush-to-zero is switched on")),
        ((0x37F, 0xFFFF, 0x9F80), (0x37F, 0xFFFF, 0x9FC0), ("flush-to-zero", "flush-to-zero is switched on")),
        (USUAL, (0x37F, 0xFFFF, 0x5F80), ("environment", "MXCSR 0x1F80 is now 0x5F80")),
        (USUAL, (0x37F, 0xFFFF, 0x1F00), ("environment", "MXCSR 0x1F80 is now 0x1F00")),
        ((0x37F, 0xFFFF, 0x9FC0), USUAL, ("environment", "MXCSR 0x9FC0 is now 0x1F80")),
        ((0x37F, 0xFFFF, 0x9FC0), (0x37F, 0xFFFF, 0xFFC0), ("environment", "MXCSR 0x9FC0 is now 0xFFC0")),
        (USUAL, (0x37F, 0xFFFF, 0x1FBF), ("environment", "MXCSR 0x1F80 is now 0x1FBF")),
        (USUAL, (0x27F, 0xFFFF, 0x1F80), ("environment", "x87 control word 0x37F is now 0x27F")),
        (
            (0x37F, 0, 0x1F80),
            (0x3FF, 0xFFFF, 0x1F80),
            ("environment", "x87 control word 0x37F is now 0x3FF, x87 tag word 0x0 is now 0xFFFF"),
        ),
    ],
)
def test_a_change_on_x86_is_told_by_register(
    before: Any, after: Any, told: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit 15 of MXCSR makes subnormal results 0, bit 6 subnormal operands; who sets either is told that alone."""
    monkeypatch.setattr(environment, "X86", True)
    assert change(before, after) == told


def test_a_change_elsewhere_is_one_of_the_rounding_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its number is."""
    monkeypatch.setattr(environment, "X86", False)
    assert change((0,), (0x8040,)) == ("environment", "rounding mode 0x0 is now 0x8040")
    assert change((0x8040,), (0x8040,)) == ("", "")
