"""The laws that span several functions of the reference, and a runner for them and for its docstring contracts.

A law is a function of asserts on integers, with its domain as ``pre:`` lines in its docstring. CrossHair explores
all its paths, Hypothesis and :func:`run_all` run it on arguments derived from the same lines, Lean proves the
universal form. Fractions appear as numerators over a common denominator.

>>> from q35ref import contracts
>>> all(outcome.violation is None for outcome in contracts.run_all(seed=1, count=10))
True
"""

from q35ref.contracts.contract import Contract, ContractError, Violation, read_contracts
from q35ref.contracts.domain import Domain, Rejected, domain_of
from q35ref.contracts.running import Outcome, all_contracts, check, laws, reference_contracts, run, run_all

__all__ = [
    "Contract",
    "ContractError",
    "Domain",
    "Outcome",
    "Rejected",
    "Violation",
    "all_contracts",
    "check",
    "domain_of",
    "laws",
    "read_contracts",
    "reference_contracts",
    "run",
    "run_all",
]
