"""The printed code of a finding, run in this process with stand-ins for kernels: each trap shows what it is for."""

import ctypes
import ctypes.util
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.cases import smallest
from q35ref.oracle.foreign import script
from q35ref.oracle.foreign.abi import ABIS
from q35ref.oracle.foreign.script import Script, c_script, expression, python_script, write
from q35ref.oracle.judge import Mismatch
from q35ref.oracle.problem import Problem, array_code
from tests.oracle.foreign_memory import Probe

COLUMNS = Problem("unpack", 2, {"q": np.array([[1, -2], [3, -4]], np.int8)})
"""Two columns, of which the codes are 11 and 116."""


class Spy:
    """A library: keeps what each call saw, and writes what it is told to."""

    def __init__(self, writes: Callable[["Spy"], Any] | None = None) -> None:
        self.writes = writes
        self.threads = 1
        self.seen: list[tuple[bytes, bytes, int]] = []
        self.addresses: list[tuple[int, int]] = []
        self.probe: Probe | None = None
        self.rights: list[list[str]] = []

    def q35_set_num_threads(self, number: ctypes.c_int32) -> None:
        self.threads = number.value

    def q35_unpack(self, packed: Any, k: ctypes.c_int64, n: ctypes.c_int64, layout: ctypes.c_int32, q: Any) -> int:
        size = k.value * n.value
        assert (type(k), type(n), type(layout), layout.value) == (ctypes.c_int64, ctypes.c_int64, ctypes.c_int32, 0)
        self.seen.append((ctypes.string_at(packed.data, n.value), ctypes.string_at(q.data, size), self.threads))
        self.addresses.append((packed.data, q.data))
        if self.probe:
            places = packed.data - 1, packed.data, packed.data + n.value, q.data - 1, q.data, q.data + size
            self.rights.append([self.probe.rights(place) for place in places])
        made = self.writes(self) if self.writes else bytes(size)
        if made is not None:
            ctypes.memmove(q.data, bytes(made), size)
        return 0


Show = Callable[..., list[str]]


@pytest.fixture(name="show")
def shows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Show:
    """Return a function that writes the code of a fault, runs it with a library, and returns what is printed."""
    real = ctypes.CDLL

    def show(library: Any, kind: str, place: str = "packed", libm: Any = None, **more: Any) -> list[str]:
        made = c_script(ABIS["q35"].call("unpack", COLUMNS.arguments()), "k.so", more.pop("set_threads", True))
        code = write(made, Mismatch(kind, place, "", "", **more) if kind else None)
        loaded = {"k.so": library, ctypes.util.find_library("m"): libm}
        monkeypatch.setattr(ctypes, "CDLL", lambda name: loaded[name] if name else real(name))
        exec(compile(code, "code", "exec"), {})  # noqa: S102 - what is printed for the user
        monkeypatch.setattr(ctypes, "CDLL", real)
        return capsys.readouterr().out.splitlines()

    return show


PACKED = b"\x0b\x74"

TURNED = b"\x74\x0b"


def test_without_a_fault_the_result_is_shown(show: Show) -> None:
    """What is not written is shown as it was."""
    spy = Spy(lambda _: b"\x01\x02\x03\xa5")
    assert show(spy, "") == ["0 [[  1   2]", " [  3 -91]]"]
    assert spy.seen == [(PACKED, 4 * b"\xa5", 1)]


def test_only_what_is_needed_is_imported() -> None:
    made = c_script(ABIS["q35"].call("unpack", COLUMNS.arguments()), "k.so", False)
    code = write(made, None)
    assert code.splitlines()[:4] == [
        "import ctypes",
        "import numpy as np",
        "fill = 0xA5",
        "library = ctypes.CDLL('k.so')",
    ]
    code = write(made, Mismatch("overread", "q", "", ""))
    assert code.splitlines()[:3] == ["import ctypes", "import mmap", "import numpy as np"]
    kernel = write(python_script(COLUMNS, ("kernel = KERNEL",)), None)
    assert kernel.splitlines()[:2] == ["import numpy as np", "kernel = KERNEL"]


@pytest.mark.parametrize(("threads", "can", "expected"), [(1, True, 1), (2, True, 2), (8, True, 8), (8, False, 1)])
def test_the_call_has_the_threads_of_that_in_which_the_fault_showed(
    show: Show, threads: int, can: bool, expected: int
) -> None:
    for kind in ("value", "modified input"):
        spy = Spy()
        show(spy, kind, threads=threads, set_threads=can)
        assert spy.seen == [(PACKED, 4 * b"\xa5", expected)]
    made = c_script(ABIS["q35"].call("unpack", COLUMNS.arguments()), "k.so", can)
    assert ("set_num_threads" in write(made, Mismatch("value", "", "", "", threads))) == (expected > 1)


@pytest.mark.parametrize("written", [True, False])
def test_a_modified_input_is_shown(show: Show, written: bool) -> None:
    spy = Spy(lambda spy: ctypes.memset(spy.addresses[-1][0], 1, int(written)) and None)
    assert show(spy, "modified input") == [f"packed is as it was: {not written}"]


class Unit:
    """A library that holds an environment, and changes it on each look."""

    def __init__(self) -> None:
        self.looks = 0

    def fegetenv(self, held: Any) -> None:
        held[:33] = 33 * b"\xee"
        held[:2] = b"\x7f\x03"
        held[28:32] = (0x1001FBF + 0x8000 * self.looks).to_bytes(4, "little")
        self.looks += 1

    def fesetenv(self, held: Any) -> None:
        assert held[:2] == b"\x7f\x03"

    def fegetround(self) -> int:
        self.looks += 0x400
        return self.looks


@pytest.mark.parametrize("kind", ["environment", "flush-to-zero"])
@pytest.mark.parametrize("x86", [True, False])
def test_the_unit_s_settings_are_shown_before_and_after(
    show: Show, kind: str, x86: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the flags, which may change."""
    monkeypatch.setattr(script, "X86", x86)
    told = show(Spy(), kind, libm=Unit())
    if x86:
        assert told == ["before: x87 7f03, MXCSR 0x1001F80", "after:  x87 7f03, MXCSR 0x1009F80"]
    else:
        assert told == ["before: rounding mode 0x400", "after:  rounding mode 0x800"]


@pytest.mark.parametrize(
    ("place", "outside", "changed"), [("q", [-1, 4, 5], 3), ("q", [], 0), ("packed", [-(1 << 24), 1 + (1 << 24)], 2)]
)
def test_bytes_written_outside_are_counted(show: Show, place: str, outside: list[int], changed: int) -> None:
    """Sixteen mebibytes on either side are looked at."""

    def write_there(spy: Spy) -> None:
        start = spy.addresses[-1][place == "q"]
        for at in outside:
            ctypes.memset(start + at, 1, 1)

    spy = Spy(write_there)
    assert show(spy, "out-of-bounds write", place) == [f"bytes changed outside {place}: {changed}"]
    assert spy.seen == [(PACKED, 4 * b"\xa5", 1)]
    assert script.SLACK == 16 << 20


def test_a_sealed_input_cannot_be_written(show: Show) -> None:
    """It lies against a page, and the kernel is called."""
    spy = Spy()
    spy.probe = Probe()
    assert show(spy, "written input") == ["packed cannot be written:", "0 [[0 0]", " [0 0]]"]
    assert spy.rights[0][:3] == ["r", "r", ""]


@pytest.mark.parametrize(("place", "held"), [("packed", ["packed"]), ("q", ["q"]), ("", ["packed", "q"])])
def test_arrays_lie_against_forbidden_pages(show: Show, place: str, held: list[str]) -> None:
    """The one that is named, or one after the other; after its end, then before its start."""
    spy = Spy()
    spy.probe = Probe()
    told = show(spy, "overread", place)
    said = [f"{name} {where} a forbidden page:" for where in ("ends at", "begins after") for name in held]
    assert [line for line in told if line.endswith("page:")] == said
    assert len(told) == 3 * len(said)
    for rights, line in zip(spy.rights, said, strict=True):
        before, _, after = rights[3:] if line.startswith("q") else rights[:3]
        assert (before if "begins" in line else after) == ""
    assert {seen[:2] for seen in spy.seen} == {(PACKED, 4 * b"\xa5")}


@pytest.mark.parametrize(("place", "odd"), [("packed", [True, False]), ("q", [False, True]), ("", [True, True])])
def test_arrays_lie_at_odd_addresses(show: Show, place: str, odd: list[bool]) -> None:
    """After a call in which they lie anywhere."""
    spy = Spy()
    told = show(spy, "misaligned", place)
    assert told == ["0 [[0 0]", " [0 0]]", "at odd addresses:", "0 [[0 0]", " [0 0]]"]
    assert [address % 64 == 1 for address in spy.addresses[1]] == odd
    assert spy.seen == 2 * [(PACKED, 4 * b"\xa5", 1)]


@pytest.mark.parametrize("kind", ["stale output", "thread dependent", "not repeatable"])
@pytest.mark.parametrize("can", [True, False])
def test_calls_are_repeated_with_other_bytes_and_threads(show: Show, kind: str, can: bool) -> None:
    """Five equal ones, then with other bytes in the outputs, on one thread, and ten times on each number of several."""
    spy = Spy(lambda spy: 4 * [int(len(spy.seen) in (3, 9))])
    assert show(spy, kind, set_threads=can) == ["2 of 56 equal calls came to another"]
    threads = [1, *(10 * [4, 2, 8, 3, 4])] if can else 51 * [1]
    expected = [(PACKED, 4 * b"\xa5", 1)] * 5 + [(PACKED, 4 * b"\x3c", number) for number in threads]
    assert spy.seen == expected


def test_a_cache_is_shown_by_other_contents_there_and_elsewhere(show: Show) -> None:
    """Its columns in the opposite order, at the address of the first; then at another."""
    held: dict[int, bytes] = {}

    def stale(spy: Spy) -> bytes:
        return 2 * held.setdefault(spy.addresses[-1][0], spy.seen[-1][0])

    for writes, same in ((stale, False), (lambda spy: 2 * spy.seen[-1][0], True)):
        spy = Spy(writes)
        told = show(spy, "stale cache")
        assert told == [f"other contents, the same result at other addresses: {same}"]
        assert [packed for packed, _, _ in spy.seen] == [PACKED, TURNED, TURNED]
        (first, _), (second, _), (third, _) = spy.addresses
        assert first == second != third


MATMUL = Problem(
    "matmul",
    2,
    {
        "a": np.array([[1, 2], [3, 4]], np.int8),
        "q": np.array([[1, 2], [3, -4]], np.int8),
        "scale": np.array([[1, 2]], "f4"),
        "offset": np.array([[3, 4]], "f4"),
    },
)


@pytest.mark.parametrize(
    ("left_out", "calls"), [((), [("acc",), ("row_sum",), ("out",)]), (("acc", "out"), [("acc", "out")])]
)
def test_a_result_that_is_not_asked_for_is_null(
    left_out: tuple[str, ...],
    calls: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After a call in which all are: those that were left out when the fault showed, or one after the other."""
    seen: list[tuple[str, ...]] = []

    class Library:
        def q35_matmul(self, *passed: Any) -> int:
            seen.append(
                tuple(name for name, part in zip(("acc", "row_sum", "out"), passed[10:], strict=True) if part is None)
            )
            return 7

    made = c_script(ABIS["q35"].call("matmul", MATMUL.arguments()), "k.so", False)
    code = write(made, Mismatch("null result", "", "", "", left_out=left_out))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library())
    exec(compile(code, "code", "exec"), {})  # noqa: S102 - what is printed for the user
    assert seen == [(), *calls]
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("NULL")] == [
        f"NULL for {' and '.join(names)}:" for names in calls
    ]
    assert sum(line.startswith("7 ") for line in lines) == 1 + len(calls)


def test_results_that_were_left_out_are_left_out_of_any_call() -> None:
    made = c_script(ABIS["q35"].call("matmul", MATMUL.arguments()), "k.so", False)
    call = write(made, Mismatch("value", "", "", "", left_out=("out",))).splitlines()[-2]
    assert call.endswith("acc.ctypes, row_sum.ctypes, None)")


def test_the_drafts_function_returns_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Library:
        def matmul_3p5bit_awq(self, *passed: Any) -> None:
            ctypes.memset(passed[4].data, 0, 16)

    made = c_script(ABIS["groq-mvp"].call("matmul", MATMUL.arguments()), "k.so", False)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library())
    for kind in ("value", "stale cache", "not repeatable"):
        exec(compile(write(made, Mismatch(kind, "", "", "")), "code", "exec"), {})  # noqa: S102 - as above
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert (first, second) == ("[[0 0]", " [0 0]]")
    assert rest == [
        "other contents, the same result at other addresses: True",
        "0 of 56 equal calls came to another",
    ]


def test_inputs_of_a_function_in_c_are_reversed_by_columns() -> None:
    """Which come first there, but for scales and offsets, and the drafts' activations."""
    made = c_script(ABIS["q35"].call("quantize", smallest("quantize").arguments()), "k.so", False)
    lines = [line for line in write(made, Mismatch("stale cache", "", "", "")).splitlines() if "np.flip" in line]
    assert lines == [
        "w[...] = np.flip(w, 0)",
        "scale[...] = np.flip(scale, -1)",
        "offset[...] = np.flip(offset, -1)",
    ]
    made = c_script(ABIS["groq-mvp"].call("matmul", MATMUL.arguments()), "k.so", False)
    lines = [line for line in write(made, Mismatch("stale cache", "", "", "")).splitlines() if "np.flip" in line]
    assert lines[:2] == ["A[...] = np.flip(A, -1)", "W_Q[...] = np.flip(W_Q, 0)"]


def test_arrays_are_written_out_up_to_a_length() -> None:
    """Of 800 characters; longer ones are folded, and are the same and can be written when they are unfolded."""
    random = np.random.default_rng(1)
    values = random.integers(10, 99, (1, 400), np.int8)
    lengths = {len(array_code(values[:, :count])): values[:, :count] for count in range(150, 250)}
    longest = max(length for length in lengths if length <= 800)
    named = lengths[longest].copy()
    while len(array_code(named)) < 800:
        named[0, np.flatnonzero(named[0] < 100)[0]] = 100
    assert len(array_code(named)) == 800
    assert expression(named) == array_code(named)
    one_more = named.copy()
    one_more[0, np.flatnonzero(named[0] < 100)[0]] = 100
    assert len(array_code(one_more)) == 801
    folded = expression(one_more)
    assert "zlib.decompress" in folded
    for array in (named, one_more, random.normal(size=(30, 20)).astype("f4"), random.normal(size=(30, 20)).T):
        made = eval(expression(array), {"np": np, "zlib": __import__("zlib"), "base64": __import__("base64")})  # noqa: S307
        assert (made.dtype, made.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(made, array)
        assert made.flags.writeable


def test_outputs_of_bytes_need_no_other_type() -> None:
    made = c_script(ABIS["q35"].call("pack", smallest("pack").arguments()), "k.so", False)
    assert "packed = np.full(1, fill, np.uint8).reshape((1, 1))" in write(made, None).splitlines()
    made = c_script(ABIS["q35"].call("unpack", COLUMNS.arguments()), "k.so", False)
    assert "q = np.full(4, fill, np.uint8).view(np.int8).reshape((2, 2))" in write(made, None).splitlines()


def test_scripts_are_fixed() -> None:
    made = Script(("load",), {}, {}, "f")
    with pytest.raises(FrozenInstanceError):
        made.function = "g"  # type: ignore[misc]
    assert replace(made, result="").call == "f()"
