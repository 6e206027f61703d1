"""How far a quantized layer's output is from the layer's: policies of the one format, and peers, matrix by matrix.

The output error is ``||XW - XŴ||_F / ||XW||_F`` over float32 activations ``X`` that no policy has seen, computed from
``XᵀX``; only the weights are quantized.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from q35ref.backends.numpy.float32 import Float64
from q35ref.backends.protocol import Float32
from q35ref.evidence.activations import Statistics
from q35ref.evidence.awq import activation_aware
from q35ref.evidence.feedback import DAMPING, ROUNDS, quantize_with_feedback, uniform_with_feedback
from q35ref.evidence.grids import Restored
from q35ref.evidence.kquants import NoPeer, k_quantize, require_peer
from q35ref.evidence.linears import Permutation
from q35ref.evidence.minilm import Encoder
from q35ref.evidence.order import Ordered, importance, lane_order, quantize_ordered, quantize_weighted

Policy = Callable[[Float32, Statistics], Ordered]
"""From weights ``float32[K, N]`` and the statistics of calibration activations to a matrix in the format."""


def order_of(weights: Float32, statistics: Statistics) -> Permutation:
    """Return the permutation by the channels' mean square."""
    return lane_order(importance(weights, statistics.mean_square))


POLICIES: Final[Mapping[str, Policy]] = {
    "min-max": lambda w, s: quantize_ordered(w, None, method="minmax"),
    "clip": lambda w, s: quantize_ordered(w, None),
    "clip, ordered": lambda w, s: quantize_ordered(w, order_of(w, s)),
    "weighted clip, ordered": lambda w, s: quantize_weighted(w, s.mean_square, order_of(w, s)),
    "feedback": lambda w, s: quantize_with_feedback(w, s.gram),
    "feedback, ordered, one pass": lambda w, s: quantize_with_feedback(w, s.gram, order_of(w, s), rounds=0),
    "feedback, ordered": lambda w, s: quantize_with_feedback(w, s.gram, order_of(w, s)),
}
"""Ways to fill the format, all of them with one scale and offset a column, and narrow gain 2."""

UNIFORM: Final[Mapping[str, Callable[[Float32, Statistics], Restored]]] = {
    "uniform 3-bit, feedback": lambda w, s: uniform_as_ours(w, s, 3, 0),
    "uniform 3-bit, feedback, groups of 128": lambda w, s: uniform_as_ours(w, s, 3, 128),
    "uniform 4-bit, feedback": lambda w, s: uniform_as_ours(w, s, 4, 0),
    "GPTQ 4-bit, groups of 128": lambda w, s: uniform_with_feedback(w, s.gram, 4, 128),
    "GPTQ 3-bit, groups of 128": lambda w, s: uniform_with_feedback(w, s.gram, 3, 128),
    "AWQ 4-bit, groups of 128": lambda w, s: activation_aware(w, s, 4, 128),
    "AWQ 3-bit, groups of 128": lambda w, s: activation_aware(w, s, 3, 128),
}
"""Ways to fill a uniform grid, by our own code: what is done for this format, and what is published."""

Made = MutableMapping[tuple[str, str], Ordered]
"""What policies have made so far, by policy and matrix."""

BEST: Final = "feedback, ordered"
"""The policy with the least output error."""

PEERS: Final = ("Q3_K", "Q3_K, importance matrix", "Q4_K", "Q4_K, importance matrix")


def published_bits(policy: str) -> Fraction | None:
    """Return the bits a weight of GPTQ or AWQ as they are published: a float16 scale and an integer zero a group.

    >>> published_bits("GPTQ 4-bit, groups of 128"), published_bits("clip")
    (Fraction(133, 32), None)
    """
    found = re.fullmatch(r"(?:GPTQ|AWQ) (\d)-bit, groups of (\d+)", policy)
    if found is None:
        return None
    bits, group_size = map(int, found.groups())
    return bits + Fraction(16 + bits, group_size)


def uniform_as_ours(weights: Float32, statistics: Statistics, bits: int, group_size: int) -> Restored:
    """Fill a uniform grid as ``feedback`` fills this format's: the same start, damping and rounds."""
    return uniform_with_feedback(weights, statistics.gram, bits, group_size, "clip", damping=DAMPING, rounds=ROUNDS)


@dataclass(frozen=True)
class OutputRow:
    """One matrix, quantized in one way."""

    matrix: str
    k: int
    n: int
    policy: str
    bits_per_weight: Fraction
    """True bits a weight: codes, parameters, stored order, padding."""
    nominal_bits: Fraction
    """Bits a weight as a peer's makers store it, K a multiple of its block; for the format itself the true ones."""
    output_error: float
    """``||XW - XŴ||_F / ||XW||_F`` on held-out activations."""
    normalized_rmse: float
    """Root mean square of the weights' errors, over their standard deviation."""


@dataclass(frozen=True)
class OutputSummary:
    """One policy over all matrices."""

    policy: str
    matrices: int
    bits_per_weight: Fraction
    """True bits over weights, of all matrices together."""
    nominal_bits: Fraction
    output_error: float
    """Mean over the matrices."""
    normalized_rmse: float
    """Mean over the matrices."""
    better_than_q3_k: int | None
    """Matrices whose output error is below Q3_K's; nothing where Q3_K was not measured."""
    better_than_weighted_q3_k: int | None
    """The same, for Q3_K with an importance matrix."""


def made_by(policy: str, name: str, weights: Float32, statistics: Statistics, made: Made) -> Ordered:
    """Return what a policy makes of a matrix, once for all callers that share ``made``. Errors: KeyError."""
    if (policy, name) not in made:
        made[policy, name] = POLICIES[policy](weights, statistics)
    return made[policy, name]


def output_error(weights: Float32, restored: Float32, gram: Float64) -> float:
    """Return ``||XW - XŴ||_F / ||XW||_F`` from ``gram = XᵀX``. Errors: ValueError where all of ``XW`` is 0."""
    whole = _energy(weights.astype(np.float64), gram)
    if whole <= 0:
        raise ValueError("gram: expected activations whose product by the weights is not 0")
    return math.sqrt(max(0.0, _energy(restored.astype(np.float64) - weights, gram)) / whole)


def _energy(matrix: Float64, gram: Float64) -> float:
    return float(np.sum(matrix * (gram @ matrix)))


def output_rows(
    encoder: Encoder,
    calibration: Mapping[str, Statistics],
    held_out: Mapping[str, Statistics],
    *,
    policies: Iterable[str] = tuple(POLICIES),
    matrices: Sequence[str] | None = None,
    made: Made | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> tuple[list[OutputRow], list[str]]:
    """Return a row for every matrix and policy, for uniform grids, and for every peer; and what was not there, and why.

    ``calibration`` and ``held_out`` are the statistics of float32 activations; ``made`` keeps what policies make;
    ``progress`` is told each matrix that is done. Errors: KeyError for an unknown policy or matrix.
    """
    missing: list[str] = []
    try:
        require_peer()
        peers: tuple[str, ...] = PEERS
    except NoPeer as error:
        missing, peers = [str(error)], ()
    chosen, kept = tuple(policies), {} if made is None else made
    rows = []
    for name in encoder.config.linear_names if matrices is None else matrices:
        weights, statistics = encoder.weights(name), calibration[name]
        row = _Measure(name, weights, held_out[name].gram)
        for policy in chosen:
            ordered = made_by(policy, name, weights, statistics, kept)
            rows.append(row(policy, ordered.restored(), ordered.bits_per_weight, ordered.bits_per_weight))
        for policy, fill in UNIFORM.items():
            found = fill(weights, statistics)
            nominal = published_bits(policy) or found.bits_per_weight
            rows.append(row(policy, found.weights, found.bits_per_weight, nominal))
        for policy in peers:
            kind, _, weighted = policy.partition(", ")
            peer = k_quantize(weights, kind, statistics.mean_square if weighted else None)
            rows.append(row(policy, peer.weights, peer.bits_per_weight, peer.nominal_bits))
        progress(name)
    return rows, missing


@dataclass(frozen=True)
class _Measure:
    """From a restored matrix to its row."""

    name: str
    weights: Float32
    gram: Float64

    def __call__(self, policy: str, restored: Float32, bits: Fraction, nominal: Fraction) -> OutputRow:
        squares = np.square(restored - self.weights, dtype=np.float64)
        rmse = math.sqrt(float(squares.mean())) / float(self.weights.std(dtype=np.float64))
        error = output_error(self.weights, restored, self.gram)
        k, n = self.weights.shape
        return OutputRow(self.name, k, n, policy, bits, nominal, error, rmse)


def summarize(rows: Sequence[OutputRow]) -> list[OutputSummary]:
    """Return one line for each policy, in the rows' order."""
    by_policy: dict[str, dict[str, OutputRow]] = {}
    for row in rows:
        by_policy.setdefault(row.policy, {})[row.matrix] = row
    return [_summary(policy, found, by_policy) for policy, found in by_policy.items()]


def _summary(
    policy: str, found: Mapping[str, OutputRow], by_policy: Mapping[str, Mapping[str, OutputRow]]
) -> OutputSummary:
    weights = sum(row.k * row.n for row in found.values())

    def better(peer: str) -> int | None:
        others = by_policy.get(peer)
        if others is None:
            return None
        return sum(row.output_error < others[row.matrix].output_error for row in found.values())

    return OutputSummary(
        policy,
        len(found),
        Fraction(sum(row.bits_per_weight * row.k * row.n for row in found.values()), weights),
        Fraction(sum(row.nominal_bits * row.k * row.n for row in found.values()), weights),
        float(np.mean([row.output_error for row in found.values()])),
        float(np.mean([row.normalized_rmse for row in found.values()])),
        better(PEERS[0]),
        better(PEERS[1]),
    )
