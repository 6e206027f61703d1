"""Peers are what their names say: as published, with as many bits, and with int8 activations as the format has."""

import ctypes
import re
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from q35ref.evidence import embeddings, kquants, outputs
from q35ref.evidence.activations import Statistics, gather
from q35ref.evidence.awq import activation_aware
from q35ref.evidence.embeddings import settings
from q35ref.evidence.formats import half_quadratic, own_formats
from q35ref.evidence.grids import uniform_limits, uniform_parameters
from q35ref.evidence.kquants import PeerMatrix
from q35ref.evidence.outputs import POLICIES, output_rows
from q35ref.evidence.quality import Matrix, measured
from tests.test_evidence_minilm import TINY, TOKENS, tiny
from tests.test_evidence_order_feedback import one_pass_by_hand

RNG = np.random.default_rng(21)
K, N = 160, 5
W = RNG.standard_t(4, (K, N)).astype(np.float32)
MIX = RNG.standard_normal((K, K)) / 9 + np.diag(np.exp(RNG.standard_normal(K)))
X = (RNG.standard_normal((500, K)) @ MIX).astype(np.float32)
ONE_LAYER = replace(TINY, layers=1)
SEEN = Statistics.none(K)
SEEN.add(X)


def half_quadratic_by_hand(column: Any, bits: int, turns: int) -> tuple[Any, list[float]]:
    """One group of one column as HQQ is published; return it with the mean error of each turn."""
    top, low = 2**bits - 1, column.min()
    scale = top / (column.max() - low)
    zero, split, restored, errors = -low * scale, 10.0, column, []
    for _ in range(turns):
        q = np.clip(np.rint(column * scale + zero), 0, top)
        restored = (q - zero) / scale
        left = column - restored
        errors.append(float(np.abs(left).mean()))
        shrunk = [np.sign(e) * max(abs(e) - abs(e) ** (0.7 - 1) / split, 0) if e else 0 for e in left.tolist()]
        zero = (q - (column - shrunk) * scale).mean()
        split *= 1.01
    return restored, errors


def test_half_quadratic_takes_its_twenty_turns() -> None:
    column = np.random.default_rng(9).standard_t(3, (128, 1)).astype(np.float32)
    expected, errors = half_quadratic_by_hand(column[:, 0].astype(float), 3, 20)
    assert errors == sorted(set(errors), reverse=True), "every turn is of use here, so that none ends it early"
    assert errors[-1] < 0.97 * errors[0]
    np.testing.assert_allclose(half_quadratic(3, 128)(column).weights[:, 0], expected, rtol=1e-6)


def test_a_row_has_the_bits_and_the_error_of_its_name() -> None:
    """FP16 takes 16 bits and half of float16's last place; integers of more bits are nearer than those of fewer."""
    matrix = Matrix("here", "normal", RNG.standard_normal((256, 3)).astype(np.float32))
    found = {(each.name, each.group_size): measured(matrix, each) for each in own_formats((128,))}
    assert found["FP16", 0].bits_per_weight == 16
    assert 0 < found["FP16", 0].normalized_rmse < 2.0**-11
    for bits in (3, 4):
        row = found[f"HQQ {bits}-bit", 128]
        assert row.bits_per_weight == bits + 64 / 128
        assert 2.0**-bits < row.normalized_rmse < 2.0 ** (1 - bits)


@pytest.mark.parametrize("bits", [3, 4])
def test_gptq_is_the_published_rule_with_its_own_damping(bits: int) -> None:
    scale, offset = (each.astype(float) for each in uniform_parameters(W, bits, 128, "minmax"))
    group = np.arange(K) // 128
    limits = [uniform_limits(bits)] * K
    q = one_pass_by_hand(W, SEEN.gram, scale[group], offset[group], [1] * K, limits, damping=0.01)
    made = outputs.UNIFORM[f"GPTQ {bits}-bit, groups of 128"](W, SEEN)
    np.testing.assert_array_equal(made.weights, (scale[group] * q + offset[group]).astype(np.float32))


@pytest.mark.parametrize("name", outputs.UNIFORM)
def test_a_uniform_grid_has_the_bits_of_its_name(name: str) -> None:
    said = re.fullmatch(r"(\w+) (\d)-bit(?:, feedback)?(?:, groups of (\d+))?", name)
    assert said is not None
    bits, groups = int(said[2]), -(-K // int(said[3] or K))
    made = outputs.UNIFORM[name](W, SEEN)
    scales = Fraction(32, N) if said[1] == "AWQ" else 0
    assert made.bits_per_weight == bits + Fraction(64 * groups, K) + scales
    if said[1] == "AWQ":
        np.testing.assert_array_equal(made.weights, activation_aware(W, SEEN, bits, 128).weights)
    else:
        levels = max(len(np.unique(column)) for column in made.weights[: int(said[3] or K)].T)
        assert 2 ** (bits - 1) < levels <= 2**bits


class Asked:
    """A stand-in for llama.cpp's quantizer that loses nothing, and notes what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __call__(self, weights: Any, kind: str, mean_square: Any = None) -> PeerMatrix:
        self.calls.append((kind, None if mean_square is None else mean_square.tolist()))
        return PeerMatrix(weights, Fraction(4), Fraction(4))


def expected_calls(known: Any, names: Any) -> list[tuple[str, Any]]:
    squares = [known[name].mean_square.tolist() for name in names]
    return sorted((kind, each) for kind in ("Q3_K", "Q4_K") for each in squares)


def test_importance_matrices_and_policies_come_from_what_was_calibrated_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, encoder = Asked(), tiny(ONE_LAYER)
    monkeypatch.setattr(outputs, "require_peer", lambda: None)
    monkeypatch.setattr(outputs, "k_quantize", asked)
    names = encoder.config.linear_names[4:6]
    known, held_out = gather(encoder, TOKENS[:3]), gather(encoder, TOKENS[3:])
    made: outputs.Made = {}
    rows, _ = output_rows(encoder, known, held_out, matrices=names, made=made)
    assert sorted(call for call in asked.calls if call[1]) == expected_calls(known, names)
    assert sorted(kind for kind, square in asked.calls if square is None) == ["Q3_K"] * 2 + ["Q4_K"] * 2
    for (policy, name), ordered in made.items():
        again = POLICIES[policy](encoder.weights(name), known[name])
        assert ordered.tensor.packed.tobytes() == again.tensor.packed.tobytes()
    for row in rows:
        if row.policy in outputs.UNIFORM:
            filled = outputs.UNIFORM[row.policy](encoder.weights(row.matrix), known[row.matrix]).weights
            gram = held_out[row.matrix].gram
            assert row.output_error == outputs.output_error(encoder.weights(row.matrix), filled, gram)


def test_the_peers_quantizer_is_handed_the_importance_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """As float32 of whole blocks, or no address at all; with a library that is not there."""
    seen: list[Any] = []

    def chunk(kind: int, rows: int, packed: int, start: int, n: int, padded: int, address: int | None) -> int:
        pointer = ctypes.POINTER(ctypes.c_float)
        seen.append(None if address is None else ctypes.cast(address, pointer)[:padded])
        return n * 110 * padded // 256

    quants = SimpleNamespace(dequantize=lambda packed, _: np.zeros((len(packed), 256), np.float32))
    reader = SimpleNamespace(GGMLQuantizationType={"Q3_K": 11}, GGML_QUANT_SIZES={11: (256, 110)}, quants=quants)
    monkeypatch.setattr(kquants, "_ggml", lambda: chunk)
    monkeypatch.setattr(kquants, "_gguf", lambda: reader)
    square = np.arange(1.0, K + 1)
    made = kquants.k_quantize(W, "Q3_K", square)
    kquants.k_quantize(W, "Q3_K")
    assert seen == [[*square.tolist(), *[0.0] * (256 - K)], None]
    assert made.bits_per_weight == made.nominal_bits * 256 / K


def test_the_weighted_clip_weighs_by_the_channels_that_it_orders() -> None:
    square = SEEN.mean_square[:, None]
    costs = {
        name: (np.square(POLICIES[name](W, SEEN).restored() - W, dtype=np.float64) * square).sum(axis=0)
        for name in ("clip, ordered", "weighted clip, ordered")
    }
    assert (costs["weighted clip, ordered"] <= costs["clip, ordered"] * (1 + 1e-9)).all()
    assert costs["weighted clip, ordered"].sum() < 0.98 * costs["clip, ordered"].sum()


def test_whatever_the_weights_are_the_activations_are_int8_where_a_setting_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Inputs that round to the same integers have the same product, under every setting but that of float32."""
    asked, encoder = Asked(), tiny(ONE_LAYER)
    monkeypatch.setattr(embeddings, "k_quantize", asked)
    gathered = gather(encoder, TOKENS)
    for each in gathered.values():
        each.absmax = 127.0  # a static scale of 1, as the dynamic one of these inputs
    made: outputs.Made = {}
    for setting in settings((8,)):
        linears, _ = embeddings._plug(encoder, setting, {8: gathered}, made)
        for name, linear in linears.items():
            loud = np.zeros((1, len(encoder.weights(name))), np.float32)
            loud[0, 0] = 127
            beside = np.where(loud, loud, np.float32(0.4))
            same = linear(loud).tobytes() == linear(beside).tobytes()
            assert same == (setting.activations != "float32"), setting
    names = encoder.config.linear_names
    assert sorted(call for call in asked.calls if call[1]) == expected_calls(gathered, names)
    assert len(asked.calls) == 4 * len(names)
