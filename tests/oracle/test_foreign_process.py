"""The oracle's side of a kernel's process: each way in which a process may fail to answer, and what is told of it."""

import io
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from q35ref.oracle.foreign import process
from q35ref.oracle.foreign.process import CannotStart, Death, KernelProcess, cut, ending, ready, signal_name
from tests.oracle.foreign_programs import worker

Start = Callable[..., KernelProcess]

ECHO = "while True: say(read())"
"""What is sent is the answer."""

LOADED = """say('{"map": {}}'); read(); """
"""Nothing is offered; then comes a first request."""


@pytest.fixture(name="start")
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Yield a function that starts a stand-in for a worker, which is ended with the test."""
    monkeypatch.setattr(process, "START_TIMEOUT", 20.0)
    started: list[KernelProcess] = []

    def run(body: str, timeout: float = 20) -> KernelProcess:
        monkeypatch.setattr(sys, "executable", worker(tmp_path, body))
        started.append(KernelProcess({"kind": "c"}, timeout))
        return started[-1]

    yield run
    for made in started:
        made.close()


def replies(text: str) -> str:
    """Return a worker's body that gives some text to each request, but offers nothing."""
    return f"read(); say('{{\"map\": {{}}}}')\nwhile True: read(); {text}"


def test_what_is_sent_is_answered(start: Start) -> None:
    made = start(ECHO)
    assert made.offered == {"kind": "c"}
    assert [made.request({"k": number}) for number in range(3)] == [{"k": 0}, {"k": 1}, {"k": 2}]


def test_the_worker_is_our_module_in_a_session_of_its_own(start: Start) -> None:
    """Without the folder in which it is begun among the modules' places; its input is empty."""
    offered = start(
        """
read()
facts = [" ".join(sys.argv[2:5]), str(os.getsid(0) == os.getpid()), str(os.read(0, 1))]
say('{"map": {"facts": "%s"}}' % ", ".join(facts))
read()
"""
    ).offered
    assert offered == {"facts": "-P -m q35ref.oracle.foreign.worker, True, b''"}


def test_a_message_longer_than_a_pipe_holds_goes_both_ways(start: Start) -> None:
    made = start(ECHO)
    long = {"text": 300_000 * "x"}
    assert made.request(long) == long


@pytest.mark.parametrize(
    ("done", "death"),
    [
        ("os.kill(os.getpid(), 11)", Death("crash", "SIGSEGV")),
        ("sys.exit(3)", Death("exit", "the process ended with status 3")),
        (
            "os.write(1, b'one'); os.write(2, b' two\\nlast words\\n'); sys.exit(0)",
            Death("exit", "the process ended with status 0; it said: last words"),
        ),
        ("say('[]')", Death("exit", "wrote an answer that cannot be read: message: expected a value")),
        ("os.write(sink, b'12'); sys.exit(0)", Death("exit", "the process ended with status 0")),
    ],
)
def test_a_process_that_does_not_answer_is_told_and_started_again(start: Start, done: str, death: Death) -> None:
    made = start(replies(done))
    assert [made.request({}), made.request({})] == [death, death]


@pytest.mark.parametrize("done", ["pass", "os.write(sink, b'12')"])
def test_what_does_not_answer_in_time_is_ended_with_all_that_it_started(
    start: Start, done: str, tmp_path: Path
) -> None:
    """Its child would hold a pipe open for a minute. Half of an answer is none."""
    os.mkfifo(tmp_path / "held")
    end = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    held = f"import time; os.open({str(tmp_path / 'held')!r}, os.O_WRONLY); "
    made = start(held + replies(f"os.fork(); {done}; time.sleep(60)"), timeout=0.25)
    begun = time.monotonic()
    assert made.request({}) == Death("hang", "no answer within 0.25 s")
    poll = select.poll()
    poll.register(end, select.POLLIN)
    assert poll.poll(1000)
    assert os.read(end, 1) == b""
    assert time.monotonic() - begun < 4
    os.close(end)


@pytest.mark.parametrize("begun", ["pass", "os.read(source, 8192)"])
def test_what_does_not_read_is_ended_in_time(start: Start, begun: str) -> None:
    """Also if it begins to, so that there is room for a little more."""
    made = start(f"read(); say('{{\"map\": {{}}}}'); {begun}; import time; time.sleep(60)", timeout=0.3)
    since = time.monotonic()
    assert made.request({"text": 300_000 * "x"}) == Death("hang", "no answer within 0.3 s")
    assert time.monotonic() - since < 4


def test_a_process_that_ended_is_told_though_what_it_started_holds_the_pipe(start: Start) -> None:
    made = start(replies("import time; time.sleep(60) if not os.fork() else os._exit(3)"), timeout=2)
    assert made.request({}) == Death("exit", "the process ended with status 3")


def test_a_process_that_closes_its_pipe_and_lives_on_is_waited_for_no_longer_than_seconds(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float | None] = []
    wait = subprocess.Popen.wait

    def impatient(self: Any, timeout: float | None = None) -> int:
        waited.append(timeout)
        return wait(self, None if timeout is None else timeout / 1000)

    made = start(replies("os.close(sink); import time; time.sleep(60)"))
    monkeypatch.setattr(subprocess.Popen, "wait", impatient)
    assert made.request({}) == Death("crash", "its process closed the pipe to the oracle")
    assert waited == [5, None]
    assert made._process is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("""read(); say('{"map": {"error": "ImportError: no"}}'); read()""", "ImportError: no"),
        ("sys.stderr.write('no library'); sys.exit(4)", "while it was loaded: .* status 4; it said: no library"),
        (
            "read(); say('7'); read()",
            "while it was loaded, it wrote an answer that cannot be read: message: expected a dict",
        ),
    ],
)
def test_what_cannot_be_loaded_says_why(start: Start, body: str, why: str) -> None:
    with pytest.raises(CannotStart, match=f"^{why}$"):
        start(body)


def test_what_is_not_loaded_in_time_is_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "START_TIMEOUT", 0.05)
    with pytest.raises(CannotStart, match=r"^it was not loaded within 0\.05 s$"):
        start("import time; time.sleep(60)")


def test_a_kernel_has_a_minute_to_be_loaded() -> None:
    assert process.START_TIMEOUT == 60


def test_what_cannot_be_loaded_again_is_a_death(start: Start, tmp_path: Path) -> None:
    made = start(replies("sys.exit(3)"))
    made.request({})
    worker(tmp_path, 'read(); say(\'{"map": {"error": "gone"}}\'); read()')
    assert made.request({}) == Death("exit", "it cannot be loaded again: gone")
    worker(tmp_path, ECHO)
    assert made.request({"k": 1}) == {"k": 1}


def test_a_run_that_is_stopped_while_a_kernel_is_loaded_leaves_no_process(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    wait = subprocess.Popen.wait
    monkeypatch.setattr(subprocess.Popen, "wait", lambda self: waited.append(wait(self)))

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(process, "receive", stop)
    with pytest.raises(KeyboardInterrupt):
        start(ECHO)
    assert waited == [-signal.SIGKILL]


def test_what_is_closed_starts_again_when_it_is_asked(start: Start) -> None:
    """It may be closed twice; a group that is gone is no error, nor a pipe that is closed."""
    made = start(ECHO)
    first = made._process
    assert first is not None
    made.close()
    made.close()
    assert first.returncode == -signal.SIGKILL
    assert made.request({"k": 1}) == {"k": 1}
    second = made._process
    assert second is not None
    os.killpg(second.pid, signal.SIGKILL)
    second.wait()
    made._to.close()
    made.close()
    assert made._process is None
    assert made._from.closed


def test_pipes_that_cannot_be_closed_are_let_go(start: Start) -> None:
    """As where a last write is kept that nobody reads."""

    class Stuck(io.BytesIO):
        def close(self) -> None:
            raise BrokenPipeError

    made = start(ECHO)
    made._to.close()
    made._to = Stuck()  # type: ignore[assignment]
    made.close()
    assert made._process is None


def test_deaths_are_fixed() -> None:
    with pytest.raises(FrozenInstanceError):
        Death("crash", "").kind = "hang"  # type: ignore[misc]


def test_of_what_a_kernel_says_a_mebibyte_is_kept_between_calls(start: Start, tmp_path: Path) -> None:
    with (tmp_path / "said").open("a+b") as said:
        said.truncate(10)
        cut(said)
        assert os.fstat(said.fileno()).st_size == 10
        said.truncate(1 << 20)
        cut(said)
        assert os.fstat(said.fileno()).st_size == 1 << 20
        said.truncate((1 << 20) + 1)
        cut(said)
        assert os.fstat(said.fileno()).st_size == 0
    made = start(replies("os.truncate('/dev/fd/1', 1 << 21); say('{\"map\": {}}')"))
    assert made.request({}) == {}
    assert made._said is not None
    assert os.fstat(made._said.fileno()).st_size == 0


@pytest.mark.parametrize(
    ("status", "said", "death"),
    [
        (3, b"", Death("exit", "it ended with status 3")),
        (0, b"", Death("exit", "it ended with status 0")),
        (1, b" \n", Death("exit", "it ended with status 1")),
        (-1, b"", Death("crash", "SIGHUP")),
        (-11, b"one\ntwo\n", Death("crash", "SIGSEGV; it said: two")),
        (-6, b"abc", Death("crash", "SIGABRT; it said: abc")),
        (2, 100 * b"a" + 300 * b"b", Death("exit", "it ended with status 2; it said: " + 300 * "b")),
        (2, b"a" + 299 * b"b", Death("exit", "it ended with status 2; it said: a" + 299 * "b")),
        (2, b"\xff\x1b", Death("exit", "it ended with status 2; it said: \ufffd\ufffd")),
    ],
)
def test_how_a_process_ended_is_told_with_its_last_line(status: int, said: bytes, death: Death) -> None:
    assert ending(status, io.BytesIO(said), "it") == death


def test_signals_have_names_or_numbers() -> None:
    assert (signal_name(9), signal_name(200)) == ("SIGKILL", "signal 200")


def test_a_pipe_is_ready_when_there_is_something_within_the_time() -> None:
    source, sink = os.pipe()
    try:
        assert ready(sink, select.POLLOUT, 0.001)
        assert not ready(source, select.POLLIN, 0.001)
        os.write(sink, b"x")
        assert ready(source, select.POLLIN, 0.001)
        assert not ready(source, select.POLLIN, 0)
        assert not ready(source, select.POLLIN, -1)
    finally:
        os.close(source)
        os.close(sink)


def test_seconds_are_milliseconds_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    class Poll:
        def register(self, stream: Any, event: int) -> None:
            asked.append((stream, event))

        def poll(self, milliseconds: float) -> list[int]:
            asked.append(milliseconds)
            return []

    asked: list[Any] = []
    monkeypatch.setattr(select, "poll", Poll)
    assert not ready("stream", 4, 1.5)
    assert asked == [("stream", 4), 1500.0]


class Clock:
    """A pipe and a clock: each look at the clock takes a second, and the pipe is always ready within the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *parts: bytes | int | None) -> None:
        self.parts = list(parts)
        self.left: list[float] = []
        self.sizes: list[int] = []
        now = iter(range(100))
        monkeypatch.setattr(time, "monotonic", lambda: next(now))
        monkeypatch.setattr(process, "ready", self.ready)

    def ready(self, _: Any, event: int, seconds: float) -> bool:
        self.left.append(seconds)
        self.event = event
        return seconds > 0

    def read(self, size: int) -> Any:
        self.sizes.append(size)
        return self.parts.pop(0)

    def write(self, data: Any) -> Any:
        self.sizes.append(len(data))
        return self.parts.pop(0)


def test_reading_takes_what_comes_until_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mebibyte at once at most, and no more than is asked for."""
    long = (1 << 20) * b"x"
    clock = Clock(monkeypatch, long, b"abc", b"de", b"fg", b"", b"never")
    stream = process._Timed(clock, 5)
    assert stream.read((1 << 20) + 5) == long + b"abcde"
    assert clock.sizes == [1 << 20, 5, 2]
    assert clock.event == select.POLLIN
    assert stream.read(9) == b"fg"
    with pytest.raises(TimeoutError):
        stream.read(1)
    assert clock.left == [5, 4, 3, 2, 1, 0]
    assert stream.read(0) == b""


def test_writing_goes_on_where_it_was_stopped_until_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 KiB at once at most; a pipe that is full after all takes nothing."""
    clock = Clock(monkeypatch, 1 << 16, 1, None, 2, 1)
    stream = process._TimedWriter(clock, 4)
    stream.write(((1 << 16) + 3) * b"x")
    assert clock.sizes == [1 << 16, 3, 2, 2]
    assert clock.event == select.POLLOUT
    with pytest.raises(TimeoutError):
        stream.write(b"y")
    assert clock.left == [4, 3, 2, 1, 0]
    stream.flush()


def test_the_time_for_an_answer_begins_with_the_request(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    made = start(ECHO, timeout=7)
    moments: list[float] = []

    def until(stream: Any, *_: Any) -> dict[str, Any]:
        moments.append(stream._until)
        return {}

    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(process, "send", until)
    monkeypatch.setattr(process, "receive", until)
    assert made.request({}) == {}
    assert moments == [107.0, 107.0]
