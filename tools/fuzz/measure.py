"""Reading one input under limits, and what it cost."""

import contextlib
import gc
import signal
import sys
import time
import traceback
import tracemalloc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any, Final

from tools.fuzz.target import BadMessage, Target

KINDS: Final = ("crash", "hang", "memory", "undocumented", "message")
"""What a finding may be: the process died, too much time, too much memory, an error that is not documented, or one that
is, and does not say what it has to in one printable line."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with what came of an input."""

    kind: str
    """One of :data:`KINDS`."""
    text: str
    """What happened."""


@dataclass
class Worst:
    """The most that any input has cost."""

    runs: int = 0
    """Inputs that were read."""
    memory: int = 0
    """Bytes of memory of the input that came nearest to what it may take."""
    memory_input: int = 0
    """Bytes of that input."""
    memory_share: float = 0.0
    """That memory, as a share of what it may take."""
    seconds: float = 0.0
    """Processor time of the slowest."""

    def add(self, target: Target, size: int, memory: int, seconds: float) -> bool:
        """Count an input; return whether it is the worst in anything."""
        share = memory / target.most_memory(size)
        record = share > self.memory_share or seconds > self.seconds
        self.runs += 1
        self.seconds = max(self.seconds, seconds)
        if share > self.memory_share:
            self.memory, self.memory_input, self.memory_share = memory, size, share
        return record

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class _TooLong(BaseException):
    """Raised in the middle of whatever takes too long; no ``except Exception`` keeps it."""


@dataclass
class Gauge:
    """Reads inputs of one target and keeps count. One at a time in a process: it owns a signal and the warnings."""

    target: Target
    worst: Worst = field(default_factory=Worst)
    _unraisable: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make every warning an error, and hear of errors that Python only prints."""
        warnings.simplefilter("error")
        sys.unraisablehook = lambda unraisable: self._unraisable.append(repr(unraisable.exc_value))
        tracemalloc.start(1)
        gc.disable()  # cycles are collected between inputs, so that the same input takes the same memory

    def warm(self, seeds: list[bytes]) -> None:
        """Read inputs without measuring, so that modules and tables that are made once count for none."""
        for data in seeds:
            with contextlib.suppress(Exception):  # found when it is read for good
                self.target.run(data)

    def read(self, data: bytes) -> Finding | None:
        """Read an input; return what is wrong with what came of it, or nothing.

        One that takes too much memory is read once more: a table of the interpreter's own may just have grown.
        """
        found, memory, seconds = self._measured(data)
        if found is not None and found.kind == "memory":
            found, memory, seconds = self._measured(data)
        self.worst.add(self.target, len(data), memory, seconds)
        return found

    def _measured(self, data: bytes) -> tuple[Finding | None, int, float]:
        self._unraisable.clear()
        if self.worst.runs % 256 == 0:
            gc.collect()
        before, begun = tracemalloc.get_traced_memory()[0], time.process_time()
        tracemalloc.reset_peak()
        found = self._run(data)
        seconds = time.process_time() - begun
        memory = tracemalloc.get_traced_memory()[1] - before
        if found is None and self._unraisable:
            found = Finding("undocumented", f"raised where nothing can catch it: {self._unraisable[0]}")
        if found is None and seconds > self.target.seconds:
            found = Finding("hang", f"{seconds:.1f} s of processor time, allowed are {self.target.seconds:g}")
        most = self.target.most_memory(len(data))
        if found is None and memory > most:
            found = Finding("memory", f"{memory:,} bytes for an input of {len(data):,}, allowed are {most:,}")
        return found, memory, seconds

    def _run(self, data: bytes) -> Finding | None:
        try:
            with _time_limit(self.target.seconds):
                self.target.run(data)
        except KeyboardInterrupt:
            raise
        except BadMessage as error:
            return Finding("message", str(error))
        except _TooLong as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            at = f"{where.filename.rpartition('/')[2]}:{where.lineno} {where.name}"
            return Finding("hang", f"no end after {self.target.seconds:g} s of processor time; then in {at}")
        except BaseException as error:  # a panic of a library in Rust is no Exception
            where = traceback.extract_tb(error.__traceback__)[-1]
            at = f"{where.filename.rpartition('/')[2]}:{where.lineno} {where.name}"
            return Finding("undocumented", f"{type(error).__name__} in {at}: {str(error)[:300]!a}")
        return None


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`_TooLong` in a block that takes more processor time; a busy machine makes no difference."""

    def late(number: int, frame: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
