"""Safetensors files made by hand, so that tests do not depend on the writer that they test."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FLOATS = ("F64", "F32", "F16", "BF16")


class Stored(NamedTuple):
    """A tensor as a file has it."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def save(path: Path, tensors: Mapping[str, Stored], metadata: Mapping[str, str] | None = None) -> Path:
    """Write a file with these tensors, in this order."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": dict(metadata)}
    position = 0
    for name, tensor in tensors.items():
        end = position + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [position, end]}
        position = end
    return save_raw(path, json.dumps(header).encode(), b"".join(tensor.data for tensor in tensors.values()))


def save_raw(path: Path, header: bytes, data: bytes = b"", length: int | None = None) -> Path:
    """Write a file with any header at all, and any length for it."""
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
    return path


def load(path: Path) -> tuple[dict[str, Stored], dict[str, str]]:
    """Read a file, trusting all that it says."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    data = content[8 + length :]
    return {
        name: Stored(entry["dtype"], tuple(entry["shape"]), data[slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }, metadata


def stored(values: NDArray[Any], dtype: str = "F32") -> Stored:
    """Store an array in a float dtype; for BF16 the values must be such as it has."""
    if dtype == "BF16":
        bits = values.astype("<f4").view("<u4")
        assert not (bits & 0xFFFF).any()
        return Stored(dtype, values.shape, (bits >> 16).astype("<u2").tobytes())
    return Stored(dtype, values.shape, values.astype({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype]).tobytes())


def weights(*shape: int, seed: int = 1, dtype: str = "F32") -> NDArray[np.float64]:
    """Return random numbers that ``dtype`` has, as doubles; those for F64 have more digits than a float32."""
    values = np.random.default_rng(seed).standard_normal(shape)
    if dtype == "BF16":
        kept = values.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
        return kept.view(np.float32).astype(np.float64)
    return values.astype({"F64": np.float64, "F32": np.float32, "F16": np.float16}[dtype]).astype(np.float64)


def model(path: Path, dtype: str = "F32") -> Path:
    """Write a small model: two linear layers, an embedding table, a bias, odd things that must pass through."""
    return save(
        path,
        {
            "first.weight": stored(weights(6, 33, dtype=dtype), dtype),
            "embeddings.word.weight": stored(weights(9, 16, seed=2)),
            "second.weight": stored(weights(5, 1, seed=3, dtype=dtype), dtype),
            "first.bias": stored(weights(6, seed=4)),
            "ids": Stored("I64", (3,), bytes(range(24))),
            "half.weight": Stored("F8_E4M3", (3, 3), bytes(range(9))),
            "flag": Stored("BOOL", (), b"\x01"),
            "nothing.weight": Stored("F32", (0, 7), b""),
        },
        {"format": "pt", "note": "é\n"},
    )
