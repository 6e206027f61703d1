"""The kernel that bug classes are made of: it is right, and each of its steps can be done wrong by itself."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.bugs.base import Bug, half_up
from q35ref.oracle.problem import Problem
from tests.kernels import planted
from tests.oracle.planted_twins import PROBLEMS, extreme, multiplication, result, right, same


@pytest.mark.parametrize("operation", PROBLEMS)
def test_it_is_as_right_as_the_planted_kernel_that_is_right(operation: str) -> None:
    for problem, expected in zip(PROBLEMS[operation](), right(operation), strict=True):
        assert same(result(Bug(), problem), expected), problem


@pytest.mark.parametrize("operation", ["pack", "unpack", "quantize", "dequantize"])
def test_it_is_as_right_as_the_reference(operation: str) -> None:
    for problem in PROBLEMS[operation]():
        assert same(result(Bug(), problem), (problem.expected,)), problem


def test_a_class_is_called_by_its_name_and_has_one_way_of_its_mistake() -> None:
    class Mistaken(Bug):
        """Wrong."""

    assert Mistaken().name == "Mistaken"
    assert [type(variant) for variant in Mistaken.variants()] == [Mistaken]


def quantized(kernel: Bug, w: float, scale: float = 1, offset: float = 0) -> int:
    """Return the integer of one wide weight."""
    arrays = [np.array([[value]], np.float32) for value in (w, scale, offset)]
    return int(kernel.quantize(arrays[0], arrays[1], arrays[2], 0, 1)[0, 0])


@pytest.mark.parametrize(
    ("w", "offset", "expected"),
    [
        (0.5, 0, 0),
        (1.5, 0, 2),
        (0.5, -(2.0**-60), 1),
        (0.5, 2.0**-60, 0),
        (1.5, 2.0**-60, 1),
        (-0.5, 2.0**-60, -1),
        (7.0, 2.0**-60, 7),
        (2.0**-149, 2.0, -2),
        (1e38, -1e38, 7),
        (-1e38, 1e38, -8),
    ],
)
def test_weights_are_rounded_as_if_exactly(w: float, offset: float, expected: int) -> None:
    """Ties to even, and a hair beside a tie to the nearer side, which a double does not hold."""
    assert quantized(Bug(), w, 1, offset) == expected


def test_a_quotient_beyond_every_number_is_clamped() -> None:
    assert quantized(Bug(), 3e38, 2.0**-149) == 7
    assert quantized(Bug(), -3e38, 2.0**-149) == -8


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    w = np.array([[1, 2], [3, value]], np.float32)
    one = np.ones((1, 2), np.float32)
    with pytest.raises(ValueError, match="w: expected finite numbers"):
        Bug().quantize(w, one, one, 0, 1)


class Counts(Bug):
    """Keeps which quotients it was asked to round exactly."""

    def __init__(self) -> None:
        self.asked: list[Fraction] = []

    def round(self, quotient: Fraction) -> int:
        self.asked.append(quotient)
        return 5


@pytest.mark.parametrize(
    ("w", "exactly"),
    [
        *((half / 2, True) for half in range(-17, 17)),
        (0.5 + 2.0**-22, True),
        (0.5 - 2.0**-22, True),
        (0.5 + 2.0**-20, False),
        (0.5 - 2.0**-20, False),
        (0.25, False),
        (1 / 3, False),
        (-0.75, False),
        (100.5, False),
        (-100.5, False),
    ],
)
def test_quotients_near_a_half_or_a_whole_are_rounded_exactly_and_no_others(w: float, exactly: bool) -> None:
    """Fractions are slow. One beyond its lane is clamped whatever it is rounded to."""
    kernel = Counts()
    found = quantized(kernel, w)
    assert kernel.asked == ([Fraction(w)] if exactly else [])
    assert (found == 5) == exactly


def test_the_exact_quotient_has_offset_scale_and_gain_of_its_weight() -> None:
    kernel = Counts()
    w = np.array([[1, 2], [10, 0.1]], np.float32)
    scale, offset = np.array([[4, 8]], np.float32), np.array([[-1, 0.3]], np.float32)
    kernel.quantize(w, scale, offset, 0, 2)
    assert kernel.asked == [Fraction(2, 4)]
    kernel.asked.clear()
    kernel.quantize(np.array([[0], [11]], np.float32), scale[:, :1], offset[:, :1], 0, 2)
    assert kernel.asked == [Fraction(12, 8)]


def test_sums_are_formed_by_the_step_that_a_class_does_wrong() -> None:
    """Each of the steps of a product is asked for what it is to give, group by group."""

    class Doubles(Bug):
        """Wrong in two steps."""

        def total(self, a: Any, q: Any) -> Any:
            return 2 * a @ q

        def row_total(self, a: Any) -> Any:
            return 3 * a.sum(axis=1)

    problem = multiplication(3, 40, 2, 16)
    wrong, correct = result(Doubles(), problem), result(planted.Correct(), problem)
    assert np.array_equal(wrong[0], 2 * correct[0])
    assert np.array_equal(wrong[1], 3 * correct[1])


def test_the_longest_sums_are_right() -> None:
    for numbers in ((-128, -8, -4), (127, 7, 3), (-128, 7, 3)):
        problem = extreme(26_501, numbers)
        assert same(result(Bug(), problem), result(planted.Correct(), problem))


def test_empty_groups_have_parameters_and_sums_of_nothing() -> None:
    """As a class makes them that takes a last row into the group before."""

    class Takes(Bug):
        """Two groups, the second empty."""

        def groups(self, k: int, group_size: int) -> list[range]:
            return [range(k), range(k, k)]

    problem = multiplication(2, 17, 3, 16)
    acc, row_sum, _ = result(Takes(), problem)
    assert np.array_equal(row_sum, np.stack([problem.arrays["a"].sum(axis=1), [0, 0]], axis=1))
    assert not acc[:, :, 1].any()
    whole = result(planted.Correct(), problem)[0].sum(axis=2)
    assert np.array_equal(acc[:, :, 0], whole)


def test_numbers_too_large_for_a_float_pass_without_a_warning() -> None:
    """Warnings are errors in these tests."""
    one, most = np.ones((1, 1), np.float32), np.full((1, 1), 3e38, np.float32)
    q = np.array([[7]], np.int8)
    assert Bug().dequantize(q, most, most, 0, 1)[0, 0] == np.inf
    out = Bug().matmul(q, Bug().pack(q, "byte"), 1, "byte", 0, 1, most, most).out
    assert out is not None
    assert out[0, 0] == np.inf
    assert Bug().quantize(most, one * np.float32(2.0**-149), -most, 0, 1)[0, 0] == 7


def test_half_up_rounds_ties_up() -> None:
    found = [half_up(Fraction(number, 4)) for number in range(-7, 8)]
    assert found == [-2, -1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2]


def test_a_problem_has_its_right_result_in_both_layouts() -> None:
    """The codes of -8, 3 and of 1, -1: 1000 011 and 0001 111, in the dense stream the first one lowest."""
    q = np.array([[-8], [3], [1], [-1]], np.int8)
    assert Bug().pack(q, "byte").tolist() == [[0b1000011, 0b0001111]]
    assert Bug().pack(q, "dense").tolist() == [[0b11000011, 0b000111]]
    assert Problem("pack", 4, {"q": q}, "dense").expected.tolist() == [[0b11000011, 0b000111]]
