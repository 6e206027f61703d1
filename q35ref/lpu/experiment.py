"""A matmul of random numbers, run on the machine and compared with NumPy: what it costs, and that it is right."""

import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from q35ref.lpu.executor import EXACT_ROWS
from q35ref.lpu.formats import WeightFormat, stored
from q35ref.lpu.layout import require_residence
from q35ref.lpu.plan import Plan
from q35ref.lpu.program import Program
from q35ref.lpu.simulate import Pass, simulate
from q35ref.lpu.timing import Cost, cost
from q35ref.reference.matmul import output_bound

ROUNDED: Final = 1e-12
"""What float64 may be off by in the sums that results are compared with, as a part of their terms' magnitude."""


@dataclass(frozen=True)
class Run:
    """A matmul that was simulated."""

    plan: Plan
    parts: list[tuple[Pass, Program]]
    costs: list[Cost]
    """Of each part."""
    faults: int
    """Accumulators and row sums that are not what NumPy's product is, results that are not within their bound, and
    words that a chip has wrong after an all-gather; 0 unless the simulator is wrong."""
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
        q[lane::2] = generator.integers(-limit, limit, q[lane::2].shape, np.int8)
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
    made = simulate(plan, a, packed, scale, offset)
    seconds = time.perf_counter() - begun
    found = made.result
    acc, sums = expected(plan, a, q)
    faults = int((acc != found.acc).sum() + (sums != found.row_sum).sum()) + made.gather_faults
    terms = acc * scale.T.astype(float), sums @ offset.astype(float)
    out, magnitude = terms[0].sum(axis=2) + terms[1], np.abs(terms[0]).sum(axis=2) + np.abs(sums) @ np.abs(offset)
    error = np.abs(found.out - out)
    faults += int((error > float(output_bound(plan.groups, Fraction(1))) * magnitude + ROUNDED * magnitude).sum())
    largest = np.abs(out).max()
    return Run(
        plan,
        made.parts,
        [cost(part.plan, program) for part, program in made.parts],
        faults,
        seconds,
        float(error.max() / largest) if largest else 0.0,
    )


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
