"""Tables of a record as rows of text: the command prints them, the page shows them."""

from collections.abc import Mapping

from tools.bench.tables import Grid
from tools.faults.record import Row


def counted(found: Mapping[str, int]) -> str:
    """Return counts in words.

    >>> counted({"killed": 3, "finished": 1})
    '3 killed, 1 finished'
    """
    return ", ".join(f"{number} {name}" for name, number in found.items())


def table(command: str, rows: tuple[Row, ...]) -> Grid:
    """Return a row for each fault of a command."""
    lines = [
        [
            row.fault,
            row.how,
            counted(row.endings),
            counted(row.destinations),
            str(row.trials),
            str(row.torn),
            str(row.most_left),
            str(row.left_after_next),
            str(len(row.wrong)),
        ]
        for row in rows
        if row.command == command
    ]
    headings = [
        *("fault", "how", "the run", "destination afterwards"),
        *("trials", "torn", "temporary files at once, at most", "after the next run", "wrong"),
    ]
    return Grid(f"q35ref {command}", headings, lines, 4)


def commands(rows: tuple[Row, ...]) -> list[str]:
    """Return the commands, in order."""
    return list(dict.fromkeys(row.command for row in rows))
