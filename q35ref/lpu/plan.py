"""When what happens: the closed form of a matmul's schedule.

A *job* is a tile of ``2 rows`` rows of weights by ``lanes`` columns; even rows go to plane 0 and odd ones to plane 1.
Hemisphere ``h`` has the column tiles ``u * hemispheres + h``; all hemispheres do the same at the same cycles. In order:

1. ones are installed, and all activations are streamed past them: the row sums;
2. job ``i`` begins at ``jobs_begin + i * period``: its blocks are unpacked and installed one after the other, then its
   activations are streamed, while the next job is installed into the other buffer;
3. the row sums and then the accumulators are drained, scaled and summed; where a group is so long that several
   accumulators share its rows, these are added first.

With groups, an activation vector holds the rows of one group alone, zeros elsewhere: the sums of groups must not mix.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from q35ref.lpu.formats import WeightFormat
from q35ref.lpu.machine import WORD, Machine
from q35ref.lpu.unpacking import BLOCK, Table, table
from q35ref.reference.lanes import check_size, group_count, group_length, group_rows

EPILOGUE_STAGES = 6
"""ALU instructions one after the other from an accumulator to ``out``: shift, add, convert, multiply, add, add."""

COMBINE_STAGES = 3
"""The same from several accumulators of a group to their sum: shift, add, add."""


@dataclass(frozen=True)
class Plan:
    """A matmul ``a[M, K] @ w[K, N]`` on a machine. Errors: ValueError for sizes that the format does not have.

    Names in ``..._begin``, ``..._drain``, ``combine``, ``drain`` and ``total`` are cycles of the run; ``period`` and
    ``installed`` are lengths; ``slots``, ``results`` and ``combined`` count places, a cycle each. For a product of 1 by
    320 by 320 in the dense layout on the first chip:

    >>> from q35ref.lpu.formats import FORMATS
    >>> from q35ref.lpu.machine import TSP_V1
    >>> plan = Plan(TSP_V1, FORMATS["dense"], 1, 320, 320, 0, 2)
    >>> plan.jobs_begin, plan.jobs_begin + plan.installed, plan.sums_drain, plan.drain, plan.total
    (41, 129, 162, 199, 244)
    """

    machine: Machine
    weights: WeightFormat
    m: int
    k: int
    n: int
    group_size: int
    narrow_gain: int

    def __post_init__(self) -> None:
        """Demand a matmul that the format has. Errors: ValueError."""
        for name in ("m", "k", "n"):
            check_size(name, getattr(self, name))
        length = group_length(self.k, self.group_size)
        if self.narrow_gain not in self.weights.gains:
            expected = " or ".join(map(str, self.weights.gains))
            raise ValueError(f"narrow_gain: expected {expected} for {self.weights.name}, got {self.narrow_gain}")
        longest = (2**31 - 1) // (128 * max(1 << (field.width - 1) for field in self.weights.fields))
        if length > longest:
            raise ValueError(f"group_size: {self.weights.name} has groups of at most {longest} rows, got {length}")

    @cached_property
    def table(self) -> Table:
        """How a block is unpacked."""
        return table(replace(self.machine, name="", hemispheres=1, chips=1), self.weights)

    @property
    def groups(self) -> int:
        """G."""
        return group_count(self.k, self.group_size)

    @property
    def group_rows(self) -> list[range]:
        """The rows of each group."""
        return group_rows(self.k, self.group_size)

    @property
    def tile_rows(self) -> int:
        """Rows of weights of a job, on both planes together."""
        return 2 * self.machine.rows

    @property
    def row_tiles(self) -> int:
        """Tiles one beneath the other."""
        return -(-self.k // self.tile_rows)

    @property
    def column_tiles(self) -> int:
        """Tiles side by side, of the hemisphere that has most."""
        return -(-self.n // (self.machine.lanes * self.machine.hemispheres))

    def own_tiles(self, hemisphere: int) -> int:
        """Return the column tiles of a hemisphere."""
        whole = -(-self.n // self.machine.lanes)
        return -(-(whole - hemisphere) // self.machine.hemispheres)

    @property
    def jobs(self) -> int:
        """Of the hemisphere that has most."""
        return self.row_tiles * self.column_tiles

    @property
    def blocks(self) -> int:
        """Of a job."""
        return self.tile_rows // BLOCK

    def tile_groups(self, tile: int) -> range:
        """Return the groups of which a row tile has rows."""
        length = group_length(self.k, self.group_size)
        last = min((tile + 1) * self.tile_rows, self.k) - 1
        return range(tile * self.tile_rows // length, last // length + 1)

    def first_tile(self, group: Any) -> Any:
        """Return the row tile in which a group begins."""
        return group * group_length(self.k, self.group_size) // self.tile_rows

    def result_shift(self, lane: int) -> int:
        """How far the sums of a plane are shifted to the right: the rows are installed at the top of a byte."""
        return self.weights.result_shift(lane) - (self.narrow_gain // 2 if lane else 0)

    @cached_property
    def most_groups(self) -> int:
        """Groups of the row tile that has most."""
        return max(len(self.tile_groups(tile)) for tile in range(self.row_tiles))

    @property
    def slots(self) -> int:
        """Activation vectors of a job: one for each row and each group of the tile that has most."""
        return self.m * self.most_groups

    @property
    def ones_cycles(self) -> int:
        """Cycles in which the ones are installed."""
        return self.machine.rows // (WORD * self.machine.install_words)

    @property
    def ones_matmul(self) -> int:
        """Cycle of the first activation vector for the row sums."""
        return self.machine.memory_latency + self.ones_cycles

    @property
    def jobs_begin(self) -> int:
        """Cycle at which the first job begins."""
        return self.ones_cycles + self.row_tiles * self.slots

    @property
    def period(self) -> int:
        """Cycles from one job to the next: unpacking or streaming, whichever takes longer, in whole intervals.

        The table's entries are apart modulo the interval: another job's blocks must begin in step with these.
        """
        interval = self.table.interval
        spread = self.table.last_placement + 1 - self.table.first_placement - interval
        return -(-max(self.blocks * interval, self.slots + max(0, spread)) // interval) * interval

    @property
    def installed(self) -> int:
        """Cycles from a job's begin to its first activation vector at a plane."""
        return (self.blocks - 1) * self.table.interval + self.table.last_placement + 1

    @property
    def matmuls_end(self) -> int:
        """First cycle in which no more activation vectors come."""
        return self.jobs_begin + (self.jobs - 1) * self.period + self.installed + self.slots

    @property
    def segment_tiles(self) -> int:
        """Row tiles whose products an int32 accumulator can hold: each is below 2**14, the rows being at the top of a
        byte."""
        return (2**17 - 1) // self.machine.rows

    def group_segments(self, group: Any) -> Any:
        """Return the accumulators of a group: one but for very long groups."""
        last = np.minimum((group + 1) * group_length(self.k, self.group_size), self.k) - 1
        return -(-(last // self.tile_rows - self.first_tile(group) + 1) // self.segment_tiles)

    @cached_property
    def segments(self) -> int:
        """Accumulators of the group that has most."""
        return int(self.group_segments(np.arange(self.groups)).max())

    @property
    def interleaved(self) -> int:
        """Rows of activations that are summed over their groups in turn, as a sum must wait for the one before."""
        return 1 if self.groups == 1 else self.machine.alu_latency

    @property
    def results(self) -> int:
        """Places in the order in which the accumulators of a column tile are drained, some of them empty."""
        return -(-self.m // self.interleaved) * self.interleaved * self.groups

    @property
    def last_result(self) -> int:
        """The last place that is not empty."""
        return self.results - self.interleaved + (self.m - 1) % self.interleaved

    @property
    def sums_drain(self) -> int:
        """Cycle at which the first row sum is drained."""
        return self.matmuls_end + self.machine.matrix_latency

    @property
    def combine(self) -> int:
        """Cycle at which the first of several accumulators of a group is drained, to be added to the others."""
        return self.sums_drain + self.m * self.groups + self.machine.alu_latency

    @property
    def combined(self) -> int:
        """Places in the order in which a column tile's are: a sum must wait for the one before."""
        turns = self.machine.alu_latency
        return -(-self.m // turns) * turns * self.groups * self.segments if self.segments > 1 else 0

    @property
    def drain(self) -> int:
        """Cycle at which the first result is begun: what is made before must be in memory by then."""
        latency = COMBINE_STAGES * self.machine.alu_latency + 2 * self.machine.memory_latency
        return self.combine + self.column_tiles * self.combined + latency

    @property
    def total(self) -> int:
        """Cycles: the last result is in memory."""
        machine = self.machine
        chain = machine.drain_latency + EPILOGUE_STAGES * machine.alu_latency + machine.memory_latency
        return self.drain + (self.column_tiles - 1) * self.results + self.last_result + 1 + chain
