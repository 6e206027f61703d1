"""Folders that appear whole or not at all.

A folder is made under a temporary name beside its destination, ``.NAME.RANDOM.q35tmp``, brought to the disk, and
renamed, which replaces an empty folder too, in one step. A folder that holds something is moved aside first and moved
back if that fails; a run that is killed between the two renames leaves the old folder beside the destination, under the
name ``.NAME.RANDOM.q35old``, and the next run that writes the same destination moves it back before all else.

An exception removes the temporary folder at once. That of a killed run is removed by the next run that writes the same
destination; a lock tells it from the folder of a run beside it, as with files.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from q35ref.atomic import SUFFIX, prefix, require_folder_of, sync_folder

OLD: Final = ".q35old"
"""How the name of a folder ends that was moved aside and is whole."""

FILLED: Final = (errno.ENOTEMPTY, errno.EEXIST)
"""What the system says, one or the other, when a folder cannot be replaced because it holds something."""


def write_folder(
    path: str | os.PathLike[str], content: Mapping[str, bytes], may_replace: Callable[[Path], bool]
) -> None:
    """Write a folder of files, by their names within it, in one step.

    An empty folder at ``path`` is replaced, and so is one for which ``may_replace`` holds; anything else that is
    there stays as it is. Errors: OSError; FileExistsError for what must not be replaced.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_folder(Path(folder, "new"), {"a/b": b"1"}, lambda found: False)
    ...     Path(folder, "new", "a", "b").read_bytes()
    b'1'
    """
    with open_folder(path, may_replace) as temporary:
        for name, data in content.items():
            parts = PurePosixPath(name).parts
            if not parts or ".." in parts or name.startswith("/"):
                raise ValueError(f"content: expected names within the folder, got {name!r}")
            file = temporary.joinpath(*parts)
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("xb") as opened:
                opened.write(data)


@contextlib.contextmanager
def open_folder(path: str | os.PathLike[str], may_replace: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield a new folder to write files into; it takes its place at ``path`` when the block ends without an exception.

    Other processes may write to it too until the block ends. An existing folder's permissions are kept, while its owner
    becomes the caller; a new one's follow the umask. What is replaced, and errors: as in :func:`write_folder`.
    """
    require_folder_of(os.fspath(path))
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(target.parent))
    _tidy_up(target)  # first: it may move an old folder back
    _require_replaceable(target, may_replace)
    with _temporary(target) as temporary:
        permissions = _permissions(target)
        if permissions is not None:  # now, so that nobody looks into a private one while it is written
            _permit(temporary, permissions | stat.S_IRWXU)
        yield temporary
        for found in temporary.rglob("*"):
            if found.is_dir():
                sync_folder(found)
            else:
                _sync_file(found)
        if permissions is not None:
            _permit(temporary, permissions)
        sync_folder(temporary)
        _move_into_place(temporary, target, may_replace)
    sync_folder(target.parent)


def _require_replaceable(target: Path, may_replace: Callable[[Path], bool]) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise FileExistsError(errno.EEXIST, "expected a folder or nothing, got a file", str(target))
    if any(target.iterdir()) and not may_replace(target):
        raise FileExistsError(errno.EEXIST, "holds files that would be lost; it is left as it is", str(target))


def _permissions(target: Path) -> int | None:
    """Return who may do what with the folder that is there, if any."""
    return stat.S_IMODE(target.stat().st_mode) & 0o777 if target.is_dir() else None


def _permit(folder: Path, permissions: int) -> None:
    """Give a folder permissions; what else its mode says, by which its files get their group, is the parent's."""
    folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~0o777 | permissions)


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """Yield a new locked folder beside ``target``; whatever is still under its name afterwards is removed."""
    temporary, lock = _new_locked(target)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(lock)


def _new_locked(target: Path) -> tuple[Path, int]:
    """Make a folder beside ``target``; return it and the open descriptor that holds its lock."""
    while True:
        temporary = target.with_name(prefix(target) + secrets.token_hex(4) + SUFFIX)
        temporary.mkdir()
        try:
            lock = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # another run took it for stale before the lock was on
            continue
        with contextlib.suppress(OSError):  # no locks on this file system: then nobody takes the folder for stale
            fcntl.flock(lock, fcntl.LOCK_EX)
        if temporary.exists():
            return temporary, lock
        os.close(lock)


def _tidy_up(target: Path) -> None:
    """Move back what a dead run with the same destination moved aside, and remove what else such runs left."""
    stale = re.compile(re.escape(prefix(target)) + "[0-9a-f]{8}(" + re.escape(SUFFIX) + "|" + re.escape(OLD) + ")")
    with contextlib.suppress(OSError):  # tidying up is a courtesy: what it cannot do must not stop the writing
        for found in list(target.parent.iterdir()):
            if stale.fullmatch(found.name):
                _settle_if_unlocked(found, target)


def _settle_if_unlocked(folder: Path, target: Path) -> None:
    with contextlib.suppress(OSError), _locked(folder):
        if folder.suffix == OLD and not os.path.lexists(target):  # its run was killed between the two renames
            folder.rename(target)
        else:
            shutil.rmtree(folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, under whatever names it has meanwhile. Errors: OSError if it cannot be had at once."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _move_into_place(temporary: Path, target: Path, may_replace: Callable[[Path], bool]) -> None:
    _require_replaceable(target, may_replace)  # again: writing took its time
    try:
        temporary.rename(target)
    except OSError as error:
        if error.errno not in FILLED:
            raise
    else:
        return
    _require_replaceable(target, may_replace)  # and again: an empty folder may have been filled
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # no locks on this file system: then nobody takes the folder for stale
            held.enter_context(_locked(target))
        old = temporary.with_suffix(OLD)
        target.rename(old)
        try:
            temporary.rename(target)
        except BaseException:
            old.rename(target)
            raise
        old.rename(temporary)  # so that no next run takes one for whole that was removed in part
        shutil.rmtree(temporary)
