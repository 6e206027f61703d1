"""A kernel of MLIR, compiled by IREE, as an object that the oracle can ask: ``python:kernel:Kernel``.

The adapter pads to whole blocks of 16 rows, which IREE's code works on, and cuts the result to size.
"""

from pathlib import Path
from typing import Any, Final

import iree.runtime
import numpy as np
from numpy.typing import NDArray

COMPILED: Final = Path(__file__).with_name("kernel.vmfb")
"""What ``make`` makes of ``kernel.mlir``."""

BLOCK: Final = 16
"""Rows of a block."""

BITS: Final = {"byte": 8, "dense": 7}
"""Bits that a code takes, and bytes that a block takes, by layout."""


class Kernel:
    """``unpack`` and ``matmul``; what is not here is not checked."""

    name = "mlir-iree"
    correctly_rounded = False

    def __init__(self) -> None:
        config = iree.runtime.Config("local-sync")
        module = iree.runtime.VmModule.mmap(config.vm_instance, str(COMPILED))
        self.functions = iree.runtime.load_vm_module(module, config)

    def unpack(self, packed: NDArray[np.uint8], k: int, layout: str) -> NDArray[np.int8]:
        """Return ``int8[K, N]``."""
        blocks = host(self.functions.unpack(words(packed, k, layout, 0), BITS[layout]))
        integers: NDArray[np.int8] = np.ascontiguousarray(blocks.reshape(len(packed), -1)[:, :k].T)
        return integers

    def matmul(
        self,
        a: NDArray[np.int8],
        packed: NDArray[np.uint8],
        k: int,
        layout: str,
        group_size: int,
        narrow_gain: int,
        scale: NDArray[np.float32],
        offset: NDArray[np.float32],
    ) -> tuple[Any, Any, Any]:
        """Return ``acc int32[M, N, G]``, ``row_sum int32[M, G]`` and ``out float32[M, N]``."""
        codes = words(packed, k, layout, group_size)
        activations = np.zeros((len(a), codes[0].size * BLOCK), np.int8)
        activations[:, :k] = a
        activations = activations.reshape(len(a), *codes.shape[1:], BLOCK)
        acc, row_sum = self.functions.matmul(activations, codes, BITS[layout], narrow_gain)
        return host(acc), host(row_sum), self.output(acc, row_sum, scale, offset)

    def output(self, acc: Any, row_sum: Any, scale: NDArray[np.float32], offset: NDArray[np.float32]) -> Any:
        """Return ``out float32[M, N]``, computed in float64 and rounded here, where subnormal numbers are kept."""
        out = host(self.functions.output_f64(acc, row_sum, scale.astype(np.float64), offset.astype(np.float64)))
        with np.errstate(over="ignore"):
            return out.astype(np.float32)


class Float32Kernel(Kernel):
    """The same with an output computed in float32: wrong, since IREE flushes subnormal numbers to zero."""

    name = "mlir-iree, float32"

    def output(self, acc: Any, row_sum: Any, scale: NDArray[np.float32], offset: NDArray[np.float32]) -> Any:
        """Return ``out float32[M, N]``."""
        return host(self.functions.output_f32(acc, row_sum, scale, offset))


def host(result: Any) -> NDArray[Any]:
    """Return a copy of a result: IREE's own array may show memory that ends with the result."""
    return np.array(result.to_host())


def words(packed: NDArray[np.uint8], k: int, layout: str, group_size: int) -> NDArray[np.int64]:
    """Return columns as ``int64[N, G, B]``, a word for each block, 0 where a group or a column has no more."""
    rows = group_size or k
    groups, blocks = -(-k // rows), -(-min(rows, k) // BLOCK)
    taken = BITS[layout]
    columns = np.zeros((len(packed), groups * blocks * taken), np.uint8)
    columns[:, : packed.shape[1]] = packed
    padded = np.zeros((len(packed), groups, blocks, 8), np.uint8)
    padded[..., :taken] = columns.reshape(len(packed), groups, blocks, taken)
    return padded.view("<i8")[..., 0]
