"""Committed cases as calls of a kernel: each operation's inputs and answers, worked out by hand from the format."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.problem import Array
from q35ref.oracle.vector import CALLS, RESULTS, Vector, from_case
from q35ref.vectors import Case
from tests.oracle.vector_arrays import float32, int8, int32

ONE, ZERO = [1, 0, "3f800000"], [0, 0, "00000000"]
HALF, MINUS_ONE = [1, -1, "3f000000"], [-1, 0, "bf800000"]
UNIT = 2.0**-24
"""Half the distance of the float32s from 1 to 2, that of those from 1/2 to 1."""


def made(operation: str, inputs: Any, expected: Any) -> Vector:
    """Return a case as a call."""
    vector = from_case(operation, Case(f"{operation}/x/1", ("flag",), inputs, expected))
    assert vector is not None
    assert (vector.id, vector.flags) == (f"{operation}/x/1", ("flag",))
    return vector


def same(found: dict[str, Array], wanted: dict[str, Array]) -> bool:
    """Whether arrays have the same names, types, shapes and numbers."""
    assert {name: array.dtype for name, array in found.items()} == {name: a.dtype for name, a in wanted.items()}
    return {name: array.tolist() for name, array in found.items()} == {name: a.tolist() for name, a in wanted.items()}


def uint8(*rows: Any) -> Array:
    return np.array(rows, np.uint8)


# Codes: 115 is wide -2, narrow 3; 8 is wide 1; 11 is wide 1, narrow 3; 1 is narrow 1. Dense, 7 bits each, lowest first.


@pytest.mark.parametrize(
    ("operation", "inputs", "expected", "k", "layout", "arrays", "results"),
    [
        ("pack_pair", {"wide": -2, "narrow": 3}, {"code": 115}, 2, "byte", int8([-2], [3]), uint8([115])),
        ("unpack_pair", {"code": 115}, {"wide": -2, "narrow": 3}, 2, "byte", int8([-2], [3]), int8([-2], [3])),
        (
            *("pack_dense", {"codes": [115, 8, 1]}, {"stream": "734400"}, 6, "dense"),
            *(int8([-2], [3], [1], [0], [0], [1]), uint8([0x73, 0x44, 0])),
        ),
        (
            *("unpack_dense", {"stream": "734400", "count": 3}, {"codes": [115, 8, 1]}, 6, "dense"),
            *(int8([-2], [3], [1], [0], [0], [1]), int8([-2], [3], [1], [0], [0], [1])),
        ),
        ("unpack_dense", {"stream": "73", "count": 1}, {"codes": [115]}, 2, "dense", int8([-2], [3]), int8([-2], [3])),
        (
            *("pack_column", {"column": [-2, 3, 1], "layout": "byte"}, {"packed": "7308"}, 3, "byte"),
            *(int8([-2], [3], [1]), uint8([115, 8])),
        ),
        (
            *("pack_column", {"column": [-2, 3, 1], "layout": "dense"}, {"packed": "7304"}, 3, "dense"),
            *(int8([-2], [3], [1]), uint8([0x73, 0x04])),
        ),
        (
            *("unpack_column", {"packed": "730b", "k": 3, "layout": "byte"}, {"column": [-2, 3, 1]}, 3, "byte"),
            *(int8([-2], [3], [1], [3]), int8([-2], [3], [1])),
        ),
        (
            *("unpack_column", {"packed": "f305", "k": 3, "layout": "dense"}, {"column": [-2, 3, 1]}, 3, "dense"),
            *(int8([-2], [3], [1], [3]), int8([-2], [3], [1])),
        ),
        ("unpack_column", {"packed": "08", "k": 1, "layout": "byte"}, {"column": [1]}, 1, "byte", [[1], [0]], [[1]]),
    ],
)
def test_codes_are_packed_and_unpacked_as_columns(
    operation: str, inputs: Any, expected: Any, k: int, layout: str, arrays: Any, results: Any
) -> None:
    """What is stored after an odd number of rows is part of the bytes, not of the answer."""
    vector = made(operation, inputs, expected)
    problem = vector.problem
    assert (problem.operation, problem.k, problem.layout) == (operation.partition("_")[0], k, layout)
    assert same(problem.arrays, {"q": np.array(arrays, np.int8)})
    (name,) = RESULTS[problem.operation]
    assert same(vector.expected, {name: np.array(results, {"packed": np.uint8, "q": np.int8}[name])})


@pytest.mark.parametrize(
    ("operation", "inputs", "expected"),
    [
        ("pack_dense", {"codes": []}, {"stream": ""}),
        ("unpack_dense", {"stream": "", "count": 0}, {"codes": []}),
        (
            "accumulate",
            {"rows": 0, "activation_pattern": [1], "column_pattern": [1], "narrow_gain": 1, "first_row": 0},
            {"acc": 0, "row_sum": 0},
        ),
        ("pack_pair", {"wide": 8, "narrow": 0}, {"error": "wide"}),
        ("calibrate", {"group": [], "method": "minmax"}, {"error": "group"}),
        ("quantize", {"scale": ZERO}, {"error": "scale"}),
    ],
)
def test_no_kernel_is_asked_for_nothing_or_what_is_illegal(operation: str, inputs: Any, expected: Any) -> None:
    assert from_case(operation, Case("x", (), inputs, expected)) is None


# Weights


def element(row: int, **more: Any) -> dict[str, Any]:
    """Inputs of a weight's operation: scale 1/2, offset 1."""
    return {"scale": HALF, "offset": ONE, "row": row, "narrow_gain": 1, **more}


def test_a_weight_of_an_odd_row_is_the_second_of_two_the_first_of_which_is_the_offset() -> None:
    parameters = {"scale": float32([0.5]), "offset": float32([1])}
    for row, gain in ((0, 1), (2, 2)):
        vector = made("quantize", element(row, weight=[5, -1, "40200000"], narrow_gain=gain), {"q": 3})
        assert (vector.problem.operation, vector.problem.k, vector.problem.narrow_gain) == ("quantize", 1, gain)
        assert same(vector.problem.arrays, {"w": float32([2.5]), **parameters})
        assert same(vector.expected, {"q": int8([3])})
    for row, gain in ((1, 1), (3, 2)):
        vector = made("quantize", element(row, weight=[5, -1, "40200000"], narrow_gain=gain), {"q": 3})
        assert (vector.problem.k, vector.problem.narrow_gain) == (2, gain)
        assert same(vector.problem.arrays, {"w": float32([1], [2.5]), **parameters})
        assert same(vector.expected, {"q": int8([0], [3])})


@pytest.mark.parametrize("weight", ["nan", "inf", "-inf"])
def test_a_weight_that_is_not_finite_must_be_refused(weight: str) -> None:
    vector = made("quantize", element(1, weight=weight), {"error": "weight"})
    assert vector.problem.refusal
    assert vector.expected == {}
    assert str(vector.problem.arrays["w"][1, 0]) == weight


@pytest.mark.parametrize("weight", [[1, -150, ""], [(1 << 24) + 1, 0, ""], [1, 128, ""]])
def test_a_number_that_is_no_float32_is_refused(weight: Any) -> None:
    with pytest.raises(ValueError, match="expected the value of a float32, got"):
        made("quantize", element(0, weight=weight), {"q": 0})
    with pytest.raises(ValueError, match="expected the value of a float32, got"):
        made("dequantize", element(0, q=0), {"exact": "1/1", "rounded": weight})


def test_a_dequantized_weight_lies_between_the_last_floats_within_its_bound() -> None:
    """Three from the offset by two roundings and one by one: 7u + 3u*u. Two has floats 4u apart above it, 2u below."""
    inputs = element(1, q=-3, narrow_gain=2)
    vector = made("dequantize", inputs, {"exact": "-2/1", "rounded": [-1, 1, "c0000000"]})
    assert (vector.problem.operation, vector.problem.k, vector.problem.narrow_gain) == ("dequantize", 2, 2)
    assert same(vector.problem.arrays, {"q": int8([0], [-3]), "scale": float32([0.5]), "offset": float32([1])})
    low, high = float32([1 - UNIT], [-2 - 4 * UNIT]), float32([1], [-2 + 6 * UNIT])
    assert same(vector.expected, {"w": float32([1], [-2]), "w_low": low, "w_high": high})
    even = made("dequantize", element(2, q=-6), {"exact": "-2/1", "rounded": [-1, 1, "c0000000"]})
    assert same(even.problem.arrays, {"q": int8([-6]), "scale": float32([0.5]), "offset": float32([1])})
    assert same(even.expected, {"w": float32([-2]), "w_low": low[1:], "w_high": high[1:]})


@pytest.mark.parametrize(
    ("scale", "offset", "silent"),
    [([1, 124, ""], ZERO, True), ([(1 << 24) - 1, 100, ""], ZERO, False), ([1, 123, ""], [-1, 126, ""], True)],
)
def test_a_dequantized_weight_has_no_verdict_where_it_may_overflow(scale: Any, offset: Any, silent: bool) -> None:
    inputs = {"q": 0, "scale": scale, "offset": offset, "row": 1, "narrow_gain": 1}
    vector = made("dequantize", inputs, {"exact": str(offset[0] * 2 ** offset[1]), "rounded": offset})
    ends = [array.ravel().tolist() for array in (vector.expected["w_low"], vector.expected["w_high"])]
    assert ends == ([2 * [-np.inf], 2 * [np.inf]] if silent else [[0, 0], [0, 0]])


@pytest.mark.parametrize(("sign", "bits", "value"), [(1, "7f800000", np.inf), (-1, "ff800000", -np.inf)])
def test_what_rounds_past_the_largest_float_is_an_infinity(sign: int, bits: str, value: float) -> None:
    inputs = {"q": 4 * sign, "scale": [1, 126, ""], "offset": ZERO, "row": 0, "narrow_gain": 1}
    vector = made("dequantize", inputs, {"exact": f"{sign * 2**128}/1", "rounded": [sign, 128, bits]})
    assert vector.expected["w"].tolist() == [[value]]


def test_a_group_is_a_column_of_weights() -> None:
    inputs = {"group": [ONE, [5, -1, ""], MINUS_ONE], "method": "symmetric"}
    vector = made("calibrate", inputs, {"scale": HALF, "offset": ZERO})
    assert (vector.problem.operation, vector.problem.k, vector.problem.method) == ("calibrate", 3, "symmetric")
    assert vector.problem.group_size == 0
    assert same(vector.problem.arrays, {"w": float32([1], [2.5], [-1])})
    assert same(vector.expected, {"scale": float32([0.5]), "offset": float32([0])})
    for group in ([ONE], [ONE, HALF], [HALF] * 4):
        assert made("calibrate", {"group": group, "method": "minmax"}, inputs_of_one()).problem.k == len(group)


def inputs_of_one() -> dict[str, Any]:
    """Some legal parameters."""
    return {"scale": ONE, "offset": ONE}


# Activations and products


def test_a_row_of_activations_is_a_row() -> None:
    vector = made("quantize_activations", {"row": [ONE, HALF, ZERO]}, {"activation_scale": HALF, "a": [2, 1, 0]})
    assert (vector.problem.operation, vector.problem.k) == ("quantize_activations", 3)
    assert same(vector.problem.arrays, {"x": float32([1, 0.5, 0])})
    assert same(vector.expected, {"activation_scale": np.array([0.5], np.float32), "a": int8([2, 1, 0])})


def run(rows: int, first_row: int, column: list[int]) -> dict[str, Any]:
    """Inputs of a sum, whose activations are 1 and -2 in turn."""
    patterns = {"activation_pattern": [1, -2], "column_pattern": column}
    return {"rows": rows, **patterns, "narrow_gain": 2, "first_row": first_row}


@pytest.mark.parametrize(
    ("first_row", "a", "q"),
    [
        (0, [1, -2, 1], [3, -1, 3, 0]),
        (1, [0, 1, -2, 1], [0, 3, -1, 3]),
        (2, [1, -2, 1], [3, -1, 3, 0]),
        (3, [0, 1, -2, 1], [0, 3, -1, 3]),
    ],
)
def test_a_sum_from_an_odd_row_on_gets_a_row_of_zeros_before_it(first_row: int, a: Any, q: Any) -> None:
    vector = made("accumulate", run(3, first_row, [3, -1]), {"acc": 7, "row_sum": 0})
    problem = vector.problem
    assert (problem.operation, problem.k, problem.layout, problem.group_size) == ("matmul", len(a), "dense", 0)
    assert problem.narrow_gain == 2
    plain = {"scale": float32([1]), "offset": float32([0])}
    assert same(problem.arrays, {"a": int8(a), "q": int8(*([each] for each in q)), **plain})
    assert same(vector.expected, {"acc": int32([[7]]), "row_sum": int32([0])})


def test_a_sum_is_no_longer_than_a_group_may_be() -> None:
    long = {"activation_pattern": [1] * 65536, "column_pattern": [1] * 65536}
    assert made("accumulate", {**run(2097151, 0, []), **long}, {"acc": 0, "row_sum": 0}).problem.k == 2097151
    for rows, first_row, most in ((2097152, 0, 2097151), (2097151, 1, 2097150), (2097153, 0, 2097151)):
        with pytest.raises(ValueError, match=f"rows: expected at most {most}, got {rows}"):
            made("accumulate", {**run(rows, first_row, []), **long}, {"acc": 0, "row_sum": 0})
    with pytest.raises(ValueError, match="negative"):
        made("accumulate", run(-1, 0, [1]), {"acc": 0, "row_sum": 0})


def test_a_product_has_the_bounds_of_its_case_unless_its_terms_reach_2_127() -> None:
    """Codes 16 and 104: wide 2 and -3, and nothing for the narrow lane."""
    below = str(Fraction(2**127) - Fraction(1, 3))
    inputs = {
        "activations": [[8], [-3]],
        "packed": ["10", "68"],
        "k": 1,
        "layout": "byte",
        "group_size": 0,
        "narrow_gain": 1,
        "scale": [[HALF, [1, 1, ""]]],
        "offset": [[ONE, MINUS_ONE]],
    }
    expected = {
        "acc": [[[16], [-24]], [[-6], [9]]],
        "row_sum": [[8], [-3]],
        "exact": [["16/1", "-56/1"], ["-6/1", "21/1"]],
        "bound": [["1/1", "0/1"], ["1/4", "2/1"]],
        "magnitude": [["16/1", str(2**127)], [below, str(2**128)]],
    }
    vector = made("matmul", inputs, expected)
    assert (vector.problem.operation, vector.problem.k, vector.problem.layout) == ("matmul", 1, "byte")
    parameters = {"scale": float32([0.5, 2]), "offset": float32([1, -1])}
    assert same(vector.problem.arrays, {"a": int8([8], [-3]), "q": int8([2, -3], [0, 0]), **parameters})
    ends = {"out_low": float32([15, -np.inf], [-6.25, -np.inf]), "out_high": float32([17, np.inf], [-5.75, np.inf])}
    integers = {"acc": int32([[16], [-24]], [[-6], [9]]), "row_sum": int32([8], [-3])}
    assert same(vector.expected, {**integers, "out": float32([16, -56], [-6, 21]), **ends})


def test_a_product_keeps_its_groups_its_layout_and_its_gain() -> None:
    inputs = {
        "activations": [[1] * 17],
        "packed": ["08" + "00" * 7],
        "k": 17,
        "layout": "dense",
        "group_size": 16,
        "narrow_gain": 2,
        "scale": [[ONE], [HALF]],
        "offset": [[ZERO], [ONE]],
    }
    expected = {"acc": [[[1, 0]]], "row_sum": [[16, 1]], "exact": [["1/3"]], "bound": [["1/9"]], "magnitude": [["1"]]}
    vector = made("matmul", inputs, expected)
    problem = vector.problem
    assert (problem.k, problem.layout, problem.group_size, problem.narrow_gain) == (17, "dense", 16, 2)
    assert same({"q": problem.arrays["q"]}, {"q": int8([1], *([0] for _ in range(17)))})
    assert problem.arrays["scale"].tolist() == [[1], [0.5]]
    assert vector.expected["out"].tolist() == [[float(np.float32(1 / 3))]]


def test_a_case_that_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected\.q: shape \[2, 1\] does not fit"):
        made("unpack_column", {"packed": "730b", "k": 3, "layout": "byte"}, {"column": [-2, 3]})


def test_every_operation_here_has_a_call() -> None:
    asked = {"pack_pair", "unpack_pair", "pack_dense", "unpack_dense", "pack_column", "unpack_column"}
    assert asked | {"quantize", "dequantize", "calibrate", "quantize_activations", "accumulate", "matmul"} == set(CALLS)
