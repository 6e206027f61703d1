"""From a safetensors file to one whose weights are quantized, and back; one tensor in memory at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from q35ref.backends.protocol import Float32
from q35ref.checkpoints.errors import CheckpointError, StrPath, naming
from q35ref.checkpoints.floats import FLOAT_DTYPES, encode
from q35ref.checkpoints.header import TensorInfo
from q35ref.checkpoints.reader import Checkpoint
from q35ref.checkpoints.schema import (
    METADATA_ENTRY,
    ORIENTATIONS,
    Orientation,
    TensorRecord,
    encode_records,
    unmeasured,
)
from q35ref.checkpoints.selection import DEFAULT_EXCLUDE, DEFAULT_INCLUDE, select
from q35ref.checkpoints.writer import CheckpointWriter, write_checkpoint
from q35ref.quality import measure
from q35ref.reference.calibration import METHODS, Method
from q35ref.reference.lanes import Layout, check_layout, check_narrow_gain, group_length
from q35ref.tensor import QuantizedTensor, dequantize, quantize

Progress = Callable[[str, int, int], None]
"""Called with the tensor whose turn it is, the bytes of the source that are done, and its bytes in all; once more
at the end, with no name."""

SOURCE_DTYPE: Final = "source"
"""Asks :func:`dequantize_file` for the dtype that each tensor had before it was quantized."""

Item = TypeVar("Item", TensorInfo, TensorRecord)


def quantize_file(
    source: StrPath,
    destination: StrPath,
    *,
    include: Sequence[str] = DEFAULT_INCLUDE,
    exclude: Sequence[str] = DEFAULT_EXCLUDE,
    group_size: int = 0,
    narrow_gain: int = 2,
    layout: Layout = "dense",
    method: Method = "minmax",
    orientation: Orientation = "out_in",
    progress: Progress | None = None,
) -> list[TensorRecord]:
    """Write ``source`` again with its selected matrices quantized; all else passes through byte for byte.

    A matrix is selected if its name matches a glob of ``include`` and none of ``exclude``, which by default leaves
    embedding tables out. ``orientation`` says how the file's matrices lie: ``"out_in"`` is ``[N, K]``, outputs by
    inputs, as PyTorch and Hugging Face store a Linear; ``"in_out"`` is ``[K, N]``, as GPT-2 stores a Conv1D.
    K, the inputs, is what a matmul sums over and what groups run along. F16 and BF16 widen exactly, F64 is
    rounded once to float32. A file that holds quantized tensors already keeps them.

    ``destination`` appears whole or not at all. Returns a record of each newly quantized tensor, its errors
    measured weight by weight. Errors: CheckpointError that names file and tensor; ValueError for an option.
    """
    _check_options(group_size, narrow_gain, layout, method, orientation)
    _refuse_same(source, destination)
    with Checkpoint(source) as checkpoint:
        with naming(source):
            chosen = {tensor.name: tensor for tensor in select(checkpoint.plain.values(), include, exclude)}
        planned = []
        for tensor in chosen.values():
            k, n = tensor.shape[::-1] if orientation == "out_in" else tensor.shape
            with naming(source, tensor.name):
                group_length(k, group_size)
            planned.append(
                TensorRecord(
                    tensor.name, k, n, group_size, narrow_gain, layout, method, tensor.dtype, orientation, unmeasured()
                )
            )
        kept = [tensor for name, tensor in checkpoint.tensors.items() if name not in chosen]
        parts = [part for record in planned for part in record.parts]
        with write_checkpoint(destination, kept + parts, _metadata(checkpoint, planned)) as output:
            progressing = _Progress(progress, checkpoint)
            done = [
                _quantize_tensor(checkpoint, output, record)
                for record in progressing.walk(planned, lambda record: chosen[record.name].nbytes)
            ]
            for tensor in progressing.walk(kept, lambda tensor: tensor.nbytes):
                output.write(tensor.name, checkpoint.chunks(tensor.name))
            checkpoint.check_unchanged()
            output.finish(_metadata(checkpoint, done))
            progressing.end()
    return done


def dequantize_file(
    source: StrPath, destination: StrPath, *, dtype: str = "F32", progress: Progress | None = None
) -> list[TensorInfo]:
    """Write ``source`` again with its quantized tensors restored, in their first shape and orientation.

    ``dtype`` is ``"F32"``, which holds the restored values as they are, or ``"F64"``, ``"F16"``, ``"BF16"``, to
    which those float32s are rounded once, ties to even, or ``"source"`` for what each tensor had before. All else
    passes through byte for byte, the rest of the metadata too. Returns the restored tensors.
    Errors: CheckpointError, also for a value that overflows; ValueError for an unknown dtype.
    """
    if dtype not in (*FLOAT_DTYPES, SOURCE_DTYPE):
        raise ValueError(f"dtype: expected one of {', '.join((*FLOAT_DTYPES, SOURCE_DTYPE))}, got {dtype!r}")
    _refuse_same(source, destination)
    with Checkpoint(source) as checkpoint:
        if not checkpoint.records:
            raise CheckpointError(source, "expected quantized tensors, found none: there is nothing to restore")
        restored = [
            TensorInfo(record.name, record.source_dtype if dtype == SOURCE_DTYPE else dtype, record.shape)
            for record in checkpoint.records.values()
        ]
        kept = list(checkpoint.plain.values())
        with write_checkpoint(destination, kept + restored, checkpoint.metadata) as output:
            progressing = _Progress(progress, checkpoint)
            for tensor in progressing.walk(restored, lambda tensor: checkpoint.records[tensor.name].nbytes):
                record = checkpoint.records[tensor.name]
                values = _turn(dequantize(checkpoint.read_quantized(tensor.name)), record.orientation)
                with naming(source, tensor.name):
                    output.write(tensor.name, [encode("restored", values, tensor.dtype).data])
            for tensor in progressing.walk(kept, lambda tensor: tensor.nbytes):
                output.write(tensor.name, checkpoint.chunks(tensor.name))
            checkpoint.check_unchanged()
            output.finish(checkpoint.metadata)
            progressing.end()
    return restored


def read_weights(checkpoint: Checkpoint, name: str, orientation: Orientation = "out_in") -> Float32:
    """Return a float matrix of a file as weights ``float32[K, N]``. Errors: CheckpointError."""
    return _turn(checkpoint.read_float32(name), orientation)


def load_quantized(path: StrPath, name: str) -> QuantizedTensor:
    """Return one quantized tensor of a file, checked. Errors: CheckpointError."""
    with Checkpoint(path) as checkpoint:
        return checkpoint.read_quantized(name)


def _quantize_tensor(checkpoint: Checkpoint, output: CheckpointWriter, record: TensorRecord) -> TensorRecord:
    """Quantize one tensor, write its parts, and return its record with the errors measured."""
    weights = read_weights(checkpoint, record.name, record.orientation)
    with naming(checkpoint.path, record.name):
        qt = quantize(
            weights,
            group_size=record.group_size,
            narrow_gain=record.narrow_gain,
            layout=record.layout,
            method=record.method,
        )
        quality = measure(weights, qt)
    arrays = (qt.packed, qt.scale.astype("<f4"), qt.offset.astype("<f4"))
    for part, array in zip(record.parts, arrays, strict=True):
        output.write(part.name, [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data])
    return replace(record, quality=quality)


def _turn(matrix: Float32, orientation: Orientation) -> Float32:
    """Take a matrix from the file's orientation to ``[K, N]``, or back: the two are the same."""
    return matrix.T if orientation == "out_in" else matrix


def _metadata(checkpoint: Checkpoint, records: Iterable[TensorRecord]) -> dict[str, str]:
    """Return a file's metadata with the records that it has and some more."""
    return {**checkpoint.metadata, METADATA_ENTRY: encode_records([*checkpoint.records.values(), *records])}


def _check_options(group_size: int, narrow_gain: int, layout: str, method: str, orientation: str) -> None:
    group_length(1, group_size)
    check_narrow_gain(narrow_gain)
    check_layout(layout)
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    if orientation not in ORIENTATIONS:
        raise ValueError(f"orientation: expected one of {', '.join(ORIENTATIONS)}, got {orientation!r}")


def _refuse_same(source: StrPath, destination: StrPath) -> None:
    """Refuse to replace the source, under whatever name."""
    with naming(destination):
        if Path(source).exists() and Path(destination).exists() and Path(source).samefile(destination):
            raise CheckpointError(destination, "expected another file than the source")


class _Progress:
    """Reports how much of a source is done."""

    def __init__(self, report: Progress | None, checkpoint: Checkpoint) -> None:
        self._report = report
        self._done = 0
        self._total = sum(tensor.nbytes for tensor in checkpoint.tensors.values())

    def walk(self, items: Iterable[Item], nbytes: Callable[[Item], int]) -> Iterator[Item]:
        """Yield each item, reported first, and count its bytes when it is done."""
        for item in items:
            if self._report is not None:
                self._report(item.name, self._done, self._total)
            yield item
            self._done += nbytes(item)

    def end(self) -> None:
        """Report that all is done."""
        if self._report is not None:
            self._report("", self._done, self._total)
