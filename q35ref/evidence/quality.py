"""How far formats are from the weights, matrix by matrix: seeded N(0, 1) of the drafts' shapes, and trained weights."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from q35ref.backends.protocol import Float32
from q35ref.checkpoints import Checkpoint, read_weights
from q35ref.checkpoints.selection import DEFAULT_EXCLUDE, select
from q35ref.evidence.drafts import normalized_rmse
from q35ref.evidence.formats import Format

SHAPES: Final = {
    "Q, K, V": (8192, 8192),
    "FFN up": (8192, 28672),
    "FFN down": (28672, 8192),
    "LM head": (8192, 32000),
}
"""Rows and columns of the drafts' matrices."""

SAMPLED: Final = 32
"""Columns that are drawn of each: all columns of such a matrix are alike, and each is quantized by itself."""


@dataclass(frozen=True)
class Matrix:
    """Weights with where they come from."""

    data: str
    name: str
    weights: Float32
    """``[K, N]``."""


@dataclass(frozen=True)
class QualityRow:
    """A format on a matrix."""

    data: str
    matrix: str
    k: int
    n: int
    """Columns that were measured."""
    format: str
    group_size: int
    bits_per_weight: float
    normalized_rmse: float
    """Root of the mean squared error over the weights' standard deviation."""
    worst_ratio: float | None
    """Largest error over its proven bound, of this format."""


def normal(seed: int, columns: int = SAMPLED) -> Iterator[Matrix]:
    """Yield some columns of N(0, 1) of each of the drafts' shapes."""
    generator = np.random.default_rng(seed)
    for name, (k, _) in SHAPES.items():
        yield Matrix("N(0,1)", name, generator.standard_normal((k, columns), np.float32))


def trained(path: Path) -> Iterator[Matrix]:
    """Yield every linear matrix that embeddings pass through, so not the pooler's. Errors: CheckpointError."""
    with Checkpoint(path) as checkpoint:
        for found in select(checkpoint.plain.values(), exclude=(*DEFAULT_EXCLUDE, "pooler.*")):
            yield Matrix("MiniLM", found.name, read_weights(checkpoint, found.name))


def measured(matrix: Matrix, chosen: Format) -> QualityRow:
    """Return what a format makes of a matrix."""
    kept = chosen.keep(matrix.weights)
    error = normalized_rmse(matrix.weights.astype(float), kept.weights.astype(float))
    k, n = matrix.weights.shape
    return QualityRow(
        matrix.data, matrix.name, k, n, chosen.name, chosen.group_size, kept.bits, error, kept.worst_ratio
    )


def quality_rows(matrices: Iterable[Matrix], chosen: Iterable[Format]) -> Iterator[QualityRow]:
    """Yield every format on every matrix."""
    formats = tuple(chosen)
    for matrix in matrices:
        for each in formats:
            yield measured(matrix, each)
