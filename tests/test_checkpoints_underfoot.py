"""A source that is written to while it is read is refused, however soon after the last write."""

import os
from pathlib import Path

import pytest
import safetensors

from q35ref.checkpoints import Checkpoint, CheckpointError
from tests.checkpoint_files import model


def test_a_write_in_the_tick_of_an_earlier_one_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a clock of files that stands still until somebody waits for it."""
    source = model(tmp_path / "source")
    clock = [source.stat().st_mtime_ns]

    def tick(seconds: float) -> None:
        clock[0] += 4_000_000

    monkeypatch.setattr("q35ref.checkpoints.spans.time.clock_gettime_ns", lambda which: clock[0])
    monkeypatch.setattr("q35ref.checkpoints.spans.time.sleep", tick)
    with Checkpoint(source) as checkpoint:
        with source.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"x")
        os.utime(source, ns=(clock[0], clock[0]))  # what the file system would have noted
        with pytest.raises(CheckpointError, match="was changed while it was read"):
            checkpoint.check_unchanged()


def test_a_file_that_is_written_to_all_the_time_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = model(tmp_path / "source")
    now = source.stat().st_mtime_ns
    monkeypatch.setattr("q35ref.checkpoints.spans.time.clock_gettime_ns", lambda which: now)
    with pytest.raises(CheckpointError, match="source: the file is being written to"):
        Checkpoint(source)


def test_a_time_in_the_future_is_not_waited_for(tmp_path: Path) -> None:
    source = model(tmp_path / "source")
    later = source.stat().st_mtime_ns + 10**12
    os.utime(source, ns=(later, later))
    with Checkpoint(source) as checkpoint:
        checkpoint.check_unchanged()


def test_the_library_is_given_the_header_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A map of the file itself would end the process if the file were cut short just then."""
    source = model(tmp_path / "source")
    asked: list[str] = []
    real = safetensors.safe_open

    def record(path: str, framework: str) -> object:
        asked.append(path)
        os.truncate(source, 10)
        return real(path, framework=framework)

    monkeypatch.setattr(safetensors, "safe_open", record)
    with Checkpoint(source) as checkpoint, pytest.raises(CheckpointError, match="cut short"):
        checkpoint.raw("first.weight")
    assert asked[0].startswith("/proc/self/fd/")


def test_the_library_is_given_the_path_where_no_copy_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = model(tmp_path / "source")

    def refuse(name: str) -> int:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(os, "memfd_create", refuse)
    with Checkpoint(source) as checkpoint:
        assert "first.weight" in checkpoint.tensors
