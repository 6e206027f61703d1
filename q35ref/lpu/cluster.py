"""Language models over many chips: how many are needed, how fast they decode, what binds them.

Each layer lies on ``split`` chips, which share every matrix by columns (*tensor split*); layers follow each other over
chips (*pipeline*). The cycles of a chip's part of a matrix are those of its schedule (:class:`q35ref.lpu.plan.Plan`,
whose total is what the simulator counts). After each matrix every chip of the layer needs the results of all others: a
gather over the links. Attention multiplies by keys and values that are installed like weights, once a token.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from q35ref.lpu.formats import FORMATS, WeightFormat
from q35ref.lpu.machine import TSP_V1, Machine
from q35ref.lpu.models import Matrix, Model
from q35ref.lpu.plan import Plan
from q35ref.lpu.simulate import passes

PARAMETER_BYTES: Final = 8
"""Of a column's or group's scale and offset."""

CACHE_BYTES: Final = 1
"""Of a key or value: int8, as the planes multiply it."""

SPLITS: Final = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of chips that share a layer."""

USABLE: Final = 0.9
"""Part of the memory that weights and caches may take; the rest is for activations and results. Assumption."""


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
"""By name. ``fp16``: two planes make one of 320 by 320, so that a weight costs the install of two bytes."""


@dataclass(frozen=True)
class Deployment:
    """A model on chips."""

    model: Model
    storage: Storage
    machine: Machine
    batch: int
    context: int
    chips: int
    """By memory, in whole layers' shares."""
    split: int
    """Chips that share a layer."""
    layer: "LayerTime"
    latency: float
    """Seconds from a token to the next, for each of ``batch`` users."""
    interval: float
    """Seconds between two batches where the pipeline is full."""

    @property
    def stages(self) -> int:
        """Chips one after the other in the pipeline."""
        return -(-self.chips // self.split)

    @property
    def tokens_a_user(self) -> float:
        """Tokens a second that a user gets."""
        return 1 / self.latency

    @property
    def throughput(self) -> float:
        """Tokens a second of all chips, the pipeline full."""
        return self.batch / self.interval

    @property
    def joules(self) -> float:
        """A token, the pipeline full, all chips at average power."""
        return self.chips * self.machine.average_power / self.throughput

    @property
    def bottleneck(self) -> str:
        """What most of a layer's cycles go to."""
        return max(self.layer.parts(), key=lambda part: part[1])[0]


@dataclass(frozen=True)
class LayerTime:
    """Cycles of a layer."""

    unpack: int
    """Jobs whose period is that of unpacking."""
    install: int
    """Jobs whose period is that of installing."""
    stream: int
    """Jobs whose period is that of streaming activations."""
    epilogue: int
    """All of a matmul but its jobs: row sums, drains, latencies."""
    attention: int
    links: int

    @property
    def total(self) -> int:
        """Cycles."""
        return sum(cycles for _, cycles in self.parts())

    def parts(self) -> Iterator[tuple[str, int]]:
        """Yield each part's name and cycles."""
        yield from vars(self).items()


def plan_of(storage: Storage, machine: Machine, matrix: Matrix, split: int, batch: int, group_size: int) -> Plan:
    """Return the plan of a chip's part of a matrix."""
    groups = group_size * storage.rows
    return Plan(machine, storage.weights, batch, matrix.k * storage.rows, -(-matrix.n // split), groups)


def matmul_time(plan: Plan) -> tuple[str, int, int]:
    """Return what binds a matmul's jobs, their cycles, and all its others."""
    jobs = rest = 0
    for part in passes(plan):
        own = part.plan
        jobs += own.jobs * own.period
        rest += own.total - own.jobs * own.period
    unpacked = plan.blocks * plan.table.interval
    if plan.period > unpacked:
        return "stream", jobs, rest
    least = plan.blocks * -(-16 // (plan.machine.planes * plan.machine.install_words))
    return ("unpack" if unpacked > least else "install"), jobs, rest


def layer_time(
    model: Model, storage: Storage, machine: Machine, split: int, batch: int, context: int, group_size: int
) -> LayerTime:
    """Return the cycles of a layer over ``split`` chips."""
    found = dict.fromkeys(("unpack", "install", "stream", "epilogue"), 0)
    links = 0
    for matrix in model.matrices:
        bound, jobs, rest = matmul_time(plan_of(storage, machine, matrix, split, batch, group_size))
        found[bound] += jobs
        found["epilogue"] += rest
        links += gather_cycles(machine, split, batch * matrix.n)
    return LayerTime(**found, attention=attention_cycles(model, machine, split, batch, context), links=links)


def gather_cycles(machine: Machine, split: int, numbers: int) -> int:
    """Return the cycles in which each of ``split`` chips gets all of so many int8 numbers, of which it has its part."""
    if split == 1:
        return 0
    hops = 1 if split <= 8 else 2 if split <= 72 else 3
    inflow = min(machine.links, split - 1) * machine.link_rate / machine.clock
    return hops * machine.hop + -int(-(numbers * (split - 1) / split) // inflow)


def attention_cycles(model: Model, machine: Machine, split: int, batch: int, context: int) -> int:
    """Return the cycles in which the keys and values of ``context`` tokens of each user are installed."""
    numbers = 2 * batch * context * model.kv_width / split
    rate = machine.hemispheres * machine.planes * machine.install_words * machine.word_bytes
    return -int(-numbers // rate)


def memory_bytes(model: Model, storage: Storage, batch: int, context: int, group_size: int) -> float:
    """Return the bytes of all weights, their parameters, and the keys and values of all users."""
    weights = model.weights * storage.bits / 8
    if storage.name == "fp16":
        parameters = 0.0
    elif group_size:
        parameters = model.weights / group_size * PARAMETER_BYTES
    else:
        parameters = PARAMETER_BYTES * (model.layers * sum(m.n for m in model.matrices) + model.vocabulary)
    cache = batch * context * model.layers * 2 * model.kv_width * CACHE_BYTES
    return weights + parameters + cache


def chips_needed(
    model: Model, storage: Storage, machine: Machine, batch: int = 1, context: int = 0, group_size: int = 0
) -> int:
    """Return the chips whose memory holds a model."""
    return -int(-memory_bytes(model, storage, batch, context, group_size) // (USABLE * machine.memory_bytes))


def deploy(
    model: Model,
    storage: Storage,
    machine: Machine = TSP_V1,
    *,
    batch: int = 1,
    context: int = 2048,
    group_size: int = 0,
    split: int | None = None,
) -> Deployment:
    """Return a model on as few chips as hold it, with the split that gives a user most tokens a second.

    Errors: ValueError for sizes below 1.
    """
    for name, value in (("batch", batch), ("context", context)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    chips = chips_needed(model, storage, machine, batch, context, group_size)
    made = []
    for each in SPLITS if split is None else (split,):
        if each <= chips:
            layer = layer_time(model, storage, machine, each, batch, context, group_size)
            whole = replace_up(chips, each)
            stages = whole // each
            head = sum(matmul_time(plan_of(storage, machine, model.head, each, batch, group_size))[1:])
            moves = (stages - 1) * (machine.hop + -int(-batch * model.hidden * machine.clock // machine.link_rate))
            cycles = model.layers * layer.total + head + moves
            interval = -(-model.layers // stages) * layer.total + (head if stages == 1 else 0)
            made.append(
                Deployment(model, storage, machine, batch, context, whole, each, layer, cycles / machine.clock,
                           max(interval, head) / machine.clock)
            )  # fmt: skip
    return min(made, key=lambda deployment: deployment.latency)


def replace_up(number: int, multiple: int) -> int:
    """Return the least multiple that is not below a number."""
    return -(-number // multiple) * multiple


__all__ = ["STORAGES", "Deployment", "chips_needed", "deploy", "replace"]
