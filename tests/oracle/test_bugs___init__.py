"""The bug classes by name, and what they explain."""

import numpy as np
import pytest

from q35ref.oracle import bugs
from q35ref.oracle.bugs import BUGS, KERNELS, Bug, behaviours, explain
from q35ref.oracle.calls import Outcome
from q35ref.oracle.judge import FAULTS, REFUSAL, RULES
from q35ref.oracle.problem import Problem
from tests.kernels import planted


def test_every_planted_kernel_has_its_class_and_no_class_is_a_mere_base() -> None:
    classes = {planted.CLASS_OF.get(name, name) for name in planted.__all__} - {"CLASS_OF", "Correct", ""}
    assert classes - BUGS.keys() == set()
    assert {"Bug", "Behaviour", "NumpyBackend", "Fraction"} & BUGS.keys() == set()
    assert all(bug.__name__ == name and not name.startswith("_") for name, bug in BUGS.items())
    assert all(bug is not Bug and Bug in bug.__mro__ for bug in BUGS.values())


def test_kernels_are_the_classes_that_results_show() -> None:
    """A fault of behaviour is none, but for the one that is both."""
    told = {name for names in FAULTS.values() for name in names} | {"KeptState"}
    assert told - BUGS.keys() == set()
    assert {"FlushToZero"} == told & KERNELS.keys()
    assert BUGS.keys() - KERNELS.keys() == told - {"FlushToZero"}
    assert "Wraps" in KERNELS
    assert all(issubclass(BUGS[name], behaviours.Behaviour) for name in told - {"FlushToZero"})


def test_a_class_is_had_by_its_name_as_a_target_is_named() -> None:
    assert bugs.Wraps is BUGS["Wraps"]
    assert bugs.Crash is BUGS["Crash"]
    with pytest.raises(AttributeError, match=r"^Unheard$"):
        bugs.Unheard  # noqa: B018


def test_who_accepts_what_is_no_number_has_one_class() -> None:
    assert explain(REFUSAL, []) == ("AcceptsNan",)


def test_the_class_of_a_kernels_results_is_told() -> None:
    """By all classes that are kernels, and by none but those."""
    rule = next(rule for rule in RULES if rule.name == "pack.bytes")
    problem = Problem("pack", 2, {"q": np.array([[-8, 3], [2, -1]], np.int8)}, "dense")
    for kernel in (planted.OnesComplement(), planted.LanesSwapped()):
        outcome = Outcome(kernel.pack(*problem.arguments().values()))
        assert explain(rule, [(problem, outcome)])[0] == kernel.name
