"""Why two calls of a problem differ, or why the second died: further calls find the one condition that is enough."""

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.calls import Outcome
from q35ref.oracle.foreign.observe import _integers_alike, reversed_columns
from q35ref.oracle.foreign.process import Death
from q35ref.oracle.judge import Mismatch
from tests.oracle.foreign_fakes import CRASH, EXIT, HANG, Call, says, says_three, watched


def counted(numbers: set[int], usual: int = 0, other: int = 1) -> Callable[[Call], Call]:
    """Return a kernel of which the calls of these numbers, from 1, come to something else."""
    calls = count(1)
    return lambda _: says(other if next(calls) in numbers else usual)


def numbered(differs: Callable[[int, Call], object]) -> Callable[[Call], Call]:
    """Return a kernel that gives the number of its call, from 0, where it differs, and 0 elsewhere."""
    calls = count()
    return lambda call: says(number if differs(number := next(calls), call) else 0)


DEPENDS: list[tuple[str, str, Callable[[Call], int]]] = [
    ("stale cache", "a call whose arrays lie a page further on", lambda c: c["side"] != ""),
    ("stale output", "a call whose outputs held other bytes before", lambda c: c["fill"] != 0xA5),
    ("misaligned", "a call whose arrays are at odd addresses", lambda c: c["side"] in ("odd", "after")),
    ("overread", "a call whose arrays have other bytes around them", lambda c: c["side"] == "after"),
    ("thread dependent", "a call with 2 threads", lambda c: c["threads"] == 2),
]


@pytest.mark.parametrize(("kind", "how", "depends"), DEPENDS)
def test_what_a_result_depends_on_is_found(kind: str, how: str, depends: Callable[[Call], int]) -> None:
    """The first call gave 0, the one that differs 1."""
    observer, _ = watched(lambda call: says(int(depends(call))))
    threads = 2 if kind == "thread dependent" else 1
    outcome = observer.observe("pack", {})
    assert outcome.faults == (Mismatch(kind, "result 1[0]", f"1 in {how}", "0 again", threads=threads),)
    assert outcome.result.tolist() == [0]


def test_a_result_that_depends_on_what_is_asked_for_beside_it_is_a_null_result() -> None:
    observer, _ = watched(lambda call: says_three(call, 0, int("acc" in call["left_out"])))
    (fault,) = observer.observe("matmul", {}).faults
    how = "a call with NULL for another result"
    assert fault == Mismatch("null result", "result 1[0]", f"1 in {how}", "0 again")


@pytest.mark.parametrize(
    ("numbers", "calls", "how"),
    [
        ({2, 3, 4, 5, 6}, 6, "an equal call"),
        ({2, 6}, 6, "an equal call"),
        ({2, 7}, 10, "a later call"),
        ({2, 7, 8, 9}, 10, "a later call"),
        ({2}, 26, "a later call"),
    ],
)
def test_what_shows_itself_now_and_then_is_not_repeatable(numbers: set[int], calls: int, how: str) -> None:
    """Four equal calls after the two, then four under each condition that the second had, threads last."""
    observer, process = watched(counted(numbers))
    (fault,) = observer.observe("pack", {}).faults
    assert fault == Mismatch("not repeatable", "result 1[0]", f"1 in {how}", "0 again")
    assert len(process.asked) == calls
    causes = [{}, {"side": "moved"}, {"fill": 0x3C}, {"side": "odd"}, {"side": "after"}, {"threads": 2}]
    assert process.conditions[2:] == [each for each in causes for _ in range(4)][: calls - 2]


def test_the_first_of_the_differences_is_shown() -> None:
    """Of a kernel that gives the number of its call wherever it differs."""
    told = [
        ("not repeatable", "2 in an equal call", lambda number, _: True),
        ("stale cache", f"6 in {DEPENDS[0][1]}", lambda _, call: call["side"]),
        ("thread dependent", "22 in a call with 2 threads", lambda _, call: call["threads"] > 1),
        ("not repeatable", "7 in a later call", lambda number, _: number in (1, 7, 8, 9)),
    ]
    for kind, got, differs in told:
        (fault,) = watched(numbered(differs))[0].observe("pack", {}).faults
        assert (fault.kind, fault.got) == (kind, got)


def test_differences_that_are_not_looked_into_are_taken_for_the_last() -> None:
    observer, _ = watched(lambda call: says(int(bool(call["arguments"]["depends"](call)))))
    causes = [DEPENDS[number] for number in (0, 3, 1)]
    found = [observer.observe("pack", {"depends": depends}).faults[0].kind for _, _, depends in [*causes, DEPENDS[0]]]
    assert found == ["stale cache", "overread", "stale output", "stale output"]


def test_of_calls_that_look_for_a_cause_those_that_die_say_nothing() -> None:
    """Four of four calls must differ."""
    deaths = count()

    def kernel(call: Call) -> Call | Death:
        if call["side"] == "moved" and next(deaths) == 1:
            return HANG
        return says(int(call["side"] != ""))

    (fault,) = watched(kernel)[0].observe("pack", {}).faults
    assert fault == Mismatch("not repeatable", "result 1[0]", "1 in a later call", "0 again")


BOUNDED = ("dequantize", "matmul")


def placed(call: Call) -> Call:
    """Give floats that depend on where the arrays lie, as sums in another order do."""
    return says_three(call, 3, 4, 1.0 if call["side"] == "after" else 1.5)


@pytest.mark.parametrize("operation", [*BOUNDED, "calibrate"])
def test_floats_within_a_bound_may_depend_on_where_arrays_lie(operation: str) -> None:
    """They are judged too; floats that must be exact may not."""
    observer, process = watched(placed)
    outcome = observer.observe(operation, {})
    if operation == "calibrate":
        assert [fault.kind for fault in outcome.faults] == ["overread"]
        assert outcome.also == ()
        return
    assert outcome.faults == ()
    ((acc, row_sum, out),) = outcome.also
    assert (acc, row_sum.tolist(), out.tolist()) == (None, [4], [1.0])
    assert outcome.result[2].tolist() == [1.5]
    third = {"fill": 0x3C, "threads": 2, "side": "moved", "sealed": ("a", "packed"), "left_out": ("acc",)}
    assert process.conditions[2:] == [third]


def test_floats_that_are_placed_differently_come_with_the_faults_of_that_call() -> None:
    def kernel(call: Call) -> Call:
        return {**placed(call), "faults": [["zeal", "a", "b", "c"]] if call["side"] == "after" else []}

    outcome = watched(kernel)[0].observe("matmul", {})
    assert [fault.kind for fault in outcome.faults] == ["zeal"]
    assert len(outcome.also) == 1


@pytest.mark.parametrize("cause", ["integers", "elsewhere too", "dies elsewhere"])
def test_other_differences_of_a_bounded_operation_are_faults(cause: str) -> None:
    """Integers; floats that differ at an address a page further on too; and where that call dies."""

    def kernel(call: Call) -> Call | Death:
        if cause == "dies elsewhere" and call["side"] == "moved" and call["threads"] > 1:
            return HANG
        other = call["side"] in (("after", "moved") if cause == "elsewhere too" else ("after",))
        return says_three(call, 0, other if cause == "integers" else 0, other)

    outcome = watched(kernel)[0].observe("matmul", {})
    assert [fault.kind for fault in outcome.faults] == ["stale cache" if "too" in cause else "overread"]
    assert outcome.also == ()


def cached(call: Call, held: dict[str, Any]) -> Call:
    """Take the contents that were at an address for those that are there."""
    q = call["arguments"]["q"]
    kept = held.setdefault(call["side"], q)
    return says(kept.copy())


Q = np.array([[1, 2]], np.int8)


def fourth(observer: Any, **arguments: Any) -> tuple[Mismatch, ...]:
    """Return what comes of the fourth problem, which is followed by another at its addresses."""
    for _ in range(3):
        assert observer.observe("pack", arguments).faults == ()
    faults: tuple[Mismatch, ...] = observer.observe("pack", arguments).faults
    return faults


def test_old_contents_taken_for_new_ones_are_a_stale_cache() -> None:
    held: dict[str, Any] = {}
    observer, process = watched(lambda call: cached(call, held))
    (fault,) = fourth(observer, q=Q)
    how = "a call at the addresses of one with other contents"
    assert fault == Mismatch("stale cache", "result 1[0, 0]", f"1 in {how}", "2 again")
    assert process.conditions[8:] == [{}, {}, {"side": "moved"}, {}, {}, {"side": "moved"}]
    assert [call["arguments"]["q"].tolist() for call in process.asked[8:]] == 2 * [[[1, 2]], [[2, 1]], [[2, 1]]]


@pytest.mark.parametrize("chance", [12, 13])
@pytest.mark.parametrize("dies", [False, True])
def test_what_is_stale_only_now_and_then_is_no_cache(chance: int, dies: bool) -> None:
    """Either of the last two calls comes to something else than before, or to nothing."""
    held: dict[str, Any] = {}
    calls = count()

    def kernel(call: Call) -> Call | Death:
        if next(calls) == chance:
            return HANG if dies else says(9)
        return cached(call, held)

    assert fourth(watched(kernel)[0], q=Q) == ()


@pytest.mark.parametrize("number", [9, 10])
def test_a_call_with_other_contents_that_dies_shows_no_cache(number: int) -> None:
    held: dict[str, Any] = {}
    calls = count()
    observer, process = watched(lambda call: HANG if next(calls) == number else cached(call, held))
    assert fourth(observer, q=Q) == ()
    assert len(process.asked) == 11


@pytest.mark.parametrize("kind", ["changed result", "alpha", "zeal"])
def test_a_result_that_a_call_with_other_contents_changes_is_told(kind: str) -> None:
    def kernel(call: Call) -> Call:
        turned = call["arguments"]["q"].tolist() == [[2, 1]]
        return says(0, *([kind] if turned and call["side"] == "" else []))

    observer, process = watched(kernel)
    told = [fault.kind for fault in fourth(observer, q=Q)]
    assert told == (["changed result"] if kind == "changed result" else [])
    assert len(process.asked) == 11


SEVERAL = ("acc", "row_sum")


def dies(death: Death, when: Callable[[Call], object]) -> Callable[[Call], Call | Death]:
    """Return a kernel that dies of a condition."""
    return lambda call: death if when(call) else says_three(call)


UNTOUCHED = "only the array is touched"

DEATHS: list[tuple[Callable[[Call], object], int, Mismatch, dict[str, Any]]] = [
    (
        lambda c: "packed" in c["sealed"],
        1,
        Mismatch(
            "written input",
            "packed",
            "written, and put back before the end: SIGSEGV where it cannot be written",
            "an input that is read alone",
        ),
        {"sealed": ()},
    ),
    (
        lambda c: "row_sum" in c["left_out"],
        2,
        Mismatch("null result", "row_sum", "SIGSEGV where row_sum is NULL", "the other results", 1, ("row_sum",)),
        {"left_out": ()},
    ),
    (
        lambda c: set(SEVERAL) <= set(c["left_out"]),
        4,
        Mismatch(
            "null result", "acc and row_sum", "SIGSEGV where acc and row_sum are NULL", "the other results", 1, SEVERAL
        ),
        {"left_out": ()},
    ),
    (
        lambda c: c["side"] == "after" or c["sides"].get("out") == "after",
        1,
        Mismatch("overread", "out", "bytes past its end are touched: SIGSEGV", UNTOUCHED),
        {"side": ""},
    ),
    (
        lambda c: c["side"] == "before" or c["sides"].get("packed") == "before",
        6,
        Mismatch("overread", "packed", "bytes before its start are touched: SIGSEGV", UNTOUCHED),
        {"side": ""},
    ),
    (
        lambda c: c["side"] == "after" or c["sides"].get("a") in ("odd", "after"),
        1,
        Mismatch("misaligned", "a", "SIGSEGV", "any address that is a multiple of the element's size will do"),
        {"side": ""},
    ),
    (
        lambda c: c["side"] == "before" or c["sides"].get("a") in ("odd", "before"),
        6,
        Mismatch("overread", "a", "bytes before its start are touched: SIGSEGV", UNTOUCHED),
        {"side": ""},
    ),
    (
        lambda c: c["threads"] == 2,
        1,
        Mismatch("crash", "matmul", "with 2 threads: SIGSEGV", "a result", threads=2),
        {"side": "", "sealed": (), "left_out": ()},
    ),
    (
        lambda c: c["threads"] == 2 and c["side"] == "after",
        1,
        Mismatch("crash", "matmul", "in the second of two calls: SIGSEGV", "a result"),
        {"side": "", "sealed": (), "left_out": ()},
    ),
]


@pytest.mark.parametrize(("when", "number", "fault", "spared"), DEATHS)
def test_why_the_second_call_dies_is_found_and_spared_from_then_on(
    when: Callable[[Call], object], number: int, fault: Mismatch, spared: dict[str, Any]
) -> None:
    """Problem so many is the first of which the second call has the condition; the next is without."""
    observer, process = watched(dies(CRASH, when))
    for _ in range(number - 1):
        assert observer.observe("matmul", {}).faults == ()
    outcome = observer.observe("matmul", {})
    assert outcome.faults == (fault,)
    assert outcome.answered
    process.asked.clear()
    for _ in range(2):
        observer.observe("matmul", {})
    usual = {"sealed": ("a", "packed"), "side": "after"}
    second = process.asked[1]
    assert {name: second[name] for name in spared} == spared
    assert {name: second[name] for name in usual if name not in spared} == {
        name: value for name, value in usual.items() if name not in spared
    }
    assert bool(second["left_out"]) == ("left_out" not in spared and (number + 1) % 7 != 0), (
        "the seventh leaves none out"
    )


def test_a_call_that_ends_the_process_is_told_as_such() -> None:
    observer, _ = watched(dies(EXIT, lambda call: call["threads"] > 1))
    (fault,) = observer.observe("matmul", {}).faults
    assert (fault.kind, fault.got) == ("exit", "with 2 threads: status 3")
    assert fault.expected == "a result, and the process going on"


def test_what_an_operation_dies_of_is_spared_for_it_alone() -> None:
    observer, process = watched(dies(CRASH, lambda call: call["sealed"]))
    observer.observe("matmul", {})
    observer.observe("unpack", {})
    assert {"sealed": ("a",)} in process.conditions[4:]
    assert observer.spared == {"matmul": {"sealed"}, "unpack": {"sealed"}}


def test_columns_are_reversed_where_the_protocol_has_them() -> None:
    """The first dimension of packed bytes; of activations, which have no columns, the rows."""
    square = np.arange(6, dtype=np.int8).reshape(2, 3)
    names = ("packed", "a", "x", "q", "w", "scale", "offset")
    arguments: dict[str, Any] = {**dict.fromkeys(names, square), "k": 3, "layout": "byte"}
    found = reversed_columns(arguments)
    rows, columns = [[3, 4, 5], [0, 1, 2]], [[2, 1, 0], [5, 4, 3]]
    assert [found[name].tolist() for name in names] == 3 * [rows] + 4 * [columns]
    assert all(found[name].flags.c_contiguous for name in names)
    assert (found["k"], found["layout"]) == (3, "byte")
    assert square.tolist() == [[0, 1, 2], [3, 4, 5]]


F = np.ones(2, "f4")
I = np.ones(2, "i4")  # noqa: E741


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (F, F * 2, True),
        ((I, F), (I, F * 2), True),
        ((I, F), (I * 2, F), False),
        (I, I * 2, False),
        ((I, F), (I, F, F), False),
        ((I, F), (I,), False),
        (F, np.ones(3, "f4"), False),
        (np.ones(3, "f4"), F, False),
        (F, np.ones((2, 1), "f4"), False),
        (F, None, False),
        (None, F, False),
        (F, [1.0, 1.0], False),
        (I, F, False),
        ((None, F), (None, F * 2), True),
        ((None, F), (I, F), False),
        (F.astype("f8"), F.astype("f8") * 2, False),
        (F.astype("f2"), F.astype("f2") * 2, False),
    ],
)
def test_results_that_differ_in_float32_numbers_alone_have_the_same_integers(one: Any, other: Any, same: bool) -> None:
    assert _integers_alike(Outcome(one), Outcome(other)) == same
