"""The verifier refuses what the machine cannot run: a planted conflict of each kind."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from q35ref.lpu.executor import Executor
from q35ref.lpu.image import gathered_results, results
from q35ref.lpu.program import ALU, COLUMNS, NOTHING, OPERATIONS, STREAM, Program, Writer
from q35ref.lpu.verifier import ScheduleError, verify
from tests.lpu_problems import SMALL, Problem, added, changed, fields, problem, small, without

PAIR = SMALL.joined(2)


@lru_cache
def planted_in() -> Problem:
    """Return a matmul with several row tiles, groups and column tiles, on two chips."""
    return problem(small(m=2, k=150, n=140, group_size=64, machine=PAIR))


def refused(program: Program, message: str, *, without_image: bool = False) -> None:
    made = planted_in()
    keys = made.image.keys[:0] if without_image else made.image.keys
    with pytest.raises(ScheduleError, match=message):
        verify(program, PAIR, keys)


def index_of(kind: str, **columns: int) -> int:
    """Return the number of the first instruction with these fields."""
    records = getattr(planted_in().program, kind)
    found = np.all([records[name] == value for name, value in columns.items()], axis=0)
    return int(np.argmax(found))


def again(kind: str, index: int, **columns: int) -> Program:
    """Return the program with an instruction issued once more, with other fields."""
    program = planted_in().program
    return added(program, kind, **(fields(getattr(program, kind)[index]) | columns))


def test_the_program_itself_is_accepted() -> None:
    made = planted_in()
    verify(made.program, PAIR, made.image.keys)


def beside_another_alu() -> dict[str, int]:
    """Return an instruction for an ALU that is free, with the stream and the cycle of another's."""
    alu = planted_in().program.alu
    for record in alu[alu["stream"] >= 0]:
        busy = alu[(alu["cycle"] == record["cycle"]) & (alu["hemisphere"] == record["hemisphere"])]["alu"]
        if free := set(range(PAIR.alus)) - set(busy.tolist()):
            return fields(record) | {"alu": min(free)}
    raise AssertionError("some ALU is free when another gives to a stream")


def beside_a_write() -> Program:
    """Return the program with a read of the quad that takes its first word, in that cycle."""
    program = planted_in().program
    place = {name: int(program.write[0][name]) for name in ("cycle", "hemisphere", "quad")}
    return added(program, "read", **place, address=0, outward=0, stream=7)


TWICE: dict[str, tuple[Callable[[], Program], str]] = {
    "quad, two reads": (lambda: again("read", 0, stream=3), r"memory quad \[0, \d+\] is used twice in cycle"),
    "quad, read and write": (lambda: beside_a_write(), "memory quad .* is used twice"),
    "quad, a word received": (
        lambda: again("receive", 0, cycle=int(planted_in().program.receive["cycle"][0]), address=99),
        "memory quad .* is used twice",
    ),
    "ALU": (lambda: again("alu", 5, stream=-1), "ALU .* is used twice"),
    "install port": (lambda: again("install", 4, row=0), "install port .* is used twice"),
    "plane": (lambda: again("matmul", 3, accumulator=7), "plane .* is used twice"),
    "accumulator port": (lambda: again("drain", 2, stream=7), "accumulator port .* is used twice"),
    "inward stream": (
        lambda: again("read", index_of("read", outward=0), quad=21, address=0), "inward stream .* is used twice"
    ),
    "outward stream": (
        lambda: again("read", index_of("read", outward=1), quad=21, address=0), "outward stream .* is used twice"
    ),
    "outward stream, two ALUs": (
        lambda: again("alu", 0, **beside_another_alu()), "outward stream .* is used twice"
    ),
    "link": (
        lambda: added(planted_in().program, "send", **(fields(planted_in().program.send[1]) | {
            "cycle": int(planted_in().program.send["cycle"][0]), "link": int(planted_in().program.send["link"][0]),
            "hemisphere": int(planted_in().program.send["hemisphere"][0]),
        })),
        "link .* is used again .* before a word has left",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TWICE)
def test_nothing_is_used_twice_in_a_cycle(name: str) -> None:
    make, message = TWICE[name]
    refused(make(), message)


def test_a_link_is_taken_for_as_long_as_a_word_needs() -> None:
    program = planted_in().program
    own = program.send[program.send["hemisphere"] < PAIR.sides]
    first, second = (fields(record) for record in own[own["link"] == own["link"][0]][:2])
    assert second["cycle"] - first["cycle"] >= PAIR.link_cycles
    early = int(np.argmax(program.send["cycle"] == second["cycle"]))
    refused(
        changed(program, "send", early, cycle=first["cycle"] + PAIR.link_cycles - 1), "before a word has left|nothing"
    )


ABSENT: dict[str, tuple[str, dict[str, Any], str]] = {
    "ALU, stream": ("alu", {"from_a": STREAM, "a": 7}, "ALU: nothing is on inward stream"),
    "ALU, second operand": ("alu", {"from_b": STREAM, "b": 7}, "ALU: nothing is on inward stream"),
    "ALU, result": ("alu", {"from_a": ALU, "a": 7}, "ALU: nothing is on result of ALU"),
    "install": ("install", {"stream": 7}, "install: nothing is on outward stream"),
    "matmul": ("matmul", {"stream": 7}, "matmul: nothing is on outward stream"),
    "write": ("write", {"stream": 2}, "write: nothing is on outward stream"),
    "send": ("send", {"stream": 7}, "send: nothing is on outward stream"),
    "receive": ("receive", {"cycle": 10**6}, "receive: nothing is on link"),
}


@pytest.mark.parametrize("name", ABSENT)
def test_operands_are_there_in_the_cycle_in_which_they_are_taken(name: str) -> None:
    kind, columns, message = ABSENT[name]
    index = index_of("alu", operation=OPERATIONS.index("or")) if "second" in name else 0
    refused(changed(planted_in().program, kind, index, **columns), message)


@pytest.mark.parametrize(("kind", "column"), [(kind, column) for kind, names in COLUMNS.items() for column in names])
@pytest.mark.parametrize("value", [-2, 1 << 20])
def test_every_field_has_bounds(kind: str, column: str, value: int) -> None:
    if column == "cycle" and value > 0:
        value = 1 << 41
    if column == "immediate":
        value *= 50
    refused(changed(planted_in().program, kind, 0, **{column: value}), f"{kind}.* in cycle .*: {column}: expected")


def test_nothing_is_read_before_it_is_written() -> None:
    program = planted_in().program
    refused(program, "nothing has been written to quad", without_image=True)
    own = index_of("read", quad=19, outward=0)  # a row sum that the program itself has written
    assert program.read[own]["quad"] == 19
    refused(without(program, "write", index_of("write", quad=19)), "nothing has been written to quad 19")


def test_a_buffer_has_each_row_once_when_it_is_multiplied_by() -> None:
    program = planted_in().program
    refused(without(program, "install", 3), "has not been given each of its rows once")
    other = (int(program.install[3]["row"]) + 1) % 8
    refused(changed(program, "install", 3, row=other), "has not been given each of its rows once")
    first = int(np.argmax(program.install["buffer"] == 1))
    refused(changed(program, "install", first, buffer=0), "has not been given each of its rows once|used twice")


def test_a_buffer_is_not_given_rows_while_it_is_multiplied_by() -> None:
    """Neither between two multiplications nor in the cycle of one: there is a word on the stream of activations."""
    program = planted_in().program
    last = int(np.flatnonzero((program.install["buffer"] == 1) & (program.install["hemisphere"] == 0))[-1])
    plane = int(program.install[last]["plane"])
    own = {name: program.install[name] for name in ("hemisphere", "plane", "port", "cycle")}
    taken = set(zip(*(column.tolist() for column in own.values()), strict=True))
    matmuls = program.matmul[(program.matmul["buffer"] == 1) & (program.matmul["hemisphere"] == 0)]
    free = ((port, int(cycle)) for cycle in matmuls[matmuls["plane"] == plane]["cycle"] for port in range(2)
            if (0, plane, port, cycle) not in taken)  # fmt: skip
    port, cycle = next(free)
    record = fields(program.install[last]) | {"cycle": cycle, "stream": 4, "port": port}
    refused(added(without(program, "install", last), "install", **record), "is given a row meanwhile")


def test_a_program_that_installs_nothing_multiplies_by_nothing() -> None:
    program = planted_in().program
    kinds = program.kinds() | {"install": program.install[:0]}
    refused(Program(**kinds), "nothing is installed in buffer")


def test_accumulators_are_begun_and_complete() -> None:
    program = planted_in().program
    first = index_of("matmul", begins=1)
    refused(changed(program, "matmul", first, begins=0), "was never begun")
    last = int(np.argmax(program.drain["cycle"]))
    lone = max(program.matmul["accumulator"]) + 1
    refused(changed(program, "drain", last, accumulator=lone), "is not complete")
    ended = int(program.matmul["cycle"][-1])
    record = fields(program.drain[0]) | {"cycle": ended, "accumulator": int(program.matmul["accumulator"][-1]),
                                         "plane": int(program.matmul["plane"][-1]),
                                         "hemisphere": int(program.matmul["hemisphere"][-1])}  # fmt: skip
    refused(added(program, "drain", **record), "is not complete")


def test_a_later_reading_may_begin_an_accumulator_anew() -> None:
    """What is drained is what was summed before; what comes after it is another sum."""
    program = planted_in().program
    drained = fields(program.drain[0])
    used = program.matmul[program.matmul["accumulator"] == drained["accumulator"]][0]
    late = fields(used) | {name: drained[name] for name in ("hemisphere", "plane")}
    late |= {"cycle": drained["cycle"] + 1, "begins": 1, "buffer": 0}
    read = {"cycle": late["cycle"] - PAIR.memory_latency, "hemisphere": late["hemisphere"], "quad": 16, "address": 0,
            "outward": 1, "stream": 4}  # fmt: skip
    verify(added(added(program, "matmul", **late), "read", **read), PAIR, planted_in().image.keys)
    early = late | {"cycle": drained["cycle"] - 1}
    read["cycle"] -= 2
    refused(added(added(program, "matmul", **early), "read", **read), "is not complete")


def test_instructions_come_in_the_order_of_their_cycles() -> None:
    kinds = planted_in().program.kinds()
    refused(Program(**(kinds | {"drain": kinds["drain"][::-1]})), "drain in cycle .*: comes after one in cycle")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"operation": OPERATIONS.index("add"), "from_b": NOTHING}, r"add: expected 2 operand\(s\)"),
        ({"operation": OPERATIONS.index("keep"), "from_a": NOTHING}, r"keep: expected 1 operand\(s\)"),
        ({"operation": OPERATIONS.index("mask"), "immediate": 256}, "immediate: expected 0 to 255, got 256"),
        ({"operation": OPERATIONS.index("shift"), "immediate": 40}, "immediate: expected -31 to 31, got 40"),
        ({"operation": OPERATIONS.index("shift_right"), "immediate": -3}, "immediate: expected 0 to 31, got -3"),
        ({"operation": OPERATIONS.index("keep"), "immediate": 1}, "immediate: expected 0 to 0, got 1"),
    ],
)
def test_operations_have_their_operands_and_immediates(columns: dict[str, int], message: str) -> None:
    one = index_of("alu", from_b=NOTHING)
    refused(changed(planted_in().program, "alu", one, **columns), message)


def copying(*words: tuple[int, int, int, int]) -> Program:
    """Return a program that copies words: cycle of reading, stream and ALU, from where, to where, all in quad 0."""
    writer = Writer()
    for cycle, number, source, target in words:
        there = cycle + SMALL.memory_latency
        writer.add("read", cycle=cycle, hemisphere=0, quad=0, address=source, outward=0, stream=number)
        writer.add(
            "alu", cycle=there, hemisphere=0, alu=number, operation=OPERATIONS.index("keep"), immediate=0,
            from_a=STREAM, a=number, from_b=NOTHING, b=0, stream=number,
        )  # fmt: skip
        written = there + SMALL.alu_latency + SMALL.memory_latency
        writer.add("write", cycle=written, hemisphere=0, quad=0, address=target, stream=number)
    return writer.program()


def test_a_word_on_its_way_is_what_was_read() -> None:
    """It does not change when its place in memory is written to meanwhile."""
    program = copying((0, 1, 2, 1), (20, 0, 1, 3))  # address 1 is read in cycle 20 and overwritten in cycle 24
    image = np.array([[0, 0, address] for address in range(4)])
    verify(program, SMALL, image)
    memory = np.zeros((2, SMALL.quads, SMALL.addresses, SMALL.lanes), np.uint32)
    memory[0, 0, :4] = np.arange(4)[:, None]
    Executor(SMALL, memory).run(program)
    assert memory[0, 0, :4, 0].tolist() == [0, 2, 2, 1]


def test_what_a_program_has_not_written_yet_is_not_read() -> None:
    program = copying((0, 0, 0, 1), (23, 1, 1, 2))  # written in cycle 24
    with pytest.raises(ScheduleError, match="read in cycle 23: nothing has been written to quad 0, address 1"):
        verify(program, SMALL, np.array([[0, 0, 0]]))
    verify(copying((0, 0, 0, 1), (25, 1, 1, 2)), SMALL, np.array([[0, 0, 0]]))


def test_memory_takes_no_word_that_memory_sends() -> None:
    """A word on its way outwards has passed memory."""
    writer = Writer()
    writer.add("read", cycle=0, hemisphere=0, quad=0, address=0, outward=1, stream=0)
    writer.add("write", cycle=SMALL.memory_latency + SMALL.memory_latency - SMALL.transit, hemisphere=0, quad=1,
               address=0, stream=0)  # fmt: skip
    with pytest.raises(ScheduleError, match="write: nothing is on outward stream"):
        verify(writer.program(), SMALL, np.array([[0, 0, 0]]))


def test_sums_are_added_or_begun_as_the_program_says() -> None:
    made = planted_in()
    memory = made.image.memory.copy()
    ended = int(made.program.matmul["cycle"].max())
    used = fields(made.program.matmul[-1])
    again = added(
        added(made.program, "matmul", **(used | {"cycle": ended + 1, "begins": 0})), "read",
        cycle=ended + 1 - PAIR.memory_latency, hemisphere=used["hemisphere"], quad=16, address=0, outward=1, stream=4,
    )  # fmt: skip
    sums = []
    for begins in (0, 1):
        executor = Executor(PAIR, memory.copy())
        index = int(np.flatnonzero(again.matmul["cycle"] == ended + 1)[0])
        executor.run(changed(again, "matmul", index, begins=begins))
        sums.append(executor.sums[used["hemisphere"], used["plane"], used["accumulator"]].copy())
    alone = Executor(PAIR, memory.copy())
    alone.run(made.program)
    before = alone.sums[used["hemisphere"], used["plane"], used["accumulator"]]
    assert (sums[0] == before + sums[1]).all()
    assert sums[1].any()
    assert before.any()


@given(st.sampled_from(sorted(COLUMNS)), st.integers(0, 10**6), st.sampled_from([-2, -1, 1, 2]))
def test_an_instruction_at_another_cycle_is_refused_or_changes_nothing(kind: str, number: int, later: int) -> None:
    """What is accepted must be right: this is what an executor that checks nothing rests on."""
    made = planted_in()
    records = getattr(made.program, kind)
    index = number % len(records)
    moved = changed(made.program, kind, index, cycle=int(records[index]["cycle"]) + later)
    try:
        verify(moved, PAIR, made.image.keys)
    except ScheduleError:
        return
    memory = made.image.memory.copy()
    Executor(PAIR, memory).run(moved)
    acc, row_sum, out = results(made.plan, memory)
    assert (acc == made.acc).all()
    assert (row_sum == made.row_sum).all()
    assert all((gathered_results(made.plan, memory, chip) == out).all() for chip in range(PAIR.chips))
