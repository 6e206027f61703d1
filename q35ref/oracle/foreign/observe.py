"""Two calls a problem, from which it is told what a kernel does beside its work.

The first call lies amid bytes that must not change, on one thread; the second against forbidden pages, with inputs
that cannot be written, other bytes in the outputs, now and then a result that is not asked for and, where the kernel
lets us choose, several threads. Both must come to the same. Where they do not, further calls that differ from the
first in one thing each find what it is.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from q35ref.oracle.calls import Outcome, alike, unlike
from q35ref.oracle.foreign.memory import Side
from q35ref.oracle.foreign.process import Death, KernelProcess
from q35ref.oracle.judge import Mismatch

FILLS: Final = (0xA5, 0x3C)
"""What the outputs hold before the first call and before the second."""

SEVERAL: Final = 4
"""Threads of the second call."""

REPEATS: Final = 4
"""Calls in which a difference must show itself."""

LOOKED_INTO: Final = 3
"""Differences of an operation whose cause is looked for; the others are taken for the same."""

EXPECTED: Final = {
    "crash": "a result",
    "hang": "a result",
    "exit": "a result, and the process going on",
}


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


@dataclass(frozen=True)
class Arrays:
    """The names of a call's arrays."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    """Outputs that a caller need not ask for."""


class Observer:
    """Calls of one kernel in its process."""

    def __init__(self, process: KernelProcess) -> None:
        self.process = process
        self.spared: dict[str, set[str]] = {}
        """Conditions under which an operation is known to die, and not called again."""
        self.calls = 0
        self._differences: dict[str, list[str]] = {}
        """Kinds of differences that were looked into, by operation."""
        self._arrays = Arrays()
        """Of the last call that was answered."""

    def observe(self, operation: str, arguments: dict[str, Any]) -> Outcome:
        """Return what came of a problem's calls."""
        self.calls += 1
        first = self._once(operation, arguments, PLAIN)
        if isinstance(first, Death):
            return Outcome(faults=(_ended(operation, first),), answered=False)
        faults = list(first.faults)
        if self.calls == 1 and any(self.process.offered.get("loading", ())):
            kind, settings = self.process.offered["loading"]
            faults.append(Mismatch(str(kind), "loading", str(settings), "the caller's settings left as they were"))
        if all(fault.kind != "out-of-bounds write" for fault in faults):
            faults += self._compared(operation, arguments, first)
        return Outcome(first.result, first.raised, tuple(faults))

    def again(self, operation: str, arguments: dict[str, Any], fault: Mismatch) -> Mismatch | None:
        """Return a fault of the same kind, with the fewest calls that could show it, or nothing."""
        first = self._once(operation, arguments, PLAIN)
        if isinstance(first, Death):
            return _ended(operation, first) if first.kind == fault.kind else None
        found = next((found for found in first.faults if found.kind == fault.kind), None)
        for conditions in () if found else self._trials(fault):
            other = self._once(operation, arguments, conditions)
            if isinstance(other, Death):
                return fault if fault.kind in NAMED else None
            if not self._alike(first, other, conditions):
                return self._difference(operation, arguments, first, other, conditions)
        return found

    def _trials(self, fault: Mismatch) -> Iterator[Conditions]:
        """Yield conditions under which a fault must show itself again."""
        if fault.place in (*self._arrays.inputs, *self._arrays.outputs) and fault.kind in NAMED:
            yield from NAMED[fault.kind](fault.place)
        elif fault.kind == "null result":
            yield from (Conditions(left_out=(name,)) for name in self._arrays.optional)
        elif fault.kind in ("thread dependent", "not repeatable"):
            yield from REPEATS * (Conditions(fill=FILLS[1], threads=SEVERAL),)
        elif fault.kind in DIFFERENCES:
            changed = Conditions(fill=FILLS[1], side="after"), Conditions(side="before")
            yield from (DIFFERENCES[fault.kind][1](conditions) for conditions in changed)

    def _second(self, operation: str) -> Conditions:
        """Return other conditions than the first call's, but for those under which the operation dies."""
        spared = self.spared.get(operation, set())
        inputs, optional = self._arrays.inputs, ("", *self._arrays.optional)
        left_out = optional[self.calls // 2 % len(optional)]
        return Conditions(
            fill=FILLS[1],
            threads=SEVERAL,
            side="" if "side" in spared else "after" if self.calls % 4 else "before",
            sealed=() if "sealed" in spared else inputs,
            left_out=() if "left_out" in spared or not left_out else (left_out,),
        )

    def _compared(self, operation: str, arguments: dict[str, Any], first: Outcome) -> list[Mismatch]:
        """Return the faults that a second call shows."""
        conditions = self._second(operation)
        if any(fault.kind == "modified input" for fault in first.faults):
            conditions = replace(conditions, sealed=())
        second = self._once(operation, arguments, conditions)
        if isinstance(second, Death):
            return [self._explained(operation, arguments, second, conditions)]
        if self._alike(first, second, conditions):
            return []
        known = self._differences.setdefault(operation, [])
        if len(known) >= LOOKED_INTO:
            return [unlike(known[-1], first, second, "a later call")]
        found = self._difference(operation, arguments, first, second, conditions)
        known.append(found.kind)
        return [found]

    def _explained(self, operation: str, arguments: dict[str, Any], death: Death, conditions: Conditions) -> Mismatch:
        """Return why a kernel that answered the first call died in the second: the first condition that is enough."""
        spared = self.spared.setdefault(operation, set())
        for name in conditions.sealed:
            if isinstance(self._once(operation, arguments, Conditions(sealed=(name,))), Death):
                spared.add("sealed")
                got = f"written, and put back before the end: {death.text} where it cannot be written"
                return Mismatch("written input", name, got, "an input that is read alone")
        for name in conditions.left_out:
            if isinstance(self._once(operation, arguments, Conditions(left_out=(name,))), Death):
                spared.add("left_out")
                return Mismatch("null result", name, f"{death.text} where it is NULL", "the other results")
        for fault in self._misplaced(operation, arguments, death, conditions.side):
            spared.add("side")
            return fault
        spared |= {"side", "sealed", "left_out"}
        if isinstance(self._once(operation, arguments, Conditions(threads=SEVERAL)), Death):
            return Mismatch(death.kind, operation, f"with {SEVERAL} threads: {death.text}", EXPECTED[death.kind])
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
        again = self._unequal(operation, arguments, first, Conditions(threads=SEVERAL))
        if again:
            return unlike("thread dependent", first, again[0], f"a call with {SEVERAL} threads")
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
        self._arrays = Arrays(*(tuple(answer[name]) for name in ("inputs", "outputs", "optional")))
        faults = tuple(Mismatch(*fault) for fault in answer["faults"])
        return Outcome(answer["result"], answer["raised"], faults)


NAMED: Final[dict[str, Callable[[str], tuple[Conditions, ...]]]] = {
    "written input": lambda name: (Conditions(sealed=(name,)),),
    "null result": lambda name: (Conditions(left_out=(name,)),),
    "overread": lambda name: (Conditions(sides={name: "after"}), Conditions(sides={name: "before"})),
    "misaligned": lambda name: (Conditions(sides={name: "after"}),),
}
"""Faults of which a kernel dies, and the calls that show it, from an array's name."""

DIFFERENCES: Final[dict[str, tuple[str, Callable[[Conditions], Conditions]]]] = {
    "stale output": ("a call whose outputs held other bytes before", lambda c: Conditions(fill=c.fill)),
    "misaligned": ("a call whose arrays are at odd addresses", lambda c: Conditions(side="odd")),
    "overread": ("a call whose arrays have other bytes around them", lambda c: Conditions(side=c.side)),
    "null result": ("a call with NULL for another result", lambda c: Conditions(left_out=c.left_out)),
}
"""What may make two calls differ every time: how it is told, and the one condition that is changed."""


def _ended(operation: str, death: Death) -> Mismatch:
    return Mismatch(death.kind, operation, death.text, EXPECTED[death.kind])


def _without(outcome: Outcome, conditions: Conditions, arrays: Arrays) -> Outcome:
    """Return an outcome as it would be without the results that are not asked for."""
    if not conditions.left_out or not isinstance(outcome.result, tuple):
        return outcome
    kept = zip(arrays.outputs, outcome.result, strict=True)
    return replace(outcome, result=tuple(None if name in conditions.left_out else part for name, part in kept))
