"""The process that reads inputs: ``python -m tools.fuzz.worker TARGET PROGRESS ...``; it may die, its parent may not.

Prints one line of JSON: how many inputs were read, what they cost at most and, if there is one, the finding that it
ended with. The number of the input that is being read stands in the file PROGRESS at every moment.
"""

import argparse
import json
import mmap
import resource
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tools.fuzz.measure import Finding, Gauge
from tools.fuzz.mutate import nth_input
from tools.fuzz.targets import TARGETS, find

NUMBER: Final = struct.Struct("<q")
"""How the number of an input stands in the file."""

MOST_ADDRESSES: Final = 1 << 33
"""Bytes of memory after which nothing more is given: a hog must not take the machine with it."""


def numbered(seeds: list[bytes], seed: int, runs: int, seconds: float) -> Iterator[tuple[int, bytes]]:
    """Yield inputs with their numbers, the seeds first, until there were enough or the time is up; 0 is no limit."""
    until = time.monotonic() + seconds
    index = 0
    while (not runs or index < len(seeds) + runs) and (not seconds or time.monotonic() < until):
        yield index, nth_input(seeds, seed, index)
        index += 1


def read_all(gauge: Gauge, inputs: Iterable[tuple[int, bytes]], progress: memoryview) -> tuple[int, Finding] | None:
    """Read inputs until one is a finding; return its number and what it is."""
    for index, data in inputs:
        NUMBER.pack_into(progress, 0, index)
        found = gauge.read(data)
        if found is not None:
            return index, found
    return None


def main() -> None:
    """Run the process."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz.worker")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("progress", type=Path)
    parser.add_argument("--input", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    chosen = parser.parse_args()
    target = find(chosen.target)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if chosen.input is not None:
        inputs: Iterable[tuple[int, bytes]] = [(0, chosen.input.read_bytes())]
    else:
        inputs = numbered(target.seeds(), chosen.seed, chosen.runs, chosen.seconds)
    with chosen.progress.open("r+b") as file, mmap.mmap(file.fileno(), NUMBER.size) as memory:
        gauge = Gauge(target)
        gauge.warm(target.seeds())
        with memoryview(memory) as progress:
            found = read_all(gauge, inputs, progress)
    said = {**gauge.worst.document(), "index": None, "kind": "", "text": ""}
    if found is not None:
        said |= {"index": found[0], "kind": found[1].kind, "text": found[1].text}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
