"""Statements about schedules of the streaming processor: what ``q35ref.lpu`` emits, instruction by instruction.

There are no files of vectors for these: a schedule is many instructions, and only ``q35ref.lpu`` and Lean have one.
``proofs/Q35/Vectors/LpuCases.lean`` says how an instruction is written, and what is stated.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from functools import reduce
from typing import Any, Final, NamedTuple
from unittest.mock import patch

import numpy as np

from q35ref.lpu import scheduler
from q35ref.lpu.formats import FORMATS
from q35ref.lpu.machine import TSP_V1, Machine
from q35ref.lpu.plan import Plan
from q35ref.lpu.program import COLUMNS, NOTHING, OPERATIONS, Program, Writer
from q35ref.lpu.scheduler import FROM
from q35ref.lpu.unpacking import Fetch, Placement, Step, Table, table
from tools.lean_vectors.literals import listed, natural, structure

Wrapped = Callable[[str], str]

PARTS: Final = 4
"""Files of schedules."""

SHIFTED: Final = {("alu", "immediate"): 100, ("alu", "stream"): 1}
"""What is added to a field that can be negative."""

SMALL: Final = Machine("small", lanes=32, rows=32)
QUICK: Final = Machine(
    "quick", lanes=32, rows=32, hemispheres=1, alu_latency=2, memory_latency=3, transit=1, matrix_latency=5,
    drain_latency=2,
)  # fmt: skip
THREE: Final = Machine("three", lanes=32, rows=32, hemispheres=3, install_words=1, alus=9, memory_latency=12)
TALL: Final = Machine("tall", lanes=64, rows=64, alu_latency=3)

MACHINES: Final = (SMALL, QUICK, THREE, TALL)


@dataclass(frozen=True)
class Segmented(Plan):
    """A plan whose accumulators hold the products of so few row tiles that small shapes need several of them."""

    segment_tiles: int = 1


SHAPES: Final[tuple[tuple[Any, ...], ...]] = (
    (SMALL, "dense", 1, 1, 1, 0, 1),
    (SMALL, "dense", 2, 64, 33, 0, 1),
    (SMALL, "dense", 3, 65, 20, 0, 2),
    (SMALL, "dense", 7, 64, 65, 0, 1),
    (SMALL, "dense", 9, 100, 30, 0, 1),
    (SMALL, "dense", 2, 70, 5, 16, 1),
    (SMALL, "dense", 5, 96, 32, 32, 2),
    (SMALL, "byte", 1, 63, 64, 0, 1),
    (SMALL, "byte", 4, 130, 20, 0, 2),
    (SMALL, "byte", 5, 48, 10, 16, 1),
    (SMALL, "byte", 1, 200, 3, 48, 1),
    (SMALL, "int4", 2, 64, 33, 0, 1),
    (SMALL, "int4", 6, 80, 12, 80, 1),
    (SMALL, "int8", 3, 129, 40, 0, 1),
    (SMALL, "int8", 2, 40, 64, 16, 1),
    (QUICK, "dense", 3, 100, 65, 0, 1),
    (QUICK, "byte", 2, 50, 20, 32, 2),
    (QUICK, "int8", 4, 64, 31, 16, 1),
    (THREE, "dense", 2, 60, 128, 0, 1),
    (THREE, "byte", 1, 90, 65, 64, 1),
    (THREE, "int4", 2, 33, 96, 0, 1),
    (TALL, "dense", 4, 140, 60, 0, 2),
    (TALL, "byte", 3, 150, 64, 112, 1),
    (TALL, "int8", 1, 256, 65, 0, 1),
    (SMALL, "int8", 3, 150, 33, 0, 1, 1),
    (QUICK, "byte", 2, 300, 20, 208, 2, 2),
)
"""Machine, format, M, K, N, group size and narrow gain of each schedule; of some, the row tiles of an accumulator."""


class Recorder(Writer):
    """Keeps the instructions in the order in which they come, of all kinds together."""

    made: "list[Recorder]" = []  # noqa: RUF012  # the scheduler makes its writer itself: this is how it is found

    def __init__(self) -> None:
        super().__init__()
        self.order: list[tuple[str, Any]] = []
        Recorder.made.append(self)

    def add(self, kind: str, **columns: Any) -> None:
        """Add instructions, and note them."""
        super().add(kind, **columns)
        self.order += [(kind, record) for record in self._parts[kind][-1]]


def in_order(plan: Plan) -> list[tuple[str, Any]]:
    """Return the kind and the record of each instruction of a schedule, as they come: not yet sorted by cycle."""
    with patch.object(scheduler, "Writer", Recorder):
        program = scheduler.schedule(plan)
    order = Recorder.made.pop().order
    _require_same(program, scheduler.schedule(plan), order)
    return order


def _require_same(noted: Program, program: Program, order: list[tuple[str, Any]]) -> None:
    for kind, records in program.kinds().items():
        ours = sorted(record.tolist() for name, record in order if name == kind)
        assert ours == sorted(records.tolist()), f"{kind}: the instructions that were noted are all"
        assert np.array_equal(noted.kinds()[kind], records), f"{kind}: noting changes nothing"


def code(kind: str, record: Any) -> str:
    """Return an instruction as ``lpuInstr`` reads it.

    >>> code("write", {"cycle": 1234, "hemisphere": 1, "quad": 20, "address": 7, "stream": 5})
    '1234_001_020_007_005_001'
    """
    numbers = [int(record[name]) + SHIFTED.get((kind, name), 0) for name in COLUMNS[kind]]
    numbers.append(list(COLUMNS).index(kind))
    return digits(*numbers)


def digits(first: int, *others: int) -> str:
    """Return numbers as one, with three digits for each but the first. Errors: ValueError if one has no room.

    >>> digits(1234, 1, 20)
    '1234_001_020'
    """
    if min(first, *others) < 0 or max(others) >= 1000:
        raise ValueError(f"expected fields of three digits, got {[first, *others]}")
    return f"{reduce(lambda written, number: 1000 * written + number, others, first):_}"


def machine_text(machine: Machine) -> str:
    """Return a machine in Lean."""
    names = (
        *("lanes", "rows", "hemispheres", "planes", "install_words", "alus", "streams", "quads", "addresses"),
        *("accumulators", "memory_latency", "alu_latency", "transit", "matrix_latency", "drain_latency"),
    )
    return structure(*(natural(getattr(machine, name)) for name in names))


def table_text(made: Table) -> str:
    """Return a table in Lean."""
    parts = (map(_fetch, made.fetches), map(_step, made.steps), map(_placement, made.placements))
    return " ".join(["lpuTable", natural(made.interval), *map(listed, parts)])


def _fetch(fetch: Fetch) -> str:
    return digits(*map(int, astuple(fetch)))


def _step(step: Step) -> str:
    sources = [(FROM[kind], number) for kind, number in step.sources]
    (from_a, a), (from_b, b) = [*sources, (NOTHING, 0)][:2]
    operation, immediate = OPERATIONS.index(step.operation), step.immediate + SHIFTED["alu", "immediate"]
    stream = step.outward + SHIFTED["alu", "stream"]
    return digits(step.cycle, step.alu, operation, immediate, from_a, a, from_b, b, stream)


def _placement(placement: Placement) -> str:
    return digits(*astuple(placement))


def plan_text(plan: Plan) -> str:
    """Return a plan in Lean, its machine and its table by their names."""
    even, odd = (field.width for field in plan.weights.fields[:2])
    shape = plan.m, plan.k, plan.n, plan.group_size, plan.narrow_gain, plan.segment_tiles
    numbers = map(natural, (plan.weights.period_bytes, even, odd, *shape))
    return structure(machine_name(plan.machine), table_name(plan.machine, plan.weights.name), *numbers)


def table_name(machine: Machine, weights: str) -> str:
    """Return the name of a table in Lean."""
    return f"{machine_name(machine)}{weights.capitalize()}"


def machine_name(machine: Machine) -> str:
    """Return the name of a machine in Lean."""
    return machine.name.partition("-")[0]


def plans() -> Iterator[Plan]:
    """Yield the plans whose schedules are stated."""
    for machine, weights, *numbers in SHAPES:
        kind = Segmented if len(numbers) == 6 else Plan
        yield kind(machine, FORMATS[weights], *numbers)


class Module(NamedTuple):
    """A file of statements."""

    name: str
    operation: str
    theorems: int
    stated: int
    text: str


def tables_module(wrapped: Wrapped) -> Module:
    """Return the file of the machines and the tables: each table is one that the theorems are about."""
    cases = [
        f"  ⟨{machine_name(machine)}, {table_name(machine, weights.name)}, {weights.period_bytes}⟩"
        for machine in (*MACHINES, TSP_V1)
        for weights in FORMATS.values()
    ]
    definitions = "\n".join(_definitions(wrapped))
    text = (
        "module\n\npublic import Q35.Vectors.LpuCases\n\n@[expose] public noncomputable section\n\n"
        f"namespace Q35.Vectors\n\nopen Q35.Lpu\n\nnamespace Lpu\n\n{definitions}\nend Lpu\n\nopen Lpu\n\n"
        "/-- Every table of every machine is one that the theorems are about. -/\n"
        "theorem lpuTables : List.all [\n" + ",\n".join(cases) + "\n] LpuTable.holds := by decide +kernel\n\n"
        "end Q35.Vectors\n"
    )
    return Module("LpuTables", "lpu_tables", 1, len(cases), text)


def _definitions(wrapped: Wrapped) -> Iterator[str]:
    for machine in (*MACHINES, TSP_V1):
        text = machine_text(machine)
        yield f"/-- The machine `{machine.name}`. -/\ndef {machine_name(machine)} : Machine := {text}\n"
        for weights in FORMATS.values():
            text = wrapped(table_text(table(machine, weights)))
            yield (
                f"/-- How it unpacks a block of the format `{weights.name}`. -/\n"
                f"def {table_name(machine, weights.name)} : Table :=\n{text}\n"
            )


def schedules_module(part: int, numbered: Sequence[tuple[int, Plan]], wrapped: Wrapped) -> Module:
    """Return a file of schedules."""
    texts = []
    for number, plan in numbered:
        order = in_order(plan)
        case = f"⟨{plan_text(plan)}, {plan.total}, {listed(code(*each) for each in order)}⟩"
        shape = f"M {plan.m}, K {plan.k}, N {plan.n}, groups of {plan.group_size}"
        texts.append(
            f"/-- {plan.machine.name}, {plan.weights.name}, {shape}: {len(order)} instructions. -/\n"
            f"theorem lpuSchedule_{number} : List.all [\n{wrapped(case)}\n] LpuSchedule.holds := by decide +kernel\n"
        )
    text = (
        "module\n\npublic import Q35.Vectors.LpuTables\n\npublic section\n\n"
        "namespace Q35.Vectors\n\nopen Lpu\n\n" + "\n".join(texts) + "\nend Q35.Vectors\n"
    )
    return Module(f"LpuSchedules{part}", "lpu_schedules", len(texts), len(texts), text)


def modules(wrapped: Wrapped) -> Iterator[Module]:
    """Yield each file; ``wrapped`` breaks a value into lines that are not too long."""
    yield tables_module(wrapped)
    numbered = list(enumerate(plans(), 1))
    size = -(-len(numbered) // PARTS)
    for part in range(PARTS):
        yield schedules_module(part + 1, numbered[part * size : (part + 1) * size], wrapped)
