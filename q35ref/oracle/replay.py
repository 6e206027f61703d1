"""Putting vector files to a kernel: a result for each file, printed and reported as every other check's."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from q35ref import vectors
from q35ref.oracle.call_files import load as load_calls
from q35ref.oracle.domain import WHOLE, Domain
from q35ref.oracle.judge import FAULTS, Mismatch, Verdict
from q35ref.oracle.report import Finding, Result
from q35ref.oracle.suite import MANIFEST, verify
from q35ref.oracle.targets import Target
from q35ref.oracle.vector import CALLS, Vector, from_case
from q35ref.vectors.files import digests

PROMISE = "gives what the vectors expect"
"""What each file's result says."""

MOST_BUGS = 2
"""Bug classes that are named at most."""

ALIKE = 0.75
"""Of the vectors that failed or bear a class's flag, the share that must be both for the class to be named."""


MOST_ROWS = 1 << 22
"""Rows of all patterns of a file: a pattern of a few bytes stands for as many rows as it says."""


def replay_vectors(
    kernel: Target,
    path: Path | str,
    wanted: Callable[[str], bool] = lambda name: True,
    command: Callable[[str], str] = lambda name: f"replay_vectors(kernel, path)  # {name}",
    domain: Domain = WHOLE,
) -> Iterator[Result]:
    """Yield a result for each vector file: one JSON file, a folder of them, or a folder of ``q35ref vectors``.

    Every digest is checked before the kernel is called for the first time, and each file's form before its vectors
    are. Vectors of operations that no kernel has (``round_half_even``, ...) are *not checked*, as are those of
    operations that this kernel lacks. Errors: VectorFileError that names the file and the place.

    >>> from q35ref.oracle.targets import resolve
    >>> file = vectors.committed_directory() / "pack_pair.json"
    >>> [(result.name, result.status, result.cases) for result in replay_vectors(resolve("numpy"), file)]
    [('vectors.pack_pair', 'passed', 128)]
    """
    found = list(_files(Path(path)))
    if not found:
        raise vectors.VectorFileError(
            f"{Path(path).name}: no vector file in it; expected JSON (hex and npz are for others)"
        )
    for file, is_calls in found:
        name = f"vectors.{'calls.' if is_calls else ''}{file.stem}"
        if wanted(name):
            lack, all_of_it = _calls(file) if is_calls else _committed(file)
            inside = [vector for vector in all_of_it if domain.nearest(vector.problem) is vector.problem]
            if all_of_it and not inside:
                lack = f"no vector has {domain}"
            yield _replay(kernel, name, lack, inside, command)


def _files(path: Path) -> Iterator[tuple[Path, bool]]:
    """Yield each vector file with whether it holds calls."""
    if not path.exists():
        raise vectors.VectorFileError(f"{path}: no such file or folder")
    if not path.is_dir():
        yield path, path.parent.name == "calls"
    elif (path / MANIFEST).exists():
        listed = [entry["name"] for entry in verify(path)["files"]]
        for folder in ("json", "calls"):
            if f"{folder}/{vectors.DIGESTS}" in listed:
                yield from _files(path / folder)
    else:
        yield from ((path / name, path.name == "calls") for name in digests(path) if name.endswith(".json"))


def _committed(file: Path) -> tuple[str, list[Vector]]:
    operation = file.stem
    if operation not in vectors.OPERATIONS:
        raise vectors.VectorFileError(f"{file.name}: no operation of that name")
    cases = vectors.load(operation, file.parent).cases
    sizes = [case.inputs.get("rows") for case in cases]
    rows = sum(size for size in sizes if isinstance(size, int))
    if operation == "accumulate" and rows > MOST_ROWS:
        raise vectors.VectorFileError(f"{file.name}: rows: expected at most {MOST_ROWS} in all cases, got {rows}")
    if operation not in CALLS:
        return "no operation of a kernel; the reference alone is asked", []
    found = []
    for index, case in enumerate(cases):
        try:
            vector = from_case(operation, case)
        except (ValueError, TypeError, ArithmeticError, LookupError, MemoryError) as error:
            raise vectors.VectorFileError(f"{file.name}: cases[{index}] ({case.id}): {error}") from error
        if vector is not None:
            found.append(vector)
    return "every vector is a refusal that binds no kernel", found


def _calls(file: Path) -> tuple[str, list[Vector]]:
    operation, _, found = load_calls(file)
    if operation != file.stem:
        raise vectors.VectorFileError(f"{file.name}: holds the vectors of {operation}")
    return "", found


def _replay(kernel: Target, name: str, lack: str, found: list[Vector], command: Callable[[str], str]) -> Result:
    operation = next((vector.problem.operation for vector in found), "")
    absent = kernel.lack(operation) if operation else ""
    if absent:
        lack, found = absent, []
    if not found:
        return Result(name, "vectors", PROMISE, "not checked", reason=lack)
    begun = time.perf_counter()
    posed = numbers = no_verdict = 0
    failed: list[tuple[Vector, Mismatch]] = []
    for vector in found:
        if kernel.given_up(operation) or kernel.pose(vector.problem) is not vector.problem:
            continue
        outcome = kernel.call(vector.problem)
        if outcome.faults:
            verdict = Verdict(outcome.faults[0])
        else:
            verdict = vector.judge(outcome.raised, outcome.result, kernel.correctly_rounded)
        posed += 1
        numbers, no_verdict = numbers + verdict.judged, no_verdict + verdict.no_verdict
        if verdict.mismatch is not None:
            failed.append((vector, verdict.mismatch))
    if not posed:
        given_up = f"given up: the target ended or hung in earlier calls of {operation}"
        reason = given_up if kernel.given_up(operation) else "the target cannot be asked any of them"
        return Result(name, "vectors", PROMISE, "not checked", reason=reason)
    return Result(
        name,
        "vectors",
        PROMISE,
        "failed" if failed else "passed",
        posed,
        numbers,
        len(failed),
        no_verdict,
        findings=(_finding(kernel, found, failed, command(name)),) if failed else (),
        seconds=time.perf_counter() - begun,
    )


def _finding(kernel: Target, found: list[Vector], failed: list[tuple[Vector, Mismatch]], again: str) -> Finding:
    """Report the smallest failing vector."""
    vector, mismatch = min(failed, key=lambda pair: pair[0].problem.input_size)
    bugs = FAULTS.get(mismatch.kind) or fitting_flags(found, {one.id for one, _ in failed})
    return Finding(
        mismatch.kind,
        f"{vector.id}, {mismatch.place}",
        mismatch.got,
        mismatch.expected,
        kernel.code(vector.problem, mismatch),
        again,
        bugs,
        input_size=vector.problem.input_size,
    )


def fitting_flags(found: list[Vector], failed: set[str]) -> tuple[str, ...]:
    """Return the classes whose vectors are the failed ones, or nearly: one bug fails the vectors with its flag."""
    bearing: dict[str, set[str]] = {}
    for vector in found:
        for flag in vector.flags:
            bearing.setdefault(flag, set()).add(vector.id)
    alike = {flag: len(ids & failed) / len(ids | failed) for flag, ids in bearing.items()}
    near = {flag: share for flag, share in alike.items() if share >= ALIKE}
    return tuple(flag for flag, share in near.items() if share == max(near.values()))[:MOST_BUGS]
