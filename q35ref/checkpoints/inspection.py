"""What a file holds: its tensors, their true size, their errors."""

import math
import os
from dataclasses import dataclass, replace
from fractions import Fraction

from q35ref.checkpoints.errors import CheckpointError, StrPath, printable
from q35ref.checkpoints.header import TensorInfo
from q35ref.checkpoints.reader import Checkpoint
from q35ref.checkpoints.schema import MEASURES, TensorRecord, finite_or_none
from q35ref.quality import Quality, measure


@dataclass(frozen=True)
class Inspection:
    """What :func:`inspect_file` found."""

    path: str
    """The file's path."""
    file_bytes: int
    """Its size, the header included."""
    metadata: dict[str, str]
    """Its metadata, without q35ref's own."""
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
    """Read a safetensors file and say what it holds; quantized tensors are read and checked to the last code.

    With ``original``, the file that was quantized, all errors are measured again and not taken from the record.
    Errors: CheckpointError.
    """
    with Checkpoint(path) as checkpoint:
        if original is None:
            for name in checkpoint.records:
                checkpoint.read_quantized(name)
            records = list(checkpoint.records.values())
        else:
            records = _measure_again(checkpoint, original)
        return Inspection(
            path=checkpoint.path,
            file_bytes=checkpoint.file_bytes,
            metadata=checkpoint.metadata,
            plain=list(checkpoint.plain.values()),
            quantized=records,
            original=None if original is None else os.fspath(original),
        )


def _measure_again(checkpoint: Checkpoint, original: StrPath) -> list[TensorRecord]:
    """Return a file's records with their quality measured against the file that was quantized."""
    if not checkpoint.records:
        raise CheckpointError(checkpoint.path, "expected quantized tensors to compare with the original, found none")
    measured = []
    with Checkpoint(original) as source:
        for record in checkpoint.records.values():
            values = source.read_float32(record.name)
            if values.shape != record.shape:
                about = f"tensor {printable(record.name)}"
                raise CheckpointError(original, f"{about}: expected shape {record.shape}, got {values.shape}")
            qt = checkpoint.read_quantized(record.name)
            quality = measure(values.T if record.orientation == "out_in" else values, qt)
            measured.append(replace(record, quality=quality))
    return measured


def _largest(values: list[float]) -> float:
    """Return the largest value, or NaN if any is: ``max`` would pass over it."""
    return math.nan if any(map(math.isnan, values)) else max(values)
