"""A full disk and a folder that must not be written to, each brought about in every way that this system allows.

With mounts of its own (root, or where anybody may have a user namespace) a process gets a small file system in memory,
which is gone with it. A limit on the size of files works for everybody, and is no full disk, but the system calls
fail as on one.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Final

from tools.faults.bench import OLDER, WHOLE, Bench
from tools.faults.files import ABSENT, TORN
from tools.faults.record import Row
from tools.faults.trial import FINISHED, Q35REF, REFUSED, ROOT, ending

REFUSED_OLDER: Final = {(REFUSED, OLDER)}
REFUSED_ABSENT: Final = {(REFUSED, ABSENT)}

NO_MOUNTS: Final = "not run: this user must not mount file systems"

UNSHARE: Final = ("unshare", "--mount", "--propagation", "private")

WITHOUT_PRIVILEGES: Final = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")
"""Root without its privileges: permissions bind it."""


@cache
def namespace() -> tuple[str, ...]:
    """Return the command that gives a process mounts of its own, or nothing where that is not allowed."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return ()
    script = 'd=$(mktemp -d) && mount -t tmpfs q35 "$d"; status=$?; umount "$d"; rmdir "$d"; exit $status'
    for user in ((), ("--map-root-user",)):
        trial = [*UNSHARE, *user, "sh", "-c", script]
        if subprocess.run(trial, capture_output=True, check=False).returncode == 0:
            return (*UNSHARE, *user)
    return ()


def small_file_system(bench: Bench, kind: str, fault: str, how: str) -> Row:
    """Run trials on a file system of their own, in :mod:`tools.faults.confined`."""
    if not namespace():
        return bench.tally().without_next(fault, bench.first.command, NO_MOUNTS)
    tally = bench.tally()
    size = bench.folder.joinpath("first.made").stat().st_size
    command = [*namespace(), sys.executable, "-m", "tools.faults.confined", kind, bench.first.command]
    command += [str(bench.first.source), str(bench.older), str(bench.destination.parent), str(size)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{fault}: {done.stderr.strip()}")
    for line in done.stdout.splitlines():
        seen = json.loads(line)
        there = bench.known.get(seen["digest"], TORN) if seen["digest"] else ABSENT
        tally.trials += 1
        tally.endings[seen["ended"]] += 1
        tally.destinations[there] += 1
        tally.most_left = max(tally.most_left, seen["temporaries"])
        if (seen["ended"], there) != (seen["expected"], seen["there"]) or seen["temporaries"]:
            tally.blame(f"{seen['about']}: {seen['ended']}, destination {there} ({seen['said']})")
    if not tally.trials:
        tally.blame("no trial was made")
    return tally.without_next(fault, bench.first.command, how)


def file_size_limit(bench: Bench, olders: tuple[bool, ...] = (False, True)) -> Row:
    """Run under limits on the size of files: none at all, half of what is needed, a byte less, just enough."""
    size = bench.folder.joinpath("first.made").stat().st_size
    tally = bench.tally()
    for limit in (0, size // 2, size - 1, size):
        for older in olders:
            bench.put_older(older)
            process = bench.first.start(partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit)))
            refused = REFUSED_OLDER if older else REFUSED_ABSENT
            allowed = refused if limit < size else {(FINISHED, WHOLE)}
            tally.see(*ending(process), allowed, f"at most {limit} of {size} bytes")
    return tally.row("disk full", bench.first, "RLIMIT_FSIZE: 0, half, a byte less than all, all", WHOLE)


def folder_without_permission(bench: Bench) -> Row:
    """Run as a user who must not write to the folder."""
    fault, tally = "folder without permission to write", bench.tally()
    program: tuple[str, ...] = Q35REF
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            return tally.without_next(fault, bench.first.command, "not run: root, and there is no setpriv")
        program = (*WITHOUT_PRIVILEGES, *Q35REF)
    for older in (False, True):
        bench.put_older(older)
        bench.destination.parent.chmod(0o555)
        try:
            ended, said = ending(replace(bench.first, program=program).start())
        finally:
            bench.destination.parent.chmod(0o755)
        tally.see(ended, said, REFUSED_OLDER if older else REFUSED_ABSENT, "mode 0555")
    how = "mode 0555" + (", root without privileges" if os.geteuid() == 0 else "")
    return tally.row(fault, bench.first, how, WHOLE)


def full_device(bench: Bench) -> Row:
    """Ask for ``/dev/full`` as the destination, and print the report there."""
    fault, tally = "/dev/full as destination", bench.tally()
    bench.put_older(there=True)
    ended, said = ending(replace(bench.first, destination=Path("/dev/full")).start())
    tally.see(ended, said, REFUSED_OLDER, "destination /dev/full")
    return tally.row(fault, bench.first, "a device is no regular file", WHOLE)


def full_output(bench: Bench) -> Row:
    """Print the report where nothing can be printed: the file is whole all the same."""
    tally = bench.tally()
    bench.put_older(there=True)
    with Path("/dev/full").open("w") as full:
        ended, said = ending(bench.first.start(stdout=full))
    tally.see(ended, said, {(REFUSED, WHOLE)}, "report to /dev/full")
    return tally.row("report cannot be printed", bench.first, "standard output is /dev/full", WHOLE)
