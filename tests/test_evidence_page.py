"""The page of the evidence says what its tables say, and nothing else gets into it."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from q35ref.evidence.figures import FIGURES
from q35ref.evidence.tables import COLUMNS
from tools import evidence_page


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return a copy of the run that is kept."""
    return Path(shutil.copytree(evidence_page.KEPT, tmp_path / "kept"))


def test_the_page_is_what_the_tables_say() -> None:
    assert evidence_page.PAGE.read_text() == evidence_page.page(evidence_page.KEPT)
    assert CliRunner().invoke(evidence_page.main, ["--check"]).exit_code == 0


def test_a_page_that_says_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "evidence.md"
    other.write_text(evidence_page.PAGE.read_text().replace("In five minutes", "In a minute"))
    monkeypatch.setattr(evidence_page, "PAGE", other)
    result = CliRunner().invoke(evidence_page.main, ["--check"])
    assert result.exit_code == 1
    assert "is not what its tables say" in result.output


@pytest.mark.parametrize("name", ["quality", "outputs", "ablation", "performance", "scalability", "theory", "claims"])
def test_every_table_shows_in_the_page(kept: Path, name: str) -> None:
    path = kept / f"{name}.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], *(line for line in lines[2:]), lines[1].replace("refuted", "reproduced")]))
    before = evidence_page.page(evidence_page.KEPT)
    if name == "claims":  # only how many stand is in the page
        path.write_text("".join(line.replace("refuted", "reproduced") for line in lines))
    assert evidence_page.page(kept) != before


def test_the_kept_run_is_whole() -> None:
    about = json.loads((evidence_page.KEPT / "about.json").read_text())
    assert not about["quick"]
    assert about["missing"] == []
    assert {path.stem for path in evidence_page.KEPT.glob("*.csv")} == set(COLUMNS)
    assert (
        {path.stem for path in evidence_page.KEPT.glob("figures/*.png")} == set(FIGURES) == set(evidence_page.FIGURES)
    )


def test_a_quick_run_makes_no_page(kept: Path) -> None:
    about = json.loads((kept / "about.json").read_text())
    (kept / "about.json").write_text(json.dumps({**about, "quick": True}))
    with pytest.raises(SystemExit, match="a quick run"):
        evidence_page.page(kept)


def test_a_run_is_taken_whole(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kept / "figures" / "layout.svg").write_text("<svg/>")
    monkeypatch.setattr(evidence_page, "KEPT", tmp_path / "taken")
    monkeypatch.setattr(evidence_page, "PAGE", tmp_path / "page.md")
    result = CliRunner().invoke(evidence_page.main, ["--from", str(kept)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "page.md").read_text() == evidence_page.PAGE.read_text()
    taken = {path.name for path in (tmp_path / "taken").rglob("*.*")}
    assert taken == {path.name for path in kept.rglob("*.*")} - {"layout.svg"}
