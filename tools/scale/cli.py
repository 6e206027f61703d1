"""The command ``python -m tools.scale``."""

import importlib.util
import sys
import tempfile
from pathlib import Path

import click

from q35ref.checkpoints.runners import MOST_WORKERS
from q35ref.cli.output import UsageProblem, console
from tools.bench.cli import shown
from tools.scale.make import LARGE, SMALL
from tools.scale.record import faults, save
from tools.scale.run import NoRun, run_all
from tools.scale.tables import parts, runs


@click.command()
@click.option(
    "--gigabytes",
    type=click.FloatRange(0, min_open=True),
    default=10,
    show_default=True,
    help="Size of the checkpoint that is made, at least.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=2,
    show_default=True,
    help="Processes of the runs that are not serial.",
)
@click.option("--dask", is_flag=True, help="A run by Dask too.")
@click.option("--small", is_flag=True, help="Tiny matrices, to try the tool out: no number means anything.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where to make it; needs 2.7 times its size.  [default: the system's for temporary files]",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write a record of the run.")
def main(
    gigabytes: float, workers: int, dask: bool, small: bool, folder: Path | None, json_path: Path | None
) -> None:  # fmt: skip
    """Quantize a synthetic checkpoint in shards, serially and in parallel: throughput, memory, digests.

    Exit status: 0 all as it must be, 1 runs gave different bytes or took more memory than tensors explain, 2 wrong
    usage or no room.
    """
    runners = {"serial": ("serial", 1), f"{workers} processes": ("processes", workers)}
    if dask:
        if importlib.util.find_spec("distributed") is None:
            raise UsageProblem("--dask: expected the package distributed, found none: pip install 'q35ref[dask]'")
        runners[f"Dask, {workers} processes"] = ("dask", workers)
    where = folder or Path(tempfile.gettempdir())
    try:
        record = run_all(
            where,
            int(gigabytes * 1e9),
            SMALL if small else LARGE,
            runners,
            lambda text: print(text, file=sys.stderr, flush=True),
        )
    except NoRun as error:
        raise UsageProblem(str(error)) from error
    out = console()
    for grid in (runs(record), parts(record)):
        out.print(shown(grid))
    found = faults(record)
    for fault in found:
        out.print(f"FAILED {fault}")
    if json_path is not None:
        save(record, json_path)
    sys.exit(int(bool(found)))
