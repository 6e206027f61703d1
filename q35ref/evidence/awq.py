"""AWQ: channels whose activations are large are scaled up before they are rounded, so that the grid is finer for them.

The rule is that of Lin et al., "AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration", 2023,
on a uniform min-max grid: the weights of channel ``k`` are multiplied by ``s[k]``, its activations divided by it, with
``s = mean|x| ** a`` and the ``a`` of twenty whose output error on calibration activations is least; then each group's
weights are cut off at the reach, of ten, that gives its part of the product the least error. Here every matrix has an
``s`` of its own, stored as float32, where the published code folds one ``s`` into the layer before and shares it.
"""

from fractions import Fraction
from typing import Final

import numpy as np

from q35ref.backends.numpy.float32 import Float64
from q35ref.backends.protocol import Float32
from q35ref.evidence.activations import Statistics
from q35ref.evidence.grids import FLOAT32_BITS, Restored, uniform
from q35ref.reference.lanes import group_length

EXPONENTS: Final = 20
"""Exponents ``a`` that are tried: 0, 1/20 and so on, below 1."""

REACHES: Final = 10
"""Reaches that are tried: the group's largest magnitude, 1/20 less and so on."""

LEAST_SCALE: Final = 1e-4
"""Channels count as no quieter than this."""


def activation_aware(weights: Float32, statistics: Statistics, bits: int, group_size: int = 128) -> Restored:
    """Quantize ``float32[K, N]`` to integers of ``bits`` bits by AWQ, and restore them in the model's terms.

    Bits count codes, a float32 scale and offset a group, and a float32 ``s`` a channel. Errors: ValueError.
    """
    if statistics.magnitudes.shape != (len(weights),):
        raise ValueError(f"statistics: expected the moments of {len(weights)} channels")
    gram, magnitude = statistics.gram, statistics.mean_magnitude
    tried = [channel_scale(magnitude, step / EXPONENTS) for step in range(EXPONENTS)]
    errors = [_output_error(_restored(weights, s, bits, group_size) - weights, gram) for s in tried]
    s = tried[int(np.argmin(errors))]
    scaled = weights * s[:, None]
    cut = _cut(scaled, gram / np.outer(s, s), bits, group_size)
    made = uniform(cut, bits, group_size)
    return Restored(made.weights / s[:, None], made.bits_per_weight + Fraction(FLOAT32_BITS, weights.shape[1]))


def channel_scale(magnitude: Float64, exponent: float) -> Float32:
    """Return ``s``, ``float32[K]``: its largest and its smallest number are each other's inverse."""
    s = np.maximum(magnitude, LEAST_SCALE) ** exponent
    centred: Float32 = (s / np.sqrt(s.max() * s.min())).astype(np.float32)
    return centred


def _restored(weights: Float32, s: Float32, bits: int, group_size: int) -> Float32:
    restored: Float32 = uniform(weights * s[:, None], bits, group_size).weights / s[:, None]
    return restored


def _output_error(errors: Float32, gram: Float64) -> float:
    return float(np.sum(errors * (gram @ errors)))


def _cut(weights: Float32, gram: Float64, bits: int, group_size: int) -> Float32:
    """Return weights cut off where that gives each group's part of each output the least error."""
    length = group_length(len(weights), group_size)
    starts = range(0, len(weights), length)
    best = weights.copy()
    least = np.full((len(starts), weights.shape[1]), np.inf)
    largest = np.maximum.reduceat(np.abs(weights), list(starts), axis=0)
    group = np.arange(len(weights)) // length
    for step in range(REACHES):
        reach = largest * np.float32(1 - step / (2 * REACHES))
        tried = np.clip(weights, -reach[group], reach[group])
        errors = uniform(tried, bits, group_size).weights - weights
        for g, start in enumerate(starts):
            rows = slice(start, start + length)
            cost = np.einsum("kn,kn->n", errors[rows], gram[rows, rows] @ errors[rows])
            better = cost < least[g]
            best[rows][:, better] = tried[rows][:, better]
            least[g] = np.minimum(cost, least[g])
    return best
