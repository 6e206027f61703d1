"""The drafts' claims: each is audited by running code, and what is found follows from what is run."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from q35ref.cli import main
from q35ref.evidence import audits_accuracy, drafts
from q35ref.evidence.claims import AUDITORS, audit, audits, load, verdict
from q35ref.oracle import bugs
from q35ref.reference.codec import pack_pair, unpack_pair

CLAIMS = load()


def test_every_claim_has_an_auditor_and_every_auditor_a_claim() -> None:
    assert set(CLAIMS) == set(AUDITORS)
    with pytest.raises(ValueError, match="bound: has an auditor already"):
        audits("bound")(AUDITORS["bound"])


def test_every_claim_is_decided_with_what_was_found() -> None:
    for claim in CLAIMS.values():
        made = audit(claim)
        assert made.finding.says.endswith(".")
        assert (made.finding.kind == "none") == (made.finding.verdict == "not testable here")
        assert made.command == f"q35ref claims {claim.id}"
        if made.finding.verdict == "reproduced":
            assert made.finding.value is not None


DECIDED = {
    "mem-70b-19": "refuted", "mem-70b-32": "reproduced", "tput-4188": "refuted", "rmse-1494": "refuted",
    "rmse-3bit": "reproduced in part", "overflow": "reproduced", "gpu-gain": "not testable here",
    "ablation": "reproduced in part", "kernel": "refuted", "tput-405b": "refuted",
}  # fmt: skip


@pytest.mark.parametrize("name", DECIDED)
def test_a_verdict_does_not_hang_on_the_seed(name: str) -> None:
    for seed in (1, 2):
        assert audit(CLAIMS[name], seed).finding.verdict == DECIDED[name]


@pytest.mark.parametrize(
    "name", ["mem-70b-19", "rmse-1494", "rmse-3bit", "ablation", "power", "tput-405b", "bw-80", "lat"]
)
def test_a_claim_of_what_is_found_would_be_reproduced_and_another_refuted(name: str) -> None:
    """So that no verdict is written down beforehand."""
    found = audit(CLAIMS[name]).finding.value
    assert found is not None
    assert audit(replace(CLAIMS[name], value=found)).finding.verdict.startswith("reproduced")
    assert audit(replace(CLAIMS[name], value=3 * found)).finding.verdict == "refuted"


def test_a_verdict_needs_a_number() -> None:
    with pytest.raises(ValueError, match="first: expected a claim with a number"):
        verdict(CLAIMS["first"], 1.0)


def test_parts_of_a_claim_are_judged_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the drafts' packing right, the comparison of zero-points would hold whole; the epilogue likewise."""
    monkeypatch.setattr(audits_accuracy, "unpacked", lambda codes, k: HELD[codes.shape])
    monkeypatch.setattr(audits_accuracy, "convert", kept_whole)
    assert audit(CLAIMS["ablation"]).finding.verdict == "reproduced"
    monkeypatch.setattr(audits_accuracy, "epilogue", lambda acc, scale, offset: acc * scale)
    assert audit(CLAIMS["kernel"]).finding.verdict == "refuted"
    monkeypatch.setattr(audits_accuracy, "WORSE", 114)
    assert audit(CLAIMS["rmse-3bit"]).finding.verdict == "reproduced"


HELD: dict[tuple[int, ...], Any] = {}


def kept_whole(weights: Any) -> Any:
    """Return the drafts' integers with no bit cut."""
    codes, scale, zero = drafts.convert(weights)
    HELD[codes.shape] = drafts.rounded(weights, scale, zero)
    return codes, scale, zero


def test_the_second_converter_is_as_described() -> None:
    weights = np.array([[3.0, 0.0], [-3.0, 0.0], [-0.6, 0.0], [2.9, 0.0]])
    assert drafts.symmetric(weights).tolist() == [[3, 0], [-3, 0], [-1, 0], [3, 0]]
    far = np.array([[9.0], [9.0], [-12.0], [-12.0]])  # a scale of 4: nothing is clipped, for absmax is 3 scales
    assert drafts.symmetric(far).ravel().tolist() == [8, 8, -12, -12]


def test_the_drafts_int4_gives_the_largest_weight_the_integer_seven() -> None:
    weights = np.array([[7.0, -14.0], [-2.6, 3.1], [0.4, 13.9]])
    assert drafts.int4(weights).tolist() == [[7, -14], [-3, 4], [0, 14]]


def test_the_chips_bandwidth_is_that_of_all_its_banks() -> None:
    """Two hemispheres of 22 groups of four banks of 320 bytes, 900 million times a second."""
    assert audit(CLAIMS["bw-80"]).finding.value == pytest.approx(2 * 22 * 4 * 320 * 0.9)


def test_the_drafts_bytes_are_the_formats_but_for_what_is_cut() -> None:
    weights = np.random.default_rng(1).standard_normal((7, 5))
    codes, scale, zero = drafts.convert(weights)
    q = drafts.rounded(weights, scale, zero)
    held = drafts.unpacked(codes, 7)
    for column in range(5):
        for pair in range(4):
            wide, narrow = unpack_pair(int(codes[pair, column]))
            assert held[2 * pair, column] == wide == q[2 * pair, column]
            if pair < 3:
                cut = (int(q[2 * pair + 1, column]) + 4) % 8 - 4
                assert held[2 * pair + 1, column] == narrow == cut
                assert codes[pair, column] == pack_pair(wide, narrow)


def test_the_drafts_converter_is_the_planted_one() -> None:
    """The oracle's bug class ``Wraps`` clamps and cuts as the drafts do."""
    planted = bugs.BUGS["Wraps"]()
    rounded = np.arange(-20, 21)
    odd = np.ones(41, bool)
    assert (planted.clamp(rounded, odd) == (np.clip(rounded, -8, 7) + 4) % 8 - 4).all()
    q = drafts.rounded(rounded[:, None] * 1.0, np.ones(1), np.zeros(1))
    assert (planted.clamp(rounded, ~odd) == q[:, 0]).all()


def test_a_constant_column_has_a_scale() -> None:
    scale, zero = drafts.parameters(np.full((4, 1), 3.0))
    assert (scale == 1).all()
    assert (zero == 11).all()
    assert (drafts.int4(np.zeros((3, 1))) == 0).all()


def test_uniform_levels_are_hit_exactly() -> None:
    levels = np.tile(np.arange(8.0), 2)[:, None]
    assert (audits_accuracy.uniform(levels, 3, 16) == levels).all()
    assert not (audits_accuracy.uniform(levels, 2, 16) == levels).all()


def test_the_command_prints_all_one_and_json() -> None:
    runner = CliRunner()
    done = runner.invoke(main, ["claims"])
    assert done.exit_code == 0
    assert f"{len(CLAIMS)} claims: " in done.output
    done = runner.invoke(main, ["claims", "mem-70b-19"])
    assert "verdict: refuted (calculated)" in done.output
    assert "30.625 GB" in done.output
    done = runner.invoke(main, ["claims", "overflow", "--json"])
    (entry,) = json.loads(done.output)
    assert entry["finding"]["verdict"] == "reproduced"
    done = runner.invoke(main, ["claims", "nothing"])
    assert done.exit_code == 2
    assert "claim: expected one of mem-70b-19" in done.output
