"""The run at scale: other bytes or too much memory fail it, its checkpoint is sound, its page is up to date."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from q35ref.checkpoints import inspect_file
from q35ref.checkpoints.header import TensorInfo
from tools.scale import cli, page
from tools.scale import run as run_module
from tools.scale.make import CHUNK, LARGE, SMALL, chunks, plan
from tools.scale.record import Parts, Record, Run, Source, faults, load, save
from tools.scale.run import NoRun, copy, digest, run, run_all
from tools.scale.tables import parts, runs

SERIAL = Run("serial", 20.0, 19.0, 1 << 28, 0, 10**9, "ab" * 32)

PARALLEL = replace(SERIAL, name="2 processes", seconds=10.0, worker_peak=1 << 28)


def record(*runs: Run) -> Record:
    return Record(
        {"cpu": "a processor", "processors": "2", "system": "Linux"},
        {"python": "3"},
        (0.1, 0.9),
        Source(5, 99, 10**10, 4 * 10**9, 1 << 27),
        (5.0, 4.0),
        runs,
        Parts(10**6, 0.1, 0.2, 0.7),
    )


LIMIT = record().limit

WRONG = {
    "2 processes: other bytes than the serial run": replace(PARALLEL, digest="cd" * 32),
    f"2 processes: a worker had {LIMIT + 1:,} bytes, expected at most {LIMIT:,}": replace(
        PARALLEL, worker_peak=LIMIT + 1
    ),
    f"2 processes: the first process had {LIMIT + 1:,} bytes, expected at most {LIMIT:,}": replace(
        PARALLEL, peak=LIMIT + 1
    ),
}
"""What must fail the tool, by what it says."""


@pytest.mark.parametrize("message", WRONG)
def test_a_fault_fails_the_tool_and_is_on_the_page(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate's own planted failures."""
    bad = record(SERIAL, WRONG[message])
    assert faults(bad) == [message]
    monkeypatch.setattr(cli, "run_all", lambda *_: bad)
    told = CliRunner().invoke(cli.main, [])
    assert told.exit_code == 1
    assert f"FAILED {message}\n" in told.output
    assert f"FAILED {message}\n" in page.page(bad)


def test_ratios_are_to_the_faster_copy_and_to_the_serial_run() -> None:
    good = record(SERIAL, replace(PARALLEL, worker_peak=LIMIT))
    assert faults(good) == []
    assert "FAILED" not in page.page(good)
    shown = [row[:5] for row in runs(good).rows]
    assert shown == [
        ["copy of the same files", "4.0", "2.5", "1.00", ""],
        ["serial", "20.0", "0.5", "0.20", "1.00"],
        ["2 processes", "10.0", "1", "0.40", "2.00"],
    ]
    assert [row[2:] for row in parts(good).rows] == [["100", "10", "10%"], ["200", "5", "20%"], ["700", "1", "70%"]]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the tool on a tiny checkpoint, once; return the record's path and what was printed."""
    folder = tmp_path_factory.mktemp("scale")
    path = folder / "record.json"
    options = ["--gigabytes", "0.002", "--small", "--folder", str(folder), "--json", str(path)]
    told = CliRunner().invoke(cli.main, options)
    assert told.exit_code == 0, told.output
    assert [found.name for found in folder.iterdir()] == ["record.json"], "everything else is given back"
    return path, told.stdout


def test_the_tool_runs_serially_and_in_parallel_with_the_same_bytes(small: tuple[Path, str]) -> None:
    found = load(small[0])
    assert [run.name for run in found.runs] == ["serial", "2 processes"]
    assert len({run.digest for run in found.runs}) == 1
    assert 2_000_000 <= found.source.bytes < 2_300_000
    assert found.source.largest == 4 * SMALL.hidden * SMALL.inner
    assert min(found.copies) > 0
    assert all(run.seconds > 0 and run.cpu > 0 and run.peak > 1 << 24 for run in found.runs)
    assert found.runs[1].worker_peak > 1 << 24
    assert "2 processes" in small[1]
    save(found, small[0])
    assert load(small[0]) == found


def test_what_is_no_record_is_refused(small: tuple[Path, str], tmp_path: Path) -> None:
    document = json.loads(small[0].read_text())
    bad: list[dict[str, Any]] = [{**document, "schema": 0}, {**document, "more": 1}, {"schema": 1}, {}]
    for number, data in enumerate(bad):
        path = tmp_path / str(number)
        path.write_text(json.dumps(data))
        with pytest.raises(ValueError, match=r"schema|record"):
            load(path)


def test_the_weights_are_finite_and_of_all_signs_and_exponents() -> None:
    for dtype, kind in (("BF16", np.uint16), ("F32", np.uint32)):
        tensor = TensorInfo("a", dtype, (CHUNK // 2 + 3,))
        bits = np.frombuffer(b"".join(map(bytes, chunks(tensor, 1))), kind)
        assert len(bits) == CHUNK // 2 + 3
        values = (bits.astype(np.uint32) << 16 if dtype == "BF16" else bits).view(np.float32)
        assert np.abs(values).min() >= 2**-7
        assert np.abs(values).max() < 2**-3
        assert abs(float(np.sign(values).mean())) < 0.01
        assert set(np.frexp(values)[1].tolist()) == {-6, -5, -4, -3}


def test_a_plan_is_as_large_as_asked_and_in_shards() -> None:
    shards = plan(10**10, LARGE)
    assert 10**10 <= sum(tensor.nbytes for shard in shards for tensor in shard) < 1.1 * 10**10
    assert len(shards) in (5, 6)
    names = [tensor.name for shard in shards for tensor in shard]
    assert len(names) == len(set(names))
    assert {tensor.dtype for shard in shards for tensor in shard} == {"BF16", "F32"}


def test_a_checkpoint_is_one_that_is_inspected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def look(source: Path, *_: object) -> Run:
        seen.append(inspect_file(source))
        return SERIAL

    monkeypatch.setattr(run_module, "run", look)
    found = run_all(tmp_path, 10**6, SMALL, {"serial": ("serial", 1)}, lambda text: None)
    assert found.source.tensors == len(seen[0].plain)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_and_a_run_that_fails_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(NoRun, match="GB of free disk"):
        run_all(tmp_path, 10**18, LARGE, {}, lambda text: None)
    told = CliRunner().invoke(cli.main, ["--gigabytes", "1e9", "--folder", str(tmp_path)])
    assert told.exit_code == 2
    assert "free disk" in told.stderr
    (tmp_path / "source").mkdir()
    with pytest.raises(NoRun, match=r"serial: exit status 1: .*expected one"):
        run(tmp_path / "source", tmp_path / "target", "serial", "serial", 1, lambda text: None)


def test_a_copy_is_whole_and_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_bytes(b"1" * (5 << 20))
    expected, found = digest(tmp_path / "source"), []

    def look(folder: Path) -> None:
        found.append(digest(folder))

    monkeypatch.setattr("tools.scale.run.shutil.rmtree", look)
    assert copy(tmp_path / "source", tmp_path / "copy", lambda text: None) >= 0
    assert found == [expected]


def test_the_committed_page_is_what_its_record_says() -> None:
    assert page.PAGE.read_text() == page.made()[1]
    assert CliRunner().invoke(page.main, ["--check"]).exit_code == 0


def test_a_page_that_is_out_of_date_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "scale.md")
    for text in (None, "old"):
        if text is not None:
            page.PAGE.write_text(text)
        told = CliRunner().invoke(page.main, ["--check"])
        assert told.exit_code == 1
        assert "is not what its record says" in told.output
    assert CliRunner().invoke(page.main, []).exit_code == 0
    assert CliRunner().invoke(page.main, ["--check"]).exit_code == 0


def test_the_committed_record_is_of_ten_gigabytes_and_has_no_fault() -> None:
    found, _ = page.made()
    assert found.source.bytes >= 10**10
    assert faults(found) == []
    assert {"serial", "2 processes"} <= {run.name for run in found.runs}


def test_the_peak_is_that_of_the_program_and_not_of_who_started_it() -> None:
    """Run from a process that had 300 MB."""
    code = (
        "import subprocess, sys; held = bytearray(300_000_000); held[::4096] = b'x' * len(held[::4096]); "
        "print(subprocess.run([sys.executable, '-c', 'from tools.scale.child import peak; print(peak())'], "
        "capture_output=True, text=True, check=True).stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert 10_000_000 < int(done.stdout) < 200_000_000
