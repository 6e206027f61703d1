"""Integer matmul through BLAS: float32 products whose every partial sum is an integer that float32 holds."""

import numpy as np

from q35ref.backends.protocol import Float32, Int8, MatmulResult
from q35ref.reference.lanes import group_rows, lane_gain

EXACT_ROWS = 2**24 // 1024
"""A row adds at most 1024 to a sum's magnitude, and float32 holds every integer up to 2**24: over this many rows
any order of additions, fused or not, is exact."""


def matmul(a: Int8, q: Int8, group_size: int, narrow_gain: int, scale: Float32, offset: Float32) -> MatmulResult:
    """Multiply checked ``int8[M, K]`` by checked integers ``int8[K, N]``.

    ``out`` is summed in double and rounded once: well within ``output_bound``.
    """
    groups = group_rows(len(q), group_size)
    acc = np.zeros((a.shape[0], q.shape[1], len(groups)), np.int32)
    row_sum = np.empty((a.shape[0], len(groups)), np.int32)
    activations = a.astype(np.float32)
    for g, rows in enumerate(groups):
        row_sum[:, g] = a[:, rows.start : rows.stop].sum(axis=1, dtype=np.int32)
        for start in range(rows.start, rows.stop, EXACT_ROWS):
            part = slice(start, min(start + EXACT_ROWS, rows.stop))
            weights = q[part].astype(np.float32)
            weights[1::2] *= lane_gain(1, narrow_gain)
            acc[:, :, g] += (activations[:, part] @ weights).astype(np.int32)
    terms = acc * scale.T.astype(np.float64)
    with np.errstate(over="ignore"):
        exact = terms.sum(axis=2) + row_sum.astype(np.float64) @ offset.astype(np.float64)
        return MatmulResult(acc, row_sum, exact.astype(np.float32))
