"""Folders that appear whole or not at all.

A folder is made under a temporary name beside its destination, brought to the disk, and renamed. A folder that is
there already is moved aside first and moved back if that fails; a run that is killed between the two renames leaves
the old folder beside the destination, under the name ``.NAME.RANDOM.q35old``.
"""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath


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
    target = Path(os.path.realpath(path))
    _require_replaceable(target, may_replace)
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(target.parent))
    temporary = target.with_name(f".{target.name[:60]}.{secrets.token_hex(4)}.q35tmp")
    temporary.mkdir()
    try:
        for name, data in content.items():
            parts = PurePosixPath(name).parts
            if not parts or ".." in parts or name.startswith("/"):
                raise ValueError(f"content: expected names within the folder, got {name!r}")
            _write(temporary.joinpath(*parts), data)
        for folder in [path for path in temporary.rglob("*") if path.is_dir()] + [temporary]:
            _sync(folder)
        _move_into_place(temporary, target, may_replace)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _sync(target.parent)


def _require_replaceable(target: Path, may_replace: Callable[[Path], bool]) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise FileExistsError(errno.EEXIST, "expected a folder or nothing, got a file", str(target))
    if any(target.iterdir()) and not may_replace(target):
        raise FileExistsError(errno.EEXIST, "holds files that are not ours; it is left as it is", str(target))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _move_into_place(temporary: Path, target: Path, may_replace: Callable[[Path], bool]) -> None:
    _require_replaceable(target, may_replace)  # again: writing took its time
    if not target.is_dir():
        temporary.rename(target)
        return
    old = temporary.with_suffix(".q35old")
    target.rename(old)
    try:
        temporary.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)


def _sync(folder: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
