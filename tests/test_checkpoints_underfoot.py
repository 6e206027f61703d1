"""A source that is written to or replaced while it is read is refused, however soon after the last write."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors

from q35ref.checkpoints import (
    Checkpoint,
    CheckpointError,
    Runner,
    in_processes,
    inspect_file,
    inspection,
    quantize_file,
    serially,
)
from q35ref.checkpoints.schema import TensorRecord
from q35ref.checkpoints.shards import Source
from q35ref.tensor import QuantizedTensor
from tests.checkpoint_files import model, save, stored, weights
from tests.sharded_files import save_shards


def test_a_write_in_the_tick_of_an_earlier_one_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a clock of files that stands still until somebody waits for it."""
    source = model(tmp_path / "source")
    clock = [source.stat().st_mtime_ns]

    def tick(seconds: float) -> None:
        clock[0] += 4_000_000

    monkeypatch.setattr("q35ref.checkpoints.spans.time.clock_gettime_ns", lambda which: clock[0])
    monkeypatch.setattr("q35ref.checkpoints.spans.time.sleep", tick)
    with Checkpoint(source) as checkpoint:
        assert clock[0] > source.stat().st_mtime_ns, "a later write has another time by now"
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


NAMES = [f"{letter}.weight" for letter in "abcd"]


def version(path: Path, seed: int) -> Path:
    """Write a file of four matrices, as long as any other version, and of the same time."""
    save(path, {name: stored(weights(4, 32, seed=seed)) for name in NAMES})
    os.utime(path, ns=(10**18, 10**18))
    return path


def before_the_third(change: Callable[[], object]) -> Callable[[str, int, int], None]:
    """Return what changes a source between two tensors."""
    began: list[str] = []

    def starting(name: str, done: int, total: int) -> None:
        began.append(name)
        if len(began) == 3:
            change()

    return starting


@pytest.mark.parametrize("runner", [serially, in_processes(1), in_processes(2)], ids=["serial", "1", "2"])
def test_a_source_replaced_by_one_of_its_size_and_time_is_refused(tmp_path: Path, runner: Runner) -> None:
    source, other = version(tmp_path / "source", 1), version(tmp_path / "other", 2)
    before, after = source.stat(), other.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    replace = before_the_third(lambda: other.replace(source))
    with pytest.raises(CheckpointError, match=r"source: (tensor .*: )?the file was replaced while it was read"):
        quantize_file(source, tmp_path / "target", progress=replace, runner=runner)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("runner", [serially, in_processes(1)], ids=["serial", "1"])
def test_a_source_replaced_by_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, runner: Runner) -> None:
    """Nobody will ever write to the pipe."""
    source = version(tmp_path / "source", 1)

    def replace() -> None:
        source.unlink()
        os.mkfifo(source)

    with pytest.raises(CheckpointError, match=r"source: .*expected a regular file"):
        quantize_file(source, tmp_path / "target", progress=before_the_third(replace), runner=runner)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_shard_replaced_by_one_of_its_size_and_time_is_refused(tmp_path: Path) -> None:
    folder = save_shards(tmp_path / "source", [{name: stored(weights(4, 32))} for name in NAMES])
    third = sorted(folder.glob("*.safetensors"))[2]
    other = shutil.copy2(third, tmp_path / "other")
    replace = before_the_third(lambda: Path(other).replace(third))
    with pytest.raises(CheckpointError, match=f"{third.name}: .*the file was replaced while it was read"):
        quantize_file(folder, tmp_path / "target", progress=replace)


@pytest.mark.parametrize("runner", [serially, in_processes(1)], ids=["serial", "1"])
def test_a_time_of_writing_that_is_set_back_is_seen(tmp_path: Path, runner: Runner) -> None:
    source = version(tmp_path / "source", 1)
    rewrite = before_the_third(lambda: version(source, 2))
    with pytest.raises(CheckpointError, match="the file was changed while it was read"):
        quantize_file(source, tmp_path / "target", progress=rewrite, runner=runner)


@pytest.mark.parametrize("wrong", [b"\xff" * 512, b""], ids=["not finite", "short"])
def test_a_replaced_source_is_not_blamed_for_what_the_new_one_holds(tmp_path: Path, wrong: bytes) -> None:
    source, other = version(tmp_path / "source", 1), tmp_path / "other"
    other.write_bytes(source.read_bytes()[:-512] + wrong)
    with pytest.raises(CheckpointError, match="the file was replaced while it was read"):
        quantize_file(source, tmp_path / "target", progress=before_the_third(lambda: other.replace(source)))


@pytest.mark.parametrize(("name", "original"), [("target", None), ("target", "source"), ("source", "source")])
def test_a_file_that_is_written_to_while_it_is_inspected_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, original: str | None
) -> None:
    """After its tensors were read: nothing but the last look can see it."""
    quantize_file(version(tmp_path / "source", 1), tmp_path / "target")
    read = inspection._read

    def read_and_write(source: Source, record: TensorRecord) -> QuantizedTensor:
        found = read(source, record)
        os.utime(tmp_path / name)
        return found

    monkeypatch.setattr(inspection, "_read", read_and_write)
    with pytest.raises(CheckpointError, match=f"{name}: the file was changed while it was read"):
        inspect_file(tmp_path / "target", None if original is None else tmp_path / original)


def test_a_path_that_leads_to_another_file_in_the_end_is_refused(tmp_path: Path) -> None:
    """The file that was read is as it was: neither its number nor its times tell."""
    first, second, link = version(tmp_path / "first", 1), version(tmp_path / "second", 2), tmp_path / "link"
    link.symlink_to(first)

    def turn(name: str, done: int, total: int) -> None:
        if not name:  # after the last read
            link.unlink()
            link.symlink_to(second)

    with pytest.raises(CheckpointError, match="link: the file was replaced while it was read"):
        quantize_file(link, tmp_path / "target", progress=turn)
    with Checkpoint(second) as checkpoint:
        second.unlink()
        with pytest.raises(CheckpointError, match="second: "):
            checkpoint.check_unchanged()


def test_a_relative_path_is_looked_at_from_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version(tmp_path / "source", 1)
    monkeypatch.chdir(tmp_path)
    with Checkpoint("source") as checkpoint:
        monkeypatch.chdir("/")
        checkpoint.check_unchanged()
        with checkpoint.span("a.weight").open():
            pass


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
