"""How far restored weights are from the originals, against what the theorem allows.

The error of each weight is taken twice: for the exact value ``scale * gain * q + offset`` against
``max(half step, distance to the lane's interval)`` (theorem ``quantize_error_le``), and for the restored float32
against that bound plus ``u * abs(value) + 2**-150``.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from q35ref import reference
from q35ref.backends import fastest
from q35ref.backends.numpy.blocks import Block, blocks, lanes, places
from q35ref.backends.numpy.float32 import Float64, two_sum
from q35ref.backends.protocol import Float32, Int8
from q35ref.backends.validate import require_array, require_finite
from q35ref.reference.float32 import exact
from q35ref.reference.lanes import group_length
from q35ref.tensor import QuantizedTensor, dequantize

U = 2.0**-24
"""Unit roundoff of float32."""

HALF_SUBNORMAL = 2.0**-150
"""Half the smallest positive float32."""

ABOVE_ONE = float(np.nextafter(1, 2))
"""What a ratio that is above 1 by less than a double can tell is rounded to."""

CLOSE = 1 - 2.0**-50
"""A ratio evaluated in double is off by less than 2**-50 of itself: from here on it is settled exactly."""

ROUGH = 2.0**-40
"""A rough ratio is off by less than this.

With M = abs(w - offset) + 8 * step, an error and a bound evaluated with a rounding for each operation are off by at
most 2 * 2**-53 * M. No w is farther from the offset than 8 * step + bound, and step <= 2 * bound, so M <= 33 * bound,
and no ratio is above 33: together below 33 * 66 * 2**-53 + 66 * 2**-53 < 2**-41.
"""


class Room(NamedTuple):
    """Arrays of doubles that the blocks of one shape share. Made anew for each block, they take as long as all the
    arithmetic: the system gives their pages, zeroed, and gets them back."""

    w: Float64
    """The block's weights."""
    after: Float64
    """Magnitudes of the restored float32s' errors."""
    step: Float64
    difference: Float64
    product: Float64
    bound: Float64
    other: Float64
    """Whatever is needed next."""


class Rooms(dict[tuple[int, ...], Room]):
    """A room for each shape of block: a matrix has few."""

    def of(self, part: Float32) -> Room:
        """Return the room of a block, in the order in memory that the block has."""
        if part.shape not in self:
            self[part.shape] = Room(*(np.empty_like(part, np.float64) for _ in Room._fields))
        return self[part.shape]


@dataclass(frozen=True)
class Quality:
    """The errors of one quantized matrix."""

    weights: int
    """Number of weights."""
    rmse: float
    """Root of the mean squared error of the restored float32."""
    normalized_rmse: float
    """RMSE over the weights' standard deviation; NaN where all weights are equal."""
    worst_error: float
    """Largest error of a restored float32."""
    exact_ratio: float
    """Largest error of an exact value over its bound: at most 1 if the theorem holds, as it stands."""
    restored_ratio: float
    """Largest error of a restored float32 over its bound."""

    @property
    def within_bound(self) -> bool:
        """Whether no weight is farther from its restored value than the theorem allows."""
        return self.exact_ratio <= 1 and self.restored_ratio <= 1


def measure(weights: Float32, qt: QuantizedTensor) -> Quality:
    """Measure every weight of ``float32[K, N]`` against its quantized form.

    Both ratios pass 1 exactly where an error passes its bound: the exact values' errors are compared as sums of
    two doubles, which hold them, and restored ratios too close to 1 for a double are settled by the reference.
    Errors: TypeError, ValueError.
    """
    require_array("weights", weights, np.float32, (qt.k, qt.n))
    require_finite("weights", weights)
    q = fastest().unpack(qt.packed, qt.k, qt.layout)
    restored = dequantize(qt)
    squares = worst_error = exact_ratio = restored_ratio = 0.0
    rooms = Rooms()
    for block in blocks(weights, qt.group_size):
        room, out = rooms.of(block.cut(weights)), block.cut(restored)
        w = room.w
        w[:] = block.cut(weights)
        with np.errstate(over="ignore"):
            after = np.abs(np.subtract(w, out, out=room.after), out=room.after)
            squares += float(np.square(after, out=room.other).sum())
        worst_error = max(worst_error, float(after.max()))
        at = _leading(block, room, q, qt)
        ratio, bound, value = _exact_errors(block, at, w[at], q, qt)
        exact_ratio = max(exact_ratio, ratio)
        ratios = after[at] / (bound + U * np.abs(value) + HALF_SUBNORMAL)
        far = ratios < CLOSE
        restored_ratio = max(restored_ratio, float(ratios.max(where=far, initial=0)))
        if not far.all():
            close = tuple(index[~far] for index in at)
            restored_ratio = max(restored_ratio, _settle(block, close, w, out, qt))
    rmse = float(np.sqrt(squares / weights.size))
    spread = float(weights.std(dtype=np.float64))
    normalized = rmse / spread if spread > 0 else float("nan")
    return Quality(weights.size, rmse, normalized, worst_error, exact_ratio, restored_ratio)


def _settle(block: Block, at: tuple[NDArray[np.intp], ...], w: Float64, out: Float32, qt: QuantizedTensor) -> float:
    """Return the largest restored ratio at some places of a block, by the reference, each distinct case once."""
    scale, offset = (np.broadcast_to(block.spread(p), w.shape)[at] for p in (qt.scale, qt.offset))
    cases = np.unique(np.stack([w[at], out[at].astype(np.float64), scale, offset, at[1] % 2]), axis=1)
    ratios = []
    for weight, value, s, b, lane in cases.T.tolist():
        if not np.isfinite(value):
            return float("inf")
        error = abs(Fraction(weight) - Fraction(value))
        ratios.append(error / reference.rounded_error_bound(weight, s, b, int(lane), qt.narrow_gain))
    return _float_above(max(ratios))


def _float_above(ratio: Fraction) -> float:
    """Return a float next to a ratio that passes 1 exactly where the ratio does."""
    nearest = float(ratio)
    return max(nearest, ABOVE_ONE) if ratio > 1 else nearest


def _leading(block: Block, room: Room, q: Int8, qt: QuantizedTensor) -> tuple[NDArray[np.intp], ...]:
    """Return the places of a block where either ratio may be the largest, or above 1: those that must be exact.

    The ratios are ``abs(difference - product) / bound``, with ``bound = max(step * low - difference, difference -
    step * high, step / 2)``, and ``after / (bound + U * abs(product + offset) + HALF_SUBNORMAL)``.
    """
    w, after, step, difference, product, bound, other = room
    low, high, gain = lanes(w.shape[1], qt.narrow_gain)
    offset = block.spread(qt.offset)
    np.multiply(block.spread(qt.scale), gain, out=step)
    np.subtract(w, offset, out=difference)
    np.multiply(step, block.cut(q), out=product)
    np.subtract(np.multiply(step, low, out=bound), difference, out=bound)
    np.subtract(difference, np.multiply(step, high, out=other), out=other)
    np.maximum(bound, other, out=bound)
    np.maximum(bound, np.divide(step, 2, out=other), out=bound)
    rough = np.abs(np.subtract(difference, product, out=other), out=other)
    rough /= bound
    found = rough >= min(float(rough.max()), 1) - ROUGH
    product += offset
    np.abs(product, out=product)
    product *= U
    bound += product
    bound += HALF_SUBNORMAL
    with np.errstate(over="ignore"):
        np.divide(after, bound, out=rough)
    found |= rough >= min(float(rough.max()), 1) - ROUGH
    return places(found)


def _exact_errors(
    block: Block, at: tuple[NDArray[np.intp], ...], w: Float64, q: Int8, qt: QuantizedTensor
) -> tuple[float, Float64, Float64]:
    """Return the largest ratio of error to bound at some places of a block, and each one's bound and exact value
    rounded to double."""
    group, row, column = at
    scale, offset = (block.spread(p)[group, 0, column] for p in (qt.scale, qt.offset))
    low, high, gain = (lane[row, 0] for lane in lanes(block.cut(q).shape[1], qt.narrow_gain))
    step = scale * gain
    product = step * block.cut(q)[at]
    difference = two_sum(w, -offset)
    error, rest = _minus(difference, product)
    error, rest = np.abs(error), np.where(error < 0, -rest, rest)
    above, above_rest = _minus(difference, step * high)
    below, below_rest = _minus(difference, step * low)
    bound = np.maximum(np.maximum(-below, above), step / 2)
    passes = np.ones(w.shape, bool)
    for limit, limit_rest in ((step / 2, 0), (above, above_rest), (-below, -below_rest)):
        passes &= (error > limit) | ((error == limit) & (rest > limit_rest))
    ratio = float((error / bound).max())
    if passes.any():
        ratio = max(ratio, ABOVE_ONE)
    return ratio, bound, product + offset


def _minus(difference: tuple[Float64, Float64], product: Float64) -> tuple[Float64, Float64]:
    """Return ``s + e - product`` as a double and the rest.

    The double is the sum rounded, and the rest has the right sign and order: its own rounding is monotone.
    """
    s, e = difference
    head, tail = two_sum(s, -product)
    return two_sum(head, tail + e)


@dataclass(frozen=True)
class Sample:
    """What the reference said of a seeded sample of weights."""

    weights: int
    """Number of weights that were judged."""
    differences: int
    """How many integers or restored float32s differ from the reference's."""
    exact_ratio: float
    """As :attr:`Quality.exact_ratio`, from exact rationals."""
    restored_ratio: float
    """As :attr:`Quality.restored_ratio`, from exact rationals."""

    @property
    def agrees(self) -> bool:
        """Whether every integer and float32 is the reference's, and within its bound."""
        return self.differences == 0 and self.exact_ratio <= 1 and self.restored_ratio <= 1


def judge_sample(weights: Float32, qt: QuantizedTensor, count: int, seed: int) -> Sample:
    """Let the reference itself quantize and restore ``count`` weights chosen by ``seed``, and compare."""
    require_array("weights", weights, np.float32, (qt.k, qt.n))
    q = fastest().unpack(qt.packed, qt.k, qt.layout)
    restored = dequantize(qt)
    length = group_length(qt.k, qt.group_size)
    rng = np.random.default_rng(seed)
    differences, exact_ratio, restored_ratio = 0, Fraction(0), Fraction(0)
    rows, columns = rng.integers(qt.k, size=count).tolist(), rng.integers(qt.n, size=count).tolist()
    for row, column in zip(rows, columns, strict=True):
        g = row // length
        at = (float(qt.scale[g, column]), float(qt.offset[g, column]), row, qt.narrow_gain)
        weight, integer, value = float(weights[row, column]), int(q[row, column]), float(restored[row, column])
        differences += reference.quantize(weight, *at) != integer
        differences += reference.rounded_dequantize(integer, *at) != exact("restored", value)
        error = abs(exact("weight", weight) - reference.dequantize(integer, *at))
        after = abs(exact("weight", weight) - exact("restored", value))
        exact_ratio = max(exact_ratio, error / reference.error_bound(weight, *at))
        restored_ratio = max(restored_ratio, after / reference.rounded_error_bound(weight, *at))
    return Sample(count, differences, _float_above(exact_ratio), _float_above(restored_ratio))
