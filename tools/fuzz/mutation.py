"""The engine that is always there: seeds and mutations of them, in a process that may die."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from tools.fuzz.measure import Worst
from tools.fuzz.mutate import nth_input
from tools.fuzz.outcome import Outcome
from tools.fuzz.target import Target
from tools.fuzz.worker import NUMBER

ENGINE: Final = "seeds and mutations"

ROOT: Final = Path(__file__).resolve().parents[2]
"""Where the project lies."""

PATIENCE: Final = 10
"""Times the target's processor time that an input may take by the clock, for one that waits; and least seconds."""

POLL: Final = 0.05
"""Seconds between two looks at the process."""


class CannotRun(Exception):
    """The engine itself cannot run; the text says why."""


def fuzz(target: Target, *, runs: int = 0, seconds: float = 0, seed: int = 1) -> Outcome:
    """Read the seeds and so many mutations of them, or as many as there is time for. Errors: CannotRun."""
    options = ["--seed", str(seed), "--runs", str(runs), "--seconds", str(seconds)]
    said, took = _supervised(target, options)
    index = said["index"]
    data = b"" if index is None else nth_input(target.seeds(), seed, index)
    return _outcome(target, said, took, data)


def repeat(target: Target, path: Path) -> Outcome:
    """Read one file. Errors: CannotRun."""
    said, took = _supervised(target, ["--input", str(path)])
    return _outcome(target, said, took, path.read_bytes())


def _outcome(target: Target, said: dict[str, Any], took: float, data: bytes) -> Outcome:
    worst = Worst(**{each.name: said[each.name] for each in fields(Worst)})
    found = data if said["kind"] else b""
    runs = worst.runs if worst.runs else said["index"] + 1
    return Outcome(target.name, ENGINE, runs, took, worst=worst, kind=said["kind"], text=said["text"], data=found)


def _supervised(target: Target, options: list[str]) -> tuple[dict[str, Any], float]:
    """Run the process, and end it if an input takes for ever."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="q35-fuzz-") as folder:
        progress, complaints = Path(folder, "progress"), Path(folder, "stderr")
        progress.write_bytes(NUMBER.pack(-1))
        command = [sys.executable, "-m", "tools.fuzz.worker", target.name, str(progress), *options]
        with complaints.open("wb") as stderr:
            environment = {**os.environ, "TMPDIR": folder}  # what a process that is killed leaves goes with it
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        try:
            hangs = _watched(process, progress, max(PATIENCE, PATIENCE * target.seconds))
        finally:
            process.kill()
            output, _ = process.communicate()
        index = NUMBER.unpack(progress.read_bytes())[0]
        complaint = complaints.read_text(errors="replace").strip()
    took = time.monotonic() - begun
    if not hangs and process.returncode == 0:
        said: dict[str, Any] = json.loads(output)
        return said, took
    if index < 0:
        raise CannotRun(f"{target.name}: the process ended before the first input: {complaint[-1000:]}")
    kind, text = "crash", f"status {process.returncode}; it said: {complaint[-500:]!a}"
    if hangs:
        kind, text = "hang", "no end, and no processor time taken"
    return {**Worst().document(), "index": index, "kind": kind, "text": text}, took


def _watched(process: subprocess.Popen[str], progress: Path, patience: float) -> bool:
    """Wait for the end of the process; return whether it has worked on one input for too long."""
    last, since = b"", time.monotonic()
    while process.poll() is None:
        now = progress.read_bytes()
        if now != last or NUMBER.unpack(now)[0] < 0:  # before the first input it loads what it needs
            last, since = now, time.monotonic()
        elif time.monotonic() - since > patience:
            return True
        time.sleep(POLL)
    return False
