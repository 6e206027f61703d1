"""The part of the format that a kernel has: what it may be, how it is told, and how a problem is brought inside."""

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

import q35ref
from q35ref.oracle.domain import WHOLE, Domain
from q35ref.oracle.problem import Problem


def matmul(k: int, group_size: int = 0, layout: str = "byte", gain: int = 2) -> Problem:
    """A problem whose numbers tell where they stood."""
    groups = 1 if not group_size else -(-k // group_size)
    scale = np.arange(1, groups + 1, dtype=np.float32)[:, None]
    arrays: dict[str, Any] = {
        "a": np.arange(k, dtype=np.int8)[None],
        "q": np.zeros((k + k % 2, 1), np.int8),
        "scale": scale,
        "offset": -scale,
    }
    return Problem("matmul", k, arrays, layout, group_size, gain, origin="made()")


def inside(domain: Domain, problem: Problem) -> Problem:
    found = domain.nearest(problem)
    assert found is not None
    return found


# What a domain may be


@pytest.mark.parametrize(
    "legal",
    [
        {},
        {"layouts": ("byte", "dense")},
        {"narrow_gains": (1, 2)},
        {"group_sizes": (0, 16, 32, 4096)},
        {"k_multiple": 1},
        {"k_multiple": 2},
        {"k_multiple": 4096},
    ],
)
def test_parts_of_the_format_are_domains(legal: dict[str, Any]) -> None:
    domain = Domain(**legal)
    for name, value in legal.items():
        assert getattr(domain, name) == value


@pytest.mark.parametrize(
    ("illegal", "told"),
    [
        ({"layouts": ("byte", "planar")}, "layouts: expected some of byte, dense, got 'planar'"),
        ({"narrow_gains": (1, 3)}, "narrow_gains: expected some of 1, 2, got 3"),
        ({"narrow_gains": (0,)}, "narrow_gains: expected some of 1, 2, got 0"),
        ({"group_sizes": (16, 17)}, "group_sizes: expected 0 or multiples of 16, got 17"),
        ({"group_sizes": (8,)}, "group_sizes: expected 0 or multiples of 16, got 8"),
        ({"group_sizes": (-16,)}, "group_sizes: expected 0 or multiples of 16, got -16"),
        ({"group_sizes": (-1,)}, "group_sizes: expected 0 or multiples of 16, got -1"),
        ({"k_multiple": 0}, "k_multiple: expected 1 to 4096, got 0"),
        ({"k_multiple": -2}, "k_multiple: expected 1 to 4096, got -2"),
        ({"k_multiple": 4097}, "k_multiple: expected 1 to 4096, got 4097"),
    ],
)
def test_what_the_format_lacks_is_refused(illegal: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Domain(**illegal)
    assert str(caught.value) == told


def test_a_domain_cannot_be_changed_and_is_whole_unless_something_is_named() -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(WHOLE, "k_multiple", 2)  # noqa: B010
    assert WHOLE.whole
    assert Domain().whole
    assert Domain((), (), (), 1).whole
    for part in (Domain(("byte",)), Domain(narrow_gains=(1,)), Domain(group_sizes=(0,)), Domain(k_multiple=2)):
        assert not part.whole


@pytest.mark.parametrize(
    ("domain", "words", "options"),
    [
        (WHOLE, "", ""),
        (Domain(k_multiple=2), "K a multiple of 2", " --k-multiple 2"),
        (Domain(narrow_gains=(1,)), "gain 1", " --gain 1"),
        (Domain(group_sizes=(0,)), "group size 0", " --group-size 0"),
        (
            Domain(("dense", "byte"), (1, 2), (0, 64), 32),
            "layout dense or byte, gain 1 or 2, group size 0 or 64, K a multiple of 32",
            " --layout dense --layout byte --gain 1 --gain 2 --group-size 0 --group-size 64 --k-multiple 32",
        ),
    ],
)
def test_a_domain_is_told_in_words_and_in_options(domain: Domain, words: str, options: str) -> None:
    assert str(domain) == words
    assert domain.options() == options


# Bringing a problem inside


@pytest.mark.parametrize(
    "domain",
    [WHOLE, Domain(("dense", "byte"), (1, 2), (16, 0), 1), Domain(k_multiple=2), Domain(k_multiple=20)],
)
def test_a_problem_that_lies_inside_is_itself(domain: Domain) -> None:
    problem = matmul(20)
    assert domain.nearest(problem) is problem


@pytest.mark.parametrize(
    ("k", "multiple", "kept"), [(20, 16, 16), (47, 16, 32), (7, 2, 6), (9, 4, 8), (4096, 4096, 4096)]
)
def test_rows_beyond_the_last_multiple_are_left_out(k: int, multiple: int, kept: int) -> None:
    found = inside(Domain(k_multiple=multiple), matmul(k))
    assert found.k == kept
    assert found.arrays["a"].tolist() == matmul(kept).arrays["a"].tolist()
    assert len(found.arrays["q"]) == kept


@pytest.mark.parametrize(("k", "multiple"), [(1, 2), (15, 16), (3, 4096)])
def test_a_problem_with_fewer_rows_than_the_multiple_is_nothing(k: int, multiple: int) -> None:
    assert Domain(k_multiple=multiple).nearest(matmul(k)) is None


@pytest.mark.parametrize(("has", "asked"), [("byte", "dense"), ("dense", "byte")])
def test_the_layout_is_the_one_that_the_kernel_has(has: str, asked: str) -> None:
    found = inside(Domain(layouts=(has,)), matmul(20, 16, asked))
    assert (found.layout, found.group_size, found.narrow_gain) == (has, 16, 2)


@pytest.mark.parametrize(("has", "asked"), [(1, 2), (2, 1)])
def test_the_gain_is_the_one_that_the_kernel_has(has: int, asked: int) -> None:
    found = inside(Domain(narrow_gains=(has,)), matmul(20, 16, "dense", asked))
    assert (found.layout, found.group_size, found.narrow_gain) == ("dense", 16, has)


@pytest.mark.parametrize(
    ("has", "asked", "nearest"),
    [
        ((0,), 32, 0),
        ((128,), 0, 128),
        ((16, 128), 64, 16),
        ((16, 128), 80, 128),
        ((128, 0), 32, 0),
        ((64, 128), 256, 128),
    ],
)
def test_the_group_size_is_the_nearest_that_the_kernel_has(has: tuple[int, ...], asked: int, nearest: int) -> None:
    assert inside(Domain(group_sizes=has), matmul(300, asked)).group_size == nearest


@pytest.mark.parametrize(
    ("k", "asked", "has", "scales"),
    [
        (48, 0, 16, [1, 1, 1]),
        (48, 32, 16, [1, 2, 1]),
        (80, 32, 16, [1, 2, 3, 1, 2]),
        (48, 16, 0, [1]),
        (48, 16, 32, [1, 2]),
        (40, 16, 32, [1, 2]),
    ],
)
def test_groups_of_another_size_take_the_parameters_there_are_in_turn(
    k: int, asked: int, has: int, scales: list[int]
) -> None:
    """As many as there are groups then; other arrays are as they were."""
    problem = matmul(k, asked)
    found = inside(Domain(group_sizes=(has,)), problem)
    assert found.arrays["scale"].tolist() == [[scale] for scale in scales]
    assert found.arrays["offset"].tolist() == [[-scale] for scale in scales]
    for name in ("a", "q"):
        assert found.arrays[name].tolist() == problem.arrays[name].tolist()
    assert found.expected is not None  # the reference takes it


def test_a_problem_brought_inside_says_how_it_came_there() -> None:
    """By an expression that gives it again; one that says nothing of where it comes from goes on to say nothing."""
    domain = Domain(("dense",), group_sizes=(16,), k_multiple=2)
    problem = matmul(21, 32)
    found = inside(domain, problem)
    again = eval(found.origin, {"q35ref": q35ref, "made": lambda: problem})  # noqa: S307
    assert (again.k, again.layout, again.group_size) == (20, "dense", 16) == (found.k, found.layout, found.group_size)
    assert all(again.arrays[name].tolist() == found.arrays[name].tolist() for name in found.arrays)
    assert inside(domain, problem.with_array("a", problem.arrays["a"])).origin == ""
