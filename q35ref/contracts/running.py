"""Running contracts on many arguments: all of them where they are few, else a seeded sample."""

import importlib
import pkgutil
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

from q35ref import contracts, reference
from q35ref.contracts.choosers import Recorder, Replayer, Sampler, every
from q35ref.contracts.contract import Arguments, Contract, Value, Violation, read_module
from q35ref.contracts.domain import Domain, Rejected, domain_of

EXHAUST_LIMIT = 2**12
"""A domain is exhausted if it has at most this many arguments, or as many as a sample would."""

PATIENCE = 20
"""How many samples may be drawn for each one that the ``pre:`` lines must accept."""

SHRINK_BUDGET = 1000
"""How many smaller arguments are tried on a violated contract."""


@dataclass(frozen=True)
class Outcome:
    """What running a contract showed."""

    name: str
    cases: int
    """How many arguments the contract was checked on."""
    exhausted: bool
    """Whether these were all that there are."""
    violation: Violation | None
    """The smallest that was found. A contract that nothing could be checked on is violated, with no arguments."""


def modules_of(package: ModuleType) -> list[ModuleType]:
    """Return a package's modules, in the order of their names."""
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."))
    return [importlib.import_module(name) for name in names if not name.endswith("__main__")]


def reference_contracts() -> list[Contract]:
    """Return the contracts in the reference's docstrings."""
    return [contract for module in modules_of(reference) for contract in read_module(module)]


def laws() -> list[Contract]:
    """Return the laws across functions that this package states."""
    return [contract for module in modules_of(contracts) for contract in read_module(module)]


def all_contracts() -> list[Contract]:
    """Return every contract: the reference's own, then the laws across its functions."""
    return reference_contracts() + laws()


def check(name: str, **arguments: Value) -> Violation | None:
    """Repeat one case: check the contract called ``name`` on some arguments.

    Errors: LookupError for an unknown name, ValueError for arguments that a ``pre:`` refuses.

    >>> check("q35ref.contracts.codec.unpack_pair_inverts_pack_pair", wide=5, narrow=-2) is None
    True
    """
    contract = next((found for found in all_contracts() if found.name == name), None)
    if contract is None:
        raise LookupError(f"no contract is called {name}")
    if not contract.accepts(arguments):
        raise ValueError(f"{name}: a pre: refuses {arguments}")
    return contract.check(arguments)


def run_all(seed: int, count: int, contracts: Sequence[Contract] | None = None) -> Iterator[Outcome]:
    """Run every contract, or those given, on ``count`` arguments each, or on all if they are few.

    Errors: RuntimeError if there is none to run, or Python was told to ignore assertions.
    """
    chosen = all_contracts() if contracts is None else contracts
    if not chosen:
        raise RuntimeError("there is no contract to run")
    for contract in chosen:
        yield run(contract, seed, count)


def run(contract: Contract, seed: int, count: int) -> Outcome:
    """Run one contract. A sample depends on the seed and on the contract's name, on nothing else."""
    if not __debug__:
        raise RuntimeError("the laws are functions of asserts: run them without -O")
    domain = domain_of(contract)
    complete = every(domain, max(count, EXHAUST_LIMIT))
    accepted = [] if complete is None else [arguments for arguments in complete if contract.accepts(arguments)]
    if complete is not None and accepted:
        violations = (contract.check(arguments) for arguments in accepted)
        violation = next((found for found in violations if found is not None), None)
        return Outcome(contract.name, len(accepted), exhausted=True, violation=violation)
    return _run_sample(domain, random.Random(f"{seed} {contract.name}"), count)


def _run_sample(domain: Domain, rng: random.Random, count: int) -> Outcome:
    contract = domain.contract
    cases = 0
    for _ in range(PATIENCE * count):
        recorder = Recorder(Sampler(rng))
        arguments = _accepted(domain, recorder)
        if arguments is None:
            continue
        cases += 1
        violation = contract.check(arguments)
        if violation is not None:
            return Outcome(contract.name, cases, exhausted=False, violation=shrink(domain, recorder.choices, violation))
        if cases == count:
            return Outcome(contract.name, cases, exhausted=False, violation=None)
    starved = f"nothing is shown: {cases} of {PATIENCE * count} samples meet the pre: lines, {count} must"
    return Outcome(contract.name, cases, exhausted=False, violation=Violation(contract.name, {}, starved))


def _accepted(domain: Domain, choose: Recorder | Replayer) -> Arguments | None:
    """Return arguments that every ``pre:`` accepts, or None if those that ``choose`` leads to are not."""
    try:
        arguments = domain.arguments(choose)
    except Rejected:
        return None
    return arguments if domain.contract.accepts(arguments) else None


def shrink(domain: Domain, choices: Sequence[int], violation: Violation) -> Violation:
    """Return a violation whose choices are as few, and as near to zero, as a greedy search finds."""
    best = list(choices)
    budget = SHRINK_BUDGET
    improved = True
    while improved and budget > 0:
        improved = False
        for candidate in _smaller(best):
            budget -= 1
            recorder = Recorder(Replayer(candidate))
            arguments = _accepted(domain, recorder)
            if arguments is None or _size(recorder.choices) >= _size(best):
                continue
            found = domain.contract.check(arguments)
            if found is not None:
                best, violation, improved = recorder.choices, found, True
                break
            if budget <= 0:
                break
    return violation


def _size(choices: Sequence[int]) -> tuple[int, list[tuple[int, bool]]]:
    """Order choices: fewer first, then smaller magnitudes, then positive ones."""
    return len(choices), [(abs(choice), choice < 0) for choice in choices]


def _smaller(choices: Sequence[int]) -> Iterator[list[int]]:
    """Yield simpler choices: one removed (an element, its list's length one less), or one nearer to zero."""
    for position, choice in enumerate(choices):
        before, after = list(choices[:position]), list(choices[position + 1 :])
        for removed in range(len(after)):
            yield [*before, choice - 1, *after[:removed], *after[removed + 1 :]]
        magnitude = abs(choice)
        sign = -1 if choice < 0 else 1
        for smaller in dict.fromkeys((0, 1, sign * (magnitude // 2), sign * (magnitude - 1), magnitude)):
            if smaller != choice:
                yield [*before, smaller, *after]
