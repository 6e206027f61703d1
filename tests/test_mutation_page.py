"""The record of the mutants and the page that is made from it; what is told of a run, and what is refused."""

import json
import platform
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from tools.mutation import page
from tools.mutation.mutant import Key
from tools.mutation.parts import PARTS
from tools.mutation.record import Counts, PartRecord, Record, Survivor, faults, save, score
from tools.mutation.record import load as load_record
from tools.mutation.sources import ROOT

FILE: Final = "tests/code_under_test.py"
NOW: Final = {FILE: 30}
"""Its mutants."""

HOLE: Final = Key(FILE, "while n > 0:", "while n != 0:")
SAME: Final = Key(FILE, "return a if a > b else b", "return a if a >= b else b")


def part_record(*survivors: Key, **more: Any) -> PartRecord:
    """Return a run in which these survived."""
    machine = {"cpu": "a processor", "processors": "2", "system": "Linux"}
    found = tuple(Survivor(key, "bound", 3) for key in survivors)
    files = {FILE: Counts(places=30, killed=10, stopped=1, survived=len(found))}
    made = PartRecord(1, machine, {"python": "3"}, 90.0, 1.0, files, found)
    return replace(made, **more)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = Record({"reference": part_record(SAME, HOLE), "native": part_record(again=12)})
    save(record, tmp_path / "record.json")
    assert load_record(tmp_path / "record.json") == record


@pytest.mark.parametrize("change", [{"schema": 0}, {"more": 1}, {"parts": {"reference": {}}}, {"parts": 3}])
def test_what_is_no_record_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    save(Record({"reference": part_record(HOLE)}), tmp_path / "record.json")
    data = json.loads((tmp_path / "record.json").read_text())
    (tmp_path / "record.json").write_text(json.dumps({**data, **change}))
    with pytest.raises(ValueError, match=r".+"):
        load_record(tmp_path / "record.json")


def test_a_survivor_that_is_not_counted_is_refused(tmp_path: Path) -> None:
    save(Record({"reference": part_record(HOLE, files={FILE: Counts(30, 10)})}), tmp_path / "record.json")
    with pytest.raises(ValueError, match="as the counts say"):
        load_record(tmp_path / "record.json")


def test_the_score_leaves_out_what_cannot_be_noticed() -> None:
    part = part_record(SAME, HOLE)
    assert score(part, {}) == 11 / 13
    assert score(part, {SAME: "either"}) == 11 / 12
    assert [found.key for found in faults(part, {SAME: "either"})] == [HOLE]
    assert score(part_record(), {}) == 1
    assert score(part_record(files={}), {}) == 0


def test_the_page_tells_a_sample_what_survived_and_why() -> None:
    record = Record({"reference": part_record(SAME, HOLE, again=4)})
    text = page.page(record, {SAME: "either will do"}, {"reference": NOW})
    assert f"- FAILED `{HOLE}`" in text
    assert f"FAILED `{SAME}`" not in text
    assert "- either will do\n    - ``return a if a > b else b`` → ``return a if a >= b else b``" in text
    assert "13 of 30 mutants were run, a sample, drawn by seed 1" in text
    assert "4 mutants survived at first" in text
    assert "Of the 12 that could be noticed, 5 were not, at first." in text
    assert "met the first check alone" not in text
    quick = replace(part_record(SAME, HOLE), survivors=(Survivor(SAME, "bound", 3, is_quick=True),))
    assert "- 1 of the survivors met the first check alone" in page.told(quick, {}, NOW)
    assert "- Every mutant that was run was killed, or is listed" in page.page(
        Record({"numpy": part_record()}), {}, {"numpy": NOW}
    )


def test_the_page_says_if_the_sources_are_not_those_of_the_record() -> None:
    part = part_record(files={FILE: Counts(30, 10), "empty.py": Counts()})
    assert list(page.changed(part, {FILE: 30, "barren.py": 0})) == []
    assert list(page.changed(part, {FILE: 31})) == [
        f"- The sources have changed since: they have 31 mutants now, and other numbers in `{FILE}`."
    ]
    assert "they have 30 mutants now" in page.told(part, {}, {"new.py": 30})
    assert page.counted(Record({"reference": part}))["reference"]["q35ref/reference/codec.py"] > 100
    assert list(page.counted(Record({"reference": part}))) == ["reference"]


def test_a_page_that_is_out_of_date_or_unexplained_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "mutation.md")

    def checked(record: Record) -> tuple[int, str]:
        monkeypatch.setattr(page, "made", lambda: (record, {}, page.page(record, {}, {"reference": NOW})))
        done = CliRunner().invoke(page.main, ["--check"])
        return done.exit_code, done.output

    good, bad = Record({"reference": part_record()}), Record({"reference": part_record(HOLE)})
    assert checked(good)[0] == 1
    assert CliRunner().invoke(page.main, []).exit_code == 0
    assert checked(good) == (0, "")
    assert checked(bad)[0] == 1
    assert CliRunner().invoke(page.main, []).exit_code == 0
    assert checked(bad) == (1, f"{HOLE}: survived, unexplained\n")


@pytest.fixture(scope="module")
def committed() -> tuple[Record, dict[Key, str], str]:
    return page.made()


def test_the_committed_page_is_what_its_record_says(committed: tuple[Record, dict[Key, str], str]) -> None:
    assert page.PAGE.read_text() == committed[2]
    for name in PARTS:
        absent = f"## {name}\n\n- No run of this part is in the record"
        assert (absent in committed[2]) == (name not in committed[0].parts)


def test_the_committed_record_has_no_survivor_without_a_reason(committed: tuple[Record, dict[Key, str], str]) -> None:
    assert [found.key for part in committed[0].parts.values() for found in faults(part, committed[1])] == []


def test_the_committed_record_names_no_place_on_a_machine() -> None:
    text = page.RECORD.read_text()
    assert platform.node() not in text
    for private in (str(Path.home()), sys.prefix, str(ROOT)):
        assert json.dumps(private)[1:-1] not in text
