"""Folders that appear whole or not at all: what is replaced, what it may look like, what a killed run leaves."""

import contextlib
import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from q35ref.atomic_folder import open_folder, write_folder
from q35ref.checkpoints import quantize_file
from tests.sharded_files import sharded_model


def anything(folder: Path) -> bool:
    return True


def nothing(folder: Path) -> bool:
    return False


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_empty_folder_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed: list[str] = []
    real = Path.rename

    def note(self: Path, to: Path) -> Path:
        renamed.append(to.name)
        return real(self, to)

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Path, "rename", note)
    write_folder(tmp_path / "out", {"a": b"new"}, nothing)
    assert renamed == ["out"]
    assert (tmp_path / "out" / "a").read_bytes() == b"new"


def test_an_empty_folder_that_is_filled_just_then_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, real = tmp_path / "out", Path.rename

    def fill(self: Path, to: Path) -> Path:
        (target / "mine").touch()
        return real(self, to)

    target.mkdir()
    monkeypatch.setattr(Path, "rename", fill)
    with pytest.raises(FileExistsError, match="holds files that would be lost"):
        write_folder(target, {"a": b"new"}, nothing)
    assert (names(tmp_path), names(target)) == (["out"], ["mine"])


KILLED = """
import os, signal, sys
from pathlib import Path
from q35ref.atomic_folder import write_folder

real = Path.rename
calls = []

def rename(self, to):
    calls.append(to)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, to)

Path.rename = rename
write_folder(sys.argv[1], {"a": b"new", "b": b"new"}, lambda found: True)
"""

LEFT = {1: ["out", "q35tmp"], 2: ["out", "q35tmp"], 3: ["q35old", "q35tmp"], 4: ["out", "q35old"]}
"""What there is after a kill before a rename: onto what holds something, which fails; aside; into place; out of it."""


@pytest.mark.parametrize("which", LEFT)
def test_a_killed_run_leaves_one_of_both_folders_and_the_next_one_tidies_up(tmp_path: Path, which: int) -> None:
    target = tmp_path / "out"
    write_folder(target, {"a": b"old"}, nothing)
    ended = subprocess.run([sys.executable, "-c", KILLED, target, str(which)], check=False)
    assert ended.returncode == -9
    assert sorted(name.split(".")[-1] for name in names(tmp_path)) == LEFT[which]
    with contextlib.suppress(KeyboardInterrupt), open_folder(target, anything):
        raise KeyboardInterrupt
    assert names(tmp_path) == ["out"]
    assert (target / "a").read_bytes() == (b"new" if which == 4 else b"old")
    write_folder(target, {"c": b"newer"}, anything)
    assert (names(tmp_path), names(target)) == (["out"], ["c"])


def test_a_folder_that_was_moved_aside_by_an_older_version_goes(tmp_path: Path) -> None:
    """It replaced empty folders in two steps, and nothing removed what was left between them."""
    for name in (".out.01234567.q35old", ".out.notours.q35old", "out"):
        (tmp_path / name).mkdir()
    write_folder(tmp_path / "out", {"a": b"new"}, nothing)
    assert names(tmp_path) == [".out.notours.q35old", "out"]


def test_what_a_living_run_moved_aside_stays(tmp_path: Path) -> None:
    aside = tmp_path / ".out.01234567.q35old"
    aside.mkdir()
    descriptor = os.open(aside, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        write_folder(tmp_path / "out", {"a": b"new"}, nothing)
    finally:
        os.close(descriptor)
    assert aside.exists()


def test_a_folder_is_locked_while_it_is_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, real, seen = tmp_path / "out", Path.rename, []

    def look(self: Path, to: Path) -> Path:
        for aside in tmp_path.glob("*.q35old"):
            descriptor = os.open(aside, os.O_RDONLY)
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(descriptor)
            seen.append(aside)
        return real(self, to)

    write_folder(target, {"a": b"old"}, nothing)
    monkeypatch.setattr(Path, "rename", look)
    write_folder(target, {"a": b"new"}, anything)
    assert len(seen) == 2
    assert names(tmp_path) == ["out"]


def test_a_folder_that_cannot_take_its_place_gives_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, real = tmp_path / "out", Path.rename

    def fail(self: Path, to: Path) -> Path:
        if self.name.endswith(".q35tmp") and not target.exists():
            raise OSError(5, "no")
        return real(self, to)

    write_folder(target, {"a": b"old"}, nothing)
    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="no"):
        write_folder(target, {"a": b"new"}, anything)
    assert names(tmp_path) == ["out"]
    assert (target / "a").read_bytes() == b"old"


@pytest.mark.parametrize("permissions", [0o700, 0o750, 0o777, 0o555])
@pytest.mark.parametrize("filled", [False, True])
def test_a_folders_permissions_are_kept(tmp_path: Path, permissions: int, filled: bool) -> None:
    target = tmp_path / "out"
    target.mkdir()
    if filled and permissions & stat.S_IWUSR:
        (target / "a").write_bytes(b"old")
    target.chmod(permissions)
    with open_folder(target, anything) as temporary:
        assert mode(temporary) == permissions | stat.S_IRWXU
        (temporary / "a").write_bytes(b"new")
    assert mode(target) == permissions
    assert (target / "a").read_bytes() == b"new"


def test_a_new_folders_permissions_follow_the_umask_and_its_parent(tmp_path: Path) -> None:
    tmp_path.chmod(0o2755)
    before = os.umask(0o027)
    try:
        write_folder(tmp_path / "out", {"a": b"new"}, nothing)
        (tmp_path / "out").chmod(0o2700)
        write_folder(tmp_path / "out", {"a": b"new"}, anything)
        write_folder(tmp_path / "other", {"a": b"new"}, nothing)
    finally:
        os.umask(before)
    assert mode(tmp_path / "out") == 0o2700
    assert mode(tmp_path / "other") == 0o2750


def test_a_private_folder_of_shards_stays_private(tmp_path: Path) -> None:
    target = tmp_path / "private"
    target.mkdir(mode=0o700)
    quantize_file(sharded_model(tmp_path / "source"), target)
    assert mode(target) == 0o700
    assert len(names(target)) == 4


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("\U0001f600" * 63)
    write_folder(target, {"a": b"old"}, nothing)
    write_folder(target, {"a": b"new"}, anything)
    assert (target / "a").read_bytes() == b"new"
    assert len(names(tmp_path)) == 1
