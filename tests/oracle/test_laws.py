"""The checks of the reference by themselves: what becomes of a law, and of a file of vectors."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from q35ref.oracle import laws
from q35ref.oracle.laws import law_name, reference_results
from q35ref.oracle.report import Finding, Result
from tests.oracle.scripted_target import Clock, command


class House:
    """Laws and vectors, played."""

    def __init__(self) -> None:
        self.laws: dict[str, Any] = {}
        """What comes of each."""
        self.files: dict[str, Any] = {}
        self.asked: list[tuple[Any, ...]] = []

    def all_contracts(self) -> list[Any]:
        """In the place of the contracts'."""
        return [SimpleNamespace(name=name) for name in self.laws]

    def run_all(self, seed: int, count: int, chosen: list[Any]) -> Iterator[Any]:
        """In the place of the contracts'."""
        assert chosen, "there is no contract to run"
        self.asked.append((seed, count, [law.name for law in chosen]))
        return iter(self.laws[law.name] for law in chosen)

    def replay(self, operations: list[str]) -> Iterator[Any]:
        """In the place of the vectors'."""
        self.asked.append(tuple(operations))
        return iter(self.files[operation] for operation in operations)


def law(name: str, cases: int = 5, exhausted: bool = False, violation: Any = None) -> Any:
    return SimpleNamespace(name=name, cases=cases, exhausted=exhausted, violation=violation)


def file(name: str, *failures: Any) -> Any:
    return SimpleNamespace(name=name, cases=9, failures=failures)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    played = House()
    monkeypatch.setattr(laws, "contracts", played)
    monkeypatch.setattr(laws, "vectors", SimpleNamespace(OPERATIONS=("pack", "unpack", "matmul"), replay=played.replay))
    monkeypatch.setattr(laws, "time", Clock(tick=0.5))
    return played


def checked(level: int = 1, *names: str) -> list[Result]:
    return list(reference_results(level, 7, lambda name: not names or name in names, command))


@pytest.mark.parametrize(("level", "cases"), [(1, 300), (2, 3000), (3, 20_000)])
def test_the_level_says_how_many_cases_of_a_law_are_drawn(house: House, level: int, cases: int) -> None:
    house.laws = {"q35ref.a.one": law("q35ref.a.one")}
    checked(level, "law.a.one")
    assert house.asked == [(7, cases, ["q35ref.a.one"]), ()]


def test_a_law_is_called_by_its_name_without_the_package() -> None:
    assert law_name("q35ref.contracts.codec.one") == "law.contracts.codec.one"
    assert law_name("other.one") == "law.other.one"


def test_laws_that_hold_pass_and_say_whether_every_case_was_tried(house: House) -> None:
    house.laws = {"q35ref.a": law("q35ref.a", 5), "q35ref.b": law("q35ref.b", 8, exhausted=True)}
    first, second = checked(1, "law.a", "law.b")
    assert first == Result("law.a", "law", "holds for a seeded sample", "passed", 5, seconds=first.seconds)
    assert second == Result("law.b", "law", "holds for every case", "passed", 8, seconds=second.seconds)


def test_a_law_that_is_violated_fails_with_the_case_that_violates_it(house: House) -> None:
    violation = SimpleNamespace(arguments={"k": 3}, message="AssertionError", code="one(k=3)")
    house.laws = {"q35ref.a": law("q35ref.a", violation=violation), "q35ref.b": law("q35ref.b")}
    first, second = checked(1, "law.a", "law.b")
    finding = Finding("law", "{'k': 3}", "AssertionError", "the law", "one(k=3)", "again law.a")
    assert (first.status, first.failures, first.findings) == ("failed", 1, (finding,))
    assert (second.status, second.failures, second.findings) == ("passed", 0, ())


def test_only_what_is_wanted_is_run_and_without_a_law_none_is(house: House) -> None:
    house.laws = {"q35ref.a": law("q35ref.a"), "q35ref.b": law("q35ref.b")}
    house.files = {name: file(name) for name in ("pack", "unpack", "matmul")}
    assert [result.name for result in checked(1, "law.b", "vectors.matmul", "vectors.pack")] == [
        "law.b",
        "vectors.pack",
        "vectors.matmul",
    ]
    assert house.asked == [(7, 300, ["q35ref.b"]), ("pack", "matmul")]
    house.asked.clear()
    assert [result.name for result in checked(1, "vectors.unpack")] == ["vectors.unpack"]
    assert house.asked == [("unpack",)]
    house.asked.clear()
    assert len(checked()) == 5


def test_vectors_that_are_met_pass_and_those_that_are_not_tell_of_the_first(house: House) -> None:
    wrong = [
        SimpleNamespace(id=name, got=got, expected=4, code=f"f({got})", flags=["Wraps", "Edge"])
        for name, got in (("one", 5), ("two", 6), ("three", 7))
    ]
    house.files = {"pack": file("pack"), "unpack": file("unpack", *wrong), "matmul": file("matmul", wrong[1])}
    passed, three, one = checked()
    promise = "gives what the committed vectors expect"
    assert passed == Result("vectors.pack", "vectors", promise, "passed", 9, seconds=passed.seconds)
    assert (three.status, three.cases, three.failures, three.promise) == ("failed", 9, 3, promise)
    bugs = ("Wraps", "Edge")
    assert three.findings == (Finding("vector", "one", "5", "4", "f(5)", "again vectors.unpack", bugs),)
    assert (one.failures, one.findings[0].place, one.findings[0].got) == (1, "two", "6")


def test_each_result_takes_the_time_since_the_one_before(house: House) -> None:
    """Half a second goes by with each look at the clock; between two results there are two looks."""
    house.laws = {"q35ref.a": law("q35ref.a"), "q35ref.b": law("q35ref.b")}
    house.files = {name: file(name) for name in ("pack", "unpack", "matmul")}
    assert [result.seconds for result in checked()] == [0.5] * 5
