"""Saying who is wrong about a problem: by the reference where that takes a moment, else by comparison.

A long problem's answers are compared with NumPy's. Integers and correctly rounded floats must be the same; of floats
that are right within a bound B, two differ by 2B at most. Where they do not agree the reference says who is wrong,
however long it takes.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from q35ref.backends.reference import group_of_rows
from q35ref.oracle.calls import Outcome, alike, unlike
from q35ref.oracle.judge import Mismatch, Verdict
from q35ref.oracle.problem import JUDGED, Array, Problem
from q35ref.oracle.vector import RESULTS, Vector, from_problem
from q35ref.reference.float32 import UNIT_ROUNDOFF
from q35ref.reference.lanes import lane_gain
from q35ref.reference.matmul import NO_VERDICT, VERDICT_GROUPS
from q35ref.soak.backends import Setting

REFERENCE: Final = 1 << 11
"""Products or weights up to which the reference judges at once."""

ROOM: Final = 1 + 2.0**-30
"""Bounds are evaluated in double, with fewer than 2**22 sums and products, each off by 2**-53 at most: times this,
none is too small."""


@dataclass(frozen=True)
class Judged:
    """What came of a problem."""

    vector: Vector
    """The problem with its right answer, or with NumPy's where all agreed and the reference was not asked."""
    by_reference: bool
    calls: int
    """Settings that were asked."""
    numbers: int = 0
    """Numbers that were compared."""
    no_verdict: int = 0
    """Numbers on which the format gives no verdict."""
    failures: list[tuple[Setting, Mismatch]] = field(default_factory=list)


def judge(problem: Problem, settings: list[Setting], vector_id: str) -> Judged:
    """Ask everybody a problem, and say who is wrong about it."""
    answers = [(setting, setting.answer(problem)) for setting in settings]
    doubted: list[tuple[Setting, Mismatch]] = []
    if problem.size > REFERENCE and not problem.refusal:
        vector = agreed(vector_id, problem, answers[0][1])
        if vector is not None:
            compared = _judged(vector, answers, by_reference=False)
            doubted = compared.failures
            if not doubted:
                return compared
    judged = _judged(reference_vector(vector_id, problem), answers, by_reference=True)
    return judged if judged.failures else replace(judged, failures=doubted)  # nobody wrong, yet they differ: told too


def wrong(setting: Setting, outcome: Outcome, vector: Vector) -> Verdict:
    """Judge one answer. What a kernel does beside its work is wrong too."""
    if outcome.faults:
        return Verdict(outcome.faults[0])
    return vector.judge(outcome.raised, outcome.result, setting.target.correctly_rounded)


def _judged(vector: Vector, answers: list[tuple[Setting, Outcome]], by_reference: bool) -> Judged:
    numbers = no_verdict = 0
    failures: list[tuple[Setting, Mismatch]] = []
    first: tuple[Setting, Outcome] | None = None
    for setting, outcome in answers:
        verdict = wrong(setting, outcome, vector)
        numbers, no_verdict = numbers + verdict.judged, no_verdict + verdict.no_verdict
        mismatch = verdict.mismatch
        if mismatch is None and setting.same_bits:
            first = first or (setting, outcome)
            if not alike(first[1], outcome):
                mismatch = unlike("other bits", first[1], outcome, setting.name)
        if mismatch is not None:
            failures.append((setting, mismatch))
    return Judged(vector, by_reference, len(answers), numbers, no_verdict, failures)


def reference_vector(vector_id: str, problem: Problem) -> Vector:
    """Return a problem with the reference's answer, also where it takes long: a few columns at a time."""
    if not problem.large or problem.refusal:
        return from_problem(vector_id, problem)
    by_rows = "x" in problem.arrays
    width = problem.m if by_rows else problem.n
    parts = []
    for start in range(0, width, JUDGED):
        cut = slice(start, min(start + JUDGED, width))
        part = problem.restrict(activations=cut) if by_rows else problem.restrict(columns=cut)
        parts.append(from_problem(vector_id, part).expected)
    dimensions = RESULTS[problem.operation]
    joined: dict[str, Array] = {}
    for name in parts[0]:
        axes = dimensions[name.removesuffix("_low").removesuffix("_high")]
        axis = axes.find("M" if by_rows else "N")
        found = [part[name] for part in parts]
        joined[name] = found[0] if axis < 0 else np.concatenate(found, axis)
    return Vector(vector_id, (), problem, joined)


def agreed(vector_id: str, problem: Problem, outcome: Outcome) -> Vector | None:
    """Return what agrees with NumPy's answer, or nothing if that is no answer."""
    names = RESULTS[problem.operation]
    parts = outcome.result if len(names) > 1 else (outcome.result,)
    if outcome.raised is not None or outcome.faults or not isinstance(parts, tuple) or len(parts) != len(names):
        return None
    vector = Vector(vector_id, (), problem, dict(zip(names, parts, strict=True)))
    try:
        vector.require_sense()
    except (ValueError, AttributeError):
        return None
    if problem.operation == "matmul":
        return replace(vector, expected=vector.expected | _near("out", *_twice_matmul_bound(problem, vector.expected)))
    if problem.operation == "dequantize":
        return replace(
            vector, expected=vector.expected | _near("w", *_twice_dequantize_bound(problem, vector.expected))
        )
    return vector


def _near(name: str, values: Array, distance: Array, silent: Array) -> dict[str, Array]:
    """Return the ends of the interval around each value, rounded outwards; no ends where there is no verdict."""
    with np.errstate(over="ignore", invalid="ignore"):
        centre = values.astype(np.float64)
        low = np.nextafter((centre - distance).astype(np.float32), np.float32(-np.inf))
        high = np.nextafter((centre + distance).astype(np.float32), np.float32(np.inf))
    none = np.float32(np.inf)
    return {f"{name}_low": np.where(silent, -none, low), f"{name}_high": np.where(silent, none, high)}


def _twice_matmul_bound(problem: Problem, answer: dict[str, Array]) -> tuple[Array, Array, Array]:
    """Return ``out``, 2 n u/(1 - n u) S of each entry, and where there is no verdict."""
    scale, offset = (problem.arrays[name].astype(np.float64) for name in ("scale", "offset"))
    groups = len(scale)
    magnitude = np.einsum("mng,gn->mn", np.abs(answer["acc"].astype(np.float64)), scale)
    magnitude += np.abs(answer["row_sum"].astype(np.float64)) @ np.abs(offset)
    roundings = (2 * groups + 1) * float(UNIT_ROUNDOFF)
    bound = roundings / (1 - roundings) * magnitude * ROOM
    silent = (magnitude * ROOM >= float(NO_VERDICT)) | (groups > VERDICT_GROUPS)
    return answer["out"], 2 * bound, silent


def _twice_dequantize_bound(problem: Problem, answer: dict[str, Array]) -> tuple[Array, Array, Array]:
    """Return ``w``, 2 (u(2+u)|scale gain q| + u|offset|) of each weight, and where there is no verdict."""
    groups = np.array(group_of_rows(problem.k, problem.group_size))
    scale, offset = (problem.arrays[name].astype(np.float64)[groups] for name in ("scale", "offset"))
    gain = np.array([lane_gain(row, problem.narrow_gain) for row in range(2)])[np.arange(problem.k) % 2][:, None]
    u = float(UNIT_ROUNDOFF)
    bound = (u * (2 + u) * np.abs(scale * gain * problem.arrays["q"]) + u * np.abs(offset)) * ROOM
    silent = 8 * scale + np.abs(offset) >= float(NO_VERDICT)
    return answer["w"], 2 * bound, silent
