"""The all-gather: after a matmul over several chips, each sends the results of its columns to every other.

Each chip is linked to each other by the same number of links, its *lines*. A chip's words leave in the order of column
tile, row and hemisphere, on its lines in turn, to all others at once: they take the word from the stream in the same
cycle. Chips and lines begin a cycle apart from each other, so that no two words come to a memory in the same cycle.
"""

from typing import Any, Final

import numpy as np

from q35ref.lpu.layout import ACTIVATIONS, OUTPUTS, gathered
from q35ref.lpu.machine import Machine
from q35ref.lpu.plan import Plan
from q35ref.lpu.program import Program, Writer

GATHER_STREAM: Final = 0
"""Outward stream of what is sent; nothing else is on the way by then."""


def spacing(machine: Machine) -> int:
    """Return the cycles from a word on a link to the next."""
    return max(machine.link_cycles, machine.chips * machine.lines)


def sent(plan: Plan, side: Any, column_tile: Any, row: Any) -> Any:
    """Return how many cycles after ``plan.total`` a chip's word is at its links, the chip's own cycle not counted."""
    machine = plan.machine
    number = (column_tile * plan.m + row) * machine.sides + side
    return machine.memory_latency + number // machine.lines * spacing(machine) + number % machine.lines


def gathered_at(plan: Plan) -> int:
    """Return the cycles of a matmul with its all-gather: the last word is in another chip's memory."""
    machine = plan.machine
    if machine.chips == 1:
        return plan.total
    last = 0
    for hemisphere in range(machine.hemispheres):
        chip, side = divmod(hemisphere, machine.sides)
        if tiles := plan.own_tiles(hemisphere):
            last = max(last, chip * machine.lines + sent(plan, side, tiles - 1, plan.m - 1))
    return plan.total + last + machine.link_cycles + machine.hop + 1


def gather(plan: Plan) -> Program:
    """Return the instructions of the all-gather that follows a matmul. Domain: several chips, and room."""
    machine, writer = plan.machine, Writer()
    for hemisphere in range(machine.hemispheres):
        tiles = plan.own_tiles(hemisphere)
        if not tiles:
            continue
        chip, side = divmod(hemisphere, machine.sides)
        tile, row = np.ogrid[:tiles, : plan.m]
        number = (tile * plan.m + row) * machine.sides + side
        there = plan.total + chip * machine.lines + sent(plan, side, tile, row)
        writer.add(
            "read", cycle=there - machine.memory_latency, hemisphere=hemisphere, quad=OUTPUTS,
            address=tile * plan.m + row, outward=True, stream=GATHER_STREAM,
        )  # fmt: skip
        line = number % machine.lines
        for peer in set(range(machine.chips)) - {chip}:
            writer.add(
                "send", cycle=there, hemisphere=hemisphere, link=machine.link(chip, peer, line), stream=GATHER_STREAM
            )
            writer.add(
                "receive",
                cycle=there + machine.link_cycles + machine.hop,
                hemisphere=peer * machine.sides + side,
                link=machine.link(peer, chip, line),
                quad=ACTIVATIONS,
                address=gathered(plan, hemisphere, tile, row),
            )
    return writer.program()
