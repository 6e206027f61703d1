"""The files of the trials: a large checkpoint made up, and what is found at a destination afterwards."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import safetensors.numpy

MATRICES: Final = 6
"""Matrices of a checkpoint, of about the same size."""

ABSENT: Final = "absent"
"""Nothing at the destination."""

TORN: Final = "torn"
"""At the destination is something that no whole run has written, nor stood there before."""


def make_checkpoint(path: Path, megabytes: float, seed: int) -> None:
    """Write a safetensors file of about this size: matrices, an embedding table, biases and indices.

    Another seed gives other numbers in the same places, so that two such files differ throughout and have one header.
    """
    rng = np.random.default_rng(seed)
    rows = max(16, round((megabytes * 2**20 / 4 / (MATRICES + 1)) ** 0.5))
    tensors = {
        f"layer{index}.weight": rng.standard_normal((rows, rows), np.float32) * np.float32(0.02)
        for index in range(MATRICES)
    }
    tensors["embed.weight"] = rng.standard_normal((rows, rows), np.float32)
    tensors["layer0.bias"] = rng.standard_normal(rows, np.float32)
    tensors["positions"] = rng.integers(0, rows, rows)
    safetensors.numpy.save_file(tensors, path)


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def found_at(path: Path, known: Mapping[str, str]) -> str:
    """Return which of the known files, names by digest, is at a path: all of it, or it is torn."""
    if not path.exists():
        return ABSENT
    return known.get(digest(path), TORN)


def temporaries(folder: Path) -> list[str]:
    """Return the names of the temporary files that are left of earlier runs."""
    return sorted(path.name for path in folder.glob(".*.q35tmp"))
