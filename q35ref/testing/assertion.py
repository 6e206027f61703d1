"""Judging one call of a kernel, as the oracle does."""

from q35ref.backends import OPERATIONS
from q35ref.oracle.calls import call, judge
from q35ref.oracle.judge import BEHAVIOUR, REFUSAL, RULES, Absent, Mismatch, Rule
from q35ref.oracle.problem import Problem
from q35ref.oracle.report import ConformanceError


def assert_matches_reference(kernel: object, problem: Problem) -> None:
    """Call a kernel on a problem, and raise if the result breaks any rule of the operation.

    A result that the kernel leaves out (None, in a matmul) is not judged; if it leaves out all of them, that is a
    failure. ``dequantize.exact`` binds only kernels with ``correctly_rounded = True``. Weights that are not finite
    must be refused with an exception.

    Errors: AssertionError (:class:`q35ref.oracle.ConformanceError`) with the place, what was given, what was
    expected and code that repeats it; TypeError if the kernel lacks the operation, ValueError for a problem that
    the format does not allow: neither says anything about the kernel's results.

    >>> import numpy as np
    >>> from q35ref.backends import get
    >>> q = np.array([[5], [-2]], np.int8)
    >>> assert_matches_reference(get("numpy"), Problem("pack", 2, {"q": q}))
    """
    operation = problem.operation
    if operation not in OPERATIONS or not callable(getattr(kernel, operation, None)):
        raise TypeError(f"the kernel ({type(kernel).__name__}) has no {operation}")
    if not problem.legal():
        raise ValueError(f"the format does not allow this input of {operation}")
    outcome = call(kernel, problem)
    broken: list[tuple[Rule, Mismatch]] = [(BEHAVIOUR[operation], fault) for fault in outcome.faults]
    absent = []
    rules = rules_for(kernel, problem)
    for rule in rules:
        try:
            mismatch = judge(rule, problem, outcome).mismatch
        except Absent:
            absent.append(rule.name)
            continue
        if mismatch is not None:
            broken.append((rule, mismatch))
    if len(absent) == len(rules):
        raise ConformanceError(f"{operation}: nothing was judged, the kernel returned None for {', '.join(absent)}")
    if broken:
        raise ConformanceError("\n".join([*(_told(*each) for each in broken), "Again:", *_indented(problem.code())]))


def rules_for(kernel: object, problem: Problem) -> list[Rule]:
    """Return the rules that bind a kernel's call on a problem."""
    if problem.refusal:
        return [REFUSAL]
    exact = bool(getattr(kernel, "correctly_rounded", False))
    return [rule for rule in RULES if rule.operation == problem.operation and (exact or not rule.correctly_rounded)]


def _told(rule: Rule, mismatch: Mismatch) -> str:
    return "\n".join(
        [
            f"{rule.name}: {rule.promise}",
            f"  {mismatch.kind}: {mismatch.place}",
            f"    got       {mismatch.got}",
            f"    expected  {mismatch.expected}",
        ]
    )


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]
