"""``q35ref check``: judge an implementation."""

import os
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

import q35ref.oracle as oracle
from q35ref.atomic import require_writable, write_text
from q35ref.cli.output import UsageProblem
from q35ref.oracle.cases import LEVELS
from q35ref.oracle.foreign.abi import ABIS
from q35ref.oracle.html import to_html
from q35ref.oracle.targets import DEFAULTS
from q35ref.reference.lanes import LAYOUTS
from q35ref.vectors import VectorFileError

MOST_FINDINGS = 20
"""Findings that are written out in the terminal; the reports hold all."""


@click.command()
@click.argument("target")
@click.option("--level", type=click.IntRange(min(LEVELS), max(LEVELS)), default=1, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--require", metavar="OP[,OP]", default="", help="Operations that the target must have.")
@click.option("--only", metavar="GLOB", multiple=True, default=("*",), help="Checks to run, by name. May be repeated.")
@click.option(
    "--vectors",
    "vector_path",
    type=click.Path(path_type=Path),
    help="Replay vector files instead: a JSON file, or a folder of q35ref vectors.",
)
@click.option("--quiet", is_flag=True, help="Print failures and the closing line only.")
@click.option("--abi", type=click.Choice(list(ABIS)), default=DEFAULTS.abi, show_default=True, help="Of a c: target.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 3600),
    default=DEFAULTS.timeout,
    show_default=True,
    help="Seconds that a call of a foreign kernel may take.",
)
@click.option("--layout", "layouts", multiple=True, type=click.Choice(LAYOUTS), help="The kernel has only these.")
@click.option("--gain", "gains", multiple=True, type=click.IntRange(1, 2), help="The kernel has only these.")
@click.option("--group-size", "group_sizes", multiple=True, type=click.IntRange(0), help="The kernel has only these.")
@click.option("--k-multiple", type=click.IntRange(1, 4096), default=1, help="The kernel wants K a multiple of this.")
@click.option("--correctly-rounded", is_flag=True, help="Ask a c: or pipe: target for correct rounding too.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the report as JSON.")
@click.option("--html", "html_path", type=click.Path(path_type=Path), help="Write the report as one HTML page.")
@click.option("--junit", "junit_path", type=click.Path(path_type=Path), help="Write the report as JUnit XML.")
def check(
    target: str,
    level: int,
    seed: int,
    require: str,
    only: tuple[str, ...],
    vector_path: Path | None,
    quiet: bool,
    abi: str,
    timeout: float,
    layouts: tuple[str, ...],
    gains: tuple[int, ...],
    group_sizes: tuple[int, ...],
    k_multiple: int,
    correctly_rounded: bool,
    json_path: Path | None,
    html_path: Path | None,
    junit_path: Path | None,
) -> None:
    """Check TARGET against the reference.

    TARGET is reference, numpy, native, lpu (the simulator), python:MODULE:OBJECT (some of the methods of
    q35ref.backends.Backend), c:PATH (a shared library with some of the functions of q35_abi.h, or of --abi) or
    pipe:COMMAND (a program that answers a line for a line). What it lacks is not checked. The last three run in a
    process of their own: that they crash, hang or write where they may not is a finding like others. Each failure
    prints the smallest input that was found, what was given and what was expected, and how to run it again. A kernel
    that has a part of the format alone says so with --layout, --gain, --group-size and --k-multiple; they may be
    repeated but for the last.

    Exit status: 0 all passed, 1 a check failed, 2 wrong usage or nothing was checked.
    """
    operations = [name for name in require.split(",") if name]
    asked = {"--json": json_path, "--html": html_path, "--junit": junit_path}
    reports = {option: path for option, path in asked.items() if path is not None}
    if len({os.path.realpath(path) for path in reports.values()}) < len(reports):
        raise UsageProblem(f"{', '.join(asked)}: expected different files")
    for option, path in reports.items():
        try:
            require_writable(path)
        except OSError as error:
            raise UsageProblem(f"{option} {path}: {error.strerror}") from error
    left = MOST_FINDINGS
    told: Counter[str] = Counter()

    def show(result: oracle.Result, so_far: bool = False) -> None:
        nonlocal left
        if not quiet or result.status == "failed":
            click.echo(result.to_text(left, so_far=so_far, told=told[result.name]))
        written = min(left, len(result.findings) - told[result.name])
        left -= written
        told[result.name] += written

    if abi != DEFAULTS.abi and not target.startswith("c:"):
        raise UsageProblem(f"--abi {abi}: expected a target c:PATH, got {target!r}")
    try:
        domain = oracle.Domain(layouts, gains, group_sizes, k_multiple)
        report = oracle.check(
            target,
            level=level,
            seed=seed,
            require=operations,
            only=only,
            vectors=vector_path,
            on_result=show,
            on_early=partial(show, so_far=True),
            options=oracle.TargetOptions(abi, timeout, correctly_rounded, domain),
        )
    except (ValueError, RuntimeError, VectorFileError) as error:
        raise UsageProblem(str(error)) from error
    click.echo(report.summary())
    texts: dict[str, Callable[[], str]] = {
        "--json": report.to_json,
        "--html": partial(to_html, report),
        "--junit": report.to_junit,
    }
    lost = [problem for option, path in reports.items() if (problem := _write(option, path, texts[option]()))]
    if lost:
        raise UsageProblem("; ".join(lost))
    sys.exit(report.exit_status)


def _write(option: str, path: Path, text: str) -> str:
    """Write a report; return why it could not be written, or nothing."""
    try:
        write_text(path, text.encode(errors="backslashreplace").decode())  # paths need not be UTF-8
    except OSError as error:
        return f"{option} {path}: not written: {error.strerror}"
    return ""
