"""A group's weights to its parameters.

``minmax`` and ``symmetric`` are normative bit for bit. ``clip`` is a search over a fixed grid of shrunken
ranges; the package computes it in NumPy, and this exact version is what that search is tested against.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Literal

from q35ref.reference.float32 import MIN_SUBNORMAL, Number, exact, round_float32
from q35ref.reference.lanes import check_narrow_gain
from q35ref.reference.quantizer import dequantize, quantize

Method = Literal["minmax", "symmetric", "clip"]
"""How parameters are chosen."""

METHODS: Final = ("minmax", "symmetric", "clip")
"""Every :data:`Method`."""

WIDE_STEPS: Final = 15
"""Steps between the smallest and the largest integer of the wide lane."""

CLIP_STEPS: Final = 64
"""The clip grid's unit: ranges shrink by multiples of 1/64 of the min-max range, half of that at each end."""

CLIP_CANDIDATES: Final = 48
"""Number of ranges that the clip search tries: shrunk by 0/64 to 47/64."""

Parameters = tuple[Fraction, Fraction]
"""Scale and offset of a group, both values of float32."""


def calibrate_minmax(group: Sequence[Number]) -> Parameters:
    """Spread the wide lane over the group: ``scale = RN32((max - min) / 15)``, ``offset = RN32(min + 8 * scale)``.

    The offset uses the rounded scale. A constant group gets ``scale = 1, offset = value``, which ``q = 0``
    restores exactly; a scale that rounds to zero becomes the smallest positive float32.
    Domain: at least one weight, each the value of a finite float32. Errors: ValueError.
    Theorems: ``calibrateMinMax_covers_wide``, ``calibrateMinMax_error_le_half_step``, ``calibrateMinMax_rounded``.

    >>> calibrate_minmax([-8.0, 7.0])
    (Fraction(1, 1), Fraction(0, 1))
    """
    weights = _weights(group)
    return parameters_of_range(min(weights), max(weights))


def parameters_of_range(low: Fraction, high: Fraction) -> Parameters:
    """Return the parameters whose wide lane spans ``[low, high]``, rounded: the rule of ``minmax`` and ``clip``."""
    if low == high:
        return Fraction(1), round_float32(low)
    scale = round_float32((high - low) / WIDE_STEPS) or MIN_SUBNORMAL
    return scale, round_float32(low + 8 * scale)


def calibrate_symmetric(group: Sequence[Number]) -> Parameters:
    """Centre the lanes on zero: ``scale = RN32(absmax / 7)``, ``offset = 0``; an all-zero group gets scale 1.

    A scale that rounds to zero becomes the smallest positive float32.
    Domain and errors: as :func:`calibrate_minmax`.

    >>> calibrate_symmetric([-7.0, 3.5])
    (Fraction(1, 1), Fraction(0, 1))
    """
    largest = max(abs(weight) for weight in _weights(group))
    scale = Fraction(1) if largest == 0 else round_float32(largest / 7) or MIN_SUBNORMAL
    return scale, Fraction(0)


def calibrate_clip(group: Sequence[Number], narrow_gain: int = 2) -> Parameters:
    """Return the parameters of least squared error over both lanes, among the ranges of the clip grid.

    Candidate ``j`` spans ``[min + t, max - t]``, ``t = (max - min) * j / 128``; of equal errors the first wins.
    The group's first weight is taken to stand in an even row, as every group's does.
    Domain and errors: as :func:`calibrate_minmax`.

    >>> group = [-1.0, 0.25, 0.5, 0.0, 100.0]
    >>> squared_error(group, *calibrate_clip(group)) <= squared_error(group, *calibrate_minmax(group))
    True
    """
    weights = _weights(group)
    low, high = min(weights), max(weights)
    margins = ((high - low) * j / (2 * CLIP_STEPS) for j in range(CLIP_CANDIDATES))
    candidates = [parameters_of_range(low + margin, high - margin) for margin in margins]
    return min(candidates, key=lambda found: squared_error(weights, found[0], found[1], narrow_gain))


def squared_error(group: Sequence[Number], scale: Number, offset: Number, narrow_gain: int = 2) -> Fraction:
    """Return the sum of squared distances between a group's weights and their exact restored values.

    >>> squared_error([0.5, 0.0], scale=1, offset=0)
    Fraction(1, 4)
    """
    check_narrow_gain(narrow_gain)
    total = Fraction(0)
    for row, weight in enumerate(_weights(group)):
        q = quantize(weight, scale, offset, row, narrow_gain)
        total += (weight - dequantize(q, scale, offset, row, narrow_gain)) ** 2
    return total


def calibrate(group: Sequence[Number], method: Method = "minmax", narrow_gain: int = 2) -> Parameters:
    """Return a group's scale and offset by ``method``; only ``clip`` looks at ``narrow_gain``.

    Errors: ValueError for an unknown method, an empty group, or a weight that is not finite.

    >>> calibrate([2.5, 2.5], "minmax")
    (Fraction(1, 1), Fraction(5, 2))
    """
    check_narrow_gain(narrow_gain)
    if method == "minmax":
        return calibrate_minmax(group)
    if method == "symmetric":
        return calibrate_symmetric(group)
    if method == "clip":
        return calibrate_clip(group, narrow_gain)
    raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")


def _weights(group: Sequence[Number]) -> list[Fraction]:
    if not group:
        raise ValueError("group: expected at least one weight, got none")
    return [exact(f"group[{row}]", weight) for row, weight in enumerate(group)]
