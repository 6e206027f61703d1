"""Pages that are generated: written, or compared with what they should say."""

import sys
from pathlib import Path

import click

from q35ref.atomic import write_text


def settle(page: Path, text: str, source: str, module: str, *, check: bool) -> None:
    """Write a page, or, to ``check`` it, end with one line and exit status 1 where it is not what its source says.

    ``source`` says what it is made from, ``module`` is what ``python -m`` makes it with.
    """
    if not check:
        write_text(page, text)
    elif not page.exists() or page.read_text() != text:
        click.echo(f"docs/{page.name} is not what {source}: python -m {module}", err=True)
        sys.exit(1)
