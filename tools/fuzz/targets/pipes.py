"""What a client behind a pipe, or a kernel's process, may send: lines, whole sessions, messages."""

import shlex
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final
from unittest import mock

import numpy as np

from q35ref.oracle.calls import Outcome, Unanswered, judge
from q35ref.oracle.cases import smallest
from q35ref.oracle.foreign import pipe
from q35ref.oracle.foreign.abi import CALLS
from q35ref.oracle.foreign.observe import read_answer
from q35ref.oracle.foreign.pipe import PipeClient, answer
from q35ref.oracle.foreign.process import CannotStart
from q35ref.oracle.foreign.wire import LENGTH, receive
from q35ref.oracle.judge import RULES, Absent
from q35ref.oracle.problem import Problem
from tools.fuzz.target import Target, documented, require_line
from tools.fuzz.targets.scratch import folder

PROBLEMS: Final[Sequence[Problem]] = [smallest(operation) for operation in CALLS]
"""What is asked: an input's first byte chooses."""

LATE: Final = 0.2
"""Seconds in which a client of a session must answer."""

GRACE, SETTLE = 0.03, 0.01
"""What a session waits for besides, in place of the product's seconds: more of it is read in a minute."""

MODES: Final = (
    "cat {file}",
    "sh -c 'while read -r line; do cat {file}; done'",
    "sh -c 'read -r line; cat {file}; exec sleep 5'",
    "sh -c 'cat {file} >&2; exit 3'",
)
"""Clients: one writes and ends, one answers each request with the same bytes, one stops answering, one complains."""


def judge_all(problem: Problem, outcome: Outcome) -> None:
    """Judge an outcome by every rule of its operation, and look at what is said of it."""
    said = [outcome.raised or ""]
    said += [text for fault in outcome.faults for text in (fault.place, fault.got)]
    for rule in RULES:
        if rule.operation != problem.operation:
            continue
        try:
            mismatch = judge(rule, problem, outcome).mismatch
        except (Absent, Unanswered):
            continue
        if mismatch is not None:
            said += [mismatch.place, mismatch.got, mismatch.expected]
    for text in said:
        require_line("finding", text)


def read_line(data: bytes) -> None:
    """Read an answer: a byte for the problem, then the line."""
    if not data:
        return
    problem = PROBLEMS[data[0] % len(PROBLEMS)]
    call = CALLS[problem.operation](problem.arguments())
    with documented(ValueError):
        result = answer(call, data[1:].partition(b"\n")[0].decode(errors="replace"))
        arrays = result if isinstance(result, tuple) else (result,)
        for array, output in zip(arrays, call.outputs, strict=True):
            left_out = array is None and problem.operation == "matmul"
            if not left_out and (not isinstance(array, np.ndarray) or array.dtype != np.dtype(output.dtype)):
                raise AssertionError(f"{output.name}: not an array of {output.dtype}")
        judge_all(problem, Outcome(result))


def read_session(data: bytes) -> None:
    """Ask a client that writes whatever it likes: a byte for the problem, one for when it writes, then what."""
    if len(data) < 2:
        return
    problem, mode = PROBLEMS[data[0] % len(PROBLEMS)], MODES[data[1] % len(MODES)]
    path = folder("session") / "said"
    path.write_bytes(data[2:])
    hurried = mock.patch.object(pipe, "GRACE", GRACE), mock.patch.object(pipe, "SETTLE", SETTLE)
    with documented(CannotStart), hurried[0], hurried[1]:
        client = PipeClient(mode.format(file=shlex.quote(str(path))), LATE)
        try:
            if client.has(problem.operation):
                judge_all(problem, client.observe(problem))
            judge_all(problem, client.observe(problem))
        finally:
            client.close()


def read_message(data: bytes) -> None:
    """Read a message of a kernel's process, as it is and with its length set right, and take it for an answer."""
    for stream in (data, LENGTH.pack(len(data)) + data):
        with documented(EOFError, ValueError):
            _take(receive(BytesIO(stream)))


def _take(message: dict[str, Any]) -> None:
    _, outcome = read_answer(message)
    for problem in PROBLEMS:
        judge_all(problem, outcome)


ANSWER: Final = Target("answer", "a pipe client's answers, line by line", read_line)

SESSION: Final = Target("session", "whole sessions with a hostile pipe client, in a process of its own", read_session)

WIRE: Final = Target("wire", "messages from the process that a foreign kernel runs in", read_message)

FOUND: Final = (ANSWER, SESSION, WIRE)
"""The targets of this module."""
