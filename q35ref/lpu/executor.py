"""Running a program on data, a cycle after the other.

A word is ``uint32[lanes]``, byte ``j`` of a lane in bits ``8j .. 8j + 7``.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from q35ref.lpu.machine import Machine
from q35ref.lpu.program import NOTHING, OPERATIONS, STREAM, Program

Word = NDArray[np.uint32]

Memory = NDArray[np.uint32]
"""``[hemispheres, quads, addresses, lanes]``."""

BYTES: Final = 0x01010101
"""A one in each byte."""


def _shift(a: Word, _: Word, immediate: int) -> Word:
    return a << np.uint32(immediate) if immediate >= 0 else a >> np.uint32(-immediate)


def _float(word: Word) -> NDArray[np.float32]:
    return word.view(np.float32)


def _bits(numbers: NDArray[Any]) -> Word:
    return numbers.view(np.uint32)


COMPUTE: Final[dict[str, Callable[[Word, Word, int], Word]]] = {
    "shift": _shift,
    "mask": lambda a, _, immediate: a & np.uint32(immediate * BYTES),
    "or": lambda a, b, _: a | b,
    "shift_right": lambda a, _, immediate: _bits(a.view(np.int32) >> np.int32(immediate)),
    "add": lambda a, b, _: a + b,
    "to_float": lambda a, _, __: _bits(a.view(np.int32).astype(np.float32)),
    "multiply": lambda a, b, _: _bits(_float(a) * _float(b)),
    "add_float": lambda a, b, _: _bits(_float(a) + _float(b)),
    "keep": lambda a, _, __: a,
}
"""Each operation on words."""


ORDER: Final = ("read", "drain", "alu", "matmul", "install", "send", "receive", "write")
"""Kinds of instructions of the same cycle in the order in which they are done. A verified program does not hang on it:
each latency is at least a cycle, and what it would matter for is refused."""

EXACT_ROWS: Final = 1024
"""Rows whose products, each at most 2**14, float32 sums exactly, in whatever order."""


class Executor:
    """A chip, or several that are joined, with data in memory."""

    def __init__(self, machine: Machine, memory: Memory) -> None:
        self.machine, self.memory = machine, memory
        planes = machine.hemispheres, machine.planes
        self.buffers = np.zeros((*planes, 2, machine.rows, machine.lanes), np.int8)
        self.sums = np.zeros((*planes, machine.accumulators, machine.lanes), np.int32)
        self._exact = np.float32 if machine.rows <= EXACT_ROWS else np.float64
        self._weights: dict[tuple[int, int, int], NDArray[Any]] = {}
        self._inward: dict[int, dict[tuple[int, int], Word]] = defaultdict(dict)
        self._outward: dict[int, dict[tuple[int, int], Word]] = defaultdict(dict)
        self._results: dict[int, dict[tuple[int, int], Word]] = defaultdict(dict)
        self._arrived: dict[int, dict[tuple[int, int], Word]] = defaultdict(dict)

    def run(self, program: Program) -> None:
        """Run a verified program; results are in memory afterwards."""
        kinds = program.kinds()
        steps = [getattr(self, f"_{kind}") for kind in ORDER]
        order = [(cycle, place, index) for place, kind in enumerate(ORDER)
                 for index, cycle in enumerate(kinds[kind]["cycle"].tolist())]  # fmt: skip
        order.sort()
        rows = [kinds[kind].tolist() for kind in ORDER]
        before = -1
        with np.errstate(over="ignore", invalid="ignore"):
            for cycle, place, index in order:
                if cycle != before:
                    self._forget(before)
                    before = cycle
                steps[place](*rows[place][index])

    def _forget(self, cycle: int) -> None:
        """Drop words that have gone by."""
        oldest = cycle - self.machine.memory_latency
        for words in (self._inward, self._outward, self._results, self._arrived):
            for gone in [each for each in words if each < oldest]:
                del words[gone]

    def _read(self, cycle: int, hemisphere: int, quad: int, address: int, outward: int, stream: int) -> None:
        words = self._outward if outward else self._inward
        words[cycle + self.machine.memory_latency][hemisphere, stream] = self.memory[hemisphere, quad, address].copy()

    def _write(self, cycle: int, hemisphere: int, quad: int, address: int, stream: int) -> None:
        machine = self.machine
        words = self._outward[cycle - machine.memory_latency + machine.transit]
        self.memory[hemisphere, quad, address] = words[hemisphere, stream]

    def _alu(
        self, cycle: int, hemisphere: int, alu: int, operation: int, immediate: int, from_a: int, a: int, from_b: int,
        b: int, stream: int,
    ) -> None:  # fmt: skip
        first = self._operand(cycle, hemisphere, from_a, a)
        second = self._operand(cycle, hemisphere, from_b, b) if from_b != NOTHING else first
        result = COMPUTE[OPERATIONS[operation]](first, second, immediate)
        there = cycle + self.machine.alu_latency
        self._results[there][hemisphere, alu] = result
        if stream >= 0:
            self._outward[there + self.machine.transit][hemisphere, stream] = result

    def _operand(self, cycle: int, hemisphere: int, source: int, number: int) -> Word:
        words = self._inward if source == STREAM else self._results
        return words[cycle][hemisphere, number]

    def _install(self, cycle: int, hemisphere: int, plane: int, port: int, buffer: int, row: int, stream: int) -> None:
        word = self._outward[cycle][hemisphere, stream]
        self.buffers[hemisphere, plane, buffer, row : row + 32 : 8] = word.view(np.int8).reshape(-1, 4).T
        self._weights.pop((hemisphere, plane, buffer), None)

    def _matmul(
        self,
        cycle: int,
        hemisphere: int,
        plane: int,
        buffer: int,
        stream: int,
        byte: int,
        accumulator: int,
        begins: int,
    ) -> None:
        place = hemisphere, plane, buffer
        if place not in self._weights:
            self._weights[place] = self.buffers[place].astype(self._exact)
        word = self._outward[cycle][hemisphere, stream]
        activations = word.view(np.int8).reshape(-1, 4)[: self.machine.rows, byte].astype(self._exact)
        products = (activations @ self._weights[place]).astype(np.int32)
        sums = self.sums[hemisphere, plane, accumulator]
        sums[...] = products if begins else sums + products

    def _drain(self, cycle: int, hemisphere: int, plane: int, accumulator: int, stream: int) -> None:
        there = cycle + self.machine.drain_latency
        self._inward[there][hemisphere, stream] = _bits(self.sums[hemisphere, plane, accumulator].copy())

    def _send(self, cycle: int, hemisphere: int, link: int, stream: int) -> None:
        machine = self.machine
        there = cycle + machine.link_cycles + machine.hop
        self._arrived[there][machine.far_end(hemisphere // machine.sides, link)] = self._outward[cycle][
            hemisphere, stream
        ]

    def _receive(self, cycle: int, hemisphere: int, link: int, quad: int, address: int) -> None:
        self.memory[hemisphere, quad, address] = self._arrived[cycle][hemisphere // self.machine.sides, link]
