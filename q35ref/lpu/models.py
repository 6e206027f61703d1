"""Shapes of language models, from the configurations that their makers publish."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Matrix:
    """A weight matrix ``[K, N]``."""

    name: str
    k: int
    n: int


@dataclass(frozen=True)
class Model:
    """A decoder of equal layers."""

    name: str
    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    """Heads that have keys and values of their own."""
    vocabulary: int

    @property
    def kv_width(self) -> int:
        """Keys, or values, of a token in a layer."""
        return self.hidden // self.heads * self.kv_heads

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """Of a layer; those that take the same activations are one beside the other."""
        return (
            Matrix("qkv", self.hidden, self.hidden + 2 * self.kv_width),
            Matrix("o", self.hidden, self.hidden),
            Matrix("gate, up", self.hidden, 2 * self.ffn),
            Matrix("down", self.ffn, self.hidden),
        )

    @property
    def head(self) -> Matrix:
        """From the last layer to the vocabulary."""
        return Matrix("head", self.hidden, self.vocabulary)

    @property
    def all_matrices(self) -> tuple[Matrix, ...]:
        """Of all layers, and the head; the table of embeddings is looked up, not multiplied by."""
        return self.layers * self.matrices + (self.head,)

    @property
    def weights(self) -> int:
        """Of all matrices that are multiplied by."""
        return sum(matrix.k * matrix.n for matrix in self.all_matrices)


MODELS: Final = {
    model.name: model
    for model in (
        Model("llama-2-7b", 32, 4096, 11008, 32, 32, 32000),
        Model("llama-2-13b", 40, 5120, 13824, 40, 40, 32000),
        Model("llama-2-70b", 80, 8192, 28672, 64, 8, 32000),
        Model("llama-3.1-405b", 126, 16384, 53248, 128, 8, 128256),
    )
}
"""By name."""
