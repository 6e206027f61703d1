"""A full disk, a kill, a Ctrl-C in the middle of a write: the old file stands, and nothing else is left."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from q35ref.checkpoints import CheckpointError, inspect_file, quantize_file
from tests.checkpoint_files import model, save, stored, weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a source, and an older quantized file where the next one shall go."""
    older = save(tmp_path / "older", {"a.weight": stored(weights(2, 2))})
    quantize_file(older, tmp_path / "target")
    older.unlink()
    model(tmp_path / "source")
    return tmp_path


LIMITED = """
import os, resource, sys
import q35ref.checkpoints as checkpoints
if sys.argv[2] == "while writing":
    del os.posix_fallocate
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
folder = sys.argv[1]
try:
    checkpoints.quantize_file(folder + "/source", folder + "/target")
except checkpoints.CheckpointError as error:
    print(error)
"""


@pytest.mark.parametrize("when", ["before writing", "while writing"])
@pytest.mark.parametrize("limit", [0, 100, 2000])
def test_a_file_that_may_not_grow_leaves_the_old_one(folder: Path, when: str, limit: int) -> None:
    before = (folder / "target").read_bytes()
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, folder, when, str(limit)], check=True, capture_output=True, text=True
    )
    assert ended.stderr == ""
    assert ended.stdout.startswith(f"{folder}/target: disk full")
    assert (folder / "target").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["source", "target"]


@pytest.mark.parametrize("code", [28, 122], ids=["ENOSPC", "EDQUOT"])
def test_a_full_disk_is_named_as_such(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(descriptor: int, start: int, size: int) -> None:
        raise OSError(code, "no room")

    monkeypatch.setattr("os.posix_fallocate", refuse)
    with pytest.raises(CheckpointError, match="target: disk full"):
        quantize_file(folder / "source", folder / "target")
    assert sorted(path.name for path in folder.iterdir()) == ["source", "target"]


def test_a_file_system_that_cannot_set_room_aside_is_written_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, start: int, size: int) -> None:
        raise OSError(95, "not supported")

    quantize_file(folder / "source", folder / "expected")
    monkeypatch.setattr("os.posix_fallocate", refuse)
    quantize_file(folder / "source", folder / "target")
    assert (folder / "target").read_bytes() == (folder / "expected").read_bytes()


HALF_WAY = """
import signal, sys
import q35ref.checkpoints as checkpoints

def wait(name, done, total):
    if done > total // 2:
        print("half way", flush=True)
        signal.pause()

checkpoints.quantize_file(sys.argv[1] + "/source", sys.argv[1] + "/target", progress=wait)
"""


@contextlib.contextmanager
def half_way(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Yield a run that has written half of its file and waits."""
    command = [sys.executable, "-c", HALF_WAY, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == "half way\n"
            yield run
        finally:
            run.kill()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_the_old_file_and_the_next_one_tidies_up(folder: Path, end: signal.Signals) -> None:
    before = (folder / "target").read_bytes()
    with half_way(folder) as run:
        run.send_signal(end)
        assert run.wait(30) == -end
    assert (folder / "target").read_bytes() == before
    assert [record.name for record in inspect_file(folder / "target").quantized] == ["a.weight"]
    assert len(list(folder.glob(".target.*.q35tmp"))) == 1

    quantize_file(folder / "source", folder / "target")
    assert len(inspect_file(folder / "target").quantized) == 2
    assert sorted(path.name for path in folder.iterdir()) == ["source", "target"]


def test_a_killed_first_run_leaves_no_file(folder: Path) -> None:
    (folder / "target").unlink()
    with half_way(folder) as run:
        run.kill()
        run.wait(30)
    assert not (folder / "target").exists()


def test_an_interrupted_run_leaves_the_old_file_alone(folder: Path) -> None:
    before = (folder / "target").read_bytes()
    with half_way(folder) as run:
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=30)
        assert run.returncode != 0
        assert "KeyboardInterrupt" in errors
    assert (folder / "target").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["source", "target"]


def test_a_second_run_leaves_the_first_ones_file_alone(folder: Path) -> None:
    with half_way(folder):
        [temporary] = folder.glob(".target.*.q35tmp")
        quantize_file(folder / "source", folder / "target")
        assert temporary.exists()
        assert len(inspect_file(folder / "target").quantized) == 2
