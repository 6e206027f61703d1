"""Language models over many chips: how many are needed, how fast they decode, what binds them.

Each layer lies on ``split`` chips that share every matrix (*tensor split*: :mod:`q35ref.lpu.layer`); such a group of
chips is a *stage*, has as many whole layers as its memory holds, and hands on to the next (*pipeline*). A step moves
``batch`` users on by a token; other users' steps are at other stages meanwhile. The cycles of a matrix are those of a
schedule that the simulator runs; all else here is calculated from them, and from links and memory.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from q35ref.lpu.layer import LayerTime, Storage, layer_time, matmul_time, plan_of
from q35ref.lpu.layout import resident
from q35ref.lpu.machine import TSP_V1, Machine
from q35ref.lpu.models import Matrix, Model

PARAMETER_BYTES: Final = 8
"""Of a column's or group's scale and offset."""

CACHE_BYTES: Final = 1
"""Of a number of a key or value: int8, as the planes multiply it."""

SPLITS: Final = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of chips that share a layer, to choose from."""

MOST_BATCH: Final = 1024
"""Users of a step beyond whom nothing is looked for."""

USABLE: Final = 0.9
"""Part of the memory that weights and caches may take; the rest is for activations and results. Assumption."""


class TooLarge(ValueError):
    """A layer does not fit the chips that are to share it."""


@dataclass(frozen=True)
class Deployment:
    """A model on chips."""

    model: Model
    storage: Storage
    machine: Machine
    split: int
    batch: int
    users: int
    context: int
    group_size: int
    layers_a_stage: int
    """Whole layers, with the keys and values of all users for them, that a stage's memory holds."""
    stages: int
    """As many as hold all layers, and the head."""
    layer: LayerTime
    head: LayerTime
    """From the last layer to the vocabulary."""
    moves: int
    """Cycles between stages, of a token."""

    @property
    def chips(self) -> int:
        """Of all stages."""
        return self.stages * self.split

    @property
    def parts(self) -> dict[str, int]:
        """Cycles of a step by what they are spent on."""
        layers = {name: self.model.layers * cycles for name, cycles in self.layer.parts.items()}
        found = {name: cycles + self.head.parts[name] for name, cycles in layers.items()}
        return found | {"links": found["links"] + self.moves}

    @property
    def bottleneck(self) -> str:
        """What most cycles of a step are spent on."""
        return max(self.parts, key=lambda name: self.parts[name])

    @property
    def latency(self) -> float:
        """Seconds of a step: from a user's token to the next, if it need not wait."""
        return sum(self.parts.values()) / self.machine.clock

    @property
    def interval(self) -> float:
        """Seconds from a step to the next in the slowest stage: a full one, or the last with the head."""
        full = min(self.layers_a_stage, self.model.layers)
        last = max(0, self.model.layers - (self.stages - 1) * self.layers_a_stage)
        return max(full * self.layer.total, last * self.layer.total + self.head.total) / self.machine.clock

    @property
    def tokens_a_user(self) -> float:
        """Tokens a second of each user; where there are more steps than the stages can take, they wait."""
        return min(1 / self.latency, self.batch / (self.interval * self.users))

    @property
    def throughput(self) -> float:
        """Tokens a second of all users."""
        return self.users * self.tokens_a_user

    @property
    def joules(self) -> float:
        """A token, all chips at average power all the time."""
        return self.chips * self.machine.average_power / self.throughput


def cache_bytes(model: Model, context: int) -> int:
    """Return the bytes of a user's keys and values in a layer."""
    return context * 2 * model.kv_width * CACHE_BYTES


def matrix_bytes(storage: Storage, matrix: Matrix, group_size: int = 0) -> float:
    """Return the bytes of a matrix's weights and parameters; fp16 has none."""
    parameters = 0 if storage.name == "fp16" else matrix.n * -(-matrix.k // (group_size or matrix.k))
    return matrix.k * matrix.n * storage.bits / 8 + parameters * PARAMETER_BYTES


def weight_bytes(model: Model, storage: Storage, group_size: int = 0) -> float:
    """Return the bytes of all weights and their parameters; embeddings are looked up elsewhere."""
    return sum(matrix_bytes(storage, matrix, group_size) for matrix in model.all_matrices)


def chips_by_bytes(model: Model, storage: Storage, machine: Machine = TSP_V1, group_size: int = 0) -> int:
    """Return the fewest chips whose memory holds the weights, wherever they are cut."""
    return math.ceil(weight_bytes(model, storage, group_size) / (USABLE * machine.memory_bytes))


def chips_as_laid_out(model: Model, storage: Storage, machine: Machine, split: int, group_size: int = 0) -> int:
    """Return the chips whose memory holds the weights where :mod:`q35ref.lpu.layout` puts them.

    It gives a matrix whole blocks of whole column tiles, in 14 or 16 of 22 quads, and no part of a word to two.
    """

    def words(matrix: Matrix) -> float:
        plan = plan_of(storage, machine, matrix, split, 1, group_size)
        return max(wanted / there for wanted, there in resident(plan).values())

    layer = sum(words(matrix) for matrix in model.matrices)
    if layer > 1:
        raise TooLarge(f"split: as laid out, a layer takes {layer:.1f} times the memory of {split} chips")
    return split * math.ceil(model.layers / int(1 / layer) + words(model.head))


def stages_of(
    model: Model, storage: Storage, machine: Machine, split: int, users: int, context: int, group_size: int
) -> tuple[int, int]:
    """Return the whole layers that a stage holds, and the stages that hold all of them and the head, by bytes.

    Errors: TooLarge where a stage has no room for a layer, or for the head.
    """
    room = USABLE * machine.memory_bytes * split
    layer = sum(matrix_bytes(storage, matrix, group_size) for matrix in model.matrices)
    layer += users * cache_bytes(model, context)
    head = matrix_bytes(storage, model.head, group_size)
    for name, size in (("a layer", layer), ("the head", head)):
        if size > room:
            needed = math.ceil(size / (USABLE * machine.memory_bytes))
            raise TooLarge(f"split: {name} takes the memory of {needed} chips, got {split}")
    each = int(room // layer)
    stages = -(-model.layers // each)
    left = room - (model.layers - (stages - 1) * each) * layer
    return each, stages + (left < head)


def deploy(
    model: Model,
    storage: Storage,
    machine: Machine = TSP_V1,
    *,
    split: int,
    batch: int = 1,
    users: int | None = None,
    context: int = 2048,
    group_size: int = 0,
) -> Deployment:
    """Return a model on as few chips as hold it by bytes in whole layers, ``split`` of them for a layer.

    ``batch``: users of a step; ``users``: all of them, ``batch`` unless told. ``context``: tokens whose keys and values
    are kept and multiplied by, of each user. Errors: TooLarge; ValueError for what is below 1, and for fewer users than
    a step's.
    """
    users = batch if users is None else users
    least = {"split": (split, 1), "batch": (batch, 1), "users": (users, batch), "context": (context, 1)}
    for name, (value, low) in least.items():
        if value < low:
            raise ValueError(f"{name}: expected at least {low}, got {value}")
    each, stages = stages_of(model, storage, machine, split, users, context, group_size)
    words = batch * -(-model.hidden // (split * machine.lanes))
    return Deployment(
        model, storage, machine, split, batch, users, context, group_size, each, stages,
        layer=layer_time(model, storage, machine, split, batch, context, group_size),
        head=matmul_time(plan_of(storage, machine, model.head, split, batch, group_size)),
        moves=(stages - 1) * (machine.hop + words * machine.link_cycles),
    )  # fmt: skip


def deployments(
    model: Model, storage: Storage, machine: Machine, splits: tuple[int, ...], **options: int
) -> Iterator[Deployment]:
    """Yield a deployment for each split on which a layer fits."""
    for split in splits:
        try:
            yield deploy(model, storage, machine, split=split, **options)
        except TooLarge:
            continue


def fastest(model: Model, storage: Storage, machine: Machine = TSP_V1, **options: int) -> Deployment:
    """Return the one of :data:`SPLITS` that gives a user most tokens a second. Errors: ValueError where none fits."""
    made = deployments(model, storage, machine, SPLITS, **options)
    return max(made, key=lambda deployment: deployment.tokens_a_user)


def smallest(model: Model, storage: Storage, machine: Machine, least: int, **options: int) -> Deployment:
    """Return the one with the smallest split, from ``least`` on, on which a layer fits. Errors: ValueError."""
    splits = tuple(split for split in SPLITS if split >= least)
    made = deployments(model, storage, machine, splits, **options)
    if (found := next(made, None)) is None:
        raise TooLarge(f"split: no layer fits on up to {SPLITS[-1]} chips")
    return found


def users_for(deployment: Deployment, tokens: float) -> Deployment:
    """Return the same for as many users as make all chips together give so many tokens a second, a step at a time.

    With more users there is more to keep, and more chips for it. A step's users are doubled where a stage for every
    layer would not be enough. Errors: ValueError where nothing is, TooLarge where a layer with all caches does not fit.
    """

    def again(batch: int, users: int) -> Deployment:
        return deploy(
            deployment.model, deployment.storage, deployment.machine, split=deployment.split, batch=batch, users=users,
            context=deployment.context, group_size=deployment.group_size,
        )  # fmt: skip

    made = deployment
    while made.batch * made.machine.clock / max(made.layer.total, made.head.total) < tokens:
        if made.batch >= MOST_BATCH:
            raise ValueError(f"tokens: expected what {MOST_BATCH} users a step can reach, got {tokens:g}")
        made = again(2 * made.batch, max(2 * made.batch, made.users))
    while made.throughput < tokens:
        made = again(made.batch, made.users + made.batch)
    return made
