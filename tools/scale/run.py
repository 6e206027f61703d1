"""The runs: a checkpoint is made, copied, and quantized by each runner, each time in a fresh process."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from q35ref.checkpoints import Checkpoint, read_weights, select
from q35ref.checkpoints.header import TensorInfo
from q35ref.checkpoints.shards import open_source
from q35ref.quality import measure
from q35ref.tensor import quantize
from tools.bench.machine import describe, versions
from tools.bench.machine import load as load_average
from tools.scale.make import Sizes, make, plan
from tools.scale.record import GROUP_SIZE, Parts, Record, Run, Source

ROOT: Final = Path(__file__).parents[2]

ROOM: Final = 2.7
"""Disk that is needed, in sizes of the source: itself, a copy or what two runs write, and some more."""

CHUNK: Final = 1 << 22
"""Bytes that are copied at a time."""


class NoRun(Exception):
    """A run did not succeed, or there is no room for it."""


def run_all(
    folder: Path, size: int, sizes: Sizes, runners: dict[str, tuple[str, int]], tell: Callable[[str], None]
) -> Record:
    """Make a checkpoint in a new folder within ``folder``, do all runs, and remove everything. Errors: NoRun.

    ``runners`` gives each run's name, with the runner and the number of workers.
    """
    if shutil.disk_usage(folder).free < ROOM * size:
        raise NoRun(f"{folder}: expected {ROOM * size / 1e9:.0f} GB of free disk")
    before = load_average()
    with tempfile.TemporaryDirectory(dir=folder, prefix="q35ref-scale-") as made:
        source = Path(made, "source")
        source.mkdir()
        shards = plan(size, sizes)
        make(source, shards, tell)
        copies, runs = [copy(source, Path(made, "copy"), tell)], []
        for name, (runner, workers) in runners.items():
            runs.append(run(source, Path(made, "target"), name, runner, workers, tell))
        copies.append(copy(source, Path(made, "copy"), tell))
        tell("the parts of the work")
        parts = time_parts(source, shards)
        described = describe_source(source, shards)
    about, known = describe(), versions()
    return Record(
        machine={name: about[name] for name in ("cpu", "processors", "system")},
        versions={name: known[name] for name in ("q35ref", "python", "numpy")},
        load=(before, load_average()),
        source=described,
        copies=tuple(copies),
        runs=tuple(runs),
        parts=parts,
    )


def describe_source(folder: Path, shards: list[list[TensorInfo]]) -> Source:
    """Return what a checkpoint consists of."""
    chosen = select(tensor for tensors in shards for tensor in tensors)
    sizes = [tensor.shape[0] * tensor.shape[1] for tensor in chosen]
    return Source(len(shards), sum(map(len, shards)), total_bytes(folder), sum(sizes), 4 * max(sizes))


def copy(source: Path, target: Path, tell: Callable[[str], None]) -> float:
    """Copy a folder's files to the same disk and remove the copy; return the seconds that the copying took."""
    forget(source)
    tell("copying")
    target.mkdir()
    begun = time.perf_counter()
    buffer = memoryview(bytearray(CHUNK))
    for path in sorted(source.iterdir()):
        with path.open("rb", buffering=0) as read, (target / path.name).open("xb", buffering=0) as written:
            while count := read.readinto(buffer):
                written.write(buffer[:count])
            os.fsync(written.fileno())
    seconds = time.perf_counter() - begun
    shutil.rmtree(target)
    return round(seconds, 3)


def run(source: Path, target: Path, name: str, runner: str, workers: int, tell: Callable[[str], None]) -> Run:
    """Quantize a checkpoint in a fresh process, and remove the result when it is known. Errors: NoRun."""
    forget(source)
    tell(f"quantizing: {name}")
    command = [sys.executable, "-m", "tools.scale.child", str(source), str(target), runner, str(workers)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise NoRun(f"{name}: exit status {done.returncode}: {last}")
    told = json.loads(done.stdout)
    tell(f"reading what was written: {name}")
    written, found = total_bytes(target), digest(target)
    shutil.rmtree(target)
    seconds, cpu = round(told["seconds"], 3), round(told["cpu"], 3)
    return Run(name, seconds, cpu, told["peak"], told["worker_peak"], written, found)


def forget(folder: Path) -> None:
    """Let the system drop a folder's files from memory, so that every run begins with the disk."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def total_bytes(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.iterdir())


def digest(folder: Path) -> str:
    """Return the SHA-256 of the names and SHA-256s of a folder's files."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            whole.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def time_parts(folder: Path, shards: list[list[TensorInfo]]) -> Parts:
    """Take the processor time of each part of the work on the largest bfloat16 matrix, after once for practice."""
    chosen = [tensor for tensor in select(t for tensors in shards for t in tensors) if tensor.dtype == "BF16"]
    name = max(chosen, key=lambda tensor: tensor.nbytes).name
    with open_source(folder) as source:
        checkpoint = source.holding(name)
        _time_parts(checkpoint, name)
        return _time_parts(checkpoint, name)


def _time_parts(checkpoint: Checkpoint, name: str) -> Parts:
    begun = time.process_time()
    weights = read_weights(checkpoint, name)
    read = time.process_time()
    qt = quantize(weights, group_size=GROUP_SIZE)
    quantized = time.process_time()
    measure(weights, qt)
    measured = time.process_time()
    return Parts(weights.size, round(read - begun, 4), round(quantized - read, 4), round(measured - quantized, 4))
