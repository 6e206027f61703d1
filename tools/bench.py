"""Speed of the NumPy backend as ratios to gguf-py's Q4_0, measured side by side in one run on one thread.

Every contender runs once in each round, so that a machine that slows down slows all of them; the median of each
is compared. The floor is a plain copy of the bytes that the work must read and write at least once.

    python -m tools.bench                 4096 x 4096, seven rounds
    python -m tools.bench --json FILE     and a record of it
"""

import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import gguf
import numpy as np
from rich.table import Table
from threadpoolctl import threadpool_limits

import q35ref
from q35ref.atomic import write_text
from q35ref.backends import get
from q35ref.cli.output import console

Q4_0 = gguf.GGMLQuantizationType.Q4_0


@dataclass(frozen=True)
class Contender:
    """Something that is timed."""

    work: str
    """What is done; contenders of the same work are compared."""
    name: str
    run: Callable[[], object]
    peer: bool = False
    """Whether the others of the same work are compared with it."""


@dataclass(frozen=True)
class Row:
    """What was measured of a contender."""

    work: str
    name: str
    median_seconds: float
    mega_weights_per_second: float
    ratio_to_peer: float
    """How many times as fast as the peer of the same work."""
    share_of_floor: float
    """Speed as a share of that of the floor's copy."""


def contenders(size: int) -> list[Contender]:
    """Return what is timed, on N(0,1) weights ``[size, size]`` as a checkpoint stores them: outputs by inputs."""
    rows = np.random.default_rng(1).standard_normal((size, size)).astype(np.float32)
    w = rows.T
    backend = get("numpy")
    blocks = gguf.quants.quantize(rows, Q4_0)
    found = [
        Contender("quantize", "gguf-py Q4_0: scale, round, pack", lambda: gguf.quants.quantize(rows, Q4_0), peer=True),
        Contender(
            "dequantize", "gguf-py Q4_0: unpack, restore", lambda: gguf.quants.dequantize(blocks, Q4_0), peer=True
        ),
    ]
    for group_size, label in ((0, "per column"), (128, "g128")):
        qt = q35ref.quantize(w, group_size=group_size)
        arguments = (qt.scale, qt.offset, group_size, 2)

        def quantize_only(arguments: tuple[object, ...] = arguments) -> object:
            return backend.quantize(w, *arguments)  # type: ignore[arg-type]

        def everything(group_size: int = group_size) -> object:
            return q35ref.quantize(w, group_size=group_size)

        def restore(qt: q35ref.QuantizedTensor = qt) -> object:
            return q35ref.dequantize(qt)

        found += [
            Contender("quantize", f"q35ref {label}: round, given parameters", quantize_only),
            Contender("quantize", f"q35ref {label}: calibrate, round, pack", everything),
            Contender("dequantize", f"q35ref {label}: unpack, restore", restore),
        ]
    c_order = np.ascontiguousarray(w)
    given = q35ref.quantize(c_order)
    found.append(
        Contender(
            "quantize",
            "q35ref per column, inputs by outputs: round, given parameters",
            lambda: backend.quantize(c_order, given.scale, given.offset, 0, 2),
        )
    )
    return found


def floors(size: int) -> dict[str, Contender]:
    """Return the copies that bound each work: a float32 and 3.5 bits a weight, one read and the other written."""
    wide, packed = np.ones(size * size, np.float32), np.ones(size * size * 7 // 16, np.uint8)
    copy_wide, copy_packed = np.empty_like(wide), np.empty_like(packed)

    def copy() -> None:
        half = wide.size // 2  # a copy reads and writes; the work reads one side and writes the other
        np.copyto(copy_wide[:half], wide[:half])
        np.copyto(copy_packed[: packed.size // 2], packed[: packed.size // 2])

    return {work: Contender(work, "floor: copy of the same bytes", copy) for work in ("quantize", "dequantize")}


def measure(size: int, rounds: int) -> list[Row]:
    """Time every contender ``rounds`` times, in turn."""
    timed = [*floors(size).values(), *contenders(size)]
    samples: dict[str, list[float]] = {f"{c.work} {c.name}": [] for c in timed}
    with threadpool_limits(limits=1):
        for round_number in range(rounds + 1):
            for contender in timed:
                begun = time.perf_counter()
                contender.run()
                if round_number:  # the first round warms up
                    samples[f"{contender.work} {contender.name}"].append(time.perf_counter() - begun)
    medians = {name: statistics.median(times) for name, times in samples.items()}
    rows = []
    for contender in timed:
        seconds = medians[f"{contender.work} {contender.name}"]
        peer = next(c for c in timed if c.peer and c.work == contender.work)
        floor = next(c for c in timed if c.name.startswith("floor") and c.work == contender.work)
        rows.append(
            Row(
                contender.work,
                contender.name,
                seconds,
                size * size / seconds / 1e6,
                medians[f"{peer.work} {peer.name}"] / seconds,
                medians[f"{floor.work} {floor.name}"] / seconds,
            )
        )
    return rows


@click.command()
@click.option("--size", type=click.IntRange(128), default=4096, show_default=True, help="Rows and columns; of 128.")
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write a record of the run.")
def main(size: int, rounds: int, json_path: Path | None) -> None:
    """Time the NumPy backend beside gguf-py, one thread."""
    rows = measure(size - size % 128, rounds)
    table = Table(title=f"{size} x {size}, one thread, median of {rounds} rounds, all in one run", title_justify="left")
    table.add_column("work")
    table.add_column("contender")
    for heading in ("M weights/s", "x gguf-py", "of the floor"):
        table.add_column(heading, justify="right")
    for row in sorted(rows, key=lambda row: row.work):
        table.add_row(
            row.work,
            row.name,
            f"{row.mega_weights_per_second:.0f}",
            f"{row.ratio_to_peer:.2f}",
            f"{row.share_of_floor:.2f}",
        )
    out = console()
    out.print(table)
    out.print("M weights/s: millions a second. x gguf-py: speed over that of the peer's whole job the same way.")
    out.print("Of the floor: speed over that of a copy of the bytes that must be read and written, 4 + 7/16 a weight.")
    if json_path is not None:
        machine = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
        record = {"size": size, "rounds": rounds, **machine, "rows": [asdict(row) for row in rows]}
        write_text(json_path, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
