"""How long a layer of a language model takes over the chips that share it.

Every matrix is shared by columns. The cycles of a chip's part are those of its schedule
(:class:`q35ref.lpu.plan.Plan`, whose total is what the simulator counts), and the results are gathered after it
(:mod:`q35ref.lpu.allgather`), as float32. Beyond a node words take several hops. Attention is calculated. Not counted:
norms, softmax, rotations, quantizing activations, writing keys and values.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

from q35ref.lpu.allgather import gathered_at
from q35ref.lpu.formats import FORMATS, WeightFormat
from q35ref.lpu.machine import Machine
from q35ref.lpu.models import Matrix, Model
from q35ref.lpu.plan import Plan
from q35ref.lpu.simulate import passes
from q35ref.lpu.timing import binding
from q35ref.lpu.unpacking import BLOCK

NODE: Final = 8
"""Chips of a node, each linked to each other (ISCA22)."""

RACK: Final = 72
"""Chips of a rack; between any two of them a word takes at most 2 hops, beyond it 3 to 5 (ISCA22); 3 are counted."""


@dataclass(frozen=True)
class Storage:
    """How weights are kept, and how they are multiplied by."""

    name: str
    bits: float
    """A weight, parameters not counted."""
    weights: WeightFormat
    rows: int = 1
    """Rows of bytes that a row of weights takes on the planes."""


STORAGES: Final = {
    found.name: found
    for found in (
        Storage("fp16", 16, FORMATS["int8"], 2),
        Storage("int8", 8, FORMATS["int8"]),
        Storage("int4", 4, FORMATS["int4"]),
        Storage("byte", 4, FORMATS["byte"]),
        Storage("dense", 3.5, FORMATS["dense"]),
    )
}
"""By name. ``fp16``: two planes make one of 320 by 320 (ISCA20), so that a weight costs the install of two bytes; its
arithmetic is not simulated."""


SPENT: Final = {
    "unpack": "jobs whose weights are unpacked and installed; the ALUs set the pace",
    "install": "jobs whose weights are installed; the way into the planes sets the pace",
    "stream": "jobs whose activations are multiplied; their number sets the pace",
    "epilogue": "all of a matmul but its jobs: row sums, latencies, drains",
    "attention": "keys and values, installed like weights",
    "links": "all-gathers after each matrix, and the way from stage to stage",
}
"""What cycles are spent on."""


@dataclass(frozen=True)
class LayerTime:
    """Cycles of a layer, by what they are spent on: see :data:`SPENT`."""

    unpack: int = 0
    install: int = 0
    stream: int = 0
    epilogue: int = 0
    attention: int = 0
    links: int = 0

    def __add__(self, other: "LayerTime") -> "LayerTime":
        """Return one after the other."""
        return LayerTime(**{name: cycles + other.parts[name] for name, cycles in self.parts.items()})

    @property
    def parts(self) -> dict[str, int]:
        """Cycles by name."""
        return dict(vars(self))

    @property
    def total(self) -> int:
        """Cycles."""
        return sum(self.parts.values())


def plan_of(
    storage: Storage, machine: Machine, matrix: Matrix, split: int = 1, batch: int = 1, group_size: int = 0
) -> Plan:
    """Return the plan of a chip's part of a matrix."""
    rows = storage.rows
    gain = max(storage.weights.gains)
    return Plan(machine, storage.weights, batch, matrix.k * rows, -(-matrix.n // split), group_size * rows, gain)


@cache
def matmul_time(plan: Plan) -> LayerTime:
    """Return the cycles of a matmul on a chip."""
    time = LayerTime()
    for part in passes(plan):
        jobs = part.plan.jobs * part.plan.period
        time += LayerTime(**{binding(part.plan): jobs, "epilogue": part.plan.total - jobs})
    return time


def gather_cycles(plan: Plan, split: int) -> int:
    """Return the cycles of the all-gather after ``split`` chips have each done a plan.

    Up to a node, what the simulator counts. Beyond it every chip is taken to receive on all of its links at once, which
    no program here shows.
    """
    machine = plan.machine
    if split == 1:
        return 0
    if split <= NODE:
        joined = Plan(
            machine.joined(split), plan.weights, plan.m, plan.k, plan.n * split, plan.group_size, plan.narrow_gain
        )
        return gathered_at(joined) - joined.total
    hops = 2 if split <= RACK else 3
    words = -(-plan.n // machine.lanes) * plan.m * (split - 1)
    return hops * machine.hop + -(-words // machine.links) * machine.link_cycles


def attention_time(model: Model, machine: Machine, split: int, batch: int, context: int) -> int:
    """Return the cycles of multiplying by the keys and by the values of ``context`` tokens of each user.

    Calculated, not from a program: keys ``[width, context]`` and values ``[context, width]`` of each user and head are
    installed like int8 weights, only the blocks that have rows, on all hemispheres in turn and without a gap, and
    queries stream past them; added are the latencies of one product of each. Writing new keys is not counted.
    """
    heads, width = model.heads // model.kv_heads, model.hidden // model.heads
    turns = -(-batch * model.kv_heads // split)
    cycles = 0
    for k, n in ((width, context), (context, width)):
        plan = Plan(machine, FORMATS["int8"], heads, k, n, 0, 1)
        tiles = turns * -(-n // machine.lanes)
        blocks = -(-k // BLOCK) * plan.table.interval
        cycles += -(-tiles // machine.hemispheres) * max(blocks, plan.row_tiles * heads)
        cycles += plan.total - plan.jobs * plan.period
    return cycles


@cache
def layer_time(
    model: Model, storage: Storage, machine: Machine, split: int, batch: int, context: int, group_size: int
) -> LayerTime:
    """Return the cycles of a layer over ``split`` chips."""
    time = LayerTime(attention=attention_time(model, machine, split, batch, context))
    for matrix in model.matrices:
        plan = plan_of(storage, machine, matrix, split, batch, group_size)
        time += matmul_time(plan) + LayerTime(links=gather_cycles(plan, split))
    return time
