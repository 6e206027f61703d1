"""The problems that a kernel is given: every code and pair, edge shapes, numbers where kernels go wrong, and a
seeded sample. Level 1 takes seconds, level 2 more of everything, level 3 the longest legal group too.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.protocol import Float32, Int8
from q35ref.oracle.problem import Array, Problem
from q35ref.reference.lanes import LAYOUTS, MAX_GROUP_ROWS, NARROW, NARROW_GAINS, WIDE, group_count

Rng = np.random.Generator

EDGE_ROWS = (1, 2, 3, 7, 15, 16, 17, 18, 31, 32, 33, 48)
"""Numbers of rows around the ends of a code, of a dense block and of a group."""

GROUPINGS = (0, 16, 32, 1024)
"""Group sizes: the whole column, short groups, and one longer than any edge shape."""

TILED_SHAPES = (
    (64, 17, 16),
    (65, 33, 64),
    (100, 65, 32),
    (127, 5, 64),
    (130, 8, 128),
    (256, 16, 128),
    (257, 9, 128),
    (300, 4, 256),
    (1000, 2, 128),
    (1001, 2, 0),
)
"""Rows, columns and group size around the widths by which kernels are tiled, with groups of the sizes in use."""

LONG_SHAPES = ((4099, 1, 32), (1500, 2, 512), (33, 129, 16))
"""Rows, columns and group size beyond the blocks in which kernels work, with more groups than fit a small table."""

LARGE_SHAPE = (1024, 300, 128)
"""Rows, columns and group size beyond the work from which on kernels start threads."""

ACTIVATION_ROWS = (1, 2, 3, 5, 8, 17, 33)
"""Rows of activations: one, few, and around the heights by which kernels are tiled."""

LEVELS = (1, 2, 3)
"""Legal levels."""

SAMPLES = {1: 24, 2: 120, 3: 400}
"""Random problems of each kind by level."""

LARGEST = float(np.finfo(np.float32).max)
"""The largest float32."""

EXTREMES = ((-128, WIDE[0], NARROW[0]), (127, WIDE[1], NARROW[1]), (-128, WIDE[1], NARROW[1]))
"""Activation, wide and narrow integer of the largest and the smallest sums; those of the second are odd, so that
beyond 2**24 float32 cannot hold them."""

REGIMES: tuple[tuple[float, float], ...] = (
    (1.0, 0.0),
    (0.1, -0.3),
    (0.0123, 0.7),
    (2.0**-3, 1.5),
    (1.0, -(2.0**-60)),
    (1.0, 2.0**-60),
    (3.0, 1e-30),
    (5592407.0, 1e-30),
    (1e-3, 1000.0),
    (2.0**-149, 0.0),
    (3 * 2.0**-149, 5 * 2.0**-149),
    (2.0**-126, -(2.0**-149)),
    (1e-40, 1e-38),
    (1e37, -1e37),
    (2.0**123, 2.0**100),
    (LARGEST / 8, 0.0),
)
"""Scales and offsets: ordinary ones, ties a hair away, sums that a double rounds twice, subnormals, huge ones."""


def integers(k: int, n: int, rng: Rng) -> Int8:
    """Return random legal integers ``int8[k, n]``."""
    odd = np.arange(k)[:, None] % 2
    low, high = np.where(odd, NARROW[0], WIDE[0]), np.where(odd, NARROW[1], WIDE[1])
    return rng.integers(low, high + 1, (k, n)).astype(np.int8)


def every_pair() -> Int8:
    """Return one column for each of the 16 x 8 pairs, ``int8[2, 128]``."""
    return np.array(list(product(range(WIDE[0], WIDE[1] + 1), range(NARROW[0], NARROW[1] + 1))), np.int8).T


def parameters(k: int, n: int, group_size: int, rng: Rng) -> tuple[Float32, Float32]:
    """Return ordinary random scales and offsets, with a column of each special regime mixed in at times."""
    shape = (group_count(k, group_size), n)
    scale = np.exp(rng.normal(-3, 1, shape)).astype(np.float32)
    offset = (rng.normal(0, 4, shape) * scale).astype(np.float32)
    return scale, offset


def regime(index: int, k: int, n: int, group_size: int) -> tuple[Float32, Float32]:
    """Return the same special scale and offset for every group."""
    shape = (group_count(k, group_size), n)
    scale, offset = REGIMES[index % len(REGIMES)]
    return np.full(shape, scale, np.float32), np.full(shape, offset, np.float32)


def shapes(level: int, rng: Rng) -> Iterator[tuple[int, int, int, int]]:
    """Yield rows, columns, group size and gain: the edges, shapes at which kernels are tiled, then random ones."""
    for k in EDGE_ROWS:
        for group_size, gain in product(GROUPINGS if k > 1 else (0,), NARROW_GAINS):
            yield k, 1 + k % 3, group_size, gain
    for index, (k, n, group_size) in enumerate((*TILED_SHAPES, *LONG_SHAPES)):
        yield k, n, group_size, 2 - index % 2
    for _ in range(SAMPLES[level]):
        k, n = int(rng.integers(1, 40 * level)), int(rng.integers(1, 5))
        yield k, n, 16 * int(rng.integers(0, 4)), int(rng.choice(NARROW_GAINS))
    for _ in range(SAMPLES[level] // 4):
        k, n = int(rng.integers(1, 150 * level)), int(rng.integers(1, 24))
        yield k, n, 16 * int(rng.integers(0, 17)), int(rng.choice(NARROW_GAINS))


def near_ties(k: int, scale: Float32, offset: Float32, group_size: int, narrow_gain: int, rng: Rng) -> Float32:
    """Return weights at, just below and just above half-way points of their lanes, and around the lanes' ends."""
    rows = np.arange(k)
    gains = np.where(rows % 2, narrow_gain, 1)[:, None]
    groups = rows // group_size if group_size else np.zeros(k, np.int64)
    halves = rng.integers(-20, 20, (k, scale.shape[1])) / 2
    with np.errstate(over="ignore"):
        exact = scale.astype(np.float64)[groups] * gains * halves + offset.astype(np.float64)[groups]
        w = np.clip(exact, -LARGEST, LARGEST).astype(np.float32)
        nudged = np.nextafter(w, np.where(rng.integers(0, 2, w.shape) == 1, np.float32(LARGEST), np.float32(-LARGEST)))
    return np.where(rng.integers(0, 3, w.shape) == 0, w, nudged).astype(np.float32)


def pack_cases(level: int, rng: Rng) -> Iterator[Problem]:
    """Yield problems of ``pack``; those of ``unpack`` are the same integers the other way."""
    for layout in LAYOUTS:
        yield Problem("pack", 2, {"q": every_pair()}, layout)
        for k, n, _, _ in shapes(level, rng):
            yield Problem("pack", k, {"q": integers(k, n, rng)}, layout)
    k, n, _ = LARGE_SHAPE
    yield Problem("pack", k, {"q": integers(k, n, rng)}, "dense")


def unpack_cases(level: int, rng: Rng) -> Iterator[Problem]:
    """Yield problems of ``unpack``; for odd ``k`` the last narrow field holds an integer that must be ignored."""
    for problem in pack_cases(level, rng):
        k, n = problem.arrays["q"].shape
        stored = integers(k + 1, n, rng) if k % 2 else problem.arrays["q"]
        yield replace(problem, operation="unpack", arrays={"q": stored})


def weights_cases(level: int, rng: Rng) -> Iterator[NDArray[np.float32]]:
    """Yield weight matrices: random, constant, zero, subnormal, huge, and of very mixed size."""
    for k, n, _, _ in shapes(level, rng):
        yield rng.normal(0, 1, (k, n)).astype(np.float32)
    for size in (1.0, 2.0**-149, 1e-40, 1e37, LARGEST):
        yield np.clip(rng.normal(0, size, (33, 3)), -LARGEST, LARGEST).astype(np.float32)
    for value in (0.0, -1.5, 2.0**-149, LARGEST):
        yield np.full((17, 2), value, np.float32)
    mixed = rng.normal(0, 1, (65, 5)).astype(np.float32)
    mixed[:, [1, 4]], mixed[16:32] = 0, 0
    yield mixed
    yield np.array([[-LARGEST], [LARGEST]], np.float32)
    yield np.array([[0.0], [2.0**-149]], np.float32)
    yield np.array([[1e-30], [16777215.0], [-1e-30]], np.float32)
    exponents = rng.integers(-40, 40, (SAMPLES[level], 2, 8))
    for exponent in exponents:
        yield np.ldexp(rng.normal(0, 1, (2, 8)), exponent).astype(np.float32)


def calibrate_cases(level: int, rng: Rng) -> Iterator[Problem]:
    """Yield problems of ``calibrate``."""
    for index, w in enumerate(weights_cases(level, rng)):
        for method in ("minmax", "symmetric"):
            group_size = GROUPINGS[index % len(GROUPINGS)]
            yield Problem("calibrate", len(w), {"w": w}, group_size=group_size, method=method)
    k, n, group_size = LARGE_SHAPE
    large = rng.normal(0, 1, (k, n)).astype(np.float32)
    for method in ("minmax", "symmetric"):
        yield Problem("calibrate", k, {"w": large}, group_size=group_size, method=method)
    zeros = rng.normal(0, 1, (65, 3)).astype(np.float32)
    zeros[:, 1], zeros[16:48] = 0, 0
    for method, group_size in product(("minmax", "symmetric"), (0, 16)):
        yield Problem("calibrate", len(zeros), {"w": zeros}, group_size=group_size, method=method)


def quantize_cases(level: int, rng: Rng) -> Iterator[Problem]:
    """Yield problems of ``quantize``: each regime with ties, random weights inside and far outside the lanes."""
    trap = {"w": [[0.5]], "scale": [[1.0]], "offset": [[-(2.0**-60)]]}
    yield Problem("quantize", 1, {name: np.array(value, np.float32) for name, value in trap.items()})
    for index in range(len(REGIMES) * level):
        for gain, group_size in product(NARROW_GAINS, (0, 16)):
            k = 40
            scale, offset = regime(index, k, 4, group_size)
            w = near_ties(k, scale, offset, group_size, gain, rng)
            yield Problem("quantize", k, {"w": w, "scale": scale, "offset": offset}, "byte", group_size, gain)
    for k, n, group_size, gain in shapes(level, rng):
        scale, offset = parameters(k, n, group_size, rng)
        spread = near_ties(k, scale, offset, group_size, gain, rng)
        random = (rng.normal(0, 6, (k, n)) * scale.max() + offset.mean()).astype(np.float32)
        for w in (spread, random):
            yield Problem("quantize", k, {"w": w, "scale": scale, "offset": offset}, "byte", group_size, gain)
    far = np.array([[LARGEST, -LARGEST], [-LARGEST, LARGEST]], np.float32)
    small, zero = np.full((1, 2), 2.0**-149, np.float32), np.zeros((1, 2), np.float32)
    yield Problem("quantize", 2, {"w": far, "scale": small, "offset": zero})
    k, n, group_size = LARGE_SHAPE
    scale, offset = parameters(k, n, group_size, rng)
    w = (rng.normal(0, 6, (k, n)) * scale.mean()).astype(np.float32)  # ties would take exact kernels minutes
    yield Problem("quantize", k, {"w": w, "scale": scale, "offset": offset}, "byte", group_size, 2)


def refusal_cases(level: int, rng: Rng) -> Iterator[Problem]:
    """Yield problems of ``quantize`` that must be refused: one weight, first, last or anywhere, is no number."""
    sizes = [(1, 2), (2, 2), (40, 2), (1000, 3), *((int(k), int(n)) for k, n in rng.integers(1, 130, (4 * level, 2)))]
    for value, (k, n) in product((np.nan, np.inf, -np.inf), sizes):
        for place in (0, k * n - 1, int(rng.integers(k * n))):
            w = rng.normal(0, 1, (k, n)).astype(np.float32)
            w.T.flat[place] = value
            scale, offset = parameters(k, n, 16, rng)
            yield Problem("quantize", k, {"w": w, "scale": scale, "offset": offset}, group_size=16)


def dequantize_cases(level: int, rng: Rng) -> Iterator[Problem]:
    """Yield problems of ``dequantize``: every pair in each regime, then random ones."""
    for index, gain in product(range(len(REGIMES)), NARROW_GAINS):
        scale, offset = regime(index, 2, 128, 0)
        yield Problem("dequantize", 2, {"q": every_pair(), "scale": scale, "offset": offset}, narrow_gain=gain)
    for k, n, group_size, gain in shapes(level, rng):
        for exponent in (0, int(rng.integers(-60, 60))):
            scale, offset = parameters(k, n, group_size, rng)
            offset = np.ldexp(offset, exponent).astype(np.float32)
            q = integers(k, n, rng)
            yield Problem("dequantize", k, {"q": q, "scale": scale, "offset": offset}, "byte", group_size, gain)
    k, n, group_size = LARGE_SHAPE
    scale, offset = parameters(k, n, group_size, rng)
    large: dict[str, Array] = {"q": integers(k, n, rng), "scale": scale, "offset": offset}
    yield Problem("dequantize", k, large, "byte", group_size, 2)


def activations_cases(level: int, rng: Rng) -> Iterator[Problem]:
    """Yield problems of ``quantize_activations``, ties included."""
    for w in weights_cases(level, rng):
        yield Problem("quantize_activations", w.shape[0], {"x": np.ascontiguousarray(w.T)})
    for largest in (127.0, 127 * 2.0**-149, 1e-40, LARGEST, *np.exp(rng.normal(0, 9, 8 * level)).tolist()):
        scale = np.float32(largest) / np.float32(127)
        ties = (rng.integers(-253, 254, (2, 40)) / 2 * float(scale)).astype(np.float32)
        ties[:, 0] = largest
        yield Problem("quantize_activations", 40, {"x": ties})
        towards = np.where(rng.integers(0, 2, ties.shape) == 1, np.float32(1), np.float32(-1))
        nudged = np.nextafter(ties, towards).astype(np.float32)
        nudged[:, 0] = largest
        yield Problem("quantize_activations", 40, {"x": nudged})
    k, m, _ = LARGE_SHAPE
    yield Problem("quantize_activations", k, {"x": rng.normal(0, 1, (m, k)).astype(np.float32)})
    # Of a few subnormal steps, a scale may be rounded to far less than absmax/127: only then is a quotient clamped.
    for steps in (1, 2, 3, 10):
        most = 127 * (2 * steps + 1) // 2
        x = np.array([most, -most, *range(-most + 1, most, 1 + steps)], np.float64) * 2.0**-149
        yield Problem("quantize_activations", len(x), {"x": np.stack([x, -x]).astype(np.float32)})


def matmul_cases(level: int, rng: Rng) -> Iterator[Problem]:
    """Yield problems of ``matmul``: accumulators at their extremes, then every shape in both layouts and regimes."""
    lengths = {1: (514, 26_501), 2: (514, 26_501, 300_001), 3: (514, 26_501, 300_001, MAX_GROUP_ROWS)}
    for k, (numbers, gain) in product(lengths[level], zip(EXTREMES, (2, 2, 1), strict=True)):
        yield _extreme(k, numbers, "dense", 0, gain, None)
    yield _matmul_problem(1, lengths[level][1], 1, "dense", 0, 2, rng)
    for index, (k, n, group_size, gain) in enumerate(shapes(level, rng)):
        m = ACTIVATION_ROWS[index % len(ACTIVATION_ROWS)]
        made = _matmul_problem(m, k, n, LAYOUTS[index % 2], group_size, gain, rng)
        if index % 4 == 0:
            scale, offset = regime(index // 4, k, n, group_size)
            made = replace(made, arrays={**made.arrays, "scale": scale, "offset": offset})
        yield made
    for layout, gain, group_size in product(LAYOUTS, NARROW_GAINS, (0, 128)):
        for numbers in EXTREMES:
            yield _extreme(514, numbers, layout, group_size, gain, rng)
        zeros = _matmul_problem(3, 70, 5, layout, group_size // 4, gain, rng)
        zeros.arrays["a"][1], zeros.arrays["q"][:, 2], zeros.arrays["offset"][:, ::2] = 0, 0, -0.0
        yield zeros
    k, n, group_size = LARGE_SHAPE
    for m, layout, gain in product((2, 3), LAYOUTS, NARROW_GAINS):  # as many as there are kinds of calls
        yield _matmul_problem(m, k, n, layout, group_size, gain, rng)


def _matmul_problem(m: int, k: int, n: int, layout: str, group_size: int, gain: int, rng: Rng) -> Problem:
    """Return a problem with random numbers."""
    scale, offset = parameters(k, n, group_size, rng)
    a, q = rng.integers(-128, 128, (m, k)).astype(np.int8), integers(k + k % 2, n, rng)
    arrays: dict[str, Array] = {"a": a, "q": q, "scale": scale, "offset": offset}
    return Problem("matmul", k, arrays, layout, group_size, gain)


def _extreme(
    k: int, numbers: tuple[int, int, int], layout: str, group_size: int, gain: int, rng: Rng | None
) -> Problem:
    """Return a problem with the same activation, wide and narrow integer throughout, or with few others strewn in."""
    activation, wide, narrow = numbers
    q = np.tile(np.array([[wide], [narrow]], np.int8), (k // 2 + k % 2, 1 if rng is None else 2))
    a = np.full((1 if rng is None else 2, k), activation, np.int8)
    if rng is not None:
        a = np.where(rng.random(a.shape) < 0.05, rng.integers(-128, 128, a.shape), a).astype(np.int8)
        q = np.where(rng.random(q.shape) < 0.05, integers(q.shape[0], q.shape[1], rng), q)
    one = np.ones((group_count(k, group_size), q.shape[1]), np.float32)
    return Problem("matmul", k, {"a": a, "q": q, "scale": one, "offset": one}, layout, group_size, gain)


def smallest(operation: str) -> Problem:
    """Return a problem of an operation that nobody could find hard."""
    one, zero = np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
    q, w = np.array([[1], [1]], np.int8), np.array([[0.0], [1.0]], np.float32)
    arrays: dict[str, dict[str, Array]] = {
        "pack": {"q": q},
        "unpack": {"q": q},
        "calibrate": {"w": w},
        "quantize": {"w": w, "scale": one, "offset": zero},
        "dequantize": {"q": q, "scale": one, "offset": zero},
        "quantize_activations": {"x": np.array([[0.0, 1.0]], np.float32)},
        "matmul": {"a": np.ones((1, 2), np.int8), "q": q, "scale": one, "offset": zero},
    }
    return Problem(operation, 2, arrays[operation])


GENERATORS = {
    "pack": pack_cases,
    "unpack": unpack_cases,
    "calibrate": calibrate_cases,
    "quantize": quantize_cases,
    "dequantize": dequantize_cases,
    "quantize_activations": activations_cases,
    "matmul": matmul_cases,
    "refusal": refusal_cases,
}
"""The problems of each operation, and those that must be refused."""


def problems(kind: str, level: int, seed: int) -> Iterator[Problem]:
    """Yield the problems of an operation, or ``"refusal"``; the same ones for the same level and seed.

    Errors: ValueError for an unknown kind or level.
    """
    if kind not in GENERATORS:
        raise ValueError(f"kind: expected one of {', '.join(GENERATORS)}, got {kind!r}")
    if level not in LEVELS:
        raise ValueError(f"level: expected one of {LEVELS}, got {level}")
    rng = np.random.default_rng([seed, list(GENERATORS).index(kind)])
    for index, problem in enumerate(GENERATORS[kind](level, rng)):
        yield replace(problem, origin=f"q35ref.oracle.problem({kind!r}, level={level}, seed={seed}, index={index})")
