"""How the VXM unpacks a block of weights: a table of instructions that is repeated every few cycles.

A block is four periods, 64 rows: byte ``i`` of each of the four lies together in word ``i``, so that each ALU
instruction works on four weights of each lane. The table says at which cycle after a block's start each byte is read,
each instruction is issued, and each word of rows is installed. Blocks start every ``interval`` cycles, so that no two
entries of a table may use the same thing at cycles that differ by a multiple of it: *modulo scheduling*.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from q35ref.lpu.formats import PERIOD, Field, WeightFormat
from q35ref.lpu.machine import WORD, Machine

BLOCK: Final = WORD * PERIOD
"""Rows of a block."""

INSTALL_STREAMS: Final = (0, 2)
"""The first outward stream of each plane."""


@dataclass(frozen=True)
class Fetch:
    """A byte of the four periods is read, on its way to the VXM, or to the MXM where there is nothing to unpack."""

    cycle: int
    byte: int
    outward: bool
    stream: int


@dataclass(frozen=True)
class Step:
    """An ALU's instruction. A source is ``("in", stream)``, or ``("alu", number)``: what it was issued ``alu_latency``
    cycles ago."""

    cycle: int
    alu: int
    operation: str
    immediate: int
    sources: tuple[tuple[str, int], ...]
    outward: int
    """The outward stream that takes the result, or -1."""


@dataclass(frozen=True)
class Placement:
    """A word of four rows is installed in a plane: rows ``row``, ``row + 8``, ... of a block's 32 for that plane."""

    cycle: int
    plane: int
    port: int
    row: int
    stream: int


@dataclass(frozen=True)
class Table:
    """What is done for a block."""

    interval: int
    """Cycles between the starts of blocks."""
    fetches: tuple[Fetch, ...]
    steps: tuple[Step, ...]
    placements: tuple[Placement, ...]

    @property
    def first_placement(self) -> int:
        """Cycle of the first install after a block's start."""
        return min(placement.cycle for placement in self.placements)

    @property
    def last_placement(self) -> int:
        """Cycle of the last one."""
        return max(placement.cycle for placement in self.placements)


def stages(made: Field) -> list[int]:
    """Return the number of ALU instructions at each latency after the bytes are there."""
    shifted = sum(part.shift != 0 for part in made.parts)
    masked = sum(part.mask != 0xFF for part in made.parts)
    if len(made.parts) == 2:
        return [shifted, masked, 1]
    return [count for count in (shifted, masked) if count]


def least_interval(machine: Machine, weights: WeightFormat) -> int:
    """Return the fewest cycles in which a block's instructions and installs can be issued."""
    installs = PERIOD // machine.planes
    return max(-(-weights.operations // machine.alus), -(-installs // machine.install_words))


@lru_cache
def table(machine: Machine, weights: WeightFormat) -> Table:
    """Return the table with the shortest interval for which a search finds one."""
    interval = least_interval(machine, weights)
    while (starts := _starts(machine, weights, interval)) is None:
        interval += 1
    return _written(machine, weights, interval, starts)


class _Room:
    """What of the ALUs and installs of each cycle of an interval is taken."""

    def __init__(self, machine: Machine, interval: int) -> None:
        self.machine, self.interval = machine, interval
        self.alus: Counter[int] = Counter()
        self.installs: Counter[tuple[int, int]] = Counter()

    def take(self, made: Field, plane: int, start: int, sign: int = 1) -> bool:
        """Take (or give back) what a field needs that starts at a cycle; say whether there is enough."""
        counts = stages(made)
        for stage, count in enumerate(counts):
            self.alus[(start + stage * self.machine.alu_latency) % self.interval] += sign * count
        end = (start + len(counts) * self.machine.alu_latency) % self.interval
        self.installs[plane, end] += sign
        return (
            self.installs[plane, end] <= self.machine.install_words
            and max(self.alus.values(), default=0) <= self.machine.alus
        )


SEARCHED: Final = 200_000
"""Places that are tried before an interval is given up."""


def _before_alike(weights: WeightFormat, order: list[int], index: int) -> int | None:
    """Return the last row placed before that takes the same instructions and goes to the same plane."""
    row = order[index]
    same = [
        other
        for other in order[:index]
        if other % 2 == row % 2 and stages(weights.fields[other]) == stages(weights.fields[row])
    ]
    return same[-1] if same else None


def _starts(machine: Machine, weights: WeightFormat, interval: int) -> list[int] | None:
    """Return the cycle at which each field's bytes are there, found by backtracking; the longest fields first."""
    order = sorted(range(PERIOD), key=lambda row: (-weights.fields[row].operations, row))
    room, starts, tried = _Room(machine, interval), [0] * PERIOD, 0
    alike = [_before_alike(weights, order, index) for index in range(PERIOD)]

    def place(index: int) -> bool:
        nonlocal tried
        if index == PERIOD:
            return True
        row = order[index]
        made = weights.fields[row]
        # Nothing changes if all starts are turned alike, or if two rows that need the same change places.
        other = alike[index]
        first = 0 if other is None else starts[other]
        for start in range(first, 1 if index == 0 else interval):
            tried += 1
            if tried > SEARCHED:
                return False
            if room.take(made, row % 2, start):
                starts[row] = start
                if place(index + 1):
                    return True
            room.take(made, row % 2, start, -1)
        return False

    return starts if place(0) else None


def _written(machine: Machine, weights: WeightFormat, interval: int, starts: list[int]) -> Table:
    """Return the table, with a number for each ALU and stream."""
    fetches: dict[Fetch, None] = {}
    steps: list[Step] = []
    placements = []
    alus: Counter[int] = Counter()
    installs: Counter[tuple[int, int]] = Counter()
    for row in sorted(range(PERIOD), key=lambda row: (starts[row], row)):
        made, plane = weights.fields[row], row % 2
        depth = len(stages(made))
        there = starts[row] + machine.memory_latency
        end = there + depth * machine.alu_latency + (machine.transit if depth else 0)
        port = installs[plane, end % interval]
        installs[plane, end % interval] += 1
        stream = INSTALL_STREAMS[plane] + port
        placements.append(Placement(end, plane, port, row // 2, stream))
        for part in made.parts:
            fetches[Fetch(starts[row], part.byte, depth == 0, part.byte if depth else stream)] = None
        steps += _chain(machine, made, there, stream, alus, interval)
    return Table(interval, tuple(fetches), tuple(steps), tuple(placements))


def _chain(machine: Machine, made: Field, there: int, stream: int, alus: Counter[int], interval: int) -> Iterator[Step]:
    """Yield the instructions of a field whose bytes are there at a cycle."""

    def free(cycle: int) -> int:
        alus[cycle % interval] += 1
        return alus[cycle % interval] - 1

    latency, last = machine.alu_latency, len(stages(made)) - 1
    joined = len(made.parts) == 2
    ends = []
    for part in made.parts:
        source, cycle, stage = ("in", part.byte), there, 0
        for operation, immediate, needed in (
            ("shift", part.shift, part.shift != 0),
            ("mask", part.mask, part.mask != 0xFF),
        ):
            if needed:
                alu = free(cycle)
                yield Step(cycle, alu, operation, immediate, (source,), stream if stage == last else -1)
                source, cycle, stage = ("alu", alu), cycle + latency, stage + 1
        ends.append((source, cycle))
    if joined:
        assert ends[0][1] == ends[1][1], "both parts take as many steps"
        yield Step(ends[0][1], free(ends[0][1]), "or", 0, (ends[0][0], ends[1][0]), stream)
