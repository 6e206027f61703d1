"""The pieces of work that a conversion consists of: one tensor each, whole in itself, with results at their own place.

A job says where its bytes lie and where they go, and no more. So any process can do it that sees the same files; it
can be done again if that process dies; and since no job's result depends on another's, the files come out the same
whoever does which job when.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from q35ref.backends.protocol import Float32
from q35ref.checkpoints.errors import naming
from q35ref.checkpoints.floats import encode
from q35ref.checkpoints.reader import build
from q35ref.checkpoints.schema import Orientation, TensorRecord
from q35ref.checkpoints.spans import Place, Span
from q35ref.quality import Quality, measure
from q35ref.tensor import dequantize, quantize


class Job(Protocol):
    """A piece of work on one tensor. It can be pickled."""

    @property
    def name(self) -> str:
        """The tensor's name."""

    @property
    def path(self) -> str:
        """The file that it is read from."""

    @property
    def nbytes(self) -> int:
        """Bytes to be read."""

    @property
    def places(self) -> tuple[Place, ...]:
        """Where the result goes."""

    def run(self) -> Quality | None:
        """Do it; return the errors that were measured, if that is part of it. Errors: CheckpointError, MemoryError."""


@dataclass(frozen=True)
class Copy:
    """A tensor that passes through byte for byte."""

    source: Span
    place: Place

    @property
    def name(self) -> str:
        """See :class:`Job`."""
        return self.source.tensor.name

    @property
    def path(self) -> str:
        """See :class:`Job`."""
        return self.source.path

    @property
    def nbytes(self) -> int:
        """See :class:`Job`."""
        return self.source.tensor.nbytes

    @property
    def places(self) -> tuple[Place, ...]:
        """See :class:`Job`."""
        return (self.place,)

    def run(self) -> None:
        """Copy a piece at a time."""
        with self.source.open() as file:
            self.place.write(self.source.chunks(file))


@dataclass(frozen=True)
class Quantize:
    """A matrix to be quantized, its errors measured weight by weight."""

    source: Span
    record: TensorRecord
    places: tuple[Place, ...]
    """Where packed, scale and offset go."""

    @property
    def name(self) -> str:
        """See :class:`Job`."""
        return self.source.tensor.name

    @property
    def path(self) -> str:
        """See :class:`Job`."""
        return self.source.path

    @property
    def nbytes(self) -> int:
        """See :class:`Job`."""
        return self.source.tensor.nbytes

    def run(self) -> Quality:
        """Read the matrix, quantize it, measure, write the three parts."""
        record = self.record
        with self.source.open() as file:
            weights = turn(self.source.read_float32(file), record.orientation)
        with naming(self.path, self.name):
            qt = quantize(
                weights,
                group_size=record.group_size,
                narrow_gain=record.narrow_gain,
                layout=record.layout,
                method=record.method,
            )
            quality = measure(weights, qt)
        arrays = (qt.packed, qt.scale.astype("<f4"), qt.offset.astype("<f4"))
        for place, array in zip(self.places, arrays, strict=True):
            place.write([np.ascontiguousarray(array).reshape(-1).view(np.uint8).data])
        return quality


@dataclass(frozen=True)
class Restore:
    """A quantized tensor to be restored, in its first shape and orientation."""

    sources: tuple[Span, ...]
    """Where packed, scale and offset lie, all in one file."""
    record: TensorRecord
    place: Place

    @property
    def name(self) -> str:
        """See :class:`Job`."""
        return self.record.name

    @property
    def path(self) -> str:
        """See :class:`Job`."""
        return self.sources[0].path

    @property
    def nbytes(self) -> int:
        """See :class:`Job`."""
        return self.record.nbytes

    @property
    def places(self) -> tuple[Place, ...]:
        """See :class:`Job`."""
        return (self.place,)

    def run(self) -> None:
        """Read and check the three parts, restore the matrix, write it."""
        raw = {}
        for source in self.sources:
            with source.open() as file:
                raw[source.tensor.name] = source.raw(file)
        with naming(self.path, self.name):
            values = turn(dequantize(build(self.record, raw)), self.record.orientation)
            data = encode("restored", values, self.place.tensor.dtype)
        self.place.write([data.data])


def turn(matrix: Float32, orientation: Orientation) -> Float32:
    """Take a matrix from the file's orientation to ``[K, N]``, or back: the two are the same."""
    return matrix.T if orientation == "out_in" else matrix
