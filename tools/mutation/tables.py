"""Tables of a record as rows of text: the command prints them, the page shows them."""

from collections.abc import Mapping
from typing import Final

from tools.bench.tables import Grid
from tools.mutation.mutant import Key
from tools.mutation.record import Counts, PartRecord, Record, faults, score

HEADINGS: Final = ["mutants", "run", "killed", "stopped", "invalid", "not run here", "same machine code", "survived"]


def cells(counts: Counts) -> list[str]:
    """Return a row's numbers."""
    numbers = (counts.places, counts.run, counts.killed, counts.stopped, counts.invalid, counts.absent)
    return [f"{number:,}" for number in (*numbers, counts.same_code, counts.survived)]


def summary(record: Record, equivalent: Mapping[Key, str]) -> Grid:
    """Return a row for each part."""
    rows = []
    for name, part in record.parts.items():
        open_now = len(faults(part, equivalent))
        explained = part.total.survived - open_now
        share = f"{100 * score(part, equivalent):.1f}%" if part.total.dead + open_now else "none to notice"
        rows.append([name, *cells(part.total), str(explained), str(open_now), share])
    return Grid("Mutants", ["part", *HEADINGS, "of them equivalent", "unexplained", "score"], rows, 1)


def files(part: PartRecord) -> Grid:
    """Return a row for each file of a part."""
    rows = [[name, *cells(counts)] for name, counts in part.files.items()]
    return Grid("Files", ["file", *HEADINGS], rows, 1)
