"""The simulated machine as an implementation: what it multiplies is scheduled, verified and run cycle by cycle."""

import numpy as np

from q35ref.backends.protocol import Float32, Int8, MatmulResult, UInt8
from q35ref.backends.validate import require_array, require_packed, require_parameters
from q35ref.lpu.formats import FORMATS
from q35ref.lpu.machine import TSP_V1, Machine
from q35ref.lpu.plan import Plan
from q35ref.lpu.simulate import simulate
from q35ref.reference.lanes import Layout


class LpuBackend:
    """The ``matmul`` of :class:`q35ref.backends.protocol.Backend`; the machine does nothing else."""

    name = "lpu"
    correctly_rounded = False

    def __init__(self, machine: Machine = TSP_V1) -> None:
        self.machine = machine

    def matmul(
        self,
        a: Int8,
        packed: UInt8,
        k: int,
        layout: Layout,
        group_size: int,
        narrow_gain: int,
        scale: Float32,
        offset: Float32,
    ) -> MatmulResult:
        """See :meth:`Backend.matmul`. Errors: ValueError, also for what does not fit a chip."""
        require_packed(packed, k, layout)
        require_array("a", a, np.int8, (None, k))
        require_parameters(scale, offset, k, len(packed), group_size, narrow_gain)
        plan = Plan(self.machine, FORMATS[layout], len(a), k, len(packed), group_size, narrow_gain)
        return simulate(plan, a, packed, scale, offset)[0]
