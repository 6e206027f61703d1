"""What a program costs: cycles by unit, bytes moved, energy."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from q35ref.lpu.machine import Machine
from q35ref.lpu.plan import Plan
from q35ref.lpu.program import Program

UNITS: Final = {
    "memory": "words read or written, of all that the quads could give or take",
    "alus": "instructions issued, of all that the ALUs could take",
    "install": "words installed, of all that the planes could take",
    "matmul": "cycles in which a plane multiplies",
    "drain": "accumulators read, of all that could be",
}
"""Each unit, and what its occupancy is of."""


@dataclass(frozen=True)
class Cost:
    """What a program takes."""

    cycles: int
    seconds: float
    occupancy: dict[str, float]
    """By unit: used, as a part of all that there is in ``cycles`` on the whole chip."""
    weights: int
    """Multiplied by, K N."""
    memory_bytes: int
    """Read from and written to memory."""
    joules: float
    """At the chip's average power."""

    @property
    def weights_a_cycle(self) -> float:
        """K N over cycles."""
        return self.weights / self.cycles


def cost(plan: Plan, program: Program) -> Cost:
    """Return what a plan's program takes on its machine."""
    machine, cycles = plan.machine, completion(program, plan.machine)
    there = {
        "memory": machine.quads,
        "alus": machine.alus,
        "install": machine.planes * machine.install_words,
        "matmul": machine.planes,
        "drain": machine.planes,
    }
    used = {
        "memory": len(program.read) + len(program.write),
        "alus": len(program.alu),
        "install": len(program.install),
        "matmul": len(program.matmul),
        "drain": len(program.drain),
    }
    occupancy = {unit: used[unit] / (there[unit] * machine.hemispheres * cycles) for unit in UNITS}
    seconds = cycles / machine.clock
    moved = used["memory"] * machine.word_bytes
    return Cost(cycles, seconds, occupancy, plan.k * plan.n, moved, machine.average_power * seconds)


def completion(program: Program, machine: Machine) -> int:
    """Return the cycles until the last word is in memory. Domain: a program that writes; equals ``Plan.total``."""
    return int(program.write["cycle"].max()) + 1


def activity(plan: Plan, program: Program, bins: int = 200) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Return the occupancy of each unit of hemisphere 0 over time, in so many equal parts of the run."""
    machine, cycles = plan.machine, plan.total
    edges = np.linspace(0, cycles, bins + 1)
    there = {"read": machine.quads, "alu": machine.alus, "install": machine.planes * machine.install_words,
             "matmul": machine.planes, "drain": machine.planes, "write": machine.quads}  # fmt: skip
    found = {}
    for kind, records in program.kinds().items():
        own = records[records["hemisphere"] == 0]["cycle"]
        found[kind] = np.histogram(own, edges)[0] / (there[kind] * np.diff(edges))
    return found
