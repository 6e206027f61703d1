"""Ways to keep weights, side by side: each gives what it restores, and the bits that it really takes.

Bits count codes, scales and offsets at the precision in which they are stored: float32 for this format and the plain
integer grids; the peers' blocks as their makers lay them out, padding included.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from q35ref.backends.protocol import Float32
from q35ref.evidence.grids import uniform
from q35ref.evidence.kquants import TYPES, NoPeer, k_quantize, require_peer
from q35ref.quality import measure
from q35ref.reference.calibration import Method
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
        yield Format("INT4 asymmetric", group_size, integers(4, group_size, "minmax"))
        yield Format("3-bit asymmetric", group_size, integers(3, group_size, "minmax"))
        for gain in (1, 2):
            for method in METHODS:
                yield Format(f"q35 gain {gain} {method}", group_size, q35(method, group_size, gain))


def peers() -> tuple[list[Format], str]:
    """Return llama.cpp's formats, or none and why."""
    try:
        require_peer()
    except NoPeer as error:
        return [], str(error)
    return [Format(name, 256, peer(name)) for name in TYPES], ""
