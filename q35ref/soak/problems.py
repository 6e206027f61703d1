"""Random problems of every operation, by seed and number.

Most are small and judged by the reference; a few are long or wide enough for blocks and threads. Numbers are drawn in
many ways: ordinary ones, ties and their neighbours, every magnitude that float32 has, any bits at all.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from q35ref.backends.protocol import Float32, Int8
from q35ref.oracle.cases import EDGE_ROWS, LARGEST, REGIMES, Rng, integers, near_ties, parameters, regime
from q35ref.oracle.problem import Array, Problem
from q35ref.reference.lanes import LAYOUTS, NARROW_GAINS, group_count

KINDS: Final = (
    *("pack", "unpack", "calibrate", "quantize", "refusal", "dequantize", "quantize_activations"),
    *("matmul", "matmul", "matmul"),
)
"""What is drawn from: the operations, weights that must be refused, and matmul, the hardest one, three times."""

STREAM: Final = 1
"""Version of the problems: another one would be other problems for the same seed and number."""

SIZES: Final = ((0.90, 0, 11), (0.08, 11, 17), (0.02, 17, 21))
"""Shares of the problems, and between which powers of two their numbers of products or weights lie."""

MOST_ROWS: Final = 300_001
"""Rows at most, in one group or many."""

MOST_ACTIVATIONS: Final = 40
"""Rows of activations at most."""

MOST_TIES: Final = 1 << 13
"""Weights at most for problems made of ties, which backends decide one by one."""

SMALLEST: Final = float(np.finfo(np.float32).smallest_subnormal)
"""The smallest positive float32."""


def problem(seed: int, number: int) -> Problem:
    """Return a problem. The same seed and number give the same one, with the same version of NumPy.

    Domain: both at least 0.

    >>> problem(1, 5).folded() == problem(1, 5).folded(), problem(1, 5).folded() == problem(2, 5).folded()
    (True, False)
    """
    rng = np.random.default_rng([STREAM, seed, number])
    kind = str(rng.choice(KINDS))
    return replace(MAKERS[kind](rng), origin=f"q35ref.soak.problem({seed}, {number})")


def _sizes(rng: Rng, with_activations: bool = False) -> tuple[int, int, int]:
    """Return rows, columns and rows of activations whose product is about log-uniform within a class of sizes."""
    _, low, high = SIZES[int(rng.choice(len(SIZES), p=[share for share, _, _ in SIZES]))]
    budget = 2.0 ** rng.uniform(low, high)
    k = int(rng.choice(EDGE_ROWS)) if rng.random() < 0.25 else int(budget ** rng.random())
    k = max(1, min(k, MOST_ROWS, int(budget)))
    left = budget / k
    m = min(MOST_ACTIVATIONS, int(left ** (rng.random() / 2))) if with_activations else 1
    n = int((left / m) ** max(rng.random(), rng.random()))
    return k, max(1, n), max(1, m)


def _group_size(rng: Rng, k: int) -> int:
    """Return a group size: the whole column, the sizes in use, or any, longer than the column too."""
    choices = (0, 16, 32, 64, 128, 16 * int(rng.integers(1, 2 + k // 8)))
    return int(rng.choice(choices))


def _settings(rng: Rng) -> tuple[str, int]:
    """Return a layout and a gain."""
    return LAYOUTS[int(rng.integers(len(LAYOUTS)))], int(rng.choice(NARROW_GAINS))


def _any_floats(rng: Rng, shape: tuple[int, int]) -> Float32:
    """Return finite float32s of any bits."""
    bits = rng.integers(0, 1 << 32, shape, dtype=np.uint32)
    values = bits.view(np.float32)
    return np.where(np.isfinite(values), values, np.float32(LARGEST))


def _weights(rng: Rng, k: int, n: int) -> Float32:
    """Return weights of one of many kinds."""
    shape = (k, n)
    style = int(rng.integers(6))
    if style == 0:
        found = rng.normal(0, 1, shape)
    elif style == 1:
        found = np.ldexp(rng.normal(0, 1, shape), int(rng.integers(-148, 124)))
    elif style == 2:
        found = np.ldexp(rng.normal(0, 1, shape), rng.integers(-40, 40, (k, 1) if rng.random() < 0.5 else shape))
    elif style == 3:  # few different numbers, columns and runs of rows that are constant or zero
        found = np.round(rng.normal(0, 2, shape)) * (rng.random((1, n)) < 0.8)
        found[rng.integers(k) :, : n // 2 + 1] = rng.normal()
    elif style == 4:  # multiples of a power of two, ties among them
        found = np.ldexp(rng.integers(-64, 65, shape).astype(np.float64), int(rng.integers(-8, 8)))
    else:
        return _any_floats(rng, shape)
    return np.clip(found, -LARGEST, LARGEST).astype(np.float32)


def _parameters(rng: Rng, k: int, n: int, group_size: int) -> tuple[Float32, Float32]:
    """Return legal scales and offsets of one of many kinds."""
    shape = (group_count(k, group_size), n)
    style = int(rng.integers(5))
    if style == 0:
        return parameters(k, n, group_size, rng)
    if style == 1:
        return regime(int(rng.integers(len(REGIMES))), k, n, group_size)
    if style == 2:  # each entry from another regime
        pairs = np.array(REGIMES)[rng.integers(len(REGIMES), size=shape)]
        return pairs[..., 0].astype(np.float32), pairs[..., 1].astype(np.float32)
    if style == 3:
        exponents = rng.integers(-20, 20, shape)
        scale = np.ldexp(rng.integers(1, 16, shape).astype(np.float64), exponents)
        return scale.astype(np.float32), (scale * rng.integers(-40, 41, shape) / 4).astype(np.float32)
    return np.maximum(np.abs(_any_floats(rng, shape)), np.float32(SMALLEST)), _any_floats(rng, shape)


def _codes(rng: Rng, k: int, n: int) -> Int8:
    """Return legal integers: any, those at the ends of the lanes, or few of them."""
    q = integers(k, n, rng)
    style = int(rng.integers(4))
    if style == 0:
        odd = np.arange(k)[:, None] % 2
        ends = np.where(odd, np.where(q < 0, -4, 3), np.where(q < 0, -8, 7))
        return ends.astype(np.int8)
    if style == 1:
        return np.where(rng.random((k, n)) < 0.9, np.int8(0), q)
    return q


def _activations(rng: Rng, m: int, k: int) -> Int8:
    """Return int8 activations: any, the extreme ones, or mostly zeros."""
    a = rng.integers(-128, 128, (m, k)).astype(np.int8)
    style = int(rng.integers(4))
    if style == 0:
        return np.where(a < 0, np.int8(-128), np.int8(127))
    if style == 1:
        return np.where(rng.random((m, k)) < 0.9, np.int8(0), a)
    return a


def _pack(rng: Rng) -> Problem:
    k, n, _ = _sizes(rng)
    return Problem("pack", k, {"q": _codes(rng, k, n)}, _settings(rng)[0])


def _unpack(rng: Rng) -> Problem:
    k, n, _ = _sizes(rng)
    return Problem("unpack", k, {"q": _codes(rng, k + k % 2, n)}, _settings(rng)[0])


def _calibrate(rng: Rng) -> Problem:
    k, n, _ = _sizes(rng)
    method = ("minmax", "symmetric")[int(rng.integers(2))]
    return Problem("calibrate", k, {"w": _weights(rng, k, n)}, group_size=_group_size(rng, k), method=method)


def _quantize(rng: Rng) -> Problem:
    k, n, _ = _sizes(rng)
    group_size, gain = _group_size(rng, k), _settings(rng)[1]
    scale, offset = _parameters(rng, k, n, group_size)
    style = int(rng.integers(3))
    if style == 0 and k * n <= MOST_TIES:
        w = near_ties(k, scale, offset, group_size, gain, rng)
    elif style == 1:
        w = _weights(rng, k, n)
    else:  # within the lanes and around them
        groups = np.arange(k) // group_size if group_size else np.zeros(k, np.int64)
        inside = rng.normal(0, 6, (k, n)) * scale.astype(np.float64)[groups] + offset.astype(np.float64)[groups]
        w = np.clip(inside, -LARGEST, LARGEST).astype(np.float32)
    return Problem("quantize", k, {"w": w, "scale": scale, "offset": offset}, "byte", group_size, gain)


def _refusal(rng: Rng) -> Problem:
    """Return a problem with one weight or more that is no number."""
    made = _quantize(rng)
    w = made.arrays["w"].copy()
    for _ in range(int(rng.integers(1, 4))):
        w.flat[int(rng.integers(w.size))] = (np.nan, np.inf, -np.inf)[int(rng.integers(3))]
    return made.with_array("w", w)


def _dequantize(rng: Rng) -> Problem:
    k, n, _ = _sizes(rng)
    group_size = _group_size(rng, k)
    scale, offset = _parameters(rng, k, n, group_size)
    arrays: dict[str, Array] = {"q": _codes(rng, k, n), "scale": scale, "offset": offset}
    return Problem("dequantize", k, arrays, "byte", group_size, _settings(rng)[1])


def _quantize_activations(rng: Rng) -> Problem:
    k, m, _ = _sizes(rng)
    x = np.ascontiguousarray(_weights(rng, k, m).T)
    if rng.random() < 0.3 and x.size <= MOST_TIES:
        largest = np.abs(x).max(axis=1, keepdims=True)
        scale = np.maximum(largest / np.float32(127), np.float32(SMALLEST))
        ties = rng.integers(-253, 254, x.shape) / 2 * scale.astype(np.float64)
        x = np.clip(ties, -largest, largest).astype(np.float32)
        x[:, :1] = largest
    return Problem("quantize_activations", k, {"x": x})


def _matmul(rng: Rng) -> Problem:
    k, n, m = _sizes(rng, with_activations=True)
    group_size, (layout, gain) = _group_size(rng, k), _settings(rng)
    scale, offset = _parameters(rng, k, n, group_size)
    arrays: dict[str, Array] = {
        "a": _activations(rng, m, k),
        "q": _codes(rng, k + k % 2, n),
        "scale": scale,
        "offset": offset,
    }
    return Problem("matmul", k, arrays, layout, group_size, gain)


MAKERS: Final[dict[str, Callable[[Rng], Problem]]] = {
    "pack": _pack,
    "unpack": _unpack,
    "calibrate": _calibrate,
    "quantize": _quantize,
    "refusal": _refusal,
    "dequantize": _dequantize,
    "quantize_activations": _quantize_activations,
    "matmul": _matmul,
}
"""What makes a problem of each kind."""
