"""Bug classes, each as a kernel that has exactly that bug.

The same kernels are the planted faults that show that the checks fire:
``q35ref check python:q35ref.oracle.bugs:Wraps`` fails.
"""

from q35ref.oracle.bugs import behaviours, codes, matmuls, quantizers
from q35ref.oracle.bugs.base import Bug
from q35ref.oracle.bugs.explain import explain as _explain
from q35ref.oracle.calls import Outcome
from q35ref.oracle.judge import REFUSAL, Rule
from q35ref.oracle.problem import Problem

BUGS: dict[str, type[Bug]] = {
    name: found
    for module in (codes, quantizers, matmuls, behaviours)
    for name, found in vars(module).items()
    if isinstance(found, type)
    and issubclass(found, Bug)
    and not name.startswith("_")
    and found not in (Bug, behaviours.Behaviour)
}
"""Every bug class by its name."""

KERNELS: dict[str, type[Bug]] = {name: bug for name, bug in BUGS.items() if not issubclass(bug, behaviours.Behaviour)}
"""Those whose kernel gives wrong results."""


def explain(rule: Rule, calls: list[tuple[Problem, Outcome]]) -> tuple[str, ...]:
    """Return the bug classes that are consistent with the calls, the likeliest first."""
    if rule is REFUSAL:
        return ("AcceptsNan",)
    return _explain(rule, calls, KERNELS.values())


def __getattr__(name: str) -> type[Bug]:
    if name in BUGS:
        return BUGS[name]
    raise AttributeError(name)


__all__ = ["BUGS", "KERNELS", "Bug", "explain"]
