"""The conformance oracle: checks written once against the backend protocol, for ours and for everybody's kernels."""

from itertools import islice

from q35ref.oracle.cases import problems
from q35ref.oracle.domain import Domain
from q35ref.oracle.problem import Problem, unfold
from q35ref.oracle.report import ConformanceError, Finding, Report, Result
from q35ref.oracle.run import check
from q35ref.oracle.targets import TargetError, TargetOptions, resolve


def problem(kind: str, *, level: int, seed: int, index: int) -> Problem:
    """Return one of the problems that :func:`check` poses; a long counterexample is written as a call of this.

    >>> problem("pack", level=1, seed=1, index=0).arrays["q"].shape
    (2, 128)
    """
    return next(islice(problems(kind, level, seed), index, None))


__all__ = [
    "ConformanceError",
    "Domain",
    "Finding",
    "Problem",
    "Report",
    "Result",
    "TargetError",
    "TargetOptions",
    "check",
    "problem",
    "problems",
    "resolve",
    "unfold",
]
