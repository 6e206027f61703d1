"""Where an input lies that is read from a file."""

import tempfile
from functools import cache
from pathlib import Path


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="q35-fuzz-")


def folder(name: str) -> Path:
    """Return a folder of this process, which goes with it."""
    path = Path(_folder().name) / name
    path.mkdir(exist_ok=True)
    return path
