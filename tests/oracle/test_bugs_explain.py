"""Which bug classes a kernel's results are consistent with: how likeness is counted, ranked and cut off.

The classes here are made for a test: each gives the numbers that it is told to. The target's call and theirs are of
integers that are all zero, so that each number but zero is wrong and the shares can be counted by hand.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from q35ref.backends.numpy import NumpyBackend
from q35ref.oracle.bugs.base import Bug
from q35ref.oracle.bugs.explain import explain
from q35ref.oracle.calls import Outcome
from q35ref.oracle.judge import RULES, Rule
from q35ref.oracle.problem import Array, Problem
from q35ref.reference.matmul import NO_VERDICT, VERDICT_GROUPS, Output
from tests.oracle.made_up import Costly, Large, Multiplying, Restoring, giving, numbers, unpacking

RULE = {rule.name: rule for rule in RULES}
UNPACK = RULE["unpack.integers"]


def sharing(name: str, same: int, of: int = 100) -> type[Bug]:
    """Return a class that gives a target's ones in so many places, and twos in the rest."""
    return giving(name, numbers((1, same), (2, of - same)))


def named(target: Any, *bugs: type[Bug], rule: Rule = UNPACK, problem: Problem | None = None) -> tuple[str, ...]:
    """Return the classes that explain one result of a target."""
    return explain(rule, [(problem or unpacking(target.size), Outcome(target))], bugs)


HUNDRED = numbers((1, 100))
"""A target that has a hundred numbers wrong, all in the same way."""


def test_a_class_that_gives_the_same_wrong_numbers_is_named() -> None:
    assert named(HUNDRED, sharing("Same", 100), sharing("Other", 0)) == ("Same",)


def test_half_the_wrong_numbers_are_the_least_that_explains() -> None:
    assert named(HUNDRED, sharing("Half", 50)) == ("Half",)
    assert named(HUNDRED, sharing("Less", 49)) == ()


def test_a_second_class_is_named_if_it_is_nearly_as_like_as_the_first() -> None:
    """At least 0.95 of the best likeness, which need not be 1 and need not come first."""
    assert named(HUNDRED, sharing("Best", 100), sharing("Close", 95)) == ("Best", "Close")
    assert named(HUNDRED, sharing("Best", 100), sharing("Far", 94)) == ("Best",)
    assert named(HUNDRED, sharing("Close", 77), sharing("Best", 80)) == ("Best", "Close")
    assert named(HUNDRED, sharing("Far", 75), sharing("Best", 80)) == ("Best",)


def test_two_classes_are_named_at_most_the_likeliest_first() -> None:
    bugs = [sharing("Third", 97), sharing("Second", 98), sharing("First", 99)]
    assert named(HUNDRED, *bugs) == ("First", "Second")
    equal = [sharing(name, 100) for name in "BAC"]
    assert named(HUNDRED, *equal) == ("B", "A")


def test_without_classes_nothing_is_named() -> None:
    assert named(HUNDRED) == ()


def test_classes_of_other_operations_are_not_asked() -> None:
    """One that does not show in the operation would give what the right kernel gives."""
    other = giving("Other", HUNDRED)
    other.operations = ("pack", "matmul")
    assert named(HUNDRED, other) == ()
    other.operations = ("pack", "unpack")
    assert named(HUNDRED, other) == ("Other",)


def test_the_likest_variant_speaks_for_a_class() -> None:
    class Several(Bug):
        """Wrong in one of three ways."""

        operations = ("unpack",)

        @classmethod
        def variants(cls) -> Sequence[Bug]:
            return [sharing("", same)() for same in (10, 100, 20)]

    assert named(HUNDRED, Several) == ("Several",)


def test_what_a_class_has_wrong_and_the_target_right_counts_against_it() -> None:
    """Ten numbers alike: of twenty that either has wrong they are half, of twenty-one they are less."""
    target = numbers((1, 10), (0, 30))
    assert named(target, giving("Half", numbers((1, 20), (0, 20)))) == ("Half",)
    assert named(target, giving("Less", numbers((1, 21), (0, 19)))) == ()


def test_what_the_target_has_wrong_and_a_class_right_counts_against_it() -> None:
    target = numbers((1, 21), (0, 19))
    assert named(target, giving("Half", numbers((1, 11), (0, 29)))) == ("Half",)
    assert named(target, giving("Less", numbers((1, 10), (0, 30)))) == ()


def test_where_neither_is_wrong_there_is_nothing_to_explain() -> None:
    assert named(numbers((0, 7)), giving("Right", numbers((0, 7)))) == ()


def test_what_is_right_is_not_likeness() -> None:
    """Ninety right numbers in common say nothing about ten wrong ones."""
    target = numbers((1, 10), (0, 90))
    assert named(target, giving("Unlike", numbers((2, 10), (0, 90)))) == ()


@pytest.mark.parametrize("count", [10, 11])
def test_a_call_that_a_class_cannot_do_is_wrong_in_all_its_numbers(count: int) -> None:
    calls = [(unpacking(10), Outcome(numbers((1, 10)))), (unpacking(count), Outcome(numbers((0, count))))]
    bug = giving("Raises", numbers((1, 10)), ValueError("no"))
    assert explain(UNPACK, calls, [bug]) == (("Raises",) if count == 10 else ())


@pytest.mark.parametrize(
    "result",
    [
        None,
        [[1, 1, 1]],
        np.ma.array([[1, 1, 1]], np.int8),
        (np.ones((1, 3), np.int8),),
        np.ones((1, 4), np.int8),
        np.ones((2, 3), np.int8),
        np.ones((1, 1), np.int8),
        np.ones(3, np.int8),
    ],
)
def test_a_result_of_another_make_is_like_nothing(result: Any) -> None:
    """Even if both give it: what it would be compared with, number by number, is not there."""
    assert named(result, giving("Same", result), problem=unpacking(3)) == ()
    assert named(np.ones((1, 3), np.int8), giving("Unfit", result), problem=unpacking(3)) == ()
    assert named(result, giving("Fit", np.ones((1, 3), np.int8)), problem=unpacking(3)) == ()


def test_a_result_of_fewer_rows_is_like_nothing() -> None:
    short = np.ones((1, 3), np.int8)
    assert named(short, giving("Same", short), problem=unpacking(3, k=2)) == ()


WEIGHTS = Problem("calibrate", 2, {"w": np.array([[0, 0, 0], [15, 30, 45]], np.float32)})
"""Three columns with scales 1, 2, 3 and offsets 8, 16, 24."""

ROWS = Problem("quantize_activations", 2, {"x": np.array([[127, 1], [254, 0]], np.float32)})
"""Two rows with scales 1 and 2 and integers 127, 1 and 127, 0."""

PRODUCT = Problem(
    "matmul",
    2,
    {
        "a": np.array([[1, 2]], np.int8),
        "q": np.array([[3, 4], [1, 1]], np.int8),
        "scale": np.ones((1, 2), np.float32),
        "offset": np.full((1, 2), 4, np.float32),
    },
    narrow_gain=1,
)
"""One row by two columns: sums 5 and 6, row sum 3, outputs 17 and 18."""


def changed(result: Any, part: int, by: int) -> Any:
    """Return results that are returned together, one of them increased."""
    return tuple(each + each.dtype.type(by if number == part else 0) for number, each in enumerate(result))


@pytest.mark.parametrize(
    ("name", "problem", "part"),
    [
        ("calibrate.scale", WEIGHTS, 0),
        ("calibrate.offset", WEIGHTS, 1),
        ("quantize_activations.scale", ROWS, 0),
        ("quantize_activations.integers", ROWS, 1),
        ("matmul.acc", PRODUCT, 0),
        ("matmul.row_sum", PRODUCT, 1),
        ("matmul.out", PRODUCT, 2),
    ],
)
def test_of_results_returned_together_the_rules_own_counts(name: str, problem: Problem, part: int) -> None:
    """The right one has no wrong number; an own one that is wrong is like the same one alone, whatever the others."""
    right = tuple(getattr(NumpyBackend(), problem.operation)(*problem.arguments().values()))

    def told(target: Any, other: Any) -> tuple[str, ...]:
        return named(target, giving("It", other, operation=problem.operation), rule=RULE[name], problem=problem)

    assert told(right, right) == ()
    wrong, others = changed(right, part, -1), [n for n in range(len(right)) if n != part]
    assert told(wrong, wrong) == ("It",)
    assert told(wrong, right) == told(wrong, changed(right, part, -2)) == ()
    for other in others:
        assert told(changed(right, other, 1), changed(right, other, 1)) == ()
        assert told(wrong, changed(wrong, other, 1)) == ("It",)
    for parts in ((*wrong, wrong[0]), wrong[:-1]):
        assert told(parts, parts) == told(wrong, parts) == ()


def restored(rule: str, right: float, target: float, mine: float) -> bool:
    """Say whether a class that restores a weight as ``mine`` is like a target that restores it as ``target``."""
    one = np.ones((1, 1), np.float32)
    problem = Restoring("dequantize", 1, {"q": np.ones((1, 1), np.int8), "scale": one, "offset": one}, right=(right,))
    bug = giving("It", np.array([[mine]], np.float32), operation="dequantize")
    told = explain(RULE[rule], [(problem, Outcome(np.array([[target]], np.float32)))], [bug])
    return told == ("It",)


def test_within_the_bound_of_a_restored_weight_nothing_is_wrong() -> None:
    """Twice 2**-23 of the weight, as far as double rounding may go: at 2**22 it is 1. Integers have no such bound."""
    right = 2.0**22
    assert not restored("dequantize.bound", right, right + 1, right + 1)
    assert not restored("dequantize.bound", -right, 1 - right, 1 - right)
    assert restored("dequantize.bound", right, right + 1.5, right + 1.5)
    assert restored("dequantize.exact", right, right + 0.5, right + 0.5)
    wrong = (np.full((1, 3), 2.0**22 + 0.5, np.float32), np.zeros((1, 3), np.float32))
    tall = Problem("calibrate", 2, {"w": np.array([3 * [0], 3 * [15 * 2.0**22]], np.float32)})
    rule = RULE["calibrate.scale"]
    assert named(wrong, giving("It", wrong, operation="calibrate"), rule=rule, problem=tall) == ("It",)


def test_wrong_floats_may_differ_by_twice_the_bound_and_a_little_of_themselves() -> None:
    """A hundred-thousandth of the target's number: 1 at 100000. The bound of 2**22 is 1."""
    assert restored("dequantize.bound", 2.0**22, 0, 2)
    assert restored("dequantize.bound", 2.0**22, 0, -2)
    assert not restored("dequantize.bound", 2.0**22, 0, 2.5)
    assert restored("dequantize.exact", 5, 100_000, 100_000.5)
    assert restored("dequantize.exact", 5, 100_000, 100_001)
    assert not restored("dequantize.exact", 5, 100_000, 100_001.5)
    assert restored("dequantize.exact", 5, -100_000, -100_001)
    assert not restored("dequantize.exact", 5, -100_000, -100_001.5)
    assert restored("dequantize.bound", 2.0**22, 100_000, 100_003)
    assert not restored("dequantize.bound", 2.0**22, 100_000, 100_003.5)


def test_numbers_that_are_none_are_like_themselves() -> None:
    inf, nan = np.inf, np.nan
    assert restored("dequantize.exact", 1, inf, inf)
    assert restored("dequantize.exact", 1, -inf, -inf)
    assert restored("dequantize.exact", 1, nan, nan)
    assert not restored("dequantize.exact", 1, nan, 7)
    assert not restored("dequantize.exact", 1, 7, nan)
    assert not restored("dequantize.exact", 1, 7, inf)


def test_where_the_right_weight_is_no_number_there_is_no_verdict() -> None:
    assert not restored("dequantize.exact", np.inf, 7, 7)
    assert not restored("dequantize.bound", np.inf, 7, 7)


def output(
    exact: float, bound: float, magnitude: Fraction = Fraction(0), acc: Any = (0,), row_sum: tuple[int, ...] = (0,)
) -> Output:
    return Output(acc, list(row_sum), Fraction(exact), magnitude, Fraction(bound))


def multiplied(entry: Output, target: float, mine: float) -> bool:
    """Say whether a class that gives the output ``mine`` is like a target that gives ``target``."""
    problem = Multiplying(**vars(PRODUCT.restrict(columns=slice(0, 1))), says=(entry,))
    nothing = np.zeros((1, 1, 1), np.int32), np.zeros((1, 1), np.int32)
    bug = giving("It", (*nothing, np.array([[mine]], np.float32)), operation="matmul")
    told = explain(RULE["matmul.out"], [(problem, Outcome((*nothing, np.array([[target]], np.float32))))], [bug])
    return told == ("It",)


def test_an_output_within_its_bound_is_not_wrong_and_wrong_ones_may_differ_by_twice_the_bound() -> None:
    entry = output(exact=10, bound=3)
    assert not multiplied(entry, 13, 13)
    assert not multiplied(entry, 7, 7)
    assert multiplied(entry, 13.5, 13.5)
    assert multiplied(entry, 0, -6)
    assert not multiplied(entry, 0, -6.5)


@pytest.mark.parametrize(
    ("entry", "judged"),
    [
        (output(0, 1, magnitude=NO_VERDICT - 1), True),
        (output(0, 1, magnitude=NO_VERDICT), False),
        (output(0, 1, magnitude=NO_VERDICT + 1), False),
        (output(float(2 * NO_VERDICT), 1, magnitude=2 * NO_VERDICT), False),
        (output(0, 1, acc=range(VERDICT_GROUPS)), True),
        (output(0, 1, acc=range(VERDICT_GROUPS + 1)), False),
        (output(0, 1, magnitude=NO_VERDICT, acc=range(VERDICT_GROUPS + 1)), False),
    ],
)
def test_an_output_on_which_the_format_gives_no_verdict_is_not_wrong(entry: Output, judged: bool) -> None:
    """Where the terms come to 2**127, or there are 2**22 groups."""
    assert multiplied(entry, 7, 7) == judged


def test_a_large_product_is_compared_where_it_is_judged() -> None:
    """In three columns, of which the target gives all."""

    columns = 7
    arrays: dict[str, Array] = {
        "a": np.array([[1, 2]], np.int8),
        "q": np.ones((2, columns), np.int8),
        "scale": np.ones((1, columns), np.float32),
        "offset": np.ones((1, columns), np.float32),
    }
    problem = Large("matmul", 2, arrays, layout="byte", narrow_gain=1)
    (_, where), rule = problem.judged or (None, slice(0)), RULE["matmul.out"]
    assert where == slice(0, 3)
    acc, row_sum, out = NumpyBackend().matmul(*problem.arguments().values())
    assert acc is not None
    assert out is not None
    mine = acc[:, where], row_sum, 2 * out[:, where]
    bug = giving("It", mine, operation="matmul")
    assert named((acc, row_sum, 2 * out), bug, rule=rule, problem=problem) == ("It",)


@pytest.mark.parametrize(
    ("costs", "made"),
    [
        ([1, 1, 1, 39_997], [1, 1, 1, 39_997]),
        ([1, 1, 1, 39_998], [1, 1, 1]),
        ([39_998, 1, 1, 1], [1, 1, 1]),
        ([1, 2, 3, 20_000, 19_994], [1, 2, 3, 19_994, 20_000]),
        ([1, 2, 3, 20_001, 19_994], [1, 2, 3, 19_994]),
        ([1, 2, 50_000], [1, 2, 50_000]),
        ([60_000, 90_000, 70_000, 80_000], [60_000, 70_000, 80_000]),
        (12 * [4_000], 10 * [4_000]),
    ],
)
def test_the_smallest_calls_are_made_again_as_far_as_they_go(costs: list[int], made: list[int]) -> None:
    """40000 numbers together, but three calls at least."""
    asked: list[int] = []

    class Asked(Bug):
        """Tells what it is asked by the number of columns."""

        operations = ("unpack",)

        def unpack(self, packed: Any, k: int, layout: Any) -> Any:
            asked.append(len(packed))
            return np.ones((k, len(packed)), np.int8)

    columns = {cost: number for number, cost in enumerate(sorted(set(costs)), 1)}
    calls: list[tuple[Problem, Outcome]] = [
        (Costly("unpack", 1, {"q": np.zeros((2, columns[cost]), np.int8)}, cost=cost), Outcome(numbers((0, 1))))
        for cost in costs
    ]
    explain(UNPACK, calls, [Asked])
    assert asked == [columns[cost] for cost in made]


@pytest.mark.parametrize(
    ("first", "alike", "named"),
    [(104, 13, True), (104, 12, False), (100, 0, True), (101, 13, True), (101, 12, False)],
)
def test_a_class_that_is_hardly_like_the_target_in_over_a_hundred_numbers_is_given_up(
    first: int, alike: int, named: bool
) -> None:
    """Under an eighth of them alike; a class that is given up is not named, were it the same ever after."""
    sizes = [first, 1000]
    calls = [(unpacking(size), Outcome(numbers((1, size)))) for size in sizes]
    bug = giving("It", numbers((1, alike), (2, first - alike)), numbers((1, 1000)))
    assert explain(UNPACK, calls, [bug]) == (("It",) if named else ())
