"""A file written atomically appears whole or not at all, and leaves nothing else behind."""

import fcntl
import os
import secrets
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from q35ref.atomic import open_atomic, write_text


def test_a_new_file_appears_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new"
    with open_atomic(target) as file:
        file.write(b"abc")
        file.flush()
        assert not target.exists()
        [temporary] = tmp_path.iterdir()
        assert temporary.name.startswith(".new.")
        assert temporary.name.endswith(".q35tmp")
    assert target.read_bytes() == b"abc"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("kind", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path, kind: type[BaseException]) -> None:
    target = tmp_path / "old"
    target.write_bytes(b"old")
    with pytest.raises(kind), open_atomic(target) as file:  # noqa: PT012 - the write must come first
        file.write(b"new" * 100_000)
        raise kind("stop")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failing_rename_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "old"
    target.write_bytes(b"old")

    def fail(self: Path, target: Path) -> Path:
        raise OSError(5, "no")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no"), open_atomic(target) as file:
        file.write(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert target.read_bytes() == b"old"


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    synced = []

    def record(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        size = 0 if is_folder else os.fstat(descriptor).st_size
        synced.append(("folder" if is_folder else "file", size, target.read_bytes()))

    monkeypatch.setattr(os, "fsync", record)
    write_text(target, "newer")
    assert synced == [("file", 5, b"old"), ("folder", 0, b"newer")]


def test_text_is_written_in_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "é\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\n"


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_follows_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask


def test_permissions_of_an_old_file_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    target.chmod(0o640)
    write_text(target, "new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_followed_and_stays(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    if exists:
        (folder / "file").write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to("elsewhere/file")
    write_text(link, "new")
    assert link.is_symlink()
    assert (folder / "file").read_text() == "new"
    assert {path.name for path in tmp_path.rglob("*")} == {"elsewhere", "file", "link"}


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_text(tmp_path / "a", "")
    assert (tmp_path / "a").is_symlink()


@pytest.mark.parametrize("name", ["folder", "folder/", "fresh/", "", "gone/.."])
def test_a_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IsADirectoryError):
        write_text(name, "")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


def test_a_device_or_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/null", tmp_path / "pipe"):
        with pytest.raises(OSError, match="regular file"):
            write_text(path, "")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder") as caught:
        write_text(tmp_path / "gone" / "a", "")
    assert caught.value.filename == str(tmp_path / "gone")


def test_a_path_through_a_folder_that_is_not_there_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(FileNotFoundError, match="no such folder") as caught:
        write_text(tmp_path / "gone" / ".." / "a", "new")
    assert caught.value.filename == str(tmp_path / "gone" / "..")
    assert (tmp_path / "a").read_text() == "old"
    (tmp_path / "there").mkdir()
    write_text(tmp_path / "there" / ".." / "a", "new")
    assert (tmp_path / "a").read_text() == "new"


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("é" * 127)
    write_text(target, "x")
    assert target.read_text() == "x"


def test_a_dead_runs_file_goes_and_every_other_stays(tmp_path: Path) -> None:
    dead = tmp_path / ".a.0123abcd.q35tmp"
    others = [".a.0123abcd.q35tmp.bak", ".b.0123abcd.q35tmp", ".a.xyz.q35tmp", "a.0123abcd.q35tmp"]
    for path in (dead, *(tmp_path / name for name in others)):
        path.write_bytes(b"rest")
    write_text(tmp_path / "a", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "a"])


def test_the_file_of_a_run_that_lives_stays(tmp_path: Path) -> None:
    with open_atomic(tmp_path / "a") as first:
        first.write(b"first")
        write_text(tmp_path / "a", "second")
        assert (tmp_path / "a").read_text() == "second"
        assert len(list(tmp_path.iterdir())) == 2
    assert (tmp_path / "a").read_text() == "first"


def test_a_file_taken_for_stale_before_its_lock_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked: list[int] = []
    real = fcntl.flock

    def steal(descriptor: int, operation: int) -> None:
        if not locked:
            [path] = tmp_path.iterdir()
            path.unlink()
        locked.append(descriptor)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", steal)
    write_text(tmp_path / "a", "x")
    assert len(locked) == 2
    assert (tmp_path / "a").read_text() == "x"


def test_a_file_of_another_run_with_the_same_random_name_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_atomic(tmp_path / "a"):
        [taken] = tmp_path.iterdir()
        names = iter([taken.name.split(".")[2], "ffffffff"])
        monkeypatch.setattr(secrets, "token_hex", lambda size: next(names))
        write_text(tmp_path / "a", "second")
        assert taken.exists()


def test_locks_that_a_file_system_lacks_do_not_stop_the_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = tmp_path / ".a.0123abcd.q35tmp"
    dead.touch()

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    write_text(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"
    assert dead.exists(), "without locks nobody knows that its run is dead"


KILLED = """
import os, signal, sys
from q35ref.atomic import open_atomic
with open_atomic(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_leaves_the_old_file_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    ended = subprocess.run([sys.executable, "-c", KILLED, target], check=False)
    assert ended.returncode == -9
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    write_text(target, "new")
    assert list(tmp_path.iterdir()) == [target]
