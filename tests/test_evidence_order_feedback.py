"""Error feedback, uniform grids and output errors: against direct arithmetic, and against what they replace."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest

import q35ref
from q35ref.evidence import kquants, outputs
from q35ref.evidence.activations import Statistics, gather
from q35ref.evidence.feedback import quantize_with_feedback, uniform_with_feedback
from q35ref.evidence.grids import uniform
from q35ref.evidence.kquants import NoPeer, k_quantize
from q35ref.evidence.order import lane_order, quantize_ordered
from q35ref.evidence.outputs import OutputRow, output_error, output_rows, summarize
from q35ref.reference.calibration import Method
from q35ref.reference.lanes import lane_gain, lane_interval
from tests.test_evidence_minilm import TOKENS, tiny

RNG = np.random.default_rng(12)
K, N = 80, 10
W = RNG.standard_normal((K, N)).astype(np.float32)
MIX = RNG.standard_normal((K, K)) / 4 + np.eye(K)
X = (RNG.standard_normal((600, K)) @ MIX).astype(np.float32)
UNSEEN = (RNG.standard_normal((600, K)) @ MIX).astype(np.float32)
GRAM = X.T.astype(np.float64) @ X
HELD_OUT = UNSEEN.T.astype(np.float64) @ UNSEEN

try:
    kquants.require_peer()
    NO_PEER = ""
except NoPeer as absent:
    NO_PEER = str(absent)

needs_peer = pytest.mark.skipif(bool(NO_PEER), reason=NO_PEER)


def one_pass_by_hand(weights: Any, gram: Any, scale: Any, offset: Any, gains: Any, limits: Any, damping: float) -> Any:
    """GPTQ as it is written: after each row the rest of the inverse's Schur complement, no factor and no blocks.

    Scale, offset, gain and limits are those of each row.
    """
    k = len(weights)
    hessian = gram / (np.trace(gram) / k) + damping * np.eye(k)
    inverse, left = np.linalg.inv(hessian), weights.astype(np.float64).copy()
    turns = sorted(range(k), key=lambda row: (-gains[row], -hessian[row, row]))
    q = np.empty(weights.shape, np.int64)
    for row in turns:
        step = scale[row] * gains[row]
        q[row] = np.clip(np.rint((left[row] - offset[row]) / step), *limits[row])
        error = (left[row] - (step * q[row] + offset[row])) / inverse[row, row]
        left -= np.outer(inverse[:, row], error)
        inverse -= np.outer(inverse[:, row], inverse[row]) / inverse[row, row]
    return q


@pytest.mark.parametrize("gain", [1, 2])
def test_one_pass_is_the_published_rule_on_the_lanes_grids(gain: int) -> None:
    made = quantize_with_feedback(W, GRAM, narrow_gain=gain, rounds=0).tensor
    plain = q35ref.quantize(W, narrow_gain=gain, method="clip")
    assert made.scale.tobytes() == plain.scale.tobytes()
    assert made.offset.tobytes() == plain.offset.tobytes()
    scale, offset = (np.tile(each.astype(float), (K, 1)) for each in (plain.scale, plain.offset))
    gains, limits = [lane_gain(row, gain) for row in range(K)], [lane_interval(row) for row in range(K)]
    expected = one_pass_by_hand(W, GRAM, scale, offset, gains, limits, damping=0.1)
    q = q35ref.backends.get("numpy").unpack(made.packed, K, made.layout)
    assert np.array_equal(q, expected)


def test_without_correlations_one_pass_takes_the_nearest_codes() -> None:
    made = quantize_with_feedback(W, np.diag(RNG.uniform(1, 9, K)), rounds=0).tensor
    assert made.packed.tobytes() == q35ref.quantize(W, method="clip").packed.tobytes()


@pytest.mark.parametrize(("group_size", "gain"), [(0, 2), (32, 2), (0, 1)])
def test_each_part_lowers_the_output_error_on_activations_it_has_not_seen(group_size: int, gain: int) -> None:
    permutation = lane_order(np.diag(GRAM).copy())
    kinds: dict[str, Any] = {"group_size": group_size, "narrow_gain": gain}
    nearest = quantize_ordered(W, None, **kinds)
    one_pass = quantize_with_feedback(W, GRAM, rounds=0, **kinds)
    rounds = quantize_with_feedback(W, GRAM, **kinds)
    errors = [output_error(W, made.restored(), HELD_OUT) for made in (nearest, one_pass, rounds)]
    assert errors[1] < 0.95 * errors[0]
    assert errors[2] < errors[1]
    ordered = quantize_with_feedback(W, GRAM, permutation, **kinds)
    assert output_error(W, ordered.restored(), HELD_OUT) < 0.9 * errors[0]
    assert ordered.bits_per_weight == nearest.bits_per_weight + Fraction(16, N)


def test_rounds_never_raise_the_error_that_they_lower() -> None:
    hessian = GRAM / (np.trace(GRAM) / K) + 0.1 * np.eye(K)
    errors = [
        output_error(W, quantize_with_feedback(W, GRAM, rounds=rounds).restored(), hessian) for rounds in range(5)
    ]
    for before, after in pairwise(errors):
        assert after <= before * (1 + 1e-6)


def test_small_problems_are_solved_next_to_the_best() -> None:
    """All integers of two rows, with the parameters that were found: nothing is better by more than rounding."""
    weights, mix = RNG.standard_normal((4, 30)).astype(np.float32), RNG.standard_normal((4, 50))
    gram = mix @ mix.T
    made = quantize_with_feedback(weights, gram, damping=1e-6)
    hessian, restored = gram + 1e-6 * np.trace(gram) / 4 * np.eye(4), made.restored().astype(np.float64)

    def cost(errors: Any) -> Any:
        return np.einsum("kn,kl,ln->n", errors, hessian, errors)

    scale, offset = made.tensor.scale[0], made.tensor.offset[0]
    found = cost(restored - weights)
    for row, q in product(range(4), range(-8, 8)):
        low, high = lane_interval(row)
        if low <= q <= high:
            changed = restored.copy()
            changed[row] = scale * lane_gain(row, 2) * q + offset
            assert (found <= cost(changed - weights) * (1 + 1e-4) + 1e-9).all()


@pytest.mark.parametrize("weights", [np.zeros((32, 3)), np.full((32, 3), 7.5), np.eye(32, 3)])
@pytest.mark.parametrize("gram", [np.zeros((32, 32)), np.ones((32, 32)), 1e300 * np.eye(32), 1e-300 * np.eye(32)])
def test_degenerate_input_gives_a_legal_tensor(weights: Any, gram: Any) -> None:
    made = quantize_with_feedback(weights.astype(np.float32), gram)
    assert np.isfinite(made.restored()).all()
    if np.ptp(weights) == 0:
        np.testing.assert_allclose(made.restored(), weights, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": W[0]}, "weights: expected a matrix"),
        ({"weights": W * np.nan}, "weights: expected a matrix of finite numbers"),
        ({"gram": GRAM[:-1]}, "gram: expected finite numbers of shape"),
        ({"gram": GRAM * np.inf}, "gram: expected finite numbers"),
        ({"damping": 0.0}, "damping: expected a positive number"),
        ({"rounds": -1}, "rounds: expected at least 0"),
        ({"permutation": np.zeros(K, np.uint16)}, "permutation: expected each"),
        ({"narrow_gain": 3}, "narrow_gain"),
        ({"group_size": 17}, "group_size"),
    ],
)
def test_illegal_arguments_are_named(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"weights": W, "gram": GRAM}
    with pytest.raises(ValueError, match=message):
        quantize_with_feedback(**(arguments | change))


@pytest.mark.parametrize("group_size", [0, 16, 64])
@pytest.mark.parametrize("bits", [3, 4])
def test_uniform_grids_are_within_half_a_step_and_counted(bits: int, group_size: int) -> None:
    groups, length = -(-K // (group_size or K)), group_size or K
    methods: dict[Method, int] = {"minmax": 64, "symmetric": 32, "clip": 64}
    for method, parameters in methods.items():
        made = uniform(W, bits, group_size, method)
        assert made.bits_per_weight == bits + Fraction(parameters * groups, K)
        for start in range(0, K, length):
            group, restored = W[start : start + length], made.weights[start : start + length]
            assert max(len(np.unique(column)) for column in restored.T) <= 2**bits
            ranges = {"minmax": np.ptp(group, axis=0) / (2**bits - 1)}
            ranges["symmetric"] = np.abs(group).max(axis=0) / (2 ** (bits - 1) - 1)
            if method in ranges:
                assert (np.abs(restored - group) <= ranges[method] / 2 * (1 + 1e-5)).all()
    squares = {m: np.square(uniform(W, bits, group_size, m).weights - W).sum() for m in ("minmax", "clip")}
    assert squares["clip"] < squares["minmax"]


@pytest.mark.parametrize("size", [1e-45, 1e-30, 1e30, 0.0])
def test_uniform_grids_of_very_small_and_large_weights_are_finite(size: float) -> None:
    weights = (W * np.float32(size)).astype(np.float32)
    methods: tuple[Method, ...] = ("minmax", "symmetric", "clip")
    for method in methods:
        made = uniform(weights, 4, 16, method).weights
        assert np.abs(made - weights).max() <= max(0.5 * size, 1.5e-45)


def test_feedback_on_a_uniform_grid() -> None:
    methods: tuple[Method, ...] = ("minmax", "symmetric")
    for method in methods:
        plain = uniform(W, 3, 16, method)
        made = uniform_with_feedback(W, GRAM, 3, 16, method)
        assert made.bits_per_weight == plain.bits_per_weight
        assert output_error(W, made.weights, HELD_OUT) < 0.95 * output_error(W, plain.weights, HELD_OUT)
    with pytest.raises(ValueError, match="rounds: expected 0 with a symmetric grid"):
        uniform_with_feedback(W, GRAM, 3, 16, "symmetric", rounds=1)
    for bits, method, message in ((1, "clip", "bits: expected 2 to 16"), (4, "best", "method: expected one of")):
        with pytest.raises(ValueError, match=message):
            uniform(W, bits, 0, method)


def test_the_output_error_is_that_of_the_activations() -> None:
    restored = (W + RNG.standard_normal(W.shape) / 10).astype(np.float32)
    x = UNSEEN.astype(np.float64)
    direct = np.linalg.norm(x @ W - x @ restored) / np.linalg.norm(x @ W)
    assert output_error(W, restored, HELD_OUT) == pytest.approx(direct, rel=1e-6)
    assert output_error(W, W, HELD_OUT) == 0
    with pytest.raises(ValueError, match="gram: expected"):
        output_error(W, W, np.zeros((K, K)))


def test_rows_of_every_matrix_and_policy_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise NoPeer("no such package")

    monkeypatch.setattr(outputs, "require_peer", absent)
    encoder = tiny()
    statistics = gather(encoder, TOKENS)
    made: outputs.Made = {}
    told: list[str] = []
    unseen = gather(encoder, TOKENS[: len(TOKENS) // 2])
    rows, missing = output_rows(encoder, statistics, unseen, made=made, progress=told.append)
    assert missing == ["no such package"]
    names = encoder.config.linear_names
    assert tuple(told) == names
    assert [(row.matrix, row.policy) for row in rows] == list(product(names, (*outputs.POLICIES, *outputs.UNIFORM)))
    ours = [row for row in rows if row.policy in outputs.POLICIES]
    assert set(made) == {(row.policy, row.matrix) for row in ours}
    for row in ours:
        weights, ordered = encoder.weights(row.matrix), made[row.policy, row.matrix]
        assert row.bits_per_weight == ordered.bits_per_weight
        assert (ordered.permutation is not None) == ("ordered" in row.policy)
        assert row.output_error == output_error(weights, ordered.restored(), unseen[row.matrix].gram)
        assert row.output_error != output_error(weights, ordered.restored(), statistics[row.matrix].gram)
        assert row.normalized_rmse == pytest.approx(np.std(ordered.restored() - weights) / weights.std(), rel=0.05)
    best, plain = ({r.matrix: r.output_error for r in rows if r.policy == p} for p in (outputs.BEST, "min-max"))
    assert all(best[name] < plain[name] for name in names)


def test_the_summary_weighs_bits_by_size_and_counts_against_peers() -> None:
    row = OutputRow("a", 2, 3, "ours", Fraction(4), Fraction(4), 0.2, 0.3)
    rows = [
        row,
        replace(row, matrix="b", n=6, bits_per_weight=Fraction(1), nominal_bits=Fraction(1), output_error=0.4),
        replace(row, policy="Q3_K", bits_per_weight=Fraction(5), output_error=0.3),
        replace(row, matrix="b", n=6, policy="Q3_K", output_error=0.4),
    ]
    ours, peer = summarize(rows)
    assert (ours.policy, ours.matrices, ours.bits_per_weight) == ("ours", 2, Fraction(2))
    assert ours.output_error == pytest.approx(0.3)
    assert (ours.better_than_q3_k, ours.better_than_weighted_q3_k) == (1, None)
    assert (peer.bits_per_weight, peer.nominal_bits) == (Fraction(13, 3), Fraction(4))
    assert peer.better_than_q3_k == 0


def test_a_missing_peer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    kquants._ggml.cache_clear()
    monkeypatch.setattr(kquants, "find_spec", lambda name: None)
    with pytest.raises(NoPeer, match=r"pip install .q35ref\[peers\]."):
        k_quantize(W, "Q3_K")
    with pytest.raises(ValueError, match="kind: expected one of Q3_K, Q4_K"):
        k_quantize(W, "Q2_K")
    kquants._ggml.cache_clear()


@needs_peer
@pytest.mark.parametrize(("kind", "nominal", "limit"), [("Q3_K", Fraction(55, 16), 0.2), ("Q4_K", Fraction(9, 2), 0.1)])
def test_peers_restore_what_they_quantize(kind: str, nominal: Fraction, limit: float) -> None:
    weights = RNG.standard_normal((384, 8)).astype(np.float32)
    made = k_quantize(weights, kind)
    assert (made.nominal_bits, made.bits_per_weight) == (nominal, nominal * 512 / 384)
    assert 0 < np.sqrt(np.square(made.weights - weights).mean()) < limit
    squares = np.exp(2 * RNG.standard_normal(384))
    weighted = k_quantize(weights, kind, squares)
    gram = np.diag(squares)
    assert output_error(weights, weighted.weights, gram) < output_error(weights, made.weights, gram)
    with pytest.raises(ValueError, match="mean_square: expected shape"):
        k_quantize(weights, kind, squares[1:])


def test_policies_are_given_the_statistics_they_ask_for() -> None:
    statistics = Statistics(GRAM, 1.0, len(X))
    errors = {
        name: output_error(W, policy(W, statistics).restored(), HELD_OUT) for name, policy in outputs.POLICIES.items()
    }
    assert min(errors, key=lambda name: errors[name]) in ("feedback", outputs.BEST)
    assert errors["clip"] < errors["min-max"]
