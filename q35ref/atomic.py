"""Files that appear whole or not at all.

A file is written under a temporary name in the folder of its destination, brought to the disk, and renamed over
the destination in one step. Whatever ends the run on the way (an exception, Ctrl-C, ``kill -9``, a power cut)
leaves the old file as it was, or none where none was.

An exception removes the temporary file at once. A killed run cannot: its file, ``.NAME.RANDOM.q35tmp``, is
removed by the next run that writes the same destination. A run holds a lock on its temporary file for as long as
it lives, which is how the next one tells a dead run's file from that of a run beside it.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

SUFFIX: Final = ".q35tmp"
"""How the names of temporary files end."""

LONGEST_PREFIX: Final = 200
"""Bytes of the destination's name in the temporary one, so that this stays below the usual limit of 255."""


@contextlib.contextmanager
def open_atomic(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary file for writing that takes its place at ``path`` when the block ends without an exception.

    The file's ``name`` is the path of the temporary file, to which other processes may write until the block ends.
    A symbolic link is followed, as by :func:`open`: the file that it points to is replaced, the link stays. An
    existing file's permissions are kept, while its owner becomes the caller; a new file's follow the umask.
    Errors: OSError, also for a destination that is no regular file (replacing ``/dev/null`` would harm the
    system) or whose folder does not exist.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = Path(folder, "a")
    ...     with open_atomic(target) as file:
    ...         _ = file.write(b"new")
    ...         before = target.exists()
    ...     before, target.read_bytes()
    (False, b'new')
    """
    target, mode = _destination(path)
    _remove_stale(target)
    with _temporary(target) as (file, temporary):
        yield file
        file.flush()
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
        temporary.replace(target)
        sync_folder(target.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8 as :func:`open_atomic` does. Errors: OSError."""
    with open_atomic(path) as file:
        file.write(text.encode())


def require_writable(path: str | os.PathLike[str]) -> None:
    """Refuse what :func:`open_atomic` would refuse, before anything takes time. Errors: OSError.

    >>> require_writable("gone/report.json")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] no such folder: 'gone'
    """
    target, _ = _destination(path)
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"expected a folder that can be written to, got {target.parent}", str(path))


def _destination(path: str | os.PathLike[str]) -> tuple[Path, int | None]:
    """Return where links lead, and the permissions of the file that is there, if any."""
    name = os.fspath(path)
    target = Path(os.path.realpath(name))
    try:
        found = os.stat(name)  # noqa: PTH116 - a Path would drop a trailing slash, which asks for a folder
    except FileNotFoundError:
        if not os.path.basename(name) or target.is_dir():  # noqa: PTH119 - as above
            raise IsADirectoryError(errno.EISDIR, "expected the name of a file", name) from None
        require_folder_of(name)
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(target.parent)) from None
        return target, None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "expected a regular file or none, got a folder", name)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "expected a regular file or none, got a device, pipe or socket", name)
    return target, stat.S_IMODE(found.st_mode) & 0o777


def require_folder_of(path: str) -> None:
    """Refuse a path whose folder, as it is spelt, is not there. Errors: FileNotFoundError.

    ``gone/../file`` names nothing, as whoever opens it is told. With its dots taken out it would name a file after all,
    which whoever compared the two paths did not know of.
    """
    folder = os.path.dirname(path.rstrip(os.sep)) or os.curdir  # noqa: PTH120 - a Path would take dots out
    if not os.path.isdir(folder):  # noqa: PTH112 - as above
        raise FileNotFoundError(errno.ENOENT, "no such folder", folder)


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a new locked file beside ``target``; whatever is still under its name afterwards is removed."""
    temporary, descriptor = target, -1
    try:
        while descriptor < 0:
            temporary = target.with_name(prefix(target) + secrets.token_hex(4) + SUFFIX)
            try:
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileExistsError:  # another run's: not ours to remove
                temporary = target
                continue
            with contextlib.suppress(OSError):  # no locks on this file system: then nobody takes the file for stale
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 0:  # another run took it for stale before the lock was on
                os.close(descriptor)
                descriptor = -1
        # Path.open has no opener; this one lets the file's name be its path, for others to write to it too.
        file = open(os.fspath(temporary), "wb", opener=lambda path, flags: descriptor)  # noqa: SIM115
        try:
            yield file, temporary
        finally:
            with contextlib.suppress(OSError):  # on a full disk the rest of the buffer fails once more
                file.close()
    finally:
        if temporary != target:
            temporary.unlink(missing_ok=True)


def prefix(target: Path) -> str:
    """Return how the names of temporary files and folders with this destination begin."""
    name = os.fsencode(target.name)[:LONGEST_PREFIX]
    return f".{os.fsdecode(name)}."


def _remove_stale(target: Path) -> None:
    """Remove the temporary files of dead runs with the same destination."""
    stale = re.compile(re.escape(prefix(target)) + "[0-9a-f]{8}" + re.escape(SUFFIX))
    with contextlib.suppress(OSError):  # tidying up is a courtesy: what it cannot do must not stop the writing
        for name in os.listdir(target.parent):  # noqa: PTH208 - names are what the pattern is for
            if stale.fullmatch(name):
                _remove_if_unlocked(target.with_name(name))


def _remove_if_unlocked(path: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk; best effort, since the file is in its place already."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
