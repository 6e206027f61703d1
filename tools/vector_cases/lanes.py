"""Vectors of ``group_rows``: which rows share parameters."""

from collections.abc import Callable, Iterator

from tools.vector_cases.build import Fields, Flag, Inputs, Operation, RefusedError

LONGEST_GROUP = (2**31 - 1) // (128 * 8)
"""Rows of the longest legal group: as many products of 128 * 8 as int32 holds."""


def _group_of(row: int, group_size: int) -> int:
    return 0 if group_size == 0 else row // group_size


def _define(k: int, group_size: int) -> Fields:
    if not 1 <= k < 2**63:
        raise RefusedError("k")
    if group_size < 0 or group_size % 16 != 0:
        raise RefusedError("group_size")
    if (k if group_size == 0 else min(k, group_size)) > LONGEST_GROUP:
        raise RefusedError("group_size")
    if k > 1000:  # too many rows to ask each for its group
        return {"groups": [[start, min(k, start + (group_size or k))] for start in range(0, k, group_size or k)]}
    members: dict[int, list[int]] = {}
    for row in range(k):
        members.setdefault(_group_of(row, group_size), []).append(row)
    return {"groups": [[rows[0], rows[-1] + 1] for rows in members.values()]}


def _cut(length: Callable[[int, int], int], keep_short: bool = True) -> Callable[..., Fields]:
    """A faulty variant: groups of another length, or without the last short one."""

    def faulty(k: int, group_size: int) -> Fields:
        step = length(k, group_size)
        groups = [[start, min(k, start + step)] for start in range(0, k, step)]
        return {"groups": groups if keep_short else [rows for rows in groups if rows[1] - rows[0] == step]}

    return faulty


def _inputs() -> Iterator[tuple[str, Inputs]]:
    for k in (1, 2, 15, 16, 17, 31, 32, 33, 40, 48, 63, 64, 65, 129):
        for group_size in (0, 16, 32, 48, 64, 128):
            yield "split", {"k": k, "group_size": group_size}
    yield "longest", {"k": LONGEST_GROUP, "group_size": 0}
    yield "longest", {"k": LONGEST_GROUP, "group_size": LONGEST_GROUP + 1}
    yield "longest", {"k": LONGEST_GROUP + 1, "group_size": LONGEST_GROUP - 15}
    for k, group_size in (
        (0, 16), (-1, 16), (16, -16), (16, 8), (16, 24), (16, 1), (LONGEST_GROUP + 1, 0),
        (LONGEST_GROUP + 1, LONGEST_GROUP + 1), (LONGEST_GROUP + 16, LONGEST_GROUP + 17),
    ):  # fmt: skip
        yield "refused", {"k": k, "group_size": group_size}


OPERATIONS = (
    Operation(
        "group_rows",
        "the groups of a column as [first row, row after the last]; group_size 0 is the whole column",
        _define,
        {
            "boundary_off_by_one": Flag(
                "each group takes one row too many",
                "the first row of every later group uses its neighbour's parameters",
                _cut(lambda k, group_size: group_size + 1 if 0 < group_size < k else k),
            ),
            "short_group_dropped": Flag(
                "a last group that is not full is left out",
                "the last rows are missing from every result",
                _cut(lambda k, group_size: group_size or k, keep_short=False),
            ),
            "one_group": Flag(
                "the group size is ignored", "all rows use the first group's parameters", _cut(lambda k, group_size: k)
            ),
            "size_unchecked": Flag(
                "illegal sizes are accepted",
                "int32 accumulators overflow, or a dense group does not end on a byte",
                _cut(lambda k, group_size: group_size if 0 < group_size < k else k),
                lenient=True,
            ),
        },
        _inputs,
    ),
)
