"""From a checkpoint to one whose weights are quantized, and back; one tensor at a time in the memory of a process."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from q35ref.backends.protocol import Float32
from q35ref.checkpoints.errors import CheckpointError, StrPath, naming
from q35ref.checkpoints.floats import FLOAT_DTYPES
from q35ref.checkpoints.header import TensorInfo
from q35ref.checkpoints.jobs import Copy, Job, Quantize, Restore, turn
from q35ref.checkpoints.reader import Checkpoint
from q35ref.checkpoints.runners import Runner, serially
from q35ref.checkpoints.schema import (
    METADATA_ENTRY,
    ORIENTATIONS,
    Orientation,
    TensorRecord,
    encode_records,
    unmeasured,
)
from q35ref.checkpoints.selection import DEFAULT_EXCLUDE, DEFAULT_INCLUDE, can_quantize, select
from q35ref.checkpoints.shards import Contents, open_source, write_like
from q35ref.checkpoints.writer import CheckpointWriter
from q35ref.quality import Quality
from q35ref.reference.calibration import METHODS, Method
from q35ref.reference.lanes import Layout, check_layout, check_narrow_gain, group_length
from q35ref.tensor import QuantizedTensor

Progress = Callable[[str, int, int], None]
"""Called with the tensor whose turn it is, the bytes of the source that are done, and its bytes in all; once more
at the end, with no name."""

Work = list[tuple[CheckpointWriter, Job]]
"""The jobs of a conversion, each with the file that its result goes to."""

SOURCE_DTYPE: Final = "source"
"""Asks :func:`dequantize_file` for the dtype that each tensor had before it was quantized."""


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
    runner: Runner = serially,
) -> list[TensorRecord]:
    """Write ``source`` again with its selected matrices quantized; all else passes through byte for byte.

    ``source`` is a safetensors file, or the index of a checkpoint in several of them, or a folder that holds one
    index. ``destination`` is a file, or for an index a new or empty folder: the shards have their names there, and a
    new index. Either appears whole or not at all.

    A matrix is selected if its name matches a glob of ``include`` and none of ``exclude``, which by default leaves
    embedding tables out. ``orientation`` says how the file's matrices lie: ``"out_in"`` is ``[N, K]``, outputs by
    inputs, as PyTorch and Hugging Face store a Linear; ``"in_out"`` is ``[K, N]``, as GPT-2 stores a Conv1D.
    K, the inputs, is what a matmul sums over and what groups run along. F16 and BF16 widen exactly, F64 is
    rounded once to float32. A file that holds quantized tensors already keeps them.

    ``runner`` does the work, tensor by tensor: this process unless told otherwise, or
    :func:`~q35ref.checkpoints.runners.in_processes`, or :func:`~q35ref.checkpoints.on_dask.on_cluster`. The bytes do
    not depend on it. Returns a record of each newly quantized tensor, its errors measured weight by weight.
    Errors: CheckpointError that names file and tensor; ValueError for an option.
    """
    _check_options(group_size, narrow_gain, layout, method, orientation)
    _refuse_same(source, destination)
    with open_source(source) as opened:
        with naming(source):
            if opened.records and not any(map(can_quantize, opened.plain)):
                raise CheckpointError(source, "expected a float matrix to quantize; its matrices are quantized already")
            chosen = {tensor.name for tensor in select(opened.plain, include, exclude)}

        def planned(tensor: TensorInfo, shard: Checkpoint) -> TensorRecord:
            k, n = tensor.shape[::-1] if orientation == "out_in" else tensor.shape
            with naming(shard.path, tensor.name):
                group_length(k, group_size)
            settings = (group_size, narrow_gain, layout, method, tensor.dtype, orientation)
            return TensorRecord(tensor.name, k, n, *settings, unmeasured())

        records, contents = {}, {}
        for name, shard in opened.shards.items():
            records[name] = [planned(tensor, shard) for tensor in shard.plain.values() if tensor.name in chosen]
            stored = [tensor for tensor in shard.tensors.values() if tensor.name not in chosen]
            stored += [part for record in records[name] for part in record.parts]
            contents[name] = Contents(stored, _metadata(shard, records[name]))
        with write_like(opened, destination, contents) as writers:
            work: Work = []
            for name, shard in opened.shards.items():
                writer = writers[name]
                for record in records[name]:
                    places = tuple(writer.place(part.name) for part in record.parts)
                    work.append((writer, Quantize(shard.span(record.name), record, places)))
                work += _copies(shard, writer, [stored for stored in shard.tensors if stored not in chosen])
            measured = _run(work, runner, progress)
            opened.check_unchanged()
            for name, shard in opened.shards.items():
                records[name] = [replace(record, quality=measured[record.name]) for record in records[name]]
                writers[name].finish(_metadata(shard, records[name]))
    return [record for done in records.values() for record in done]


def dequantize_file(
    source: StrPath,
    destination: StrPath,
    *,
    dtype: str = "F32",
    progress: Progress | None = None,
    runner: Runner = serially,
) -> list[TensorInfo]:
    """Write ``source`` again with its quantized tensors restored, in their first shape and orientation.

    ``dtype`` is ``"F32"``, which holds the restored values as they are, or ``"F64"``, ``"F16"``, ``"BF16"``, to
    which those float32s are rounded once, ties to even, or ``"source"`` for what each tensor had before. All else
    passes through byte for byte, the rest of the metadata too. Files, folders and ``runner`` are as in
    :func:`quantize_file`. Returns the restored tensors.
    Errors: CheckpointError, also for a value that overflows; ValueError for an unknown dtype.
    """
    if dtype not in (*FLOAT_DTYPES, SOURCE_DTYPE):
        raise ValueError(f"dtype: expected one of {', '.join((*FLOAT_DTYPES, SOURCE_DTYPE))}, got {dtype!r}")
    _refuse_same(source, destination)
    with open_source(source) as opened:
        if not opened.records:
            raise CheckpointError(source, "expected quantized tensors, found none: there is nothing to restore")
        restored = {
            record.name: TensorInfo(record.name, record.source_dtype if dtype == SOURCE_DTYPE else dtype, record.shape)
            for record in opened.records
        }
        contents = {
            name: Contents([*shard.plain.values(), *(restored[record] for record in shard.records)], shard.metadata)
            for name, shard in opened.shards.items()
        }
        with write_like(opened, destination, contents) as writers:
            work: Work = []
            for name, shard in opened.shards.items():
                writer = writers[name]
                for record in shard.records.values():
                    parts = tuple(shard.span(part.name) for part in record.parts)
                    work.append((writer, Restore(parts, record, writer.place(record.name))))
                work += _copies(shard, writer, shard.plain)
            _run(work, runner, progress)
            opened.check_unchanged()
            for name, shard in opened.shards.items():
                writers[name].finish(shard.metadata)
    return list(restored.values())


def read_weights(checkpoint: Checkpoint, name: str, orientation: Orientation = "out_in") -> Float32:
    """Return a float matrix of a file as weights ``float32[K, N]``. Errors: CheckpointError."""
    return turn(checkpoint.read_float32(name), orientation)


def load_quantized(path: StrPath, name: str) -> QuantizedTensor:
    """Return one quantized tensor of a file, checked. Errors: CheckpointError."""
    with Checkpoint(path) as checkpoint:
        return checkpoint.read_quantized(name)


def _copies(shard: Checkpoint, writer: CheckpointWriter, names: Iterable[str]) -> Work:
    """Return the jobs for what passes through."""
    return [(writer, Copy(shard.span(name), writer.place(name))) for name in names]


def _run(work: Work, runner: Runner, progress: Progress | None) -> dict[str, Quality]:
    """Have all jobs done, and return what they measured, by the names of the tensors."""
    done, total = 0, sum(job.nbytes for _, job in work)
    measured = {}

    def starting(job: Job) -> None:
        if progress is not None:
            progress(job.name, done, total)

    with contextlib.closing(runner([job for _, job in work], starting)) as results:
        for number, quality in results:
            writer, job = work[number]
            for place in job.places:
                writer.written(place)
            done += job.nbytes
            if quality is not None:
                measured[job.name] = quality
    if progress is not None:
        progress("", done, total)
    return measured


def _metadata(shard: Checkpoint, records: Iterable[TensorRecord]) -> dict[str, str]:
    """Return a file's metadata with the records that it has and some more, if there are any."""
    together = [*shard.records.values(), *records]
    return {**shard.metadata, METADATA_ENTRY: encode_records(together)} if together else shard.metadata


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
