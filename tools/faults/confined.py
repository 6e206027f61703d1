"""``python -m tools.faults.confined KIND COMMAND SOURCE OLDER FOLDER SIZE``, in a process with mounts of its own.

Mounts a small file system on the folder, runs the command there, and prints a line of JSON for each trial.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tools.faults.bench import OLDER, WHOLE
from tools.faults.files import ABSENT, digest, temporaries
from tools.faults.trial import FINISHED, REFUSED, Job, ending

SPARE: Final = 8 << 10
"""Bytes for what a file system needs beside its files."""

Seen = dict[str, Any]


def mount(folder: Path, size: int) -> None:
    """Mount a file system of so many bytes."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "q35", str(folder)], check=True)


def unmount(folder: Path) -> None:
    """Take it away."""
    subprocess.run(["umount", str(folder)], check=True)


def seen(job: Job, expected: str, there: str, process: "subprocess.Popen[str]", about: str) -> Seen:
    """Wait for the run, and return what is to be seen."""
    ended, said = ending(process)
    found = digest(job.destination) if job.destination.exists() else ""
    left = len(temporaries(job.destination.parent))
    return {
        "ended": ended, "said": said, "expected": expected, "there": there,
        "digest": found, "temporaries": left, "about": about,
    }  # fmt: skip


def full(job: Job, older: Path, size: int) -> Iterator[Seen]:
    """Run where there is room for none of the new file, for half of it, for more than it."""
    folder = job.destination.parent
    rooms = ((0, True, "no room"), (0, False, "no room"), (size // 2, True, "room for half"), (2 * size, False, "room"))
    for room, with_older, what in rooms:
        mount(folder, older.stat().st_size + SPARE + room)
        if with_older:
            shutil.copyfile(older, job.destination)
        before = OLDER if with_older else ABSENT
        expected, there = (FINISHED, WHOLE) if room > size else (REFUSED, before)
        yield seen(job, expected, there, job.start(), what)
        unmount(folder)


def filled(job: Job, older: Path, size: int) -> Iterator[Seen]:
    """Fill the disk beside a run that is writing: the room was set aside, so that it finishes."""
    folder = job.destination.parent
    mount(folder, older.stat().st_size + 3 * SPARE + 2 * size)
    shutil.copyfile(older, job.destination)
    process = job.start()
    while process.poll() is None and not any(path.stat().st_size >= size for path in folder.glob(".*.q35tmp")):
        time.sleep(0.001)
    with (folder / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass
    yield seen(job, FINISHED, WHOLE, process, "filled while it ran")
    unmount(folder)


def read_only(job: Job, older: Path, size: int) -> Iterator[Seen]:
    """Run where the file system is mounted for reading alone."""
    folder = job.destination.parent
    mount(folder, older.stat().st_size + SPARE)
    shutil.copyfile(older, job.destination)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    yield seen(job, REFUSED, OLDER, job.start(), "read-only")
    unmount(folder)


KINDS: Final[dict[str, Callable[[Job, Path, int], Iterator[Seen]]]] = {
    "full": full,
    "filled": filled,
    "read-only": read_only,
}


def main() -> None:
    """Make the trials of a kind."""
    kind, command, source, older, folder, size = sys.argv[1:]
    job = Job(command, Path(source), Path(folder) / "model.safetensors")
    for found in KINDS[kind](job, Path(older), int(size)):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
