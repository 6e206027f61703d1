"""The oracle's side of a kernel's process: calls with a time limit, and a new process after one that died."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from q35ref.oracle.foreign.wire import plain, receive, send

START_TIMEOUT: Final = 60.0
"""Seconds in which a kernel must be loaded."""

SAID: Final = 300
"""Characters that are kept of what a kernel said last."""


MOST_SAID: Final = 1 << 20
"""Bytes that are kept between two calls of what a kernel says."""


class CannotStart(Exception):
    """The kernel cannot be loaded; the text says why."""


@dataclass(frozen=True)
class Death:
    """How a kernel's process ended instead of answering."""

    kind: str
    """``crash``, ``exit`` or ``hang``."""
    text: str


class KernelProcess:
    """A process with a kernel in it, made anew when it is needed."""

    def __init__(self, about: dict[str, Any], timeout: float) -> None:
        self.about, self.timeout = about, timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._said: BinaryIO | None = None
        self.offered = self._start()

    def request(self, message: dict[str, Any]) -> dict[str, Any] | Death:
        """Return the answer to a message, or how the process ended."""
        try:
            if self._process is None:
                self._start()
        except CannotStart as error:
            return Death("exit", f"it cannot be loaded again: {error}")
        try:
            answered = self._exchange(message, self.timeout)
            if self._said is not None:
                cut(self._said)
        except TimeoutError:
            if self._process is not None and self._process.poll() is not None:
                return self._death()  # what it has started keeps the pipe open
            self.close()
            return Death("hang", f"no answer within {self.timeout:g} s")
        except (EOFError, OSError):
            return self._death()
        except ValueError as error:  # the kernel has the pipe too; its process lives on
            self.close()
            return Death("exit", f"wrote an answer that cannot be read: {error}")
        return answered

    def close(self) -> None:
        """End the process, if there is one, and all that it started."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._forget()

    def _start(self) -> dict[str, Any]:
        """Start the process; return what the kernel offers. Errors: CannotStart."""
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        self._said = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(  # noqa: S603 - our own worker
            [sys.executable, "-P", "-m", "q35ref.oracle.foreign.worker", str(to_read), str(from_write)],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            pass_fds=(to_read, from_write),
            start_new_session=True,
        )
        os.close(to_read)
        os.close(from_write)
        self._to, self._from = os.fdopen(to_write, "wb", buffering=0), os.fdopen(from_read, "rb", buffering=0)
        os.set_blocking(to_write, False)
        try:
            offered = self._exchange(self.about, START_TIMEOUT)
        except KeyboardInterrupt:
            self.close()
            raise
        except TimeoutError:
            self.close()
            raise CannotStart(f"it was not loaded within {START_TIMEOUT:g} s") from None
        except (EOFError, OSError):
            raise CannotStart(f"while it was loaded: {self._death().text}") from None
        except ValueError as error:
            self.close()
            raise CannotStart(f"while it was loaded, it wrote an answer that cannot be read: {error}") from None
        if "error" in offered:
            self.close()
            raise CannotStart(str(offered["error"]))
        return offered

    def _exchange(self, message: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Send a message and read the answer. Errors: TimeoutError, EOFError, OSError, ValueError."""
        until = time.monotonic() + timeout
        send(_TimedWriter(self._to, until), message)
        return receive(_Timed(self._from, until))

    def _death(self) -> Death:
        """Return how the process ended."""
        assert self._process is not None
        assert self._said is not None
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.close()
            return Death("crash", "its process closed the pipe to the oracle")
        ended = ending(status, self._said, "the process")
        self.close()
        return ended

    def _forget(self) -> None:
        for stream in (self._to, self._from, self._said):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process = self._said = None


def ready(stream: Any, event: int, seconds: float) -> bool:
    """Whether a pipe can be read or written within some seconds; of any number of open files, as select cannot."""
    poll = select.poll()
    poll.register(stream, event)
    return seconds > 0 and bool(poll.poll(1000 * seconds))


class _TimedWriter:
    """A pipe that does not block, written until a moment; then it raises TimeoutError."""

    def __init__(self, stream: Any, until: float) -> None:
        self._stream, self._until = stream, until

    def write(self, data: bytes) -> None:
        """Write all of it."""
        rest = memoryview(data)
        while rest:
            left = self._until - time.monotonic()
            if not ready(self._stream, select.POLLOUT, left):
                raise TimeoutError
            rest = rest[self._stream.write(rest[: 1 << 16]) or 0 :]

    def flush(self) -> None:
        """Do nothing: nothing is kept."""


class _Timed:
    """A pipe that is read until a moment, and then raises TimeoutError."""

    def __init__(self, stream: Any, until: float) -> None:
        self._stream, self._until = stream, until

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end."""
        parts = bytearray()
        while len(parts) < size:
            left = self._until - time.monotonic()
            if not ready(self._stream, select.POLLIN, left):
                raise TimeoutError
            part = self._stream.read(min(size - len(parts), 1 << 20))
            if not part:
                break
            parts += part
        return bytes(parts)


def cut(said: BinaryIO) -> None:
    """Drop what a kernel has said so far, if it is much: its last words are all that is told."""
    if os.fstat(said.fileno()).st_size > MOST_SAID:
        said.truncate(0)


def ending(status: int, said: BinaryIO, who: str) -> Death:
    """Return how a process ended, and what it said last."""
    said.seek(max(0, said.seek(0, os.SEEK_END) - SAID))
    last = said.read().decode(errors="replace").strip()
    note = f"; it said: {plain(last.splitlines()[-1])}" if last else ""
    if status < 0:
        return Death("crash", f"{signal_name(-status)}{note}")
    return Death("exit", f"{who} ended with status {status}{note}")


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
