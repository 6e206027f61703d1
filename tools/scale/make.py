"""A synthetic checkpoint in shards: the shapes of a language model, random weights, made about as fast as written."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np

from q35ref.checkpoints.header import TensorInfo
from q35ref.checkpoints.index import INDEX_SUFFIX
from q35ref.checkpoints.writer import write_checkpoint

SHARDS: Final = 5
"""Files that a checkpoint is cut into, about."""

WIDE_EVERY: Final = 4
"""One layer of so many is float32, the others bfloat16."""

SEED: Final = 1

CHUNK: Final = 1 << 23
"""Bytes that are made at a time."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of a model."""

    hidden: int
    inner: int
    vocabulary: int


LARGE: Final = Sizes(4096, 11008, 32000)
"""Those of LLaMA with 7 billion weights."""

SMALL: Final = Sizes(64, 176, 500)
"""For trying the tool out."""

MASKS: Final = {"BF16": ("<u2", 0x81FF, 0x3C00), "F32": ("<u4", 0x81FFFFFF, 0x3C000000)}
"""How random bits become weights: their type, the bits that stay random (the sign, the exponent's last two, all of the
mantissa), and those that are set, so that magnitudes lie in [2**-7, 2**-3)."""


def layer(number: int, sizes: Sizes) -> list[TensorInfo]:
    """Return the tensors of a layer."""
    dtype = "F32" if number % WIDE_EVERY == WIDE_EVERY - 1 else "BF16"
    hidden, inner, prefix = sizes.hidden, sizes.inner, f"model.layers.{number}."
    square = [f"self_attn.{name}_proj" for name in "qkvo"]
    shapes = {
        **dict.fromkeys(square, (hidden, hidden)),
        **dict.fromkeys(("mlp.gate_proj", "mlp.up_proj"), (inner, hidden)),
        "mlp.down_proj": (hidden, inner),
        **dict.fromkeys(("input_layernorm", "post_attention_layernorm"), (hidden,)),
    }
    return [TensorInfo(f"{prefix}{name}.weight", dtype, shape) for name, shape in shapes.items()]


def plan(size: int, sizes: Sizes) -> list[list[TensorInfo]]:
    """Return the tensors of each shard, at least ``size`` bytes together."""
    embeddings = TensorInfo("model.embed_tokens.weight", "BF16", (sizes.vocabulary, sizes.hidden))
    shards: list[list[TensorInfo]] = [[embeddings]]
    total = 0
    for number in count():
        for tensor in layer(number, sizes):
            if sum(held.nbytes for held in shards[-1]) >= size / SHARDS:
                shards.append([])
            shards[-1].append(tensor)
        total = sum(tensor.nbytes for shard in shards for tensor in shard)
        if total >= size:
            break
    return shards


def chunks(tensor: TensorInfo, seed: int) -> Iterator[memoryview]:
    """Yield a tensor's bytes: random numbers, all finite."""
    dtype, kept, fixed = MASKS[tensor.dtype]
    bits = np.random.SFC64(seed)
    for start in range(0, tensor.nbytes, CHUNK):
        length = min(CHUNK, tensor.nbytes - start)
        words = bits.random_raw(math.ceil(length / 8)).view(dtype)
        np.bitwise_and(words, words.dtype.type(kept), out=words)
        np.bitwise_or(words, words.dtype.type(fixed), out=words)
        yield words.view(np.uint8)[:length].data


def make(folder: Path, shards: list[list[TensorInfo]], tell: Callable[[str], None]) -> None:
    """Write the checkpoint into a folder that exists."""
    weight_map: dict[str, str] = {}
    for number, tensors in enumerate(shards):
        name = f"model-{number + 1:05}-of-{len(shards):05}.safetensors"
        tell(f"writing {name}")
        with write_checkpoint(folder / name, tensors, {"format": "pt"}) as output:
            for tensor in tensors:
                output.write(tensor.name, chunks(tensor, SEED + len(weight_map)))
                weight_map[tensor.name] = name
            output.finish({"format": "pt"})
    size = sum(tensor.nbytes for tensors in shards for tensor in tensors)
    document = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / f"model{INDEX_SUFFIX}").write_text(json.dumps(document, indent=2) + "\n")
