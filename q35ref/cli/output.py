"""Printing: tables as wide as they need to be when nobody's terminal limits them, errors as one line."""

import sys
from typing import IO, Any

import click
from rich.console import Console

PIPE_WIDTH = 400
"""Columns to print in when the output is a file or a pipe, where nothing should be cut."""


class UsageProblem(click.ClickException):
    """Bad input or wrong usage: one line on standard error, exit status 2."""

    exit_code = 2


def console(stream: IO[str] | None = None) -> Console:
    """Return a console on a stream, standard output unless told; a terminal's own width, else a wide one.

    Nothing that is printed is markup: names of tensors come from other people's files."""
    file: Any = stream if stream is not None else sys.stdout
    return Console(file=file, width=None if file.isatty() else PIPE_WIDTH, highlight=False, markup=False, emoji=False)
