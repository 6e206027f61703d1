"""A matmul of random numbers, run on the machine and compared with NumPy: what it costs, and that it is right."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from q35ref.lpu.executor import EXACT_ROWS
from q35ref.lpu.formats import WeightFormat, stored
from q35ref.lpu.layout import require_residence
from q35ref.lpu.plan import Plan
from q35ref.lpu.program import Program
from q35ref.lpu.simulate import Pass, simulate
from q35ref.lpu.timing import Cost, cost


@dataclass(frozen=True)
class Run:
    """A matmul that was simulated."""

    plan: Plan
    parts: list[tuple[Pass, Program]]
    costs: list[Cost]
    """Of each part."""
    faults: int
    """Accumulators and row sums that are not what NumPy's int64 product is; 0 unless the simulator is wrong."""
    seconds: float
    """That the simulation took: scheduling, verifying and executing."""
    largest_error: float
    """Of ``out``, as a part of its largest number, against float64."""

    @property
    def cycles(self) -> int:
        """Of all parts, one after the other."""
        return sum(part.cycles for part in self.costs)


def drawn(weights: WeightFormat, k: int, n: int, generator: np.random.Generator) -> NDArray[np.int8]:
    """Return random integers ``[K, N]`` that a format can hold."""
    q = np.empty((k, n), np.int8)
    for lane in (0, 1):
        limit = 1 << (weights.fields[lane].width - 1)
        q[lane::2] = generator.integers(-limit, limit, q[lane::2].shape)
    return q


def run(plan: Plan, seed: int = 1) -> Run:
    """Return a matmul of random numbers, simulated, with its cost. Errors: NoRoom."""
    require_residence(plan)
    generator = np.random.default_rng(seed)
    q = drawn(plan.weights, plan.k, plan.n, generator)
    a = generator.integers(-128, 128, (plan.m, plan.k), np.int8)
    scale = generator.random((plan.groups, plan.n), np.float32) + np.float32(0.5)
    offset = generator.standard_normal((plan.groups, plan.n), np.float32)
    packed = stored(plan.weights, q)
    begun = time.perf_counter()
    found, parts = simulate(plan, a, packed, scale, offset)
    seconds = time.perf_counter() - begun
    acc, sums = expected(plan, a, q)
    faults = int((acc != found.acc).sum() + (sums != found.row_sum).sum())
    out = np.einsum("mng,gn->mn", acc.astype(float), scale.astype(float))
    out += sums.astype(float) @ offset.astype(float)
    error = float(np.abs(found.out - out).max() / np.abs(out).max())
    return Run(plan, parts, [cost(part.plan, program) for part, program in parts], faults, seconds, error)


def expected(plan: Plan, a: NDArray[np.int8], q: NDArray[np.int8]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return ``acc`` and ``row_sum`` by NumPy's product of some rows at a time, which float32 has room for exactly."""
    acc = np.zeros((plan.m, plan.n, plan.groups), np.int64)
    row_sum = np.zeros((plan.m, plan.groups), np.int64)
    for group, rows in enumerate(plan.group_rows):
        row_sum[:, group] = a[:, rows].sum(axis=1, dtype=np.int64)
        for start in range(rows.start, rows.stop, EXACT_ROWS):
            part = range(start, min(start + EXACT_ROWS, rows.stop))
            gains = np.where(np.arange(part.start, part.stop) % 2, plan.narrow_gain, 1).astype(np.int8)
            weights = (q[part.start : part.stop] * gains[:, None]).astype(np.float32)
            products = a[:, part.start : part.stop].astype(np.float32) @ weights
            acc[:, :, group] += products.astype(np.int64)
    return acc, row_sum
