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
from q35ref.oracle.foreign.process import CannotStart, Death, ending
from q35ref.oracle.foreign.wire import Foreign, plain
from q35ref.oracle.judge import Mismatch
from q35ref.oracle.problem import Problem
from q35ref.reference.lanes import LAYOUTS

UNSIGNED: Final = {1: "u1", 4: "u4"}
"""The bits of numbers by their size in bytes."""

MOST_LINE: Final = 1 << 28
"""Bytes of an answer."""

PARAMETERS: Final = ("scale", "offset")
"""Come before other arrays in a request."""

METHODS: Final = ("minmax", "symmetric")
"""By their numbers in a request."""


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
    inputs = sorted(
        (a for a in call.arguments if isinstance(a, Input)),
        key=lambda a: (a.name not in PARAMETERS, a.name == "packed"),
    )
    numbers = [f"{value:X}" for value in settings(problem)]
    return " ".join([problem.operation, *numbers, *(word for array in inputs for word in words(array.array))])


def answer(call: CCall, line: str) -> Any:
    """Return the result that a line holds. Errors: ValueError, which says what was expected."""
    found: dict[str, NDArray[Any] | None] = {}
    rest = line.split()
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
        raise ValueError(f"expected nothing after {call.outputs[-1].name}, got {len(rest)} more words")
    result = call.result(found)
    return tuple(result) if isinstance(result, MatmulResult) else result


class PipeClient:
    """The program, started anew when it has ended."""

    def __init__(self, command: str, timeout: float) -> None:
        try:
            self.command = shlex.split(command)
        except ValueError as error:
            raise CannotStart(f"the command cannot be read: {error}") from error
        self.timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._absent: dict[str, bool] = {}
        self._start()

    def has(self, operation: str) -> bool:
        """Whether the client does an operation; it is asked a small problem."""
        if operation not in self._absent:
            from q35ref.oracle.cases import smallest

            said = self._line(request(smallest(operation)))
            self._absent[operation] = isinstance(said, str) and said.strip() == "?"
        return not self._absent[operation]

    def observe(self, problem: Problem) -> Outcome:
        """Ask a problem twice."""
        first = self._once(problem)
        if not first.answered:
            return first
        second = self._once(problem)
        if not second.answered:
            return Outcome(first.result, first.raised, second.faults)
        if alike(first, second):
            return first
        return Outcome(first.result, first.raised, (unlike("not repeatable", first, second, "an equal request"),))

    def code(self, problem: Problem) -> str:
        """Return Python that asks a problem without the oracle."""
        line = request(problem)
        said = "subprocess.run(command, input=line, capture_output=True, text=True).stdout"
        return f"import subprocess\ncommand = {self.command!r}\nline = {line!r} + '\\n'\nprint({said})"

    def _once(self, problem: Problem) -> Outcome:
        said = self._line(request(problem))
        if isinstance(said, Death):
            fault = Mismatch(said.kind, problem.operation, said.text, EXPECTED[said.kind])
            return Outcome(faults=(fault,), answered=False)
        if said.lstrip().startswith("!"):
            return Outcome(raised=plain(said.strip()[1:].strip()) or "!")
        try:
            return Outcome(answer(CALLS[problem.operation](problem.arguments()), said))
        except ValueError as error:
            return Outcome(Foreign(plain(f"an answer that cannot be read: {error}")))

    def _start(self) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
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
            raise CannotStart(f"{self.command[0] if self.command else 'nothing'}: {error.strerror}") from error
        self._rest = b""

    def _line(self, text: str) -> str | Death:
        """Send a line and return the one that answers it."""
        try:
            if self._process is None:
                self._start()
        except CannotStart as error:
            return Death("exit", f"it cannot be started again: {error}")
        assert self._process is not None
        if self._rest.strip():
            extra = self._rest
            self.close()
            return Death("exit", f"wrote a line that nobody asked for: {plain(extra.decode(errors='replace'))!r}")
        try:
            return self._exchange(self._process, f"{text}\n".encode())
        except TimeoutError:
            self.close()
            return Death("hang", f"no answer within {self.timeout:g} s")
        except (EOFError, OSError):
            return self._death(self._process)

    def _exchange(self, process: subprocess.Popen[bytes], text: bytes) -> str:
        """Write a line while reading the answer, as neither side need hold all of it."""
        assert process.stdin is not None
        assert process.stdout is not None
        until, sent = time.monotonic() + self.timeout, memoryview(text)
        os.set_blocking(process.stdin.fileno(), False)
        while b"\n" not in self._rest:
            left = until - time.monotonic()
            ready = select.select([process.stdout], [process.stdin] if sent else [], [], max(0, left))
            if left <= 0 or not any(ready):
                raise TimeoutError
            if ready[1]:
                sent = sent[os.write(process.stdin.fileno(), sent[: 1 << 16]) :]
            if ready[0]:
                part = os.read(process.stdout.fileno(), 1 << 16)
                if not part or len(self._rest) > MOST_LINE:
                    raise EOFError
                self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace")

    def _death(self, process: subprocess.Popen[bytes]) -> Death:
        try:
            status = process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.close()
            return Death("crash", "the client closed its output")
        ended = ending(status, self._said, "the client")
        self.close()
        return ended

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


__all__ = ["PipeClient", "answer", "request", "words"]
