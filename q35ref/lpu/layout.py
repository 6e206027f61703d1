"""Where everything lies in a chip's memory, and whether there is room for it."""

from typing import Any, Final

from q35ref.lpu.plan import Plan

WEIGHT_QUADS: Final = 16
"""Quads that hold weights, each byte of a block in one of its own."""

ACTIVATIONS, SCALES, OFFSETS, ROW_SUMS, INTEGERS, OUTPUTS = range(WEIGHT_QUADS, WEIGHT_QUADS + 6)
"""The quads of everything else. ``ROW_SUMS``: in float32. ``INTEGERS``: accumulators and row sums that are results."""

ONES: Final = 0
"""Address of a word of ones in ``ACTIVATIONS``."""


class NoRoom(ValueError):
    """A matmul does not fit a chip."""


def weight_place(plan: Plan, block: Any, byte: int) -> tuple[Any, Any]:
    """Return the quad and the address of a byte of a block, counted over a hemisphere's jobs."""
    sets = WEIGHT_QUADS // plan.weights.period_bytes
    return block % sets * plan.weights.period_bytes + byte, block // sets


def activation_address(plan: Plan, tile: Any, row: Any, number: Any) -> Any:
    """Return where the activations of a row lie that a row tile takes for a group, numbered within the tile."""
    return 1 + tile * plan.slots + row * plan.most_groups + number


def integer(plan: Plan, column_tile: Any, row: Any, group: Any) -> Any:
    """Return where a column tile's integers lie in ``INTEGERS``; the row sums come after the last column tile."""
    return (column_tile * plan.m + row) * plan.groups + group


def accumulator(plan: Plan, column_tile: Any, row: Any, group: Any, segment: Any = 0) -> Any:
    """Return the accumulator of a part of a group's rows, in the same order."""
    return integer(plan, column_tile, row, group) * plan.segments + segment


def gathered(plan: Plan, hemisphere: Any, column_tile: Any, row: Any) -> Any:
    """Return where the results of a column tile of a hemisphere of another chip lie in ``ACTIVATIONS``: after those of
    this matmul, in the order of the columns."""
    tile = column_tile * plan.machine.hemispheres + hemisphere
    return activation_address(plan, plan.row_tiles, 0, 0) + tile * plan.m + row


def resident(plan: Plan) -> dict[str, tuple[int, int]]:
    """Return how many words there must be a hemisphere, and are, for what stays in memory from call to call."""
    addresses = plan.machine.addresses
    blocks = plan.jobs * plan.blocks
    return {
        "weights": (-(-blocks // (WEIGHT_QUADS // plan.weights.period_bytes)), addresses),
        "scales": (plan.column_tiles * plan.groups, addresses),
    }


def needed(plan: Plan) -> dict[str, tuple[int, int]]:
    """Return how many words there must be a hemisphere, and are, by what they are for."""
    machine = plan.machine
    others = plan.column_tiles * machine.hemispheres * plan.m if machine.chips > 1 else 0
    return resident(plan) | {
        "activations": (activation_address(plan, plan.row_tiles, 0, 0) + others, machine.addresses),
        "integers": (integer(plan, plan.column_tiles + 1, 0, 0), machine.addresses),
        "outputs": (plan.column_tiles * plan.m, machine.addresses),
        "accumulators": (accumulator(plan, plan.column_tiles + 1, 0, 0), machine.accumulators),
    }


def fits(plan: Plan) -> bool:
    """Whether there is room for all of it."""
    return all(wanted <= there for wanted, there in needed(plan).values())


def require_room(plan: Plan) -> None:
    """Refuse a plan that does not fit. Errors: NoRoom, which says what there is too little of."""
    for name, (wanted, there) in needed(plan).items():
        if wanted > there:
            raise NoRoom(f"{name}: expected at most {there} words a hemisphere, got {wanted}")


def require_residence(plan: Plan) -> None:
    """Refuse weights and parameters that the chips cannot hold. Errors: NoRoom, which says how many chips can."""
    for name, (wanted, there) in resident(plan).items():
        if wanted > there:
            chips = chips_needed(plan)
            enough = f"{chips} chips hold them" if chips else "one column tile of them is too much: sum parts of K"
            have = plan.machine.chips
            raise NoRoom(
                f"{name}: expected at most {there} words a hemisphere of {have} chip(s), got {wanted}; {enough}"
            )


def chips_needed(plan: Plan) -> int:
    """Return how many chips hold the weights and parameters of a matmul, or 0 where no number does: a column is never
    shared."""
    machine = plan.machine
    sets = WEIGHT_QUADS // plan.weights.period_bytes
    tiles = min(machine.addresses * sets // (plan.row_tiles * plan.blocks), machine.addresses // plan.groups)
    return -(-plan.n // (tiles * machine.sides * machine.lanes)) if tiles else 0
