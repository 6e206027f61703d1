"""Vectors of ``exact_output``: from integers and parameters to the output, its magnitude S and the bound B."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random

from tools.vector_cases import grid
from tools.vector_cases.build import SEED, Fields, Flag, Inputs, Operation, RefusedError
from tools.vector_cases.quantize import random_float

UNITS = 2**149
"""Every float32 is an integer over this."""


def relative_bound(groups: int, roundings: int | None = None) -> Fraction:
    """Return ``n*u / (1 - n*u)`` with u = 2**-24, as ``n / (2**24 - n)``."""
    n = 2 * groups + 1 if roundings is None else roundings
    return Fraction(n, 2**24 - n)


def check_parameters(scale: list[float], offset: list[float]) -> None:
    """Refuse parameters that are not finite, and scales that are not positive."""
    if not all(math.isfinite(s) and s > 0 for s in scale):
        raise RefusedError("scale")
    if not all(map(math.isfinite, offset)):
        raise RefusedError("offset")


def _products(
    acc: list[int], row_sum: list[int], scale: list[float], offset: list[float]
) -> list[tuple[Fraction, Fraction]]:
    """The two products of each group, in whole units of 2**-149."""
    scale_units, offset_units = ([int(Fraction(x) * UNITS) for x in values] for values in (scale, offset))
    scaled = [Fraction(units * integer, UNITS) for units, integer in zip(scale_units, acc, strict=True)]
    shifted = [Fraction(units * total, UNITS) for units, total in zip(offset_units, row_sum, strict=True)]
    return list(zip(scaled, shifted, strict=True))


def _fields(products: list[tuple[Fraction, Fraction]]) -> Fields:
    magnitude = sum((abs(term) for pair in products for term in pair), Fraction(0))
    exact = sum((term for pair in products for term in pair), Fraction(0))
    return {"exact": exact, "magnitude": magnitude, "bound": relative_bound(len(products)) * magnitude}


def _define(acc: list[int], row_sum: list[int], scale: list[float], offset: list[float]) -> Fields:
    for name, values in (("row_sums", row_sum), ("scale", scale), ("offset", offset)):
        if len(values) != len(acc):
            raise RefusedError(name)
    check_parameters(scale, offset)
    return _fields(_products(acc, row_sum, scale, offset))


def _with(
    change: Callable[
        [list[int], list[int], list[float], list[float]], tuple[list[int], list[int], list[float], list[float]]
    ],
) -> Callable[..., Fields]:
    """A faulty variant that is exact on changed arguments."""

    def faulty(acc: list[int], row_sum: list[int], scale: list[float], offset: list[float]) -> Fields:
        return _fields(_products(*change(acc, row_sum, scale, offset)))

    return faulty


def _offset_in_steps(acc: list[int], row_sum: list[int], scale: list[float], offset: list[float]) -> Fields:
    products = _products(acc, row_sum, scale, offset)
    return _fields([(a, Fraction(s) * b) for (a, b), s in zip(products, scale, strict=True)])


def _magnitude_of_sum(acc: list[int], row_sum: list[int], scale: list[float], offset: list[float]) -> Fields:
    right = _define(acc, row_sum, scale, offset)
    return {**right, "magnitude": abs(right["exact"]), "bound": relative_bound(len(acc)) * abs(right["exact"])}


def _few_roundings(acc: list[int], row_sum: list[int], scale: list[float], offset: list[float]) -> Fields:
    right = _define(acc, row_sum, scale, offset)
    return {**right, "bound": relative_bound(len(acc), len(acc) + 1) * right["magnitude"]}


def _inputs() -> Iterator[tuple[str, Inputs]]:
    def case(acc: list[int], row_sum: list[int], scale: list[float], offset: list[float]) -> Inputs:
        return {"acc": acc, "row_sum": row_sum, "scale": scale, "offset": offset}

    random = Random(f"exact_output {SEED}")
    for low, high, reach in ((-8, 4, 2**12), (-8, 4, 2**31), (-149, -120, 2**20), (60, 95, 2**31)):
        for number in range(14):
            count = 1 + number % 4
            acc = [random.randrange(1 - reach, reach) for _ in range(count)]
            row_sum = [random.randrange(-(reach // 8), reach // 8) for _ in range(count)]
            scale, offset = (
                [float(grid.nearest(Fraction(random_float(random, low, high)))) for _ in range(count)] for _ in "so"
            )
            signed = [x * (1 - 2 * random.randrange(2)) for x in offset]
            yield f"random_{low}_{high}".replace("-", "m"), case(acc, row_sum, scale, signed)
    largest, longest = float(grid.entry(grid.INFINITY - 1)), 2**31 - 1024
    yield "no_verdict", case([longest], [-(2**28) + 128], [largest], [largest])
    yield "no_verdict", case([1, -1], [0, 0], [largest, largest], [0.0, 0.0])
    yield "cancels", case([5], [-5], [0.75], [0.75])
    yield "cancels", case([2**24 + 1, -(2**24 + 1)], [1, 1], [1.0, 1.0], [-0.5, 0.5])
    yield "zero", case([0], [0], [1.0], [1.0])
    yield "smallest", case([1], [-1], [2.0**-149], [2.0**-149])
    for acc, row_sum, scale, offset in (
        ([1], [1, 2], [1.0], [0.0]), ([1], [1], [1.0, 1.0], [0.0]), ([1, 2], [1, 2], [1.0, 1.0], [0.0]),
        ([1], [1], [0.0], [0.0]), ([1], [1], [-1.0], [0.0]), ([1], [1], [float("nan")], [0.0]),
        ([1], [1], [1.0], [float("inf")]), ([1, 1], [1, 1], [1.0, float("inf")], [0.0, 0.0]),
    ):  # fmt: skip
        yield "refused", case(acc, row_sum, scale, offset)


OPERATIONS = (
    Operation(
        "exact_output",
        "exact = sum of scale * acc + offset * row_sum; magnitude S = sum of abs of each product; "
        "bound B = n*u / (1 - n*u) * S, n = 2G + 1, u = 2**-24; no verdict where S >= 2**127",
        _define,
        {
            "row_sum_dropped": Flag(
                "the offset's share is left out",
                "outputs are off by offset * row_sum",
                _with(lambda acc, row_sum, scale, offset: (acc, [0] * len(acc), scale, offset)),
            ),
            "row_sum_unused": Flag(
                "the offset is added once a group, not once a row",
                "outputs are shifted",
                _with(lambda acc, row_sum, scale, offset: (acc, [1] * len(acc), scale, offset)),
            ),
            "offset_in_steps": Flag(
                "the offset is taken for an integer zero-point and scaled", "outputs are shifted", _offset_in_steps
            ),
            "first_scale": Flag(
                "the first group's scale is used for all",
                "later groups have the wrong weight",
                _with(lambda acc, row_sum, scale, offset: (acc, row_sum, [scale[0]] * len(acc), offset)),
            ),
            "first_offset": Flag(
                "the first group's offset is used for all",
                "later groups are shifted",
                _with(lambda acc, row_sum, scale, offset: (acc, row_sum, scale, [offset[0]] * len(acc))),
            ),
            "magnitude_of_sum": Flag(
                "S is the magnitude of the sum", "outputs that cancel seem wrong", _magnitude_of_sum
            ),
            "few_roundings": Flag(
                "the bound counts G + 1 roundings", "correct evaluations may seem wrong", _few_roundings
            ),
        },
        _inputs,
    ),
)
