"""Whether a program can run: told from its instructions and the machine alone, without the scheduler.

No unit, port or stream twice in a cycle; every operand there in the cycle in which it is taken; everything within
bounds; nothing read before it is written; no buffer given rows while it is multiplied by.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from q35ref.lpu.machine import Machine
from q35ref.lpu.program import ALU, IMMEDIATES, NOTHING, OPERANDS, OPERATIONS, STREAM, Program, Records

Keys = NDArray[np.int64]


class ScheduleError(ValueError):
    """A program that the machine cannot run."""


def verify(program: Program, machine: Machine, image: Keys) -> None:
    """Refuse a program that the machine cannot run.

    ``image``: ``[words, 3]``, hemisphere, quad and address of each word that is in memory at the start.
    Errors: ScheduleError, which names the unit, the cycle and what is wrong.
    """
    _in_order(program)
    _within_bounds(program, machine)
    _operations_legal(program)
    _used_once(program, machine)
    _operands_there(program, machine)
    _memory_written(program, machine, image)
    _buffers_whole(program, machine)
    _accumulators_ready(program, machine)


LATEST: Final = 1 << 40
"""A cycle that is in time; later ones could not be told apart below."""


def _in_order(program: Program) -> None:
    """Refuse instructions that are not in the order of their cycles."""
    for kind, records in program.kinds().items():
        later = np.flatnonzero(np.diff(records["cycle"]) < 0)
        if len(later):
            cycle = records["cycle"][later[0] + 1]
            raise ScheduleError(f"{kind} in cycle {cycle}: comes after one in cycle {records['cycle'][later[0]]}")


def _operations_legal(program: Program) -> None:
    """Refuse operations with too few or too many operands, and immediates that they do not have."""
    records = program.alu
    for number, name in enumerate(OPERATIONS):
        own = records[records["operation"] == number]
        given = (own["from_a"] != NOTHING).astype(int) + (own["from_b"] != NOTHING)
        wrong = (given != OPERANDS[name]) | (own["from_a"] == NOTHING)
        if wrong.any():
            cycle = own["cycle"][int(np.argmax(wrong))]
            raise ScheduleError(f"alu in cycle {cycle}: {name}: expected {OPERANDS[name]} operand(s), the first first")
        low, high = IMMEDIATES.get(name, (0, 0))
        _demand(own, f"alu ({name})", "immediate", low, high + 1)


def _within_bounds(program: Program, machine: Machine) -> None:
    bounds: dict[str, dict[str, int]] = {
        "read": {"quad": machine.quads, "address": machine.addresses, "outward": 2, "stream": machine.streams},
        "write": {"quad": machine.quads, "address": machine.addresses, "stream": machine.streams},
        "alu": {
            "alu": machine.alus, "operation": len(OPERATIONS), "from_a": 3, "from_b": 3,
            "a": max(machine.streams, machine.alus), "b": max(machine.streams, machine.alus),
        },
        "install": {
            "plane": machine.planes, "port": machine.install_words, "buffer": 2, "row": machine.rows - 24,
            "stream": machine.streams,
        },
        "matmul": {
            "plane": machine.planes, "buffer": 2, "stream": machine.streams, "byte": 4,
            "accumulator": machine.accumulators, "begins": 2,
        },
        "drain": {"plane": machine.planes, "accumulator": machine.accumulators, "stream": machine.streams},
        "send": {"link": machine.lines * (machine.chips - 1), "stream": machine.streams},
        "receive": {
            "link": machine.lines * (machine.chips - 1), "quad": machine.quads, "address": machine.addresses,
        },
    }  # fmt: skip
    for kind, records in program.kinds().items():
        for column, limit in {"hemisphere": machine.hemispheres, **bounds[kind]}.items():
            _demand(records, kind, column, 0, limit)
        _demand(records, kind, "cycle", 0, LATEST)
    _demand(program.alu, "alu", "stream", -1, machine.streams)


def _demand(records: Records, kind: str, column: str, low: int, limit: int) -> None:
    wrong = (records[column] < low) | (records[column] >= limit)
    if wrong.any():
        record = records[int(np.argmax(wrong))]
        raise ScheduleError(
            f"{kind} in cycle {record['cycle']}: {column}: expected {low} to {limit - 1}, got {record[column]}"
        )


def inward(program: Program, machine: Machine) -> Keys:
    """Return hemisphere, stream and cycle of each word that comes to the VXM."""
    reads = program.read[program.read["outward"] == 0]
    return np.concatenate([
        _keys(reads, "hemisphere", "stream", later=machine.memory_latency),
        _keys(program.drain, "hemisphere", "stream", later=machine.drain_latency),
    ])  # fmt: skip


def outward(program: Program, machine: Machine) -> Keys:
    """Return hemisphere, stream and cycle of each word that comes to the MXM."""
    reads = program.read[program.read["outward"] == 1]
    return np.concatenate([
        _keys(reads, "hemisphere", "stream", later=machine.memory_latency), _given(program, machine)
    ])  # fmt: skip


def _given(program: Program, machine: Machine) -> Keys:
    """Return hemisphere, stream and cycle of each result of an ALU that comes to the MXM."""
    given = program.alu[program.alu["stream"] >= 0]
    return _keys(given, "hemisphere", "stream", later=machine.alu_latency + machine.transit)


def _keys(records: Records, *names: str, later: int = 0) -> Keys:
    """Return columns and the cycle, some cycles later, of each instruction."""
    return np.stack([*(records[name] for name in names), records["cycle"] + later], axis=1)


def _used_once(program: Program, machine: Machine) -> None:
    units: dict[str, Keys] = {
        "memory quad": np.concatenate(
            [_keys(each, "hemisphere", "quad") for each in (program.read, program.write, program.receive)]
        ),
        "ALU": _keys(program.alu, "hemisphere", "alu"),
        "install port": _keys(program.install, "hemisphere", "plane", "port"),
        "plane": _keys(program.matmul, "hemisphere", "plane"),
        "accumulator port": _keys(program.drain, "hemisphere", "plane"),
        "inward stream": inward(program, machine),
        "outward stream": outward(program, machine),
    }
    for unit, keys in units.items():
        order = np.lexsort(keys.T)
        twice = (keys[order[1:]] == keys[order[:-1]]).all(axis=1)
        if twice.any():
            *numbers, cycle = keys[order[int(np.argmax(twice))]].tolist()
            raise ScheduleError(f"{unit} {numbers} is used twice in cycle {cycle}")
    _links_free(program, machine)


def _links_free(program: Program, machine: Machine) -> None:
    """Refuse a word on a link that the word before has not left yet."""
    keys = _links(program.send, machine)
    keys = keys[np.lexsort(keys[:, ::-1].T)]
    busy = (keys[1:, :2] == keys[:-1, :2]).all(axis=1) & (keys[1:, 2] < keys[:-1, 2] + machine.link_cycles)
    if busy.any():
        chip, link, cycle = keys[1:][int(np.argmax(busy))].tolist()
        raise ScheduleError(f"link {link} of chip {chip} is used again in cycle {cycle}, before a word has left")


def _links(records: Records, machine: Machine) -> Keys:
    """Return chip, link and cycle of each instruction."""
    return np.stack([records["hemisphere"] // machine.sides, records["link"], records["cycle"]], axis=1)


def _operands_there(program: Program, machine: Machine) -> None:
    coming, going = _Set(inward(program, machine)), _Set(outward(program, machine))
    issued = _Set(_keys(program.alu, "hemisphere", "alu"))
    for source, operand in (("from_a", "a"), ("from_b", "b")):
        taken = program.alu[program.alu[source] == STREAM]
        coming.demand(_keys(taken, "hemisphere", operand), "ALU", "inward stream")
        taken = program.alu[program.alu[source] == ALU]
        issued.demand(_keys(taken, "hemisphere", operand, later=-machine.alu_latency), "ALU", "result of ALU")
    going.demand(_keys(program.install, "hemisphere", "stream"), "install", "outward stream")
    going.demand(_keys(program.matmul, "hemisphere", "stream"), "matmul", "outward stream")
    going.demand(_keys(program.send, "hemisphere", "stream"), "send", "outward stream")
    if len(program.send) or len(program.receive):
        chip, link, cycle = _links(program.send, machine).T
        there = cycle + machine.link_cycles + machine.hop
        arriving = _Set(np.stack([*machine.far_end(chip, link), there], axis=1))
        arriving.demand(_links(program.receive, machine), "receive", "link")
    results = _Set(_given(program, machine))  # what memory itself sends outwards does not come past memory
    gone = machine.transit - machine.memory_latency
    results.demand(_keys(program.write, "hemisphere", "stream", later=gone), "write", "outward stream")


class _Set:
    """Words that are there at a place and a cycle."""

    def __init__(self, keys: Keys) -> None:
        self.places = keys[:, :-1].max(axis=0, initial=0) + 1
        self.codes = np.unique(self._code(keys))

    def _code(self, keys: Keys) -> Keys:
        code = keys[:, -1]
        for column, size in enumerate(self.places):
            code = code * size + keys[:, column]
        return code

    def demand(self, keys: Keys, who: str, what: str) -> None:
        """Refuse operands that are not there."""
        known = ((keys[:, :-1] >= 0) & (keys[:, :-1] < self.places)).all(axis=1) & (keys[:, -1] >= 0)
        found = known & np.isin(self._code(keys), self.codes)
        if not found.all():
            *numbers, cycle = keys[int(np.argmin(found))].tolist()
            raise ScheduleError(f"{who}: nothing is on {what} {numbers} in cycle {cycle}")


def _memory_written(program: Program, machine: Machine, image: Keys) -> None:
    """Refuse reads of words that nothing has put there."""
    sizes = machine.quads * machine.addresses, machine.addresses, 1

    def place(keys: Keys) -> Keys:
        code: Keys = (keys * np.array(sizes)).sum(axis=1)
        return code

    there = np.unique(place(image))
    written = [_keys(each, "hemisphere", "quad", "address") for each in (program.write, program.receive)]
    reads = place(_keys(program.read, "hemisphere", "quad", "address")[:, :3])
    keys = np.concatenate(written)
    keys = keys[np.argsort(-keys[:, 3], kind="stable")]  # the first of several writes comes last, and is kept
    missing = ~np.isin(reads, there)
    first = dict(zip(place(keys[:, :3]).tolist(), keys[:, 3].tolist(), strict=True))
    for index in np.flatnonzero(missing).tolist():
        if first.get(int(reads[index]), np.inf) >= program.read["cycle"][index]:
            record = program.read[index]
            raise ScheduleError(
                f"read in cycle {record['cycle']}: nothing has been written to quad {record['quad']}, address "
                f"{record['address']} of hemisphere {record['hemisphere']}"
            )


def _generations(program: Program) -> Iterator[tuple[str, Records, Records]]:
    """Yield each run of installs of a buffer with the run of multiplications by it that follows."""
    for hemisphere in np.unique(program.install["hemisphere"]).tolist():
        for plane in np.unique(program.install["plane"]).tolist():
            for buffer in (0, 1):
                installs, matmuls = (
                    records[
                        (records["hemisphere"] == hemisphere)
                        & (records["plane"] == plane)
                        & (records["buffer"] == buffer)
                    ]
                    for records in (program.install, program.matmul)
                )
                place = f"buffer {buffer} of plane {plane} of hemisphere {hemisphere}"
                begins = np.searchsorted(installs["cycle"], matmuls["cycle"])
                parts, counts = np.unique(begins, return_counts=True)
                start = end = 0
                for until, count in zip(parts.tolist(), counts.tolist(), strict=True):
                    yield place, installs[start:until], matmuls[end : end + count]
                    start, end = until, end + count


def _buffers_whole(program: Program, machine: Machine) -> None:
    """Refuse multiplications by a buffer that has not been given all its rows, each once, since the last ones, or that
    is given one in that cycle."""
    places = "hemisphere", "plane", "buffer"
    given = {tuple(key) for key in _keys(program.install, *places).tolist()}
    for hemisphere, plane, buffer, cycle in _keys(program.matmul, *places).tolist():
        if (hemisphere, plane, buffer, cycle) in given:
            raise ScheduleError(f"matmul in cycle {cycle}: buffer {buffer} of plane {plane} is given a row meanwhile")
    known = set()
    for place, installs, matmuls in _generations(program):
        known.add(place)
        rows = np.sort((installs["row"][:, None] + np.arange(0, 32, 8)).ravel())
        if len(rows) != machine.rows or (rows != np.arange(machine.rows)).any():
            cycle = int(matmuls["cycle"][0])
            raise ScheduleError(f"matmul in cycle {cycle}: {place} has not been given each of its rows once")
    used = {tuple(record) for record in np.unique(program.matmul[["hemisphere", "plane", "buffer"]]).tolist()}
    for hemisphere, plane, buffer in used:
        if f"buffer {buffer} of plane {plane} of hemisphere {hemisphere}" not in known:
            first = program.matmul[program.matmul["buffer"] == buffer]["cycle"][0]
            raise ScheduleError(f"matmul in cycle {first}: nothing is installed in buffer {buffer} of plane {plane}")


def _accumulators_ready(program: Program, machine: Machine) -> None:
    """Refuse sums that nothing began, and draining while a product is on its way to the accumulator."""
    names = ["hemisphere", "plane", "accumulator"]
    cycles: dict[Any, list[int]] = {}
    for *place, cycle, begins in program.matmul[[*names, "cycle", "begins"]].tolist():
        own = cycles.setdefault(tuple(place), [])
        if not begins and not own:
            raise ScheduleError(f"matmul in cycle {cycle}: accumulator {place[2]} of plane {place[1]} was never begun")
        own.append(cycle)
    for *place, cycle in program.drain[[*names, "cycle"]].tolist():
        own = cycles.get(tuple(place), [])
        before = bisect_right(own, cycle)
        if before == 0 or own[before - 1] + machine.matrix_latency > cycle:
            raise ScheduleError(f"drain in cycle {cycle}: accumulator {place[2]} of plane {place[1]} is not complete")
