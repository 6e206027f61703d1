"""``python -m tools.lpu_page``: ``docs/lpu.md``, every number of it calculated anew, and the picture beside it.

python -m tools.lpu_page              write the page, and the picture where matplotlib is installed
python -m tools.lpu_page --check      exit status 1 if the page is not what the simulator says
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from inspect import cleandoc, getsource
from pathlib import Path
from typing import Any, Final

import click

from q35ref.lpu import machine as machines
from q35ref.lpu.classic import CLASSIC
from q35ref.lpu.classic import cycles as classic_cycles
from q35ref.lpu.cluster import (
    Deployment,
    TooLarge,
    chips_as_laid_out,
    chips_by_bytes,
    fastest,
    smallest,
    users_for,
    weight_bytes,
)  # fmt: skip
from q35ref.lpu.formats import FORMATS
from q35ref.lpu.layer import NODE, STORAGES
from q35ref.lpu.machine import TSP_V1, Machine
from q35ref.lpu.models import MODELS
from q35ref.lpu.picture import NoPicture, draw, save
from q35ref.lpu.plan import Plan
from q35ref.lpu.published import DRAFTS, PUBLISHED
from q35ref.lpu.simulate import compiled
from q35ref.lpu.timing import Cost, cost
from tools.generated import settle
from tools.lpu_text import BUYS, CLUSTER, HEAD, LIMITS, MATMUL, SANITY

ROOT: Final = Path(__file__).parents[1]

PAGE: Final = ROOT / "docs" / "lpu.md"

PICTURE: Final = ROOT / "docs" / "lpu" / "gemv-dense.svg"

SIZE: Final = 8192

GEMVS: Final = (
    ("dense", 1, 0), ("dense", 1, 128), ("byte", 1, 0), ("int4", 1, 0), ("int8", 1, 0),
    ("dense", 64, 0), ("byte", 64, 0),
)  # fmt: skip
"""Format, rows of activations and group size of the matmuls of 8192 by 8192 weights."""

BATCH, USERS = 16, 64
"""Of the columns for many users."""


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a table in Markdown, all but the first columns to the right."""
    rule = "".join("|---" if column < left else "|--:" for column in range(len(headings))) + "|"
    return "\n".join([f"| {' | '.join(headings)} |", rule, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def figures() -> str:
    """Return every figure of the machine with what its docstring says."""
    (tree,) = [node for node in ast.parse(getsource(machines)).body if isinstance(node, ast.ClassDef)]
    rows = []
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            says = " ".join(cleandoc(ast.literal_eval(text.value)).split()).replace("``", "`")
            value = getattr(TSP_V1, field.target.id)
            rows.append([f"`{field.target.id}`", f"{value:g}" if value > 1e6 else str(value), says])
    return table(("figure", "value", "what it is, and its source"), rows, left=3)


def plan(name: str, m: int, group_size: int, machine: Machine = TSP_V1) -> Plan:
    """Return the plan of a matmul of the page."""
    return Plan(machine, FORMATS[name], m, SIZE, SIZE, group_size, max(FORMATS[name].gains))


@cache
def gemv(name: str, m: int, group_size: int) -> Cost:
    """Return what a matmul of the page takes, counted over its program."""
    made = plan(name, m, group_size)
    return cost(made, compiled(made))


def gemvs() -> str:
    """Return the table of matmuls."""
    rows = []
    for name, m, group_size in GEMVS:
        found = gemv(name, m, group_size)
        shares = [f"{found.occupancy[unit]:.0%}" for unit in ("ALUs", "install", "multiply", "memory")]
        rows.append([
            name, str(m), str(group_size) if group_size else "column", str(FORMATS[name].operations),
            str(plan(name, m, group_size).table.interval), f"{found.cycles:,}", f"{found.products_a_cycle:,.0f}",
            f"{found.products / found.peak:.1%}", *shares, f"{found.memory_bytes / 1e6:.0f}",
            f"{1e3 * found.joules:.2f}", found.bottleneck,
        ])  # fmt: skip
    names = ("format", "M", "group", "ALU ops / 64 rows", "cycles / 64 rows", "cycles", "products / cycle",
             "of the peak", "ALUs", "install", "multiply", "memory", "MB moved", "mJ", "waits for")  # fmt: skip
    return table(names, rows)


Three = tuple[Deployment, Deployment, Deployment]


@cache
def deployments() -> dict[tuple[str, str], Three]:
    """Return each model in each format: one user on nodes, many users on nodes, one user with the fastest split."""
    return {
        (model.name, storage.name): (
            smallest(model, storage, TSP_V1, NODE),
            smallest(model, storage, TSP_V1, NODE, batch=BATCH, users=USERS),
            fastest(model, storage),
        )
        for model in MODELS.values()
        for storage in STORAGES.values()
    }


def laid_out(made: Deployment) -> str:
    """Return the chips that the scheduler's layout takes, on as few for a layer as it takes."""
    split = made.split
    while True:
        try:
            return f"{chips_as_laid_out(made.model, made.storage, made.machine, split):,} ({split})"
        except TooLarge:
            split *= 2


def cluster() -> str:
    """Return the table of models and formats."""
    rows = []
    for (model, storage), (one, many, best) in deployments().items():
        rows.append([
            model, storage, f"{weight_bytes(one.model, one.storage) / 1e9:.1f}",
            f"{chips_by_bytes(one.model, one.storage):,}", laid_out(one), f"{one.chips:,} ({one.split})",
            f"{one.tokens_a_user:,.0f}", one.bottleneck, f"{one.joules:,.1f}", f"{many.chips:,} ({many.split})",
            f"{many.throughput:,.0f}", many.bottleneck, f"{many.joules:,.2f}",
            f"{best.tokens_a_user:,.0f} ({best.split})",
        ])  # fmt: skip
    names = ("model", "format", "GB", "chips by bytes", "as laid out", "chips, 1 user", "tokens/s", "waits for",
             "J / token", f"chips, {USERS} users", "tokens/s of all", "they wait for", "J / token, all",
             "most for 1 user")  # fmt: skip
    return table(names, rows, left=2)


def buys() -> str:
    """Return what the packing buys and costs."""
    one = {name: deployments()["llama-2-70b", name] for name in STORAGES}
    dense, byte, int8 = (gemv(name, 1, 0) for name in ("dense", "byte", "int8"))
    by_bytes = {name: chips_by_bytes(one[name][0].model, STORAGES[name]) for name in STORAGES}
    interval = {name: plan(name, 1, 0).table.interval for name in FORMATS}
    more = (replace(TSP_V1, alus=alus) for alus in range(TSP_V1.alus, 4 * TSP_V1.alus))
    enough = next(made for machine in more if (made := plan("dense", 1, 0, machine)).table.interval == interval["byte"])
    slow = {name: plan(name, 1, 0, replace(TSP_V1, install_words=1)).total for name in ("dense", "byte")}
    crossing = sum(len(field.parts) > 1 for field in FORMATS["dense"].fields)
    return BUYS.format(
        by_bytes=by_bytes, fewer=1 - by_bytes["dense"] / by_bytes["byte"], laid_dense=laid_out(one["dense"][0]),
        whole_dense=one["dense"][0].chips, whole_byte=one["byte"][0].chips,
        dense_ops=FORMATS["dense"].operations, byte_ops=FORMATS["byte"].operations, crossing=crossing,
        dense_interval=interval["dense"], byte_interval=interval["byte"], slower=dense.cycles / byte.cycles,
        byte_int8=byte.cycles / int8.cycles, alus=dense.occupancy["ALUs"], memory=dense.occupancy["memory"],
        dense_tokens=one["dense"][0].tokens_a_user, byte_tokens=one["byte"][0].tokens_a_user,
        lost=1 - one["dense"][0].tokens_a_user / one["byte"][0].tokens_a_user,
        dense_joules=one["dense"][0].joules, byte_joules=one["byte"][0].joules, users=USERS,
        dense_many=one["dense"][1].throughput / one["dense"][1].chips,
        byte_many=one["byte"][1].throughput / one["byte"][1].chips, enough=2 * enough.machine.alus,
        enough_cycles=enough.total, alus_now=2 * TSP_V1.alus, byte_cycles=byte.cycles, dense_cycles=dense.cycles,
        m=64, many_ratio=gemv("dense", 64, 0).cycles / gemv("byte", 64, 0).cycles, slow=slow,
        dense_moved=dense.memory_bytes / 1e6, byte_moved=byte.memory_bytes / 1e6, int8_moved=int8.memory_bytes / 1e6,
        dense_held=3.5 / 8 * SIZE * SIZE / 1e6,
    )  # fmt: skip


def sanity() -> str:
    """Return the comparison with what others say."""
    model = MODELS[DRAFTS.model]
    rows = [[f"published: {each.source}", each.chips, f"{each.tokens:g}"] for each in PUBLISHED]
    for name in ("fp16", "int8", "dense"):
        for made in deployments()[model.name, name][::2]:
            found = f"{made.tokens_a_user:,.0f}"
            rows.append([f"calculated: {name}, {made.split} chips a layer", str(made.chips), found])
    rows.append([f"claimed: {DRAFTS.source}", DRAFTS.chips, f"{DRAFTS.tokens:g}"])
    dense = STORAGES["dense"]
    best = deployments()[model.name, "dense"][2]
    users = users_for(deployments()[model.name, "dense"][0], DRAFTS.tokens)
    return SANITY.format(
        table=table(("Llama-2 70B, one user", "chips", "tokens/s"), rows),
        fp16=weight_bytes(model, STORAGES["fp16"]) / 1e9, held_576=576 * TSP_V1.memory_bytes / 1e9,
        tokens=DRAFTS.tokens, gigabytes=weight_bytes(model, dense) / 1e9,
        held=TSP_V1.memory_bytes / weight_bytes(model, dense),
        ceiling=TSP_V1.install_rate * TSP_V1.clock / model.weights,
        rate=TSP_V1.install_rate * TSP_V1.clock / 1e12, most=best.tokens_a_user, most_split=best.split,
        users=users.users, users_chips=users.chips, users_tokens=users.throughput,
        budget=TSP_V1.clock / DRAFTS.tokens, hops=4 * model.layers * TSP_V1.hop,
        times=DRAFTS.tokens / best.tokens_a_user,
    )  # fmt: skip


def sections() -> Iterator[str]:
    """Yield the page's parts."""
    yield HEAD.format(figures=figures(), classic=classic_cycles(CLASSIC, 1, SIZE, SIZE))
    yield MATMUL.format(table=gemvs(), picture=PICTURE.relative_to(ROOT / "docs"))
    yield buys()
    yield CLUSTER.format(table=cluster(), batch=BATCH, users=USERS, node=NODE)
    yield sanity()
    yield LIMITS


def page() -> str:
    """Return the page."""
    return "\n".join(sections())


def picture(path: Path = PICTURE) -> None:
    """Draw the program of a GEMV. Errors: NoPicture."""
    made = plan("dense", 1, 0)
    save(draw(made, compiled(made), f"1 x {SIZE} x {SIZE} dense, {TSP_V1.name}"), path)


@click.command()
@click.option("--check", is_flag=True, help="Only compare.")
def main(check: bool) -> None:
    """Write docs/lpu.md, or compare it with what the simulator says."""
    made: Any = page()
    settle(PAGE, made, "the simulator says", "tools.lpu_page", check=check)
    if check:
        if not PICTURE.exists():
            sys.exit("docs/lpu.md's picture is not there: python -m tools.lpu_page")
        return
    PICTURE.parent.mkdir(exist_ok=True)
    try:
        picture()
    except NoPicture as error:
        click.echo(error, err=True)


if __name__ == "__main__":
    main()
