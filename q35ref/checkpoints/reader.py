"""Reading a safetensors file tensor by tensor.

The safetensors library judges the header, and so do we: it lets duplicate keys pass. It maps what it judges into
memory, and so gets a copy of the header, not the file, which may be cut short underfoot.

A file that is written to while it is read is refused, and so is one that is replaced by another: its number, its size
and its times of last writing and last change are noted before the first byte is read and compared after the last, and
its path must lead to it still. What that cannot see: stores through another process's memory map, whose time the
system may note much later.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import safetensors

from q35ref.backends.protocol import Float32, UInt8
from q35ref.checkpoints.errors import CheckpointError, StrPath, naming, printable
from q35ref.checkpoints.header import LENGTH_BYTES, MAX_HEADER, Header, TensorInfo, parse_header
from q35ref.checkpoints.schema import METADATA_ENTRY, TensorRecord, check_parts, parse_records
from q35ref.checkpoints.spans import Span, Stamp, fill, open_file
from q35ref.reference.codec import pair_count
from q35ref.reference.lanes import Layout
from q35ref.tensor import CODE_BITS, QuantizedTensor

NARROW_MASK: Final = 7
"""The bits of a code that are its narrow field."""

DESCRIPTORS: Final = "/proc/self/fd"
"""Where Linux gives open files names."""


class Checkpoint:
    """An open safetensors file, plain or with quantized tensors. Use it in a ``with`` block.

    Errors, here and in every method: CheckpointError, which names the file.
    """

    path: str
    """The file's path."""
    tensors: dict[str, TensorInfo]
    """What the file stores, in the order of its bytes, parts of quantized tensors included."""
    metadata: dict[str, str]
    """Free text by key, without q35ref's own."""
    records: dict[str, TensorRecord]
    """The quantized tensors, by name; empty for a plain file."""

    def __init__(self, path: StrPath) -> None:
        self.path = os.fspath(path)
        with naming(path):
            # Kept, since this process may go elsewhere before the path is looked at again.
            self._folder = "" if Path(path).is_absolute() else str(Path.cwd())
            self._file = open_file(path)
        try:
            with naming(path):
                self._stamp = Stamp.settled(self._file.fileno())
                header = self._read_header()
                self.tensors, self.metadata = header.tensors, header.metadata
                self.records = parse_records(self.metadata.pop(METADATA_ENTRY, None))
                check_parts(self.tensors, self.records)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def file_bytes(self) -> int:
        """Bytes of the file."""
        return self._stamp.size

    @property
    def plain(self) -> dict[str, TensorInfo]:
        """The tensors that are no part of a quantized one."""
        parts = {part.name for record in self.records.values() for part in record.parts}
        return {name: tensor for name, tensor in self.tensors.items() if name not in parts}

    def span(self, name: str) -> Span:
        """Return where the bytes of a stored tensor lie."""
        if name not in self.tensors:
            raise CheckpointError(self.path, f"tensor {printable(name)}: expected it in this file, found none")
        tensor = self.tensors[name]
        return Span(self.path, tensor, self._data + tensor.start, self._stamp, self._folder)

    def raw(self, name: str) -> UInt8:
        """Return the bytes of a stored tensor."""
        return self.span(name).raw(self._file)

    def read_float32(self, name: str) -> Float32:
        """Return a float tensor in its own shape as float32; F64 is rounded once, F16 and BF16 widen exactly."""
        return self.span(name).read_float32(self._file)

    def read_quantized(self, name: str) -> QuantizedTensor:
        """Return a quantized tensor, checked: codes below 128, padding clear, parameters finite, scales > 0."""
        if name not in self.records:
            raise CheckpointError(self.path, f"tensor {printable(name)}: expected a quantized tensor of this file")
        record = self.records[name]
        with naming(self.path, name):
            return build(record, {part.name: self.raw(part.name) for part in record.parts})

    def check_unchanged(self) -> None:
        """Refuse a file that was written to since it was opened, or a path that leads to another file by now.

        What was read may be neither old nor new.
        """
        with naming(self.path):
            self._stamp.check(self._file.fileno())
            # The open file stays what it was when another one takes its name, or a link on the way leads elsewhere.
            there = Path(self._folder, self.path).stat()
            if not os.path.samestat(there, os.fstat(self._file.fileno())):
                raise ValueError("the file was replaced while it was read")

    def _read_header(self) -> Header:
        size = self.file_bytes
        if size < LENGTH_BYTES:
            raise ValueError(f"expected a safetensors file, got {size} bytes: too short for a header")
        prefix = bytearray(LENGTH_BYTES)
        self._fill_header(prefix, 0)
        length = int.from_bytes(prefix, "little")
        if length > min(MAX_HEADER, size - LENGTH_BYTES):
            raise ValueError(
                f"expected a header of at most {min(MAX_HEADER, size - LENGTH_BYTES)} bytes, got a length of {length}:"
                " the file is cut short or no safetensors file"
            )
        content = bytearray(length)
        self._fill_header(content, LENGTH_BYTES)
        self._ask_library(prefix + content)
        self._data = LENGTH_BYTES + length
        text = content.decode()
        del content
        return parse_header(text, size - self._data)

    def _ask_library(self, header: bytearray) -> None:
        with _header_alone(self.path, header, self.file_bytes) as path:
            try:
                with safetensors.safe_open(path, framework="np"):
                    pass
            except safetensors.SafetensorError as error:
                raise ValueError(f"expected a safetensors file: {printable(str(error))}") from error

    def _fill_header(self, target: bytearray, position: int) -> None:
        with naming(self.path, "header"):
            fill(self._file, memoryview(target), position)


def build(record: TensorRecord, raw: Mapping[str, UInt8]) -> QuantizedTensor:
    """Make a quantized tensor of its parts' bytes, by their names. Errors: ValueError for what no writer stores."""
    packed, scale, offset = (raw[part.name].reshape(part.shape[0], -1) for part in record.parts)
    tensor = QuantizedTensor(
        packed,
        scale.view("<f4").astype(np.float32, copy=False),
        offset.view("<f4").astype(np.float32, copy=False),
        record.k,
        record.n,
        record.group_size,
        record.narrow_gain,
        record.layout,
    )
    # A matmul ignores this field; in a file it says that the record tells fewer rows than were stored.
    if record.k % 2 and _last_fields(packed, record.k, record.layout).any():
        raise ValueError(f"expected 0 in the field after the last of {record.k} rows")
    return tensor


@contextlib.contextmanager
def _header_alone(path: str, header: bytearray, size: int) -> Iterator[str]:
    """Yield the name of a file in memory with this header and this size, empty else; or ``path`` where there is none.

    Nobody can cut it short, and its empty part takes no memory.
    """
    with contextlib.ExitStack() as stack:
        name = path
        if hasattr(os, "memfd_create") and Path(DESCRIPTORS).is_dir():
            with contextlib.suppress(OSError):  # no more descriptors, or a limit on the size of files
                copy = os.memfd_create("header")
                stack.callback(os.close, copy)
                if os.write(copy, header) == len(header):
                    os.truncate(copy, size)
                    name = f"{DESCRIPTORS}/{copy}"
        yield name


def _last_fields(packed: UInt8, k: int, layout: Layout) -> UInt8:
    """Return the narrow field that is stored after the last row of each column of an odd number of rows."""
    at, shift = divmod((pair_count(k) - 1) * (CODE_BITS if layout == "dense" else 8), 8)
    field = packed[:, at].astype(np.uint16)
    if at + 1 < packed.shape[1]:
        field |= packed[:, at + 1].astype(np.uint16) << 8
    fields: UInt8 = (field >> shift & NARROW_MASK).astype(np.uint8)
    return fields
