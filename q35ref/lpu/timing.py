"""What a program costs: cycles by unit and by phase, bytes moved, energy."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from q35ref.lpu.allgather import gathered_at
from q35ref.lpu.formats import PERIOD
from q35ref.lpu.machine import Machine
from q35ref.lpu.plan import Plan
from q35ref.lpu.program import Program

UNITS: Final = {
    "memory": "words read or written, of all that the quads could give or take",
    "ALUs": "instructions issued, of all that the ALUs could take",
    "install": "words of weights installed, of all that the planes could take",
    "multiply": "activation vectors multiplied, of all that the planes could take",
    "drain": "accumulators read, of all that could be",
    "links": "words sent, of all that the links could take",
}
"""Each unit, and what its occupancy is of."""

KINDS: Final = {
    "memory": ("read", "write", "receive"), "ALUs": ("alu",), "install": ("install",), "multiply": ("matmul",),
    "drain": ("drain",), "links": ("send",),
}  # fmt: skip
"""The instructions that a unit is issued."""

PHASES: Final = {
    "row sums": "ones are installed, and all activations streamed past them",
    "unpack": "weights are unpacked and installed; the ALUs set the pace",
    "install": "weights are unpacked and installed; the way into the planes sets the pace",
    "stream": "activations are multiplied; their number sets the pace",
    "fill": "from the last weights' turn to the last product",
    "epilogue": "sums are drained, scaled, added and written",
    "gather": "each chip sends its results to all others",
}
"""What most of the machine waits for in each phase, in order. There is one of ``unpack``, ``install`` and ``stream``;
the next weights are installed while activations are multiplied by those before."""


@dataclass(frozen=True)
class Cost:
    """What a program takes."""

    cycles: int
    seconds: float
    occupancy: dict[str, float]
    """By unit: used, as a part of all that there is in ``cycles`` on all chips."""
    phases: dict[str, int]
    """Cycles of each of :data:`PHASES` that there is; they add up to ``cycles``."""
    products: int
    """M K N."""
    peak: int
    """Products that all planes could form in so many cycles."""
    memory_bytes: int
    """Read from and written to memory."""
    joules: float
    """At the chips' average power."""

    @property
    def products_a_cycle(self) -> float:
        """M K N over cycles."""
        return self.products / self.cycles

    @property
    def bottleneck(self) -> str:
        """The phase that takes longest."""
        return max(self.phases, key=lambda name: self.phases[name])


def capacity(machine: Machine) -> dict[str, float]:
    """Return how many instructions a cycle each unit of a hemisphere could be issued."""
    return {
        "memory": machine.quads,
        "ALUs": machine.alus,
        "install": machine.planes * machine.install_words,
        "multiply": machine.planes,
        "drain": machine.planes,
        "links": machine.links / machine.sides / machine.link_cycles,
    }


def cost(plan: Plan, program: Program) -> Cost:
    """Return what a plan's program takes on its machine."""
    machine, cycles = plan.machine, completion(program)
    records = program.kinds()
    used = {unit: sum(len(records[kind]) for kind in kinds) for unit, kinds in KINDS.items()}
    there = capacity(machine)
    occupancy = {unit: used[unit] / (there[unit] * machine.hemispheres * cycles) if there[unit] else 0.0
                 for unit in UNITS}  # fmt: skip
    seconds = cycles / machine.clock
    moved = used["memory"] * machine.word_bytes
    power = machine.chips * machine.average_power
    products = plan.m * plan.k * plan.n
    peak = machine.hemispheres * machine.planes * machine.rows * machine.lanes * cycles
    return Cost(cycles, seconds, occupancy, phases(plan), products, peak, moved, power * seconds)


def completion(program: Program) -> int:
    """Return the cycles until the last word is in memory: ``Plan.total``, or ``gathered_at`` of several chips."""
    return int(max(records["cycle"].max(initial=-1) for records in (program.write, program.receive))) + 1


def binding(plan: Plan) -> str:
    """Return what the period of a plan's jobs waits for: ``unpack``, ``install`` or ``stream``."""
    table = plan.table
    if plan.period > plan.blocks * table.interval:
        return "stream"
    installs = -(-PERIOD // (plan.machine.planes * plan.machine.install_words))
    return "unpack" if table.interval > installs else "install"


def phases(plan: Plan) -> dict[str, int]:
    """Return the cycles of each of :data:`PHASES` that there is, from the closed form; they add up to the total."""
    jobs = plan.jobs * plan.period
    fill = plan.sums_drain - plan.jobs_begin - jobs
    found = Counter({"row sums": plan.jobs_begin, binding(plan): jobs, "fill": fill})
    found["epilogue"] = plan.total - plan.sums_drain
    found["gather"] = gathered_at(plan) - plan.total
    return {name: cycles for name, cycles in found.items() if cycles}


def activity(plan: Plan, program: Program, bins: int = 200) -> dict[str, NDArray[np.float64]]:
    """Return the occupancy of each unit of hemisphere 0 over time, in so many equal parts of the run."""
    edges = np.linspace(0, completion(program), bins + 1)
    there, records = capacity(plan.machine), program.kinds()
    found = {}
    for unit, kinds in KINDS.items():
        cycles = np.concatenate([records[kind]["cycle"][records[kind]["hemisphere"] == 0] for kind in kinds])
        whole = there[unit]
        if unit == "links":  # a word takes its link for many cycles
            cycles = (cycles[:, None] + np.arange(plan.machine.link_cycles)).ravel()
            whole *= plan.machine.link_cycles
        found[unit] = np.histogram(cycles, edges)[0] / (whole * np.diff(edges)) if whole else edges[1:] * 0
    return found
