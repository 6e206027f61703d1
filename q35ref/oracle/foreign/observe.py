"""Two calls a problem, from which it is told what a kernel does beside its work.

The first call lies amid bytes that must not change, on one thread; the second against forbidden pages, with inputs
that cannot be written, other bytes in the outputs, now and then a result that is not asked for and, where the kernel
lets us choose, several threads. Both must come to the same. Where they do not, further calls that differ from the
first in one thing each find what it is.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any, Final

import numpy as np

from q35ref.oracle.calls import Outcome, alike, unlike
from q35ref.oracle.foreign.memory import Side
from q35ref.oracle.foreign.process import Death, KernelProcess
from q35ref.oracle.foreign.wire import plain
from q35ref.oracle.judge import Mismatch

FILLS: Final = (0xA5, 0x3C)
"""What the outputs hold before the first call and before the second."""

SIDES: Final[tuple[Side, ...]] = ("before", *5 * ("after",), "before", *4 * ("after",))
"""Where the arrays of second calls lie, in turn: at the end of their room, now and then at its beginning. As many as
are no multiple of the numbers of threads, of the subsets of results, and of what the problems alternate."""

THREADS: Final = (4, 2, 8, 3, 4)
"""Threads of the second call, in turn."""

SEVERAL: Final = 4
"""Threads of a call that looks for what depends on them."""

HISTORY: Final = 4
"""Problems of which one is followed by another at the same addresses."""

REPEATS: Final = 4
"""Calls in which a difference must show itself."""

LOOKED_INTO: Final = 3
"""Differences of an operation whose cause is looked for; the others are taken for the same."""

EXPECTED: Final = {
    "crash": "a result",
    "hang": "a result",
    "exit": "a result, and the process going on",
}


FAULT_PARTS: Final = 4
"""Kind, place, got and expected of a fault in an answer."""


@dataclass(frozen=True)
class Conditions:
    """What differs between calls of one problem."""

    fill: int = FILLS[0]
    """What the outputs hold before the call."""
    threads: int = 1
    side: Side = ""
    """Where the arrays lie in their rooms."""
    sides: dict[str, Side] = field(default_factory=dict)
    """The same for single arrays."""
    sealed: tuple[str, ...] = ()
    """Inputs that cannot be written."""
    left_out: tuple[str, ...] = ()
    """Outputs for which NULL is passed."""


PLAIN: Final = Conditions()
"""Those of the first call."""

WIDE: Final = Conditions(side="wide")
"""Those of the first call of what writes far away."""

Also = tuple[Any, ...]


@dataclass(frozen=True)
class Arrays:
    """The names of a call's arrays."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    """Outputs that a caller need not ask for."""

    @property
    def subsets(self) -> list[tuple[str, ...]]:
        """What may be left out together: nothing, or some of these, not all."""
        counts = range(max(1, len(self.optional)))
        return [names for count in counts for names in combinations(self.optional, count)]


class Observer:
    """Calls of one kernel in its process."""

    def __init__(self, process: KernelProcess) -> None:
        self.process = process
        self.spared: dict[str, set[str]] = {}
        """Conditions under which an operation is known to die, and not called again."""
        self.wide: set[str] = set()
        """Operations that write so far away that nothing near may be forbidden."""
        self._asked: Counter[tuple[str, str]] = Counter()
        """Problems of each function."""
        self._loading: list[Mismatch] = []
        if any(process.offered.get("loading", ())):
            kind, settings = process.offered["loading"]
            expected = "the caller's settings left as they were"
            self._loading.append(Mismatch(str(kind), "loading", str(settings), expected))
        self._differences: dict[str, list[str]] = {}
        """Kinds of differences that were looked into, by operation."""
        self._arrays = Arrays()
        """Of the last call that was answered."""

    def observe(self, operation: str, arguments: dict[str, Any]) -> Outcome:
        """Return what came of a problem's calls."""
        self._asked[operation, str(arguments.get("method", ""))] += 1
        loading, self._loading = self._loading, []
        first = self._first(operation, arguments)
        if isinstance(first, Death):
            return Outcome(faults=(_ended(operation, first), *loading), answered=False)
        faults, also = [*first.faults, *loading], ()
        if all(fault.kind != "out-of-bounds write" for fault in faults):
            found, also = self._compared(operation, arguments, first)
            kinds = {fault.kind for fault in faults}
            faults += [fault for fault in found if fault.kind not in kinds]
        return Outcome(first.result, first.raised, tuple(faults), also=also)

    def answer(self, operation: str, arguments: dict[str, Any]) -> Outcome:
        """Return the result of one call, without what other calls would show."""
        first = self._first(operation, arguments)
        if isinstance(first, Death):
            return Outcome(faults=(_ended(operation, first),), answered=False)
        return Outcome(first.result, first.raised, first.faults)

    def _first(self, operation: str, arguments: dict[str, Any]) -> Outcome | Death:
        """Make the first call; where it dies, once more with nothing forbidden, to see what it writes."""
        if operation in self.wide:
            return self._once(operation, arguments, WIDE)
        first = self._once(operation, arguments, PLAIN)
        if isinstance(first, Death) and first.kind == "crash":
            wide = self._once(operation, arguments, WIDE)
            if isinstance(wide, Outcome) and any(fault.kind == "out-of-bounds write" for fault in wide.faults):
                self.wide.add(operation)
                return wide
        return first

    def again(self, operation: str, arguments: dict[str, Any], fault: Mismatch) -> Mismatch | None:
        """Return a fault of the same kind, with the fewest calls that could show it, or nothing."""
        first = self._first(operation, arguments)
        if isinstance(first, Death):
            return _ended(operation, first) if first.kind == fault.kind else None
        if fault.kind in HISTORIES:
            return self._history(operation, arguments)
        found = next((found for found in first.faults if found.kind == fault.kind), None)
        for conditions in () if found else self._trials(fault):
            other = self._once(operation, arguments, conditions)
            if isinstance(other, Death):
                return fault if fault.kind in NAMED else None
            beside = next((each for each in self._under(other, conditions) if each.kind == fault.kind), None)
            if beside:
                return beside
            if not self._alike(first, other, conditions) and fault.kind in DIFFER:
                return self._difference(operation, arguments, first, other, conditions)
        return found

    def _trials(self, fault: Mismatch) -> Iterator[Conditions]:
        """Yield conditions under which a fault must show itself again."""
        if fault.place in (*self._arrays.inputs, *self._arrays.outputs) and fault.kind in NAMED:
            yield from NAMED[fault.kind](fault.place)
        elif fault.kind == "null result":
            yield from (Conditions(left_out=names) for names in self._arrays.subsets if names)
        elif fault.kind in ("thread dependent", "not repeatable"):
            yield from (Conditions(fill=FILLS[1], threads=threads) for threads in THREADS)
        elif fault.kind in DIFFERENCES:
            changed = Conditions(fill=FILLS[1], side="after"), Conditions(side="before")
            yield from (DIFFERENCES[fault.kind][1](conditions) for conditions in changed)
        else:
            beside = Conditions(threads=fault.threads, left_out=fault.left_out)
            yield from (replace(beside, side=side) for side in ("", "after", "before"))

    def _second(self, operation: str, arguments: dict[str, Any]) -> Conditions:
        """Return other conditions than the first call's, but for those under which the operation dies.

        Each goes round with a period of its own, so that none keeps step with what the problems alternate.
        """
        spared, subsets = self.spared.get(operation, set()), self._arrays.subsets
        asked = self._asked[operation, str(arguments.get("method", ""))]
        return Conditions(
            fill=FILLS[1],
            threads=THREADS[asked % len(THREADS)],
            side="" if "side" in spared else SIDES[asked % len(SIDES)],
            sealed=() if "sealed" in spared else self._arrays.inputs,
            left_out=() if "left_out" in spared else subsets[asked % len(subsets)],
        )

    def _compared(self, operation: str, arguments: dict[str, Any], first: Outcome) -> tuple[list[Mismatch], Also]:
        """Return the faults that further calls show, and results that are other floats, to be judged too."""
        conditions = self._second(operation, arguments)
        if any(fault.kind == "modified input" for fault in first.faults):
            conditions = replace(conditions, sealed=())
        second = self._once(operation, arguments, conditions)
        if isinstance(second, Death):
            return [self._explained(operation, arguments, second, conditions)], ()
        beside = list(self._under(second, conditions))
        if self._alike(first, second, conditions):
            due = self._asked[operation, str(arguments.get("method", ""))] % HISTORY == 0
            found = self._history(operation, arguments) if due else None
            return beside + ([found] if found else []), ()
        if self._placed_floats(operation, arguments, first, second, conditions):
            return beside, (second.result,)
        known = self._differences.setdefault(operation, [])
        if len(known) >= LOOKED_INTO:
            return [*beside, unlike(known[-1], first, second, "a later call")], ()
        found = self._difference(operation, arguments, first, second, conditions)
        known.append(found.kind)
        return [*beside, found], ()

    def _under(self, outcome: Outcome, conditions: Conditions) -> Iterator[Mismatch]:
        """Yield the faults of a call that is not the first, with the conditions under which they show."""
        told = [f"with {conditions.threads} threads"] if conditions.threads > 1 else []
        told += [f"NULL for {name}" for name in conditions.left_out]
        for fault in outcome.faults:
            got = f"{fault.got} ({', '.join(told)})" if told else fault.got
            yield replace(fault, got=got, threads=conditions.threads, left_out=conditions.left_out)

    def _placed_floats(
        self, operation: str, arguments: dict[str, Any], first: Outcome, second: Outcome, conditions: Conditions
    ) -> bool:
        """Whether two calls differ in floats that only need keep a bound, and in nothing but for where arrays lie."""
        if operation not in BOUNDED or not _integers_alike(_without(first, conditions, self._arrays), second):
            return False
        aligned = replace(conditions, side="moved")
        third = self._once(operation, arguments, aligned)
        return isinstance(third, Outcome) and self._alike(first, third, aligned)

    def _history(self, operation: str, arguments: dict[str, Any]) -> Mismatch | None:
        """Return the fault of a kernel that takes new contents for those that were at their addresses before."""
        self._once(operation, arguments, PLAIN)
        other = reversed_columns(arguments)
        there, elsewhere = (self._once(operation, other, each) for each in (PLAIN, Conditions(side="moved")))
        if isinstance(there, Death) or isinstance(elsewhere, Death):
            return None
        changed = next((fault for fault in there.faults if fault.kind == "changed result"), None)
        if changed or alike(there, elsewhere):
            return changed
        self._once(operation, arguments, PLAIN)
        again = [self._once(operation, other, each) for each in (PLAIN, Conditions(side="moved"))]
        for before, after in zip((there, elsewhere), again, strict=True):
            if isinstance(after, Death) or not alike(before, after):
                return None  # chance, as of threads that race: what is kept is kept every time
        return unlike("stale cache", elsewhere, there, "a call at the addresses of one with other contents")

    def _explained(self, operation: str, arguments: dict[str, Any], death: Death, conditions: Conditions) -> Mismatch:
        """Return why a kernel that answered the first call died in the second: the first condition that is enough."""
        spared = self.spared.setdefault(operation, set())
        for name in conditions.sealed:
            if isinstance(self._once(operation, arguments, Conditions(sealed=(name,))), Death):
                spared.add("sealed")
                got = f"written, and put back before the end: {death.text} where it cannot be written"
                return Mismatch("written input", name, got, "an input that is read alone")
        for names in (*((name,) for name in conditions.left_out), conditions.left_out):
            if names and isinstance(self._once(operation, arguments, Conditions(left_out=names)), Death):
                spared.add("left_out")
                got = f"{death.text} where {' and '.join(names)} {'are' if names[1:] else 'is'} NULL"
                return Mismatch("null result", " and ".join(names), got, "the other results", left_out=names)
        for fault in self._misplaced(operation, arguments, death, conditions.side):
            spared.add("side")
            return fault
        spared |= {"side", "sealed", "left_out"}
        if isinstance(self._once(operation, arguments, Conditions(threads=conditions.threads)), Death):
            got = f"with {conditions.threads} threads: {death.text}"
            return Mismatch(death.kind, operation, got, EXPECTED[death.kind], threads=conditions.threads)
        return Mismatch(death.kind, operation, f"in the second of two calls: {death.text}", EXPECTED[death.kind])

    def _misplaced(self, operation: str, arguments: dict[str, Any], death: Death, side: Side) -> Iterator[Mismatch]:
        """Yield why a kernel dies that has its arrays against forbidden pages, an array after the other."""
        for name in (*self._arrays.inputs, *self._arrays.outputs) if side else ():
            if not isinstance(self._once(operation, arguments, Conditions(sides={name: side})), Death):
                continue
            odd = Conditions(sides={name: "odd"})
            if side == "after" and isinstance(self._once(operation, arguments, odd), Death):
                expected = "any address that is a multiple of the element's size will do"
                yield Mismatch("misaligned", name, death.text, expected)
            where = "past its end" if side == "after" else "before its start"
            yield Mismatch("overread", name, f"bytes {where} are touched: {death.text}", "only the array is touched")

    def _difference(
        self, operation: str, arguments: dict[str, Any], first: Outcome, second: Outcome, conditions: Conditions
    ) -> Mismatch:
        """Return what it depends on that two calls differ."""
        again = self._unequal(operation, arguments, first, PLAIN)
        if again:
            return unlike("not repeatable", first, again[0], "an equal call")
        for kind, (how, make) in DIFFERENCES.items():
            single = make(conditions)
            again = self._unequal(operation, arguments, first, single) if single != PLAIN else []
            if len(again) == REPEATS:
                return unlike(kind, _without(first, single, self._arrays), again[0], how)
            if again:
                return unlike("not repeatable", first, again[0], "a later call")
        several = conditions.threads if conditions.threads > 1 else SEVERAL
        again = self._unequal(operation, arguments, first, Conditions(threads=several))
        if again:
            return replace(
                unlike("thread dependent", first, again[0], f"a call with {several} threads"), threads=several
            )
        return unlike("not repeatable", first, second, "a later call")

    def _unequal(
        self, operation: str, arguments: dict[str, Any], first: Outcome, conditions: Conditions
    ) -> list[Outcome]:
        """Return those of a few calls that came to something else than the first."""
        calls = [self._once(operation, arguments, conditions) for _ in range(REPEATS)]
        return [call for call in calls if isinstance(call, Outcome) and not self._alike(first, call, conditions)]

    def _alike(self, first: Outcome, other: Outcome, conditions: Conditions) -> bool:
        return alike(_without(first, conditions, self._arrays), other)

    def _once(self, operation: str, arguments: dict[str, Any], conditions: Conditions) -> Outcome | Death:
        """Make one call."""
        request = {"operation": operation, "arguments": arguments, **asdict(conditions)}
        answer = self.process.request(request)
        if isinstance(answer, Death):
            return answer
        try:
            self._arrays, outcome = read_answer(answer)
        except ValueError as error:
            self.process.close()
            return Death("exit", f"wrote an answer that cannot be read: {error}")
        return outcome


def read_answer(answer: dict[str, Any]) -> tuple[Arrays, Outcome]:
    """Return the names of a call's arrays, and what came of it.

    Errors: ValueError for what our worker never writes: the kernel in its process has the same pipe.
    """
    missing = {"inputs", "outputs", "optional", "faults", "raised", "result"} - answer.keys()
    if missing:
        raise ValueError(f"expected {', '.join(sorted(missing))} in it")
    arrays = Arrays(*(_texts(name, answer[name]) for name in ("inputs", "outputs", "optional")))
    if not isinstance(answer["faults"], list):
        raise ValueError("faults: expected a list")
    faults = [_texts("faults", fault) for fault in answer["faults"]]
    if any(len(fault) != FAULT_PARTS for fault in faults):
        raise ValueError(f"faults: expected {FAULT_PARTS} texts each")
    (raised,) = (None,) if answer["raised"] is None else _texts("raised", [answer["raised"]])
    told = tuple(Mismatch(kind, place, got, expected) for kind, place, got, expected in faults)
    return arrays, Outcome(answer["result"], raised, told)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{name}: expected text")
    return tuple(plain(text) for text in value)


NAMED: Final[dict[str, Callable[[str], tuple[Conditions, ...]]]] = {
    "written input": lambda name: (Conditions(sealed=(name,)),),
    "null result": lambda name: (Conditions(left_out=(name,)),),
    "overread": lambda name: (Conditions(sides={name: "after"}), Conditions(sides={name: "before"})),
    "misaligned": lambda name: (Conditions(sides={name: "after"}),),
}
"""Faults of which a kernel dies, and the calls that show it, from an array's name."""

BOUNDED: Final = ("dequantize", "matmul")
"""Operations whose floats need only keep a bound."""

HISTORIES: Final = ("stale cache", "changed result")
"""Faults that take a call with other contents to show."""

DIFFERENCES: Final[dict[str, tuple[str, Callable[[Conditions], Conditions]]]] = {
    "stale cache": ("a call whose arrays lie a page further on", lambda c: Conditions(side="moved")),
    "stale output": ("a call whose outputs held other bytes before", lambda c: Conditions(fill=c.fill)),
    "misaligned": ("a call whose arrays are at odd addresses", lambda c: Conditions(side="odd")),
    "overread": ("a call whose arrays have other bytes around them", lambda c: Conditions(side=c.side)),
    "null result": ("a call with NULL for another result", lambda c: Conditions(left_out=c.left_out)),
}
"""What may make two calls differ every time: how it is told, and the one condition that is changed."""


DIFFER: Final = (*DIFFERENCES, "thread dependent", "not repeatable")
"""Faults that are differences between calls."""


def reversed_columns(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a problem's arguments with its columns, and its rows of activations, in the opposite order."""
    changed = dict(arguments)
    for name, value in arguments.items():
        if isinstance(value, np.ndarray):
            axis = 0 if name in ("packed", "a", "x") else 1
            changed[name] = np.ascontiguousarray(np.flip(value, axis))
    return changed


def _integers_alike(one: Outcome, other: Outcome) -> bool:
    """Whether two results are alike but for floats."""
    parts = [each.result if isinstance(each.result, tuple) else (each.result,) for each in (one, other)]
    if len(parts[0]) != len(parts[1]):
        return False
    return all(
        (isinstance(a, np.ndarray) and a.dtype == np.float32 and isinstance(b, np.ndarray) and a.shape == b.shape)
        or alike(Outcome(a), Outcome(b))
        for a, b in zip(*parts, strict=True)
    )


def _ended(operation: str, death: Death) -> Mismatch:
    return Mismatch(death.kind, operation, death.text, EXPECTED[death.kind])


def _without(outcome: Outcome, conditions: Conditions, arrays: Arrays) -> Outcome:
    """Return an outcome as it would be without the results that are not asked for."""
    if not conditions.left_out or not isinstance(outcome.result, tuple):
        return outcome
    kept = zip(arrays.outputs, outcome.result, strict=False)  # as many but for an answer that no worker wrote
    return replace(outcome, result=tuple(None if name in conditions.left_out else part for name, part in kept))
