"""The forward pass of all-MiniLM-L6-v2 in NumPy, with every Linear layer's product a function of the caller's choice.

The model is a BERT encoder: embeddings, then layers of attention and a feed-forward block, each with a residual and a
LayerNorm after it; a sentence's embedding is the mean over its tokens, scaled to length 1. Padding never enters a
Linear layer: these see the real tokens of a batch, one a row, and attention alone lays them out by sentence.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.protocol import Float32
from q35ref.checkpoints import Checkpoint
from q35ref.demo import trained_weights

Linear = Callable[[Float32], Float32]
"""From activations ``float32[M, K]`` to products ``float32[M, N]``, without the bias."""

PARTS: Final = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "intermediate.dense", "output.dense",
)  # fmt: skip
"""The Linear layers of one encoder layer, in the order in which they are applied."""

BATCH: Final = 64
"""Sentences of a batch. They are sorted by length first, so that little of a batch is padding."""

GELU_STEP: Final = 2.0**-12
"""Distance of the nodes between which GELU is interpolated: that adds an error below 2e-8."""

GELU_REACH: Final = 8
"""Beyond it GELU is 0 or the identity, to within 1e-14."""


class NoTokenizer(Exception):
    """The package that splits sentences into tokens is not installed."""


@dataclass(frozen=True)
class Config:
    """The shape of a BERT encoder."""

    layers: int = 6
    hidden: int = 384
    heads: int = 12
    intermediate: int = 1536
    epsilon: float = 1e-12
    """What LayerNorm adds to the variance."""
    max_tokens: int = 256
    """Tokens of a sentence, its two special ones included, after which it is cut."""

    def __post_init__(self) -> None:
        if self.hidden % self.heads:
            raise ValueError(f"heads: expected a divisor of hidden = {self.hidden}, got {self.heads}")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read it from a model's folder. Errors: OSError, ValueError for another kind of model."""
        model = json.loads((folder / "config.json").read_text())
        kind = (model["model_type"], model["hidden_act"], model["position_embedding_type"])
        if kind != ("bert", "gelu", "absolute"):
            raise ValueError(f"config.json: expected a BERT with GELU and absolute positions, got {', '.join(kind)}")
        return cls(
            layers=model["num_hidden_layers"],
            hidden=model["hidden_size"],
            heads=model["num_attention_heads"],
            intermediate=model["intermediate_size"],
            epsilon=model["layer_norm_eps"],
            max_tokens=json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"],
        )

    @property
    def linear_names(self) -> tuple[str, ...]:
        """The Linear layers' names, in the order in which they are applied."""
        return tuple(f"encoder.layer.{layer}.{part}" for layer in range(self.layers) for part in PARTS)


@dataclass(frozen=True)
class _Batch:
    """Which sentence and position each row of real tokens belongs to."""

    sentence: NDArray[np.intp]
    position: NDArray[np.intp]
    mask: NDArray[np.bool_]
    """bool[B, T]: whether a place holds a token."""


class Encoder:
    """A sentence encoder. Errors when made: ValueError for a tensor that is missing or has another shape."""

    config: Config

    def __init__(self, config: Config, tensors: Mapping[str, Float32]) -> None:
        self.config, self._tensors = config, dict(tensors)
        h, i = config.hidden, config.intermediate
        shapes = dict(zip(PARTS, [(h, h)] * 4 + [(i, h), (h, i)], strict=True))
        expected: dict[str, tuple[int, ...]] = {"embeddings.LayerNorm.weight": (h,), "embeddings.LayerNorm.bias": (h,)}
        for name in config.linear_names:
            n, k = shapes[name.split(".", 3)[3]]
            expected |= {f"{name}.weight": (n, k), f"{name}.bias": (n,)}
        for layer in range(config.layers):
            for part in ("attention.output.LayerNorm", "output.LayerNorm"):
                expected |= {f"encoder.layer.{layer}.{part}.{end}": (h,) for end in ("weight", "bias")}
        for name, shape in expected.items():
            if name not in self._tensors or self._tensors[name].shape != shape:
                got = self._tensors[name].shape if name in self._tensors else "nothing"
                raise ValueError(f"tensors: expected {name} of shape {shape}, got {got}")
        for table in ("word", "position", "token_type"):
            name = f"embeddings.{table}_embeddings.weight"
            if name not in self._tensors or self._tensors[name].shape[1:] != (h,):
                raise ValueError(f"tensors: expected {name} of {h} columns")

    @classmethod
    def trained(cls) -> Self:
        """Return all-MiniLM-L6-v2. Errors: NoWeights, which says how to get them; OSError, CheckpointError."""
        path = trained_weights()
        config = Config.read(path.parent)
        with Checkpoint(path) as checkpoint:
            floats = [name for name, tensor in checkpoint.tensors.items() if tensor.dtype.startswith(("F", "BF"))]
            return cls(config, {name: checkpoint.read_float32(name) for name in floats})

    def weights(self, name: str) -> Float32:
        """Return a Linear layer's matrix ``float32[K, N]``, the transpose of what the file stores."""
        if name not in self.config.linear_names:
            raise ValueError(f"name: expected one of linear_names, got {name!r}")
        return self._tensors[f"{name}.weight"].T

    def linears(self) -> dict[str, Linear]:
        """Return the model's own products, in float32."""
        return {name: _product(self.weights(name)) for name in self.config.linear_names}

    def embed(self, tokens: Sequence[Sequence[int]], linears: Mapping[str, Linear] | None = None) -> Float32:
        """Return the embeddings ``float32[S, hidden]`` of tokenized sentences, each of length 1.

        ``linears`` replaces the products of the Linear layers that it names. Errors: ValueError for a sentence
        without tokens or with more than ``max_tokens``, for a token that the vocabulary lacks, and for a name that is
        no Linear layer's.
        """
        words = len(self._tensors["embeddings.word_embeddings.weight"])
        for index, sentence in enumerate(tokens):
            if not 0 < len(sentence) <= self.config.max_tokens:
                raise ValueError(
                    f"tokens: expected 1 to {self.config.max_tokens} tokens in sentence {index}, got {len(sentence)}"
                )
            if not all(0 <= token < words for token in sentence):
                raise ValueError(f"tokens: expected numbers from 0 to {words - 1} in sentence {index}")
        products = self.linears()
        for name in linears or {}:
            if name not in products:
                raise ValueError(f"linears: expected names of Linear layers, got {name!r}")
        products.update(linears or {})
        embeddings = np.empty((len(tokens), self.config.hidden), np.float32)
        by_length = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
        for start in range(0, len(by_length), BATCH):
            chosen = by_length[start : start + BATCH]
            embeddings[chosen] = self._embed_batch([tokens[index] for index in chosen], products)
        return embeddings

    def _embed_batch(self, tokens: Sequence[Sequence[int]], products: Mapping[str, Linear]) -> Float32:
        lengths = np.array([len(sentence) for sentence in tokens])
        mask = np.arange(lengths.max()) < lengths[:, None]
        sentence, position = np.nonzero(mask)
        batch = _Batch(sentence, position, mask)
        tables = {name: self._tensors[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position")}
        first_type = self._tensors["embeddings.token_type_embeddings.weight"][0]
        x: Float32 = tables["word"][np.concatenate([np.asarray(sentence, np.intp) for sentence in tokens])]
        x = self._normalize("embeddings.LayerNorm", x + first_type + tables["position"][batch.position])
        for layer in range(self.config.layers):
            x = self._layer(f"encoder.layer.{layer}.", x, batch, products)
        sums: Float32 = np.add.reduceat(x, np.cumsum(lengths) - lengths, axis=0)
        means = sums / lengths[:, None].astype(np.float32)
        norms = np.sqrt(np.square(means).sum(axis=1, keepdims=True))
        return _float32(means / np.maximum(norms, np.float32(1e-12)))

    def _layer(self, at: str, x: Float32, batch: _Batch, products: Mapping[str, Linear]) -> Float32:
        def linear(part: str, rows: Float32) -> Float32:
            return products[at + part](rows) + self._tensors[f"{at}{part}.bias"]

        query, key, value = (linear(part, x) for part in PARTS[:3])
        attended = self._attend(query, key, value, batch)
        x = self._normalize(f"{at}attention.output.LayerNorm", linear("attention.output.dense", attended) + x)
        inner = gelu(linear("intermediate.dense", x))
        return self._normalize(f"{at}output.LayerNorm", linear("output.dense", inner) + x)

    def _attend(self, query: Float32, key: Float32, value: Float32, batch: _Batch) -> Float32:
        heads, size = self.config.heads, self.config.hidden // self.config.heads

        def laid_out(rows: Float32) -> Float32:
            places = np.zeros((*batch.mask.shape, heads, size), np.float32)
            places[batch.sentence, batch.position] = rows.reshape(-1, heads, size)
            return places.transpose(0, 2, 1, 3)

        scores = _float32(laid_out(query) @ laid_out(key).swapaxes(2, 3) / np.float32(math.sqrt(size)))
        scores[np.broadcast_to(~batch.mask[:, None, None, :], scores.shape)] = -np.inf
        scores -= scores.max(axis=3, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=3, keepdims=True)
        mixed = (scores @ laid_out(value)).transpose(0, 2, 1, 3)
        return mixed[batch.sentence, batch.position].reshape(-1, self.config.hidden)

    def _normalize(self, name: str, x: Float32) -> Float32:
        centred = _float32(x - x.mean(axis=1, keepdims=True))
        variance = _float32(np.square(centred).mean(axis=1, keepdims=True))
        centred /= np.sqrt(variance + np.float32(self.config.epsilon))
        return centred * self._tensors[f"{name}.weight"] + self._tensors[f"{name}.bias"]


def _float32(x: Any) -> Float32:
    """Return an array of float32 as what it is; NumPy's annotations lose track of its type."""
    return np.asarray(x, np.float32)


def _product(weights: Float32) -> Linear:
    return lambda x: x @ weights


def _gelu_table() -> tuple[Float32, Float32]:
    """Return GELU at the nodes, and its rise from each to the next."""
    nodes = np.arange(-GELU_REACH, GELU_REACH + 2 * GELU_STEP, GELU_STEP)
    values = np.array([0.5 * x * math.erfc(-x / math.sqrt(2)) for x in nodes.tolist()])
    return values[:-1].astype(np.float32), np.diff(values).astype(np.float32)


_GELU: Final = _gelu_table()


def gelu(x: Float32) -> Float32:
    """Return ``x/2 * (1 + erf(x / sqrt 2))``, interpolated linearly between exact nodes.

    >>> np.round(gelu(np.array([-1, 0, 1, 9], np.float32)).astype(float), 6).tolist()
    [-0.158655, 0.0, 0.841345, 9.0]
    """
    # A step is a power of two, so that a place, its node and what is left between them are all exact.
    place = np.clip(x, -GELU_REACH, GELU_REACH) / np.float32(GELU_STEP)
    node = np.floor(place)
    index = node.astype(np.intp) + round(GELU_REACH / GELU_STEP)
    values, rises = _GELU
    value = rises.take(index)
    value *= place - node
    value += values.take(index)
    return np.where(x >= GELU_REACH, x, value)


class Tokenizer:
    """The model's own tokenizer. Errors when made: NoTokenizer, which says what to install; NoWeights."""

    def __init__(self, max_tokens: int = Config.max_tokens) -> None:
        try:
            tokenizers: Any = import_module("tokenizers")
        except ImportError as error:
            raise NoTokenizer("the model's tokenizer needs tokenizers: pip install 'q35ref[evidence]'") from error
        self._tokenizer = tokenizers.Tokenizer.from_file(str(trained_weights().with_name("tokenizer.json")))
        self._tokenizer.no_padding()  # the file pads and cuts to 128; the model is used with 256
        self._tokenizer.enable_truncation(max_tokens)

    def __call__(self, sentences: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each sentence, with the two special ones around them."""
        return [list(encoding.ids) for encoding in self._tokenizer.encode_batch(list(sentences))]
