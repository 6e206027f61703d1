"""The commands on checkpoints: ``quantize``, ``dequantize``, ``inspect``."""

import contextlib
import functools
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import click
from rich import box
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from q35ref.checkpoints import (
    DEFAULT_EXCLUDE,
    DEFAULT_INCLUDE,
    CheckpointError,
    Inspection,
    Orientation,
    Runner,
    TensorInfo,
    dequantize_file,
    in_processes,
    inspect_file,
    on_cluster,
    quantize_file,
    serially,
)
from q35ref.checkpoints.convert import SOURCE_DTYPE
from q35ref.checkpoints.convert import Progress as Report
from q35ref.checkpoints.errors import printable
from q35ref.checkpoints.floats import FLOAT_DTYPES
from q35ref.checkpoints.on_dask import LOCAL, DaskUnavailable
from q35ref.checkpoints.runners import MOST_WORKERS
from q35ref.checkpoints.schema import ORIENTATIONS
from q35ref.cli.output import UsageProblem, console
from q35ref.reference.calibration import METHODS, Method
from q35ref.reference.lanes import LAYOUTS, Layout, group_length

SETTINGS: Final = {
    "orientation": "orientation",
    "group\nsize": "group_size",
    "narrow\ngain": "narrow_gain",
    "layout": "layout",
    "method": "method",
    "source": "source_dtype",
}
"""What a tensor was quantized with: the heading, and the record's field."""

P = ParamSpec("P")
R = TypeVar("R")


def reporting(command: Callable[P, R]) -> Callable[P, R]:
    """End a command with one clear line and the right exit status where it cannot go on."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (CheckpointError, DaskUnavailable) as error:
            raise UsageProblem(str(error)) from error
        except BrokenPipeError:  # whoever reads has enough: click ends without a word
            raise
        except OSError as error:  # files name themselves: this is standard output
            raise UsageProblem(f"standard output: {error.strerror}; what was to be written to a file is") from error
        except MemoryError as error:
            raise UsageProblem(f"not enough memory for the largest tensor: {error}") from error

    return run


def check_group_size(context: click.Context, parameter: click.Parameter, value: int) -> int:
    """Refuse a group size that the format does not have, as wrong usage."""
    try:
        group_length(1, value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error
    return value


def working(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options that say who does the work."""
    workers = click.option(
        "--workers",
        type=click.IntRange(1, MOST_WORKERS),
        metavar="N",
        help="Processes that share the work, each with one tensor in memory at a time.  [default: 1]",
    )
    dask = click.option(
        "--dask",
        metavar="ADDRESS",
        help="Let Dask do the work: the scheduler's address, or 'local' for N processes of this machine.",
    )
    return workers(dask(command))


def chosen_runner(workers: int | None, dask: str | None) -> Runner:
    """Return who does the work. Errors: UsageProblem; DaskUnavailable."""
    if dask is not None:
        if workers is not None and dask != LOCAL:
            raise UsageProblem(f"--workers: the cluster at {printable(dask)} has its own; give it for --dask local")
        return on_cluster(dask, workers or 1)
    return serially if workers in (None, 1) else in_processes(workers)


# fmt: off
@click.command()
@click.argument("source", type=click.Path())
@click.argument("destination", type=click.Path())
@click.option("--include", multiple=True, default=DEFAULT_INCLUDE, show_default=True, metavar="GLOB",
              help="Names of the matrices to quantize; may be given again.")
@click.option("--exclude", multiple=True, default=DEFAULT_EXCLUDE, show_default=True, metavar="GLOB",
              help="Names to leave as they are, in place of the default; may be given again. '' excludes nothing.")
@click.option("--group-size", type=int, default=0, show_default=True, callback=check_group_size, metavar="ROWS",
              help="Inputs that share a scale and an offset, a multiple of 16; 0 for a whole column.")
@click.option("--narrow-gain", type=click.IntRange(1, 2), default=2, show_default=True,
              help="Factor of the 3-bit lane; 2 lets it span the range of the 4-bit one.")
@click.option("--layout", type=click.Choice(LAYOUTS), default="dense", show_default=True,
              help="dense stores 3.5 bits a weight, byte 4.")
@click.option("--method", type=click.Choice(METHODS), default="minmax", show_default=True,
              help="How scales and offsets are chosen; clip searches for the least squared error.")
@click.option("--orientation", type=click.Choice(ORIENTATIONS), default="out_in", show_default=True,
              help="How matrices lie in the file: out_in as PyTorch's Linear, in_out as GPT-2's Conv1D.")
@working
@reporting
def quantize(
    source: str,
    destination: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    group_size: int,
    narrow_gain: int,
    layout: Layout,
    method: Method,
    orientation: Orientation,
    workers: int | None,
    dask: str | None,
) -> None:
    """Quantize the weights of the checkpoint SOURCE into DESTINATION.

    SOURCE is a safetensors file, and DESTINATION a file; or SOURCE is a checkpoint in shards, given by its index
    (model.safetensors.index.json) or the folder that holds it, and DESTINATION a new or empty folder. The bytes are
    the same whoever does the work; see --workers and --dask.

    Float matrices (F64, F32, F16, BF16) whose names match --include and not --exclude are quantized; everything
    else passes through byte for byte. By default all matrices named *.weight but embedding tables are chosen.
    DESTINATION appears whole or not at all. Prints each matrix with its true bits a weight, parameters included,
    and its errors; error / bound is at most 1 by theorem.
    """
    with progress_bar() as report:
        records = quantize_file(
            source,
            destination,
            include=include,
            exclude=exclude,
            group_size=group_size,
            narrow_gain=narrow_gain,
            layout=layout,
            method=method,
            orientation=orientation,
            progress=report,
            runner=chosen_runner(workers, dask),
        )
    found = Path(destination)
    written = sum(file.stat().st_size for file in (found.iterdir() if found.is_dir() else [found]))
    print_records(Inspection(destination, written, {}, [], records, None), "As measured")


# fmt: on
@click.command()
@click.argument("source", type=click.Path())
@click.argument("destination", type=click.Path())
@click.option(
    "--dtype",
    type=click.Choice((*FLOAT_DTYPES, SOURCE_DTYPE)),
    default="F32",
    show_default=True,
    help="What to store; source is what each tensor had before. F16 and BF16 round once, ties to even.",
)
@working
@reporting
def dequantize(source: str, destination: str, dtype: str, workers: int | None, dask: str | None) -> None:
    """Restore the quantized tensors of the checkpoint SOURCE into DESTINATION, a file or a folder as SOURCE is.

    Each has its first name, shape and orientation again; everything else passes through byte for byte.
    DESTINATION appears whole or not at all.
    """
    with progress_bar() as report:
        restored = dequantize_file(
            source, destination, dtype=dtype, progress=report, runner=chosen_runner(workers, dask)
        )
    click.echo(f"{printable(destination)}: {len(restored)} tensors restored")


@click.command()
@click.argument("file", type=click.Path())
@click.option("--original", type=click.Path(), help="Measure all errors again, against the file that was quantized.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every number in full.")
@reporting
def inspect(file: str, original: str | None, as_json: bool) -> None:
    """Print what a checkpoint holds: tensors, true bits a weight, errors against their bound.

    FILE is a safetensors file, or the index of a checkpoint in shards, or the folder that holds it.

    Every code and parameter of quantized tensors is read and checked. Errors are those that were recorded at
    quantization, which say nothing of a file that was changed since, or with --original measured again.

    Exit status: 0, or 1 if a weight is farther from its restored value than the theorem allows or overflows float32.
    """
    found = inspect_file(file, original)
    print_inspection(found, original, as_json=as_json)
    sys.exit(int(bool(found.quantized) and not found.quality.within_bound))


def print_inspection(found: Inspection, original: str | None, *, as_json: bool) -> None:
    """Print what a checkpoint holds."""
    if as_json:
        click.echo(json.dumps(found.document(), indent=2, allow_nan=False))
        return
    click.echo(f"{printable(found.path)}: {found.file_bytes:,} bytes")
    for key, value in found.metadata.items():
        click.echo(f"  {printable(key)}: {printable(value)}")
    if found.quantized:
        measured = "as recorded at quantization" if original is None else f"against {printable(original)}"
        click.echo(f"\nQuantized tensors, errors {measured}:")
        print_records(found, "As recorded" if original is None else "As measured")
    if found.plain:
        click.echo("\nTensors stored as they are:")
        print_plain(found.plain)


def print_records(found: Inspection, how: str) -> None:
    """Print a table of quantized tensors, and their total; settings that all of them share go above the table."""
    settings = {heading: [str(getattr(record, key)) for record in found.quantized] for heading, key in SETTINGS.items()}
    shared = {heading: values[0] for heading, values in settings.items() if len(set(values)) == 1}
    differing = {heading: values for heading, values in settings.items() if heading not in shared}
    click.echo(", ".join(f"{heading} {value}".replace("\n", " ") for heading, value in shared.items()))
    table = new_table(
        "tensor",
        "shape",
        *differing,
        "bits per\nweight",
        "RMSE",
        "RMSE/\nstd",
        "error/\nbound",
        "float32\nerror/\nbound",
    )
    for position, record in enumerate(found.quantized):
        quality = record.quality
        table.add_row(
            Text(printable(record.name)),
            show_shape(record.shape),
            *(values[position] for values in differing.values()),
            f"{float(record.bits_per_weight):.4f}",
            *map(show, (quality.rmse, quality.normalized_rmse, quality.exact_ratio, quality.restored_ratio)),
        )
    console().print(table)
    total = found.quality
    click.echo(
        f"{found.weights:,} weights in {len(found.quantized)} tensors, {found.quantized_bytes:,} bytes:"
        f" {float(found.bits_per_weight):.4f} bits a weight; RMSE {show(total.rmse)}"
    )
    if total.within_bound:
        verdict = "no weight is farther from its restored value than the theorem allows."
    else:
        verdict = "A WEIGHT IS FARTHER FROM ITS RESTORED VALUE THAN THE THEOREM ALLOWS, or overflows float32."
    click.echo(f"{how}: {verdict}")


def print_plain(tensors: Iterable[TensorInfo]) -> None:
    """Print a table of tensors that are stored as they are."""
    table = new_table("tensor", "shape", "dtype", "bytes")
    for tensor in tensors:
        table.add_row(Text(printable(tensor.name)), show_shape(tensor.shape), tensor.dtype, f"{tensor.nbytes:,}")
    console().print(table)


def new_table(name: str, *others: str) -> Table:
    """Return a table whose first column folds in a narrow terminal, so that nothing is ever cut."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(name, overflow="fold")
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def show(number: float) -> str:
    """Return a number in four digits; one just above 1 does not come out as 1.

    >>> show(0.25), show(1 + 2**-52), show(math.nan)
    ('0.25', '1.0000000000000002', 'n/a')
    """
    if math.isnan(number):
        return "n/a"
    short = f"{number:.4g}"
    return repr(number) if number > 1 and float(short) <= 1 else short


def show_shape(shape: tuple[int, ...]) -> str:
    """Return a shape as a user would say it.

    >>> show_shape((384, 1536)), show_shape(())
    ('384x1536', 'number')
    """
    return "x".join(map(str, shape)) or "number"


@contextlib.contextmanager
def progress_bar() -> Iterator[Report]:
    """Yield what reports progress: a bar on standard error where that is a terminal, else nothing at all."""
    if not sys.stderr.isatty():
        yield lambda name, done, total: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(name: str, done: int, total: int) -> None:
            bar.update(task, description=printable(name) if name else "finishing", completed=done, total=total)

        yield report
