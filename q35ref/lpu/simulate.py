"""A matmul on the machine: planned, scheduled, verified and run."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.protocol import MatmulResult
from q35ref.lpu.allgather import gather
from q35ref.lpu.executor import Executor
from q35ref.lpu.image import gathered_results, load, results
from q35ref.lpu.layout import NoRoom, fits, require_residence, require_room
from q35ref.lpu.plan import Plan
from q35ref.lpu.program import Program, joined
from q35ref.lpu.scheduler import schedule
from q35ref.lpu.verifier import verify


@dataclass(frozen=True)
class Pass:
    """A part of a matmul that fits a chip at once."""

    rows: slice
    """Of the activations."""
    columns: slice
    """Of the weights."""
    plan: Plan


def passes(plan: Plan) -> Iterator[Pass]:
    """Yield the parts of a matmul: all columns at once if they fit, else halves of them, with as many rows as fit.

    Errors: NoRoom where not even one row and one tile of columns fits.
    """
    width = plan.machine.lanes * plan.machine.hemispheres
    tiles = plan.column_tiles
    while tiles > 1 and not fits(replace(plan, m=1, n=min(plan.n, tiles * width))):
        tiles = -(-tiles // 2)
    wide = min(plan.n, tiles * width)
    require_room(replace(plan, m=1, n=wide))
    height = _most_rows(replace(plan, n=wide))
    for left in range(0, plan.n, wide):
        columns = slice(left, min(left + wide, plan.n))
        for top in range(0, plan.m, height):
            rows = slice(top, min(top + height, plan.m))
            yield Pass(rows, columns, replace(plan, m=rows.stop - top, n=columns.stop - left))


def _most_rows(plan: Plan) -> int:
    """Return the most rows of activations that fit; one does."""
    low, high = 1, plan.m
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(replace(plan, m=middle)) else (low, middle - 1)
    return low


def compiled(plan: Plan) -> Program:
    """Return the program of a plan that fits: its schedule, and the all-gather where there are several chips."""
    program = schedule(plan)
    return program if plan.machine.chips == 1 else joined(program, gather(plan))


@dataclass(frozen=True)
class Simulation:
    """A matmul that was run."""

    result: MatmulResult
    parts: list[tuple[Pass, Program]]
    """Each part with its program."""
    gather_faults: int
    """Results that some chip has otherwise than the chip that made them, after the all-gather."""


def simulate(
    plan: Plan, a: NDArray[np.int8], packed: NDArray[np.uint8], scale: NDArray[Any], offset: NDArray[Any]
) -> Simulation:
    """Return the results of a matmul, and each part with the program that was run for it.

    Shapes: ``a`` int8[M, K]; ``packed`` uint8[N, bytes]; ``scale``, ``offset`` float32[G, N]. Every program is verified
    before it runs. Errors: NoRoom where the chips cannot hold all weights and parameters at once, which says how many
    can; ScheduleError if the scheduler were wrong.
    """
    require_residence(plan)
    acc = np.zeros((plan.m, plan.n, plan.groups), np.int32)
    row_sum = np.zeros((plan.m, plan.groups), np.int32)
    out = np.zeros((plan.m, plan.n), np.float32)
    run, faults = [], 0
    for part in passes(plan):
        program = compiled(part.plan)
        image = load(part.plan, a[part.rows], packed[part.columns], scale[:, part.columns], offset[:, part.columns])
        verify(program, plan.machine, image.keys)
        Executor(plan.machine, image.memory).run(program)
        found = results(part.plan, image.memory)
        acc[part.rows, part.columns], row_sum[part.rows], out[part.rows, part.columns] = found
        faults += sum(
            int((gathered_results(part.plan, image.memory, chip).view(np.uint32) != found[2].view(np.uint32)).sum())
            for chip in range(plan.machine.chips if plan.machine.chips > 1 else 0)
        )
        run.append((part, program))
    return Simulation(MatmulResult(acc, row_sum, out), run, faults)


__all__ = ["NoRoom", "Pass", "Simulation", "compiled", "passes", "simulate"]
