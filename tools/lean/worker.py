"""A running Lean, in WebAssembly, that checks one module after the other.

Starting takes some 20 s, so a worker is kept; it is started anew when the memory that Lean never gives back piles up.
"""

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DRIVER: Final = Path(__file__).with_name("driver.lean")
RUNNER: Final = Path(__file__).with_name("runner.cjs")

MODULES_PER_START: Final = 10
"""A worker starts anew after so many modules: WebAssembly has 4 GB, each import of Init keeps 85 MB of them, and
a large proof wants much of the rest."""

OLEANS: Final = ".lake/wasm"
"""Where compiled modules go, below the folder that holds the sources; ``runner.cjs`` has it on Lean's path."""


class LeanStopped(Exception):
    """Lean ended or hung instead of giving a verdict."""


@dataclass(frozen=True)
class Message:
    """What Lean says about a place in a source: ``severity`` is error, warning or information."""

    severity: str
    text: str
    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.text}"


def source_path(module: str) -> Path:
    """Return the file of a module, relative to the folder of the sources.

    >>> source_path("Q35.Spec.Lanes").as_posix()
    'Q35/Spec/Lanes.lean'
    """
    return Path(*module.split(".")).with_suffix(".lean")


def olean_files(root: Path, module: str) -> list[Path]:
    """Return what Lean has written for a module: its olean first, then what other modules see less of."""
    olean = root / OLEANS / source_path(module)
    files = [olean.with_suffix(f".{kind}") for kind in ("olean", "olean.private", "olean.server", "ir")]
    return [file for file in files if file.exists()]


class Worker:
    """One Lean process for the sources below one folder."""

    def __init__(self, home: Path, root: Path, limit: float = 600) -> None:
        """``home`` is an unpacked toolchain; a module that takes more than ``limit`` seconds is a failure."""
        self.home, self.root, self.limit = home, root.resolve(), limit
        self._process: subprocess.Popen[str] | None = None
        self._left = 0
        self._stopped = False
        self._busy = threading.Lock()

    def check(self, module: str) -> list[Message]:
        """Check a module whose imports are checked, write its olean, and return what Lean says about it.

        Errors: LeanStopped. There is an olean afterwards just if no message is an error.
        """
        with self._busy:
            fresh = self._process is None or self._left == 0
            try:
                return self._check(module)
            except LeanStopped:
                if fresh or self._stopped:
                    raise
                self._end()  # it may have run out of memory for what it checked before
                return self._check(module)

    def _check(self, module: str) -> list[Message]:
        source, olean = source_path(module), Path(OLEANS) / source_path(module).with_suffix(".olean")
        (self.root / olean).parent.mkdir(parents=True, exist_ok=True)
        for old in olean_files(self.root, module):
            old.unlink()
        if self._process is None or self._left == 0:
            self._start()
        self._left -= 1
        verdict, messages = self._ask(f"{module}|/src/{source.as_posix()}|/src/{olean.as_posix()}", source.as_posix())
        errors = [message for message in messages if message.severity == "error"]
        if verdict == "@@passed" and not errors and (self.root / olean).exists():
            return messages
        (self.root / olean).unlink(missing_ok=True)
        if not errors:
            raise LeanStopped(f"{module}: no verdict: {verdict}")
        return messages

    def stop(self) -> None:
        """End the process for good, whatever it is doing: a check that is under way raises LeanStopped."""
        self._stopped = True
        if process := self._process:
            process.kill()
        with self._busy:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> None:
        self._end()
        command = [self.home / "bin" / "node", "--stack-size=8000", RUNNER, self.home, self.root]
        self._process = subprocess.Popen(
            [*map(str, command), "--run", f"/driver/{DRIVER.name}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if self._stopped:
            self._end()
            raise LeanStopped("Lean was stopped")
        self._left = MODULES_PER_START
        for line in self._lines():
            if line == "@@ready":
                return
        raise LeanStopped("Lean does not start")

    def _ask(self, request: str, file: str) -> tuple[str, list[Message]]:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        except OSError as problem:
            raise LeanStopped(f"{file}: Lean has ended: {problem}") from problem
        messages: list[Message] = []
        said_last = ""
        for line in self._lines():
            said_last = line.strip() or said_last
            if line.startswith("@@"):
                return line, messages
            if line.startswith("{") and '"severity"' in line:
                said = json.loads(line)
                place = said["pos"]
                messages.append(Message(said["severity"], said["data"], file, place["line"], place["column"]))
        raise LeanStopped(f"{file}: no verdict, or none in {self.limit:.0f} s; Lean's last words: {said_last[-300:]}")

    def _lines(self) -> Iterator[str]:
        """Yield the process's lines; after the time limit it is killed, and they end."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        watchdog = threading.Timer(self.limit, process.kill)
        watchdog.start()
        try:
            while line := process.stdout.readline():
                yield line.rstrip("\n")
        finally:
            watchdog.cancel()
        self._end()
