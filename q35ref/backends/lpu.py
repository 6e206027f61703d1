"""The simulated machine as an implementation: what it multiplies is scheduled, verified and run cycle by cycle."""

import numpy as np

from q35ref.backends.protocol import Float32, Int8, MatmulResult, UInt8
from q35ref.backends.validate import require_array, require_packed, require_parameters
from q35ref.lpu.formats import FORMATS
from q35ref.lpu.layout import NoRoom, require_residence
from q35ref.lpu.machine import TSP_V1, Machine
from q35ref.lpu.plan import Plan
from q35ref.lpu.simulate import passes, simulate
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
        """See :meth:`Backend.matmul`. Errors: ValueError; NoRoom, which is one, for what a chip cannot hold."""
        require_packed(packed, k, layout)
        require_array("a", a, np.int8, (None, k))
        require_parameters(scale, offset, k, len(packed), group_size, narrow_gain)
        plan = self._plan(len(a), k, len(packed), layout, group_size, narrow_gain)
        return simulate(plan, a, packed, scale, offset).result

    def holds(self, m: int, k: int, n: int, layout: Layout, group_size: int, narrow_gain: int) -> bool:
        """Return whether a chip's memory has room for a matmul; the oracle asks no others."""
        plan = self._plan(m, k, n, layout, group_size, narrow_gain)
        try:
            require_residence(plan)
            next(passes(plan))
        except NoRoom:
            return False
        return True

    def _plan(self, m: int, k: int, n: int, layout: Layout, group_size: int, narrow_gain: int) -> Plan:
        return Plan(self.machine, FORMATS[layout], m, k, n, group_size, narrow_gain)
