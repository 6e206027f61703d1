"""The problem that a report names."""

import pytest

from q35ref.oracle import problem, problems


def test_a_problem_is_named_by_its_numbers_each_with_its_word() -> None:
    """So that a command in a report says what is what."""
    found = problem(kind="pack", level=1, seed=2, index=3)
    assert found.origin == list(problems("pack", 1, 2))[3].origin
    with pytest.raises(TypeError, match="positional"):
        problem("pack", 1, 2, 3)  # type: ignore[call-arg]
