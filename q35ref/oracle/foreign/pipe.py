"""A program that reads a request a line and answers a line: the protocol, and the oracle's side of it.

Every number is hexadecimal: sizes and settings as they are, the numbers of arrays as the bits of their type, arrays in
the order of the C ABI. ``docs/pipe.md`` is the protocol's description.
"""

import contextlib
import os
import re
import select
import shlex
import signal
import subprocess
import tempfile
import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.protocol import MatmulResult
from q35ref.oracle.calls import Outcome, alike, unlike
from q35ref.oracle.foreign.abi import CALLS, CCall, Input
from q35ref.oracle.foreign.observe import EXPECTED
from q35ref.oracle.foreign.process import CannotStart, Death, cut, ending
from q35ref.oracle.foreign.wire import Foreign, plain
from q35ref.oracle.judge import Mismatch
from q35ref.oracle.problem import Problem
from q35ref.reference.lanes import LAYOUTS

UNSIGNED: Final = {1: "u1", 4: "u4"}
"""The bits of numbers by their size in bytes."""

MOST_LINE: Final = 1 << 28
"""Bytes of an answer."""

GRACE: Final = 0.5
"""Seconds in which a client that has closed a pipe may end, and in which a line after an unreadable one may come."""

SETTLE: Final = 0.05
"""Seconds in which the answer may come after a greeting."""

FRUITLESS: Final = 3
"""Times that a line after an unreadable one is waited for in vain."""

BYTE_ORDER_MARK: Final = "\ufeff"

PARAMETERS: Final = ("scale", "offset")
"""Come before other arrays in a request, which else have the order of the C ABI."""

METHODS: Final = ("minmax", "symmetric")
"""By their numbers in a request."""

SHOWN: Final = 64
"""Characters that are shown of a line which is not an answer."""

WORD: Final = re.compile(r"\S+")


def words(array: NDArray[Any]) -> list[str]:
    """Return the bits of an array's numbers, each with all its digits.

    >>> words(np.array([-2, 5], np.int8)), words(np.array([1.5], np.float32))
    (['FE', '05'], ['3FC00000'])
    """
    digits = 2 * array.dtype.itemsize
    return [f"{bits:0{digits}X}" for bits in np.ascontiguousarray(array).view(UNSIGNED[array.dtype.itemsize]).ravel()]


def settings(problem: Problem) -> list[int]:
    """Return the sizes and settings of a request, in order."""
    p = problem
    return {
        "pack": lambda: [p.k, p.n, LAYOUTS.index(p.layout)],
        "unpack": lambda: [p.k, p.n, LAYOUTS.index(p.layout)],
        "calibrate": lambda: [p.k, p.n, p.group_size, METHODS.index(p.method)],
        "quantize": lambda: [p.k, p.n, p.group_size, p.narrow_gain],
        "dequantize": lambda: [p.k, p.n, p.group_size, p.narrow_gain],
        "quantize_activations": lambda: [p.m, p.k],
        "matmul": lambda: [p.m, p.k, p.n, LAYOUTS.index(p.layout), p.group_size, p.narrow_gain],
    }[p.operation]()


def request(problem: Problem) -> str:
    """Return the line that asks a problem, without its end."""
    call = CALLS[problem.operation](problem.arguments())
    inputs = sorted((a for a in call.arguments if isinstance(a, Input)), key=lambda a: a.name not in PARAMETERS)
    numbers = [f"{value:X}" for value in settings(problem)]
    return " ".join([problem.operation, *numbers, *(word for array in inputs for word in words(array.array))])


def answer(call: CCall, line: str) -> Any:
    """Return the result that a line holds. Errors: ValueError, which says what was expected."""
    if line.startswith(BYTE_ORDER_MARK):
        raise ValueError("it begins with a UTF-8 byte order mark")
    if line.strip() == "?":
        raise ValueError("it is ?, but the client does this operation")
    found: dict[str, NDArray[Any] | None] = {}
    most = sum(int(np.prod(output.shape)) for output in call.outputs)
    rest = line.split(maxsplit=most)  # what comes after stays text, however long
    for output in call.outputs:
        if rest[:1] == ["-"] and call.symbol == "q35_matmul":
            found[output.name], rest = None, rest[1:]
            continue
        dtype, count = np.dtype(output.dtype), int(np.prod(output.shape))
        number = re.compile(f"[0-9A-Fa-f]{{{2 * dtype.itemsize}}}")
        taken, rest = rest[:count], rest[count:]
        if len(taken) < count:
            raise ValueError(f"{output.name}: expected {count} numbers, got {len(taken)}")
        wrong = next((word for word in taken if not number.fullmatch(word)), None)
        if wrong is not None:
            digits = 2 * dtype.itemsize
            raise ValueError(f"{output.name}: expected numbers of {digits} hexadecimal digits, got {wrong[:40]!r}")
        bits = np.array([int(word, 16) for word in taken], np.uint64)
        found[output.name] = bits.astype(UNSIGNED[dtype.itemsize]).view(dtype).reshape(output.shape)
    if rest:
        more = sum(1 for word in rest for _ in WORD.finditer(word))
        raise ValueError(f"expected nothing after {call.outputs[-1].name}, got {more} more words")
    result = call.result(found)
    return tuple(result) if isinstance(result, MatmulResult) else result


class _Ended(Exception):
    """How a client ended, or was ended, instead of answering."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.death = Death(kind, text)


class PipeClient:
    """The program, started anew when it has ended."""

    def __init__(self, command: str, timeout: float) -> None:
        try:
            self.command = shlex.split(command)
        except ValueError as error:
            raise CannotStart(f"the command cannot be read: {error}") from error
        if not self.command:
            raise CannotStart("the command is empty")
        self.timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._absent: dict[str, bool] = {}
        self._fruitless = 0
        self._start()

    def has(self, operation: str) -> bool:
        """Whether the client does an operation; it is asked a small problem."""
        if operation not in self._absent:
            from q35ref.oracle.cases import smallest

            said = self._line(request(smallest(operation)))
            self._absent[operation] = isinstance(said, str) and said.strip().strip(BYTE_ORDER_MARK) == "?"
        return not self._absent[operation]

    def observe(self, problem: Problem) -> Outcome:
        """Ask a problem twice, but for a first answer that cannot be read."""
        first = self._once(problem)
        if not first.answered or isinstance(first.result, Foreign):
            return first
        second = self._once(problem)
        if not second.answered:
            return Outcome(first.result, first.raised, second.faults)
        if alike(first, second):
            return first
        return Outcome(first.result, first.raised, (unlike("not repeatable", first, second, "an equal request"),))

    def code(self, problem: Problem, fault: Mismatch | None = None) -> str:
        """Return Python that asks a problem without the oracle, twice if equal answers are in doubt."""
        twice = fault is not None and fault.kind == "not repeatable"
        return "\n".join(
            [
                "import subprocess, time",
                f"command = {self.command!r}",
                f"line = {request(problem)!r} + '\\n'",
                "pipes = {name: subprocess.PIPE for name in ('stdin', 'stdout', 'stderr')}",
                "client = subprocess.Popen(command, text=True, bufsize=1, **pipes)",
                *(2 if twice else 1) * ["client.stdin.write(line)", "print(client.stdout.readline(), end='')"],
                "time.sleep(0.5)",
                "if client.poll() is None:",
                "    client.kill()",
                "else:",
                "    print('it ended with status', client.returncode, client.stderr.read()[-300:])",
            ]
        )

    def _once(self, problem: Problem) -> Outcome:
        said = self._line(request(problem))
        if isinstance(said, Death):
            return _died(problem, said)
        if said.lstrip().startswith("!"):
            return Outcome(raised=plain(said.strip()[1:].strip()) or "!")
        try:
            return Outcome(answer(CALLS[problem.operation](problem.arguments()), said))
        except ValueError as error:
            if self._followed():
                return _died(problem, self._unasked())
            return Outcome(Foreign(plain(f"an answer that cannot be read: {error}")))

    def _start(self) -> None:
        self._said = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the command that the user gave
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            self._said.close()
            raise CannotStart(f"{self.command[0]}: {error.strerror}") from error
        self._rest = bytearray()
        self._last: str | None = None

    def _line(self, text: str) -> str | Death:
        """Send a line and return the one that answers it."""
        try:
            if self._process is None:
                self._start()
        except CannotStart as error:
            return Death("exit", f"it cannot be started again: {error}")
        assert self._process is not None
        try:
            if self._more(0):
                return self._unasked()
            settle = SETTLE if self._last is None else 0  # a greeting is taken for the answer, which follows
            self._last = self._exchange(self._process, f"{text}\n".encode())
            if self._last.startswith(BYTE_ORDER_MARK):
                self.close()  # only a first line bears the mark: so each problem shows it
                return self._last
            return self._unasked() if self._more(settle) else self._last
        except _Ended as error:
            self.close()
            return error.death

    def _exchange(self, process: subprocess.Popen[bytes], text: bytes) -> str:
        """Write a line while reading the answer, as neither side need hold all of it. Errors: _Ended."""
        assert process.stdin is not None
        assert process.stdout is not None
        source, sink = process.stdout.fileno(), process.stdin.fileno()
        until, sent, end = time.monotonic() + self.timeout, memoryview(text), -1
        os.set_blocking(sink, False)
        poll = select.poll()  # unlike select, it knows descriptors from 1024 on
        poll.register(source, select.POLLIN)
        poll.register(sink, select.POLLOUT)
        while end < 0 or sent:
            left = until - time.monotonic()
            ready = [number for number, _ in poll.poll(max(0.0, 1000 * left))]
            if left <= 0 or not ready:
                raise self._late(process, bool(sent), end >= 0)
            if sink in ready:
                try:
                    sent = sent[os.write(sink, sent[: 1 << 16]) :]
                except OSError:  # it may have answered without reading all
                    sent, until = sent[:0], min(until, time.monotonic() + GRACE)
                if not sent:
                    poll.unregister(sink)
            if source in ready:
                part = os.read(source, 1 << 16)
                if not part:
                    raise self._closed(process, "output")
                end = part.find(b"\n") + len(self._rest) if b"\n" in part else -1
                self._rest += part
                if end >= 0:
                    poll.unregister(source)
                elif len(self._rest) > MOST_LINE:
                    raise _Ended("exit", f"an answer of more than {MOST_LINE} bytes; the client was ended")
        cut(self._said)
        line = self._rest[:end].decode(errors="replace")
        del self._rest[: end + 1]
        return line

    def _late(self, process: subprocess.Popen[bytes], unread: bool, answered: bool) -> _Ended:
        """Return why the time is up."""
        assert process.stdin is not None
        poll = select.poll()
        poll.register(process.stdin, 0)
        if poll.poll(0) or process.poll() is not None:  # what it has started may keep the pipes open
            return self._closed(process, "input")
        within = f"within {self.timeout:g} s"
        if answered:
            return _Ended("hang", f"the client answered, but did not read the whole request {within}")
        start = self._begun()
        reading = ", nor was the whole request read" if unread else ""
        return _Ended("hang", f"no answer {within}{f', only {start} without the end of a line' * bool(start)}{reading}")

    def _closed(self, process: subprocess.Popen[bytes], what: str) -> _Ended:
        """Return how a client ended that no longer reads or writes."""
        start = self._begun()
        note = f"; its last line had no end: {start}" if start else ""
        try:
            status = process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            return _Ended("exit", f"the client closed its {what}{note}")
        death = ending(status, self._said, "the client")
        return _Ended(death.kind, death.text + note)

    def _begun(self) -> str:
        """Return the beginning of what was read and is no answer, quoted, or nothing."""
        return repr(_first_line(self._rest)) if self._rest else ""

    def _more(self, seconds: float) -> bool:
        """Whether there is more than the last answer, or there is within some seconds."""
        assert self._process is not None
        assert self._process.stdout is not None
        if not self._rest:
            poll = select.poll()
            poll.register(self._process.stdout, select.POLLIN)
            if poll.poll(1000 * seconds):
                self._rest += os.read(self._process.stdout.fileno(), 1 << 16)
        at_start = self._last is None and BYTE_ORDER_MARK.encode().startswith(bytes(self._rest[:4]))
        return bool(self._rest) and not at_start  # a mark belongs to the first line

    def _followed(self) -> bool:
        """Whether an answer that cannot be read is followed by another, as a greeting is by the answer."""
        if self._process is None or self._fruitless == FRUITLESS:
            return False
        found = self._more(GRACE)
        self._fruitless += not found
        return found

    def _unasked(self) -> Death:
        """End a client that answers more than it is asked."""
        when = "before the first request" if self._last is None else f"after {_first_line(self._last.encode())!r}"
        self.close()
        return Death("exit", f"wrote a line that nobody asked for: {_first_line(self._rest)!r}, {when}")

    def close(self) -> None:
        """End the client, if it runs, and all that it started."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process = None


def _died(problem: Problem, death: Death) -> Outcome:
    fault = Mismatch(death.kind, problem.operation, death.text, EXPECTED[death.kind])
    return Outcome(faults=(fault,), answered=False)


def _first_line(data: bytes | bytearray) -> str:
    """Return the start of what a client wrote, up to the end of the line.

    >>> _first_line(b"05 FE\\r\\nmore"), _first_line(200 * b"0")[60:]
    ('05 FE', '0000...')
    """
    line = bytes(data[: 4 * (SHOWN + 1)]).decode(errors="replace").partition("\n")[0].removesuffix("\r")
    return plain(line if len(line) <= SHOWN else line[:SHOWN] + "...")


__all__ = ["PipeClient", "answer", "request", "words"]
