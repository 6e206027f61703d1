"""Cutting a failing problem down to a small one that fails the same way.

Greedy and deterministic: fewer columns and rows first, then plainer settings, then plainer numbers, as long as
anything helps. The work is bounded by what it costs to judge, so that a long problem cannot stall a run.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from q35ref.oracle.problem import Problem

BUDGET = 1_000_000
"""Numbers that may be judged while one problem is cut down, each attempt counting for at least 250."""

Fails = Callable[[Problem], bool]


def shrink(problem: Problem, fails: Fails, budget: int = BUDGET) -> Problem:
    """Return a problem no larger than ``problem`` for which ``fails`` still holds. Domain: ``fails(problem)``."""
    left = budget
    improved = True
    while improved:
        improved = False
        for step in STEPS:
            candidates = step(problem)
            candidate = next(candidates, None)
            while candidate is not None and left > 0:
                left -= max(250, candidate.work)
                if candidate.legal() and fails(candidate):
                    problem, improved = candidate, True
                    candidates = step(problem)
                candidate = next(candidates, None)
    return problem


def _parts(length: int) -> Iterator[slice]:
    """Yield parts of a dimension: each one alone, either half, all but the last, all but the first."""
    if length > 1:
        yield from (slice(index, index + 1) for index in range(length))
    if length > 2:
        half = length // 2
        yield from (slice(0, half), slice(half, length), slice(0, length - 1), slice(1, length))


def _fewer_columns(problem: Problem) -> Iterator[Problem]:
    yield from (problem.restrict(columns=part) for part in _parts(problem.n))


def _fewer_activations(problem: Problem) -> Iterator[Problem]:
    yield from (problem.restrict(activations=part) for part in _parts(problem.m))


def _fewer_rows(problem: Problem) -> Iterator[Problem]:
    """Yield the problem with fewer rows: a short start of it, a half less, one less; then without its start."""
    k = problem.k
    ends = {length for length in (1, 2, 3, 4, 16, 17, 18) if length < k}
    ends |= {k - (k >> shift) for shift in range(1, k.bit_length())}
    for end in sorted(ends):
        yield problem.restrict(rows=slice(0, end))
    unit = problem.group_size if 0 < problem.group_size < k else 2
    starts = {start - start % unit for start in (k // 2, k // 4, unit)}
    for start in sorted(starts - {0}, reverse=True):
        if start < k:
            yield problem.restrict(rows=slice(start, k))


def _plainer_settings(problem: Problem) -> Iterator[Problem]:
    if problem.layout != "byte":
        yield problem.with_settings(layout="byte")
    if problem.group_size >= problem.k:
        yield problem.with_settings(group_size=0)
    if problem.group_size > 16 and "scale" not in problem.arrays:
        yield problem.with_settings(group_size=16)
    if problem.narrow_gain != 1:
        yield problem.with_settings(narrow_gain=1)


def _plainer_arrays(problem: Problem) -> Iterator[Problem]:
    """Yield the problem with a whole array, or a half, quarter or eighth of it, made plain."""
    for name, array in problem.arrays.items():
        plain = array.dtype.type(_plain(name))
        for parts in sorted({min(parts, array.size) for parts in (1, 2, 4, 8)}):
            for places in np.array_split(np.arange(array.size), parts):
                if (array.flat[places] != plain).any():
                    values = array.copy()
                    values.flat[places] = plain
                    yield problem.with_array(name, values)


def _plainer_numbers(problem: Problem) -> Iterator[Problem]:
    """Yield the problem with one number made plainer."""
    for name, array in problem.arrays.items():
        for place in range(min(array.size, 256)):
            for number in _plainer(array.flat[place], _plain(name)):
                values = array.copy()
                values.flat[place] = number
                yield problem.with_array(name, values)


def _plain(name: str) -> int:
    """Return the plainest number of an array: 1 for scales, which must be positive, else 0."""
    return 1 if name == "scale" else 0


def _complexity(number: float) -> tuple[int, float, bool]:
    """Order numbers by how much there is to read: digits of the integer ratio, magnitude, sign."""
    numerator, denominator = float(number).as_integer_ratio()
    return (len(f"{abs(numerator)}{denominator}"), abs(number), number < 0)


def _plainer(number: Any, plain: int) -> Iterator[Any]:
    """Yield plainer numbers of the same type, the plainest first."""
    value = float(number)
    if value == plain or not np.isfinite(value):
        return
    candidates = {
        float(plain),
        1.0,
        2.0,
        3.0,
        0.5,
        -value,
        np.trunc(value),
        np.trunc(value / 2),
        value - np.sign(value),
    }
    if number.dtype.kind == "f":
        fraction, exponent = np.frexp(value)
        candidates |= {np.ldexp(np.round(fraction * 2.0**bits) / 2.0**bits, exponent) for bits in (1, 2, 4, 8, 12, 16)}
    if number.dtype.kind == "i":
        limits = np.iinfo(number.dtype)
        candidates = {c for c in candidates if c == int(c) and limits.min <= c <= limits.max}
    for candidate in sorted((float(c) for c in candidates), key=_complexity):
        if _complexity(candidate) < _complexity(value):
            yield number.dtype.type(candidate)


STEPS = (
    _fewer_columns,
    _fewer_activations,
    _fewer_rows,
    _plainer_settings,
    _plainer_arrays,
    _plainer_numbers,
)
"""What is tried, in order. Each yields candidates for a problem, the most promising first."""
