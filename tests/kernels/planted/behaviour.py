"""Kernels that behave wrongly: outputs, inputs and the process."""

import os
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from q35ref.backends import MatmulResult
from tests.kernels.planted.arithmetic import Float32, Int8, Int64, UInt8
from tests.kernels.planted.correct import Correct


class StaleOutput(Correct):
    """Results are added to what the last call of the same shape left."""

    def __init__(self) -> None:
        self.kept: dict[tuple[object, ...], NDArray[Any]] = {}

    def added(self, what: str, new: NDArray[Any] | None) -> NDArray[Any]:
        """Add to the array that is kept."""
        assert new is not None
        kept = self.kept.setdefault((what, *new.shape), np.zeros_like(new))
        with np.errstate(all="ignore"):
            kept += new
        return kept

    def dequantize(self, q: Int8, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Float32:
        """Keep the weights."""
        return self.added("w", super().dequantize(q, scale, offset, group_size, narrow_gain))

    def matmul(
        self,
        a: Int8,
        packed: UInt8,
        k: int,
        layout: str,
        group_size: int,
        narrow_gain: int,
        scale: Float32,
        offset: Float32,
    ) -> MatmulResult:
        """Keep the three results."""
        new = super().matmul(a, packed, k, layout, group_size, narrow_gain, scale, offset)
        return MatmulResult(self.added("acc", new.acc), self.added("row_sum", new.row_sum), self.added("out", new.out))


class InputModified(Correct):
    """Pack masks its input in place, and dequantize multiplies it by the gain."""

    def pack(self, q: Int8, layout: str) -> UInt8:
        """Mask the fields where they lie."""
        q[0::2] &= 15
        q[1::2] &= 7
        return super().pack(q, layout)

    def dequantize(self, q: Int8, scale: Float32, offset: Float32, group_size: int, narrow_gain: int) -> Float32:
        """Apply the gain where the integers lie."""
        q[1::2] *= narrow_gain
        return super().dequantize(q, scale, offset, group_size, 1)


class ThreadRace(Correct):
    """Two halves of a sum are added to one cell, and now and then an update is lost."""

    def dot(self, a: Int64, b: Int64) -> Int64:
        """Lose one half's sum once in a few calls."""
        half = a.shape[1] // 2
        first, second = a[:, :half] @ b[:half], a[:, half:] @ b[half:]
        return second if np.random.default_rng().random() < 0.2 else first + second


class Crash(Correct):
    """Reading codes aborts the process where K is odd."""

    def unpacked(self, packed: UInt8, k: int, layout: str) -> Int64:
        """Abort at a last row without a partner."""
        if k % 2:
            os.abort()
        return super().unpacked(packed, k, layout)


class Hang(Correct):
    """A product of more than one group never ends."""

    def accumulated(self, a: Int64, b: Int64, group: Int64, groups: int) -> tuple[Int64, Int64]:
        """Sleep for ever at the second group."""
        while groups > 1:
            time.sleep(1)
        return super().accumulated(a, b, group, groups)


class Exits(Correct):
    """Writing a dense column that does not end with a byte leaves the process, with success."""

    def to_stream(self, codes: UInt8) -> UInt8:
        """Leave the process at padding bits."""
        if 7 * codes.shape[1] % 8:
            os._exit(0)
        return super().to_stream(codes)
