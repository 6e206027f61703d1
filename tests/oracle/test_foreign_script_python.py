"""The printed code of a finding about a kernel in Python, run in this process with one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.foreign.script import python_script, write
from q35ref.oracle.judge import Mismatch
from q35ref.oracle.problem import Problem
from tests.oracle.test_foreign_script import MATMUL


class Kernel:
    """A kernel that keeps what it was given, and returns what a function makes of it."""

    def __init__(self, makes: Callable[..., Any]) -> None:
        self.makes = makes
        self.given: list[dict[str, Any]] = []

    def matmul(self, *given: Any) -> Any:
        names = ("a", "packed", "k", "layout", "group_size", "narrow_gain", "scale", "offset")
        kept = [part.copy() if isinstance(part, np.ndarray) else part for part in given]
        self.given.append(dict(zip(names, kept, strict=True)))
        return self.makes(*given)

    def quantize(self, w: Any, scale: Any, offset: Any, group_size: int, narrow_gain: int) -> Any:
        self.given.append({"w": w.copy(), "scale": scale.copy(), "offset": offset.copy()})
        return self.makes(w)


def shown_python(
    kernel: Kernel, kind: str, capsys: pytest.CaptureFixture[str], problem: Problem = MATMUL, place: str = "a"
) -> list[str]:
    """Run the code of a fault of a kernel in Python; return what is printed."""
    code = write(
        python_script(problem, ("kernel = KERNEL",)), Mismatch(kind, place, "", "", threads=8) if kind else None
    )
    exec(compile(code, "code", "exec"), {"KERNEL": kernel})  # noqa: S102 - what is printed for the user
    return capsys.readouterr().out.splitlines()


def test_a_kernel_in_python_is_given_the_problem(capsys: pytest.CaptureFixture[str]) -> None:
    kernel = Kernel(lambda *_: "result")
    assert shown_python(kernel, "", capsys) == ["result"]
    (given,) = kernel.given
    for name, value in MATMUL.arguments().items():
        np.testing.assert_array_equal(given[name], value)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("shape", "[(<class 'numpy.ndarray'>, dtype('int8'), (2, 2)), (<class 'NoneType'>, '', '')]"),
        ("raised", None),
        ("type", None),
    ],
)
def test_of_a_result_that_is_not_made_as_it_must_be_types_are_shown(
    kind: str, told: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = Kernel(lambda a, *_: (a, None))
    lines = shown_python(kernel, kind, capsys)
    assert lines[-1].endswith(told if told else "None)")
    assert lines[0].startswith("(array(")
    single = shown_python(Kernel(lambda a, *_: a), "shape", capsys)
    assert single[-1].endswith("[(<class 'numpy.ndarray'>, dtype('int8'), (2, 2))]")


def test_a_kernel_in_python_is_trapped_by_the_contents_of_its_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    """All of them with their columns, or rows of activations, in the opposite order."""
    kernel = Kernel(lambda a, *_: a[0] * 2)
    told = shown_python(kernel, "stale cache", capsys)
    assert told == ["other contents, the same result at other addresses: True"]
    assert len(kernel.given) == 3
    for given in kernel.given[1:]:
        assert given["a"].tolist() == [[3, 4], [1, 2]]
        assert given["packed"].tolist() == kernel.given[0]["packed"][::-1].tolist()
        assert (given["scale"].tolist(), given["offset"].tolist()) == ([[2, 1]], [[4, 3]])
    weights = Problem(
        "quantize",
        1,
        {"w": np.array([[1, 2]], "f4"), "scale": np.ones((1, 2), "f4"), "offset": np.array([[3, 4]], "f4")},
    )
    kernel = Kernel(lambda w: w * 2)
    shown_python(kernel, "stale cache", capsys, weights)
    assert kernel.given[1]["w"].tolist() == [[2, 1]]
    assert kernel.given[1]["offset"].tolist() == [[4, 3]]


@pytest.mark.parametrize("reused", [True, False])
def test_a_result_that_is_used_again_is_shown(reused: bool, capsys: pytest.CaptureFixture[str]) -> None:
    room = np.zeros((2, 2), np.int8)

    def makes(a: Any, *_: Any) -> Any:
        made = room if reused else np.empty_like(a)
        made[...] = a
        return made

    told = shown_python(Kernel(makes), "changed result", capsys)
    assert told == [f"the first result is as it was: {not reused}"]


def test_a_kernel_in_python_is_called_again_and_again(capsys: pytest.CaptureFixture[str]) -> None:
    kernel = Kernel(lambda *_: (len(kernel.given) % 2, None))
    assert shown_python(kernel, "not repeatable", capsys) == ["28 of 56 equal calls came to another"]
