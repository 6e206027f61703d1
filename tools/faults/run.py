"""All trials, one after the other."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tools.bench.machine import describe, versions
from tools.faults import disks
from tools.faults.bench import Bench, dequantize_bench, quantize_bench
from tools.faults.kills import kills_at_steps, random_kills, seconds_of_a_run
from tools.faults.record import Record, Row
from tools.faults.underfoot import CHANGES, changed_underfoot
from tools.faults.writers import two_writers

SMALL_MEGABYTES: Final = 0.25
"""Size of the checkpoint for trials in which time plays no part."""

OF_DEQUANTIZE: Final = 10
"""``dequantize`` is killed so many times less often."""

Tell = Callable[[str], None]


def rows(large: Bench, small: Bench, kills: int, seed: int, duration: float, tell: Tell) -> Iterator[Row]:
    """Yield the rows of a command: what takes its time on large files, the rest on small ones."""
    command = large.first.command
    tell(f"{command}: {kills} kills")
    yield random_kills(large, kills, seed, duration)
    tell(f"{command}: kills at steps")
    yield kills_at_steps(small)
    tell(f"{command}: full disks and closed folders")
    memory = "file system in memory"
    yield disks.small_file_system(small, "full", "disk full", f"{memory}: no room, room for half, for more")
    yield disks.small_file_system(large, "filled", "disk filled by others meanwhile", f"{memory}; room was set aside")
    yield disks.file_size_limit(small)
    yield disks.small_file_system(small, "read-only", "read-only file system", f"{memory}, mounted for reading")
    yield disks.folder_without_permission(small)
    yield disks.full_device(small)
    yield disks.full_output(small)
    few = max(2, kills // 50)
    for number, change in enumerate(CHANGES):
        tell(f"{command}: {change}")
        yield changed_underfoot(large, change, few, seed + number, duration)
    for kill in (False, True):
        tell(f"{command}: two writers")
        yield two_writers(large, few, seed + kill, duration, kill)


def run_all(kills: int, megabytes: float, seed: int, tell: Tell) -> Record:
    """Make all trials of both commands. Errors: RuntimeError if an undisturbed run fails."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="q35-faults-") as name:
        folder = Path(name)
        tell("making files")
        large, small = (
            quantize_bench(folder / size, megabytes_of, seed)
            for size, megabytes_of in (("large", megabytes), ("small", SMALL_MEGABYTES))
        )
        duration = seconds_of_a_run(large)
        found = list(rows(large, small, kills, seed, duration, tell))
        tell("making files")
        back = [dequantize_bench(folder / f"{one.folder.name}-back", one) for one in (large, small)]
        fewer = max(1, kills // OF_DEQUANTIZE)
        found += rows(back[0], back[1], fewer, seed, seconds_of_a_run(back[0]), tell)
    about, known = describe(), versions()
    return Record(
        machine={name: about[name] for name in ("cpu", "processors", "system")},
        versions={name: known[name] for name in ("q35ref", "python", "numpy")},
        seed=seed,
        kills=kills,
        megabytes=megabytes,
        quantize_seconds=round(duration, 2),
        seconds=round(time.perf_counter() - begun),
        rows=tuple(found),
    )
