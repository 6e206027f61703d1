"""One run of the command, disturbed in some way, and what is to be seen afterwards."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from q35ref.checkpoints import dequantize_file, quantize_file
from tools.faults.files import TORN, found_at, temporaries
from tools.faults.record import Row

ROOT: Final = Path(__file__).parents[2]

Q35REF: Final = (sys.executable, "-m", "q35ref")
"""The command itself."""

KILLED: Final = "killed"
FINISHED: Final = "finished"
REFUSED: Final = "refused"
"""Exit status 2, and one line on standard error that says why."""
UNCLEAR: Final = "unclear"
"""Any other end: a traceback, a signal that nobody sent, no word."""

SECONDS: Final = 300
"""After so many a run hangs."""

MOST_SENTENCES: Final = 5
"""Of what was wrong with the trials of a row."""


@dataclass(frozen=True)
class Job:
    """A command line from a source to a destination."""

    command: str
    """``quantize`` or ``dequantize``."""
    source: Path
    destination: Path
    program: Sequence[str] = Q35REF

    @property
    def arguments(self) -> list[str]:
        """The whole command line."""
        return [*self.program, self.command, str(self.source), str(self.destination)]

    def start(
        self, before: Callable[[], None] | None = None, stdout: IO[str] | int = subprocess.DEVNULL
    ) -> "subprocess.Popen[str]":
        """Start it; ``before`` is called in the new process."""
        return subprocess.Popen(
            self.arguments,
            cwd=ROOT,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,
        )

    def run(self) -> None:
        """Do what the command does, in this process. Errors: CheckpointError."""
        if self.command == "quantize":
            quantize_file(self.source, self.destination)
        else:
            dequantize_file(self.source, self.destination)


def ending(process: "subprocess.Popen[str]", killed: bool = False) -> tuple[str, str]:
    """Wait for a process; return how it ended and what it said."""
    with process:
        try:
            _, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return UNCLEAR, f"hung for {SECONDS} s"
    said = errors.strip()
    if killed and process.returncode == -9:
        return KILLED, said
    if process.returncode == 0 and not said:
        return FINISHED, said
    if process.returncode == 2 and said.startswith("Error: ") and "\n" not in said:
        return REFUSED, said
    return UNCLEAR, f"exit status {process.returncode}: {said[-400:]}"


@dataclass
class Tally:
    """Counts the trials of a row, and says which were not as they must be."""

    known: Mapping[str, str]
    """What may be at the destination, by digest."""
    destination: Path
    trials: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    destinations: Counter[str] = field(default_factory=Counter)
    most_left: int = 0
    wrong: list[str] = field(default_factory=list)

    def see(self, ended: str, said: str, allowed: Collection[tuple[str, str]], about: str) -> str:
        """Count a trial that ended in one way, allowed pairs of ends and destinations being right.

        Return what is at the destination.
        """
        there = found_at(self.destination, self.known)
        self.trials += 1
        self.endings[ended] += 1
        self.destinations[there] += 1
        self.most_left = max(self.most_left, len(temporaries(self.destination.parent)))
        if (ended, there) not in allowed:
            self.blame(f"{about}: {ended}, destination {there}{f' ({said})' if said else ''}")
        return there

    def blame(self, sentence: str) -> None:
        """Say what was wrong."""
        self.wrong.append(sentence)

    def row(self, fault: str, job: Job, how: str, after: str) -> Row:
        """Do the job once more, undisturbed, and return the row; ``after`` is what must then be there."""
        job.run()
        if found_at(self.destination, self.known) != after:
            self.blame("the next run did not write a whole file")
        left = len(temporaries(self.destination.parent))
        if left:
            self.blame(f"{left} temporary files were left after the next run")
        return self.without_next(fault, job.command, how, left)

    def without_next(self, fault: str, command: str, how: str, left: int = 0) -> Row:
        """Return the row as it is."""
        return Row(
            fault=fault,
            command=command,
            how=how,
            trials=self.trials,
            endings=dict(sorted(self.endings.items())),
            destinations=dict(sorted(self.destinations.items())),
            torn=self.destinations[TORN],
            most_left=self.most_left,
            left_after_next=left,
            wrong=tuple(self.wrong[:MOST_SENTENCES]),
        )
