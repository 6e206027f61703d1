"""Two calls a problem, from which it is told what a kernel does beside its work.

The first call lies amid bytes that must not change, on one thread; the second against forbidden pages, with other
bytes in the outputs and, where the kernel lets us choose, on several threads. Both must come to the same. Where they
do not, further calls that differ in one thing each find what it is.
"""

from typing import Any, Final

from q35ref.oracle.calls import Outcome, alike, unlike
from q35ref.oracle.foreign.memory import Side
from q35ref.oracle.foreign.process import Death, KernelProcess
from q35ref.oracle.judge import Mismatch

Sides = dict[str, Side]

FILLS: Final = (0xA5, 0x3C)
"""What the outputs hold before the first call and before the second."""

SEVERAL: Final = 4
"""Threads of the second call."""

REPEATS: Final = 4
"""Calls in which a difference must show itself."""

LOOKED_INTO: Final = 3
"""Differences of an operation whose cause is looked for; the others are taken for the same."""

SIDES: Final[tuple[Side, ...]] = ("after", "before")

SETTLED: Final = ("out-of-bounds write", "modified input", "environment", "overread", "misaligned")
"""Faults that need no second call, or have had it."""

EXPECTED: Final = {
    "crash": "a result",
    "hang": "a result",
    "exit": "a result, and the process going on",
}


class Observer:
    """Calls of one kernel in its process."""

    def __init__(self, process: KernelProcess) -> None:
        self.process = process
        self.careless: set[str] = set()
        """Operations that die at forbidden pages: known, and not tried again."""
        self.calls = 0
        self._differences: dict[str, list[str]] = {}
        """Kinds of differences that were looked into, by operation."""
        self._arrays: list[str] = []
        """Names of the arrays of the last call, inputs first."""

    def observe(self, operation: str, arguments: dict[str, Any]) -> Outcome:
        """Return what came of a problem's calls."""
        self.calls += 1
        first = self._once(operation, arguments)
        if isinstance(first, Death):
            fault = Mismatch(first.kind, operation, first.text, EXPECTED[first.kind])
            return Outcome(faults=(fault,), answered=False)
        faults = list(first.faults)
        if self.calls == 1 and self.process.offered.get("loading"):
            settings = str(self.process.offered["loading"])
            faults.append(Mismatch("environment", "loading", settings, "the caller's settings left as they were"))
        if all(fault.kind != "out-of-bounds write" for fault in faults):
            faults += self._compared(operation, arguments, first)
        return Outcome(first.result, first.raised, tuple(faults))

    def again(self, operation: str, arguments: dict[str, Any], fault: Mismatch) -> Mismatch | None:
        """Return a fault of the same kind, with the fewest calls that could show it, or nothing."""
        first = self._once(operation, arguments)
        if isinstance(first, Death):
            same = first.kind == fault.kind
            return Mismatch(first.kind, operation, first.text, EXPECTED[first.kind]) if same else None
        if fault.kind in ("overread", "misaligned"):
            for side in SIDES:
                if isinstance(self._once(operation, arguments, sides={fault.place: side}), Death):
                    return fault
        if fault.kind in SETTLED:
            return next((found for found in first.faults if found.kind == fault.kind), None)
        for _ in range(REPEATS):
            other = self._once(operation, arguments, fill=FILLS[1], threads=SEVERAL)
            if isinstance(other, Outcome) and not alike(first, other):
                return self._difference(operation, arguments, first, other)
        return None

    def _compared(self, operation: str, arguments: dict[str, Any], first: Outcome) -> list[Mismatch]:
        """Return the faults that a second call shows."""
        side: Side = "" if operation in self.careless else "after" if self.calls % 4 else "before"
        second = self._once(operation, arguments, fill=FILLS[1], threads=SEVERAL, side=side)
        if isinstance(second, Death):
            self.careless.add(operation)
            return [self._explained(operation, arguments, second, side)]
        if alike(first, second):
            return []
        known = self._differences.setdefault(operation, [])
        if len(known) >= LOOKED_INTO:
            return [unlike(known[-1], first, second, "a later call")]
        found = self._difference(operation, arguments, first, second)
        known.append(found.kind)
        return [found]

    def _explained(self, operation: str, arguments: dict[str, Any], death: Death, side: Side) -> Mismatch:
        """Return why a kernel that lives amid canaries dies against forbidden pages, an array after the other."""
        for name in self._arrays if side else ():
            if not isinstance(self._once(operation, arguments, sides={name: side}), Death):
                continue
            if side == "after" and isinstance(self._once(operation, arguments, sides={name: "odd"}), Death):
                expected = "any address that is a multiple of the element's size will do"
                return Mismatch("misaligned", name, death.text, expected)
            where = "past its end" if side == "after" else "before its start"
            return Mismatch("overread", name, f"bytes {where} are touched: {death.text}", "only the array is touched")
        if isinstance(self._once(operation, arguments, threads=SEVERAL), Death):
            return Mismatch(death.kind, operation, f"with {SEVERAL} threads: {death.text}", EXPECTED[death.kind])
        return Mismatch(death.kind, operation, f"in the second of two calls: {death.text}", EXPECTED[death.kind])

    def _difference(self, operation: str, arguments: dict[str, Any], first: Outcome, second: Outcome) -> Mismatch:
        """Return what it depends on that two calls differ."""
        again = self._unequal(operation, arguments, first)
        if again:
            return unlike("not repeatable", first, again[0], "an equal call")
        for kind, how, change in (
            ("stale output", "a call whose outputs held other bytes before", {"fill": FILLS[1]}),
            ("misaligned", "a call whose arrays are at odd addresses", {"side": "odd"}),
            ("overread", "a call whose arrays have other bytes around them", {"side": "after"}),
        ):
            again = self._unequal(operation, arguments, first, **change)
            if len(again) == REPEATS:
                return unlike(kind, first, again[0], how)
            if again:
                return unlike("not repeatable", first, again[0], "a later call")
        again = self._unequal(operation, arguments, first, threads=SEVERAL)
        if again:
            return unlike("thread dependent", first, again[0], f"a call with {SEVERAL} threads")
        return unlike("not repeatable", first, second, "a later call")

    def _unequal(self, operation: str, arguments: dict[str, Any], first: Outcome, **change: Any) -> list[Outcome]:
        """Return those of a few calls that came to something else than the first."""
        calls = [self._once(operation, arguments, **change) for _ in range(REPEATS)]
        return [call for call in calls if isinstance(call, Outcome) and not alike(first, call)]

    def _once(
        self,
        operation: str,
        arguments: dict[str, Any],
        *,
        fill: int = FILLS[0],
        threads: int = 1,
        side: Side = "",
        sides: Sides | None = None,
    ) -> Outcome | Death:
        """Make one call."""
        answer = self.process.request(
            {
                "operation": operation,
                "arguments": arguments,
                "fill": fill,
                "threads": threads,
                "side": side,
                "sides": sides or {},
                "left_out": [],
            }
        )
        if isinstance(answer, Death):
            return answer
        self._arrays = answer["arrays"]
        faults = tuple(Mismatch(*fault) for fault in answer["faults"])
        return Outcome(answer["result"], answer["raised"], faults)
