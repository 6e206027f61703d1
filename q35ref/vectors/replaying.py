"""Putting the committed vectors to the reference."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from q35ref.vectors.calls import code, run
from q35ref.vectors.encoding import Json, decode_fields
from q35ref.vectors.files import OPERATIONS, Case, VectorFileError, load
from q35ref.vectors.operations import CALLS, RESULTS

MOST_ROWS: Final = 1 << 22
"""No case speaks of more rows: a group has half as many at most."""

SIZES: Final = {"group_rows": "k", "accumulate": "rows"}
"""Operations whose answer takes a list of as many items as an input says, and that input."""


class VectorFailure(NamedTuple):
    """A case that the reference answers differently."""

    id: str
    """The case's unique name."""
    flags: tuple[str, ...]
    """The bug classes that the case exposes."""
    inputs: dict[str, Json]
    """Its inputs, in their JSON form."""
    got: dict[str, Json]
    """The reference's answer; ``{"error": argument}`` for a refusal, ``{"exception": ...}`` for anything else."""
    expected: dict[str, Json]
    """The answer that is right."""
    code: str
    """A Python expression that asks the reference again; ``calls.PREAMBLE`` imports what it needs."""


class Outcome(NamedTuple):
    """What became of one file."""

    name: str
    """The operation."""
    cases: int
    """Number of cases that were run."""
    failures: list[VectorFailure]
    """Those that went wrong, in the file's order."""


def replay(operations: Collection[str] | None = None, *, directory: Path | None = None) -> Iterator[Outcome]:
    """Run the vectors of some operations (all, unless told otherwise), one outcome a file, in a fixed order.

    Functions of the reference are looked up at the time of the call. Errors: ValueError for an operation that
    has no vectors; :class:`~q35ref.vectors.files.VectorFileError` for a file that is missing or damaged.

    >>> [(outcome.name, outcome.cases, outcome.failures) for outcome in replay(["sign_extend"])]
    [('sign_extend', 510, [])]
    """
    chosen = OPERATIONS if operations is None else tuple(operations)
    unknown = [name for name in chosen if name not in OPERATIONS]
    if unknown:
        raise ValueError(f"operations: expected some of {', '.join(OPERATIONS)}, got {', '.join(unknown)}")
    return (_replay_file(name, directory) for name in OPERATIONS if name in chosen)


def answer(operation: str, inputs: dict[str, Json]) -> dict[str, Json]:
    """Return the reference's answer to a case, as its expected fields would be written."""
    try:
        return RESULTS[operation](run(CALLS[operation](decode_fields(inputs))))
    except ValueError as error:
        return {"error": refused_argument(error)}
    except Exception as error:  # whatever a broken reference does is an answer, and a wrong one
        return {"exception": f"{type(error).__name__}: {error}"}


def refused_argument(error: ValueError) -> str:
    """Return the argument that a refusal names, without an index.

    >>> refused_argument(ValueError("q[3]: expected an integer from -4 to 3, got 9"))
    'q'
    """
    return str(error).split(":", 1)[0].split("[", 1)[0]


def _replay_file(operation: str, directory: Path | None) -> Outcome:
    vectors = load(operation, directory)
    failures = [failure for case in vectors.cases if (failure := _replay_case(operation, case)) is not None]
    return Outcome(operation, len(vectors.cases), failures)


def _replay_case(operation: str, case: Case) -> VectorFailure | None:
    size = case.inputs.get(SIZES.get(operation, ""), 0)
    if isinstance(size, int) and size > MOST_ROWS:
        expected = f"{SIZES[operation]}: expected at most {MOST_ROWS}"
        raise VectorFileError(f"{operation}.json: {case.id}: {expected}, got {size}")
    got = answer(operation, case.inputs)
    if got == case.expected:
        return None
    try:
        repeat = code(CALLS[operation](decode_fields(case.inputs)))
    except (ValueError, TypeError, OverflowError) as error:
        raise VectorFileError(f"{operation}.json: {case.id}: inputs: {error}") from error
    return VectorFailure(case.id, case.flags, case.inputs, got, case.expected, repeat)
