"""What is measured on is not what was calibrated on; statistics, seeds and rates are those of all that was seen."""

from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from q35ref.evidence import activations, audits_accuracy, collect, embeddings, model, quality
from q35ref.evidence.activations import Statistics, gather
from q35ref.evidence.minilm import Encoder
from q35ref.evidence.sentences import calibration_sentences, measured_sentences
from tests.test_evidence_minilm import TINY, TOKENS, tiny


@pytest.mark.parametrize(
    ("quick", "measured_on", "calibrated_on"), [(True, 120, 128), (False, 600, 1024)], ids=["quick", "whole"]
)
def test_the_model_is_calibrated_on_other_sentences_than_it_is_measured_on(
    quick: bool, measured_on: int, calibrated_on: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sentences stand for their tokens and for their statistics, so that each can be followed to where it goes."""
    measured = [sentence.text for sentence in measured_sentences(measured_on)]
    calibration = [sentence.text for sentence in calibration_sentences(calibrated_on)]
    assert not set(measured) & set(calibration)
    got: dict[str, Any] = {}

    def output_rows(encoder: Any, known: Any, held_out: Any, *, made: Any, **_: Any) -> Any:
        got.update(known=known, held_out=held_out, made=made)
        return [], []

    def measure(encoder: Any, tokens: Any, calibration: Any, sizes: Any, **more: Any) -> Any:
        got.update(more, tokens=tokens, calibration=calibration, sizes=sizes, same=more["made"] is got["made"])
        return [], []

    monkeypatch.setattr(Encoder, "trained", tiny)
    monkeypatch.setattr(model, "Tokenizer", lambda: list)
    monkeypatch.setattr(model, "gather", lambda encoder, tokens: ("of", tokens))
    monkeypatch.setattr(model, "output_rows", output_rows)
    monkeypatch.setattr(model, "measure", measure)
    model.measure_model(quick=quick)
    assert got["known"] == got["statistics"] == ("of", calibration)
    assert got["held_out"] == ("of", measured)
    assert (got["tokens"], got["calibration"], max(got["sizes"])) == (measured, calibration, calibrated_on)
    assert got["same"]


def test_each_size_is_calibrated_on_the_first_sentences_of_the_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    gathered: list[Any] = []

    def watched(encoder: Any, tokens: Any, *, moments: bool = True) -> Any:
        gathered.append((list(tokens), moments))
        return gather(encoder, tokens, moments=moments)

    def nothing(sizes: Any, *, quick: bool, peers: bool) -> list[Any]:
        return []

    monkeypatch.setattr(embeddings, "gather", watched)
    monkeypatch.setattr(embeddings, "settings", nothing)
    calibration = [[(7 * i + j) % 50 for j in range(1 + i % TINY.max_tokens)] for i in range(12)]
    embeddings.measure(tiny(), TOKENS, calibration, (2, 5, 9))
    assert gathered == [(calibration[:2], False), (calibration[:5], False), (calibration[:9], True)]


def test_the_reach_of_activations_is_the_largest_of_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for sizes in ([0.5, 4.0, 1.0], [4.0, 0.5, 1.0], [0.5, 1.0, 4.0]):
        statistics = Statistics.none(1)
        for size in sizes:
            statistics.add(np.array([[size], [-size / 2]], np.float32))
        assert (statistics.absmax, statistics.rows) == (4, 6)
        assert statistics.mean_square.tolist() == [sum(1.25 * size * size for size in sizes) / 6]
        assert statistics.mean_magnitude.tolist() == [sum(1.5 * size for size in sizes) / 6]
    encoder = tiny()
    whole = gather(encoder, TOKENS)
    monkeypatch.setattr(activations, "BATCH", 1)
    for name, found in gather(encoder, TOKENS).items():
        assert found.absmax == pytest.approx(whole[name].absmax, rel=1e-5)
        assert found.rows == whole[name].rows
        np.testing.assert_allclose(found.gram, whole[name].gram, rtol=1e-3, atol=1e-3)


def test_drawn_weights_are_those_of_their_seed() -> None:
    def drawn(seed: int) -> list[bytes]:
        return [each.weights.tobytes() for each in quality.normal(seed, 1)]

    assert drawn(1) == drawn(1)
    assert not set(drawn(1)) & set(drawn(2))
    one, same, other = (audits_accuracy.normal(seed, 64, 2) for seed in (1, 1, 2))
    assert (one == same).all()
    assert not (one == other).any()


def test_the_runs_seed_is_that_of_the_drawn_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def normal(seed: int, columns: int) -> list[Any]:
        seeds.append(seed)
        return []

    monkeypatch.setattr(collect, "normal", normal)
    monkeypatch.setattr(collect, "trained", lambda path: [])
    monkeypatch.setattr(collect, "trained_weights", Path)
    for seed in (3, 8):
        assert collect._quality(seed, True, lambda name, done, whole: None)[0] == ()
    assert seeds == [3, 8]


def test_the_timed_product_reads_the_codes_and_counts_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three and a half bits a weight, without scales, offsets and activations."""
    ticks = count(0.0, 0.25)
    monkeypatch.setattr(collect, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    monkeypatch.setattr(collect, "GEMV", (64, 8))
    found = collect._timed(1, 1.0)
    assert [(each.at, each.seconds) for each in found] == [(0.25, 0.25), (0.75, 0.25), (1.25, 0.25)]
    assert {each.gigabytes for each in found} == {64 * 8 * 3.5 / 8 / 0.25 / 1e9}
