"""``q35ref evidence``: every table and figure, into a folder."""

import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from q35ref.atomic_folder import write_folder
from q35ref.cli.output import UsageProblem, console
from q35ref.demo import NoWeights
from q35ref.evidence.collect import collect
from q35ref.evidence.figures import draw, files
from q35ref.evidence.minilm import NoTokenizer
from q35ref.evidence.tables import tables, text
from q35ref.lpu.picture import NoPicture, require_matplotlib
from q35ref.version import __version__

ABOUT = "about.json"
"""What a folder of ours holds, by which it is known for ours."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--quick", is_flag=True, help="Fewer sentences, matrices and formats: a fifth of the time.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of weights that are drawn.")
def evidence(folder: Path, quick: bool, seed: int) -> None:
    """Write the drafts' tables and figures, done honestly, into FOLDER: CSV with where each row is from, SVG and PNG.

    Errors of formats on N(0,1) and on trained weights, agreement of a real model's embeddings, models on simulated
    chips, the drafts' claims. FOLDER must be new, empty, or one that this command has written.
    """
    begun = time.perf_counter()
    try:
        require_matplotlib("evidence")
        _require_ours(folder)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
            task = bar.add_task("", total=1)
            found = collect(
                seed,
                quick=quick,
                progress=lambda name, done, whole: bar.update(task, description=name, completed=done, total=whole),
            )
        made = tables(found)
        content = {f"{name}.csv": text(name, rows).encode() for name, rows in made.items()}
        for name, figure in draw(found).items():
            content |= files(name, figure)
        about = {
            "generator": "q35ref evidence", "version": __version__, "seed": seed, "quick": quick,
            "python": platform.python_version(), "numpy": np.__version__, "backend": found.backend,
            "machine": platform.machine(), "processors": os.cpu_count(),
            "seconds": round(time.perf_counter() - begun),
            "missing": list(found.missing), "files": sorted(content),
        }  # fmt: skip
        content[ABOUT] = (json.dumps(about, indent=1) + "\n").encode()
        write_folder(folder, content, _ours)
    except (NoWeights, NoTokenizer, NoPicture, ValueError, OSError) as error:
        raise UsageProblem(str(error)) from error
    out = console()
    for name, rows in made.items():
        out.print(f"{name}.csv: {len(rows)} rows")
    out.print(f"figures: {len([name for name in content if name.endswith('.svg')])}, as SVG and PNG")
    for reason in found.missing:
        out.print(f"left out: {reason}")
    out.print(f"{folder}: {len(content)} files, {time.perf_counter() - begun:.0f} s")


def _ours(folder: Path) -> bool:
    """Whether a folder was written by this command, and nothing has been put into it since."""
    try:
        about = json.loads((folder / ABOUT).read_text())
        known = {ABOUT, *about["files"]}
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
        return bool(about["generator"] == "q35ref evidence") and there <= known
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _require_ours(folder: Path) -> None:
    """Refuse a folder that could not be written in the end, before anything takes time."""
    if not folder.absolute().parent.is_dir():
        raise UsageProblem(f"{folder}: no such folder to make it in")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageProblem(f"{folder}: expected a folder, or nothing")
    with tempfile.TemporaryDirectory(prefix=f".{folder.name[:60]}.", dir=folder.absolute().parent):
        pass  # it can be written there
    if folder.is_dir() and any(folder.iterdir()) and not _ours(folder):
        raise UsageProblem(f"{folder}: holds files that would be lost; it is left as it is")
