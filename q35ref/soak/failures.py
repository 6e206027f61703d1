"""Keeping a failure: a vector file that shows it, and the commands that repeat it."""

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from q35ref.atomic_folder import write_folder
from q35ref.oracle import call_files
from q35ref.oracle.judge import Mismatch
from q35ref.oracle.problem import Problem
from q35ref.oracle.shrink import shrink
from q35ref.oracle.vector import Vector
from q35ref.soak.backends import Setting
from q35ref.soak.judging import reference_vector, wrong
from q35ref.vectors import DIGESTS

BUDGET: Final = 100_000
"""Numbers that may be judged while a failure is cut down: under a second's worth."""

README: Final = "README.txt"
"""Name of the text beside a vector file."""


@dataclass(frozen=True)
class Failure:
    """A wrong answer of one setting to one problem."""

    number: int
    operation: str
    setting: str
    mismatch: Mismatch
    again: str
    """The command that poses the problem again, to everybody."""
    replay: str
    """The command that replays the vector, which fails; empty if the vector alone does not show it."""

    def __str__(self) -> str:
        """Say it in lines."""
        found = self.mismatch
        return (
            f"FAIL problem {self.number}, {self.operation}, {self.setting}: {found.kind} at {found.place}: "
            f"got {found.got}, expected {found.expected}\n"
            f"     again:  {self.again}\n"
            f"     vector: {self.replay or 'it alone does not show it'}"
        )


def keep(
    folder: Path, seed: int, number: int, vector: Vector, failures: list[tuple[Setting, Mismatch]], also: str
) -> list[Failure]:
    """Write the vectors of a problem's failures, one folder for each setting, and return what there is to tell.

    ``also`` holds the options that name further targets. The problem is cut down as long as it fails; a setting that
    answers rightly when it is asked again has the problem kept as it was posed. Errors: OSError, also
    for a folder of that name that is not ours.
    """
    again = f"q35ref soak --seed {seed} --start {number} --problems 1{also}"
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for setting, mismatch in failures:
        kept, shows = _cut_down(setting, vector)
        name = re.sub(r"[^A-Za-z0-9_.:]+", "-", setting.name)
        place = folder / f"seed{seed}-{number}-{kept.problem.operation}-{name}"[:200]
        command = f"{setting.environment}q35ref check {shlex.quote(setting.spec)} --vectors "
        replay = command + shlex.quote(str(place / "calls")) if shows else ""
        failure = Failure(number, kept.problem.operation, setting.name, mismatch, again, replay)
        write_folder(place, _content(seed, kept, failure), is_ours)
        found.append(failure)
    return found


def is_ours(folder: Path) -> bool:
    """Return whether a folder holds a failure that was kept, and nothing else."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    vectors = [name for name in names if name.startswith("calls/") and name.endswith(".json")]
    return len(vectors) == 1 and names == {README, f"calls/{DIGESTS}", *vectors}


def _cut_down(setting: Setting, vector: Vector) -> tuple[Vector, bool]:
    """Return the smallest vector found that the setting answers wrongly, and True; else the vector itself, and False.

    The second is what comes of an answer that is right when it is given again, and of one that is right but differs
    from others' in bits that should be the same.
    """

    def fails(problem: Problem) -> bool:
        return _fails(setting, reference_vector(vector.id, problem))

    if not _fails(setting, vector):
        return vector, False
    return reference_vector(vector.id, shrink(vector.problem, fails, BUDGET)), True


def _fails(setting: Setting, vector: Vector) -> bool:
    return wrong(setting, setting.answer(vector.problem), vector).mismatch is not None


def _content(seed: int, vector: Vector, failure: Failure) -> dict[str, bytes]:
    operation = vector.problem.operation
    text = call_files.text(call_files.document(operation, 1, seed, [vector])).encode()
    digest = f"{hashlib.sha256(text).hexdigest()}  {operation}.json\n"
    return {
        README: f"{failure}\n".encode(),
        f"calls/{operation}.json": text,
        f"calls/{DIGESTS}": digest.encode(),
    }
