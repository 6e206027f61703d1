"""Language models over many chips: how many are needed, how fast they decode, what binds them.

Each layer lies on ``split`` chips that share every matrix (*tensor split*: :mod:`q35ref.lpu.layer`); layers follow
each other over such *stages* (*pipeline*). A step moves ``batch`` users on by a token; other users' steps are at other
stages meanwhile. All numbers here are calculated from schedules that the simulator runs, and from links.
"""

import math
from dataclasses import dataclass
from typing import Final

from q35ref.lpu.layer import LayerTime, Storage, layer_time, matmul_time, plan_of
from q35ref.lpu.machine import TSP_V1, Machine
from q35ref.lpu.models import Model

PARAMETER_BYTES: Final = 8
"""Of a column's or group's scale and offset."""

CACHE_BYTES: Final = 1
"""Of a number of a key or value: int8, as the planes multiply it."""

SPLITS: Final = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of chips that share a layer."""

MOST_BATCH: Final = 1024
"""Users of a step beyond whom nothing is looked for."""

USABLE: Final = 0.9
"""Part of the memory that weights and caches may take; the rest is for activations and results. Assumption."""


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
    chips: int
    """As many as hold the weights and the caches of all users, in whole stages."""
    layer: LayerTime
    head: LayerTime
    """From the last layer to the vocabulary."""
    moves: int
    """Cycles between stages, of a token."""

    @property
    def stages(self) -> int:
        """Groups of chips one after the other."""
        return self.chips // self.split

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
        """Seconds of a step: from a user's token to the next."""
        return sum(self.parts.values()) / self.machine.clock

    @property
    def interval(self) -> float:
        """Seconds that the slowest stage needs for a step: no stage has a part of a layer alone."""
        layers = -(-self.model.layers // self.stages) * self.layer.total
        return max(layers, self.head.total) / self.machine.clock

    @property
    def tokens_a_user(self) -> float:
        """Tokens a second of each user."""
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
    """Return the bytes of a user's keys and values."""
    return context * model.layers * 2 * model.kv_width * CACHE_BYTES


def weight_bytes(model: Model, storage: Storage, group_size: int = 0) -> float:
    """Return the bytes of all weights and their parameters; fp16 has none."""
    if storage.name == "fp16":
        parameters = 0
    else:
        parameters = sum(matrix.n * -(-matrix.k // (group_size or matrix.k)) for matrix in model.all_matrices)
    return model.weights * storage.bits / 8 + parameters * PARAMETER_BYTES


def chips_needed(
    model: Model, storage: Storage, machine: Machine = TSP_V1, *, users: int = 0, context: int = 0, group_size: int = 0
) -> int:
    """Return the chips whose memory holds a model and its users' caches."""
    whole = weight_bytes(model, storage, group_size) + users * cache_bytes(model, context)
    return math.ceil(whole / (USABLE * machine.memory_bytes))


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
    """Return a model on as few chips as hold it, ``split`` of them for a layer.

    ``batch``: users of a step; ``users``: all of them, ``batch`` unless told. ``context``: tokens whose keys and values
    are kept and multiplied by, of each user. Errors: ValueError for what is below 1, and for fewer users than a step's.
    """
    users = batch if users is None else users
    for name, value, least in (
        ("split", split, 1),
        ("batch", batch, 1),
        ("users", users, batch),
        ("context", context, 1),
    ):
        if value < least:
            raise ValueError(f"{name}: expected at least {least}, got {value}")
    chips = chips_needed(model, storage, machine, users=users, context=context, group_size=group_size)
    chips = -(-chips // split) * split
    words = batch * -(-model.hidden // (split * machine.lanes))
    return Deployment(
        model, storage, machine, split, batch, users, context, group_size, chips,
        layer=layer_time(model, storage, machine, split, batch, context, group_size),
        head=matmul_time(plan_of(storage, machine, model.head, split, batch, group_size)),
        moves=(chips // split - 1) * (machine.hop + words * machine.link_cycles),
    )  # fmt: skip


def fastest(model: Model, storage: Storage, machine: Machine = TSP_V1, **options: int) -> Deployment:
    """Return the deployment of those with each of :data:`SPLITS` that gives a user most tokens a second."""
    made = [deploy(model, storage, machine, split=split, **options) for split in SPLITS]
    return max(made, key=lambda deployment: deployment.tokens_a_user)


def users_for(deployment: Deployment, tokens: float) -> Deployment:
    """Return the same for as many users as make all chips together give so many tokens a second, a step at a time.

    With more users there is more to keep, and more chips for it. A step's users are doubled where a stage for every
    layer would not be enough. Errors: ValueError where nothing is.
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
