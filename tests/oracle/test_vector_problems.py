"""Vectors made of the oracle's problems: the results that they get, and the bounds of floats."""

from fractions import Fraction

import numpy as np
import pytest

from q35ref.oracle import vector as module
from q35ref.oracle.problem import Array, Problem
from q35ref.oracle.vector import RESULTS, Vector, from_problem
from tests.kernels.planted.correct import Correct
from tests.oracle.last_inside import require_last_inside
from tests.oracle.vector_arrays import float32, int8

HALF_UNIT = Fraction(1, 2**24)
"""The largest relative error of one rounding to float32."""

BELOW_2_124 = float(2**124 - 2**100)
"""The float32 before 2**124."""

GRID = {"scale": float32([0.5, 3], [2, 0.75]), "offset": float32([1, -7], [0.25, 1e6])}
"""Parameters of two groups of two columns."""

ODD = int8(*([row % 8 - 4, 3 - row % 8][:: 1 - 2 * (row % 3 == 0)] for row in range(17)))
NARROW = np.clip(ODD, -4, 3)
POSED = [
    Problem("pack", 17, {"q": NARROW}, "dense"),
    Problem("unpack", 17, {"q": int8(*NARROW, [0, 0])}, "byte"),
    Problem("calibrate", 17, {"w": ODD.astype(np.float32)}, group_size=16, method="symmetric"),
    Problem("quantize", 17, {"w": ODD.astype(np.float32) * 3, **GRID}, group_size=16, narrow_gain=1),
    Problem("dequantize", 17, {"q": NARROW, **GRID}, group_size=16),
    Problem("quantize_activations", 5, {"x": float32([1, 2, 3, -4, 5])}),
    Problem("matmul", 17, {"a": ODD.T, "q": int8(*NARROW, [0, 0]), **GRID}, group_size=16),
]


@pytest.mark.parametrize("problem", POSED, ids=lambda problem: problem.operation)
def test_a_problem_gets_the_results_of_its_operation_and_a_correct_kernel_gives_them(problem: Problem) -> None:
    vector = from_problem("v", problem)
    ends = {"matmul": ["out_low", "out_high"], "dequantize": ["w_low", "w_high"]}.get(problem.operation, [])
    assert list(vector.expected) == [*RESULTS[problem.operation], *ends]
    assert (vector.id, vector.flags, vector.problem) == ("v", (), problem)
    assert all(array.flags.c_contiguous for array in vector.expected.values())
    vector.require_sense()
    result = getattr(Correct(), problem.operation)(*problem.arguments().values())
    found = vector.judge(None, result, correctly_rounded=True)
    assert found.mismatch is None
    assert found.judged == sum(array.size for name, array in vector.expected.items() if name not in ends)


def test_a_problem_that_must_be_refused_gets_no_results() -> None:
    legal = Problem("quantize", 2, {"w": float32([1], [2]), "scale": float32([1]), "offset": float32([0])})
    problem = legal.with_array("w", float32([1], [np.nan]))
    assert from_problem("r", problem) == Vector("r", (), problem)


def test_a_dequantized_weight_may_err_by_two_roundings_of_its_steps_and_one_of_its_offset() -> None:
    problem = next(problem for problem in POSED if problem.operation == "dequantize")
    vector = from_problem("d", problem)
    for row in range(17):
        for column in range(2):
            scale, offset = (Fraction(float(GRID[name][row // 16, column])) for name in ("scale", "offset"))
            steps = int(NARROW[row, column]) * (2 if row % 2 else 1) * scale
            bound = ((1 + HALF_UNIT) ** 2 - 1) * abs(steps) + HALF_UNIT * abs(offset)
            low, high = vector.expected["w_low"][row, column], vector.expected["w_high"][row, column]
            require_last_inside(low, high, steps + offset, bound)


def test_an_output_may_err_by_the_bound_of_its_entry() -> None:
    problem = next(problem for problem in POSED if problem.operation == "matmul")
    expected = from_problem("m", problem).expected
    for i, row in enumerate(problem.entries):
        for j, entry in enumerate(row):
            require_last_inside(expected["out_low"][i, j], expected["out_high"][i, j], entry.exact, entry.bound)
            assert expected["acc"][i, j].tolist() == entry.acc


def test_the_square_of_a_rounding_counts() -> None:
    """One step of size one may be 1 - 2u, which a bound of 2u - u*u would not allow."""
    problem = Problem("dequantize", 1, {"q": int8([1]), "scale": float32([1]), "offset": float32([0])})
    expected = from_problem("d", problem).expected
    assert expected["w_low"].tolist() == [[1 - 2.0**-23]]
    assert expected["w_high"].tolist() == [[1 + 2.0**-23]]


def test_a_weight_that_may_overflow_has_no_verdict() -> None:
    """In one column eight steps reach 2**127, in the other they do not."""
    scale, offset = float32([2.0**124, BELOW_2_124]), float32([0, 0])
    expected = from_problem(
        "d", Problem("dequantize", 1, {"q": int8([0, 0]), "scale": scale, "offset": offset})
    ).expected
    assert expected["w_low"].tolist() == [[-np.inf, 0]]
    assert expected["w_high"].tolist() == [[np.inf, 0]]


def multiplied(k: int, scale: float, group_size: int = 0) -> dict[str, Array]:
    groups = -(-k // (group_size or k))
    q = np.zeros((k + k % 2, 1), np.int8)
    q[0] = 1
    parameters = {"scale": np.full((groups, 1), scale, np.float32), "offset": np.zeros((groups, 1), np.float32)}
    arrays: dict[str, Array] = {"a": np.full((1, k), -128, np.int8), "q": q, **parameters}
    return from_problem("m", Problem("matmul", k, arrays, group_size=group_size)).expected


@pytest.mark.parametrize(("scale", "silent"), [(2.0**120, True), (2.0**121, True), (BELOW_2_124 / 16, False)])
def test_an_output_has_no_verdict_from_2_127_on(scale: float, silent: bool) -> None:
    expected = multiplied(1, scale)
    assert (expected["out_low"] == -np.inf).all() == (expected["out_high"] == np.inf).all() == silent


@pytest.mark.parametrize(("k", "silent"), [(16, False), (32, False), (33, True), (64, True)])
def test_an_output_has_no_verdict_with_more_groups_than_there_is_a_proof_for(
    k: int, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "VERDICT_GROUPS", 2)
    assert np.isneginf(multiplied(k, 1.0, 16)["out_low"]).all() == silent
