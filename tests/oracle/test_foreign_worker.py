"""A kernel's own process, run in this one: libraries and objects that stand in for kernels, and messages in memory."""

import ctypes
import io
import os
import resource
import runpy
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from q35ref.oracle.cases import smallest
from q35ref.oracle.foreign import worker
from q35ref.oracle.foreign.environment import Environment
from q35ref.oracle.foreign.memory import Rooms
from q35ref.oracle.foreign.wire import Foreign, encode, receive, send
from q35ref.oracle.foreign.worker import CHost, PythonHost, serve


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


@pytest.fixture(autouse=True)
def on_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a change is called differs elsewhere."""
    monkeypatch.setattr("q35ref.oracle.foreign.environment.X86", True)


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


Load = Callable[..., tuple[CHost, Any]]


@pytest.fixture(name="load")
def loaded(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that loads a library of some functions."""

    def load(abi: str = "q35", **functions: Callable[..., Any]) -> tuple[CHost, Any]:
        library = Library(**functions)
        with monkeypatch.context() as context:
            context.setattr(ctypes, "CDLL", {"k.so": library}.__getitem__)
            return CHost("k.so", abi), library

    return load


def asked(operation: str, **conditions: Any) -> dict[str, Any]:
    """Return a request of the smallest problem."""
    usual = {"fill": 0xA5, "threads": 1, "side": "", "sides": {}, "sealed": (), "left_out": ()}
    return {"operation": operation, "arguments": smallest(operation).arguments(), **usual, **conditions}


def ones(packed: Any, k: Any, n: Any, layout: Any, q: Any) -> int:
    """Unpack two ones, as the only problem holds."""
    assert ctypes.string_at(packed.value, 1) == b"\x09"
    ctypes.memmove(q.value, b"\x01\x01", 2)
    return 0


def test_a_library_offers_what_it_has(load: Load) -> None:
    host, _ = load(q35_unpack=ones, q35_calibrate_symmetric=ones)
    assert host.offer() == {
        "operations": ["unpack", "calibrate"],
        "functions": ["q35_unpack", "q35_calibrate_symmetric"],
        "correctly_rounded": False,
        "threads": False,
    }
    assert load(q35_set_num_threads=ones)[0].offer()["threads"] is True
    assert load("groq-mvp", matmul_3p5bit_awq=ones)[0].offer()["operations"] == ["matmul"]


def test_a_library_at_a_path_that_is_not_text_has_what_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unnamed:
        """Says what is missing in bytes that are no text."""

        def __getattr__(self, name: str) -> Any:
            if name == "q35_pack":
                return ones
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no text")

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Unnamed())
    assert CHost("k.so", "q35").functions == ["q35_pack"]


def test_a_function_is_called_with_addresses_and_numbers_of_their_widths(load: Load) -> None:
    host, library = load(q35_unpack=ones)
    answer = host.call(asked("unpack"), Rooms(), Settings())
    assert answer["result"].tolist() == [[1], [1]]
    assert {name: part for name, part in answer.items() if name != "result"} == {
        "raised": None, "faults": [], "inputs": ["packed"], "outputs": ["q"], "optional": []
    }  # fmt: skip
    types = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int32, ctypes.c_void_p]
    assert [type(part) for part in library.q35_unpack.passed] == types
    assert [part.value for part in library.q35_unpack.passed[1:4]] == [2, 1, 0]
    assert library.q35_unpack.restype is ctypes.c_int


def test_a_status_is_a_refusal(load: Load) -> None:
    host, _ = load(q35_unpack=lambda *_: 2)
    answer = host.call(asked("unpack"), Rooms(), Settings())
    assert (answer["result"], answer["raised"]) == (None, "status 2")


def test_a_function_that_returns_nothing_has_no_status(load: Load) -> None:
    host, library = load(
        "groq-mvp", matmul_3p5bit_awq=lambda *passed: ctypes.memmove(passed[4].value, b"\x02\0\0\0", 4) and None
    )
    answer = host.call(asked("matmul"), Rooms(), Settings())
    assert library.matmul_3p5bit_awq.restype is None
    assert answer["raised"] is None
    acc, *rest = answer["result"]
    assert (type(answer["result"]), acc.tolist(), rest) == (tuple, [[[2]]], [None, None])


def test_what_lies_in_the_outputs_before_is_asked_for(load: Load) -> None:
    """Bytes that are not written stay; the result is the kernel's no more when the next call comes."""
    host, _ = load(q35_unpack=lambda *_: 0)
    rooms = Rooms()
    first = host.call(asked("unpack", fill=0x3C), rooms, Settings())["result"]
    assert first.tolist() == [[0x3C], [0x3C]]
    host.call(asked("unpack", fill=0x11), rooms, Settings())
    assert first.tolist() == [[0x3C], [0x3C]]


def test_floats_are_filled_by_bytes_too(load: Load) -> None:
    host, _ = load(q35_dequantize=lambda *_: 0)
    answer = host.call(asked("dequantize", fill=0x3C), Rooms(), Settings())
    assert answer["result"].tobytes() == 8 * b"\x3c"


def test_results_that_are_not_asked_for_are_null(load: Load) -> None:
    host, library = load(q35_matmul=lambda *_: 0)
    answer = host.call(asked("matmul", left_out=("acc", "out")), Rooms(), Settings())
    passed = library.q35_matmul.passed
    assert [part is None for part in passed] == 10 * [False] + [True, False, True]
    acc, row_sum, out = answer["result"]
    assert (acc, row_sum.shape, out) == (None, (1, 1), None)
    assert answer["outputs"] == answer["optional"] == ["acc", "row_sum", "out"]
    assert answer["inputs"] == ["a", "packed", "scale", "offset"]
    assert answer["faults"] == []


def test_threads_are_set_where_a_library_lets_us(load: Load) -> None:
    host, library = load(q35_unpack=ones, q35_set_num_threads=lambda _: None)
    host.call(asked("unpack", threads=8), Rooms(), Settings())
    (threads,) = library.q35_set_num_threads.passed
    assert (type(threads), threads.value) == (ctypes.c_int32, 8)


def page(address: int) -> int:
    """Return where an address lies in its page of memory."""
    return address % os.sysconf("SC_PAGESIZE")


def test_arrays_lie_where_the_request_says(load: Load) -> None:
    """Each by itself, or all."""
    host, library = load(q35_unpack=ones)
    rooms = Rooms()
    places = []
    for conditions in ({}, {"side": "before"}, {"sides": {"q": "after"}}, {"side": "after", "sides": {"q": ""}}):
        host.call(asked("unpack", **conditions), rooms, Settings())
        packed, *_, q = library.q35_unpack.passed
        places.append((page(packed.value), page(q.value)))
    size = os.sysconf("SC_PAGESIZE")
    assert places[0] == places[1] == (0, 0)
    assert places[2:] == [(0, size - 2), (size - 1, 0)]


def test_what_a_function_does_beside_its_work_is_told(load: Load) -> None:
    """Outputs first, then inputs, then the unit's settings, which are restored."""
    settings = Settings()

    def mischief(packed: Any, k: Any, n: Any, layout: Any, q: Any) -> int:
        for address in (packed.value, packed.value - 3, q.value + 2):
            ctypes.memset(address, 7, 1)
        settings.now = (0x37F, 0xFFFF, 0x9F80)
        return 0

    host, _ = load(q35_unpack=mischief)
    faults = host.call(asked("unpack"), Rooms(), settings)["faults"]
    assert faults == [
        [
            "out-of-bounds write",
            "q",
            "wrote 1 bytes from 0 to 0 past its end",
            "no byte outside its outputs is written",
        ],
        [
            "out-of-bounds write",
            "packed",
            "wrote 1 bytes up to 3 before its start",
            "no byte outside its outputs is written",
        ],
        ["modified input", "packed", "changed by the call", "left as it was"],
        ["flush-to-zero", "floating-point environment", "flush-to-zero is switched on", "left as it was"],
    ]
    assert settings.restored == 1


def test_inputs_are_sealed_as_the_request_says(load: Load) -> None:
    """What is sealed cannot be written, the rest can."""
    sealed: list[str] = []

    class Sealing(Rooms):
        def seal(self, name: str) -> None:
            sealed.append(name)
            super().seal(name)

    host, _ = load(q35_unpack=ones)
    host.call(asked("unpack", sealed=("packed",)), Sealing(), Settings())
    assert sealed == ["packed"]


KERNEL = """
import numpy as np

class Kernel:
    correctly_rounded = 1

    def pack(self, q, layout):
        return do(self, q)

    quantize = 5

class holder:
    kernel = Kernel()

class Plain:
    def unpack(self): pass

plain = Plain()
do = None
"""


Host = Callable[..., PythonHost]


@pytest.fixture(name="python")
def python_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Yield a function that makes the host of a kernel, of which ``pack`` does what is given."""
    (tmp_path / "kernel_of_a_test.py").write_text(KERNEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def make(does: Callable[[Any, Any], Any] | None = None, path: str = "Kernel") -> PythonHost:
        host = PythonHost("kernel_of_a_test", path)
        sys.modules["kernel_of_a_test"].do = does  # type: ignore[attr-defined]
        return host

    yield make
    sys.modules.pop("kernel_of_a_test", None)


def test_a_class_is_made_and_offers_the_methods_that_can_be_called(python: Host, tmp_path: Path) -> None:
    assert python().offer() == {
        "operations": ["pack"],
        "functions": ["pack"],
        "correctly_rounded": True,
        "threads": False,
        "made_by": "()",
    }
    assert sys.path[0] == str(tmp_path)
    held = python(path="holder.kernel").offer()
    assert (held["made_by"], held["operations"]) == ("", ["pack"])
    plain = python(path="plain").offer()
    assert (plain["operations"], plain["correctly_rounded"]) == (["unpack"], False)


def test_a_method_is_called_with_arrays_of_ours_in_the_protocol_s_order(python: Host) -> None:
    given: list[Any] = []

    def keep(_: Any, q: Any) -> Any:
        given.append(q)
        return np.array([[9]], np.uint8)

    host = python(keep)
    answer = host.call(asked("pack", side="before"), Rooms(), Settings())
    assert answer.pop("result").tolist() == [[9]]
    assert answer == {"raised": None, "faults": [], "inputs": ["q"], "outputs": [], "optional": []}
    assert given[0].tolist() == [[1], [1]]
    assert page(given[0].ctypes.data) == 0


def test_a_method_that_raises_or_exits_refuses(python: Host) -> None:
    def refuse(error: BaseException) -> Any:
        def does(*_: Any) -> None:
            raise error

        return python(does).call(asked("pack"), Rooms(), Settings())["raised"]

    assert refuse(ValueError("no")) == "ValueError: no"
    assert refuse(SystemExit(3)) == "SystemExit: 3"
    with pytest.raises(KeyboardInterrupt):
        refuse(KeyboardInterrupt())


def test_what_a_method_does_beside_its_work_is_told(python: Host) -> None:
    settings = Settings()

    def mischief(_: Any, q: Any) -> None:
        q[0, 0] = 5
        settings.now = (0x37F, 0xFFFF, 0x5F80)

    faults = python(mischief).call(asked("pack"), Rooms(), settings)["faults"]
    assert [fault[:2] for fault in faults] == [["modified input", "q"], ["environment", "floating-point environment"]]
    assert settings.restored == 1
    sealed = python(mischief).call(asked("pack"), Rooms(), settings)
    assert sealed["raised"] is None


CHANGED = ["changed result", "the last result", "changed by this call", "left as it was returned"]


def results(python: Host, result: Any, change: Any) -> list[Any]:
    """Return the faults of two calls that return an object which the second changes."""

    def does(kernel: Any, q: Any) -> Any:
        kernel.calls = getattr(kernel, "calls", 0) + 1
        if kernel.calls > 1:
            change()
        return result

    host, rooms = python(does), Rooms()
    return [host.call(asked("pack"), rooms, Settings())["faults"] for _ in range(2)]


def test_a_result_that_the_next_call_changes_is_told(python: Host) -> None:
    array = np.zeros(8, np.uint8)
    change = lambda: array.__setitem__(0, array[0] + 1)  # noqa: E731
    assert results(python, array, change) == [[], [CHANGED]]
    assert results(python, (None, array), change) == [[], [CHANGED]]
    assert results(python, array.copy(), change) == [[], []]


@pytest.mark.parametrize(("size", "faults"), [(8, [CHANGED]), (9, [])])
def test_results_are_kept_for_comparison_up_to_a_size(
    python: Host, size: int, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MOST_ARRAY", 8)
    array = np.zeros(size, np.uint8)
    assert results(python, array, lambda: array.fill(1)) == [[], faults]


def test_what_lies_in_the_rooms_is_no_result_that_a_call_changes(python: Host) -> None:
    """An input that is returned is overwritten by us; and of other types there is nothing to compare."""
    rooms = Rooms()
    host = python(lambda _, q: q)
    host.call(asked("pack"), rooms, Settings())
    other = {**asked("pack"), "arguments": {"q": np.zeros((2, 1), np.int8), "layout": "byte"}}
    assert host.call(other, rooms, Settings())["faults"] == []
    assert results(python, [np.zeros(1)], lambda: None) == [[], []]


class Pair(NamedTuple):
    """Two results."""

    scale: int
    offset: int


def test_a_result_by_names_is_a_tuple(python: Host) -> None:
    result = python(lambda *_: Pair(1, 2)).call(asked("pack"), Rooms(), Settings())["result"]
    assert (type(result), result) == (tuple, (1, 2))


class Odd(list[Any]):
    """No list that anybody could read."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __iter__(self) -> Iterator[Any]:
        raise self.error


@pytest.mark.parametrize("error", [RecursionError, MemoryError, ValueError])
def test_of_a_result_that_no_message_can_hold_the_type_is_told(python: Host, error: type[Exception]) -> None:
    result = python(lambda *_: Odd(error)).call(asked("pack"), Rooms(), Settings())["result"]
    assert type(result) is Foreign
    assert result.type_name == "Odd"


def messages(*sent: dict[str, Any]) -> io.BytesIO:
    """Return a stream of messages."""
    stream = io.BytesIO()
    for message in sent:
        send(stream, message)
    stream.seek(0)
    return stream


def served(*sent: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the answers to messages."""
    answers = io.BytesIO()
    serve(messages(*sent), answers)
    answers.seek(0)
    found = []
    while answers.tell() < len(answers.getvalue()):
        found.append(receive(answers))
    return found


NAMED = {"kind": "python", "module": "kernel_of_a_test", "object": "Kernel"}


def test_requests_are_answered_until_there_are_no_more(python: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "Environment", Settings)
    calls = iter(range(9))
    python(lambda *_: next(calls))
    request = {**asked("pack"), "sealed": [], "left_out": []}
    offered, *answers = served(NAMED, request, request, request)
    assert (offered["operations"], offered["loading"]) == (["pack"], ["", ""])
    assert [answer["result"] for answer in answers] == [0, 1, 2]


def test_settings_that_a_kernel_changes_while_it_is_loaded_are_told_and_restored(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings()

    class Changes:
        def __init__(self, path: str, abi: str) -> None:
            assert (path, abi) == ("k.so", "q35")
            settings.now = (0x37F, 0xFFFF, 0x9F80)

        def offer(self) -> dict[str, Any]:
            return {"operations": []}

    monkeypatch.setattr(worker, "Environment", lambda: settings)
    monkeypatch.setattr(worker, "CHost", Changes)
    (offered,) = served({"kind": "c", "path": "k.so", "abi": "q35"})
    assert offered == {"operations": [], "loading": ["flush-to-zero", "flush-to-zero is switched on"]}
    assert settings.restored == 1


@pytest.mark.parametrize(
    ("about", "error"),
    [
        (NAMED | {"module": "no_module_of_a_test"}, "ModuleNotFoundError: No module named 'no_module_of_a_test'"),
        (NAMED | {"object": "Nothing"}, "AttributeError: module 'kernel_of_a_test' has no attribute 'Nothing'"),
        (NAMED | {"module": "exits_when_imported"}, "SystemExit: 4"),
        ({"kind": "c", "path": "no.so", "abi": "none"}, "KeyError: 'none'"),
        ({"kind": "zeal", "module": "math", "object": "pi"}, ""),
        ({"kind": "a", "module": "math", "object": "pi"}, ""),
    ],
)
def test_what_cannot_be_loaded_is_told(python: Host, about: dict[str, Any], error: str) -> None:
    """And nothing more is answered."""
    Path("exits_when_imported.py").write_text("raise SystemExit(4)")
    python()
    (answer,) = served(about)
    assert answer.get("error", "") == error


@pytest.mark.parametrize("other", [99, 101])
@pytest.mark.parametrize("when", ["loading", "called"])
def test_a_copy_of_the_process_that_a_kernel_makes_ends(
    python: Host, other: int, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two would answer. The first look at the number is before the kernel is loaded."""

    class Ended(Exception):
        pass

    def end(status: int) -> None:
        assert status == 0
        raise Ended

    numbers = iter([100, other] if when == "loading" else [100, 100, other])
    monkeypatch.setattr(worker, "Environment", Settings)
    monkeypatch.setattr(os, "_exit", end)
    python(lambda *_: 0)
    monkeypatch.setattr(os, "getpid", lambda: next(numbers))
    answers = io.BytesIO()
    with pytest.raises(Ended):
        serve(messages(NAMED, {**asked("pack"), "sealed": [], "left_out": []}), answers)
    assert bool(answers.getvalue()) == (when == "called")


class Tracked:
    """Keeps what the process is told about itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *messages: dict[str, Any]) -> None:
        self.limits: list[Any] = []
        self.told: list[Any] = []
        (source, requests), (self.answers, sink) = os.pipe(), os.pipe()
        with os.fdopen(requests, "wb") as stream:
            for message in messages:
                send(stream, message)
        monkeypatch.setattr(sys, "argv", ["worker", str(source), str(sink)])
        monkeypatch.setattr(resource, "setrlimit", lambda *limit: self.limits.append(limit))
        monkeypatch.setattr(ctypes, "CDLL", lambda _: self)

    def prctl(self, *told: int) -> None:
        self.told.append(told)

    def fegetenv(self, _: Any) -> None:
        """The settings are all 0."""

    fesetenv = fegetenv

    def answer(self) -> dict[str, Any]:
        """Return the one answer."""
        with os.fdopen(self.answers, "rb") as stream:
            found = receive(stream)
            assert stream.read() == b""
            return found


@pytest.mark.parametrize(("system", "told"), [("linux", [(1, signal.SIGKILL)]), ("darwin", []), ("win32", [])])
def test_the_process_has_pipes_limits_and_dies_with_the_oracle(
    system: str, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``PR_SET_PDEATHSIG`` is 1, on Linux alone; no file may grow over a gibibyte."""
    tracked = Tracked(monkeypatch, NAMED | {"module": "no_module_of_a_test"})
    monkeypatch.setattr(sys, "platform", system)
    worker.main()
    assert tracked.answer()["error"].startswith("ModuleNotFoundError")
    assert tracked.limits == [(resource.RLIMIT_FSIZE, (2**30, 2**30))]
    assert tracked.told == told


def test_the_module_run_as_a_program_is_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a request it tells of its end."""
    tracked = Tracked(monkeypatch)
    runpy.run_path(str(worker.__file__), run_name="__main__")
    assert tracked.answer() == {"error": "EOFError: "}


def test_results_are_what_a_message_can_hold(load: Load) -> None:
    """Of a kernel in C always: no name of a type stands for them."""
    host, _ = load(q35_matmul=lambda *_: 0, q35_unpack=ones)
    for operation in ("matmul", "unpack"):
        assert "foreign" not in str(encode(host.call(asked(operation), Rooms(), Settings())["result"]))
