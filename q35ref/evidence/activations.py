"""What goes into a model's Linear layers: second moments and extremes, gathered over sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from q35ref.backends.numpy.float32 import Float64
from q35ref.backends.protocol import Float32
from q35ref.evidence.minilm import BATCH, Encoder, Linear


@dataclass
class Statistics:
    """Of the activations ``[M, K]`` that a Linear layer was given, over all rows so far."""

    gram: Float64
    """float64[K, K]: the sum over the rows of the products of two channels, ``XᵀX``; 0 by 0 where it was not wanted."""
    absmax: float = 0.0
    """The largest magnitude."""
    rows: int = 0
    magnitudes: Float64 = field(default_factory=lambda: np.zeros(0))
    """float64[K]: the sum over the rows of each channel's magnitude; of no channels where it was not wanted."""

    @classmethod
    def none(cls, k: int) -> Self:
        """Return those of no rows."""
        return cls(np.zeros((k, k)), magnitudes=np.zeros(k))

    def add(self, x: Float32) -> None:
        """Take in more rows."""
        if self.gram.size:
            # One batch in float32, the sum of batches in double: the error is far below what sampling leaves open.
            self.gram += x.T @ x
            self.magnitudes += np.abs(x).sum(axis=0, dtype=np.float64)
        self.absmax = max(self.absmax, float(np.abs(x).max()))
        self.rows += len(x)

    @property
    def mean_square(self) -> Float64:
        """float64[K]: each channel's mean square."""
        squares: Float64 = np.diag(self.gram) / self.rows
        return squares

    @property
    def mean_magnitude(self) -> Float64:
        """float64[K]: each channel's mean magnitude."""
        return self.magnitudes / self.rows


def gather(encoder: Encoder, tokens: Sequence[Sequence[int]], *, moments: bool = True) -> dict[str, Statistics]:
    """Return the statistics of each Linear layer's input over tokenized sentences, the model in float32.

    Layers that are given the same array (query, key and value) share one object. Without ``moments`` no products
    of channels are summed, which takes most of the time. Errors: as :meth:`Encoder.embed`.
    """
    products = encoder.linears()
    found: dict[str, Statistics] = {}
    last: tuple[Float32, Statistics] | None = None

    def watched(name: str) -> Linear:
        def product(x: Float32) -> Float32:
            nonlocal last
            if last is None or last[0] is not x:
                last = (x, found.get(name) or Statistics.none(x.shape[1] if moments else 0))
                last[1].add(x)
            found[name] = last[1]
            return products[name](x)

        return product

    hooks = {name: watched(name) for name in encoder.config.linear_names}
    for start in range(0, len(tokens), BATCH):
        encoder.embed(tokens[start : start + BATCH], hooks)
    return found
