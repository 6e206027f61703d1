"""Vectors of ``matmul``: packed columns in both layouts, groups, gains, odd K, every activation.

The exact output is defined as the dot product of the activations with the restored weights; the reference adds up
``scale * acc + offset * row_sum``. That the two agree is the theorem ``dot_dequantize_eq``.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random

from tools.vector_cases import grid
from tools.vector_cases.build import SEED, Fields, Flag, Inputs, Operation, RefusedError
from tools.vector_cases.codec import pair_of
from tools.vector_cases.columns import LAYOUTS, packed_bytes
from tools.vector_cases.outputs import check_parameters, relative_bound
from tools.vector_cases.quantize import random_float
from tools.vector_cases.quantizer import gain
from tools.vector_cases.streams import codes_of, padding_is_clear


def _group(row: int, group_size: int) -> int:
    return 0 if group_size == 0 else row // group_size


def _read(packed: str, layout: str, count: int) -> list[int]:
    """Return all integers of the stored codes, an odd column's last narrow field too."""
    content = bytes.fromhex(packed)
    codes = list(content) if layout == "byte" else codes_of(content, count)
    return [q for code in codes for q in pair_of(code)]


def _read_unsigned(packed: str, layout: str, count: int) -> list[int]:
    return [q % (16, 8)[row % 2] for row, q in enumerate(_read(packed, layout, count))]


def _read_swapped(packed: str, layout: str, count: int) -> list[int]:
    integers = _read(packed, layout, count)
    return [integers[row ^ 1] for row in range(len(integers))]


def _evaluate(
    read: Callable[[str, str, int], list[int]] = _read,
    activation: Callable[[int], int] = lambda a: a,
    factor: Callable[[int, int], int] = gain,
    group: Callable[[int, int], int] = _group,
    parameters: Callable[[int], int] = lambda g: g,
    summed_rows: Callable[[int], int] = lambda k: k,
    offset_sum: Callable[[list[int]], int] = sum,
) -> Callable[..., Fields]:
    """The definition, any part of which can be exchanged for a faulty one."""

    def variant(
        activations: list[list[int]], packed: list[str], k: int, layout: str, group_size: int, narrow_gain: int,
        scale: list[list[float]], offset: list[list[float]],
    ) -> Fields:  # fmt: skip
        rows = range(min(summed_rows(k), k))
        members = [[row for row in rows if min(group(row, group_size), len(scale) - 1) == g] for g in range(len(scale))]
        columns = [read(column, layout, -(-k // 2)) for column in packed]
        fields: Fields = {name: [] for name in ("acc", "row_sum", "exact", "magnitude", "bound")}
        for line in activations:
            a = [activation(value) for value in line]
            sums = [offset_sum([a[row] for row in member]) for member in members]
            entries = []
            for j, q in enumerate(columns):
                accs = [sum(factor(row, narrow_gain) * a[row] * q[row] for row in member) for member in members]
                s, b = ([Fraction(values[parameters(g)][j]) for g in range(len(scale))] for values in (scale, offset))
                restored = [  # the dot product with the restored weights, group by group
                    sum((a[row] * (s[g] * factor(row, narrow_gain) * q[row]) for row in member), b[g] * sums[g])
                    for g, member in enumerate(members)
                ]
                magnitude = sum((abs(s[g] * accs[g]) + abs(b[g] * sums[g]) for g in range(len(scale))), Fraction(0))
                bound = relative_bound(len(scale)) * magnitude
                entries.append((accs, sum(restored, Fraction(0)), magnitude, bound))
            fields["row_sum"].append(sums)
            for name, values in zip(("acc", "exact", "magnitude", "bound"), zip(*entries, strict=True), strict=True):
                fields[name].append(list(values))
        return fields

    return variant


def _define(
    activations: list[list[int]], packed: list[str], k: int, layout: str, group_size: int, narrow_gain: int,
    scale: list[list[float]], offset: list[list[float]],
) -> Fields:  # fmt: skip
    count = -(-k // 2)
    for column in map(bytes.fromhex, packed):
        if len(column) != (count if layout == "byte" else -(-7 * count // 8)):
            raise RefusedError("packed")
        if max(column) > 127 if layout == "byte" else not padding_is_clear(column, count):
            raise RefusedError("packed")
    if narrow_gain not in (1, 2):
        raise RefusedError("narrow_gain")
    if any(len(line) != k or not set(line) <= set(range(-128, 128)) for line in activations):
        raise RefusedError("activations")
    if group_size < 0 or group_size % 16:
        raise RefusedError("group_size")
    for name, values in (("scale", scale), ("offset", offset)):
        if len(values) != _group(k - 1, group_size) + 1:
            raise RefusedError(name)
    check_parameters([s for line in scale for s in line], [b for line in offset for b in line])
    return _evaluate()(activations, packed, k, layout, group_size, narrow_gain, scale, offset)


def _case(
    random: Random, m: int, n: int, k: int, layout: str, group_size: int, g: int, exponents: tuple[int, int]
) -> Inputs:
    groups = _group(k - 1, group_size) + 1

    def parameters() -> list[list[float]]:
        return [
            [float(grid.nearest(Fraction(random_float(random, *exponents)))) for _ in range(n)] for _ in range(groups)
        ]

    codes = [[random.randrange(128) for _ in range(-(-k // 2))] for _ in range(n)]
    return {
        "activations": [[random.randrange(-128, 128) for _ in range(k)] for _ in range(m)],
        "packed": [packed_bytes(column, layout).hex() for column in codes],
        "k": k, "layout": layout, "group_size": group_size, "narrow_gain": g,
        "scale": parameters(), "offset": [[x * (1 - 2 * random.randrange(2)) for x in line] for line in parameters()],
    }  # fmt: skip


def _inputs() -> Iterator[tuple[str, Inputs]]:
    random = Random(f"matmul {SEED}")
    for k, group_size in ((1, 0), (1, 16), (2, 0), (3, 0), (7, 16), (16, 16), (17, 16), (31, 16), (32, 16), (40, 16),
                          (33, 32), (48, 32), (49, 0), (20, 64)):  # fmt: skip
        for layout in LAYOUTS:
            for g in (1, 2):
                m, n = 1 + random.randrange(2), 1 + random.randrange(2)
                category = f"{layout}_{'odd' if k % 2 else 'even'}"
                yield category, _case(random, m, n, k, layout, group_size, g, (-6, 3))
    for exponents in ((-149, -140), (100, 127)):
        for k, group_size in ((5, 0), (18, 16)):
            yield "extreme_parameters", _case(random, 1, 2, k, "dense", group_size, 2, exponents)
    for value in (-128, 127):
        full = _case(random, 2, 1, 20, "dense", 16, 2, (-1, 1))
        full["activations"] = [[value] * 20, [value, -128] * 10]
        full["packed"] = [packed_bytes([0b1000100] * 10, "dense").hex()]
        yield "extreme_integers", full
    base = _case(random, 1, 1, 17, "dense", 16, 2, (-1, 1))
    nine = packed_bytes([1] * 9, "byte").hex()
    for change in (
        {"activations": [[128] + [0] * 16]}, {"activations": [[0] * 16 + [-129]]}, {"activations": [[0] * 16]},
        {"packed": [base["packed"][0] + "00"]}, {"packed": [base["packed"][0][:-2]]},
        {"packed": [base["packed"][0][:-2] + "80"]}, {"packed": [nine[:-2]], "layout": "byte"},
        {"packed": [nine[:-2] + "80"], "layout": "byte"}, {"group_size": 24}, {"group_size": -16}, {"narrow_gain": 4},
        {"scale": [[0.0], [1.0]]}, {"scale": [[1.0], [float("nan")]]}, {"scale": [[1.0]]},
        {"offset": [[float("inf")], [1.0]]}, {"offset": [[1.0], [1.0], [1.0]]},
    ):  # fmt: skip
        yield "refused", {**base, **change}


FLAGS = {
    "row_sum_dropped": Flag(
        "the offset's row sum is left out", "outputs are off by offset * row_sum", _evaluate(offset_sum=lambda a: 0)
    ),
    "row_sum_of_wide": Flag(
        "the row sum runs over wide rows only", "it lacks every odd row", _evaluate(offset_sum=lambda a: sum(a[::2]))
    ),
    "boundary_off_by_one": Flag(
        "each group takes the next one's first row",
        "two groups are wrong wherever there are several",
        _evaluate(group=lambda row, size: max(row - 1, 0) // size if size else 0),
    ),
    "short_group_dropped": Flag(
        "rows after the last full group are left out",
        "the last group is empty",
        lambda **inputs: _evaluate(summed_rows=lambda k: k - k % (inputs["group_size"] or k))(**inputs),
    ),
    "first_parameters": Flag(
        "the first group's parameters are used for all",
        "later groups are scaled wrongly",
        _evaluate(parameters=lambda g: 0),
    ),
    "odd_row_dropped": Flag(
        "for odd K the last row is left out", "outputs lack its share", _evaluate(summed_rows=lambda k: k - k % 2)
    ),
    "gain_ignored": Flag(
        "narrow products count once",
        "half of each narrow row's share is missing",
        _evaluate(factor=lambda row, g: 1),
    ),
    "gain_everywhere": Flag(
        "wide products get the narrow lane's gain", "wide rows count twice", _evaluate(factor=lambda row, g: g)
    ),
    "codes_unsigned": Flag("fields are not sign-extended", "negative weights turn positive", _evaluate(_read_unsigned)),
    "lanes_swapped": Flag("the fields of a code are exchanged", "rows of a pair are swapped", _evaluate(_read_swapped)),
    "activations_unsigned": Flag(
        "activations are read as 0 .. 255", "negative activations turn large", _evaluate(activation=lambda a: a % 256)
    ),
    "minus_128_lost": Flag(
        "-128 is read as -127", "results with that activation differ", _evaluate(activation=lambda a: max(a, -127))
    ),
}
"""The faulty products."""

OPERATIONS = (
    Operation(
        "matmul",
        "acc[i][j][g] = sum of gain * a * q, row_sum[i][g] = sum of a; exact[i][j] with its magnitude S and bound B; "
        "packed holds a column's bytes each; scale and offset are [G][N]",
        _define,
        FLAGS,
        _inputs,
    ),
)
