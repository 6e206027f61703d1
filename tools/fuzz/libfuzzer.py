"""What libFuzzer takes and says, for Python (atheris) and for C alike."""

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.fuzz.measure import Worst
from tools.fuzz.mutation import ROOT, CannotRun
from tools.fuzz.outcome import Outcome
from tools.fuzz.target import LONGEST

SLOWEST: Final = 60
"""Seconds by the clock that an input may take: the target's own limits are of processor time, and fire before."""

MOST_MEGABYTES: Final = 4096
"""Memory of the whole process, corpus and tools included."""

STATUS: Final = re.compile(r"^#(\d+)\s+\w+\s(?:\s*cov: (\d+))?", re.MULTILINE)
RUNS: Final = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
NEW: Final = re.compile(r"^stat::new_units_added:\s*(\d+)", re.MULTILINE)
FOUND: Final = re.compile(r"^q35-fuzz: (\w+): (.*)$", re.MULTILINE)
"""How our own targets say what is wrong."""

SANITIZER: Final = re.compile(r"^(?:==\d+==\s*)?(?:ERROR: |.*runtime error: )(.*)$", re.MULTILINE)


def options(folder: Path, *, runs: int, seconds: float, seed: int) -> list[str]:
    """Return libFuzzer's options; what it finds is written into the folder."""
    chosen = [f"-seed={max(1, seed)}", f"-artifact_prefix={folder}/", f"-max_len={LONGEST}", f"-timeout={SLOWEST}"]
    chosen += [f"-rss_limit_mb={MOST_MEGABYTES}", "-print_final_stats=1", "-detect_leaks=0"]
    chosen += [f"-runs={runs}"] if runs else []
    return chosen + ([f"-max_total_time={max(1, round(seconds))}"] if seconds else [])


def run(
    name: str, engine: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> tuple[Outcome, str]:
    """Run a fuzzer whose artifacts go into the folder; return its outcome and all it said. Errors: CannotRun."""
    begun = time.monotonic()
    with (folder / "log").open("w+b") as log:
        status = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, env=environment, check=False).returncode
        log.seek(0)
        said = log.read().decode(errors="replace")
    took = time.monotonic() - begun
    states = STATUS.findall(said)
    artifacts = [path for path in folder.iterdir() if re.match(r"(crash|leak|oom|timeout)-", path.name)]
    if not (states or artifacts or FOUND.search(said)):  # a seed may show something before there is any status
        raise CannotRun(f"{name}: {engine} did not begin: {said.strip()[-1000:]}")
    counted, added = RUNS.search(said), NEW.search(said)
    last, covered = states[-1] if states else ("0", "")
    runs = int(counted[1] if counted else last)
    kind = text = ""
    data = b""
    if status or artifacts:
        kind, text = _finding(said, artifacts, status)
        data = artifacts[0].read_bytes() if artifacts else b""
    new = int(added[1]) if added else sum(" NEW " in line for line in said.splitlines())
    return Outcome(name, engine, runs, took, new, int(covered or 0), Worst(), kind, text, data), said


def _finding(said: str, artifacts: Sequence[Path], status: int) -> tuple[str, str]:
    names = {"timeout": "hang", "oom": "memory"}
    kind = names.get(artifacts[0].name.partition("-")[0], "crash") if artifacts else "crash"
    return told(said, kind, status)


def told(said: str, kind: str, status: int) -> tuple[str, str]:
    """Return what a target of ours, or a sanitizer, says that it found; else the kind that is known already."""
    own, sanitizer = FOUND.search(said), SANITIZER.search(said)
    if own:
        return own[1], own[2]
    return kind, sanitizer[0].strip() if sanitizer else f"status {status}: {said.strip()[-300:]!a}"
