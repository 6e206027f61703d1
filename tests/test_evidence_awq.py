"""AWQ against its definition, with the activations themselves in place of their moments."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from q35ref.evidence.activations import Statistics
from q35ref.evidence.awq import activation_aware, channel_scale
from q35ref.evidence.grids import uniform

RNG = np.random.default_rng(7)
K, N, GROUP = 48, 6, 16
W = RNG.standard_t(4, (K, N)).astype(np.float32)
LOUD = np.exp(1.5 * RNG.standard_normal(K))
"""How large the activations of each channel are."""
X = (RNG.standard_normal((400, K)) * LOUD).astype(np.float32)


def statistics(x: Any) -> Statistics:
    made = Statistics.none(x.shape[1])
    made.add(x)
    return made


def lost(x: Any, restored: Any, weights: Any) -> float:
    """Return ``||X(Ŵ - W)||²``."""
    return float(np.square(x.astype(np.float64) @ (restored.astype(np.float64) - weights)).sum())


def by_hand(weights: Any, x: Any, bits: int) -> Any:
    """AWQ as it is written: products of activations for all twenty exponents and ten reaches, group by group."""
    magnitude = np.abs(x).mean(axis=0, dtype=np.float64)
    scales = [channel_scale(magnitude, step / 20) for step in range(20)]
    made = [uniform(weights * s[:, None], bits, GROUP).weights / s[:, None] for s in scales]
    s = scales[int(np.argmin([lost(x, each, weights) for each in made]))]
    scaled, seen = weights * s[:, None], x / s
    restored = np.empty_like(scaled)
    for start in range(0, K, GROUP):
        rows = slice(start, start + GROUP)
        for column in range(N):
            group = scaled[rows, column : column + 1]
            best = np.inf
            for step in range(10):
                reach = np.abs(group).max() * np.float32(1 - step / 20)
                tried = uniform(np.clip(group, -reach, reach), bits, GROUP).weights
                if (cost := lost(seen[:, rows], tried, group)) < best:
                    best, restored[rows, column : column + 1] = cost, tried
    return restored / s[:, None]


@pytest.mark.parametrize("bits", [3, 4])
def test_it_is_the_published_rule(bits: int) -> None:
    made = activation_aware(W, statistics(X), bits, GROUP)
    np.testing.assert_allclose(made.weights, by_hand(W, X, bits), rtol=1e-6)
    assert made.bits_per_weight == bits + Fraction(64, GROUP) + Fraction(32, N)


@pytest.mark.parametrize("bits", [3, 4])
def test_loud_channels_are_kept_better_than_by_the_plain_grid(bits: int) -> None:
    plain = uniform(W, bits, GROUP).weights
    assert lost(X, activation_aware(W, statistics(X), bits, GROUP).weights, W) < 0.7 * lost(X, plain, W)


def test_scales_have_their_middle_at_one() -> None:
    s = channel_scale(np.array([0.0, 1.0, 100.0]), 0.5)
    assert float(s.max() * s.min()) == pytest.approx(1)
    assert (np.diff(s) > 0).all()
    assert channel_scale(np.array([0.0, 1.0, 100.0]), 0.0).tolist() == [1, 1, 1]


def test_statistics_without_moments_are_refused() -> None:
    without = Statistics.none(0)
    with pytest.raises(ValueError, match="expected the moments of 48 channels"):
        activation_aware(W, without, 4)
    with pytest.raises(ValueError, match="expected the moments of 48 channels"):
        activation_aware(W, statistics(X[:, 1:]), 4)
