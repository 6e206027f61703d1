"""`quantize` and `dequantize` when the system fails them: ``tools.faults`` on small files, and on planted failures."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tools.faults import cli, disks, page
from tools.faults.bench import SECOND, Bench, dequantize_bench, quantize_bench
from tools.faults.kills import kills_at_steps, random_kills, seconds_of_a_run
from tools.faults.record import Record, Row, faults, load, save
from tools.faults.steps import STEPS
from tools.faults.trial import ROOT
from tools.faults.underfoot import CHANGES, changed_underfoot
from tools.faults.writers import two_writers

MEGABYTES = 0.1


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return quantize_bench(tmp_path_factory.mktemp("faults") / "small", MEGABYTES, 1)


def test_killed_runs_leave_what_was_there_or_a_whole_file(bench: Bench) -> None:
    row = random_kills(bench, 10, 1, seconds_of_a_run(bench, runs=1))
    assert row.wrong == ()
    assert row.trials == 10
    assert row.endings["killed"] > 0
    assert row.torn == row.left_after_next == 0


def test_a_run_killed_at_any_step_of_writing_leaves_one_or_the_other(bench: Bench) -> None:
    row = kills_at_steps(bench, olders=(True,))
    assert row.wrong == ()
    assert row.endings == {"killed": len(STEPS)}
    assert row.destinations["whole"] == sum(step.renamed for step in STEPS.values())
    assert row.most_left == 1


IN_PLACE = """
import contextlib, sys, time
import q35ref.checkpoints.writer as writer
from q35ref.cli import main

@contextlib.contextmanager
def in_place(path):
    with open(path, "wb") as file:
        file.write(bytes(100))
        file.flush()
        time.sleep(2)
        file.seek(0)
        yield file

writer.open_atomic = in_place
main(prog_name="q35ref")
"""


def test_a_writer_that_writes_in_place_is_caught(bench: Bench, tmp_path: Path) -> None:
    """The planted failure: the same checker must say so."""
    program = tmp_path / "in_place.py"
    program.write_text(IN_PLACE)
    planted = replace(bench, first=replace(bench.first, program=(sys.executable, str(program))))
    row = random_kills(planted, 4, 1, seconds_of_a_run(planted, runs=1))
    assert row.torn > 0
    assert "destination torn" in row.wrong[0]
    assert faults((row,))


@pytest.mark.parametrize(
    "trial",
    [partial(disks.file_size_limit, olders=(True,)), disks.folder_without_permission, disks.full_device],
    ids=["limit", "permission", "device"],
)
def test_what_cannot_be_written_is_refused_in_a_line(bench: Bench, trial: Callable[[Bench], Row]) -> None:
    row = trial(bench)
    assert row.wrong == ()
    assert row.trials or row.how.startswith("not run")
    assert row.endings.get("refused", 0) > 0 or not row.trials


def test_a_report_that_cannot_be_printed_is_said_and_the_file_is_whole(bench: Bench) -> None:
    row = disks.full_output(bench)
    assert row.wrong == ()
    assert row.destinations == {"whole": 1}


@pytest.mark.parametrize("kind", ["full", "filled", "read-only"])
def test_a_small_file_system_is_no_trouble(bench: Bench, kind: str) -> None:
    row = disks.small_file_system(bench, kind, kind, "")
    assert row.wrong == ()
    assert row.trials or row.how == disks.NO_MOUNTS


def test_a_system_without_mounts_says_that_nothing_was_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "namespace", lambda: ())
    row = disks.small_file_system(bench, "full", "disk full", "")
    assert (row.trials, row.how, row.wrong) == (0, disks.NO_MOUNTS, ())


@pytest.mark.parametrize("change", list(CHANGES))
def test_a_source_changed_underfoot_is_refused_or_one_version(bench: Bench, change: str) -> None:
    row = changed_underfoot(bench, change, 1, 1, 0.2)
    assert row.wrong == ()


def test_two_writers_leave_one_of_their_files(bench: Bench) -> None:
    row = two_writers(bench, 1, 1, 0.1, kill=False)
    assert row.wrong == ()
    assert row.torn == 0


def test_a_wrong_file_is_caught_among_two_writers(bench: Bench) -> None:
    """Planted: what the second one writes is not known."""
    known = {digest: name for digest, name in bench.known.items() if name != SECOND}
    row = two_writers(replace(bench, known=known, first=bench.second), 1, 1, 0.1, kill=False)
    assert row.torn == 1
    assert row.wrong


def test_dequantize_is_held_to_the_same(bench: Bench, tmp_path: Path) -> None:
    back = dequantize_bench(tmp_path / "back", bench)
    assert random_kills(back, 2, 1, 0.6).wrong == ()


# ---- record, page, command -------------------------------------------------------------------------------------------

RIGHT = Row("kill -9", "quantize", "how", 2, {"killed": 2}, {"absent": 1, "whole": 1}, 0, 1, 0)
WRONG = replace(RIGHT, destinations={"torn": 2}, torn=2, wrong=("killed after 1 s: destination torn",))


def record(*rows: Row) -> Record:
    machine = {"cpu": "c", "processors": "2", "system": "s"}
    return Record(machine, {"q35ref": "0"}, 1, 2, 1.0, 0.5, 60, rows)


@pytest.mark.parametrize("wrong", [WRONG, replace(WRONG, wrong=())])
def test_what_is_wrong_fails_the_command_and_is_on_the_page(wrong: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "run_all", lambda *_: record(RIGHT, wrong))
    told = CliRunner().invoke(cli.main, [])
    assert told.exit_code == 1
    assert "FAILED quantize, kill -9" in told.output
    assert "FAILED quantize, kill -9" in page.page(record(RIGHT, wrong))


def test_what_is_right_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def run(*arguments: Any) -> Record:
        asked.extend(arguments)
        return record(RIGHT)

    monkeypatch.setattr(cli, "run_all", run)
    path = tmp_path / "record.json"
    told = CliRunner().invoke(cli.main, ["--kills", "3", "--megabytes", "2", "--json", str(path)])
    assert told.exit_code == 0, told.output
    assert asked[:3] == [3, 2, 1]
    assert load(path) == record(RIGHT)
    assert "FAILED" not in page.page(load(path))


@pytest.mark.parametrize("change", [{"schema": 0}, {"more": 1}, {"rows": [{}]}, {"rows": None}, "trials"])
def test_what_is_no_record_is_refused(change: Any, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    save(record(RIGHT), path)
    data = json.loads(path.read_text())
    if change == "trials":
        change = {"rows": [{**data["rows"][0], "trials": 3}]}
    path.write_text(json.dumps({**data, **change}))
    with pytest.raises(ValueError, match=r".+"):
        load(path)


def test_the_committed_page_is_what_its_record_says() -> None:
    made, text = page.made()
    assert page.PAGE.read_text() == text
    assert CliRunner().invoke(page.main, ["--check"]).exit_code == 0
    assert made.kills >= 200
    assert faults(made.rows) == []
    assert {row.command for row in made.rows} == {"quantize", "dequantize"}
    assert str(ROOT) not in page.RECORD.read_text()


def test_a_page_that_is_out_of_date_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "faults.md")
    for text in (None, "old"):
        if text is not None:
            page.PAGE.write_text(text)
        told = CliRunner().invoke(page.main, ["--check"])
        assert told.exit_code == 1
        assert "is not what its record says" in told.output
    assert CliRunner().invoke(page.main, []).exit_code == 0
    assert CliRunner().invoke(page.main, ["--check"]).exit_code == 0
