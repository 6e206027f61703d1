"""Something that is timed, and the proof that it computes what the others do."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


def nothing() -> None:
    """Do nothing: before or after a call that needs no more."""


@dataclass(frozen=True, eq=False)
class Contender:
    """A way of doing a work, ready to run."""

    work: str
    """What is done; contenders of the same work, rows and threads are compared."""
    name: str
    """Whose it is, and the weights' format: ``ggml Q4_K``."""
    path: str
    """Which of its ways: an instruction set, a buffer type."""
    run: Callable[[], object]
    """The timed call."""
    k: int
    n: int
    bytes: int
    """What must be read and written at least: of weights and parameters where they are multiplied, else all."""
    rows: int = 1
    """Rows of activations."""
    threads: int = 1
    calls: int = 1
    """How often a sample calls it."""
    prepare: Callable[[], object] = nothing
    """Called before the warm call, not timed."""
    finish: Callable[[], object] = nothing
    """Called after the timed one, not timed."""
    error: Callable[[], float] | None = None
    """After a run: how far the result is from the right one; nothing for an anchor."""
    limit: float = 0.0
    """The largest error of a contender that computes the right thing."""
    ours: bool = False
    """Whether a wrong result is a defect of q35ref, and not of a peer."""

    @property
    def label(self) -> str:
        """Name and path, rows and threads."""
        return f"{self.work}, {self.name} ({self.path}), {self.rows} rows, {self.threads} threads"


@dataclass(frozen=True)
class Skipped:
    """What was not timed."""

    name: str
    reason: str
    remedy: str
    """How to have it next time."""

    def text(self) -> str:
        """Return what is missing and how to have it, in a line."""
        return f"skipped: {self.name}: {self.reason}; to have it: {self.remedy}"


class WrongResult(Exception):
    """q35ref's own kernel computes something else than the reference: no speed is worth reporting."""


def relative_error(got: ArrayLike, expected: ArrayLike) -> float:
    """Return the root of the mean squared error over that of the expected values; infinite if anything is NaN.

    >>> relative_error([1.0, 2.0], [1.0, 2.0])
    0.0
    >>> relative_error([float("nan")], [1.0])
    inf
    """
    found, right = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    if found.shape != right.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.sqrt(np.mean((found - right) ** 2)) / max(np.sqrt(np.mean(right**2)), 1e-300))


def admitted(contenders: list[Contender], skipped: list[Skipped]) -> dict[Contender, float | None]:
    """Run every contender once; return those that compute the right thing, with their errors, and name the others.

    Errors: WrongResult for one of ours.
    """
    right: dict[Contender, float | None] = {}
    for contender in contenders:
        contender.prepare()
        contender.run()
        contender.finish()
        if contender.error is None:
            right[contender] = None
            continue
        error = contender.error()
        if error <= contender.limit:
            right[contender] = error
            continue
        reason = f"its result is off by {error:.2g}, more than {contender.limit:.2g}"
        if contender.ours:
            raise WrongResult(f"{contender.label}: {reason}")
        skipped.append(Skipped(contender.label, reason, "another version of the package"))
    return right
