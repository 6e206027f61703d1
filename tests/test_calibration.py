"""A group's weights to its parameters: the rules, their corners, and what they promise."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from q35ref.reference import calibration
from q35ref.reference.calibration import (
    CLIP_CANDIDATES,
    METHODS,
    Method,
    Parameters,
    calibrate,
    calibrate_clip,
    calibrate_minmax,
    calibrate_symmetric,
    parameters_of_range,
    squared_error,
)
from q35ref.reference.float32 import MIN_SUBNORMAL, OVERFLOW, round_float32
from q35ref.reference.quantizer import dequantize, quantize

MAX = float(np.finfo(np.float32).max)
TINY = 2.0**-149
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
GROUPS = st.lists(FLOATS, min_size=1, max_size=12)
ZERO, ONE = Fraction(0), Fraction(1)
MODEST = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=6)


def is_parameter(scale: Fraction, offset: Fraction) -> bool:
    """Whether both are float32s and the scale is positive."""
    floats = all(round_float32(value) == value and abs(value) < OVERFLOW for value in (scale, offset))
    return floats and scale > 0


@given(GROUPS)
def test_minmax_is_the_rule_as_it_is_written(group: list[float]) -> None:
    low, high = Fraction(min(group)), Fraction(max(group))
    scale, offset = calibrate_minmax(group)
    if low == high:
        assert (scale, offset) == (ONE, low)
    else:
        assert scale == max(round_float32((high - low) / 15), MIN_SUBNORMAL)
        assert offset == round_float32(low + 8 * scale)


@given(GROUPS)
def test_every_method_yields_legal_parameters_for_any_weights(group: list[float]) -> None:
    for scale, offset in (calibrate_minmax(group), calibrate_symmetric(group)):
        assert is_parameter(scale, offset)


@given(MODEST)
def test_minmax_restores_every_weight_within_half_a_step_and_the_rounding_of_its_parameters(group: list[float]) -> None:
    scale, offset = calibrate_minmax(group)
    low, high = Fraction(min(group)), Fraction(max(group))
    exact_scale = (high - low) / 15 if low != high else Fraction(1)
    exact_offset = low + 8 * exact_scale if low != high else low
    slack = abs(offset - exact_offset) + 8 * abs(scale - exact_scale)
    for row, weight in enumerate(group):
        q = quantize(weight, scale, offset, row)
        step = scale * (2 if row % 2 else 1)
        assert abs(Fraction(weight) - dequantize(q, scale, offset, row)) <= step / 2 + slack


@given(FLOATS, st.integers(1, 5))
def test_a_constant_group_is_restored_exactly(value: float, rows: int) -> None:
    scale, offset = calibrate_minmax([value] * rows)
    assert (scale, offset) == (ONE, Fraction(value))
    for row in range(rows):
        assert quantize(value, scale, offset, row) == 0
        assert dequantize(0, scale, offset, row) == Fraction(value)


def test_the_offset_uses_the_rounded_scale() -> None:
    group = [1.0, 1.3333333730697632]
    exact = (Fraction(group[1]) - 1) / 15
    scale, offset = calibrate_minmax(group)
    assert scale != exact
    assert offset == round_float32(1 + 8 * scale)
    differing = [  # and it shows: there are groups where the unrounded one would give another offset
        high
        for high in (float(np.float32(1 + i / 7)) for i in range(1, 200))
        if calibrate_minmax([1.0, high])[1] != round_float32(1 + 8 * (Fraction(high) - 1) / 15)
    ]
    assert differing


@pytest.mark.parametrize("count", range(1, 8))
def test_a_scale_that_rounds_to_zero_becomes_the_smallest_float32(count: int) -> None:
    scale, offset = calibrate_minmax([0.0, count * TINY])
    assert (scale, offset) == (MIN_SUBNORMAL, 8 * MIN_SUBNORMAL)
    symmetric, _ = calibrate_symmetric([count * TINY])
    assert symmetric == MIN_SUBNORMAL


def test_the_largest_weights_do_not_overflow() -> None:
    scale, offset = calibrate_minmax([-MAX, MAX])
    assert scale == round_float32(Fraction(MAX) * 2 / 15)
    assert offset == round_float32(-Fraction(MAX) + 8 * scale)
    assert calibrate_symmetric([MAX, 1.0])[0] == round_float32(Fraction(MAX) / 7)
    assert calibrate_minmax([MAX, float(np.nextafter(np.float32(MAX), np.float32(0)))])[1] == Fraction(MAX)


@given(GROUPS)
def test_symmetric_is_the_rule_as_it_is_written(group: list[float]) -> None:
    largest = max(map(abs, group))
    scale, offset = calibrate_symmetric(group)
    assert offset == 0
    assert scale == (1 if largest == 0 else max(round_float32(Fraction(largest) / 7), MIN_SUBNORMAL))
    assert calibrate_symmetric([-weight for weight in group]) == (scale, offset)


def test_an_all_zero_group_has_scale_1() -> None:
    assert calibrate_symmetric([0.0, -0.0]) == (ONE, ZERO)
    assert calibrate_minmax([0.0, -0.0]) == (ONE, ZERO)
    assert calibrate_clip([0.0, 0.0]) == (ONE, ZERO)


@settings(max_examples=25)  # each tries 48 ranges
@given(MODEST, st.integers(1, 2))
def test_clip_is_never_worse_than_minmax(group: list[float], gain: int) -> None:
    clipped, spread = calibrate_clip(group, gain), calibrate_minmax(group)
    assert squared_error(group, *clipped, gain) <= squared_error(group, *spread, gain)


def test_clip_is_better_where_one_weight_stands_apart() -> None:
    group = [-1.0, 0.25, 0.5, 0.0, 0.75, -0.5] * 12 + [6.0]
    clipped, spread = calibrate_clip(group), calibrate_minmax(group)
    assert squared_error(group, *clipped) < squared_error(group, *spread)


@pytest.mark.parametrize("gain", [1, 2])
def test_clip_takes_the_first_best_range_of_its_grid(gain: int) -> None:
    group = [-1.0, 0.3, 0.5, 0.0, 0.7, -0.5] * 5 + [4.0]
    low, high = Fraction(-1), Fraction(4)
    errors = []
    for j in range(CLIP_CANDIDATES):
        margin = Fraction(j, 128) * (high - low)
        found = parameters_of_range(low + margin, high - margin)
        errors.append((squared_error(group, *found, gain), j, found))
    assert calibrate_clip(group, gain) == min(errors)[2]
    if gain == 2:
        assert min(errors)[1] > 0, "the search has nothing to find in this group"


def test_clip_tries_the_48_ranges_of_its_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def watched(low: Fraction, high: Fraction) -> Parameters:
        tried.append((low, high))
        return parameters_of_range(low, high)

    monkeypatch.setattr(calibration, "parameters_of_range", watched)
    calibrate_clip([-1.0, 0.5, 3.0])
    assert tried == [(-1 + Fraction(4 * j, 128), 3 - Fraction(4 * j, 128)) for j in range(48)]


def test_clip_looks_at_a_narrow_gain_of_2_unless_told() -> None:
    group = [-1.0, 0.3, 0.5, 0.0, 0.7, -0.5] * 5 + [4.0]
    with_1, with_2 = (calibrate_clip(group, gain) for gain in (1, 2))
    assert calibrate_clip(group) == calibrate(group, "clip") == with_2 != with_1
    assert squared_error(group, *with_2) == squared_error(group, *with_2, 2) != squared_error(group, *with_2, 1)
    assert calibrate(group) == calibrate_minmax(group)


def test_of_equal_ranges_clip_takes_the_widest() -> None:
    group = [0.0, TINY]  # every range has the smallest scale, and the first offset
    assert calibrate_clip(group) == calibrate_minmax(group)


@given(MODEST, st.integers(1, 2))
def test_the_squared_error_is_the_sum_over_both_lanes(group: list[float], gain: int) -> None:
    scale, offset = calibrate_minmax(group)
    total = Fraction(0)
    for row, weight in enumerate(group):
        step = scale * (gain if row % 2 else 1)
        lane = range(-4, 4) if row % 2 else range(-8, 8)
        total += min((Fraction(weight) - step * q - offset) ** 2 for q in lane)
    assert squared_error(group, scale, offset, gain) == total


@pytest.mark.parametrize("gain", [1, 2])
@pytest.mark.parametrize("group", [[0.5], [-1.0, 0.25, 0.5, 0.0, 100.0], [3.0, 2.0, -2.5, 0.1]])
def test_calibrate_chooses_by_name(group: list[float], gain: int) -> None:
    assert calibrate(group, "minmax", gain) == calibrate(group) == calibrate_minmax(group)
    assert calibrate(group, "symmetric", gain) == calibrate_symmetric(group)
    assert calibrate(group, "clip", gain) == calibrate_clip(group, gain)


@pytest.mark.parametrize("method", ["", "best", "clipped", "minimum", "symmetrical", "zero"])
def test_an_unknown_method_is_refused(method: str) -> None:
    with pytest.raises(ValueError, match=f"method: expected one of minmax, symmetric, clip, got '{method}'"):
        calibrate([1.0, 2.0], method)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_group_is_refused(method: Method) -> None:
    with pytest.raises(ValueError, match="group: expected at least one weight, got none"):
        calibrate([], method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_not_finite_is_refused_with_its_place(method: Method, value: float) -> None:
    with pytest.raises(ValueError, match=r"group\[2\]: expected a finite number, got"):
        calibrate([1.0, 2.0, value], method)
    with pytest.raises(ValueError, match=r"group\[0\]: expected a finite number, got"):
        squared_error([value], 1, 0)


@pytest.mark.parametrize("gain", [0, 3])
def test_a_gain_other_than_1_and_2_is_refused(gain: int) -> None:
    for method in METHODS:
        with pytest.raises(ValueError, match="narrow_gain: expected 1 or 2"):
            calibrate([1.0, 2.0], method, gain)
    with pytest.raises(ValueError, match="narrow_gain: expected 1 or 2"):
        squared_error([1.0], 1, 0, gain)
