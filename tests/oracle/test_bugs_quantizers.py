"""Bugs between weights, parameters and integers: as the planted kernels have them, and by exact arithmetic."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from q35ref.backends.numpy import NumpyBackend
from q35ref.oracle.bugs import quantizers
from q35ref.oracle.bugs.base import Bug
from tests.kernels import planted
from tests.kernels.planted.arithmetic import nearest_float32
from tests.oracle.planted_twins import (
    assert_twins,
    assert_twins_everywhere,
    assert_unlike,
    quantizing,
    restoring,
    result,
)


@pytest.mark.parametrize(
    ("bug", "twin"),
    [
        (quantizers.Wraps(), planted.Wraps),
        (quantizers.Truncates(), planted.Truncates),
        (quantizers.RoundsHalfUp(), planted.RoundsHalfUp),
        (quantizers.RoundsHalfAway(), planted.RoundsHalfAway),
        (quantizers.QuantizesInDouble(), planted.QuantizesInDouble),
        (quantizers.QuantizesInFloat32(), planted.QuantizesInFloat32),
        (quantizers.QuantizesInFloat32.variants()[0], planted.QuantizesInFloat32),
        (quantizers.ReciprocalMultiply(), planted.ReciprocalMultiply),
        (quantizers.ReciprocalMultiply.variants()[0], planted.ReciprocalMultiply),
        (quantizers.ReciprocalMultiply.variants()[2], planted.ReciprocalMultiplyDouble),
        (quantizers.FmaReciprocal(), planted.FmaReciprocal),
        (quantizers.FmaReciprocal.variants()[0], planted.FmaReciprocal),
        (quantizers.GainIgnored(), planted.GainIgnored),
        (quantizers.GainOnWideLane(), planted.GainOnWideLane),
        (quantizers.GainOnWideLane.variants()[0], planted.GainOnWideLane),
        (quantizers.GainOnWideLane.variants()[1], planted.GainOnBothLanes),
    ],
)
def test_each_class_is_as_its_planted_kernel(bug: Bug, twin: Any) -> None:
    assert_twins_everywhere(bug, twin())


@pytest.mark.parametrize("name", ["FmaReciprocal", "GainOnWideLane"])
def test_no_two_variants_are_the_same(name: str) -> None:
    assert_unlike(getattr(quantizers, name).variants())


def integer(bug: Bug, w: float, scale: float, offset: float = 0, gain: int = 1) -> int:
    """Return the integer of one narrow weight."""
    column = np.array([[0], [w]], np.float32)
    parameters = [np.array([[value]], np.float32) for value in (scale, offset)]
    return int(bug.quantize(column, parameters[0], parameters[1], 0, gain)[1, 0])


def test_a_step_beyond_float32_counts_only_if_the_gain_is_in_it() -> None:
    """2**127 times gain 2 is no float32, and nothing divided by it is more than zero; the right integer is 1."""
    for kernel in (quantizers.QuantizesInFloat32, quantizers.ReciprocalMultiply):
        together, apart = kernel.variants()[:2]
        assert integer(together, 1.5 * 2.0**127, 2.0**127, gain=2) == 0
        assert integer(apart, 1.5 * 2.0**127, 2.0**127, gain=2) == 1
        assert integer(apart, -3.5, 1, gain=2) == -2
        assert integer(apart, -3.5, 1, offset=0.75, gain=1) == -4
    assert len(quantizers.QuantizesInFloat32.variants()) == 2


def test_what_is_no_number_is_zero() -> None:
    """The reciprocal of the least scale is infinite in float32, and zero times it no number."""
    bug = quantizers.ReciprocalMultiply()
    assert integer(bug, 1, 2.0**-149, offset=1) == 0
    assert integer(bug, 2, 2.0**-149, offset=1) == 3
    assert integer(bug, 0, 2.0**-149, offset=1) == -4


def nearest(value: Fraction, double: bool) -> Fraction:
    """Return a rational rounded to float32 or to double."""
    return Fraction(float(value)) if double else Fraction(float(nearest_float32(value)))


@pytest.mark.parametrize(
    ("index", "double", "fused"), [(0, False, True), (1, False, False), (2, True, True), (3, True, False)]
)
def test_multiply_and_add_are_rounded_once_or_twice(index: int, double: bool, fused: bool) -> None:
    """By exact arithmetic, next to half-way points where the offset is large beside the step."""
    bug = quantizers.FmaReciprocal.variants()[index]
    rng = np.random.default_rng(8)
    scale = rng.uniform(0.01, 0.02, 400).astype(np.float32)[None]
    offset = rng.uniform(3, 4, 400).astype(np.float32)[None]
    w = (offset + scale * (rng.integers(-8, 7, 400) + 0.5)).astype(np.float32)
    if double:
        scale, offset = (scale * 0 + np.float32(0.2), offset * 0)
        w = (scale * (rng.integers(-8, 7, 400) + 0.5)).astype(np.float32)
    expected = []
    for numbers in zip(w[0], scale[0], offset[0], strict=True):
        weight, step, zero = (Fraction(float(number)) for number in numbers)
        r = nearest(1 / step, double)
        shift = nearest(-zero * r, double)
        product = weight * r if fused else nearest(weight * r, double)
        expected.append(min(max(round(nearest(product + shift, double)), -8), 7))
    assert bug.quantize(w, scale, offset, 0, 1)[0].tolist() == expected
    exact = planted.Correct().quantize(w, scale, offset, 0, 1)[0].tolist()
    assert double or expected != exact


@pytest.mark.parametrize(
    ("w", "up", "away", "cut"),
    [(0.5, 1, 1, 0), (-0.5, 0, -1, 0), (1.5, 2, 2, 1), (-1.5, -1, -2, -1), (2.5, 3, 3, 2), (-2.5, -2, -3, -2),
     (0, 0, 0, 0), (1, 1, 1, 1), (-1, -1, -1, -1), (0.75, 1, 1, 0), (-0.75, -1, -1, 0), (0.25, 0, 0, 0)],
)  # fmt: skip
def test_ties_go_up_or_away_from_zero_or_all_is_cut(w: float, up: int, away: int, cut: int) -> None:
    for bug, expected in (
        (quantizers.RoundsHalfUp(), up),
        (quantizers.RoundsHalfAway(), away),
        (quantizers.Truncates(), cut),
    ):
        assert integer(bug, w, 1) == expected


def test_narrow_integers_wrap_at_the_ends_of_their_lane() -> None:
    found = [integer(quantizers.Wraps(), w, 1) for w in range(-10, 10)]
    assert found == [0, 0, 0, 1, 2, 3, *range(-4, 4), -4, -3, -2, -1, -1, -1]


def test_weights_that_are_no_numbers_are_taken_for_zero_and_the_ends() -> None:
    w = np.array([[np.nan, np.inf, -np.inf, 2]], np.float32)
    scale, offset = np.ones((1, 4), np.float32), np.full((1, 4), 1, np.float32)
    assert quantizers.AcceptsNan().quantize(w, scale, offset, 0, 1).tolist() == [[-1, 7, -8, 1]]


def test_finite_weights_are_right_where_others_are_accepted() -> None:
    for problem in quantizing():
        assert np.array_equal(result(quantizers.AcceptsNan(), problem)[0], result(planted.Correct(), problem)[0])


def test_the_offset_is_that_of_the_scale_before_it_is_rounded() -> None:
    """low + 8 (high - low) / 15, rounded once, where the right one takes the rounded scale."""
    rng = np.random.default_rng(9)
    w = rng.normal(0, 1, (40, 30)).astype(np.float32)
    w[:, 0] = -1.5
    scale, offset = quantizers.OffsetFromUnroundedScale().calibrate(w, 16, "minmax")
    right = NumpyBackend().calibrate(w, 16, "minmax")
    assert np.array_equal(scale, right[0])
    groups = [w[:16], w[16:32], w[32:]]
    lows, highs = ([[Fraction(float(x)) for x in ends(group, axis=0)] for group in groups] for ends in (np.min, np.max))
    exact = [
        [nearest_float32(low + 8 * (high - low) / 15) for low, high in zip(*row, strict=True)]
        for row in zip(lows, highs, strict=True)
    ]
    assert np.array_equal(offset, exact)
    assert offset.dtype == np.float32
    assert not np.array_equal(offset, right[1])
    assert (offset[:, 0] == -1.5).all()


def test_symmetric_parameters_have_no_such_offset() -> None:
    w = np.random.default_rng(10).normal(0, 1, (20, 3)).astype(np.float32)
    found = quantizers.OffsetFromUnroundedScale().calibrate(w, 16, "symmetric")
    right = NumpyBackend().calibrate(w, 16, "symmetric")
    assert all(np.array_equal(one, other) for one, other in zip(found, right, strict=True))


class RoundsTwice(planted.Correct):
    """Restores weights in double."""

    def dequantize(self, q: Any, scale: Any, offset: Any, group_size: int, narrow_gain: int) -> Any:
        scales, offsets = self.parameters(scale, offset, len(q), group_size)
        steps = scales * (self.gain_of_rows(len(q), narrow_gain)[:, None] * q.astype(np.int64))
        return np.add(steps, offsets).astype(np.float32)


def test_a_restored_weight_may_be_rounded_twice() -> None:
    """5592407 * 3 lies half-way between two floats, and 1e-30 beside it no double can tell from it."""
    assert_twins(quantizers.DequantizesInDouble(), RoundsTwice(), restoring())
    q, scale = np.array([[0], [3]], np.int8), np.array([[5592407]], np.float32)
    found = quantizers.DequantizesInDouble().dequantize(q, scale, np.array([[1e-30]], np.float32), 0, 1)
    assert found.tolist() == [[np.float32(1e-30)], [16777220]]
    assert planted.Correct().dequantize(q, scale, np.array([[1e-30]], np.float32), 0, 1)[1, 0] == 16777222


def test_activations_are_divided_in_float32() -> None:
    """The quotient is rounded to a float, and that to an integer."""
    rng = np.random.default_rng(11)
    x = ((rng.integers(-127, 127, (3, 200)) + 0.5) / 127 * np.array([[1.1], [0.7], [3.3]])).astype(np.float32)
    x[:, 0] = 1.1, 0.7, 3.3
    scale, integers = quantizers.ActivationsInFloat32().quantize_activations(x)
    right = planted.Correct().quantize_activations(x)
    assert np.array_equal(scale, right[0])
    exact = [
        [round(Fraction(float(nearest_float32(Fraction(float(value)) / Fraction(float(s)))))) for value in row]
        for row, s in zip(x, scale, strict=True)
    ]
    assert integers.tolist() == exact
    assert integers.dtype == np.int8
    assert not np.array_equal(integers, right[1])


def test_activations_beyond_127_steps_are_clamped() -> None:
    """The scale of 190 least numbers is one of them, to which 190 / 127 is rounded."""
    x = np.array([[190, -190, 127, 5]], np.float32) * np.float32(2.0**-149)
    scale, integers = quantizers.ActivationsInFloat32().quantize_activations(x)
    assert scale.tolist() == [2.0**-149]
    assert integers.tolist() == [[127, -127, 127, 5]]
