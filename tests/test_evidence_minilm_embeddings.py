"""Sentences from a seed, agreement of embeddings, and the table of ablations."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from q35ref.evidence import embeddings
from q35ref.evidence.embeddings import (
    CALIBRATION_SIZES,
    POLICIES_RUN,
    QUICK_POLICY,
    Setting,
    agreement,
    measure,
    settings,
    spearman,
)
from q35ref.evidence.kquants import NoPeer
from q35ref.evidence.outputs import POLICIES
from q35ref.evidence.sentences import (
    CALIBRATION_SENTENCES,
    CALIBRATION_TEMPLATES,
    MEASURED_SENTENCES,
    MEASURED_TEMPLATES,
    PARTS,
    calibration_sentences,
    measured_sentences,
)
from q35ref.evidence.vocabulary import CALIBRATION, MEASURED
from tests.test_evidence_minilm import TOKENS, tiny


def test_sentences_are_many_different_and_the_same_each_time() -> None:
    measured, calibration = measured_sentences(), calibration_sentences()
    assert len(measured) == MEASURED_SENTENCES >= 500
    assert len(calibration) == CALIBRATION_SENTENCES == max(CALIBRATION_SIZES)
    texts = [sentence.text for sentence in measured + calibration]
    assert len(set(texts)) == len(texts)
    assert measured == measured_sentences()
    assert measured[:50] == measured_sentences(50)
    assert calibration[:128] == calibration_sentences(128)
    assert {sentence.text for sentence in measured} != {sentence.text for sentence in measured_sentences(seed=3)}
    assert all(text[0] == text[0].upper() and not set("{}|;/") & set(text.replace("; t", "")) for text in texts)


def test_events_are_told_more_than_once_when_measured_and_once_when_calibrated_with() -> None:
    events = [sentence.event for sentence in measured_sentences()]
    assert {events.count(event) for event in set(events)} <= {1, 2, 3}
    assert len(set(events)) < len(events) / 2
    events = [sentence.event for sentence in calibration_sentences()]
    assert len(set(events)) == len(events)


def test_topics_and_templates_are_not_shared() -> None:
    assert not {topic.name for topic in MEASURED} & {topic.name for topic in CALIBRATION}
    assert not set(MEASURED_TEMPLATES) & set(CALIBRATION_TEMPLATES)
    told = {sentence.topic for sentence in measured_sentences()}
    assert told == {topic.name for topic in MEASURED}
    for topic in MEASURED + CALIBRATION:
        for part in PARTS:
            for meaning in getattr(topic, part).split(";"):
                assert len(meaning.split("|")) == 2, f"{topic.name}: {meaning} is not told in two ways"
                assert all(option.strip() for option in meaning.split("|"))
        for verb in topic.verbs.replace("|", ";").split(";"):
            assert len(verb.split("/")) == 3, f"{topic.name}: {verb}"


@pytest.mark.parametrize("count", [0, -1, 4097])
def test_counts_out_of_range_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="count: expected 1 to 4096"):
        measured_sentences(count)


def ranks_by_hand(numbers: list[float]) -> list[float]:
    return [sum(other < one for other in numbers) + (numbers.count(one) + 1) / 2 for one in numbers]


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=2, max_size=20))
def test_spearman_is_the_correlation_of_ranks(pairs: list[tuple[int, int]]) -> None:
    one, other = ([float(pair[side]) for pair in pairs] for side in (0, 1))
    arrays = np.array(one), np.array(other)
    if len(set(one)) == 1 or len(set(other)) == 1:
        with pytest.raises(ValueError, match="expected different numbers"):
            spearman(*arrays)
        return
    expected = np.corrcoef(ranks_by_hand(one), ranks_by_hand(other))[0, 1]
    assert spearman(*arrays) == pytest.approx(expected, abs=1e-12)
    assert spearman(arrays[0], np.exp(arrays[0])) == pytest.approx(1)
    assert spearman(arrays[0], -arrays[0]) == pytest.approx(-1)


def test_agreement_tells_a_turned_space_from_a_changed_one() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((20, 8))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    turned = (x @ np.linalg.qr(rng.standard_normal((8, 8)))[0]).astype(np.float32)
    assert agreement(turned, x).spearman > 0.999
    assert agreement(turned, x).mean_cosine < 0.9
    one_moved = x.copy()
    one_moved[3] = -x[3]
    found = agreement(one_moved, x)
    assert found.least_cosine == pytest.approx(-1)
    assert found.mean_cosine == pytest.approx(0.9)
    assert found.spearman < 0.99
    with pytest.raises(ValueError, match="embeddings: expected at least 3"):
        agreement(x[:2], x[:2])


def test_every_ablation_that_is_asked_for_has_its_settings() -> None:
    made = settings(CALIBRATION_SIZES)
    assert len(set(made)) == len(made)

    def having(**wanted: Any) -> list[Setting]:
        return [s for s in made if all(getattr(s, name) == value for name, value in wanted.items())]

    for group in (0, 128, 64):
        assert {s.method for s in having(weights="4+3", group_size=group, narrow_gain=2)} >= {
            "minmax",
            "clip",
            "symmetric",
        }
    assert {s.calibration for s in having(activations="int8 static")} == {128, 512, 1024}
    assert {(s.method, s.group_size) for s in having(narrow_gain=1)} == {
        (method, group) for method in ("minmax", "clip") for group in (0, 128)
    }
    for grid in ("uniform 3-bit", "uniform 4-bit"):
        plain = {s.method for s in having(weights=grid, group_size=128)} - {"feedback"}
        assert plain == {"minmax", "clip", "symmetric"}
        assert [s.calibration for s in having(weights=grid, method="feedback")] == [max(CALIBRATION_SIZES)]
    assert [s.method for s in having(ablation="policy")] == list(POLICIES_RUN)
    assert set(POLICIES_RUN) <= set(POLICIES)
    assert len(having(ablation="peer")) == 4
    quick = settings((128,), quick=True, peers=False)
    assert {s.method for s in set(quick) - set(settings((128,)))} == {QUICK_POLICY}
    assert QUICK_POLICY in POLICIES
    assert len(quick) < len(made) / 2
    assert not [s for s in quick if s.ablation == "peer"]


def test_every_setting_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise NoPeer("no such package")

    monkeypatch.setattr(embeddings, "require_peer", absent)
    encoder = tiny()
    calibration = [[(7 * i + j) % 50 for j in range(1 + i % 9)] for i in range(24)]
    steps: list[tuple[int, int, str]] = []
    rows, missing = measure(encoder, TOKENS, calibration, (4, 24), progress=lambda *step: steps.append(step))
    assert missing == ["no such package"]
    assert [row.setting for row in rows] == settings((4, 24), peers=False)
    assert steps[-1][:2] == (len(rows), len(rows))
    by_setting = {row.setting: row for row in rows}
    assert all(row.sentences == len(TOKENS) and -1 <= row.agreement.least_cosine <= 1 for row in rows)
    baseline = by_setting[Setting("baseline", "float32")]
    assert baseline.bits_per_weight == 32
    assert 0.999 < baseline.agreement.mean_cosine < 1
    # 64 bits of parameters on 32 rows, and on 64 in the matrices that hold a quarter of the weights
    assert by_setting[Setting("calibration, group size", "4+3", "clip", 0, 2)].bits_per_weight == Fraction(21, 4)
    four, three = (by_setting[Setting("grid", f"uniform {bits}-bit", "clip", 0)] for bits in (4, 3))
    assert three.agreement.mean_cosine < four.agreement.mean_cosine < baseline.agreement.mean_cosine
    assert four.bits_per_weight - three.bits_per_weight == 1
    policies = {row.setting.method: row for row in rows if row.setting.ablation == "policy"}
    assert policies["feedback, ordered"].bits_per_weight > policies["feedback"].bits_per_weight
    with pytest.raises(ValueError, match="sizes: expected 1 to 24 sentences"):
        measure(encoder, TOKENS, calibration, (25,))
