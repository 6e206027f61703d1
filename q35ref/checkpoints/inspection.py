"""What a file holds: its tensors, their true size, their errors."""

import math
import os
from dataclasses import dataclass, replace
from fractions import Fraction

from q35ref.checkpoints.errors import CheckpointError, StrPath, printable
from q35ref.checkpoints.header import TensorInfo
from q35ref.checkpoints.jobs import turn
from q35ref.checkpoints.schema import MEASURES, TensorRecord, finite_or_none
from q35ref.checkpoints.shards import Source, open_source
from q35ref.quality import Quality, measure
from q35ref.tensor import QuantizedTensor


@dataclass(frozen=True)
class Inspection:
    """What :func:`inspect_file` found."""

    path: str
    """The path of the file, the index or the folder."""
    file_bytes: int
    """The size of all its files, headers included."""
    metadata: dict[str, str]
    """Its metadata, without q35ref's own; of several files, what they have in common."""
    plain: list[TensorInfo]
    """The tensors that are stored as they are."""
    quantized: list[TensorRecord]
    """The quantized ones; their quality is as recorded, or measured anew where there is an original."""
    original: str | None
    """The file that quality was measured against, or None for what the file itself records."""

    @property
    def weights(self) -> int:
        """Number of quantized weights."""
        return sum(record.k * record.n for record in self.quantized)

    @property
    def quantized_bytes(self) -> int:
        """Bytes of all quantized tensors, parameters included."""
        return sum(record.nbytes for record in self.quantized)

    @property
    def bits_per_weight(self) -> Fraction:
        """True bits a quantized weight, parameters included; 0 where there is none."""
        return Fraction(8 * self.quantized_bytes, self.weights) if self.weights else Fraction(0)

    @property
    def quality(self) -> Quality:
        """The errors of all quantized weights together; no normalized RMSE, for their spreads differ."""
        qualities = [record.quality for record in self.quantized]
        if not qualities:
            return Quality(0, **dict.fromkeys(MEASURES, math.nan))
        squares = sum(quality.weights * quality.rmse * quality.rmse for quality in qualities)
        return Quality(
            self.weights,
            math.sqrt(squares / self.weights),
            math.nan,
            _largest([quality.worst_error for quality in qualities]),
            _largest([quality.exact_ratio for quality in qualities]),
            _largest([quality.restored_ratio for quality in qualities]),
        )

    def document(self) -> dict[str, object]:
        """Return everything as values that JSON has; a number that is not finite becomes null."""
        quality = self.quality
        return {
            "file": self.path,
            "bytes": self.file_bytes,
            "original": self.original,
            "metadata": self.metadata,
            "tensors": [
                {"name": tensor.name, "dtype": tensor.dtype, "shape": tensor.shape, "bytes": tensor.nbytes}
                for tensor in self.plain
            ],
            "quantized": [
                {
                    "name": record.name,
                    "shape": record.shape,
                    "bytes": record.nbytes,
                    "bits_per_weight": float(record.bits_per_weight),
                    **record.document(),
                }
                for record in self.quantized
            ],
            "total": {
                "weights": self.weights,
                "bytes": self.quantized_bytes,
                "bits_per_weight": float(self.bits_per_weight),
                "rmse": finite_or_none(quality.rmse),
                "worst_error": finite_or_none(quality.worst_error),
                "exact_ratio": finite_or_none(quality.exact_ratio),
                "restored_ratio": finite_or_none(quality.restored_ratio),
            },
        }


def inspect_file(path: StrPath, original: StrPath | None = None) -> Inspection:
    """Read a checkpoint and say what it holds; quantized tensors are read and checked to the last code.

    ``path`` is a safetensors file, an index, or a folder that holds one index; so is ``original``, what was quantized:
    with it, all errors are measured again and not taken from the record. Errors: CheckpointError.
    """
    with open_source(path) as source:
        if original is None:
            for record in source.records:
                _read(source, record)
            records = source.records
        else:
            records = _measure_again(source, original)
        source.check_unchanged()
        return Inspection(
            path=source.path,
            file_bytes=source.file_bytes,
            metadata=source.metadata,
            plain=source.plain,
            quantized=records,
            original=None if original is None else os.fspath(original),
        )


def _measure_again(source: Source, original: StrPath) -> list[TensorRecord]:
    """Return a checkpoint's records with their quality measured against what was quantized."""
    if not source.records:
        raise CheckpointError(source.path, "expected quantized tensors to compare with the original, found none")
    measured = []
    with open_source(original) as before:
        for record in source.records:
            values = before.holding(record.name).read_float32(record.name)
            if values.shape != record.shape:
                about = f"tensor {printable(record.name)}"
                raise CheckpointError(original, f"{about}: expected shape {record.shape}, got {values.shape}")
            quality = measure(turn(values, record.orientation), _read(source, record))
            measured.append(replace(record, quality=quality))
        before.check_unchanged()
    return measured


def _read(source: Source, record: TensorRecord) -> QuantizedTensor:
    return source.holding(record.parts[0].name).read_quantized(record.name)


def _largest(values: list[float]) -> float:
    """Return the largest value, or NaN if any is: ``max`` would pass over it."""
    return math.nan if any(map(math.isnan, values)) else max(values)
