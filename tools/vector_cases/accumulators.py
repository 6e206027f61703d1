"""Vectors of ``accumulate`` and ``accumulator_bound``: patterns that repeat up to the longest legal group."""

from collections.abc import Callable, Iterator
from math import lcm
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.vector_cases.build import SEED, Fields, Flag, Inputs, Operation
from tools.vector_cases.codec import NARROW, WIDE
from tools.vector_cases.lanes import LONGEST_GROUP
from tools.vector_cases.quantizer import gain

Int64 = NDArray[np.int64]


def _accumulate(
    rows: int, activation_pattern: list[int], column_pattern: list[int], narrow_gain: int, first_row: int
) -> Fields:
    """Each place of the common period occurs a known number of times: nothing is summed row by row."""
    period = lcm(len(activation_pattern), len(column_pattern), 2)
    acc = total = 0
    for place in range(min(period, rows)):
        times = len(range(place, rows, period))
        a, q = activation_pattern[place % len(activation_pattern)], column_pattern[place % len(column_pattern)]
        acc += times * a * q * gain(first_row + place, narrow_gain)
        total += times * a
    return {"acc": acc, "row_sum": total}


def _wrap(value: int, bits: int) -> int:
    half = 1 << bits - 1
    return (value + half) % (2 * half) - half


def _summed(
    activation: Callable[[Int64], Int64] = lambda a: a,
    gains: Callable[[Int64, int, int], Any] = lambda row, first, g: np.where((row + first) % 2, g, 1),
    total: Callable[[Int64], int] = lambda products: int(products.sum()),
) -> Callable[..., Fields]:
    """A variant that sums row by row, with one of its parts exchanged."""

    def variant(
        rows: int, activation_pattern: list[int], column_pattern: list[int], narrow_gain: int, first_row: int
    ) -> Fields:
        row = np.arange(rows)
        a = activation(np.array(activation_pattern)[row % len(activation_pattern)])
        q = np.array(column_pattern)[row % len(column_pattern)]
        products = gains(row, first_row, narrow_gain) * a * q
        return {"acc": total(products), "row_sum": total(a)}

    return variant


def _in_float32(values: Int64) -> int:
    return int(np.cumsum(values.astype(np.float32), dtype=np.float32)[-1])


def _accumulate_inputs() -> Iterator[tuple[str, Inputs]]:
    def case(rows: int, a: list[int], q: list[int], g: int, first_row: int = 0) -> Inputs:
        return {
            "rows": rows, "activation_pattern": a, "column_pattern": q, "narrow_gain": g, "first_row": first_row,
        }  # fmt: skip

    yield "longest", case(LONGEST_GROUP, [-128], [-8, -4], 2)  # once: it takes the reference most of a second
    for rows in (1, 2, 31, 32, 33, 63, 64, 65, 1024):  # around the end of int16
        for a, q in (([-128], [-8, -4]), ([127], [-8, -4]), ([-128], [7, 3]), ([127, -128], [7, -4])):
            yield "extreme", case(rows, a, q, 2)
            yield "extreme", case(rows, a, q, 1)
    for rows in (16385, 32769):  # around the end of float32's integers
        yield "extreme", case(rows, [-127, -128], [-7, -4], 2)
        yield "extreme", case(rows, [127, -128], [-7, 3], 1)
    random = Random(f"accumulate {SEED}")
    for number in range(60):
        rows, first_row = random.randrange(1, 200), random.randrange(0, 4)
        a = [random.randrange(-128, 128) for _ in range(random.randrange(1, 9))]
        q = [(WIDE, NARROW)[(first_row + i) % 2][random.randrange(8)] for i in range(2 * random.randrange(1, 5))]
        yield "random", case(rows, a, q, 1 + number % 2, first_row)


def _bound(wide: int = 8, narrow: int = 4, activation: int = 128) -> Callable[..., Fields]:
    def variant(rows: int, narrow_gain: int) -> Fields:
        wide_rows, narrow_rows = len(range(0, rows, 2)), len(range(1, rows, 2))
        return {"bound": activation * (wide * wide_rows + narrow_gain * narrow * narrow_rows)}

    return variant


def _bound_inputs() -> Iterator[tuple[str, Inputs]]:
    for g in (1, 2):
        for rows in (0, 1, 2, 3, 15, 16, 17, 128, 4095, 4096, LONGEST_GROUP - 1, LONGEST_GROUP, LONGEST_GROUP + 1):
            yield "rows", {"rows": rows, "narrow_gain": g}
        for rows in (2_796_202, 2_796_203, 2**40 - 1):
            yield "beyond", {"rows": rows, "narrow_gain": g}


OPERATIONS = (
    Operation(
        "accumulate",
        "acc = sum of gain * a * q and row_sum = sum of a over rows first_row, first_row + 1, ...; "
        "activations and integers repeat their patterns",
        _accumulate,
        {
            "gain_ignored": Flag(
                "narrow products count once",
                "half of each narrow row's share is missing",
                _summed(gains=lambda row, first, g: 1),
            ),
            "gain_everywhere": Flag(
                "wide products get the narrow lane's gain",
                "wide rows count twice",
                _summed(gains=lambda row, first, g: g),
            ),
            "parity_restarts": Flag(
                "lanes are counted from the first row given",
                "a run that begins in an odd row has its lanes swapped",
                _summed(gains=lambda row, first, g: np.where(row % 2, g, 1)),
            ),
            "activations_unsigned": Flag(
                "activations are read as 0 .. 255", "negative activations turn large", _summed(lambda a: a % 256)
            ),
            "minus_128_lost": Flag(
                "-128 is read as -127", "results with that activation differ", _summed(lambda a: np.maximum(a, -127))
            ),
            "last_row_dropped": Flag(
                "the last row is left out",
                "acc and row_sum lack its share",
                _summed(total=lambda values: int(values[:-1].sum())),
            ),
            "int16": Flag(
                "sums are kept in 16 bits",
                "they wrap around from 32 rows on",
                _summed(total=lambda values: _wrap(int(values.sum()), 16)),
            ),
            "float32": Flag(
                "sums are kept in float32", "they stop being exact beyond 2**24", _summed(total=_in_float32)
            ),
        },
        _accumulate_inputs,
    ),
    Operation(
        "accumulator_bound",
        "the largest magnitude of an accumulator over so many rows from an even one on",
        _bound(),
        {
            "gain_ignored": Flag(
                "narrow rows count with gain 1",
                "groups that overflow seem safe",
                lambda rows, narrow_gain: _bound()(rows, 1),
            ),
            "minus_128_ignored": Flag(
                "activations are taken to reach 127 only", "groups that overflow seem safe", _bound(activation=127)
            ),
            "positive_ends": Flag(
                "the lanes are taken to reach 7 and 3 only", "groups that overflow seem safe", _bound(wide=7, narrow=3)
            ),
            "wide_everywhere": Flag(
                "every row is taken for a wide one",
                "legal groups with gain 1 seem to overflow",
                lambda rows, narrow_gain: {"bound": 1024 * rows},
            ),
        },
        _bound_inputs,
    ),
)
