"""``python -m tools.scale.child SOURCE TARGET RUNNER WORKERS``: one quantization in a process of its own.

Prints JSON: its seconds, those of processors, the most memory that this process had, and the most that any of its
workers had.
"""

import json
import re
import resource
import sys
import time
from pathlib import Path

from q35ref.checkpoints import on_cluster, quantize_file, serially
from q35ref.checkpoints.runners import Runner, in_processes
from tools.scale.record import GROUP_SIZE

UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes that ru_maxrss counts in."""


STATUS = Path("/proc/self/status")
"""What Linux says of a process."""


def peak() -> int:
    """Return the most memory, in bytes, that this program had.

    What getrusage counts begins with what the process had that started this one, which may be a large one.
    """
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def chosen(name: str, workers: int) -> Runner:
    """Return the runner of a name."""
    if name == "serial":
        return serially
    return in_processes(workers) if name == "processes" else on_cluster("local", workers)


def main(source: str, target: str, name: str, workers: str) -> None:
    """Quantize, and print what it took."""
    runner = chosen(name, int(workers))
    begun = time.perf_counter()
    quantize_file(Path(source), Path(target), group_size=GROUP_SIZE, runner=runner)
    seconds = time.perf_counter() - begun
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(used.ru_utime + used.ru_stime for used in (own, children))
    peaks = {"peak": peak(), "worker_peak": children.ru_maxrss * UNIT}
    print(json.dumps({"seconds": seconds, "cpu": cpu, **peaks}))


if __name__ == "__main__":
    main(*sys.argv[1:])
