"""Tables of a record as rows of text: the command prints them, the page shows them."""

from collections.abc import Sequence
from statistics import median
from typing import Final

from tools.bench.tables import Grid
from tools.planted.record import Correct, Planted, Record

SLOW: Final = 5.0
"""Seconds within which a first finding is wanted."""


def seconds(runs: Sequence[Planted]) -> list[float]:
    """Return the times of the first findings, in order."""
    return sorted(run.first_seconds for run in runs if run.first_seconds is not None)


def sets(record: Record) -> dict[str, list[Planted]]:
    """Return the planted kernels by language, and variants apart."""
    found = {
        "C": [run for run in record.planted if run.language == "C"],
        "Python": [run for run in record.planted if run.language == "Python" and not run.variant],
        "Python, variants": [run for run in record.planted if run.variant],
    }
    return {name: runs for name, runs in found.items() if runs}


def summary(record: Record) -> Grid:
    """Return how many were caught and named, and how soon."""
    rows = []
    for name, runs in sets(record).items():
        times = seconds(runs)
        rows.append(
            [
                name,
                str(len(runs)),
                str(sum(run.caught for run in runs)),
                str(sum(run.named for run in runs)),
                str(sum(run.named_throughout for run in runs)),
                f"{median(times):.1f}" if times else "",
                f"{times[-1]:.1f}" if times else "",
                str(sum(time > SLOW for time in times)),
            ]
        )
    headings = [
        *("set", "kernels", "caught", "named by the first finding", "by all findings together"),
        *("median s", "slowest s", f"later than {SLOW:g} s"),
    ]
    return Grid("Planted bugs", headings, rows, 1)


def named(run: Planted | None) -> str:
    """Return the classes that the first finding names."""
    if run is None:
        return ""
    if not run.caught:
        return "not caught"
    return ", ".join(run.findings[0].bugs) or "none"


def first_seconds(run: Planted | None) -> str:
    """Return when the first finding came."""
    return "" if run is None or run.first_seconds is None else f"{run.first_seconds:.1f}"


def input_size(run: Planted | None) -> str:
    """Return the size of the smallest input of the first finding."""
    return str(run.findings[0].input_size) if run is not None and run.findings else ""


def classes(record: Record) -> Grid:
    """Return a row for each class: its kernel in C beside that in Python."""
    found = {(run.language, run.bug): run for run in record.planted if not run.variant}
    rows = []
    for bug in sorted({bug for _, bug in found}):
        both = [found.get((language, bug)) for language in ("C", "Python")]
        rows.append([bug, *map(named, both), *map(first_seconds, both), *map(input_size, both)])
    headings = [f"{language}: {what}" for what in ("named", "s", "input") for language in ("C", "Python")]
    return Grid("Every class", ["class", *headings], rows, 3)


def variants(record: Record) -> Grid:
    """Return a row for each variant."""
    found = sorted((run for run in record.planted if run.variant), key=lambda run: (run.bug, run.name))
    rows = [[run.bug or "none", run.name, named(run), first_seconds(run), input_size(run)] for run in found]
    return Grid("Variants", ["class", "kernel", "named", "s", "input"], rows, 3)


def correct(record: Record) -> Grid:
    """Return a row for each language and level: the runs with all seeds together."""
    groups: dict[tuple[str, int], list[Correct]] = {}
    for run in record.correct:
        groups.setdefault((run.language, run.level), []).append(run)
    rows = [
        [
            language,
            str(level),
            spans([run.seed for run in runs]),
            f"{sum(run.conforms for run in runs)} of {len(runs)}",
            str(sum(run.findings for run in runs)),
            spans([run.passed for run in runs]),
            spans([run.not_checked for run in runs]),
            f"{sum(run.cases for run in runs):,}",
            f"{sum(run.numbers for run in runs):,}",
            f"{median(run.seconds for run in runs):.1f}",
        ]
        for (language, level), runs in groups.items()
    ]
    headings = [
        *("language", "level", "seeds", "conform", "findings", "checks passed", "not checked", "cases", "numbers"),
        "s a run",
    ]
    return Grid("Correct kernels", headings, rows, 1)


def spans(numbers: Sequence[int]) -> str:
    """Return numbers as the least and the greatest of them.

    >>> spans([3, 1, 2]), spans([6, 6])
    ('1 to 3', '6')
    """
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
