"""A vector by itself: what it says of an answer, and which vectors have no sense."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.judge import Mismatch, Verdict
from q35ref.oracle.problem import Array, Problem
from q35ref.oracle.vector import RESULTS, Vector, stored
from tests.oracle.vector_arrays import float32, int8, int32


def calibration() -> Vector:
    """One column, whose scale and offset are asked for."""
    problem = Problem("calibrate", 2, {"w": float32([1], [2])})
    return Vector("c", (), problem, {"scale": float32([1]), "offset": float32([3])})


def quantization() -> Vector:
    problem = Problem("quantize", 2, {"w": float32([1], [2]), "scale": float32([1]), "offset": float32([0])})
    return Vector("q", (), problem, {"q": int8([1], [2])})


def product() -> Vector:
    """One row of activations by three columns; the second output has no verdict."""
    q = int8([1, 2, 3], [0, 0, 0])
    problem = Problem("matmul", 1, {"a": int8([5]), "q": q, "scale": float32([1, 1, 1]), "offset": float32([0, 0, 0])})
    expected = {"acc": int32([[5], [10], [15]]), "row_sum": int32([5]), "out": float32([5, 10, 15])}
    low, high = float32([4, -np.inf, 14]), float32([6, np.inf, 16])
    return Vector("m", (), problem, {**expected, "out_low": low, "out_high": high})


def weights() -> Vector:
    """Four weights, the last of which has no verdict."""
    scale, offset = float32([1, 1, 1, 1]), float32([0, 0, 0, 0])
    problem = Problem("dequantize", 1, {"q": int8([1, 2, 3, 4]), "scale": scale, "offset": offset})
    low, high = float32([0, 1, 2, -np.inf]), float32([2, 3, 4, np.inf])
    return Vector("d", (), problem, {"w": float32([1, 2, 3, 4]), "w_low": low, "w_high": high})


# Answers


def test_a_vector_stays_as_it_is() -> None:
    with pytest.raises(FrozenInstanceError):
        calibration().id = "x"  # type: ignore[misc]
    assert Vector("a", (), calibration().problem).expected == {}


def test_a_right_answer_passes_and_its_numbers_are_counted() -> None:
    assert calibration().judge(None, (float32([1]), float32([3]))) == Verdict(None, 2, 0)
    assert quantization().judge(None, int8([1], [2])) == Verdict(None, 2, 0)
    out = float32([6, 1e30, 14])
    assert product().judge(None, (int32([[5], [10], [15]]), int32([5]), out)) == Verdict(None, 3 + 1 + 2, 1)


def test_what_must_be_refused_must_raise() -> None:
    problem = replace(quantization().problem, arrays={**quantization().problem.arrays, "w": float32([1], [np.nan])})
    refusal = Vector("r", (), problem)
    assert refusal.judge("ValueError: w", None) == Verdict(None, 1)
    accepted = Mismatch("accepted", "w", "a result", "an exception")
    assert refusal.judge(None, int8([1], [0])) == Verdict(accepted, 1)


def test_an_exception_is_no_answer() -> None:
    found = calibration().judge("ValueError: no", None)
    assert found == Verdict(Mismatch("raised", "calibrate", "ValueError: no", "a result"))


SCALE, OFFSET = float32([1]), float32([3])


@pytest.mark.parametrize(
    ("answer", "got"),
    [(None, "NoneType"), ([SCALE, OFFSET], "list"), ((SCALE,), "tuple"), ((SCALE, OFFSET, OFFSET), "tuple")],
)
def test_two_results_come_as_a_pair(answer: Any, got: str) -> None:
    found = calibration().judge(None, answer)
    assert found == Verdict(Mismatch("shape", "result", got, "a tuple (scale, offset)"))


@pytest.mark.parametrize("answer", [None, (int8([1], [2]),), int8([1, 2]), int32([1], [2])])
def test_one_result_comes_by_itself_with_its_type_and_shape(answer: Any) -> None:
    found = quantization().judge(None, answer)
    assert found.mismatch is not None
    assert (found.mismatch.kind, found.mismatch.place, found.judged) == ("shape", "q", 0)


def test_the_first_wrong_number_is_named_and_what_came_before_it_counted() -> None:
    found = calibration().judge(None, (float32([1]), float32([4])))
    assert found == Verdict(
        Mismatch("value", "offset[g=0, n=0]", "0x40800000 (4.0)", "0x40400000 (3.0)"), judged=2, no_verdict=0
    )
    assert calibration().judge(None, (float32([2]), float32([4]))).judged == 1


def test_a_matmul_may_leave_results_out_but_the_others_are_judged() -> None:
    acc, row_sum = int32([[5], [10], [15]]), int32([5])
    assert product().judge(None, (acc, None, None)) == Verdict(None, 3, 0)
    wrong = product().judge(None, (None, int32([6]), None)).mismatch
    assert wrong is not None
    assert wrong.place == "row_sum[m=0, g=0]"
    assert product().judge(None, (None, row_sum, None)) == Verdict(None, 1, 0)


@pytest.mark.parametrize("operation", sorted(set(RESULTS) - {"matmul"}))
def test_no_other_operation_may_leave_a_result_out(operation: str) -> None:
    nothing = tuple(None for _ in RESULTS[operation])
    expected: dict[str, Array] = dict.fromkeys(RESULTS[operation], float32([1]))
    found = Vector("v", (), Problem(operation, 1, {}), expected).judge(None, nothing if len(nothing) > 1 else None)
    assert found.mismatch is not None
    assert found.mismatch.kind == "shape"


def test_a_result_that_the_vector_does_not_have_is_not_judged() -> None:
    whole = product()
    without = replace(whole, expected={name: whole.expected[name] for name in ("acc", "row_sum")})
    assert without.judge(None, (whole.expected["acc"], whole.expected["row_sum"], "nothing")) == Verdict(None, 4, 0)
    late = replace(whole, expected={"row_sum": int32([5])})
    assert late.judge(None, ("nothing", int32([5]), "nothing")) == Verdict(None, 1, 0)
    assert late.judge(None, ("nothing", int32([4]), "nothing")).mismatch is not None


# Answers within bounds


@pytest.mark.parametrize("value", [3.9999998, 6.0000005, np.nan, np.inf, -np.inf])
def test_an_output_outside_its_bounds_is_wrong(value: float) -> None:
    expected = product().expected
    out = float32([5, np.nan, 15])
    out[0, 0] = value
    found = product().judge(None, (expected["acc"], expected["row_sum"], out))
    assert found.mismatch is not None
    assert (found.judged, found.no_verdict) == (6, 1)
    assert found.mismatch.place == "out[m=0, n=0]"
    assert found.mismatch.expected == "0x40A00000 (5.0), at least 0x40800000 (4.0), at most 0x40C00000 (6.0)"
    assert found.mismatch.got.endswith(f"({out[0, 0]})")


def test_the_first_of_several_is_named() -> None:
    found = weights().judge(None, float32([1, 9, 9, 9])).mismatch
    assert found is not None
    assert found.place.startswith("w[k=0, n=1]")
    found = weights().judge(None, float32([1, 2, 9, 9])).mismatch
    assert found is not None
    assert found.place.startswith("w[k=0, n=2]")


def test_a_bounded_result_has_its_type_and_shape_too() -> None:
    for answer in (float32([1], [2], [3], [4]), np.array([[1, 2, 3, 4]]), [[1, 2, 3, 4]], None):
        found = weights().judge(None, answer).mismatch
        assert found is not None
        assert (found.kind, found.place) == ("shape", "w")


def test_one_infinite_end_is_a_bound_still() -> None:
    """Only where both ends are infinite is there no verdict."""
    for low, high, inside, outside in ((-np.inf, 5, -1e30, 6), (3, np.inf, 1e30, 2)):
        ends = {"w_low": float32([low]), "w_high": float32([high])}
        problem = Problem("dequantize", 1, {"q": int8([4]), "scale": float32([1]), "offset": float32([0])})
        one = Vector("d", (), problem, {"w": float32([4]), **ends})
        assert one.judge(None, float32([inside])) == Verdict(None, 1, 0)
        assert one.judge(None, float32([outside])).mismatch is not None


def test_who_claims_correct_rounding_gives_the_nearest_weight() -> None:
    near = float32([1, 2, 3.5, 9])
    assert weights().judge(None, near) == Verdict(None, 3, 1)
    assert weights().judge(None, near, correctly_rounded=False).mismatch is None
    found = weights().judge(None, near, correctly_rounded=True).mismatch
    assert found is not None
    assert found.expected == "0x40400000 (3.0), at least 0x40400000 (3.0), at most 0x40400000 (3.0)"
    assert weights().judge(None, float32([1, 2, 3, 9]), correctly_rounded=True) == Verdict(None, 3, 1)


def test_nobody_claims_a_correctly_rounded_output() -> None:
    results = product().expected["acc"], product().expected["row_sum"], float32([6, 0, 14])
    assert product().judge(None, results, correctly_rounded=True).mismatch is None


# Sense


def changed(vector: Vector, part: str, name: str, array: Array) -> Vector:
    if part == "expected":
        return replace(vector, expected={**vector.expected, name: array})
    return replace(vector, problem=replace(vector.problem, arrays={**vector.problem.arrays, name: array}))


@pytest.mark.parametrize("made", [calibration, quantization, product, weights])
def test_what_fits_together_has_sense(made: Any) -> None:
    made().require_sense()


PACKING = Vector("p", (), Problem("pack", 3, {"q": int8([1], [2], [3])}), {"packed": np.array([[10, 24]], np.uint8)})
UNPACKING = Vector("u", (), Problem("unpack", 3, {"q": int8([1], [2], [3], [0])}), {"q": int8([1], [2], [3])})


def test_the_last_field_of_an_odd_number_of_rows_is_stored_where_bytes_are_given() -> None:
    PACKING.require_sense()
    UNPACKING.require_sense()
    even = Problem("unpack", 2, {"q": int8([1], [2])})
    Vector("u", (), even, {"q": int8([1], [2])}).require_sense()


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (changed(PACKING, "inputs", "q", int8([1], [2], [3], [0])), r"inputs\.q: shape \[4, 1\] .* ask for \[3, 1\]$"),
        (changed(UNPACKING, "inputs", "q", int8([1], [2], [3])), r"inputs\.q: shape \[3, 1\] .* ask for \[4, 1\]$"),
        (changed(UNPACKING, "expected", "q", int8([1], [2])), r"expected\.q: shape \[2, 1\] .* ask for \[3, 1\]$"),
        (changed(PACKING, "expected", "packed", np.zeros((1, 3), np.uint8)), r"packed: shape \[1, 3\].*for \[1, 2\]$"),
        (changed(PACKING, "expected", "packed", np.zeros(2, np.uint8)), r"packed: shape \[2\] .* ask for \[1, 2\]$"),
        (changed(PACKING, "inputs", "q", int32([1], [2], [3])), r"inputs\.q: expected int8, got int32$"),
        (changed(product(), "inputs", "a", int8([5, 6])), r"inputs\.a: shape \[1, 2\] .* ask for \[1, 1\]$"),
        (changed(product(), "inputs", "scale", float32([1, 1])), r"inputs\.scale: shape \[1, 2\] .*for \[1, 3\]$"),
        (changed(product(), "inputs", "offset", int32([0, 0, 0])), r"inputs\.offset: expected float32, got int32$"),
        (changed(product(), "expected", "acc", int32([5, 10, 15])), r"expected\.acc: shape \[1, 3\].*\[1, 3, 1\]$"),
        (changed(product(), "expected", "row_sum", int8([5])), r"expected\.row_sum: expected int32, got int8$"),
        (changed(product(), "expected", "out_low", int32([4, 0, 14])), r"out_low: expected float32, got int32$"),
        (changed(product(), "expected", "out_high", float32([6])), r"out_high: shape \[1, 1\] .* ask for \[1, 3\]$"),
        (changed(product(), "expected", "out_low", float32([7, -np.inf, 14])), r"expected\.out_low: not at most"),
        (changed(weights(), "expected", "w_low", float32([0, np.nan, 2, 0])), r"expected\.w_low: not at most"),
        (
            changed(product(), "inputs", "scale", float32([[1, 1, 1]])),
            r"scale: expected two dim.*, got shape \[1, 1, 3\]",
        ),
        (changed(product(), "inputs", "q", int8(1, 2)), r"inputs\.q: expected two dimensions, got shape \[2\]$"),
        (changed(weights(), "inputs", "scale", float32([1, 1, 0, 1])), "inputs: not what the format allows"),
        (changed(weights(), "inputs", "offset", float32([1, 1, np.inf, 1])), "inputs: not what the format allows"),
        (changed(quantization(), "inputs", "scale", float32([np.inf])), "inputs: not what the format allows"),
        (changed(quantization(), "inputs", "w", float32([1], [np.inf])), "to be refused if, and only if"),
        (replace(quantization(), expected={}), "to be refused if, and only if"),
    ],
)
def test_what_does_not_fit_together_is_named(vector: Vector, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vector.require_sense()


def test_weights_that_are_not_finite_are_refused_with_sense() -> None:
    replace(changed(quantization(), "inputs", "w", float32([1], [np.inf])), expected={}).require_sense()


def test_ends_that_are_the_same_have_sense() -> None:
    changed(weights(), "expected", "w_low", weights().expected["w_high"]).require_sense()


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (0, "k: expected 1 to 67108864 rows, got 0"),
        (-1, "k: expected 1 to 67108864 rows, got -1"),
        (67108865, "k: expected 1 to 67108864 rows, got 67108865"),
        (67108864, r"inputs\.x: shape \[1, 2\] does not fit the others, which ask for \[1, 67108864\]"),
    ],
)
def test_a_vector_has_one_to_2_26_rows(k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Vector("x", (), Problem("quantize_activations", k, {"x": float32([1, 2])}, group_size=16)).require_sense()


@pytest.mark.parametrize(("k", "packed"), [(3, 4), (5, 2), (0, 1), (-1, 1)])
def test_packed_bytes_must_fit_their_rows(k: int, packed: int) -> None:
    for shape in ((1, packed), (packed,), (1, max(0, k + 1) // 2, 2)):
        with pytest.raises(ValueError, match=r"packed: shape|k: expected"):
            stored(np.zeros(shape, np.uint8), k, "byte")
