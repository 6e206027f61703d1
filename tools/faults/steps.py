"""``python -m tools.faults.steps STEP ...``: the command ``q35ref ...``, which kills itself at a step of writing."""

import fcntl
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final


@dataclass(frozen=True)
class Step:
    """A call of the system, and when the process ends: before its turn, or after it."""

    holder: ModuleType | type
    name: str
    turn: int = 1
    """Which of the calls that count."""
    before: bool = False
    renamed: bool = False
    """Whether the new file is in its place by then."""
    counts: Callable[..., bool] = lambda *arguments: True
    """Which calls count, by their arguments."""


def _makes_temporary(path: object, flags: int, *_: object) -> bool:
    return bool(flags & os.O_EXCL) and str(path).endswith(".q35tmp")


def _locks_its_own(_: int, operation: int) -> bool:
    """Tell this lock from those that are tried on the files of dead runs."""
    return operation == fcntl.LOCK_EX


STEPS: Final = {
    "before the temporary file": Step(os, "open", before=True, counts=_makes_temporary),
    "after it was made": Step(os, "open", counts=_makes_temporary),
    "after the lock": Step(fcntl, "flock", counts=_locks_its_own),
    "after room was set aside": Step(os, "posix_fallocate"),
    "before its fsync": Step(os, "fsync", before=True),
    "after its fsync": Step(os, "fsync"),
    "before the rename": Step(Path, "replace", before=True),
    "after the rename": Step(Path, "replace", renamed=True),
    "after the folder's fsync": Step(os, "fsync", turn=2, renamed=True),
}
"""In the order in which they come."""


def plant(step: Step) -> None:
    """Make the process kill itself at a step."""
    real, seen = getattr(step.holder, step.name), 0

    def disturbed(*arguments: Any, **named: Any) -> Any:
        nonlocal seen
        mine = step.counts(*arguments)
        seen += mine
        last = mine and seen == step.turn
        if last and step.before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **named)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(step.holder, step.name, disturbed)


def main() -> None:
    """Run the command."""
    from q35ref.cli import main as command

    plant(STEPS[sys.argv[1]])
    command(sys.argv[2:], prog_name="q35ref")


if __name__ == "__main__":
    main()
