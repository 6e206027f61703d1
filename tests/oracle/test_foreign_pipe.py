"""Clients behind a pipe that break the protocol, in the shell's language: how each ends, and what is told of it."""

import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.calls import Outcome
from q35ref.oracle.cases import smallest
from q35ref.oracle.foreign import pipe
from q35ref.oracle.foreign.pipe import PipeClient, _first_line
from q35ref.oracle.judge import Mismatch
from q35ref.oracle.problem import Problem
from tests.oracle.conftest import Start

UNPACK = smallest("unpack")

LARGE = Problem("unpack", 1 << 16, {"q": np.ones((1 << 16, 1), np.int8)})
"""A request longer than what a pipe holds."""


def told(outcome: Outcome) -> tuple[str, str]:
    """Return the kind of an outcome's one fault, and what was got."""
    (fault,) = outcome.faults
    return fault.kind, fault.got


def spoken(client: PipeClient) -> None:
    """Wait until a client has written something."""
    assert client._process is not None
    assert client._process.stdout is not None
    poll = select.poll()
    poll.register(client._process.stdout, select.POLLIN)
    assert poll.poll(60_000)


def begun(folder: Path) -> None:
    """Wait until a client has made a file of this name."""
    until = time.monotonic() + 60
    while not (folder / "begun").exists():
        assert time.monotonic() < until
        time.sleep(0.002)


TWICE = "wrote a line that nobody asked for: "


@pytest.mark.parametrize(
    ("script", "death"),
    [
        ("read -r l; exit 3", ("exit", "the client ended with status 3")),
        ("read -r l; echo out of paper >&2; exit 0", ("exit", "the client ended with status 0; it said: out of paper")),
        ("read -r l; kill -ABRT $$", ("crash", "SIGABRT")),
        ("read -r l; printf 01; exit 3", ("exit", "the client ended with status 3; its last line had no end: '01'")),
        ("read -r l; printf '01 01\\n02'; read -r l", ("exit", f"{TWICE}'02', after '01 01'")),
        ("read -r l; printf '\\n\\n'; read -r l", ("exit", f"{TWICE}'', after ''")),
    ],
)
def test_a_client_that_breaks_the_protocol_is_told_and_started_again(
    start: Start, script: str, death: tuple[str, str]
) -> None:
    """Nothing is answered."""
    client = start(script)
    for _ in range(2):
        outcome = client.observe(UNPACK)
        assert told(outcome) == death
        assert (outcome.answered, outcome.result, outcome.raised) == (False, None, None)
    assert client._process is None


def test_what_was_expected_of_a_client_that_ends_is_said(start: Start) -> None:
    client = start("read -r l; exit 3")
    expected = Mismatch("exit", "unpack", "the client ended with status 3", "a result, and the process going on")
    assert client.observe(UNPACK).faults == (expected,)


def test_of_a_client_that_dies_of_the_second_request_the_first_answer_stays(start: Start) -> None:
    outcome = start("read -r l; echo '! no'; read -r l; exit 3").observe(UNPACK)
    assert told(outcome) == ("exit", "the client ended with status 3")
    assert (outcome.raised, outcome.answered) == ("no", True)
    outcome = start("read -r l; echo 01 01; read -r l; exit 3").observe(UNPACK)
    assert outcome.result.tolist() == [[1], [1]]


def test_a_greeting_is_a_line_that_nobody_asked_for(start: Start) -> None:
    client = start("echo ready; cat")
    spoken(client)
    assert told(client.observe(UNPACK)) == ("exit", f"{TWICE}'ready', before the first request")


def test_a_greeting_that_is_taken_for_the_answer_is_seen_by_the_answer(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "SETTLE", 5)
    client = start("read -r l; echo ready; sleep 0.02; echo 01 01; read -r l")
    assert told(client.observe(UNPACK)) == ("exit", f"{TWICE}'01 01', after 'ready'")


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_after_lines_that_cannot_be_read_another_is_waited_for_three_times_in_vain(
    start: Start, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a second each; a line that comes is one that nobody asked for, as a greeting is followed by the answer."""
    waited: list[float] = []
    more = PipeClient._more

    def noted(self: PipeClient, seconds: float) -> bool:
        waited.append(seconds)
        if seconds == 0.5 and len([each for each in waited if each == 0.5]) == number:
            self._rest += b"01 01\n"
        return more(self, 0)

    client = start("while read -r l; do echo 01; done")
    monkeypatch.setattr(PipeClient, "_more", noted)
    outcomes = [client.observe(UNPACK) for _ in range(number)]
    assert (
        waited == [0, 0.05, 0.5, *(2 * [0, 0, 0.5]), 0, 0, 0, 0][: 3 * number if number < 4 else 9 + 2 * (number - 3)]
    )
    if number < 4:
        assert told(outcomes[-1]) == ("exit", f"{TWICE}'01 01', after '01'")
    else:
        assert outcomes[-1].faults == ()


def test_a_byte_order_mark_is_shown_by_each_problem(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each, the client is started anew; nothing more is waited for."""
    monkeypatch.setattr(pipe, "GRACE", 60)
    client = start("printf '\\357\\273\\277'; while read -r l; do echo 01 01; done")
    spoken(client)
    since = time.monotonic()
    for _ in range(2):
        outcome = client.observe(UNPACK)
        assert "it begins with a UTF-8 byte order mark" in outcome.result.type_name
        assert client._process is None
    assert time.monotonic() - since < 5


def test_a_part_of_a_byte_order_mark_belongs_to_the_first_line_too(start: Start) -> None:
    client = start("printf '\\357\\273'; read -r l; printf '\\277?\\n'; read -r l")
    spoken(client)
    assert client.has("unpack") is False


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("printf '\\357\\273\\277x'; read -r l", "'\\ufeffx', before the first request"),
        ("printf '\\357\\273\\277\\n'; read -r l", "'\\ufeff', before the first request"),
    ],
)
def test_a_mark_with_a_line_after_it_is_a_greeting(start: Start, script: str, said: str) -> None:
    client = start(script)
    spoken(client)
    kind, got = told(client.observe(UNPACK))
    assert (kind, got) == ("exit", TWICE + said.replace("\\ufeff", "\ufffd"))


def test_a_mark_after_an_answer_is_a_line_that_nobody_asked_for(start: Start) -> None:
    kind, got = told(start("read -r l; printf '01 01\\n\\357\\273\\277'; read -r l").observe(UNPACK))
    assert (kind, got) == ("exit", f"{TWICE}'\ufffd', after '01 01'")


@pytest.mark.parametrize(
    ("script", "problem", "said"),
    [
        ("read -r l; sleep 60", UNPACK, "no answer within 0.25 s"),
        ("read -r l; printf '01\\r'; sleep 60", UNPACK, "no answer within 1.25 s, only '01' without the end of a line"),
        ("sleep 60", LARGE, "no answer within 0.25 s, nor was the whole request read"),
        (
            "printf 01; sleep 60",
            LARGE,
            "no answer within 1.25 s, only '01' without the end of a line, nor was the whole request read",
        ),
        ("echo; sleep 60", LARGE, "the client answered, but did not read the whole request within 1.25 s"),
        ("echo 01; sleep 60", LARGE, "the client answered, but did not read the whole request within 1.25 s"),
    ],
)
def test_what_does_not_answer_in_time_is_ended(
    start: Start, script: str, problem: Problem, said: str, tmp_path: Path
) -> None:
    """It would go on for a minute; one that says something has more time for it, as on a busy machine."""
    begins = "head -c 8192 > /dev/null; " if problem is LARGE else ""
    client = start(f": > {tmp_path / 'begun'}; {begins}{script}", 1.25 if "1.25" in said else 0.25)
    begun(tmp_path)
    since = time.monotonic()
    assert told(client.observe(problem)) == ("hang", said)
    assert time.monotonic() - since < 6
    assert client._process is None


def test_what_a_client_started_ends_with_it(start: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "held")
    end = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    client = start(f"exec 9> {tmp_path / 'held'}; echo x >&9; sleep 60 & read -r l; read -r l")
    poll = select.poll()
    poll.register(end, select.POLLIN)
    assert poll.poll(60_000)
    assert os.read(end, 2) == b"x\n"
    client.close()
    client.close()
    assert poll.poll(1000)
    assert os.read(end, 1) == b""
    os.close(end)


def test_a_client_is_closed_whatever_has_become_of_it(start: Start) -> None:
    """Its group may be gone; a stream that cannot be closed is let go."""
    client = start("cat")
    process = client._process
    assert process is not None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    class Stuck:
        def close(self) -> None:
            raise BrokenPipeError

    assert process.stdin is not None
    process.stdin.close()
    process.stdin = Stuck()  # type: ignore[assignment]
    client.close()
    assert process.stdout is not None
    assert process.stdout.closed
    assert client._said.closed


@pytest.mark.parametrize(
    ("script", "problem", "death"),
    [
        ("read -r l; exec >&-; sleep 60", UNPACK, "the client closed its output"),
        (
            "read -r l; printf 01; exec >&-; sleep 60",
            UNPACK,
            "the client closed its output; its last line had no end: '01'",
        ),
        ("exec 0<&-; sleep 60", LARGE, "the client closed its input"),
        ("sleep 60 & : > BEGUN; read -r l; exit 3", UNPACK, "the client ended with status 3"),
    ],
)
def test_who_closes_a_pipe_has_half_a_second_to_end(
    start: Start, script: str, problem: Problem, death: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or longer, if its child holds the pipes; which is told after the time is up."""
    waited: list[float | None] = []
    wait = subprocess.Popen.wait

    def impatient(self: Any, timeout: float | None = None) -> int:
        waited.append(timeout)
        return wait(self, None if timeout is None else timeout / 10)

    client = start(script.replace("BEGUN", str(tmp_path / "begun")), 2 if "BEGUN" in script else 20)
    if "BEGUN" in script:
        begun(tmp_path)
    monkeypatch.setattr(subprocess.Popen, "wait", impatient)
    since = time.monotonic()
    assert told(client.observe(problem)) == ("exit", death)
    assert time.monotonic() - since < 4
    assert waited == [0.5, None]


def test_a_request_need_not_be_read_by_who_answers_soon(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a while after its input is closed it may still answer: half a second, if nobody changes that."""
    monkeypatch.setattr(pipe, "GRACE", 60)
    client = start("head -c 9 > /dev/null; exec 0<&-; sleep 0.05; echo '! too large'; sleep 60")
    outcome = client._once(LARGE)
    assert (outcome.raised, outcome.faults) == ("too large", ())


def test_a_request_that_cannot_be_written_is_not_tried_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what is left of it, byte by byte."""
    tried: list[int] = []

    def refuse(_: int, data: Any) -> int:
        tried.append(len(data))
        raise BrokenPipeError

    client = start("echo 01 01; read -r l")
    monkeypatch.setattr(PipeClient, "_more", lambda *_: False)
    monkeypatch.setattr(os, "write", refuse)
    assert client._once(UNPACK).faults == ()
    assert len(tried) == 1


def test_an_empty_line_is_an_answer_though_the_request_is_not_read_to_its_end(start: Start) -> None:
    """What comes after it is what nobody asked for."""
    client = start("head -c 9 > /dev/null; echo; sleep 0.02; printf x; sleep 0.02; cat > /dev/null", 2)
    assert told(client.observe(LARGE)) == ("exit", f"{TWICE}'x', after ''")


def test_an_answer_may_come_in_pieces(start: Start) -> None:
    client = start("while read -r l; do printf '01 '; sleep 0.01; printf '0'; sleep 0.01; echo 1; done")
    outcome = client.observe(UNPACK)
    assert outcome.faults == ()
    assert outcome.result.tolist() == [[1], [1]]


@pytest.mark.parametrize("length", [10, 11])
def test_an_answer_has_a_length(start: Start, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 256 MiB without an end, which is shown in small."""
    assert pipe.MOST_LINE == 256 << 20
    monkeypatch.setattr(pipe, "MOST_LINE", 10)
    client = start(
        f"read -r l; printf '01 01{(length - 5) * ' '}'; sleep {0.05 if length == 10 else 9}; echo; read -r l"
    )
    outcome = client._once(UNPACK)
    if length == 10:
        assert outcome.result.tolist() == [[1], [1]]
    else:
        assert told(outcome) == ("exit", "an answer of more than 10 bytes; the client was ended")


def test_what_a_client_says_beside_is_cut_after_an_answer(start: Start) -> None:
    client = start("while read -r l; do head -c 1048577 /dev/zero >&2; echo 01 01; done")
    client._once(UNPACK)
    assert os.fstat(client._said.fileno()).st_size == 0


@pytest.mark.parametrize(
    ("now", "death"),
    [(20.0, ("hang", "no answer within 20 s")), (21.0, ("hang", "no")), (19.0, None), (99.0, ("hang", ""))],
)
def test_when_the_time_is_up_no_answer_counts(
    start: Start, now: float, death: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is there: to the moment. After it, nothing is waited for."""
    client = start("while read -r l; do echo 01 01; done" if now < 99 else "cat > /dev/null")
    times = iter([0.0, 0.0])

    def clock() -> float:
        moment = next(times, None)
        if moment is None and now < 99:
            spoken(client)
        return now if moment is None else moment

    monkeypatch.setattr(time, "monotonic", clock)
    outcome = client._once(UNPACK)
    if death is None:
        assert outcome.faults == ()
    else:
        assert told(outcome)[0] == death[0]
        assert told(outcome)[1].startswith(death[1])


def test_of_a_line_sixty_four_characters_are_shown() -> None:
    assert _first_line(64 * b"x") == 64 * "x"
    assert _first_line(65 * b"x") == 64 * "x" + "..."
    assert _first_line(b"a\nb") == "a"
    assert _first_line(b"a\x1b\r\n") == "a\ufffd"
    assert _first_line(b"") == ""


def test_characters_of_four_bytes_are_characters() -> None:
    assert _first_line(64 * "\U0001d11e".encode()) == 64 * "\U0001d11e"
    assert _first_line(65 * "\U0001d11e".encode()) == 64 * "\U0001d11e" + "..."
