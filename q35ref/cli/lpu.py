"""``q35ref lpu``: a matmul or a language model on the simulated machine."""

import re
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import click
from click.core import ParameterSource

from q35ref.cli.lpu_output import print_matmul, print_model
from q35ref.cli.output import UsageProblem, console
from q35ref.lpu import experiment
from q35ref.lpu.classic import CLASSIC
from q35ref.lpu.classic import cycles as classic_cycles
from q35ref.lpu.formats import FORMATS
from q35ref.lpu.layer import NODE, STORAGES
from q35ref.lpu.machine import MACHINES, Machine
from q35ref.lpu.models import MODELS
from q35ref.lpu.picture import draw, require_possible, save
from q35ref.lpu.plan import Plan
from q35ref.reference.lanes import check_size

SHAPE = re.compile(r"(\d{1,9})x(\d{1,9})x(\d{1,9})", re.ASCII)
"""``MxKxN``."""

OF_MATMULS = ("gain", "chips", "gantt", "seed")
"""Options that mean nothing for a model."""

OF_MODELS = ("split", "batch", "users", "context")
"""Options that mean nothing for a matmul."""

EXAMPLES = f"""WHAT is a matmul MxKxN (M rows of int8 activations [M, K] by weights [K, N]), which is simulated cycle by
cycle and compared with NumPy, or a language model, whose speed over many chips is added up from such matmuls:
{", ".join(MODELS)}.

\b
q35ref lpu 1x8192x8192 --format dense --gantt gantt.svg
q35ref lpu 1x8192x8192 --set alus=12
q35ref lpu 1x8192x8192 --machine classic
q35ref lpu llama-2-70b --format dense --split 8 --batch 16 --users 64

docs/lpu.md says what the words of the output mean, and what the machine's figures rest on.
"""


@click.command(help=EXAMPLES)
@click.argument("what")
@click.option("--format", "storage", type=click.Choice(list(STORAGES)), default="dense", show_default=True,
              help="How weights are kept; fp16 for models alone.")  # fmt: skip
@click.option("--machine", type=click.Choice([*MACHINES, "classic"]), default="tsp-v1", show_default=True,
              help="classic: a weight-stationary array, for a matmul of int8.")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="FIGURE=VALUE", help="Change a figure of the machine.")
@click.option("--group-size", type=click.IntRange(0), default=0, show_default=True, help="0: one group a column.")
@click.option("--gain", type=click.Choice(["1", "2"]), help="Of odd rows.  [default: 2 where the format has it]")
@click.option("--chips", type=click.IntRange(1), default=1, show_default=True, help="That share a matmul's columns.")
@click.option("--gantt", type=click.Path(path_type=Path, dir_okay=False), help="Draw a matmul's program here.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of a matmul's numbers.")
@click.option(
    "--split", type=click.IntRange(1, 10_440), default=NODE, show_default=True, help="Chips that share a layer."
)
@click.option("--batch", type=click.IntRange(1, 10**6), default=1, show_default=True, help="Users of one step.")
@click.option("--users", type=click.IntRange(1, 10**6), help="All users whose tokens are under way.  [default: batch]")
@click.option(
    "--context", type=click.IntRange(1, 131_071), default=2048, show_default=True, help="Tokens of each user."
)
@click.pass_context
def lpu(
    context_: click.Context, what: str, storage: str, machine: str, settings: tuple[str, ...], group_size: int,
    gain: str | None, chips: int, gantt: Path | None, seed: int, split: int, batch: int, users: int | None,
    context: int,
) -> None:  # fmt: skip
    shape = SHAPE.fullmatch(what)
    if shape is None and what not in MODELS:
        raise UsageProblem(f"expected MxKxN, such as 1x8192x8192, or one of {', '.join(MODELS)}; got {what!r}")
    try:
        if machine == "classic":
            _refuse_given(context_, (*OF_MATMULS, *OF_MODELS, "storage", "settings", "group_size"), "--machine classic")
            _classic(shape)
            return
        chosen = _changed(MACHINES[machine], settings)
        if shape is None:
            _refuse_given(context_, OF_MATMULS, "a model")
            options = {"batch": batch, "users": batch if users is None else users, "context": context,
                       "group_size": group_size}  # fmt: skip
            print_model(console(), MODELS[what], STORAGES[storage], chosen, split, options)
            return
        _refuse_given(context_, OF_MODELS, "a matmul")
        _matmul(_plan(shape, storage, chosen.joined(chips), group_size, gain), seed, gantt)
    except (ValueError, TypeError, OSError, MemoryError, OverflowError) as error:
        raise UsageProblem(str(error) or "not enough memory on this computer to simulate it") from error


def _refuse_given(context: click.Context, names: tuple[str, ...], what: str) -> None:
    """Refuse options that were given and mean nothing here."""
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if parameter.name in names and given:
            raise UsageProblem(f"{parameter.opts[0]}: means nothing for {what}")


def _changed(machine: Machine, settings: tuple[str, ...]) -> Machine:
    """Return a machine with other figures."""
    figures: Mapping[str, type] = {
        field.name: type(field.default) for field in fields(Machine) if field.name not in {"name", "chips"}
    }
    changes: dict[str, int | float] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in figures:
            raise UsageProblem(f"--set {setting}: expected FIGURE=VALUE, the figure one of {', '.join(figures)}")
        try:
            changes[name] = figures[name](value)
        except ValueError as error:
            raise UsageProblem(f"--set {setting}: expected a number, {figures[name].__name__}") from error
    named = ", ".join([machine.name, *settings])
    return replace(machine, name=named, **changes)  # type: ignore[arg-type]


def _classic(shape: re.Match[str] | None) -> None:
    """Count a matmul of int8 on a classic array."""
    if shape is None:
        raise UsageProblem("--machine classic: expected MxKxN, such as 1x8192x8192")
    m, k, n = map(int, shape.groups())
    for name, value in (("m", m), ("k", k), ("n", n)):
        check_size(name, value)
    out = console()
    out.print(f"{m} x {k} x {n} int8 on a weight-stationary array of {CLASSIC.rows} x {CLASSIC.columns}")
    out.print(f"{classic_cycles(CLASSIC, m, n, k):,} cycles, nothing overlapped; SCALE-Sim reports one less")


def _plan(shape: re.Match[str], storage: str, machine: Machine, group_size: int, gain: str | None) -> Plan:
    if storage not in FORMATS:
        raise UsageProblem(f"--format: expected one of {', '.join(FORMATS)} for a matmul, got {storage}")
    weights = FORMATS[storage]
    m, k, n = map(int, shape.groups())
    return Plan(machine, weights, m, k, n, group_size, max(weights.gains) if gain is None else int(gain))


def _matmul(plan: Plan, seed: int, gantt: Path | None) -> None:
    """Simulate, compare, print what it takes, and draw it."""
    if gantt is not None:
        require_possible(gantt)
    made = experiment.run(plan, seed)
    console(sys.stderr).print(f"simulated in {made.seconds:.1f} s")
    title = print_matmul(console(), made)
    if gantt is not None:
        part, program = made.parts[0]
        save(draw(part.plan, program, title), gantt)
        console().print(f"picture: {gantt}" + (" (of the first part)" if len(made.parts) > 1 else ""))
    if made.faults:
        sys.exit(1)
