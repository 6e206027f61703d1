"""The lines of the pipe protocol, as its description has them, and the oracle's side of clients that keep to it."""

import os
import re
import select
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from q35ref.backends.numpy import NumpyBackend
from q35ref.oracle.calls import Outcome
from q35ref.oracle.cases import smallest
from q35ref.oracle.foreign import pipe
from q35ref.oracle.foreign.abi import CALLS
from q35ref.oracle.foreign.pipe import PipeClient, answer, request, settings, words
from q35ref.oracle.foreign.process import CannotStart
from q35ref.oracle.foreign.wire import Foreign
from q35ref.oracle.judge import Mismatch
from q35ref.oracle.problem import Problem
from tests.oracle.conftest import Start

TABLE = (Path(__file__).parents[2] / "docs" / "pipe.md").read_text()

FORMS = dict(re.findall(r"^\| `(\w+) ([^`]+)` \| `[^`]+` \|$", TABLE, re.MULTILINE))
"""What follows the operation in a request, by the protocol's description."""

ANSWERS = dict(re.findall(r"^\| `(\w+) [^`]+` \| `([^`]+)` \|$", TABLE, re.MULTILINE))

BY_COLUMNS = ("q", "w")


def posed(operation: str, layout: str = "dense", method: str = "symmetric") -> Problem:
    """Return a problem of which every size and number is another."""
    random = np.random.default_rng(1)
    q, a = random.integers(-4, 4, (18, 3), np.int8), random.integers(-99, 99, (2, 18), np.int8)
    w, x = random.normal(size=(18, 3)).astype("f4"), random.normal(size=(2, 18)).astype("f4")
    scale, offset = (1 + random.random((2, 3))).astype("f4"), random.normal(size=(2, 3)).astype("f4")
    arrays: dict[str, Any] = {"q": q, "w": w, "a": a, "x": x, "scale": scale, "offset": offset}
    names = {"matmul": ("a", "q", "scale", "offset"), "unpack": ("q",), "calibrate": ("w",)}
    usual = tuple(name.rstrip(".") for name in FORMS[operation].split() if name.endswith("..."))
    return Problem(operation, 18, {name: arrays[name] for name in names.get(operation, usual)}, layout, 16, 1, method)


def bits(array: Any) -> list[str]:
    """Return the numbers of an array as the protocol has them."""
    form = {"int8": "b", "uint8": "B", "float32": "f", "int32": "i"}[array.dtype.name]
    return [struct.pack(f">{form}", value).hex().upper() for value in array.ravel().tolist()]


OPERATIONS = list(CALLS)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_request_is_what_the_description_says(operation: str) -> None:
    """Sizes, settings and arrays in its order, those by columns turned."""
    for layout, method, number in (("byte", "minmax", "0"), ("dense", "symmetric", "1")):
        problem = posed(operation, layout, method)
        values = {"M": "2", "K": "12", "N": "3", "LAYOUT": number, "METHOD": number, "GROUP_SIZE": "10", "GAIN": "1"}
        expected = [operation]
        for word in FORMS[operation].split():
            if word in values:
                expected.append(values[word])
                continue
            name = word.removesuffix("...")
            array = problem.arguments()[name]
            expected += bits(array.T if name in BY_COLUMNS else array)
        assert request(problem).split(" ") == expected
        assert settings(problem) == [int(values[word], 16) for word in FORMS[operation].split() if word in values]


def test_numbers_have_all_their_digits() -> None:
    assert words(np.array([0, -1, -128, 127], np.int8)) == ["00", "FF", "80", "7F"]
    assert words(np.array([[1], [2]], np.int32)) == ["00000001", "00000002"]
    assert words(np.array([[1, 2], [3, 4]], np.uint8).T) == ["01", "03", "02", "04"]
    assert words(np.array([-0.0], np.float32)) == ["80000000"]


def parts_of(result: Any) -> tuple[Any, ...]:
    """Return the parts of a result."""
    return tuple(result) if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_answer_is_what_the_description_says(operation: str) -> None:
    """The results of NumPy, written as it says, are those of NumPy."""
    problem = posed(operation)
    call = CALLS[operation](problem.arguments())
    right = getattr(NumpyBackend(), operation)(*problem.arguments().values())
    names = [word.removesuffix("...") for word in ANSWERS[operation].split()]
    told = [
        " ".join(bits(part.T if name in BY_COLUMNS else part))
        for name, part in zip(names, parts_of(right), strict=True)
    ]
    for line in (" ".join(told), "\t".join(told).lower() + "\r"):
        found = answer(call, line)
        assert type(found) is (tuple if isinstance(right, tuple) else np.ndarray)
        for one, other in zip(parts_of(found), parts_of(right), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def read(line: str, operation: str = "unpack") -> Any:
    """Return what is read of an answer to the smallest problem."""
    return answer(CALLS[operation](smallest(operation).arguments()), line)


def test_results_of_a_matmul_may_be_left_out() -> None:
    assert [part is None for part in read("- - -", "matmul")] == [True, True, True]
    acc, row_sum, out = read("- 00000002 -", "matmul")
    assert (acc, row_sum.tolist(), out) == (None, [[2]], None)
    acc, row_sum, out = read("FFFFFFFE - 3FC00000", "matmul")
    assert (acc.tolist(), row_sum, out.tolist()) == ([[[-2]]], None, [[1.5]])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("\ufeff01 01", "it begins with a UTF-8 byte order mark"),
        (" ? ", "it is ?, but the client does this operation"),
        ("", "q: expected 2 numbers, got 0"),
        ("01", "q: expected 2 numbers, got 1"),
        ("01 G1", "q: expected numbers of 2 hexadecimal digits, got 'G1'"),
        ("01 001", "q: expected numbers of 2 hexadecimal digits, got '001'"),
        ("1 01", "q: expected numbers of 2 hexadecimal digits, got '1'"),
        ("- 01", "q: expected numbers of 2 hexadecimal digits, got '-'"),
        ("01 " + 50 * "x", f"q: expected numbers of 2 hexadecimal digits, got '{40 * 'x'}'"),
        ("01 01 x", "expected nothing after q, got 1 more words"),
        ("01 01 x\ty   z ", "expected nothing after q, got 3 more words"),
    ],
)
def test_a_line_that_is_no_answer_says_why(line: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        read(line)


@pytest.mark.parametrize("operation", ["calibrate", "quantize_activations"])
def test_results_of_no_other_operation_may_be_left_out(operation: str) -> None:
    with pytest.raises(ValueError, match=r"scale: expected numbers of 8 hexadecimal digits, got '-'$"):
        read("- 00000000", operation)


def test_of_several_results_the_one_that_is_short_is_named() -> None:
    with pytest.raises(ValueError, match=r"^row_sum: expected 1 numbers, got 0$"):
        read("00000001", "matmul")
    with pytest.raises(ValueError, match=r"^expected nothing after out, got 2 more words$"):
        read("- - - - -", "matmul")
    with pytest.raises(ValueError, match=r"^out: expected numbers of 8 hexadecimal digits, got '01'$"):
        read("- - 01", "matmul")


UNPACK = smallest("unpack")
"""Two ones, by any answer but these a wrong one."""

RIGHT = "while read -r line; do echo 01 01; done"


def told(outcome: Outcome) -> list[tuple[str, str]]:
    """Return the kinds of an outcome's faults, and what was got."""
    return [(fault.kind, fault.got) for fault in outcome.faults]


def test_a_problem_is_asked_twice(start: Start, tmp_path: Path) -> None:
    """By equal lines."""
    client = start(f'while read -r line; do echo "$line" >> {tmp_path / "asked"}; echo 01 01; done')
    outcome = client.observe(UNPACK)
    assert outcome.result.tolist() == [[1], [1]]
    assert (outcome.raised, outcome.faults, outcome.answered) == (None, (), True)
    assert (tmp_path / "asked").read_text() == 2 * "unpack 2 1 0 9\n".replace("9", "09")


def test_a_client_is_waited_for_after_its_first_answer_alone(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A greeting may have been taken for it. Each look before a request and after an answer takes no time."""
    waited: list[float] = []
    more = PipeClient._more

    def noted(self: PipeClient, seconds: float) -> bool:
        waited.append(seconds)
        return more(self, seconds)

    monkeypatch.setattr(PipeClient, "_more", noted)
    client = start(RIGHT)
    client.observe(UNPACK)
    client.observe(UNPACK)
    assert waited == [0, 0.05, *6 * [0]]


def test_seconds_are_milliseconds_to_the_system(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    real = select.poll

    class Poll:
        def __init__(self) -> None:
            self.real = real()
            self.register, self.unregister = self.real.register, self.real.unregister

        def poll(self, milliseconds: float) -> Any:
            waited.append(milliseconds)
            return self.real.poll(milliseconds)

    client = start(RIGHT)
    monkeypatch.setattr(select, "poll", Poll)
    monkeypatch.setattr(time, "monotonic", lambda: 5.0)
    assert client.observe(UNPACK).faults == ()
    assert [milliseconds for milliseconds in waited if milliseconds != 20000] == [0, 50, 0, 0]
    assert client._more(0.25) is False
    assert waited[-1] == 250


def test_pieces_are_of_64_kibibytes(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a request and of an answer, each longer than that."""
    rows = 1 << 16
    ones = Problem("unpack", rows, {"q": np.ones((rows, 1), np.int8)})
    sizes: dict[str, set[int]] = {"read": set(), "write": set()}
    read, write = os.read, os.write

    def reading(source: int, size: int) -> bytes:
        sizes["read"].add(size)
        return read(source, size)

    def writing(sink: int, data: Any) -> int:
        sizes["write"].add(len(data))
        return write(sink, data)

    client = start("cat > /dev/null & read -r line; yes 01 | head -n 65536 | tr '\\n' ' '; echo; read -r line")
    greets = start("echo ready; read -r line")
    monkeypatch.setattr(os, "read", reading)
    monkeypatch.setattr(os, "write", writing)
    outcome = client._once(ones)
    assert outcome.result.shape == (rows, 1)
    assert greets._more(9)
    assert sizes["read"] == {1 << 16}
    assert max(sizes["write"]) == 1 << 16


def test_equal_requests_with_other_answers_are_not_repeatable(start: Start) -> None:
    outcome = start("read -r line; echo 01 01; read -r line; echo 01 02; read -r line").observe(UNPACK)
    expected = Mismatch("not repeatable", "result 1[1, 0]", "2 in an equal request", "1 again")
    assert outcome.faults == (expected,)
    assert outcome.result.tolist() == [[1], [1]]


def test_a_refusal_is_told_without_its_mark(start: Start) -> None:
    said = ["! too long", "!too long", "  !  too long  ", "!"]
    client = start("".join(f"read -r line; echo '{text}'; read -r line; echo '{text}';" for text in said) + "read -r l")
    outcomes = [client.observe(UNPACK) for _ in said]
    assert [outcome.raised for outcome in outcomes] == ["too long", "too long", "too long", "!"]
    assert all(outcome.faults == () and outcome.result is None for outcome in outcomes)


def test_an_operation_is_asked_for_once(start: Start) -> None:
    """By a question mark it is told that there is none, by anything else that there is."""
    client = start("read -r line; echo ' ? '; read -r line; echo 01 01; read -r line; echo '?'; read -r line")
    assert [client.has("pack"), client.has("pack"), client.has("unpack"), client.has("unpack")] == [
        False,
        False,
        True,
        True,
    ]
    assert client.has("matmul") is False


@pytest.mark.parametrize("mark", ["?", "01 01"])
def test_a_byte_order_mark_hides_no_question_mark(start: Start, mark: str) -> None:
    assert start(f"read -r line; printf '\\357\\273\\277{mark}\\n'; read -r line").has("unpack") is (mark != "?")


@pytest.mark.parametrize("said", ["00", "FF 01", "ff", "!", "-", "??", "@"])
def test_whatever_else_is_answered_there_is_the_operation(start: Start, said: str) -> None:
    assert start(f"read -r line; echo '{said}'; read -r line").has("unpack") is True


def test_what_dies_of_a_question_has_the_operation(start: Start) -> None:
    """It is found out by problems."""
    assert start("exit 3").has("unpack") is True


def test_an_answer_that_cannot_be_read_is_a_result_of_another_kind(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another line is waited for, which would tell of a greeting."""
    monkeypatch.setattr(pipe, "GRACE", 0.01)
    outcome = start("read -r line; echo 01; read -r line").observe(UNPACK)
    assert isinstance(outcome.result, Foreign)
    assert outcome.result.type_name == "an answer that cannot be read: q: expected 2 numbers, got 1"
    assert (outcome.faults, outcome.raised, outcome.answered) == ((), None, True)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("'unfinished", "the command cannot be read: No closing quotation"),
        ("no-such-program --fast", "no-such-program: No such file or directory"),
        ("", "the command is empty"),
    ],
)
def test_what_cannot_be_started_says_why(command: str, said: str) -> None:
    with pytest.raises(CannotStart, match=f"^{said}$"):
        PipeClient(command, 1)


def test_what_cannot_be_started_again_is_told(tmp_path: Path) -> None:
    program = tmp_path / "client"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o700)
    client = PipeClient(str(program), 20)
    assert told(client.observe(UNPACK)) == [("exit", "the client ended with status 3")]
    program.unlink()
    found = f"it cannot be started again: {program}: No such file or directory"
    assert told(client.observe(UNPACK)) == [("exit", found)]
    program.write_text(f"#!/bin/sh\n{RIGHT}\n")
    program.chmod(0o700)
    assert client.observe(UNPACK).faults == ()
    client.close()


@pytest.mark.parametrize(("kind", "lines"), [("not repeatable", 2), ("value", 1), ("alpha", 1), ("zeal", 1), ("", 1)])
def test_the_printed_code_asks_the_problem_without_the_oracle(
    start: Start, kind: str, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice where two answers were in doubt."""
    client = start('while read -r line; do echo "$line"; done')
    code = client.code(UNPACK, Mismatch(kind, "", "", "") if kind else None)
    started: list[Any] = []
    real = subprocess.Popen

    def noted(*arguments: Any, **options: Any) -> Any:
        started.append(real(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    monkeypatch.setattr("time.sleep", lambda _: None)
    exec(compile(code, "code", "exec"), {})  # noqa: S102 - what is printed for the user
    with started[0]:
        assert capsys.readouterr().out == lines * f"{request(UNPACK)}\n"
    assert "q35ref" not in code
