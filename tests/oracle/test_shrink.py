"""Cutting down: what is tried and in which order, what it may cost, and that the failure stays."""

from typing import Any

import numpy as np
import pytest

from q35ref.oracle.problem import Problem
from q35ref.oracle.shrink import shrink


def tried(problem: Problem, budget: int = 10**9) -> list[Problem]:
    """Return what is tried, in order, while nothing helps."""
    seen: list[Problem] = []

    def fails(candidate: Problem) -> bool:
        seen.append(candidate)
        return False

    assert shrink(problem, fails, budget) is problem
    return seen


def pack(*rows: list[int], **settings: Any) -> Problem:
    settings = {"narrow_gain": 1, **settings}
    return Problem("pack", len(rows), {"q": np.array(rows, np.int8)}, **settings)


def weights(k: int, group_size: int, **settings: Any) -> Problem:
    """Return a problem of weights and parameters that are plain already."""
    groups = -(-k // group_size) if group_size else 1
    one, zero = np.ones((groups, 1), np.float32), np.zeros((groups, 1), np.float32)
    arrays = {"w": np.zeros((k, 1), np.float32), "scale": one, "offset": zero}
    return Problem("quantize", k, arrays, group_size=group_size, **{"narrow_gain": 1, **settings})


def lists(problems: list[Problem], name: str) -> list[Any]:
    return [problem.arrays[name].tolist() for problem in problems]


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ("a", []),
        ("ab", ["a", "b"]),
        ("abc", ["a", "b", "c", "a", "bc", "ab", "bc"]),
        ("abcde", ["a", "b", "c", "d", "e", "ab", "cde", "abcd", "bcde"]),
    ],
)
def test_each_column_alone_is_tried_then_halves_then_all_but_one_end(columns: str, parts: list[str]) -> None:
    numbers = {"a": 7, "b": -8, "c": 6, "d": 5, "e": -7}
    problem = pack([numbers[letter] for letter in columns])
    found = [p for p in tried(problem) if p.n < len(columns)]
    assert lists(found, "q") == [[[numbers[letter] for letter in part]] for part in parts]


def test_rows_of_activations_are_left_out_like_columns() -> None:
    x = np.array([[1], [2], [3]], np.float32)
    found = [p for p in tried(Problem("quantize_activations", 1, {"x": x})) if p.m < 3]
    assert lists(found, "x") == [[[1]], [[2]], [[3]], [[1]], [[2], [3]], [[1], [2]], [[2], [3]]]


def test_columns_are_left_out_of_results_of_which_a_smaller_part_has_none() -> None:
    """A problem of activations has one column, whatever is cut."""
    assert all(p.n == 1 for p in tried(Problem("quantize_activations", 1, {"x": np.ones((1, 1), np.float32)})))


@pytest.mark.parametrize(
    ("k", "group_size", "ends", "starts"),
    [
        (1, 0, [], []),
        (2, 0, [1], []),
        (3, 0, [1, 2], [1]),  # begins at row 2
        (5, 0, [1, 2, 3, 4], [3]),
        (8, 0, [1, 2, 3, 4, 6, 7], [4, 6]),
        (19, 0, [1, 2, 3, 4, 10, 15, 16, 17, 18], [11, 15, 17]),
        (40, 16, [1, 2, 3, 4, 16, 17, 18, 20, 30, 35, 38, 39], [24]),
        (70, 16, [1, 2, 3, 4, 16, 17, 18, 35, 53, 62, 66, 68, 69], [38, 54]),
        (16, 16, [1, 2, 3, 4, 8, 12, 14, 15], [8, 12, 14]),
        (8, 16, [1, 2, 3, 4, 6, 7], [4, 6]),
    ],
)
def test_a_short_start_is_tried_then_longer_ones_then_ends_that_begin_a_group(
    k: int, group_size: int, ends: list[int], starts: list[int]
) -> None:
    """Where there is one group, an end begins at an even row, so that the lanes stay."""
    problem = weights(k, group_size)
    problem = problem.with_array("w", np.arange(k, dtype=np.float32)[:, None])
    found = [p for p in tried(problem) if p.k < k]
    assert [p.k for p in found] == [*ends, *starts]
    assert lists(found, "w") == [
        *([[row] for row in range(end)] for end in ends),
        *([[row] for row in range(k - length, k)] for length in starts),
    ]


def settings(problem: Problem) -> tuple[str, int, int]:
    return problem.layout, problem.group_size, problem.narrow_gain


@pytest.mark.parametrize(
    ("problem", "plainer"),
    [
        (pack([0]), []),
        (pack([0], layout="dense"), [("byte", 0, 1)]),
        (pack([0], narrow_gain=2), [("byte", 0, 1)]),
        (pack([0], layout="dense", narrow_gain=2), [("byte", 0, 2), ("dense", 0, 1)]),
        (weights(16, 16), [("byte", 0, 1)]),
        (weights(1, 16), [("byte", 0, 1)]),
        (weights(17, 16), []),
        (weights(33, 32), []),
    ],
)
def test_the_byte_layout_one_group_and_no_gain_are_plainer(problem: Problem, plainer: list[Any]) -> None:
    assert [settings(p) for p in tried(problem) if settings(p) != settings(problem)] == plainer


@pytest.mark.parametrize(("group_size", "sizes"), [(0, []), (16, []), (32, [16]), (48, [0, 16])])
def test_groups_become_shorter_where_no_parameters_would_have_to(group_size: int, sizes: list[int]) -> None:
    """Of 40 rows."""
    w = np.zeros((40, 1), np.float32)
    problem = Problem("calibrate", 40, {"w": w}, group_size=group_size, narrow_gain=1)
    assert [p.group_size for p in tried(problem) if p.k == 40 and p.group_size != group_size] == sizes
    assert problem.code() not in [p.code() for p in tried(problem)], "one that fails like itself would never end"


def test_a_whole_array_is_made_plain_then_halves_quarters_and_eighths_of_it() -> None:
    problem = pack([3, 3, 3, 3, 3, 3, 3, 3, 3])
    whole = [p for p in tried(problem) if p.n == 9 and (p.arrays["q"] == 0).sum() > 0]
    places = [np.flatnonzero(p.arrays["q"] == 0).tolist() for p in whole]
    assert places[: 1 + 2 + 4 + 8] == [
        [0, 1, 2, 3, 4, 5, 6, 7, 8],
        *([0, 1, 2, 3, 4], [5, 6, 7, 8]),
        *([0, 1, 2], [3, 4], [5, 6], [7, 8]),
        *([0, 1], [2], [3], [4], [5], [6], [7], [8]),
    ]


def test_a_part_that_is_plain_already_is_not_tried() -> None:
    problem = pack([0, 3])
    same = [p for p in tried(problem) if p.n == 2 and (p.arrays["q"] == problem.arrays["q"]).all()]
    assert same == []


def test_scales_become_one_and_all_else_zero() -> None:
    problem = weights(1, 0).with_array("scale", np.array([[4]], np.float32))
    found = [p for p in tried(problem) if (p.arrays["scale"] != 4).all()]
    assert found[0].arrays["scale"].tolist() == [[1]]
    assert all(p.legal() for p in found)


@pytest.mark.parametrize(
    ("number", "plainer"),
    [
        (0, []),
        (1, [0]),
        (-1, [0, 1]),
        (2, [0, 1]),
        (3, [0, 1, 2]),
        (-3, [0, 1, -1, 2, -2, 3]),
        (7, [0, 1, 2, 3, 6]),
        (-8, [0, 1, 2, 3, -4, -7]),
    ],
)
def test_integers_become_plainer(number: int, plainer: list[int]) -> None:
    """Small ones, the other sign, half of it, the next one towards 0; 8 is no wide integer."""
    problem = pack([number])
    [_, *found] = lists(tried(problem), "q") or [None]
    assert found == [[[value]] for value in plainer]


@pytest.mark.parametrize(
    ("number", "plainer"),
    [(100, [0, 1, 2, 3, 50, 99]), (-127, [0, 1, 2, 3, -63, -126, 127]), (-128, [0, 1, 2, 3, -64, -127])],
)
def test_large_integers_lose_no_bits_as_floats_do_and_stay_in_their_type(number: int, plainer: list[int]) -> None:
    one = np.ones((1, 1), np.float32)
    arrays: dict[str, Any] = {"a": np.array([[number]], np.int8), "q": np.zeros((2, 1), np.int8)}
    problem = Problem("matmul", 1, {**arrays, "scale": one, "offset": 0 * one}, narrow_gain=1)
    [_, *found] = [a for [[a]] in lists(tried(problem), "a") if a != number]
    assert found == plainer


@pytest.mark.parametrize(
    ("number", "plainer"),
    [
        (0.5, [0.0]),
        (-0.5, [0.0, 0.5]),
        (5.75, [0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 4.75]),
        (-5.75, [0.0, 0.5, 1.0, 2.0, -2.0, 3.0, -4.0, -5.0, -6.0, -4.75, 5.75]),
        (100.0, [0.0, 0.5, 1.0, 2.0, 3.0, 50.0, 96.0, 99.0]),
    ],
)
def test_floats_become_plainer(number: float, plainer: list[float]) -> None:
    """As integers do, and of fewer bits; what has fewer digits as a fraction comes first."""
    problem = Problem("quantize_activations", 1, {"x": np.array([[number]], np.float32)}, narrow_gain=1)
    [_, *found] = lists(tried(problem), "x")
    assert found == [[[value]] for value in plainer]


def test_a_float_is_rounded_to_1_2_4_8_12_or_16_bits() -> None:
    """No two roundings of 4/3 are the same number."""
    problem = Problem("quantize_activations", 1, {"x": np.array([[4 / 3]], np.float32)}, narrow_gain=1)
    [_, *found] = lists(tried(problem), "x")
    bits = [1.0, 1.5, 11 / 8, 171 / 128, 2731 / 2048, 43691 / 32768]
    less = float(np.float32(4 / 3)) - 1
    assert sorted(x for [[x]] in found) == sorted([0.0, 0.5, 2.0, 3.0, less, *bits])


def test_a_long_fraction_loses_its_last_bits_first_to_go_all_others() -> None:
    number = np.float32(1 + 2.0**-4 + 2.0**-11 + 2.0**-15 + 2.0**-23)
    problem = Problem("quantize_activations", 1, {"x": np.array([[number]], np.float32)}, narrow_gain=1)
    found = [float(p.arrays["x"][0, 0]) for p in tried(problem)]
    short = [1 + 2.0**-4, 1 + 2.0**-4 + 2.0**-11, 1 + 2.0**-4 + 2.0**-11 + 2.0**-15]
    assert [value for value in found if value in short] == short


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stays_among_weights(number: float) -> None:
    problem = weights(1, 0).with_array("w", np.array([[number]], np.float32))
    assert [p.arrays["w"].tolist() for p in tried(problem) if np.isfinite(p.arrays["w"]).all()] == [[[0]]]


def test_of_a_long_array_the_first_256_numbers_are_made_plainer_one_by_one() -> None:
    problem = pack([1] * 300)
    single = [p.arrays["q"] for p in tried(problem) if p.n == 300 and (p.arrays["q"] == 0).sum() == 1]
    assert [int(np.flatnonzero(q == 0)[0]) for q in single] == list(range(256))


def test_illegal_inputs_are_never_asked() -> None:
    problem = weights(1, 0).with_array("scale", np.array([[3]], np.float32))
    assert all((p.arrays["scale"] > 0).all() for p in tried(problem))
    assert [p.arrays["q"].tolist() for p in tried(pack([0], [-4])) if p.k == 2 and p.arrays["q"].max() > 3] == []


@pytest.mark.parametrize(("budget", "calls"), [(0, 0), (1, 1), (250, 1), (251, 2), (500, 2), (501, 3)])
def test_each_attempt_counts_for_at_least_250_numbers(budget: int, calls: int) -> None:
    assert len(tried(pack([7]), budget)) == calls


def test_a_long_attempt_counts_for_its_length() -> None:
    """Each column of 1,000 rows alone is 1,000 numbers."""
    problem = pack(*[[1, 1, 1]] * 1000)
    assert len(tried(problem, 1000)) == 1
    assert len(tried(problem, 1001)) == 2
    assert len(tried(problem, 3001)) == 4


@pytest.mark.parametrize(("k", "n", "attempts"), [(333, 3100, 3004), (250, 4100, 4000)])
def test_a_million_numbers_are_judged_unless_another_budget_is_given(k: int, n: int, attempts: int) -> None:
    """Each column alone, of k numbers: 3,003 times 333 leave 1, for one attempt more; 4,000 times 250 leave none."""
    problem, made = pack(*[[1] * n] * k), [0]

    def fails(_: Problem) -> bool:
        made[0] += 1
        return False

    shrink(problem, fails)
    assert made == [attempts]


def test_the_smallest_input_is_found_whatever_else_is_there() -> None:
    """A kernel that cannot pack 5 in a wide lane: one number is left."""
    rng = np.random.default_rng(0)
    q = np.where(np.arange(37)[:, None] % 2, rng.integers(-4, 4, (37, 6)), rng.integers(-8, 8, (37, 6)))
    problem = Problem("pack", 37, {"q": q.astype(np.int8)}, "dense", 16, 2)
    found = shrink(problem, lambda p: bool((p.arrays["q"][0::2] == 5).any()))
    assert (found.arrays["q"].tolist(), settings(found), found.k) == ([[5]], ("byte", 0, 1), 1)


def test_what_did_not_help_at_first_is_tried_again_after_something_helped() -> None:
    """One row fails with 1 alone, two rows with 5 as well."""
    allowed = {2: (5, 1), 1: (1,)}
    found = shrink(pack([5], [0]), lambda p: int(p.arrays["q"][0, 0]) in allowed[p.k])
    assert found.arrays["q"].tolist() == [[1]]


def test_numbers_that_must_stay_together_stay() -> None:
    """The sum must pass 100: none can be left out, and each becomes as plain as it can."""
    problem = Problem("quantize_activations", 3, {"x": np.array([[50.25, 30.5, 40.0]], np.float32)})
    found = shrink(problem, lambda p: float(p.arrays["x"].sum()) > 100 and p.k == 3)
    assert found.arrays["x"].tolist() == [[30, 30.5, 40]], "with 30 in place of 30.5 the sum is 100"


def test_the_same_problem_is_cut_down_the_same_way() -> None:
    problem = pack([3, 1, 7], [1, 2, 3], layout="dense")
    one, other = (shrink(problem, lambda p: 7 in p.arrays["q"]) for _ in range(2))
    assert one.code() == other.code()
    assert one.arrays["q"].tolist() == [[7]]


def test_a_problem_that_cannot_be_cut_down_is_returned_as_it_is() -> None:
    problem = pack([3], [1])
    assert shrink(problem, lambda _: False) is problem
