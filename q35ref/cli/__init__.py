"""The ``q35ref`` command: parses, calls, prints. Everything that it does can be called from Python."""

from typing import Any, Final

import click

from q35ref.cli.check import check
from q35ref.cli.checkpoint import dequantize, inspect, quantize
from q35ref.cli.claims import claims
from q35ref.cli.demo import demo
from q35ref.cli.doctor import doctor
from q35ref.cli.evidence import evidence
from q35ref.cli.explain import explain
from q35ref.cli.lpu import lpu
from q35ref.cli.soak import soak
from q35ref.cli.vectors import vectors
from q35ref.version import __version__

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C: 128 and the signal's number, as shells have it; 1 would be a finding."""


class Commands(click.Group):
    """The commands; Ctrl-C ends each of them with a word and a status of its own."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="q35ref")
def main() -> None:
    """Reference and conformance oracle for the 3.5-bit (4+3) weight format."""


for command in (demo, quantize, dequantize, inspect, check, soak, vectors, explain, lpu, claims, evidence, doctor):
    main.add_command(command)
