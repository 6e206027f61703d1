"""A source that is changed while it is read."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from tools.faults.bench import OLDER, SECOND, WHOLE, Bench
from tools.faults.record import Row
from tools.faults.trial import FINISHED, REFUSED, ending


def cut_short(source: Path, other: Path) -> None:
    """Cut the source to half its size."""
    os.truncate(source, source.stat().st_size // 2)


def rewrite(source: Path, other: Path) -> None:
    """Write the second version into the same file."""
    with other.open("rb") as new, source.open("r+b") as file:
        shutil.copyfileobj(new, file, 1 << 20)


def replace(source: Path, other: Path) -> None:
    """Rename a file of the second version over the source."""
    beside = source.with_name("beside")
    shutil.copyfile(other, beside)
    beside.replace(source)


def append(source: Path, other: Path) -> None:
    """Write more bytes to the source's end."""
    with source.open("ab") as file:
        file.write(bytes(4096))


CHANGES: Final[dict[str, tuple[Callable[[Path, Path], None], set[str]]]] = {
    "source cut short": (cut_short, {WHOLE}),
    "source rewritten in place": (rewrite, {WHOLE, SECOND}),
    "source replaced by a rename": (replace, {WHOLE, SECOND}),
    "source appended to": (append, {WHOLE}),
}
"""What is done to a source, and whole files of which versions may come of it; or the source is refused."""


def changed_underfoot(bench: Bench, change: str, count: int, seed: int, duration: float) -> Row:
    """Change the source at random moments of a run."""
    disturb, versions = CHANGES[change]
    allowed = {(REFUSED, OLDER)} | {(FINISHED, version) for version in versions}
    tally = bench.tally()
    for moment in np.random.default_rng(seed).uniform(0, duration, count).tolist():
        bench.put_older(there=True)
        job = bench.from_copy(bench.first)
        process = job.start()
        begun = time.perf_counter()
        try:
            process.wait(max(0.0, moment - (time.perf_counter() - begun)))
        except subprocess.TimeoutExpired:
            disturb(job.source, bench.second.source)
        ended, said = ending(process)
        tally.see(ended, said, allowed, f"after {moment:.3f} s")
    return tally.row(change, bench.first, f"at random moments of {duration:.2f} s", WHOLE)
