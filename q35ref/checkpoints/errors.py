"""The one error of this package."""

import contextlib
import errno
import os
from collections.abc import Iterator

StrPath = str | os.PathLike[str]
"""A path, as :func:`open` takes it."""

MOST_TEXT = 600
"""Characters of an error's text: a name in a file may be as long as the file."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when a file cannot grow."""


class CheckpointError(ValueError):
    """A file that cannot be read or written as a checkpoint; the message names it and what was expected."""

    def __init__(self, path: StrPath, problem: str) -> None:
        super().__init__(path, problem)
        self.path = os.fspath(path)
        self.problem = problem

    def __str__(self) -> str:
        return _cut(printable(_cut(f"{printable(self.path)}: {self.problem}")))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT // 2]}...{text[-MOST_TEXT // 2 :]}"


def printable(text: str) -> str:
    """Return text from outside (a name in a file, a path) as one line that no terminal takes for a command.

    >>> printable("layer.0"), printable("a\\x1b[2J")
    ('layer.0', "'a\\\\x1b[2J'")
    """
    return text if text.isprintable() and text else repr(text)


@contextlib.contextmanager
def naming(path: StrPath, tensor: str | None = None) -> Iterator[None]:
    """Turn the errors of a block into a CheckpointError that names the file, and the tensor where there is one."""
    about = "" if tensor is None else f"tensor {printable(tensor)}: "
    try:
        yield
    except CheckpointError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in DISK_FULL:
            reason = f"disk full or quota reached ({reason}); nothing was written, an old file stands as it was"
        elif error.filename is not None and os.fspath(error.filename) != os.fspath(path):
            reason = f"{reason}: {printable(os.fsdecode(error.filename))}"
        raise CheckpointError(path, about + reason) from error
    except (ValueError, TypeError) as error:
        raise CheckpointError(path, f"{about}{error}") from error
