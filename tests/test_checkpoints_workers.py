"""Worker processes: the same bytes whatever their number, the dead are replaced, Ctrl-C ends all, memory is bound."""

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from click.testing import CliRunner

from q35ref.checkpoints import CheckpointError, dequantize_file, in_processes, quantize_file, serially
from q35ref.checkpoints.runners import share
from q35ref.cli import main
from tests.checkpoint_files import model, stored, weights
from tests.sharded_files import Dying, alive, digests, save_shards, shard_name, sharded_model, wrapping


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """Return a folder in which processes leave marks."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def names(folder: Path) -> list[str]:
    """Return the names of a folder's files, without the marks."""
    return sorted(path.name for path in folder.iterdir() if path.name != "marks")


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path, workers: int) -> None:
    source = sharded_model(tmp_path / "source", "BF16")
    records = quantize_file(source, tmp_path / "serial", group_size=16, method="clip")
    heard: list[tuple[str, int, int]] = []
    again = quantize_file(
        source,
        tmp_path / "parallel",
        group_size=16,
        method="clip",
        runner=in_processes(workers),
        progress=lambda *words: heard.append(words),
    )
    assert again == records
    assert digests(tmp_path / "parallel") == digests(tmp_path / "serial")
    assert heard[0][1] == 0
    assert heard[-1][0] == ""
    assert heard[-1][1] == heard[-1][2]
    assert [done for _, done, _ in heard] == sorted(done for _, done, _ in heard)
    dequantize_file(tmp_path / "serial", tmp_path / "back")
    dequantize_file(tmp_path / "serial", tmp_path / "parallel back", runner=in_processes(workers))
    assert digests(tmp_path / "parallel back") == digests(tmp_path / "back")


def test_the_command_has_workers_for_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model(tmp_path / "s")
    printed = [CliRunner().invoke(main, ["quantize", "s", "t", *more]) for more in ([], ["--workers", "2"])]
    assert [result.exit_code for result in printed] == [0, 0]
    assert printed[0].stdout == printed[1].stdout
    quantize_file("s", "serial")
    assert Path("t").read_bytes() == Path("serial").read_bytes()
    for more in (["--workers", "0"], ["--workers", "257"], ["--workers", "2", "--dask", "tcp://127.0.0.1:1"]):
        result = CliRunner().invoke(main, ["quantize", "s", "u", *more])
        assert result.exit_code == 2
        assert "--workers" in result.stderr
    assert not Path("u").exists()


def test_a_worker_that_dies_is_replaced_and_its_job_done_again(tmp_path: Path, marks: Path) -> None:
    source = sharded_model(tmp_path / "source")
    quantize_file(source, tmp_path / "serial")
    runner = wrapping(in_processes(2), Dying, marks, times=2, only="second.weight")
    quantize_file(source, tmp_path / "target", runner=runner)
    assert len(list(marks.iterdir())) == 2, "it died twice, its result half written"
    assert digests(tmp_path / "target") == digests(tmp_path / "serial")


def test_every_worker_may_die_once_a_job(tmp_path: Path, marks: Path) -> None:
    source = sharded_model(tmp_path / "source")
    quantize_file(source, tmp_path / "serial")
    runner = wrapping(in_processes(2, retries=7), Dying, marks, times=7)
    quantize_file(source, tmp_path / "target", runner=runner)
    assert len(list(marks.iterdir())) == 7
    assert digests(tmp_path / "target") == digests(tmp_path / "serial")


def test_a_worker_that_dies_between_two_jobs_is_replaced_too(tmp_path: Path) -> None:
    source = sharded_model(tmp_path / "source")
    quantize_file(source, tmp_path / "serial")
    killed: list[BaseProcess] = []

    def kill(name: str, done: int, total: int) -> None:
        if done and not killed:
            killed.extend(multiprocessing.active_children())
            killed[0].kill()
            killed[0].join()

    quantize_file(source, tmp_path / "target", runner=in_processes(1), progress=kill)
    assert len(killed) == 1
    assert digests(tmp_path / "target") == digests(tmp_path / "serial")


@pytest.mark.parametrize(("retries", "deaths", "told"), [(0, 1, "1 time"), (2, 3, "3 times")])
def test_after_some_deaths_the_shard_and_the_tensor_are_named(
    tmp_path: Path, marks: Path, retries: int, deaths: int, told: str
) -> None:
    source = sharded_model(tmp_path / "source")
    runner = wrapping(in_processes(2, retries), Dying, marks, times=99, only="second.weight")
    with pytest.raises(CheckpointError) as caught:
        quantize_file(source, tmp_path / "target", runner=runner)
    assert str(caught.value) == (
        f"{source}/{shard_name(1, 3)}: tensor second.weight: the process that worked on it died {told}"
        " (signal 9, Killed); if memory ran out, fewer workers need less"
    )
    assert len(list(marks.iterdir())) == deaths
    assert names(tmp_path) == ["source"]


def test_an_error_in_a_worker_is_the_same_as_in_this_process(tmp_path: Path) -> None:
    bad = weights(2, 2)
    bad[1, 0] = float("inf")
    source = save_shards(tmp_path / "source", [{"a.weight": stored(weights(2, 2))}, {"b.weight": stored(bad)}])
    words = []
    for runner in (serially, in_processes(2)):
        with pytest.raises(CheckpointError) as caught:
            quantize_file(source, tmp_path / "target", runner=runner)
        words.append(str(caught.value))
    assert words[0] == words[1]
    assert f"{shard_name(1, 2)}: tensor b.weight: expected finite" in words[0]
    assert names(tmp_path) == ["source"]


@pytest.mark.parametrize(("workers", "retries"), [(0, 2), (257, 2), (1, -1)])
def test_numbers_that_make_no_sense_are_refused(workers: int, retries: int) -> None:
    with pytest.raises(ValueError, match=r"^(workers|retries): expected"):
        in_processes(workers, retries)


def test_workers_share_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("q35ref.checkpoints.runners.available_processors", lambda: 8)
    assert [share(workers) for workers in (1, 2, 3, 8, 9)] == [8, 4, 2, 1, 1]


STALLED = """
import sys
from pathlib import Path
from q35ref.checkpoints import in_processes, quantize_file
from tests.sharded_files import Stalling, wrapping

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    quantize_file(folder / "source", folder / "target", runner=wrapping(in_processes(2), Stalling, folder / "marks"))
"""


@contextlib.contextmanager
def stalled(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """Yield a run whose two workers are in the middle of a job, and their process numbers."""
    marks = folder / "marks"
    command = [sys.executable, "-c", STALLED, str(folder)]
    # A session of its own: its process group is what a terminal would send Ctrl-C to.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        try:
            until(lambda: len(list(marks.glob("process *"))) == 2)
            yield run, [int(path.name.split()[1]) for path in marks.glob("process *")]
        finally:
            (marks / "go").touch()
            run.kill()


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that must come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_ctrl_c_ends_every_process_and_leaves_nothing(tmp_path: Path, marks: Path) -> None:
    sharded_model(tmp_path / "source")
    with stalled(tmp_path) as (run, workers):
        assert all(map(alive, workers))
        os.killpg(run.pid, signal.SIGINT)
        _, errors = run.communicate(timeout=60)
        assert run.returncode != 0
        assert errors.count("Traceback") == 1, "the workers say nothing"
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert not any(map(alive, workers))
    assert names(tmp_path) == ["source"]


def test_a_killed_run_takes_its_workers_along_and_the_next_one_tidies_up(tmp_path: Path, marks: Path) -> None:
    source = sharded_model(tmp_path / "source")
    with stalled(tmp_path) as (run, workers):
        run.kill()
        run.wait(60)
        [left] = tmp_path.glob(".target.*.q35tmp")
        (marks / "go").touch()
        until(lambda: not any(map(alive, workers)))
    assert not (tmp_path / "target").exists()
    quantize_file(source, tmp_path / "target")
    assert not left.exists()
    assert names(tmp_path) == ["source", "target"]


PEAKS = """
import json, resource, sys
from pathlib import Path
from q35ref.checkpoints import in_processes, quantize_file
from tests.sharded_files import Hoarding, wrapping

if __name__ == "__main__":
    source, target, hoard = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "hoard"
    runner = in_processes(2)
    quantize_file(source, target, runner=wrapping(runner, Hoarding, target) if hoard else runner)
    print(json.dumps([resource.getrusage(who).ru_maxrss * 1024 for who in
                      (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]))
"""

TENSOR = 1 << 22
"""Bytes of each tensor of the checkpoints that memory is measured on."""


def peaks(source: Path, target: Path, how: str = "as it is") -> tuple[int, int]:
    """Return the most bytes that a run's first process had, and that any worker of it had."""
    command = [sys.executable, "-c", PEAKS, str(source), str(target), how]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    parent, worker = json.loads(done.stdout)
    return parent, worker


def test_memory_is_that_of_a_tensor_however_many_there_are(tmp_path: Path) -> None:
    """By what the system says of the processes; 16 tensors more are 64 MiB, and a hoarder of half of them is found."""
    values = stored(weights(1 << 10, TENSOR >> 12))

    def checkpoint(count: int) -> Path:
        shards = [{f"{shard}.{number}.weight": values for number in range(count // 2)} for shard in range(2)]
        return save_shards(tmp_path / str(count), shards)

    few, many = checkpoint(4), checkpoint(20)
    slack = 4 * TENSOR
    parent, worker = peaks(few, tmp_path / "a")
    more_parent, more_worker = peaks(many, tmp_path / "b")
    assert more_parent < parent + slack
    assert more_worker < worker + slack
    _, hoarder = peaks(many, tmp_path / "c", "hoard")
    assert hoarder >= worker + slack
