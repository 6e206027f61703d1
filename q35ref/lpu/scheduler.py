"""From a plan to its program: every instruction, with its cycle."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from q35ref.lpu.layout import (
    ACTIVATIONS,
    INTEGERS,
    OFFSETS,
    ONES,
    OUTPUTS,
    ROW_SUMS,
    SCALES,
    accumulator,
    activation_address,
    integer,
    weight_place,
)  # fmt: skip
from q35ref.lpu.plan import Plan
from q35ref.lpu.program import ALU, NOTHING, OPERATIONS, STREAM, Program, Writer

Index = NDArray[np.int64]

ACTIVATION_STREAM, ACC_STREAM, OUT_STREAM, SUM_STREAM = 4, 5, 6, 7
"""Outward streams of activations and results; those before carry weights."""

SCALE_STREAM, OFFSET_STREAM, ROW_SUM_STREAM = 2, 3, 4
"""Inward streams while accumulators are drained; those before carry the two planes' sums."""

FROM: Final = {"in": STREAM, "alu": ALU}
"""Where an operand of an unpacking table comes from."""


def schedule(plan: Plan) -> Program:
    """Return the program. Domain: the plan fits (:func:`q35ref.lpu.layout.require_room`)."""
    writer = Writer()
    for hemisphere in range(plan.machine.hemispheres):
        tiles = plan.own_tiles(hemisphere)
        if tiles:
            _Hemisphere(plan, hemisphere, tiles, writer).write()
    return writer.program()


def _grid(*lengths: int) -> tuple[Index, ...]:
    """Return an index array for each dimension, to be broadcast against the others."""
    return tuple(np.ogrid[tuple(slice(length) for length in lengths)])


class _Hemisphere:
    """The instructions of a hemisphere that has column tiles."""

    def __init__(self, plan: Plan, hemisphere: int, tiles: int, writer: Writer) -> None:
        self.plan, self.hemisphere, self.tiles, self.writer = plan, hemisphere, tiles, writer
        self.machine = plan.machine

    def write(self) -> None:
        """Add all of them."""
        plan = self.plan
        self.install_ones()
        tile = _grid(plan.row_tiles)[0]
        self.stream(plan.ones_matmul + tile * plan.slots, tile, plan.column_tiles, 0, plan.row_tiles)
        self.unpack()
        column_tile, tile = _grid(self.tiles, plan.row_tiles)
        job = column_tile * plan.row_tiles + tile
        begin = plan.jobs_begin + job * plan.period + plan.installed
        self.stream(begin, tile, column_tile, (job + 1) % 2, plan.segment_tiles)
        self.drain_sums()
        if plan.segments > 1:
            self.combine()
        self.drain()

    def add(self, kind: str, **columns: Any) -> None:
        self.writer.add(kind, hemisphere=self.hemisphere, **columns)

    def read(self, there: Any, quad: int, address: Any, *, outward: bool, stream: int) -> None:
        """Read a word so that it is there at a cycle."""
        cycle = there - self.machine.memory_latency
        self.add("read", cycle=cycle, quad=quad, address=address, outward=outward, stream=stream)

    def alu(self, cycle: Any, alu: int, name: str, a: tuple[int, Any], b: tuple[int, Any] = (NOTHING, 0),
            immediate: int = 0, stream: Any = -1) -> None:  # fmt: skip
        """Issue an operation of the epilogue."""
        self.add(
            "alu", cycle=cycle, alu=alu, operation=OPERATIONS.index(name), immediate=immediate,
            from_a=a[0], a=a[1], from_b=b[0], b=b[1], stream=stream,
        )  # fmt: skip

    def install_ones(self) -> None:
        """Install a one in every row of buffer 0 of both planes."""
        latency = self.machine.memory_latency
        (cycle,) = _grid(self.plan.ones_cycles)
        self.read(cycle + latency, ACTIVATIONS, ONES, outward=True, stream=ACTIVATION_STREAM)
        cycle, plane, port = _grid(self.plan.ones_cycles, self.machine.planes, self.machine.install_words)
        word = cycle * self.machine.install_words + port
        row = word // 8 * 32 + word % 8
        self.add("install", cycle=cycle + latency, plane=plane, port=port, buffer=0, row=row, stream=ACTIVATION_STREAM)

    def stream(self, begin: Any, tile: Any, column_tile: Any, buffer: Any, segment_tiles: int) -> None:
        """Stream the activations of row tiles past what is installed, from the cycles ``begin`` on, an accumulator for
        so many tiles of a group."""
        plan = self.plan
        begin, tile, column_tile, buffer = (
            array.ravel() for array in np.broadcast_arrays(begin, tile, column_tile, buffer)
        )
        first = np.array([plan.tile_groups(t).start for t in range(plan.row_tiles)])[tile]
        count = np.array([len(plan.tile_groups(t)) for t in range(plan.row_tiles)])[tile]
        job, row, number = (array.ravel() for array in np.indices((len(tile), plan.m, plan.most_groups)))
        used = number < count[job]
        job, row, number = job[used], row[used], number[used]
        there = begin[job] + row * plan.most_groups + number
        group = first[job] + number
        since = tile[job] - plan.first_tile(group)
        address = activation_address(plan, tile[job], row, number)
        self.read(there, ACTIVATIONS, address, outward=True, stream=ACTIVATION_STREAM)
        plane = np.arange(self.machine.planes)[:, None]
        self.add(
            "matmul",
            cycle=there,
            plane=plane,
            buffer=buffer[job],
            stream=ACTIVATION_STREAM,
            byte=plane,
            accumulator=accumulator(plan, column_tile[job], row, group, since // segment_tiles),
            begins=since % segment_tiles == 0,
        )

    def unpack(self) -> None:
        """Read, unpack and install the weights of every job."""
        plan = self.plan
        job, block = _grid(self.tiles * plan.row_tiles, plan.blocks)
        begin = plan.jobs_begin + job * plan.period + block * plan.table.interval
        for fetch in plan.table.fetches:
            quad, address = weight_place(plan, job * plan.blocks + block, fetch.byte)
            self.add("read", cycle=begin + fetch.cycle, quad=quad, address=address, outward=fetch.outward,
                     stream=fetch.stream)  # fmt: skip
        for step in plan.table.steps:
            (kind_a, a), (kind_b, b) = [(FROM[kind], index) for kind, index in step.sources] + [(NOTHING, 0)] * (
                2 - len(step.sources)
            )
            self.alu(begin + step.cycle, step.alu, step.operation, (kind_a, a), (kind_b, b), step.immediate,
                     step.outward)  # fmt: skip
        for placement in plan.table.placements:
            self.add(
                "install",
                cycle=begin + placement.cycle,
                plane=placement.plane,
                port=placement.port,
                buffer=(job + 1) % 2,
                row=block * 32 + placement.row,
                stream=placement.stream,
            )

    def take(self, there: Any, address: Any) -> None:
        """Drain both planes' accumulators so that they are there at a cycle."""
        cycle = there - self.machine.drain_latency
        plane = np.arange(self.machine.planes)[:, None]
        self.add("drain", cycle=cycle, plane=plane, accumulator=address, stream=plane)

    def keep(self, there: Any, quad: int, address: Any, stream: int) -> None:
        """Write a word to memory that the VXM gave out at a cycle."""
        self.add("write", cycle=there + self.machine.memory_latency, quad=quad, address=address, stream=stream)

    def drain_sums(self) -> None:
        """Add both planes' row sums, as integers and as float32."""
        plan, latency = self.plan, self.machine.alu_latency
        (index,) = _grid(plan.m * plan.groups)
        there = plan.sums_drain + index + self.machine.drain_latency
        self.take(there, integer(plan, plan.column_tiles, 0, index) * plan.segments)
        self.alu(there, 0, "add", (STREAM, 0), (STREAM, 1), stream=ACC_STREAM)
        self.alu(there + latency, 1, "to_float", (ALU, 0), stream=SUM_STREAM)
        self.keep(there + latency, INTEGERS, integer(plan, plan.column_tiles, 0, index), ACC_STREAM)
        self.keep(there + 2 * latency, ROW_SUMS, index, SUM_STREAM)

    def order(self, turns: int, parts: int) -> tuple[Index, ...]:
        """Return place, column tile, row, group and part of what is summed over its parts, ``turns`` rows in turn."""
        plan = self.plan
        shape = self.tiles, -(-plan.m // turns), plan.groups, parts, turns
        place = np.arange(int(np.prod(shape)))
        tile, bundle, group, part, turn = (array.ravel() for array in np.indices(shape))
        row = bundle * turns + turn
        used = row < plan.m
        return place[used], tile[used], row[used], group[used], part[used]

    def planes_sum(self, there: Any, address: Any, stream: int = -1) -> Any:
        """Add both planes' accumulators, shifted, with ALUs 0 to 2; return the cycle at which the sum is there."""
        latency = self.machine.alu_latency
        self.take(there, address)
        for plane in range(self.machine.planes):
            self.alu(there, plane, "shift_right", (STREAM, plane), immediate=self.plan.result_shift(plane))
        self.alu(there + latency, 2, "add", (ALU, 0), (ALU, 1), stream=stream)
        return there + 2 * latency

    def running_sum(self, there: Any, alu: int, name: str, first: Any, last: Any, stream: int) -> Any:
        """Add what the ALU before gives to the ALU's own last sum, but for the first; give the last to a stream."""
        given = np.where(last, stream, -1)
        self.alu(there[first], alu, "keep", (ALU, alu - 1), stream=given[first])
        self.alu(there[~first], alu, name, (ALU, alu - 1), (ALU, alu), stream=given[~first])
        return there + self.machine.alu_latency

    def combine(self) -> None:
        """Add the accumulators of each group."""
        plan = self.plan
        place, tile, row, group, part = self.order(self.machine.alu_latency, plan.segments)
        own = plan.group_segments(group)
        used = part < own
        place, tile, row, group, part, own = (each[used] for each in (place, tile, row, group, part, own))
        there = plan.combine + place + self.machine.drain_latency
        there = self.planes_sum(there, accumulator(plan, tile, row, group, part))
        last = part == own - 1
        there = self.running_sum(there, 3, "add", part == 0, last, ACC_STREAM)
        self.keep(there[last], INTEGERS, integer(plan, tile, row, group)[last], ACC_STREAM)

    def drain(self) -> None:
        """Scale and sum the integers: ``out = sum over the groups of scale acc + offset row_sum``."""
        plan, latency = self.plan, self.machine.alu_latency
        place, tile, row, group, _ = self.order(plan.interleaved, 1)
        there = plan.drain + place + self.machine.drain_latency
        if plan.segments > 1:
            there = there + 2 * latency
            self.read(there, INTEGERS, integer(plan, tile, row, group), outward=False, stream=0)
            self.alu(there, 3, "to_float", (STREAM, 0))
        else:
            there = self.planes_sum(there, accumulator(plan, tile, row, group), ACC_STREAM)
            self.keep(there, INTEGERS, integer(plan, tile, row, group), ACC_STREAM)
            self.alu(there, 3, "to_float", (ALU, 2))
        scaled, parameter = there + latency, tile * plan.groups + group
        self.read(scaled, SCALES, parameter, outward=False, stream=SCALE_STREAM)
        self.read(scaled, OFFSETS, parameter, outward=False, stream=OFFSET_STREAM)
        self.read(scaled, ROW_SUMS, row * plan.groups + group, outward=False, stream=ROW_SUM_STREAM)
        self.alu(scaled, 4, "multiply", (ALU, 3), (STREAM, SCALE_STREAM))
        self.alu(scaled, 5, "multiply", (STREAM, ROW_SUM_STREAM), (STREAM, OFFSET_STREAM))
        self.alu(scaled + latency, 6, "add_float", (ALU, 4), (ALU, 5))
        last = group == plan.groups - 1
        there = self.running_sum(scaled + 2 * latency, 7, "add_float", group == 0, last, OUT_STREAM)
        self.keep(there[last], OUTPUTS, (tile * plan.m + row)[last], OUT_STREAM)
