"""The simulated machine: a matmul is planned, scheduled into timed instructions, verified, and executed on data.

>>> import numpy as np
>>> import q35ref
>>> from q35ref.lpu import FORMATS, TSP_V1, Plan, cost, simulate
>>> weights = np.random.default_rng(1).standard_normal((700, 330)).astype(np.float32)
>>> qt = q35ref.quantize(weights, group_size=64)
>>> plan = Plan(TSP_V1, FORMATS[qt.layout], m=2, k=qt.k, n=qt.n, group_size=64, narrow_gain=qt.narrow_gain)
>>> a = np.ones((2, 700), np.int8)
>>> made = simulate(plan, a, qt.packed, qt.scale, qt.offset)
>>> made.result.out.shape, len(made.parts)
((2, 330), 1)
>>> part, program = made.parts[0]
>>> cost(part.plan, program).cycles == plan.total == 424
True

Another machine is a :class:`Machine` with other figures: ``dataclasses.replace(TSP_V1, alus=16)``. A program of your
own is written with a :class:`Writer`, judged by :func:`verify` and run by an :class:`Executor`;
:mod:`q35ref.lpu.program` says what the instructions are. The oracle
checks a machine by ``q35ref.check(q35ref.backends.lpu.LpuBackend(machine), level=2)``.
"""

from q35ref.lpu.allgather import gathered_at
from q35ref.lpu.cluster import Deployment, deploy, fastest
from q35ref.lpu.executor import Executor
from q35ref.lpu.formats import FORMATS, WeightFormat
from q35ref.lpu.image import Image, load, results
from q35ref.lpu.layer import STORAGES
from q35ref.lpu.layout import NoRoom
from q35ref.lpu.machine import MACHINES, TSP_V1, Machine
from q35ref.lpu.models import MODELS, Model
from q35ref.lpu.plan import Plan
from q35ref.lpu.program import Program, Writer
from q35ref.lpu.simulate import compiled, simulate
from q35ref.lpu.timing import Cost, cost
from q35ref.lpu.verifier import ScheduleError, verify

__all__ = [
    "FORMATS",
    "MACHINES",
    "MODELS",
    "STORAGES",
    "TSP_V1",
    "Cost",
    "Deployment",
    "Executor",
    "Image",
    "Machine",
    "Model",
    "NoRoom",
    "Plan",
    "Program",
    "ScheduleError",
    "WeightFormat",
    "Writer",
    "compiled",
    "cost",
    "deploy",
    "fastest",
    "gathered_at",
    "load",
    "results",
    "simulate",
    "verify",
]
