"""Which bug classes a kernel's results are consistent with.

A class is a kernel that is wrong in one way. On each call at hand, those that broke the rule and some that kept it, its
result is laid beside the target's: of the numbers that either has wrong, the share in which both give the same wrong
number is the class's likeness. Exactly the same bug has likeness 1, up to how wrong floats are rounded.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from q35ref.oracle.bugs.base import Bug
from q35ref.oracle.calls import Outcome, call, judged_part
from q35ref.oracle.judge import Rule
from q35ref.oracle.problem import Problem
from q35ref.reference.matmul import NO_VERDICT, VERDICT_GROUPS, Output

LEAST: Final = 0.5
"""Likeness below which a class explains nothing."""

CLOSE: Final = 0.95
"""Share of the best likeness that a second class must reach to be named too."""

WORK: Final = 40_000
"""Numbers that the calls at hand may work on together."""

FEWEST: Final = 3
"""Calls that are looked at however long they are."""

MOST: Final = 2
"""Classes that are named."""

MANY: Final = 100
"""Wrong numbers, of the target's or a class's own, after more of which a class that is hardly like it is given up."""

PARTS: Final = {
    "calibrate": ("scale", "offset"),
    "quantize_activations": ("scale", "integers"),
    "matmul": ("acc", "row_sum", "out"),
}
"""The order of the results that an operation returns together, by the names of the rules about them."""


def explain(rule: Rule, calls: list[tuple[Problem, Outcome]], bugs: Iterable[type[Bug]]) -> tuple[str, ...]:
    """Return the classes that are most like the target on these calls, the likeliest first."""
    seen = [_Seen(rule, problem, outcome) for problem, outcome in _affordable(map(_judged, calls))]
    ranked = []
    for bug in bugs:
        if rule.operation in bug.operations:
            likeness = max(_likeness(variant, seen) for variant in bug.variants())
            ranked.append((likeness, bug.__name__))
    ranked.sort(key=lambda found: -found[0])
    least = max([LEAST, *(CLOSE * likeness for likeness, _ in ranked)])
    return tuple(name for likeness, name in ranked if likeness >= least)[:MOST]


def _judged(made: tuple[Problem, Outcome]) -> tuple[Problem, Outcome]:
    """Return a call, cut to the part that is judged."""
    problem, result = judged_part(made[0], made[1].result)
    return problem, replace(made[1], result=result)


def _affordable(calls: Iterable[tuple[Problem, Outcome]]) -> list[tuple[Problem, Outcome]]:
    """Return the smallest calls, as many as are quickly made once more by every class."""
    taken: list[tuple[Problem, Outcome]] = []
    left = WORK
    for problem, outcome in sorted(calls, key=lambda made: made[0].size):
        if len(taken) >= FEWEST and problem.size > left:
            break
        taken.append((problem, outcome))
        left -= problem.size
    return taken


class _Seen:
    """A call's numbers, and which of them are wrong."""

    def __init__(self, rule: Rule, problem: Problem, outcome: Outcome) -> None:
        self.rule, self.problem = rule, problem
        self.right, self.tolerance = _expected(rule, problem)
        self.got = self.part(outcome)
        self.wrong = self.is_wrong(self.got)

    def part(self, outcome: Outcome) -> Any:
        """Return the numbers that the rule is about, or nothing if there are none of the right shape."""
        result = outcome.result
        if isinstance(result, tuple):
            names = PARTS.get(self.rule.operation, ())
            result = result[names.index(self.rule.name.partition(".")[2])] if len(result) == len(names) else None
        fits = type(result) is np.ndarray and result.shape == self.right.shape
        return result.astype(np.float64) if fits else None

    def is_wrong(self, numbers: Any) -> Any:
        """Return where numbers are not what they must be."""
        if numbers is None:
            return np.ones(self.right.shape, bool)
        with np.errstate(invalid="ignore"):
            return ~(abs(numbers - self.right) <= self.tolerance) & ~np.isnan(self.tolerance)

    def alike(self, numbers: Any) -> Any:
        """Return where numbers are the target's."""
        if numbers is None or self.got is None:
            return np.zeros(self.right.shape, bool)
        if not self.rule.name.startswith(("matmul.out", "dequantize")):
            return numbers == self.got
        with np.errstate(invalid="ignore"):
            near = abs(numbers - self.got) <= 2 * np.nan_to_num(self.tolerance) + 1e-5 * abs(self.got)
        return near | (numbers == self.got) | (np.isnan(numbers) & np.isnan(self.got))


def _expected(rule: Rule, problem: Problem) -> tuple[Any, Any]:
    """Return the right numbers, and how far off they may be; NaN where there is no verdict."""
    if rule.operation != "matmul":
        right = problem.expected
        names = PARTS.get(rule.operation)
        part = right if names is None else right[names.index(rule.name.partition(".")[2])]
        exact = part.astype(np.float64)
        loose = 2.0**-22 * abs(exact) if rule.name == "dequantize.bound" else np.zeros(exact.shape)
        return exact, np.where(np.isfinite(exact), loose, np.nan)
    entries = problem.entries
    match rule.name.partition(".")[2]:
        case "acc":
            exact = np.array([[entry.acc for entry in row] for row in entries], np.float64)
        case "row_sum":
            exact = np.array([entry.row_sum for entry, *_ in entries], np.float64)
        case _:
            exact = np.array([[float(entry.exact) for entry in row] for row in entries])
            return exact, np.array([[_bound(entry) for entry in row] for row in entries])
    return exact, np.zeros(exact.shape)


def _bound(entry: Output) -> float:
    """Return how far off an output may be; NaN where there is no verdict."""
    judged = entry.magnitude < NO_VERDICT and len(entry.acc) <= VERDICT_GROUPS
    return float(entry.bound) if judged else np.nan


def _likeness(bug: Bug, seen: list[_Seen]) -> float:
    """Return the share of the numbers that the target or the class has wrong in which both give the same wrong one.

    A class that, of more than :data:`MANY` of them, has given the same in fewer than a quarter of :data:`LEAST`, is
    given up, whatever the calls after.
    """
    same = either = 0
    for at in seen:
        mine = at.part(call(bug, at.problem))
        wrong = at.is_wrong(mine)
        either += int((wrong | at.wrong).sum())
        same += int((wrong & at.wrong & at.alike(mine)).sum())
        if either > MANY and same < either * LEAST / 4:
            break
    return same / either if either else 0.0
