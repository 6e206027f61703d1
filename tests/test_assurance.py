"""The index of claims: complete, without names that do not exist, and up to date."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tools.assurance import __main__ as command
from tools.assurance.__main__ import HEADLINES, PAGE, ROOT
from tools.assurance.claim import (
    CONFIRMED,
    INPUT_OUTPUT,
    NOT_EXECUTABLE,
    NOT_MATHEMATICAL,
    NOTHING_TO_RUN,
    PROVED,
    REASONS,
    SAMPLED,
    TESTED,
    TRUSTED,
    Claim,
    Part,
)
from tools.assurance.claims import PARTS, PREFACE
from tools.assurance.names import Names, Place, collect, theorems_named_in_python, theorems_of
from tools.assurance.page import held, problems, render

HERE: Final = Place("a/file", 7)

NAMES: Final = Names(
    {"three_le": HERE}, {"m.law": HERE, "m.excused": HERE}, {"t::test": HERE}, frozenset(["m.excused"])
)

GOOD: Final = Claim("3 <= 3.", ("three_le",), ("m.law", "m.excused"), ("t::test",))


def problems_of(
    *claims: Claim, headlines: tuple[str, ...] = ("three_le",), cited: Mapping[str, str] | None = None
) -> list[str]:
    return list(problems([Part("Part", claims)], NAMES, headlines, cited or {}))


def test_a_whole_index_has_no_problem() -> None:
    assert problems_of(GOOD) == []


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (replace(GOOD, theorems=("three_lt",)), "theorems: there is no three_lt"),
        (replace(GOOD, contracts=("m.law", "m.excused", "m.lost")), "contracts: there is no m.lost"),
        (replace(GOOD, tests=("t::gone",)), "tests: there is no t::gone"),
        (replace(GOOD, tests="none: no time"), "expected names or one of"),
        (replace(GOOD, tests=()), "tests: expected at least one name"),
        (replace(GOOD, tests=INPUT_OUTPUT), "tests: expected names or one of"),
        (replace(GOOD, theorems=SAMPLED), "theorems: expected names or one of"),
        (replace(GOOD, contracts=SAMPLED, tests=NOT_EXECUTABLE), "but there is no test"),
        (replace(GOOD, theorems=NOTHING_TO_RUN), "but no reason to trust it is given"),
        (replace(GOOD, tests=NOT_EXECUTABLE, exhausted=True), "exhausted, but there is no test"),
    ],
)
def test_a_name_that_does_not_exist_or_a_reason_of_ones_own_is_a_problem(claim: Claim, expected: str) -> None:
    assert any(expected in problem for problem in problems_of(claim, replace(GOOD, text="Another.")))


def test_a_claim_that_nothing_holds_is_a_problem() -> None:
    bare = Claim("So it is.", NOT_MATHEMATICAL, NOT_EXECUTABLE, NOT_EXECUTABLE)
    assert problems_of(GOOD, bare) == ["'So it is.': nothing holds it, and no reason to trust it is given"]
    assert problems_of(GOOD, replace(bare, trusted="everyone says so")) == []


def test_every_reason_is_needed() -> None:
    cells = {cell for part in PARTS for claim in part.claims for cell in (claim.theorems, claim.contracts, claim.tests)}
    assert REASONS.keys() == {cell for cell in cells if isinstance(cell, str)}


def test_an_excused_contract_alone_confirms_nothing() -> None:
    only = Claim("So it is.", NOT_MATHEMATICAL, ("m.excused",), NOT_EXECUTABLE)
    assert held(only, NAMES) == []
    assert problems_of(GOOD, only)


def test_gaps_are_problems() -> None:
    assert problems_of(GOOD, headlines=("three_le", "lost_headline")) == ["headline lost_headline: holds no claim"]
    assert problems_of(replace(GOOD, contracts=("m.excused",))) == ["contract m.law: holds no claim"]
    assert problems_of(GOOD, cited={"gone": "codec.py"}) == ["codec.py names the theorem gone, which does not exist"]
    assert problems_of(GOOD, GOOD) == ["'3 <= 3.': stands twice"]


def test_the_words_say_how_a_claim_is_held() -> None:
    assert held(GOOD, NAMES) == [PROVED, CONFIRMED, TESTED]
    assert held(replace(GOOD, theorems=NOT_MATHEMATICAL, trusted="why"), NAMES) == [CONFIRMED, TESTED, TRUSTED]


def test_the_page_links_each_name_to_its_line() -> None:
    page = render([Part("Part", (GOOD,))], NAMES, "# Title")
    assert "[`three_le`](../a/file#L7)" in page
    assert "not confirmed, run by the test" in page


def test_theorems_in_comments_do_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "proofs" / "Q35" / "Thm"
    folder.mkdir(parents=True)
    (folder / "A.lean").write_text("/- theorem no : True -/\n-- theorem nor\ntheorem yes : True := trivial\n")
    assert theorems_of(tmp_path) == {"yes": Place("proofs/Q35/Thm/A.lean", 3)}


def test_the_committed_index_is_whole_and_the_page_up_to_date() -> None:
    names = collect(ROOT)
    headlines = HEADLINES.read_text(encoding="utf-8").split()
    assert list(problems(PARTS, names, headlines, theorems_named_in_python(ROOT))) == []
    assert PAGE.read_text(encoding="utf-8") == render(PARTS, names, PREFACE)


@pytest.mark.parametrize("options", [["--check"], []])
def test_the_command_fails_on_a_problem_of_the_index(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page is what the index says, so that the problem alone is what can fail; nothing is written."""
    bare = Claim("So it is.", NOT_MATHEMATICAL, NOT_EXECUTABLE, NOT_EXECUTABLE)
    parts = (*PARTS, Part("Planted", (bare,)))
    page = tmp_path / "assurance.md"
    page.write_text(render(parts, collect(ROOT), PREFACE) if options else "old")
    before = page.read_text()
    monkeypatch.setattr(command, "PAGE", page)
    monkeypatch.setattr(command, "PARTS", parts)
    monkeypatch.setattr("sys.argv", ["", *options])
    assert command.main() == 1
    assert capsys.readouterr().err == "FAILED 'So it is.': nothing holds it, and no reason to trust it is given\n"
    assert page.read_text() == before


def test_the_theorems_that_docstrings_name_are_found() -> None:
    cited = theorems_named_in_python(ROOT)
    assert {"unpackPair_packPair", "acc_fits_int32", "quantize_error_attained", "roundFloat32_mono"} <= cited.keys()
