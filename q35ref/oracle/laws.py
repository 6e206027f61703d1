"""The checks of the reference itself, which no comparison with itself could fail.

The laws of :mod:`q35ref.contracts` and the contracts in the reference's docstrings run on it, and the committed
vectors are replayed, whose expected values were computed by other definitions.
"""

import time
from collections.abc import Callable, Iterator

from q35ref import contracts, vectors
from q35ref.oracle.report import Finding, Result

CASES = {1: 300, 2: 3000, 3: 20_000}
"""Sampled cases of each law by level; small domains are always run through."""

PACKAGE = "q35ref."
"""What the names of all laws begin with; it is not printed."""


def reference_results(
    level: int, seed: int, wanted: Callable[[str], bool], command: Callable[[str], str]
) -> Iterator[Result]:
    """Yield a result for every law and every vector file that is wanted."""
    begun = time.perf_counter()
    chosen = [law for law in contracts.all_contracts() if wanted(law_name(law.name))]
    for law in contracts.run_all(seed, CASES[level], chosen) if chosen else ():
        name = law_name(law.name)
        seconds, begun = time.perf_counter() - begun, time.perf_counter()
        how = "every case" if law.exhausted else "a seeded sample"
        finding = None
        if law.violation is not None:
            found = law.violation
            finding = Finding("law", str(found.arguments), found.message, "the law", found.code, command(name))
        yield Result(
            name,
            "law",
            f"holds for {how}",
            "passed" if finding is None else "failed",
            law.cases,
            failures=0 if finding is None else 1,
            findings=() if finding is None else (finding,),
            seconds=seconds,
        )
    begun = time.perf_counter()
    operations = [operation for operation in vectors.OPERATIONS if wanted(f"vectors.{operation}")]
    for replayed in vectors.replay(operations):
        name = f"vectors.{replayed.name}"
        seconds, begun = time.perf_counter() - begun, time.perf_counter()
        finding = None
        if replayed.failures:
            first = replayed.failures[0]
            finding = Finding(
                "vector",
                first.id,
                str(first.got),
                str(first.expected),
                first.code,
                command(name),
                tuple(first.flags),
            )
        yield Result(
            name,
            "vectors",
            "gives what the committed vectors expect",
            "passed" if finding is None else "failed",
            replayed.cases,
            failures=len(replayed.failures),
            findings=() if finding is None else (finding,),
            seconds=seconds,
        )


def law_name(contract: str) -> str:
    """Return the name of the check of a contract."""
    return f"law.{contract.removeprefix(PACKAGE)}"
