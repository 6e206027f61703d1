"""A copy of the project in which mutants live: the working tree is never touched."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from tools.mutation.sources import ROOT, read

COPIED: Final = ("q35ref", "tests", "tools", "docs", "examples", "pyproject.toml", "pytest_q35ref.py", "README.md")

LEFT: Final = shutil.ignore_patterns("__pycache__", ".hypothesis", ".build-*", "*.q35tmp")

ENVIRONMENT: Final = {
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",  # a pool of threads does not survive a fork
    "Q35_NUM_THREADS": "2",
}


@dataclass(frozen=True)
class Check:
    """A check: pytest on some files, or the command ``q35ref`` with some arguments."""

    kind: Literal["pytest", "q35ref"]
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    has_limit: bool = True
    """Whether its memory has a limit: the address sanitizer maps more than there is, and none can be set with it."""

    def __str__(self) -> str:
        return " ".join((self.kind, *self.arguments))


@dataclass(frozen=True)
class Outcome:
    """How a check ended."""

    status: int | None
    """Its exit status, negative for a signal; None if it was stopped because it took too long."""
    seconds: float
    output: str
    """The end of what it printed."""

    @property
    def passed(self) -> bool:
        """Whether it found nothing."""
        return self.status == 0


class ServerEnded(Exception):
    """The process that runs the checks is gone."""


class Tree:
    """A copy of the tree and the process that runs checks in it."""

    def __init__(self, folder: Path, process: "subprocess.Popen[str]") -> None:
        self.folder = folder
        self._process = process

    def run(self, check: Check, timeout: float, *, write_bytecode: bool = False) -> Outcome:
        """Run a check. Errors: ServerEnded."""
        request = {
            "kind": check.kind,
            "arguments": list(check.arguments),
            "environment": dict(check.environment),
            "has_limit": check.has_limit,
            "timeout": timeout,
            "write_bytecode": write_bytecode,
        }
        if self._process.stdin is None or self._process.stdout is None:
            raise ServerEnded("no pipes")
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ServerEnded(f"exit status {self._process.wait()}")
        told: dict[str, Any] = json.loads(line)
        return Outcome(**told)

    @contextmanager
    def holding(self, file: str, text: str) -> Iterator[None]:
        """Keep another text in a file for a while."""
        path = self.folder / file
        original = read(file, self.folder)
        self._put(path, text)
        try:
            yield
        finally:
            self._put(path, original)

    def _put(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        # Byte code is told from stale byte code by the time in seconds, within which mutants follow each other.
        for stale in path.parent.joinpath("__pycache__").glob(f"{path.stem}.*"):
            stale.unlink()


@contextmanager
def tree(root: Path = ROOT) -> Iterator[Tree]:
    """Yield a copy of the tree, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="q35-mutation-") as name:
        folder = Path(name)
        for part in COPIED:
            source = root / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=LEFT)
            elif source.exists():
                shutil.copy2(source, folder / part)
        environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
        command = [sys.executable, "-m", "tools.mutation.server"]
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                yield Tree(folder, process)
            finally:
                process.terminate()
