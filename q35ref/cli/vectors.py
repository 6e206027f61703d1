"""``q35ref vectors``: write the vector suite."""

from pathlib import Path

import click

from q35ref.atomic_folder import write_folder
from q35ref.cli.output import UsageProblem
from q35ref.oracle.cases import LEVELS
from q35ref.oracle.suite import FORMATS, is_ours, suite
from q35ref.vectors import VectorFileError


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--level", type=click.IntRange(min(LEVELS), max(LEVELS)), default=1, show_default=True)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the problems from level 2 on."
)
@click.option(
    "--format", "formats", type=click.Choice(FORMATS), multiple=True, help="May be repeated; all, unless told."
)
def vectors(folder: Path, level: int, seed: int, formats: tuple[str, ...]) -> None:
    """Write the vector suite into DIR: JSON with its schema, $readmemh hex files, NumPy archives.

    Level 1 is the committed suite; higher levels add the oracle's problems of that level with the right answers.
    The same command writes the same bytes everywhere. DIR is written whole or not at all. It may be there already
    if it is empty or an earlier suite; anything else is left as it is.

    Exit status: 0 written, 2 wrong usage or nothing written.
    """
    try:
        content = suite(level, seed, formats or FORMATS)
        write_folder(folder, content, is_ours)
    except (ValueError, VectorFileError) as error:
        raise UsageProblem(str(error)) from error
    except OSError as error:
        raise UsageProblem(f"{error.filename or folder}: {error.strerror or error}") from error
    click.echo(f"wrote {len(content)} files, {sum(map(len, content.values()))} bytes to {folder}")
