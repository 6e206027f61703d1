"""What ``q35ref lpu`` prints of a matmul, and of a model over chips."""

from rich.console import Console
from rich.table import Table

from q35ref.lpu.cluster import (
    MOST_BATCH,
    SPLITS,
    Deployment,
    TooLarge,
    chips_as_laid_out,
    chips_by_bytes,
    deploy,
    deployments,
    users_for,
)
from q35ref.lpu.experiment import Run
from q35ref.lpu.layer import SPENT, Storage
from q35ref.lpu.machine import Machine
from q35ref.lpu.models import Model
from q35ref.lpu.published import DRAFTS, PUBLISHED
from q35ref.lpu.timing import PHASES, UNITS, Cost


def print_matmul(out: Console, made: Run) -> str:
    """Print a matmul that was simulated; return its title."""
    plan, machine = made.plan, made.plan.machine
    title = f"{plan.m} x {plan.k} x {plan.n} {plan.weights.name} on {machine.name}"
    out.print(f"{title}, group size {plan.group_size}, narrow gain {plan.narrow_gain}")
    out.print(f"{sum(program.size for _, program in made.parts):,} instructions, verified and executed")
    wrong = f"{made.faults:,} WRONG" if made.faults else "all exact"
    out.print(f"accumulators and row sums: {wrong}; out: off by {made.largest_error:.1e} of the largest at most\n")
    for number, ((part, _), cost) in enumerate(zip(made.parts, made.costs, strict=True)):
        if len(made.parts) > 1:
            rows, columns = part.rows, part.columns
            out.print(f"part {number + 1} of {len(made.parts)}: rows {rows.start} to {rows.stop - 1}, "
                      f"columns {columns.start} to {columns.stop - 1}")  # fmt: skip
        _print_cost(out, cost, machine)
    if len(made.parts) > 1:
        out.print(f"all parts: {made.cycles:,} cycles, {1e6 * made.cycles / machine.clock:.2f} us")
    return title


def _print_cost(out: Console, cost: Cost, machine: Machine) -> None:
    out.print(
        f"{cost.cycles:,} cycles, {1e6 * cost.seconds:.2f} us at {machine.clock / 1e6:g} MHz; "
        f"{cost.products_a_cycle:,.0f} products a cycle, {cost.products / cost.peak:.2%} of the peak; "
        f"{cost.memory_bytes / 1e6:.1f} MB of memory traffic; {1e3 * cost.joules:.2f} mJ at average power"
    )
    table = Table("unit", "occupancy", "of")
    for unit, share in cost.occupancy.items():
        if share:
            table.add_row(unit, f"{share:.1%}", UNITS[unit])
    out.print(table)
    table = Table("phase", "cycles", "share", "what happens")
    for phase, cycles in cost.phases.items():
        table.add_row(phase, f"{cycles:,}", f"{cycles / cost.cycles:.1%}", PHASES[phase])
    out.print(table)
    out.print(f"bottleneck: {cost.bottleneck}\n")


def print_model(
    out: Console, model: Model, storage: Storage, machine: Machine, split: int, options: dict[str, int]
) -> None:
    """Print a deployment, the same with other splits, and what others say."""
    made = deploy(model, storage, machine, split=split, **options)
    splits = tuple(sorted({*SPLITS, split}))
    others = list(deployments(model, storage, machine, splits, **options))
    memory = chips_by_bytes(model, storage, machine, options["group_size"])
    out.print(
        f"{model.name}, {model.weights / 1e9:.2f}e9 weights, {storage.name} ({storage.bits:g} bits), {machine.name}: "
        f"{memory} chips hold the weights by bytes, {_laid_out(made)} as the scheduler lays them out"
    )
    apart = "; fp16 arithmetic itself is not simulated" if storage.rows > 1 else ""
    out.print(
        f"{made.users} user(s), {made.batch} in a step, {made.context} tokens of context each. Calculated from "
        f"schedules that the simulator runs{apart}.\n"
    )
    names = "chips a layer", "chips", "stages", "us a step", "tokens/s a user", "tokens/s", "J a token", "bottleneck"
    table = Table(*names)
    for each in others:
        table.add_row(
            str(each.split), str(each.chips), str(each.stages), f"{1e6 * each.latency:,.0f}",
            f"{each.tokens_a_user:,.0f}", f"{each.throughput:,.0f}", f"{each.joules:,.2f}", each.bottleneck,
        )  # fmt: skip
    out.print(table)
    if few := [str(each) for each in splits if each < others[0].split]:
        out.print(f"{', '.join(few)} chips: a layer does not fit.")
    out.print(_spent(made))
    out.print(f"bottleneck with {split} chips a layer: {made.bottleneck}\n")
    out.print(*_compared(made, others), sep="\n")


def _laid_out(made: Deployment) -> str:
    try:
        return str(chips_as_laid_out(made.model, made.storage, made.machine, made.split, made.group_size))
    except TooLarge:
        return f"more than {made.split} a layer"


def _spent(made: Deployment) -> Table:
    table = Table(f"with {made.split} chips a layer", "cycles a step", "share", "what happens")
    whole = sum(made.parts.values())
    for name, cycles in made.parts.items():
        if cycles:
            table.add_row(name, f"{cycles:,}", f"{cycles / whole:.1%}", SPENT[name])
    return table


def _compared(made: Deployment, others: list[Deployment]) -> list[str]:
    """Return what others say of the same model, and what their claim would take."""
    lines = [f"Published: {each.tokens:g} tokens/s a user, {each.chips} chips ({each.source})"
             for each in PUBLISHED if each.model == made.model.name]  # fmt: skip
    if made.model.name == DRAFTS.model:
        best = max(others, key=lambda each: each.tokens_a_user)
        reached = "does too" if best.tokens_a_user >= DRAFTS.tokens else "does not"
        lines.append(
            f"Claimed: {DRAFTS.tokens:g} tokens/s a user on {DRAFTS.chips} chip ({DRAFTS.source}). The fastest of the "
            f"splits above, {best.split} chips a layer, {reached}: {best.tokens_a_user:,.0f} on {best.chips} chips."
        )
        try:
            many = users_for(made, DRAFTS.tokens)
        except ValueError:
            step = f"step of up to {MOST_BATCH} users that fits"
            lines.append(f"As the sum over users, {made.split} chips a layer: no {step} reaches it.")
        else:
            lines.append(
                f"As the sum over users, {made.split} chips a layer: {many.users} users, {many.batch} in a step, make "
                f"{many.throughput:,.0f} tokens/s on {many.chips} chips."
            )
    return lines
