"""Clients behind a pipe that keep to the protocol's letter loosely, or not at all: each is told what it does."""

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from q35ref import vectors
from q35ref.oracle import Report, TargetOptions, check, resolve
from q35ref.oracle.cases import smallest
from q35ref.oracle.foreign.abi import CALLS
from q35ref.oracle.foreign.pipe import GRACE, PipeClient, answer, request
from q35ref.oracle.problem import Problem
from q35ref.oracle.replay import replay_vectors
from q35ref.oracle.targets import PipeTarget

ROOT = Path(__file__).parents[1]

Write = Callable[..., str]
Start = Callable[..., PipeClient]

CLIENT = """
import os, sys, time
BEFORE
def say(text):
    os.write(1, text.encode())
for line in sys.stdin:
    operation, *words = line.split()
    answer = "?"
    if operation == "unpack":
        k, n, layout, *packed = (int(word, 16) for word in words)
        size = len(packed) // n
        streams = [int.from_bytes(packed[j * size : (j + 1) * size], "little") for j in range(n)]
        codes = [(row % 2, stream >> (row // 2 * (8 - layout))) for stream in streams for row in range(k)]
        answer = " ".join(f"{((c & 7) ^ 4) - 4 & 255 if odd else (c >> 3 & 15 ^ 8) - 8 & 255:02X}" for odd, c in codes)
    ANSWER
"""


@pytest.fixture
def client(tmp_path: Path) -> Write:
    """Return a function that writes a client and returns its command."""

    def write(said: str = "say(answer + '\\n')", before: str = "") -> str:
        path = tmp_path / "client.py"
        path.write_text(CLIENT.replace("BEFORE", before).replace("ANSWER", said))
        return f"{sys.executable} -S {path}"

    return write


@pytest.fixture
def start() -> Iterator[Start]:
    """Yield a function that starts a client, which is ended with the test."""
    started = []

    def run(command: str, timeout: float = 30) -> PipeClient:
        started.append(PipeClient(command, timeout))
        return started[-1]

    yield run
    for pipe in started:
        pipe.close()


def unpacked(command: str, timeout: float = 30) -> Report:
    """Return what comes of checking a client's unpack."""
    return check(f"pipe:{command}", only="unpack.*", options=TargetOptions(timeout=timeout))


def findings(report: Report) -> list[tuple[str, str]]:
    """Return the kinds of what was found, and what was got."""
    return [(found.kind, found.got) for result in report.failures for found in result.findings]


@pytest.mark.parametrize(
    ("said", "before"),
    [
        ("say(answer + '\\r\\n')", ""),
        ("say(answer.lower() + '\\n')", ""),
        ("say('  ' + answer.replace(' ', '\\t ') + ' \\n')", ""),
        ("time.sleep(len(line) % 7 == 0 and 0.01); [say(part) for part in (answer[:3], answer[3:], '\\n')]", ""),
        ("say(answer + '\\n')", "sys.stderr.write('ready\\n' * 30000)"),
    ],
)
def test_looseness_of_form_is_borne(said: str, before: str, client: Write) -> None:
    report = unpacked(client(said, before))
    assert findings(report) == []
    assert report.exit_status == 0


TWICE = "wrote a line that nobody asked for: "


@pytest.mark.parametrize(
    ("said", "before", "kind", "got"),
    [
        ("say(answer + '\\n' + answer + '\\n')", "", "exit", TWICE),
        ("say(answer + '\\n'); time.sleep(0.01); say('done\\n')", "", "exit", "'done'"),
        ("say(answer + '\\n\\n')", "", "exit", f"{TWICE}'', after '"),
        ("say(answer + '\\n')", "print('ready', flush=True)", "exit", TWICE),
        ("say(answer + '\\n')", "print('\\x1b[2J' + 999 * 'ready', flush=True)", "exit", TWICE),
        ("say(answer + '\\n')", "os.write(1, b'\\xef\\xbb\\xbf')", "shape", "it begins with a UTF-8 byte order mark"),
        (
            "asked.append(1); say(answer + '\\n' if len(asked) < 2 else '?\\n')",
            "asked = []",
            "shape",
            "it is ?, but the client does this operation",
        ),
        ("say('\\n')", "", "shape", "expected 2 numbers, got 0"),
        ("say(answer + '\\n'); os.close(1); time.sleep(60)", "", "exit", "the client closed its output"),
        ("say(answer); os.close(1); time.sleep(60)", "", "exit", "closed its output; its last line had no end: '"),
        ("say(answer + '\\n'); os.close(0); time.sleep(60)", "", "exit", "the client closed its input"),
        ("say(answer); sys.exit(3)", "", "exit", "ended with status 3; its last line had no end: '"),
        ("os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '60'); sys.exit(3)", "", "exit", "the client ended with status 3"),
    ],
)
def test_what_breaks_the_protocol_is_told(
    said: str, before: str, kind: str, got: str, client: Write, start: Start
) -> None:
    pipe = start(client(said, before), 1 if "spawn" in said or "close(0)" in said else 30)
    assert pipe.has("unpack")
    outcomes = [pipe.observe(smallest("unpack")) for _ in range(2)]
    if kind == "shape":
        assert all(got in outcome.result.type_name for outcome in outcomes)
        return
    found = [fault for outcome in outcomes for fault in outcome.faults]
    assert {fault.kind for fault in found} == {kind}
    assert all(got in fault.got and fault.got.isprintable() and len(fault.got) < 300 for fault in found), found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "before", "kind", "got"),
    [
        ("say(answer + '\\n')", "print('ready', flush=True)", "exit", TWICE),
        ("say(answer + '\\n')", "os.write(1, b'\\xef\\xbb\\xbf')", "shape", "it begins with a UTF-8 byte order mark"),
        ("os.close(1); time.sleep(60)", "", "exit", "the client closed its output"),
    ],
)
def test_a_check_shows_it(said: str, before: str, kind: str, got: str, client: Write) -> None:
    ((found_kind, text),) = findings(unpacked(client(said, before)))
    assert found_kind == kind
    assert got in text


def test_an_answer_without_an_end_is_told(client: Write, start: Start) -> None:
    pipe = start(client("say(answer + '\\r')"), 3)
    (fault,) = pipe.observe(smallest("unpack")).faults
    assert fault.kind == "hang"
    assert fault.got.startswith("no answer within 3 s, only '")


LARGE = Problem("unpack", 1 << 18, {"q": np.ones((1 << 18, 1), np.int8)})
"""A request longer than what a pipe holds."""


@pytest.mark.parametrize(
    ("said", "kind", "got"),
    [
        (
            "os.read(0, 9); print('05 FE', flush=True); time.sleep(60)",
            "hang",
            "answered, but did not read the whole request",
        ),
        ("time.sleep(60)", "hang", "no answer within 5 s, nor was the whole request read"),
        ("os.close(0); time.sleep(60)", "exit", "the client closed its input"),
        ("os.close(0); sys.exit(4)", "exit", "the client ended with status 4"),
        ("os.abort()", "crash", "SIGABRT"),
    ],
)
def test_a_request_need_not_be_read_to_its_end(said: str, kind: str, got: str, start: Start) -> None:
    pipe = start(f'{sys.executable} -S -c "import os, sys, time; {said}"', 5)
    (fault,) = pipe.observe(LARGE).faults
    assert (fault.kind, got in fault.got) == (kind, True), fault.got


def test_an_answer_given_before_the_request_was_read_is_one(start: Start) -> None:
    """Only the first: the client has ended before the second."""
    pipe = start(f"{sys.executable} -S -c \"import os; os.read(0, 9); print('! too large')\"")
    outcome = pipe.observe(LARGE)
    assert outcome.raised == "too large"
    assert [fault.got for fault in outcome.faults] == ["the client ended with status 0"]


def test_a_client_that_closes_its_output_costs_no_seconds(client: Write, start: Start) -> None:
    pipe = start(client("os.close(1); time.sleep(60)"))
    begun = time.monotonic()
    (fault,) = pipe.observe(smallest("unpack")).faults
    assert (fault.kind, fault.got) == ("exit", "the client closed its output")
    assert time.monotonic() - begun < 2 + GRACE


def test_reading_a_long_answer_takes_time_in_proportion(start: Start) -> None:
    said = "import sys; sys.stdin.readline(); sys.stdout.write('05' * 25000000 + chr(10)); sys.stdout.flush()"
    pipe = start(f'{sys.executable} -S -c "{said}"', 60)
    begun = time.process_time()
    outcome = pipe.observe(smallest("unpack"))
    assert outcome.result.type_name.startswith("an answer that cannot be read: q: expected 2 numbers, got 1")
    assert time.process_time() - begun < 3, "what was read is copied again and again"


@pytest.mark.parametrize("count", [0, 1, 5_000_000])
def test_the_words_after_an_answer_are_counted(count: int) -> None:
    problem = smallest("unpack")
    call = CALLS["unpack"](problem.arguments())
    line = " ".join(["05"] * (problem.k * problem.n + count)) + " \n"
    if not count:
        assert answer(call, line).shape == (problem.k, problem.n)
        return
    with pytest.raises(ValueError, match=f"expected nothing after q, got {count} more words"):
        answer(call, line)


def test_many_open_files_do_not_matter(client: Write, start: Start) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1300:
        pytest.skip(f"at most {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1300), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        pipe = start(client())
        outcome = pipe.observe(smallest("unpack"))
        assert (outcome.raised, outcome.faults) == (None, ())
        assert isinstance(outcome.result, np.ndarray)
    finally:
        for number in opened:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_mark_at_the_start_hides_no_operation(client: Write) -> None:
    command = client(before="os.write(1, b'\\xef\\xbb\\xbf')")
    target = resolve(f"pipe:{command}")
    assert isinstance(target, PipeTarget)
    assert [bool(target.lack(operation)) for operation in ("pack", "matmul", "unpack")] == [True, True, False]
    target.close()


def test_vectors_put_to_a_client_that_dies_say_so(client: Write, tmp_path: Path) -> None:
    target = resolve(f"pipe:{client('sys.exit(3)')}", TargetOptions(timeout=30))
    results = list(replay_vectors(target, vectors.committed_directory() / "pack_pair.json"))
    assert [(found.kind, found.got) for result in results for found in result.findings] == [
        ("exit", "the client ended with status 3")
    ]
    later = list(replay_vectors(target, vectors.committed_directory(), lambda name: name.startswith("vectors.pack")))
    assert {result.name: result.reason for result in later}["vectors.pack_dense"] == (
        "given up: the target ended or hung in earlier calls of pack"
    )
    target.close()


def test_the_request_of_the_documentation_is_what_is_sent() -> None:
    problem = Problem("unpack", 2, {"q": np.array([[5], [-2]], np.int8)})
    assert f"    {request(problem)}\n" in (ROOT / "docs" / "pipe.md").read_text()
