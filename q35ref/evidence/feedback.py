"""Error feedback: the rounding error of one row is made good by the rows that are still to be rounded.

The rule is that of GPTQ (Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", 2022): with ``H = XᵀX`` of calibration activations, damped, and ``U`` the upper Cholesky factor of
its inverse, row ``i``'s error over ``U[i, i]`` times ``U[i, j]`` is taken from every later row ``j``. The rows' grids
are the lanes' own, with the format's real zero-point. Three things are added: narrow rows come first, so that the
finer grid makes good the errors of the coarser one; scale and offset are fitted anew by least squares to the integers
that were found; and integers are then changed one row at a time wherever that lowers the error of the product. The
result is an ordinary tensor: nothing that reads the format sees how its integers were chosen.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from q35ref.backends import fastest
from q35ref.backends.numpy.blocks import lanes
from q35ref.backends.numpy.calibration import calibrate_clip
from q35ref.backends.numpy.float32 import Float64
from q35ref.backends.protocol import Float32
from q35ref.evidence.grids import Restored, uniform_bits, uniform_limits, uniform_parameters
from q35ref.evidence.linears import Permutation, require_permutation
from q35ref.evidence.order import Ordered
from q35ref.reference.calibration import Method
from q35ref.reference.lanes import group_length
from q35ref.tensor import QuantizedTensor

DAMPING: Final = 0.1
"""Share of the mean of H's diagonal that is added to it. It and the rounds were chosen for the least output error on
three topics of the calibration sentences with statistics of the other seven; no measured sentence had a part in it."""

GPTQ_DAMPING: Final = 0.01
"""The published method's default."""

ROUNDS: Final = 5
"""How often parameters are fitted and integers changed after the first pass."""

BLOCK: Final = 64
"""Rows whose errors are carried to each other at once; to all later rows they are carried by one matrix product."""


@dataclass
class _Problem:
    """Rows on a grid, and what their errors cost: ``tr(EᵀHE)``, ``E`` the restored weights less the weights."""

    weights: Float64
    """float64[K, N]."""
    hessian: Float64
    """float64[K, K], symmetric, positive definite."""
    low: Float64
    """float64[K, 1], least integer of each row."""
    high: Float64
    gain: Float64
    group: NDArray[np.intp]
    """int[K]: the group of each row."""
    scale: Float32
    """float32[G, N]."""
    offset: Float32

    def nearest(self, row: int, values: Float64) -> Float64:
        """Return a row's integers that are nearest to some values ``[N]``."""
        step, offset = self.step(row)
        rounded: Float64 = np.minimum(np.maximum(np.rint((values - offset) / step), self.low[row]), self.high[row])
        return rounded

    def step(self, row: int) -> tuple[Float64, Float64]:
        """Return a row's distance between values, and its offset, ``[N]`` each."""
        g = self.group[row]
        return self.scale[g] * self.gain[row], self.offset[g].astype(np.float64)

    def restored(self, q: Float64) -> Float64:
        """Return the values of integers ``[K, N]``."""
        values: Float64 = self.scale[self.group] * self.gain * q + self.offset[self.group]
        return values


def quantize_with_feedback(
    weights: Float32,
    gram: Float64,
    permutation: Permutation | None = None,
    *,
    group_size: int = 0,
    narrow_gain: int = 2,
    damping: float = DAMPING,
    rounds: int = ROUNDS,
) -> Ordered:
    """Quantize ``float32[K, N]`` so that ``||XW - XŴ||`` is small, given ``gram = XᵀX``, ``float64[K, K]``.

    The rows are stored in the order of the permutation, if there is one; weights and gram are in the model's order.
    Parameters start as the method ``clip`` chooses them. ``rounds = 0`` leaves them so, and is GPTQ alone.
    Errors: ValueError, TypeError.
    """
    _require(weights, gram, damping, rounds)
    order: NDArray[np.integer] = np.arange(len(weights)) if permutation is None else permutation
    if permutation is not None:
        require_permutation(permutation, len(weights))
    rows = np.ascontiguousarray(weights[order])
    scale, offset = calibrate_clip(rows, group_size, narrow_gain)
    grid = lanes(len(rows), narrow_gain)
    problem = _problem(rows, gram[np.ix_(order, order)], damping, grid, (scale, offset), group_size)
    q = _solve(problem, rounds).astype(np.int8)
    packed = fastest().pack(q, "dense")
    k, n = rows.shape
    tensor = QuantizedTensor(packed, problem.scale, problem.offset, k, n, group_size, narrow_gain)
    return Ordered(tensor, permutation)


def uniform_with_feedback(
    weights: Float32,
    gram: Float64,
    bits: int,
    group_size: int = 0,
    method: Method = "minmax",
    *,
    damping: float = GPTQ_DAMPING,
    rounds: int = 0,
) -> Restored:
    """Quantize to a uniform grid with error feedback, and restore: GPTQ with static groups, as it is published.

    Errors: ValueError.
    """
    _require(weights, gram, damping, rounds)
    if method == "symmetric" and rounds:
        raise ValueError("rounds: expected 0 with a symmetric grid, for fitting gives it an offset")
    k = len(weights)
    low, high = (np.full((k, 1), float(limit)) for limit in uniform_limits(bits))
    parameters = uniform_parameters(weights, bits, group_size, method)
    problem = _problem(weights, gram, damping, (low, high, np.ones((k, 1))), parameters, group_size)
    q = _solve(problem, rounds)
    found = uniform_bits(weights, bits, group_size, symmetric=method == "symmetric")
    return Restored(problem.restored(q).astype(np.float32), found)


def _require(weights: Float32, gram: Float64, damping: float, rounds: int) -> None:
    if weights.ndim != 2 or not np.isfinite(weights).all():
        raise ValueError("weights: expected a matrix of finite numbers")
    k = len(weights)
    if gram.shape != (k, k) or not np.isfinite(gram).all():
        raise ValueError(f"gram: expected finite numbers of shape ({k}, {k}), got shape {gram.shape}")
    if not 0 < damping < np.inf:
        raise ValueError(f"damping: expected a positive number, got {damping}")
    if rounds < 0:
        raise ValueError(f"rounds: expected at least 0, got {rounds}")


def _problem(
    rows: Float32,
    gram: Float64,
    damping: float,
    grid: tuple[Float64, Float64, Float64],
    parameters: tuple[Float32, Float32],
    group_size: int,
) -> _Problem:
    k = len(rows)
    # An overall factor changes nothing; without it neither a product nor an inverse can overflow.
    mean = float(np.trace(gram)) / k
    hessian = (gram / mean if mean > 0 else np.zeros((k, k))) + damping * np.eye(k)
    group = np.arange(k) // group_length(k, group_size)
    return _Problem(rows.astype(np.float64), hessian, *grid, group, *parameters)


def _solve(problem: _Problem, rounds: int) -> Float64:
    """Return the integers ``[K, N]``, and leave in the problem the parameters that belong to them."""
    # The coarse rows first, in each lane those that cost most first.
    turns = np.lexsort((-np.diag(problem.hessian), -problem.gain[:, 0]))
    q = _feed_back(problem, turns)
    for _ in range(rounds):
        _fit_parameters(problem, q)
        _change_integers(problem, q, turns)
    return q


def _feed_back(problem: _Problem, turns: NDArray[np.intp]) -> Float64:
    factor = np.linalg.cholesky(np.linalg.inv(problem.hessian[np.ix_(turns, turns)])).T
    left = problem.weights[turns]
    q = np.empty_like(left)
    for start in range(0, len(turns), BLOCK):
        block = slice(start, min(start + BLOCK, len(turns)))
        rows, inner = left[block], factor[block, block]
        errors = np.empty_like(rows)
        for i, row in enumerate(turns[block].tolist()):
            step, offset = problem.step(row)
            q[row] = problem.nearest(row, rows[i])
            errors[i] = (rows[i] - (step * q[row] + offset)) / inner[i, i]
            rows[i + 1 :] -= inner[i, i + 1 :, None] * errors[i]
        left[block.stop :] -= factor[block, block.stop :].T @ errors
    return q


def _fit_parameters(problem: _Problem, q: Float64) -> None:
    """Give each group the scale and offset of least error for its integers, the other groups as they are."""
    errors = problem.restored(q) - problem.weights
    for g in range(len(problem.scale)):
        rows = np.flatnonzero(problem.group == g)
        here = problem.hessian[np.ix_(rows, rows)]
        units = problem.gain[rows] * q[rows]
        # The error of these rows is units * scale + offset - target, seen through H and the other rows' errors.
        pull = problem.hessian[rows] @ errors - here @ errors[rows]
        target = here @ problem.weights[rows] - pull
        seen, ones = here @ units, here.sum(axis=1)
        a, c, d = (units * seen).sum(axis=0), ones @ units, ones.sum()
        p, r = (units * target).sum(axis=0), target.sum(axis=0)
        determinant = a * d - c * c
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            scale = ((p * d - c * r) / determinant).astype(np.float32)
            offset = ((r - c * scale.astype(np.float64)) / d).astype(np.float32)
        # One value for all rows leaves the scale open; it then stays as it is.
        good = (determinant > 1e-9 * a * d) & np.isfinite(scale) & (scale > 0) & np.isfinite(offset)
        problem.scale[g] = np.where(good, scale, problem.scale[g])
        problem.offset[g] = np.where(good, offset, problem.offset[g])
        errors[rows] = problem.scale[g] * units + problem.offset[g] - problem.weights[rows]


def _change_integers(problem: _Problem, q: Float64, turns: NDArray[np.intp]) -> None:
    """Give each row in turn the integers of least error, all other rows as they are."""
    hessian = problem.hessian
    slope = hessian @ (problem.restored(q) - problem.weights)
    for start in range(0, len(turns), BLOCK):
        block = turns[start : start + BLOCK]
        slopes, inner = slope[block], hessian[np.ix_(block, block)]
        changes = np.empty_like(slopes)
        for i, row in enumerate(block.tolist()):
            step, offset = problem.step(row)
            best = problem.nearest(row, step * q[row] + offset - slopes[i] / inner[i, i])
            changes[i] = step * (best - q[row])
            q[row] = best
            slopes[i + 1 :] += inner[i, i + 1 :, None] * changes[i]
        slope += hessian[:, block] @ changes
