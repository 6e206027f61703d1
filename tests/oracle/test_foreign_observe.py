"""Two calls of a problem: under which conditions, what comes of faults and deaths in them, and what is not repeated."""

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.calls import Outcome
from q35ref.oracle.foreign.observe import PLAIN, Arrays, read_answer
from q35ref.oracle.foreign.process import Death
from q35ref.oracle.judge import Mismatch
from tests.oracle.foreign_fakes import CRASH, EXIT, HANG, ONE, Call, says, says_three, watched

RESULT = "a result"
LIVING = "a result, and the process going on"


def kinds(outcome: Outcome) -> list[str]:
    """Return the kinds of an outcome's faults."""
    return [fault.kind for fault in outcome.faults]


def test_a_problem_is_called_amid_canaries_then_against_forbidden_pages() -> None:
    """All that the worker is told of either call."""
    observer, process = watched(lambda _: says())
    outcome = observer.observe("pack", {"layout": "byte"})
    assert outcome.faults == ()
    assert outcome.also == ()
    asked = {"operation": "pack", "arguments": {"layout": "byte"}}
    other = {"fill": 0x3C, "threads": 2, "side": "after", "sides": {}, "sealed": ("q",), "left_out": ()}
    assert process.asked == [{**asked, **ONE}, {**asked, **other}]


THREADS = [2, 8, 3, 4, 4]
"""Of the second call of five problems, and so on."""

LEFT_OUT = [("acc",), ("row_sum",), ("out",), ("acc", "row_sum"), ("acc", "out"), ("row_sum", "out"), ()]


def test_the_conditions_of_second_calls_go_round_with_periods_of_their_own() -> None:
    """All that may be left out together is left out; each of a method's problems counts for it alone."""
    observer, process = watched(says_three)
    for number in range(35):
        process.asked.clear()
        observer.observe("matmul", {"method": "minmax"})
        observer.observe("matmul", {"method": "symmetric"})
        second = {
            "fill": 0x3C,
            "threads": THREADS[number % 5],
            "side": "before" if (number + 1) % 11 in (0, 6) else "after",
            "sealed": ("a", "packed"),
            "left_out": LEFT_OUT[number % 7],
        }
        calls = 2 if (number + 1) % 4 else 5
        half = len(process.asked) // 2
        assert half == calls
        asked = [{**ONE, **conditions} for conditions in process.conditions]
        assert asked[1] == asked[half + 1] == {**ONE, **second}


def test_each_fourth_problem_is_followed_by_another_at_its_addresses() -> None:
    """The other has the columns in the opposite order; and lies at other addresses for comparison."""
    observer, process = watched(lambda _: says())
    q = np.array([[1, 2], [3, 4]], np.int8)
    lengths = []
    for _ in range(8):
        process.asked.clear()
        assert observer.observe("pack", {"q": q, "layout": "byte"}).faults == ()
        lengths.append(len(process.asked))
    assert lengths == [2, 2, 2, 5, 2, 2, 2, 5]
    assert process.conditions[2:] == [{}, {}, {"side": "moved"}]
    assert [call["arguments"]["q"].tolist() for call in process.asked[2:]] == [
        [[1, 2], [3, 4]], [[2, 1], [4, 3]], [[2, 1], [4, 3]]
    ]  # fmt: skip
    assert {call["arguments"]["layout"] for call in process.asked} == {"byte"}


def test_conditions_and_names_are_fixed() -> None:
    """The first call's are shared by all calls."""
    with pytest.raises(FrozenInstanceError):
        PLAIN.threads = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Arrays().inputs = ("q",)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("optional", "subsets"),
    [((), [()]), (("a",), [()]), (("a", "b"), [(), ("a",), ("b",)]), (("acc", "row_sum", "out"), None)],
)
def test_of_optional_results_some_may_be_left_out_but_not_all(optional: tuple[str, ...], subsets: Any) -> None:
    found = Arrays(optional=optional).subsets
    assert found == (subsets if subsets else [(), *LEFT_OUT[:-1]])


def test_settings_changed_while_a_kernel_is_loaded_are_told_once() -> None:
    observer, _ = watched(lambda _: says(0, "environment"), loading=["flush-to-zero", "it is switched on"])
    first = observer.observe("pack", {})
    fault = Mismatch("flush-to-zero", "loading", "it is switched on", "the caller's settings left as they were")
    assert first.faults[1:] == (fault,)
    assert kinds(first)[0] == "environment"
    assert kinds(observer.observe("pack", {})) == ["environment"]


def test_settings_changed_while_a_kernel_is_loaded_are_told_of_one_that_dies_too() -> None:
    observer, _ = watched(lambda _: EXIT, loading=["environment", "x"])
    assert kinds(observer.observe("pack", {})) == ["exit", "environment"]
    assert kinds(observer.observe("pack", {})) == ["exit"]


@pytest.mark.parametrize("offered", [{}, {"loading": ["", ""]}])
def test_a_kernel_that_changes_nothing_while_it_is_loaded_has_no_fault(offered: Any) -> None:
    observer, _ = watched(lambda _: says(), **offered)
    assert observer.observe("pack", {}).faults == ()


@pytest.mark.parametrize(("death", "expected", "calls"), [(CRASH, RESULT, 2), (HANG, RESULT, 1), (EXIT, LIVING, 1)])
@pytest.mark.parametrize("method", ["observe", "answer"])
def test_a_kernel_that_dies_is_told_with_what_was_expected(
    death: Death, expected: str, calls: int, method: str
) -> None:
    """One that crashes is called again with no page forbidden, for it may have written there."""
    observer, process = watched(lambda _: death)
    outcome = getattr(observer, method)("pack", {})
    assert outcome == Outcome(faults=(Mismatch(death.kind, "pack", death.text, expected),), answered=False)
    assert process.conditions == [{}, {"side": "wide"}][:calls]
    assert observer.wide == set()


def far(call: Call) -> Call | Death:
    """Write far away: with pages forbidden that is a crash."""
    return says(5, "aside", "out-of-bounds write", "zeal") if call["side"] == "wide" else CRASH


@pytest.mark.parametrize("method", ["observe", "answer"])
def test_what_writes_far_away_is_called_with_no_page_forbidden_from_then_on(method: str) -> None:
    observer, process = watched(far)
    for _ in range(2):
        outcome = getattr(observer, method)("pack", {})
        assert kinds(outcome) == ["aside", "out-of-bounds write", "zeal"]
        assert outcome.answered
    assert process.conditions == [{}, {"side": "wide"}, {"side": "wide"}]
    assert observer.wide == {"pack"}


@pytest.mark.parametrize("faults", [(), ("modified input",), ("zeal",)])
def test_a_crash_that_no_write_explains_stays_one(faults: tuple[str, ...]) -> None:
    observer, process = watched(lambda call: says(0, *faults) if call["side"] == "wide" else CRASH)
    assert kinds(observer.observe("pack", {})) == ["crash"]
    assert observer.wide == set()
    assert len(process.asked) == 2


def test_an_answer_is_one_call() -> None:
    observer, process = watched(lambda _: says(7, "environment", raised="ValueError: no"))
    outcome = observer.answer("pack", {})
    assert (outcome.result.tolist(), outcome.raised, kinds(outcome)) == ([7], "ValueError: no", ["environment"])
    assert outcome.answered
    assert process.conditions == [{}]


def test_a_kernel_that_writes_outside_its_arrays_is_not_called_again() -> None:
    observer, process = watched(lambda _: says(3, "out-of-bounds write", raised="status 1"))
    outcome = observer.observe("pack", {})
    assert (outcome.result.tolist(), outcome.raised, kinds(outcome)) == ([3], "status 1", ["out-of-bounds write"])
    assert process.conditions == [{}]


@pytest.mark.parametrize(("kind", "sealed"), [("modified input", ()), ("alpha", ("q",)), ("zeal", ("q",))])
def test_inputs_that_a_kernel_writes_stay_writable(kind: str, sealed: tuple[str, ...]) -> None:
    """The second call is made in spite of other faults; a fault of a kind that is known is not told twice."""
    observer, process = watched(lambda _: says(0, kind))
    assert kinds(observer.observe("pack", {})) == [kind]
    assert len(process.asked) == 2
    assert process.asked[1]["sealed"] == sealed


def test_a_fault_of_the_second_call_is_told_with_its_conditions() -> None:
    observer, _ = watched(lambda call: says_three(call, 0, 0, 0, *(["environment"] if call["threads"] > 1 else [])))
    (fault,) = observer.observe("matmul", {}).faults
    got = "got (with 2 threads, NULL for acc)"
    assert fault == Mismatch("environment", "q", got, "expected", threads=2, left_out=("acc",))


def test_a_fault_of_a_later_call_comes_before_a_difference_of_its_result() -> None:
    observer, _ = watched(lambda call: says(call["fill"] % 4, *(["zeal"] if call["threads"] > 1 else [])))
    assert kinds(observer.observe("pack", {})) == ["zeal", "stale output"]


def test_only_so_many_differences_of_an_operation_are_looked_into() -> None:
    """The others are taken for the last kind; those of another operation are looked into."""
    observer, process = watched(lambda call: says(call["fill"] % 4))
    counts, told = [], []
    for _ in range(5):
        process.asked.clear()
        (fault,) = observer.observe("pack", {}).faults
        told.append((fault.kind, fault.got))
        counts.append(len(process.asked))
    assert counts == [14, 14, 14, 2, 2]
    how = "a call whose outputs held other bytes before"
    assert told == 3 * [("stale output", f"0 in {how}")] + 2 * [("stale output", "0 in a later call")]
    assert kinds(observer.observe("unpack", {})) == ["stale output"]
    assert len(process.asked) == 2 + 14


WHOLE: dict[str, Any] = {
    "inputs": ["q"],
    "outputs": ["packed"],
    "optional": [],
    "faults": [["environment", "q", "1", "2"]],
    "raised": "status 1",
    "result": 5,
}


def test_an_answer_is_read() -> None:
    arrays, outcome = read_answer(WHOLE)
    assert arrays == Arrays(("q",), ("packed",), ())
    assert outcome == Outcome(5, "status 1", (Mismatch("environment", "q", "1", "2"),))
    assert read_answer({**WHOLE, "raised": None})[1].raised is None
    assert read_answer({**WHOLE, "more": 1})[1] == outcome


def test_what_a_kernel_wrote_into_the_pipe_is_shown_on_one_line() -> None:
    _, outcome = read_answer({**WHOLE, "raised": "two\nlines", "faults": [["a\x1b", "b", "c", "d"]]})
    assert outcome.raised == "two\ufffdlines"
    assert outcome.faults[0].kind == "a\ufffd"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"inputs": "q"}, "inputs: expected text"),
    ({"outputs": [1]}, "outputs: expected text"),
    ({"optional": ["a", None]}, "optional: expected text"),
    ({"raised": 5}, "raised: expected text"),
    ({"faults": {}}, "faults: expected a list"),
    ({"faults": ["four"]}, "faults: expected text"),
    ({"faults": [["a", "b", "c"]]}, "faults: expected 4 texts each"),
    ({"faults": [["a", "b", "c", "d", "e"]]}, "faults: expected 4 texts each"),
]


@pytest.mark.parametrize(("part", "said"), WRONG)
def test_an_answer_that_no_worker_gives_ends_the_process(part: dict[str, Any], said: str) -> None:
    observer, process = watched(lambda _: {**WHOLE, **part})
    (fault,) = observer.observe("pack", {}).faults
    assert fault == Mismatch("exit", "pack", f"wrote an answer that cannot be read: {said}", LIVING)
    assert process.closed == 1


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_without_a_part_names_it(name: str) -> None:
    with pytest.raises(ValueError, match=f"^expected {name} in it$"):
        read_answer({key: value for key, value in WHOLE.items() if key != name})


def test_an_answer_without_several_parts_names_them_in_order() -> None:
    with pytest.raises(ValueError, match=r"^expected inputs, result in it$"):
        read_answer({key: value for key, value in WHOLE.items() if key not in ("result", "inputs")})


def test_an_answer_that_names_too_few_results_is_compared_all_the_same() -> None:
    """No worker gives it, but a kernel may."""
    observer, _ = watched(lambda call: {**says_three(call), "outputs": ["acc", "row_sum"]})
    assert kinds(observer.observe("matmul", {})) == ["null result"]


def test_results_of_a_kernel_that_returns_them_are_compared_whole() -> None:
    """It has no outputs by name."""
    pair = np.array([1], "f4"), np.array([2], "f4")
    observer, process = watched(lambda _: says(pair, outputs=[]))
    assert observer.observe("calibrate", {}).faults == ()
    assert len(process.asked) == 2
