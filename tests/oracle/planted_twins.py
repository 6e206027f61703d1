"""Bug classes beside the planted kernels, which are the same bugs written a second time from other code.

:func:`assert_twins` demands that a class gives what a planted kernel gives on each of some problems, and that both are
wrong on one of them at least. The problems are few and small, but have all that a bug of the operation can show on.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np

from q35ref.oracle import cases
from q35ref.oracle.bugs.base import Bug
from q35ref.oracle.problem import Array, Problem
from q35ref.reference.lanes import LAYOUTS, NARROW_GAINS, group_count
from tests.kernels import planted

SHAPES = ((1, 1), (2, 3), (3, 2), (7, 3), (16, 2), (17, 3), (18, 1), (33, 2), (35, 4))
"""Rows and columns: odd and even, with and without whole blocks, one column and more."""

PRODUCTS = (
    (2, 5, 3, 0),
    (1, 17, 1, 16),
    (3, 40, 2, 16),
    (5, 48, 9, 32),
    (4, 64, 8, 64),
    (9, 130, 17, 64),
    (2, 129, 2, 128),
    (3, 96, 5, 48),
    (2, 65, 3, 0),
)
"""Rows of activations, rows, columns and group size: short last groups and none, remains of four and eight."""


@cache
def packing() -> tuple[Problem, ...]:
    """Return problems of ``pack``: every pair, and the shapes, in each layout."""
    rng = np.random.default_rng(1)
    arrays = [cases.every_pair(), *(cases.integers(k, n, rng) for k, n in SHAPES)]
    return tuple(Problem("pack", len(q), {"q": q}, layout) for layout in LAYOUTS for q in arrays)


@cache
def unpacking() -> tuple[Problem, ...]:
    """Return the same problems the other way; where ``k`` is odd, a last integer is there that must be ignored."""
    rng = np.random.default_rng(2)
    return tuple(
        Problem("unpack", p.k, {"q": cases.integers(p.k + 1, p.n, rng) if p.k % 2 else p.arrays["q"]}, p.layout)
        for p in packing()
    )


def multiplication(m: int, k: int, n: int, group_size: int, layout: str = "dense", gain: int = 2) -> Problem:
    """Return a random problem of ``matmul``, with a smallest and a largest activation in each row."""
    rng = np.random.default_rng([m, k, n])
    a, q = rng.integers(-128, 128, (m, k)).astype(np.int8), cases.integers(k + k % 2, n, rng)
    a[:, 0], a[:, -1] = -128, 127
    scale, offset = cases.parameters(k, n, group_size, rng)
    return Problem("matmul", k, {"a": a, "q": q, "scale": scale, "offset": offset}, layout, group_size, gain)


@cache
def multiplying() -> tuple[Problem, ...]:
    """Return problems of ``matmul``: the shapes, in layouts and gains by turns."""
    return tuple(
        multiplication(*shape, LAYOUTS[number % 2], NARROW_GAINS[number // 2 % 2])
        for number, shape in enumerate(PRODUCTS)
    )


def extreme(k: int, numbers: tuple[int, int, int], group_size: int = 0) -> Problem:
    """Return a product of the same activation, wide and narrow integer throughout."""
    activation, wide, narrow = numbers
    q = np.tile(np.array([[wide], [narrow]], np.int8), (k // 2 + k % 2, 1))
    one = np.ones((group_count(k, group_size), 1), np.float32)
    arrays: dict[str, Array] = {"a": np.full((1, k), activation, np.int8), "q": q, "scale": one, "offset": one}
    return Problem("matmul", k, arrays, "byte", group_size, 2)


@cache
def quantizing() -> tuple[Problem, ...]:
    """Return problems of ``quantize``: near-ties of each regime, then ordinary weights in groups, in each gain."""
    rng = np.random.default_rng(3)
    found = []
    for index in range(len(cases.REGIMES)):
        gain, group_size = NARROW_GAINS[index % 2], (0, 16)[index // 2 % 2]
        scale, offset = cases.regime(index, 18, 3, group_size)
        w = cases.near_ties(18, scale, offset, group_size, gain, rng)
        found.append(Problem("quantize", 18, {"w": w, "scale": scale, "offset": offset}, "byte", group_size, gain))
    for k, n, group_size, gain in ((40, 3, 16, 2), (33, 2, 32, 1), (17, 5, 0, 2), (48, 2, 16, 1)):
        scale, offset = cases.parameters(k, n, group_size, rng)
        near = cases.near_ties(k, scale, offset, group_size, gain, rng)
        for w in (near, (rng.normal(0, 6, (k, n)) * scale.max() + offset.mean()).astype(np.float32)):
            found.append(Problem("quantize", k, {"w": w, "scale": scale, "offset": offset}, "byte", group_size, gain))
    return tuple(found)


@cache
def restoring() -> tuple[Problem, ...]:
    """Return problems of ``dequantize``: every pair in some regimes, then groups; no sum is too large for a float32."""
    rng = np.random.default_rng(4)
    found = []
    arrays: dict[str, Array]
    for index in (0, 1, 4, 7, 8, 10, 11, 12):
        scale, offset = cases.regime(index, 2, 128, 0)
        arrays = {"q": cases.every_pair(), "scale": scale, "offset": offset}
        found.append(Problem("dequantize", 2, arrays, narrow_gain=NARROW_GAINS[index % 2]))
    for k, n, group_size, gain in ((40, 3, 16, 2), (33, 2, 32, 1), (17, 5, 0, 2), (48, 2, 16, 2)):
        scale, offset = cases.parameters(k, n, group_size, rng)
        arrays = {"q": cases.integers(k, n, rng), "scale": scale, "offset": offset}
        found.append(Problem("dequantize", k, arrays, "byte", group_size, gain))
    return tuple(found)


PROBLEMS = {
    "pack": packing,
    "unpack": unpacking,
    "quantize": quantizing,
    "dequantize": restoring,
    "matmul": multiplying,
}
"""The problems by operation."""


def result(kernel: Any, problem: Problem) -> tuple[Any, ...]:
    """Return the arrays that a kernel gives for a problem."""
    with np.errstate(all="ignore"):
        found = getattr(kernel, problem.operation)(*problem.arguments().values())
    return tuple(found) if isinstance(found, tuple) else (found,)


def same(some: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    """Say whether results are the same in dtype, shape and every number."""
    return len(some) == len(others) and all(
        one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        for one, other in zip(some, others, strict=True)
    )


@cache
def right(operation: str) -> tuple[tuple[Any, ...], ...]:
    """Return what the correct planted kernel gives for each problem of an operation."""
    return tuple(result(planted.Correct(), problem) for problem in PROBLEMS[operation]())


def assert_twins(bug: Bug, twin: Any, problems: Iterable[Problem]) -> None:
    """Demand that both give the same on each problem, and on one at least not what is right."""
    wrong = 0
    for problem in problems:
        found, expected = result(bug, problem), result(twin, problem)
        assert same(found, expected), f"{bug.name} is not as its twin on {problem}"
        wrong += not same(found, result(planted.Correct(), problem))
    assert wrong > 0, f"{bug.name} is right on every problem"


def assert_twins_everywhere(bug: Bug, twin: Any) -> None:
    """Demand the same of all problems of the operations in which the bug shows, each of which must show it."""
    for operation in bug.operations:
        assert_twins(bug, twin, PROBLEMS[operation]())


def results(bug: Bug) -> Iterator[tuple[Any, ...]]:
    """Yield what a class gives for each problem of its operations."""
    for operation in bug.operations:
        for problem in PROBLEMS[operation]():
            yield result(bug, problem)


def assert_unlike(bugs: Iterable[Bug]) -> None:
    """Demand that each two of some bugs give something else on some problem."""
    seen = [b"".join(part.tobytes() for each in results(bug) for part in each) for bug in bugs]
    assert len(set(seen)) == len(seen) > 1
