"""``q35ref lpu``: a matmul or a language model on the simulated machine."""

import re
import sys
from pathlib import Path

import click
from rich.table import Table

from q35ref.cli.output import UsageProblem, console
from q35ref.lpu import experiment
from q35ref.lpu.classic import CLASSIC
from q35ref.lpu.classic import cycles as classic_cycles
from q35ref.lpu.cluster import SPLITS, Deployment, chips_needed, deploy, users_for
from q35ref.lpu.formats import FORMATS
from q35ref.lpu.layer import NODE, STORAGES, Storage
from q35ref.lpu.machine import MACHINES, Machine
from q35ref.lpu.models import MODELS, Model
from q35ref.lpu.picture import draw, require_possible, save
from q35ref.lpu.plan import Plan
from q35ref.lpu.published import DRAFTS, PUBLISHED
from q35ref.lpu.timing import UNITS
from q35ref.reference.lanes import check_size

SHAPE = re.compile(r"(\d{1,9})x(\d{1,9})x(\d{1,9})", re.ASCII)
"""``MxKxN``."""


@click.command()
@click.argument("what", metavar="MODEL|MxKxN")
@click.option("--format", "storage", type=click.Choice(list(STORAGES)), default="dense", show_default=True)
@click.option("--machine", type=click.Choice([*MACHINES, "classic"]), default="tsp-v1", show_default=True)
@click.option("--group-size", type=click.IntRange(0), default=0, show_default=True, help="0: one group a column.")
@click.option("--gain", type=click.Choice(["1", "2"]), help="Of odd rows.  [default: 2 where the format has it]")
@click.option("--chips", type=click.IntRange(1), default=1, show_default=True, help="Of a matmul MxKxN.")
@click.option("--gantt", type=click.Path(path_type=Path, dir_okay=False), help="Draw a matmul's program here.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of a matmul's numbers.")
@click.option("--split", type=click.IntRange(1), default=NODE, show_default=True, help="Chips that share a layer.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Users of one step.")
@click.option("--users", type=click.IntRange(1), help="All users whose tokens are under way.  [default: batch]")
@click.option("--context", type=click.IntRange(1), default=2048, show_default=True, help="Tokens of each user.")
def lpu(
    what: str, storage: str, machine: str, group_size: int, gain: str | None, chips: int, gantt: Path | None, seed: int,
    split: int, batch: int, users: int | None, context: int,
) -> None:  # fmt: skip
    """Simulate a matmul MxKxN, cycle by cycle, or calculate how fast a language MODEL decodes over many chips."""
    try:
        shape = SHAPE.fullmatch(what)
        if machine == "classic":
            _classic(shape)
        elif shape:
            _matmul(_plan(shape, storage, MACHINES[machine], chips, group_size, gain), seed, gantt)
        elif what in MODELS:
            options = {"batch": batch, "users": batch if users is None else users, "context": context,
                       "group_size": group_size}  # fmt: skip
            _model(MODELS[what], STORAGES[storage], MACHINES[machine], split, options)
        else:
            raise UsageProblem(f"expected MxKxN, such as 1x8192x8192, or one of {', '.join(MODELS)}; got {what!r}")
    except (ValueError, OSError) as error:
        raise UsageProblem(str(error)) from error


def _classic(shape: re.Match[str] | None) -> None:
    """Run a matmul of int8 on a classic array."""
    if shape is None:
        raise UsageProblem("--machine classic: expected MxKxN, such as 1x8192x8192")
    m, k, n = map(int, shape.groups())
    for name, value in (("m", m), ("k", k), ("n", n)):
        check_size(name, value)
    out = console()
    out.print(f"{m} x {k} x {n} int8 on a weight-stationary array of {CLASSIC.rows} x {CLASSIC.columns}")
    out.print(f"{classic_cycles(CLASSIC, m, n, k):,} cycles, nothing overlapped; SCALE-Sim reports one less")


def _plan(shape: re.Match[str], storage: str, machine: Machine, chips: int, group_size: int, gain: str | None) -> Plan:
    if storage not in FORMATS:
        raise UsageProblem(f"--format: expected one of {', '.join(FORMATS)} for a matmul, got {storage}")
    weights = FORMATS[storage]
    m, k, n = map(int, shape.groups())
    narrow_gain = max(weights.gains) if gain is None else int(gain)
    return Plan(machine.joined(chips), weights, m, k, n, group_size, narrow_gain)


def _matmul(plan: Plan, seed: int, gantt: Path | None) -> None:
    """Simulate, compare, and print what it takes."""
    if gantt is not None:
        require_possible(gantt)
    made = experiment.run(plan, seed)
    out = console()
    machine = plan.machine
    name = f"{plan.m} x {plan.k} x {plan.n} {plan.weights.name}"
    out.print(f"{name} on {machine.name}, group size {plan.group_size}, narrow gain {plan.narrow_gain}")
    out.print(f"{sum(program.size for _, program in made.parts):,} instructions, verified and executed")
    console(sys.stderr).print(f"simulated in {made.seconds:.1f} s")
    wrong = f"{made.faults:,} WRONG" if made.faults else "all exact"
    out.print(f"accumulators and row sums: {wrong}; out: off by {made.largest_error:.1e} of the largest at most\n")
    for number, ((part, _), cost) in enumerate(zip(made.parts, made.costs, strict=True)):
        if len(made.parts) > 1:
            out.print(f"part {number + 1} of {len(made.parts)}: rows {part.rows.start} to {part.rows.stop - 1}, "
                      f"columns {part.columns.start} to {part.columns.stop - 1}")  # fmt: skip
        out.print(f"{cost.cycles:,} cycles, {1e6 * cost.seconds:.2f} us at {machine.clock / 1e6:g} MHz; "
                  f"{cost.weights_a_cycle:.0f} weights a cycle; {cost.memory_bytes / 1e6:.1f} MB of memory traffic; "
                  f"{1e3 * cost.joules:.2f} mJ at average power")  # fmt: skip
        table = Table("unit", "occupancy", "of")
        for unit, share in cost.occupancy.items():
            if share:
                table.add_row(unit, f"{share:.1%}", UNITS[unit])
        out.print(table)
        table = Table("phase", "cycles", "share")
        for phase, cycles in cost.phases.items():
            table.add_row(phase, f"{cycles:,}", f"{cycles / cost.cycles:.1%}")
        out.print(table)
        out.print(f"bottleneck: {cost.bottleneck}\n")
    if gantt is not None:
        part, program = made.parts[0]
        save(draw(part.plan, program, f"{name}, {machine.name}"), gantt)
        out.print(f"picture: {gantt}")
    if made.faults:
        raise SystemExit(1)


def _model(model: Model, storage: Storage, machine: Machine, split: int, options: dict[str, int]) -> None:
    """Print a deployment, the same with other splits, and what others say."""
    out = console()
    made = deploy(model, storage, machine, split=split, **options)
    others = [deploy(model, storage, machine, split=each, **options) for each in sorted({*SPLITS, split})]
    memory = chips_needed(model, storage, machine, group_size=options["group_size"])
    out.print(f"{model.name}, {model.weights / 1e9:.2f}e9 weights, {storage.name} ({storage.bits:g} bits), "
              f"{machine.name}: {memory} chips hold the weights")  # fmt: skip
    apart = "; fp16 arithmetic itself is not simulated" if storage.rows > 1 else ""
    out.print(
        f"{made.users} user(s), {made.batch} in a step, {made.context} tokens of context each. Calculated from "
        f"schedules that the simulator runs{apart}.\n"
    )
    table = Table(
        "chips a layer", "chips", "stages", "us a token", "tokens/s a user", "tokens/s", "J a token", "bottleneck"
    )
    for each in others:
        table.add_row(str(each.split), str(each.chips), str(each.stages), f"{1e6 * each.latency:,.0f}",
                      f"{each.tokens_a_user:,.0f}", f"{each.throughput:,.0f}", f"{each.joules:,.1f}",
                      each.bottleneck)  # fmt: skip
    out.print(table)
    out.print(_spent(made))
    out.print(f"bottleneck with {split} chips a layer: {made.bottleneck}\n")
    out.print(*_compared(made, others), sep="\n")


def _spent(made: Deployment) -> Table:
    table = Table(f"with {made.split} chips a layer", "cycles a step", "share")
    whole = sum(made.parts.values())
    for name, cycles in made.parts.items():
        table.add_row(name, f"{cycles:,}", f"{cycles / whole:.1%}")
    return table


def _compared(made: Deployment, others: list[Deployment]) -> list[str]:
    """Return what others say of the same model, and what their claim would take."""
    lines = [f"Published: {each.tokens:g} tokens/s a user, {each.chips} chips ({each.source})"
             for each in PUBLISHED if each.model == made.model.name]  # fmt: skip
    if made.model.name == DRAFTS.model:
        best = max(others, key=lambda each: 1 / each.latency)
        reached = "does too" if 1 / best.latency >= DRAFTS.tokens else "does not"
        lines.append(
            f"Claimed: {DRAFTS.tokens:g} tokens/s a user on {DRAFTS.chips} chip ({DRAFTS.source}). The fastest split "
            f"here, {best.split} chips a layer, {reached}: {1 / best.latency:,.0f} on {best.chips} chips."
        )
        many = users_for(made, DRAFTS.tokens)
        lines.append(
            f"As the sum over users, {made.split} chips a layer: {many.users} users, {many.batch} in a step, make "
            f"{many.throughput:,.0f} tokens/s on {many.chips} chips."
        )
    return lines
