"""A kernel's own process, run in this one: objects for kernels, messages in memory; the process about itself."""

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

from q35ref.oracle.foreign import worker
from q35ref.oracle.foreign.memory import Rooms
from q35ref.oracle.foreign.wire import Foreign, receive, send
from q35ref.oracle.foreign.worker import PythonHost, serve
from tests.oracle.foreign_kernels import Settings, asked, page


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a change is called differs elsewhere; and this process must not end well before the tests do."""

    def end(_: int) -> None:
        raise AssertionError("the process was ended")

    monkeypatch.setattr("q35ref.oracle.foreign.environment.X86", True)
    monkeypatch.setattr(os, "_exit", end)


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
    """To a smaller number or a larger one."""
    array = np.full(8, 5, np.uint8)
    change = lambda: array.__setitem__(0, array[0] + 1)  # noqa: E731
    assert results(python, array, change) == [[], [CHANGED]]
    assert results(python, array, lambda: array.fill(0)) == [[], [CHANGED]]
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
    monkeypatch: pytest.MonkeyPatch,
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
