"""Small programs that stand in for a kernel's worker, or for a client behind a pipe: they start in no time."""

import shlex
import sys
from pathlib import Path
from typing import Final

PYTHON: Final = sys.executable

WORKER = """
import os, sys
source, sink = int(sys.argv[5]), int(sys.argv[6])
def read():
    size, text = int.from_bytes(os.read(source, 8), "little"), b""
    while len(text) < size:
        text += os.read(source, size - len(text))
    return text.decode()
def say(text):
    rest = len(text).to_bytes(8, "little") + text.encode()
    while rest:
        rest = rest[os.write(sink, rest):]
BODY
"""
"""``read`` and ``say`` are for the text of messages; the program's own file is the first of its arguments."""


def python(folder: Path, text: str) -> str:
    """Write a program and return the command that runs it, without what takes time to import."""
    (folder / "program.py").write_text(text)
    return f"{shlex.quote(PYTHON)} -I -S {shlex.quote(str(folder / 'program.py'))}"


def worker(folder: Path, body: str) -> str:
    """Write a program that stands in for Python with our worker, and return its path."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nexec {python(folder, WORKER.replace("BODY", body))} python "$@"\n')
    path.chmod(0o700)
    return str(path)
