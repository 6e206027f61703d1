"""The header of a safetensors file: which tensors it holds, of which dtype and shape, and where.

A file is eight bytes (the header's length, little-endian), the header in JSON, and the tensors' bytes, which
follow each other without gaps. Source: the format's description in the README of the safetensors library.
"""

import json
import math
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from q35ref.checkpoints import strict_json

LENGTH_BYTES: Final = 8
"""Bytes of the length that a file begins with; the tensors begin on a multiple of as many."""

MAX_HEADER: Final = 100_000_000
"""Longest header, in bytes, that the safetensors library reads."""

METADATA_KEY: Final = "__metadata__"
"""The one key of a header that names no tensor."""

DTYPE_BITS: Final = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
    "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
"""Bits of an element, of each dtype that the format has."""


@dataclass(frozen=True)
class TensorInfo:
    """A tensor as a header describes it."""

    name: str
    """Its name."""
    dtype: str
    """Its dtype, as the format writes it: ``"F32"``, ``"BF16"``, ..."""
    shape: tuple[int, ...]
    """Its shape; ``()`` for a single number."""
    start: int = 0
    """Its first byte, counted from the end of the header."""

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        return math.prod(self.shape) * DTYPE_BITS[self.dtype] // 8

    @property
    def stop(self) -> int:
        """The byte after its last one."""
        return self.start + self.nbytes


@dataclass(frozen=True)
class Header:
    """The tensors of a file, in the order of their bytes, and what else it says about itself."""

    tensors: dict[str, TensorInfo]
    """Each tensor, by name."""
    metadata: dict[str, str]
    """Free text by key; empty where the file has none."""

    @property
    def data_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


def parse_header(text: str, data_bytes: int) -> Header:
    """Parse a header that ``data_bytes`` bytes of tensors follow.

    Errors: ValueError for whatever the format does not allow: keys that are missing, unknown or duplicate, an
    unknown dtype, a shape that does not fit its bytes, bytes that overlap, leave gaps or lie outside the file.
    """
    document = strict_json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("header: expected a JSON object")
    metadata = document.pop(METADATA_KEY, None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"header: expected {METADATA_KEY} to map text to text")
    tensors = sorted((_parse_tensor(*item) for item in document.items()), key=lambda found: (found.start, found.stop))
    position = 0
    for tensor in tensors:
        if tensor.start != position:
            raise ValueError(f"tensor {tensor.name!r}: expected to begin at byte {position}, got {tensor.start}")
        position = tensor.stop
    if position != data_bytes:
        raise ValueError(f"expected {position} bytes of tensors, as the header says, got {data_bytes}")
    return Header({tensor.name: tensor for tensor in tensors}, cast("dict[str, str]", metadata))


def _parse_tensor(name: str, entry: object) -> TensorInfo:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {name!r}: expected an object of dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise ValueError(f"tensor {name!r}: expected a dtype of {', '.join(DTYPE_BITS)}, got {reprlib.repr(dtype)}")
    for key, value in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(value, list) or not all(type(number) is int and number >= 0 for number in value):
            raise ValueError(f"tensor {name!r}: expected {key} to be a list of integers >= 0")
    tensor = TensorInfo(name, dtype, tuple(shape), offsets[0] if offsets else 0)
    if math.prod(shape) * DTYPE_BITS[dtype] % 8 != 0:
        raise ValueError(f"tensor {name!r}: expected whole bytes, got {math.prod(shape)} elements of {dtype}")
    if offsets != [tensor.start, tensor.stop]:
        raise ValueError(
            f"tensor {name!r}: expected data_offsets of {tensor.nbytes} bytes for {dtype} {list(shape)},"
            f" got {reprlib.repr(offsets)}"
        )
    return tensor


def arrange(tensors: Iterable[TensorInfo], metadata: Mapping[str, str]) -> Header:
    """Give each tensor its place: the widest dtypes first, then by name, so that every element is aligned.

    Errors: ValueError if two tensors have the same name.
    """
    placed: dict[str, TensorInfo] = {}
    position = 0
    for tensor in sorted(tensors, key=lambda wanted: (-DTYPE_BITS[wanted.dtype], wanted.name)):
        if tensor.name in placed or tensor.name == METADATA_KEY:
            raise ValueError(f"tensor {tensor.name!r}: the name is taken")
        placed[tensor.name] = replace(tensor, start=position)
        position = placed[tensor.name].stop
    return Header(placed, dict(metadata))


def encode_header(header: Header, at_least: int = 0) -> bytes:
    """Return the bytes of a file up to its tensors, padded with spaces to whole eights and to ``at_least``.

    Errors: ValueError if the header is longer than readers accept.
    """
    document: dict[str, object] = {METADATA_KEY: header.metadata} if header.metadata else {}
    for tensor in header.tensors.values():
        document[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": (tensor.start, tensor.stop),
        }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    length = max(len(text), at_least - LENGTH_BYTES)
    length += -length % LENGTH_BYTES
    if length > MAX_HEADER:
        raise ValueError(f"header: expected at most {MAX_HEADER} bytes, got {length}")
    return length.to_bytes(LENGTH_BYTES, "little") + text.ljust(length)
