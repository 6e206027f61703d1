"""Activations to int8, a scale a row."""

import numpy as np

from q35ref.backends.numpy.float32 import round_quotient
from q35ref.backends.numpy.quantizer import round_quotients
from q35ref.backends.protocol import Float32, Int8
from q35ref.reference.activations import ACTIVATION_LIMIT

LARGEST_QUOTIENT = 256.0
"""Quotients beyond this magnitude are clamped: their rounding need not be exact."""


def quantize_activations(x: Float32) -> tuple[Float32, Int8]:
    """Return ``activation_scale float32[M]`` and ``a int8[M, K]`` of checked activations ``float32[M, K]``."""
    largest = np.abs(x).max(axis=1).astype(np.float64)
    scale = round_quotient(largest, np.zeros_like(largest), ACTIVATION_LIMIT)
    scale = np.where(largest == 0, np.float32(1), scale)
    one = np.ones((1, 1))
    rounded = round_quotients(x, 0 * one, scale.astype(np.float64)[:, None], one, largest=LARGEST_QUOTIENT)
    return scale, np.clip(rounded, -ACTIVATION_LIMIT, ACTIVATION_LIMIT).astype(np.int8)
