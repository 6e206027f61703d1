"""Channels in an order of importance: what is stored, what is undone, and that it pays."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import q35ref
from q35ref.evidence.order import (
    MOST_ROWS,
    Ordered,
    importance,
    lane_order,
    quantize_ordered,
    quantize_weighted,
)
from q35ref.evidence.outputs import output_error
from q35ref.reference.calibration import Method

RNG = np.random.default_rng(11)
K, N = 96, 12
W = RNG.standard_normal((K, N)).astype(np.float32)
SPREAD = np.exp(2 * RNG.standard_normal(K))
"""Root mean square of each channel's activations."""
X = (RNG.standard_normal((400, K)) * SPREAD).astype(np.float32)
GRAM = X.T.astype(np.float64) @ X
MEAN_SQUARE = np.diag(GRAM) / len(X)


@given(st.lists(st.floats(0, 1e30) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=70))
def test_the_more_important_half_is_wide_and_each_lane_keeps_its_order(importances: list[float]) -> None:
    permutation = lane_order(np.array(importances))
    assert permutation.dtype == np.uint16
    assert sorted(permutation.tolist()) == list(range(len(importances)))
    wide, narrow = permutation[0::2].tolist(), permutation[1::2].tolist()
    assert wide == sorted(wide)
    assert narrow == sorted(narrow)
    if narrow:
        assert min(importances[row] for row in wide) >= max(importances[row] for row in narrow)


def test_importance_is_the_channels_mean_square_or_that_times_the_weights() -> None:
    assert importance(W, MEAN_SQUARE) is MEAN_SQUARE
    with_weights = importance(W, MEAN_SQUARE, "activations and weights")
    assert with_weights[7] == pytest.approx(MEAN_SQUARE[7] * np.mean(W[7].astype(float) ** 2))
    with pytest.raises(ValueError, match="kind: expected"):
        importance(W, MEAN_SQUARE, "weights")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"mean_square: expected shape \(96,\)"):
        importance(W, MEAN_SQUARE[1:])


@pytest.mark.parametrize("wrong", [np.empty(0), np.zeros(MOST_ROWS + 1), np.array([1, np.nan]), np.array([np.inf])])
def test_what_cannot_be_ordered_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="importances: expected"):
        lane_order(wrong)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (np.arange(K), TypeError),
        (np.arange(K - 1, dtype=np.uint16), ValueError),
        (np.zeros(K, np.uint16), ValueError),
        (np.arange(1, K + 1, dtype=np.uint16), ValueError),
    ],
)
def test_what_is_no_permutation_is_refused(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="permutation: expected"):
        Ordered(q35ref.quantize(W), wrong)


@pytest.mark.parametrize("group_size", [0, 32])
@pytest.mark.parametrize("gain", [1, 2])
def test_the_order_is_undone_and_counted(group_size: int, gain: int) -> None:
    permutation = lane_order(MEAN_SQUARE)
    made = quantize_ordered(W, permutation, group_size=group_size, narrow_gain=gain)
    plain = q35ref.quantize(W[permutation], group_size=group_size, narrow_gain=gain, method="clip")
    assert made.tensor.packed.tobytes() == plain.packed.tobytes()
    assert made.restored()[permutation].tobytes() == q35ref.dequantize(plain).tobytes()
    assert made.bits_per_weight == plain.bits_per_weight + Fraction(16, N)
    assert Ordered(plain).bits_per_weight == plain.bits_per_weight
    a = RNG.integers(-127, 128, (5, K)).astype(np.float32)
    a[:, 0] = 127  # the dynamic scale is then 1, and quantized activations are these
    np.testing.assert_allclose(made.linear()(a), a @ made.restored(), rtol=1e-4, atol=1e-3)


def test_the_order_lowers_the_output_error_by_putting_the_coarse_steps_where_they_cost_little() -> None:
    def error(made: Ordered) -> float:
        return output_error(W, made.restored(), GRAM)

    permutation = lane_order(MEAN_SQUARE)
    plain, ordered = quantize_ordered(W, None), quantize_ordered(W, permutation)
    assert error(ordered) < error(plain)
    assert error(ordered) < 0.7 * error(quantize_ordered(W, lane_order(-MEAN_SQUARE)))
    assert error(quantize_weighted(W, MEAN_SQUARE, permutation)) < error(ordered)


@pytest.mark.parametrize("group_size", [0, 32])
def test_weighted_ranges_are_the_best_of_the_grid(group_size: int) -> None:
    made = quantize_weighted(W, MEAN_SQUARE, None, group_size=group_size)
    cost = np.square(made.restored() - W, dtype=np.float64) * MEAN_SQUARE[:, None]
    length = group_size or K
    methods: tuple[Method, ...] = ("minmax", "clip")
    for method in methods:
        other = q35ref.dequantize(q35ref.quantize(W, group_size=group_size, method=method))
        theirs = np.square(other - W, dtype=np.float64) * MEAN_SQUARE[:, None]
        for start in range(0, K, length):
            rows = slice(start, start + length)
            assert (cost[rows].sum(axis=0) <= theirs[rows].sum(axis=0) * (1 + 1e-9)).all()
    even = quantize_weighted(W, np.ones(K), None, group_size=group_size)
    clip = quantize_ordered(W, None, group_size=group_size)
    ours, theirs_even = (np.square(x.restored() - W, dtype=np.float64).sum() for x in (even, clip))
    assert ours == pytest.approx(theirs_even, rel=1e-6)
