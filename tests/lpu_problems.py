"""Small machines and problems for the tests of the LPU simulator."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from q35ref.lpu.experiment import drawn, expected
from q35ref.lpu.formats import FORMATS, stored
from q35ref.lpu.image import Image, load
from q35ref.lpu.machine import Machine
from q35ref.lpu.plan import Plan
from q35ref.lpu.program import COLUMNS, Program, Records
from q35ref.lpu.simulate import compiled

SMALL: Final = Machine("small", lanes=32, rows=32)

QUICK: Final = Machine(
    "quick", lanes=32, rows=32, hemispheres=1, alu_latency=2, memory_latency=3, transit=1, matrix_latency=5,
    drain_latency=2,
)  # fmt: skip

TALL: Final = Machine("tall", lanes=64, rows=64, alu_latency=3, install_words=1, alus=9, streams=9)

MACHINES: Final = (SMALL, QUICK, TALL, SMALL.joined(2), SMALL.joined(3))


@dataclass(frozen=True)
class Segmented(Plan):
    """A plan whose accumulators hold one row tile, so that small shapes need several of them."""

    @property
    def segment_tiles(self) -> int:
        """One."""
        return 1


@dataclass
class Problem:
    """A plan with numbers, and what must come of them."""

    plan: Plan
    image: Image
    program: Program
    acc: NDArray[Any]
    row_sum: NDArray[Any]


def problem(plan: Plan, seed: int = 1) -> Problem:
    """Return a plan with random numbers."""
    generator = np.random.default_rng(seed)
    q = drawn(plan.weights, plan.k, plan.n, generator)
    a = generator.integers(-128, 128, (plan.m, plan.k), np.int8)
    scale = generator.random((plan.groups, plan.n), np.float32) + np.float32(0.5)
    offset = generator.standard_normal((plan.groups, plan.n), np.float32)
    image = load(plan, a, stored(plan.weights, q), scale, offset)
    return Problem(plan, image, compiled(plan), *expected(plan, a, q))


def small(name: str = "dense", m: int = 2, k: int = 70, n: int = 40, group_size: int = 0, **options: Any) -> Plan:
    """Return a plan of a small matmul."""
    return Plan(options.pop("machine", SMALL), FORMATS[name], m, k, n, group_size, options.pop("narrow_gain", 1))


def changed(program: Program, kind: str, index: int, **columns: int) -> Program:
    """Return a program of which one instruction has other fields."""
    records = program.kinds()
    own = records[kind].copy()
    for name, value in columns.items():
        own[index][name] = value
    records[kind] = own[np.argsort(own["cycle"], kind="stable")]
    return Program(**records)


def added(program: Program, kind: str, **columns: int) -> Program:
    """Return a program with one more instruction."""
    records = program.kinds()
    record = np.array([tuple(columns[name] for name in COLUMNS[kind])], records[kind].dtype)
    own = np.concatenate([records[kind], record])
    records[kind] = own[np.argsort(own["cycle"], kind="stable")]
    return Program(**records)


def without(program: Program, kind: str, index: int) -> Program:
    """Return a program with one instruction less."""
    records = program.kinds()
    records[kind] = np.delete(records[kind], index)
    return Program(**records)


def fields(record: Records) -> dict[str, int]:
    """Return an instruction's fields by name."""
    return {name: int(record[name]) for name in record.dtype.names or ()}
