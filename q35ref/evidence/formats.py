"""Ways to keep weights, side by side: each gives what it restores, and the bits that it really takes.

Bits count codes, scales and offsets at the precision in which they are stored: float32 for this format and the plain
integer grids; the peers' blocks as their makers lay them out, padding included.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from q35ref.backends.protocol import Float32
from q35ref.evidence.grids import uniform
from q35ref.evidence.kquants import KINDS, NoPeer, k_quantize, require_peer
from q35ref.quality import measure
from q35ref.reference.calibration import Method
from q35ref.reference.lanes import group_count, group_length
from q35ref.tensor import dequantize, quantize

GROUPS: Final = (0, 128, 64)
"""Rows that share parameters; 0 for a whole column."""

METHODS: Final[tuple[Method, ...]] = ("minmax", "symmetric", "clip")


@dataclass(frozen=True)
class Kept:
    """Weights as a format gives them back."""

    weights: Float32
    bits: float
    """A weight, parameters included."""
    worst_ratio: float | None = None
    """Largest error over its proven bound, of this format."""


@dataclass(frozen=True)
class Format:
    """A way to keep weights ``[K, N]``."""

    name: str
    group_size: int
    keep: Callable[[Float32], Kept]


def integers(bits: int, group_size: int, method: Method) -> Callable[[Float32], Kept]:
    """Return a plain integer grid."""

    def keep(weights: Float32) -> Kept:
        made = uniform(weights, bits, group_size, method)
        return Kept(made.weights, float(made.bits_per_weight))

    return keep


def q35(method: Method, group_size: int, narrow_gain: int) -> Callable[[Float32], Kept]:
    """Return this format, packed densely."""

    def keep(weights: Float32) -> Kept:
        made = quantize(weights, group_size=group_size, method=method, narrow_gain=narrow_gain)
        ratio = measure(weights, made).restored_ratio
        return Kept(dequantize(made), float(made.bits_per_weight), ratio)

    return keep


def half_quadratic(bits: int, group_size: int) -> Callable[[Float32], Kept]:
    """Return HQQ by our own code, as published: the zero-point of a min-max grid, fitted to errors with outliers.

    Badri and Shaji, *Half-Quadratic Quantization of Large Machine Learning Models*, 2023: by turns the errors are
    shrunk (``|e|**0.7`` in place of squares) and the zero-point becomes the mean of what is left; 20 turns, weights of
    the split 10 times 1.01 a turn. Scales stay; both are stored as float32.
    """

    def keep(weights: Float32) -> Kept:
        top = 2**bits - 1
        length = group_length(len(weights), group_size)
        parts = []
        for start in range(0, len(weights), length):
            part = weights[start : start + length].astype(float)
            low, high = part.min(axis=0), part.max(axis=0)
            scale = np.where(high > low, top / np.where(high > low, high - low, 1), 1.0)
            parts.append(_fitted(part, scale, -low * scale, top))
        groups = group_count(len(weights), group_size)
        return Kept(np.concatenate(parts).astype(np.float32), bits + 64 * groups / len(weights))

    return keep


def _fitted(part: Any, scale: Any, zero: Any, top: int) -> Any:
    """Return a group restored with the zero-point of least error of twenty turns."""
    best, least, split = None, np.inf, 10.0
    for _ in range(20):
        q = np.clip(np.rint(part * scale + zero), 0, top)
        restored = (q - zero) / scale
        error = part - restored
        if (size := float(np.abs(error).mean())) >= least:
            break
        best, least = restored, size
        shrunk = np.sign(error) * np.maximum(np.abs(error) - np.abs(error + (error == 0)) ** -0.3 / split, 0)
        zero = (q - (part - shrunk) * scale).mean(axis=0)
        split *= 1.01
    return best


def float16(weights: Float32) -> Kept:
    """Return weights rounded to float16."""
    return Kept(weights.astype(np.float16).astype(np.float32), 16.0)


def peer(name: str) -> Callable[[Float32], Kept]:
    """Return llama.cpp's format."""

    def keep(weights: Float32) -> Kept:
        made = k_quantize(weights, name)
        return Kept(made.weights, float(made.bits_per_weight))

    return keep


def own_formats(groups: tuple[int, ...] = GROUPS) -> Iterator[Format]:
    """Yield every format that needs no other package."""
    yield Format("FP16", 0, float16)
    yield Format("INT8", 0, integers(8, 0, "symmetric"))
    for group_size in groups:
        yield Format("INT4 symmetric", group_size, integers(4, group_size, "symmetric"))
        for bits, name in ((4, "INT4"), (3, "3-bit")):
            yield Format(f"{name} asymmetric", group_size, integers(bits, group_size, "minmax"))
            yield Format(f"{name} clip", group_size, integers(bits, group_size, "clip"))
        if group_size:
            yield Format("HQQ 4-bit", group_size, half_quadratic(4, group_size))
            yield Format("HQQ 3-bit", group_size, half_quadratic(3, group_size))
        for gain in (1, 2):
            for method in METHODS:
                yield Format(f"q35 gain {gain} {method}", group_size, q35(method, group_size, gain))


def peers() -> tuple[list[Format], str]:
    """Return llama.cpp's formats, or none and why."""
    try:
        require_peer()
    except NoPeer as error:
        return [], str(error)
    return [Format(name, 32 if name == "Q4_0" else 256, peer(name)) for name in KINDS], ""
