"""Claims that join several parts, each tested as it is worded in ``docs/assurance.md``."""

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from q35ref.oracle.bugs import BUGS
from q35ref.reference.activations import quantize_activation
from q35ref.reference.calibration import Parameters, calibrate_clip, calibrate_minmax, calibrate_symmetric
from q35ref.reference.codec import column_bytes, pack_column, pack_dense, unpack_column, unpack_pair
from q35ref.reference.float32 import MIN_SUBNORMAL, OVERFLOW, UNIT_ROUNDOFF, round_float32, to_float32
from q35ref.reference.lanes import LAYOUTS, MAX_GROUP_ROWS, group_rows, lane_gain, lane_interval
from q35ref.reference.matmul import NO_VERDICT, accumulate, matmul_entry, output_bound, row_sum
from q35ref.reference.quantizer import dequantize, error_bound, quantize
from q35ref.reference.rounding import clamp, round_half_even
from tests.test_matmul import entries

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
FRACTIONS = st.one_of(
    st.fractions(-20, 20, max_denominator=1000), st.integers(-3, 3).map(Fraction), FLOATS.map(Fraction)
)
POSITIVE = st.fractions(Fraction(1, 1000), 20, max_denominator=1000)
GROUPS = st.lists(FRACTIONS, min_size=1, max_size=8)
GAINS = st.integers(1, 2)
INT32 = st.integers(-(2**31) + 1, 2**31 - 1)


def error(weight: Fraction, scale: Fraction, offset: Fraction, row: int, gain: int = 2) -> Fraction:
    """How far a weight is from what is restored of it."""
    return abs(weight - dequantize(quantize(weight, scale, offset, row, gain), scale, offset, row, gain))


def interval(scale: Fraction, offset: Fraction, row: int, gain: int) -> tuple[Fraction, Fraction]:
    """The values of the lane's smallest and largest integer."""
    low, high = lane_interval(row)
    return dequantize(low, scale, offset, row, gain), dequantize(high, scale, offset, row, gain)


def distance(weight: Fraction, scale: Fraction, offset: Fraction, row: int, gain: int) -> Fraction:
    """How far a weight lies outside its lane's interval."""
    low, high = interval(scale, offset, row, gain)
    return max(low - weight, weight - high, Fraction(0))


# Groups


@pytest.mark.parametrize("layout", LAYOUTS)
@given(column=st.lists(st.integers(-4, 3), min_size=1, max_size=120), multiple=st.integers(0, 4))
@example(column=[-1, 2, 3, -4, 0] * 8, multiple=1)
def test_a_groups_bytes_are_cut_out_of_its_column_and_read_alone(column: list[int], multiple: int, layout: Any) -> None:
    packed = pack_column(column, layout)
    begin = 0
    for rows in group_rows(len(column), 16 * multiple):
        end = begin + column_bytes(len(rows), layout)
        group = column[rows.start : rows.stop]
        assert packed[begin:end] == pack_column(group, layout)
        assert unpack_column(packed[begin:end], len(rows), layout) == group
        begin = end
    assert begin == len(packed)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(codes=st.lists(st.integers(0, 127), min_size=1, max_size=40))
def test_accepted_bytes_of_an_even_number_of_rows_come_back(codes: list[int], layout: Any) -> None:
    packed = bytes(codes) if layout == "byte" else bytes(pack_dense(codes))
    assert pack_column(unpack_column(packed, 2 * len(codes), layout), layout) == packed


# Rounding


@given(st.integers(), st.integers(1))
@example(1, 2)
def test_rounding_is_odd(numerator: int, denominator: int) -> None:
    assert round_half_even(-numerator, denominator) == -round_half_even(numerator, denominator)


@given(FLOATS, FLOATS, INT32)
@example(3.4028234663852886e38, 2.0**103, 2**31 - 1)
@example(2.0**-149, 0.5, 2**24 + 1)
def test_numpy_adds_multiplies_and_converts_with_one_rounding_to_float32(a: float, b: float, integer: int) -> None:
    with np.errstate(over="ignore", under="ignore"):
        x, y = np.float32(a), np.float32(b)
        assert float(x + y) == to_float32(Fraction(a) + Fraction(b))
        assert float(x * y) == to_float32(Fraction(a) * Fraction(b))
        assert float(np.float32(np.int32(integer))) == to_float32(integer)


# Calibration


def exact_minmax(group: list[Fraction]) -> Parameters:
    """The rule of min-max without its two roundings."""
    low, high = min(group), max(group)
    return (Fraction(1), low) if low == high else ((high - low) / 15, low + 8 * (high - low) / 15)


@given(GROUPS, GAINS)
def test_unrounded_minmax_covers_its_group_with_the_wide_lane(group: list[Fraction], gain: int) -> None:
    scale, offset = exact_minmax(group)
    low, high = interval(scale, offset, row=0, gain=gain)
    assert all(low <= weight <= high for weight in group)
    assert min(group) == max(group) or (low, high) == (min(group), max(group))


@given(GROUPS)
@example([Fraction(0), Fraction(15)])
def test_unrounded_minmax_restores_within_half_a_step_with_gain_2(group: list[Fraction]) -> None:
    scale, offset = exact_minmax(group)
    for weight in group:
        assert error(weight, scale, offset, row=0) <= scale / 2
        assert error(weight, scale, offset, row=1) <= scale
    if min(group) < max(group):
        assert error(max(group), scale, offset, row=1) == scale


@given(FRACTIONS, POSITIVE, st.fractions(0, 15, max_denominator=64))
@example(Fraction(0), Fraction(15), Fraction(0))
@example(Fraction(0), Fraction(15), Fraction(7, 2))
@example(Fraction(0), Fraction(15), Fraction(23, 2))
def test_with_gain_1_half_a_step_holds_from_3_5_to_11_5_steps_and_nowhere_else(
    low: Fraction, length: Fraction, steps: Fraction
) -> None:
    scale, offset = exact_minmax([low, low + length])
    within = error(low + steps * scale, scale, offset, row=1, gain=1) <= scale / 2
    assert within == (Fraction(7, 2) <= steps <= Fraction(23, 2))


def test_with_gain_1_the_least_weight_of_0_to_15_is_four_steps_off() -> None:
    group = [Fraction(0), Fraction(15)]
    assert calibrate_minmax(group) == exact_minmax(group) == (Fraction(1), Fraction(8))
    assert error(group[0], Fraction(1), Fraction(8), row=1, gain=1) == 4


@given(GROUPS, GAINS)
def test_rounding_the_parameters_moves_a_lane_by_little(group: list[Fraction], gain: int) -> None:
    (scale, offset), (rounded, moved) = exact_minmax(group), calibrate_minmax(group)
    slack = abs(moved - offset) + 8 * abs(rounded - scale)
    for row, weight in itertools.product((0, 1), group):
        assert distance(weight, rounded, moved, row, gain) <= distance(weight, scale, offset, row, gain) + slack
        beyond = (scale if row else 0) + slack
        assert error(weight, rounded, moved, row) <= max(rounded * lane_gain(row, 2) / 2, beyond)


@given(GROUPS)
@example([Fraction(7), Fraction(-7)])
def test_unrounded_symmetric_parameters_span_their_group(group: list[Fraction]) -> None:
    scale = max(map(abs, group)) / 7
    assert all(-7 * scale <= weight <= 7 * scale for weight in group)
    if scale:
        for weight in group:
            assert error(weight, scale, Fraction(0), row=0) <= scale / 2
            assert error(weight, scale, Fraction(0), row=1) <= scale


@given(GROUPS)
def test_symmetric_parameters_lose_only_what_the_scale_loses_in_rounding(group: list[Fraction]) -> None:
    exact, (scale, offset) = max(map(abs, group)) / 7, calibrate_symmetric(group)
    assert offset == 0
    if not exact:
        assert scale == 1
        assert all(error(weight, scale, offset, row) == 0 for row, weight in itertools.product((0, 1), group))
        return
    lost = abs(scale - exact)
    assert lost <= UNIT_ROUNDOFF * exact + MIN_SUBNORMAL
    for row, weight in itertools.product((0, 1), group):
        beyond = (exact if row else 0) + 8 * lost
        assert error(weight, scale, offset, row) <= max(scale * lane_gain(row, 2) / 2, beyond)


@settings(max_examples=25)  # each tries 48 ranges
@given(st.lists(FLOATS, min_size=1, max_size=6), GAINS)
@example([3.4028234663852886e38, -3.4028234663852886e38], 2)
@example([2.0**-149, 0.0], 1)
def test_clip_yields_legal_parameters_for_any_weights(group: list[float], gain: int) -> None:
    scale, offset = calibrate_clip(group, gain)
    assert scale > 0
    assert all(round_float32(value) == value and abs(value) < OVERFLOW for value in (scale, offset))


@given(GROUPS)
def test_the_unrounded_activation_scale_restores_within_half_a_step(row: list[Fraction]) -> None:
    scale = max(map(abs, row)) / 127 or Fraction(1)
    assert all(abs(x - scale * quantize_activation(x, scale)) <= scale / 2 for x in row)


# Accumulators


@given(entries(), st.lists(st.integers(0, 70), max_size=6), st.randoms(use_true_random=False))
def test_tiles_may_be_added_in_any_order(entry: dict[str, Any], cuts: list[int], random: Any) -> None:
    a, q, gain = entry["activations"], entry["column"], entry["narrow_gain"]
    edges = sorted({0, len(q), *(min(cut, len(q)) for cut in cuts)})
    tiles = [slice(*edge) for edge in itertools.pairwise(edges)]
    random.shuffle(tiles)
    assert sum(accumulate(a[tile], q[tile], gain, tile.start) for tile in tiles) == accumulate(a, q, gain)
    assert sum(row_sum(a[tile]) for tile in tiles) == row_sum(a)


@given(entries(), st.lists(INT32, min_size=2, max_size=9), st.randoms(use_true_random=False))
def test_a_32_bit_register_may_wrap_on_the_way(entry: dict[str, Any], noise: list[int], random: Any) -> None:
    """What kernels add first and take away later, biases say, takes a register around; NumPy's int32 wraps."""
    a, q, gain = entry["activations"], entry["column"], entry["narrow_gain"]
    products = [lane_gain(row, gain) * a[row] * q[row] for row in range(len(q))]
    for terms, expected in ((products, accumulate(a, q, gain)), (a, row_sum(a))):
        steps = [2**31 - 1, 2**31 - 1, *terms, *noise, *(-n for n in noise), 1 - 2**31, 1 - 2**31]
        assert max(itertools.accumulate(steps)) > 2**31 - 1, "nothing would wrap"
        assert np.cumsum(np.array(steps, np.int32), dtype=np.int32)[-1] == expected
        random.shuffle(steps)
        assert np.cumsum(np.array(steps, np.int32), dtype=np.int32)[-1] == expected


@pytest.mark.parametrize("activation", [-128, 127])
@pytest.mark.parametrize(("rows", "gain"), [(MAX_GROUP_ROWS, 2), (MAX_GROUP_ROWS, 1), (2_796_202, 1)])
def test_biased_fields_wrap_and_come_out_right_at_the_longest_groups(rows: int, gain: int, activation: int) -> None:
    """A kernel that reads unsigned fields multiplies ``q + 8`` or ``q + 4`` and corrects the sum at the end."""
    narrow = np.arange(rows, dtype=np.int32) % 2
    q, bias, gains = 7 - 4 * narrow, 8 - 4 * narrow, 1 + (gain - 1) * narrow
    biased = gains * activation * (q + bias)
    correction = gains * activation * bias
    assert abs(biased.sum(dtype=np.int64)) >= 2**31, "nothing would wrap"
    register = np.cumsum(np.concatenate([biased, -correction]), dtype=np.int32)[-1]
    assert register == activation * (7 * ((rows + 1) // 2) + 3 * gain * (rows // 2))


@pytest.mark.parametrize(("rows", "gain"), [(MAX_GROUP_ROWS, 2), (2_796_202, 1)])
def test_with_one_row_more_a_32_bit_register_ends_wrong(rows: int, gain: int) -> None:
    for length, fits in ((rows, True), (rows + 1, False)):
        products = np.resize(np.array([128 * 8, gain * 128 * 4], np.int32), length)
        assert (np.cumsum(products, dtype=np.int32)[-1] == products.sum(dtype=np.int64)) == fits


# Dot products


@given(entries(), st.data())
def test_quantizing_moves_a_dot_product_by_at_most_the_sum_of_the_bounds(
    entry: dict[str, Any], data: st.DataObject
) -> None:
    k, size, gain, a = len(entry["column"]), entry["group_size"], entry["narrow_gain"], entry["activations"]
    thousandths = data.draw(st.lists(st.integers(-(10**6), 10**6), min_size=k, max_size=k))
    weights = [Fraction(n, 1000) for n in thousandths]
    parameters = [
        (Fraction(entry["scale"][g]), Fraction(entry["offset"][g]))
        for g in (row // size if size else 0 for row in range(k))
    ]
    q = [quantize(w, *parameters[row], row, gain) for row, w in enumerate(weights)]
    found = matmul_entry(**{**entry, "column": q}).exact
    moved = abs(sum((x * w for x, w in zip(a, weights, strict=True)), Fraction(0)) - found)
    errors = [error(w, *parameters[row], row, gain) for row, w in enumerate(weights)]
    bounds = [error_bound(w, *parameters[row], row, gain) for row, w in enumerate(weights)]
    assert moved <= sum(abs(x) * e for x, e in zip(a, errors, strict=True))
    assert moved <= sum(abs(x) * b for x, b in zip(a, bounds, strict=True))


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=20), GAINS)
def test_the_bound_of_a_moved_dot_product_is_attained(a: list[int], gain: int) -> None:
    weights = [Fraction(lane_gain(row, gain) * (1 if x > 0 else -1), 2) for row, x in enumerate(a)]
    q = [quantize(w, 1, 0, row, gain) for row, w in enumerate(weights)]
    assert not any(q), "ties, which all go to 0"
    moved = sum((x * w for x, w in zip(a, weights, strict=True)), Fraction(0))
    bounds = [error_bound(w, 1, 0, row, gain) for row, w in enumerate(weights)]
    assert moved == sum(abs(x) * bound for x, bound in zip(a, bounds, strict=True))


# The float result

Product = tuple[int, Fraction]


@st.composite
def products(draw: st.DrawFn) -> list[Product]:
    """The integers of 1 to 6 groups with their parameters, from the least subnormals up."""
    subnormal = st.integers(1, 2**23).map(lambda n: n * MIN_SUBNORMAL)
    positive = st.one_of(subnormal, st.floats(2.0**-149, 2.0**90, width=32).map(Fraction))
    integers = st.one_of(st.integers(-300, 300), INT32)
    found = []
    for _ in range(draw(st.integers(1, 6))):
        found.append((draw(integers), draw(positive)))
        found.append((draw(integers), draw(positive) * draw(st.sampled_from((-1, 0, 1)))))
    return found


def product(p: Product) -> Fraction:
    """An integer made float32, times its parameter, before that product is rounded."""
    return p[1] * round_float32(p[0])


@given(products(), st.one_of(FLOATS, st.floats(-(2.0**-120), 2.0**-120, width=32)).map(Fraction), st.data())
def test_any_tree_of_additions_with_or_without_fma_stays_within_the_bound(
    found: list[Product], activation_scale: Fraction, data: st.DataObject
) -> None:
    exact = sum((p * i for i, p in found), Fraction(0))
    magnitude = sum((abs(p * i) for i, p in found), Fraction(0))
    waiting = list(found)
    sums: list[Fraction] = []
    while waiting or len(sums) > 1:
        choices = ["leaf"] * bool(waiting) + ["fused"] * bool(waiting and sums) + ["add"] * (len(sums) > 1)
        step = data.draw(st.sampled_from(choices))
        if step == "add":
            one = sums.pop(data.draw(st.integers(0, len(sums) - 1)))
            other = sums.pop(data.draw(st.integers(0, len(sums) - 1)))
            sums.append(round_float32(one + other))
            continue
        term = product(waiting.pop(data.draw(st.integers(0, len(waiting) - 1))))
        sums.append(round_float32(term + (sums.pop() if step == "fused" else 0)))
    groups = len(found) // 2
    assert abs(sums[0] - exact) <= output_bound(groups, magnitude)
    scaled = round_float32(activation_scale * sums[0])
    assert abs(scaled - activation_scale * exact) <= output_bound(groups, magnitude, activation_scale)


def partial_results(found: list[Product]) -> list[np.float32]:
    """All that NumPy's float32 yields on the way, in four orders of additions."""
    with np.errstate(over="ignore"):
        terms = [np.float32(float(p)) * np.float32(i) for i, p in found]
        results = list(terms)
        for order in (terms, terms[::-1], sorted(terms, key=abs)):
            results += itertools.accumulate(order)
        while len(terms) > 1:  # pairs, then pairs of pairs
            terms = [sum(terms[i : i + 2], np.float32(0)) for i in range(0, len(terms), 2)]
            results += terms
    return results


@given(st.lists(st.tuples(INT32.filter(bool), st.integers(1, 1000)), min_size=1, max_size=40), st.booleans(), st.data())
def test_below_2_to_the_127_nothing_overflows(
    shares: list[tuple[int, int]], same_sign: bool, data: st.DataObject
) -> None:
    shares = shares * 2  # an even number: scales and offsets
    total = sum(share for _, share in shares)
    found = []
    for integer, share in shares:
        parameter = round_float32(NO_VERDICT * (1 - Fraction(1, 2**20)) * share / total / abs(integer))
        sign = 1 if same_sign else data.draw(st.sampled_from((-1, 1)))
        found.append((abs(integer) * sign, parameter))
    magnitude = sum((abs(p * i) for i, p in found), Fraction(0))
    assert NO_VERDICT * (1 - Fraction(1, 2**19)) < magnitude < NO_VERDICT
    assert all(np.isfinite(result) for result in partial_results(found))


def test_at_twice_that_something_can_overflow() -> None:
    found = [(2**31 - 1, Fraction(2**96)), (2**31 - 1, Fraction(2**96))]
    assert sum(p * i for i, p in found) < 2 * NO_VERDICT
    assert not all(np.isfinite(result) for result in partial_results(found))


# The paper drafts


def draft_quantize(weight: Fraction, scale: Fraction, zero: Fraction) -> int:
    """The drafts' quantizer: four bits in both lanes."""
    return clamp(round((weight - zero) / scale), -8, 7)


@given(POSITIVE, FRACTIONS, POSITIVE)
def test_the_drafts_bound_of_half_a_scale_is_false(scale: Fraction, zero: Fraction, bound: Fraction) -> None:
    nine_above = 9 * scale + zero
    assert abs(nine_above - (draft_quantize(nine_above, scale, zero) * scale + zero)) == 2 * scale > scale / 2
    far = 7 * scale + zero + bound + 1
    assert abs(far - (draft_quantize(far, scale, zero) * scale + zero)) > bound


def test_the_drafts_converter_wraps_every_narrow_integer_of_more_than_three_bits() -> None:
    for wide, narrow in itertools.product(range(-8, 8), range(-8, 8)):
        restored = unpack_pair((wide & 0b1111) << 3 | narrow & 0b111)[1]
        assert restored - narrow == (-8 if narrow > 3 else 8 if narrow < -4 else 0)
        assert BUGS["Wraps"]().clamp(narrow, odd=True) == restored


def test_the_drafts_converter_turns_the_weight_7_into_minus_1() -> None:
    scale, zero = exact_minmax([Fraction(-8), Fraction(7)])
    assert (scale, zero) == (Fraction(1), Fraction(0))
    wide, narrow = (draft_quantize(Fraction(weight), scale, zero) for weight in (-8, 7))
    assert unpack_pair((wide & 0b1111) << 3 | narrow & 0b111)[1] * scale + zero == -1


def test_seventy_billion_weights_take_30_625_gigabytes() -> None:
    assert column_bytes(70 * 10**9, "dense") == 30_625_000_000 > 19 * 10**9
    for blocks in range(1, 200):
        assert column_bytes(16 * blocks, "dense") == 7 * blocks
        assert column_bytes(2 * blocks, "byte") == blocks
