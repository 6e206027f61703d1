"""What is in a chip's memory before a program runs, and what the results mean that are there afterwards."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.protocol import Float32, Int32
from q35ref.lpu.executor import Memory
from q35ref.lpu.layout import (
    ACTIVATIONS,
    INTEGERS,
    OFFSETS,
    ONES,
    OUTPUTS,
    SCALES,
    activation_address,
    gathered,
    integer,
    weight_place,
)  # fmt: skip
from q35ref.lpu.machine import WORD
from q35ref.lpu.plan import Plan
from q35ref.lpu.verifier import Keys


class Image:
    """A chip's memory, and which of its words have been filled."""

    def __init__(self, plan: Plan) -> None:
        self.plan, machine = plan, plan.machine
        self.memory: Memory = np.zeros(
            (machine.hemispheres, machine.quads, machine.addresses, machine.lanes), np.uint32
        )
        self.filled = np.zeros(self.memory.shape[:3], bool)

    @property
    def keys(self) -> Keys:
        """Hemisphere, quad and address of each word that is there."""
        return np.argwhere(self.filled)

    def put(self, hemisphere: Any, quad: Any, address: Any, words: Any) -> None:
        """Fill words."""
        self.memory[hemisphere, quad, address] = words
        self.filled[hemisphere, quad, address] = True


def load(plan: Plan, a: NDArray[np.int8], packed: NDArray[np.uint8], scale: Any, offset: Any) -> Image:
    """Return the memory for ``a[M, K]`` by columns ``packed[N, bytes]`` with parameters ``[G, N]``."""
    image, machine = Image(plan), plan.machine
    columns = plan.column_tiles * machine.hemispheres * machine.lanes
    _load_weights(image, _padded(packed, (columns, plan.row_tiles * plan.blocks * WORD * plan.weights.period_bytes)))
    _load_activations(image, a)
    for quad, values in ((SCALES, scale), (OFFSETS, offset)):
        words = _padded(np.ascontiguousarray(values, np.float32).view(np.uint32), (plan.groups, columns))
        tiles = words.reshape(plan.groups, plan.column_tiles, machine.hemispheres, machine.lanes)
        address = np.arange(plan.column_tiles)[:, None] * plan.groups + np.arange(plan.groups)
        for hemisphere in range(machine.hemispheres):
            image.put(hemisphere, quad, address, tiles[:, :, hemisphere].swapaxes(0, 1))
    return image


def _padded(array: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    return np.pad(array, [(0, whole - part) for part, whole in zip(array.shape, shape, strict=True)])


def _load_weights(image: Image, packed: NDArray[np.uint8]) -> None:
    plan, machine = image.plan, image.plan.machine
    size = plan.weights.period_bytes
    shape = plan.column_tiles, machine.hemispheres, machine.lanes, plan.row_tiles * plan.blocks, WORD, size
    bytes_ = packed.reshape(shape)
    for byte in range(size):
        words = np.ascontiguousarray(bytes_[..., byte]).view("<u4")[..., 0]  # tiles, hemispheres, lanes, blocks
        block = np.arange(plan.jobs * plan.blocks).reshape(plan.column_tiles, -1)
        quad, address = weight_place(plan, block, byte)
        for hemisphere in range(machine.hemispheres):
            image.put(hemisphere, quad, address, words[:, hemisphere].swapaxes(1, 2))


def _load_activations(image: Image, a: NDArray[np.int8]) -> None:
    """Put each row of activations where it will be read, a group's rows alone, with even and odd rows in two bytes."""
    plan, machine = image.plan, image.plan.machine
    word = np.zeros((machine.lanes, WORD), np.int8)
    word[:] = 1
    image.put(slice(None), ACTIVATIONS, ONES, word.view(np.uint32)[:, 0])
    groups = plan.group_rows
    for tile in range(plan.row_tiles):
        start = tile * plan.tile_rows
        for number, group in enumerate(plan.tile_groups(tile)):
            rows = range(max(start, groups[group].start), min(start + plan.tile_rows, groups[group].stop))
            whole = np.zeros((plan.m, plan.tile_rows), np.int8)
            whole[:, rows.start - start : rows.stop - start] = a[:, rows.start : rows.stop]
            words = np.zeros((plan.m, machine.lanes, WORD), np.int8)
            words[:, : machine.rows, :2] = whole.reshape(plan.m, machine.rows, 2)
            address = activation_address(plan, tile, np.arange(plan.m), number)
            image.put(slice(None), ACTIVATIONS, address, words.view(np.uint32)[..., 0])


def results(plan: Plan, memory: Memory) -> tuple[Int32, Int32, Float32]:
    """Return ``acc``, ``row_sum`` and ``out`` as a program left them in memory."""
    tile, row, group = np.ogrid[: plan.column_tiles, : plan.m, : plan.groups]
    integers = memory[:, INTEGERS, integer(plan, tile, row, group)].view(np.int32)  # [H, U, M, G, lanes]
    acc = integers.transpose(2, 1, 0, 4, 3).reshape(plan.m, -1, plan.groups)[:, : plan.n]
    outputs = memory[:, OUTPUTS, (tile * plan.m + row)[:, :, 0]].view(np.float32)  # [H, U, M, lanes]
    out = outputs.transpose(2, 1, 0, 3).reshape(plan.m, -1)[:, : plan.n]
    sums = memory[0, INTEGERS, integer(plan, plan.column_tiles, row, group)[0], 0].view(np.int32)
    return acc, sums, out


def gathered_results(plan: Plan, memory: Memory, chip: int) -> Float32:
    """Return ``out`` as a chip has it after the all-gather: its own columns, and those that others sent."""
    machine = plan.machine
    out = np.zeros((plan.column_tiles, machine.hemispheres, plan.m, machine.lanes), np.float32)
    for hemisphere in range(machine.hemispheres):
        owner, side = divmod(hemisphere, machine.sides)
        tile, row = np.ogrid[: plan.own_tiles(hemisphere), : plan.m]
        own = owner == chip
        quad = OUTPUTS if own else ACTIVATIONS
        address = tile * plan.m + row if own else gathered(plan, hemisphere, tile, row)
        words = memory[chip * machine.sides + side, quad, address]
        out[: plan.own_tiles(hemisphere), hemisphere] = words.view(np.float32)
    return out.transpose(2, 0, 1, 3).reshape(plan.m, -1)[:, : plan.n]
