"""Formats of weights, as the machine sees them: which bits of which bytes are the integer of a row.

A period is 16 rows of a column. Even rows go to one plane and odd ones to the other. What a plane is given is a row's
integer at the top of a byte, with zeros beneath: that takes shifts and masks, and no sign extension. The product with
it is then too large by a power of two, which a shift of the accumulator takes back, exactly.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

PERIOD: Final = 16
"""Rows of a period."""


@dataclass(frozen=True)
class Part:
    """Bits of one byte of a period on their way to the top of a byte."""

    byte: int
    """The byte's number in the period."""
    shift: int
    """How far they are shifted: to the left, or to the right if negative."""
    mask: int
    """The bits that are kept afterwards."""


@dataclass(frozen=True)
class Field:
    """The integer of one row: its parts together."""

    width: int
    """Bits."""
    parts: tuple[Part, ...]

    @property
    def operations(self) -> int:
        """ALU operations: a shift and a mask for each part where they change anything, and joining the parts."""
        steps = sum((part.shift != 0) + (part.mask != 0xFF) for part in self.parts)
        return steps + len(self.parts) - 1


@dataclass(frozen=True)
class WeightFormat:
    """How 16 rows of a column are stored."""

    name: str
    period_bytes: int
    fields: tuple[Field, ...]

    @property
    def gains(self) -> tuple[int, ...]:
        """What the odd rows can be multiplied by: 2 where they are a bit narrower than the even ones."""
        return (1, 2) if self.fields[1].width < self.fields[0].width else (1,)

    @property
    def operations(self) -> int:
        """ALU operations on words for 16 rows of each of four periods."""
        return sum(field.operations for field in self.fields)

    def result_shift(self, lane: int) -> int:
        """How far the accumulator of the even rows (0) or the odd rows (1) must be shifted to the right."""
        return 8 - self.fields[lane].width


def field(position: int, width: int) -> Field:
    """Return how ``width`` bits from stream bit ``position`` of a period get to the top of a byte.

    >>> field(3, 4)
    Field(width=4, parts=(Part(byte=0, shift=1, mask=240),))
    >>> field(7, 3).parts
    (Part(byte=0, shift=-2, mask=32), Part(byte=1, shift=6, mask=192))
    """
    byte, first = divmod(position, 8)
    low = min(width, 8 - first)
    bottom = 8 - width
    parts = [Part(byte, bottom - first, ((1 << low) - 1) << bottom)]
    if low < width:
        parts.append(Part(byte + 1, bottom + low, (((1 << (width - low)) - 1) << (bottom + low)) & 0xFF))
    return Field(width, tuple(parts))


def _pairs(stride: int) -> tuple[Field, ...]:
    """Return the fields of 8 codes, ``stride`` bits apart: the narrow integer in bits 0..2, the wide one in 3..6."""
    return tuple(made for code in range(8) for made in (field(stride * code + 3, 4), field(stride * code, 3)))


FORMATS: Final = {
    found.name: found
    for found in (
        WeightFormat("dense", 7, _pairs(7)),
        WeightFormat("byte", 8, _pairs(8)),
        WeightFormat("int4", 8, tuple(field(4 * row, 4) for row in range(PERIOD))),
        WeightFormat("int8", 16, tuple(field(8 * row, 8) for row in range(PERIOD))),
    )
}
"""By name: the two layouts, and two others to compare with."""


def stored(weights: WeightFormat, q: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Return integers ``[K, N]`` as they are stored, ``uint8[N, bytes]``, the last period filled up with zeros."""
    k, n = q.shape
    periods = -(-k // PERIOD)
    rows = np.zeros((n, periods, PERIOD), np.uint8)
    rows.reshape(n, -1)[:, :k] = q.T.view(np.uint8)
    packed = np.zeros((n, periods, weights.period_bytes), np.uint8)
    for row, made in enumerate(weights.fields):
        for part in made.parts:
            top = (rows[:, :, row] << np.uint8(8 - made.width)) & np.uint8(part.mask)
            packed[:, :, part.byte] |= top >> np.uint8(part.shift) if part.shift > 0 else top << np.uint8(-part.shift)
    return packed.reshape(n, -1)
