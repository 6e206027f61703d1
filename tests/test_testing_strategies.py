"""``q35ref.testing``: the strategies reach what matters, and the assertion tells what is wrong."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from q35ref.backends import OPERATIONS, get
from q35ref.backends.numpy import NumpyBackend
from q35ref.oracle import ConformanceError, Problem
from q35ref.oracle.bugs import BUGS, KERNELS
from q35ref.testing import (
    activations,
    assert_matches_reference,
    codes,
    columns,
    parameters,
    problems,
    weights,
)

HUNT = settings(max_examples=1000, database=None, derandomize=True, deadline=None, phases=[Phase.generate])
"""For features that must turn up soon."""

SUBNORMAL = 2.0**-126


@pytest.mark.parametrize("operation", [*OPERATIONS, "refusal"])
@given(data=st.data())
def test_every_problem_is_legal_and_our_kernel_keeps_every_rule(operation: str, data: st.DataObject) -> None:
    problem = data.draw(problems(operation))
    assert problem.legal()
    assert problem.refusal == (operation == "refusal")
    assert_matches_reference(NumpyBackend(), problem)


@given(codes(), columns(), weights(), parameters(k=40, group_size=16), activations())
def test_every_number_is_in_its_domain(code: int, q: Any, w: Any, both: tuple[Any, Any], a: Any) -> None:
    assert 0 <= code <= 127
    assert (q.dtype, w.dtype, a.dtype) == (np.int8, np.float32, np.int8)
    assert np.isfinite(w).all()
    scale, offset = both
    assert scale.shape == offset.shape == (3, scale.shape[1])
    assert np.isfinite(scale).all()
    assert np.isfinite(offset).all()
    assert (scale > 0).all()
    assert (abs(q[1::2].astype(int) * 2 + 1) <= 7).all()
    assert (abs(q[0::2].astype(int) * 2 + 1) <= 15).all()


FEATURES: dict[str, tuple[str, Callable[[Problem], Any]]] = {
    "odd K": ("pack", lambda p: p.k % 2 == 1 and p.k > 2),
    "a last code whose narrow field must be ignored": ("unpack", lambda p: p.k % 2 and p.arrays["q"][-1].all()),
    "several blocks and a tail": ("pack", lambda p: p.k > 32 and p.k % 16 and p.layout == "dense"),
    "many columns": ("pack", lambda p: p.n > 8),
    "dense data": ("pack", lambda p: p.k > 30 and len(np.unique(p.arrays["q"])) >= 14),
    "a short last group": ("quantize", lambda p: 0 < p.group_size < p.k and p.k % p.group_size),
    "a group longer than the column": ("quantize", lambda p: p.group_size > p.k),
    "different parameters in each group": ("dequantize", lambda p: len(np.unique(p.arrays["scale"])) > 2),
    "a subnormal scale": ("dequantize", lambda p: (p.arrays["scale"] < SUBNORMAL).any()),
    "a huge scale": ("dequantize", lambda p: (p.arrays["scale"] > 1e37).any()),
    "an offset that is a hair": ("quantize", lambda p: (abs(p.arrays["offset"]) == 2.0**-60).any()),
    "a tie": ("quantize", lambda p: p.arrays["scale"].max() == 1 and not p.arrays["offset"].any() and _ties(p).any()),
    "a neighbour of a tie": ("quantize", lambda p: (p.arrays["w"] == np.nextafter(np.float32(1.5), 2)).any()),
    "weights beyond both lanes": ("quantize", lambda p: {-4, 3} <= set(p.expected[1::2].flat) and p.narrow_gain == 1),
    "a constant group": ("calibrate", lambda p: p.k > 2 and len(np.unique(p.arrays["w"])) == 1 and p.arrays["w"].all()),
    "a subnormal weight": ("calibrate", lambda p: ((w := abs(p.arrays["w"])) > 0).any() and w.max() < SUBNORMAL),
    "a spread that overflows": ("calibrate", lambda p: p.arrays["w"].max() > 3e38 and p.arrays["w"].min() < -3e38),
    "symmetric calibration": ("calibrate", lambda p: p.method == "symmetric" and p.k > 16),
    "a tie of activations": ("quantize_activations", lambda p: p.m > 1 and 63.5 in p.arrays["x"] and p.k > 1),
    "activation -128": ("matmul", lambda p: (p.arrays["a"] == -128).any()),
    "sums beyond 16 bits": ("matmul", lambda p: abs(p.expected[0]).max() > 2**15),
    "sums beyond 24 bits": ("matmul", lambda p: abs(p.expected[0]).max() > 2**24),
    "many activations": ("matmul", lambda p: p.m > 4 and p.k > 16),
    "several groups and offsets": (
        "matmul",
        lambda p: 0 < p.group_size < p.k and len(np.unique(p.arrays["offset"])) > 2,
    ),
    "no verdict": ("matmul", lambda p: not np.isfinite(p.expected[2]).all()),
    "one NaN among finite weights": ("refusal", lambda p: p.k > 2 and np.isnan(p.arrays["w"]).sum() == 1),
}


def _ties(problem: Problem) -> Any:
    w = problem.arrays["w"][0::2]
    return (abs(w) < 7) & (w % 1 == 0.5)


@pytest.mark.parametrize("feature", FEATURES)
def test_what_matters_turns_up(feature: str) -> None:
    operation, wanted = FEATURES[feature]
    assert wanted(find(problems(operation), lambda problem: bool(wanted(problem)), settings=HUNT))


PLANTED = {
    "LanesSwapped": "layout = 'byte'",
    "Wraps": "w = np.array([[0.0], [3.5]], np.float32)",
    "NarrowSignMissing": "q = np.array([[0], [-1]], np.int8)",
    "BigEndianCodes": "q = np.array([[1]], np.int8)",
    "PaddingBitsSet": "q = np.array([[0]], np.int8)",
    "QuantizesInDouble": "w = np.array([[",
    "RoundsHalfAway": "w = np.array([[0.5]], np.float32)",
    "UnsignedActivations": "got       0x000000FF (255)",
    "GroupBoundaryOffByOne": "group_size, narrow_gain = 16, 1",
    "ShortGroup": "group_size, narrow_gain = 16, 1",
    "AcceptsNan": "w = np.array([[np.nan]], np.float32)",
}
"""What the smallest input of a bug holds; the shape of a matmul is not always made as small as it could be."""


LONG = ("Float32Accumulators", "Int24Accumulators")
"""Seen only in thousands of rows of large numbers, which few problems of the strategies have; the oracle's own do."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shrinks"), [*((name, False) for name in KERNELS if name not in LONG), *((name, True) for name in PLANTED)]
)
def test_each_planted_bug_is_found_and_some_are_shrunk(name: str, shrinks: bool) -> None:
    kernel = BUGS[name]()
    operation = "refusal" if name == "AcceptsNan" else kernel.operations[0]

    @settings(HUNT, max_examples=2000, phases=[Phase.generate, *[Phase.shrink] * shrinks], report_multiple_bugs=False)
    @given(problems(operation))
    def conforms(problem: Problem) -> None:
        assert_matches_reference(kernel, problem)

    with pytest.raises(ConformanceError) as caught:
        conforms()
    assert (PLANTED[name] if shrinks else "kernel.") in str(caught.value)


def test_a_failure_tells_place_got_expected_and_how_to_repeat_it() -> None:
    q = np.array([[1]], np.int8)
    with pytest.raises(AssertionError) as caught:
        assert_matches_reference(BUGS["LanesSwapped"](), Problem("pack", 1, {"q": q}))
    text = str(caught.value)
    for part in ("pack.bytes: ", "packed[n=0, b=0]", "0x01 (1)", "0x08 (8)", "kernel.pack(q, layout)"):
        assert part in text
    kernel = NumpyBackend()
    exec(text.partition("Again:\n")[2].replace("\n  ", "\n").strip(), {"kernel": kernel})  # noqa: S102


def test_a_long_problem_is_repeated_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    w = rng.normal(0, 6, (300, 3)).astype(np.float32)
    one = np.ones((1, 3), np.float32)
    problem = Problem("quantize", 300, {"w": w, "scale": one, "offset": one}, narrow_gain=1)
    with pytest.raises(AssertionError) as caught:
        assert_matches_reference(BUGS["Wraps"](), problem)
    names: dict[str, Any] = {"kernel": NumpyBackend()}
    exec(str(caught.value).partition("Again:\n")[2].replace("\n  ", "\n").strip(), names)  # noqa: S102
    again = names["problem"]
    assert again.code() == problem.code()
    assert again.arrays["w"].tobytes() == w.tobytes()


class Silent(NumpyBackend):
    """A kernel that returns nothing."""

    def matmul(self, *args: Any, **kwargs: Any) -> Any:
        return None, None, None


def test_what_cannot_be_judged_does_not_pass() -> None:
    one = np.ones((1, 1), np.float32)
    arrays: dict[str, Any] = {"a": np.ones((1, 1), np.int8), "q": np.ones((2, 1), np.int8), "scale": one, "offset": one}
    with pytest.raises(AssertionError, match="nothing was judged"):
        assert_matches_reference(Silent(), Problem("matmul", 1, arrays))
    with pytest.raises(TypeError, match="has no matmul"):
        assert_matches_reference(object(), Problem("matmul", 1, arrays))
    illegal = Problem("pack", 1, {"q": np.array([[8]], np.int8)})
    with pytest.raises(ValueError, match="does not allow"):
        assert_matches_reference(get("numpy"), illegal)


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="operation: expected one of pack, unpack"):
        problems("multiply")


def test_hypothesis_is_imported_only_when_a_strategy_is_asked_for() -> None:
    program = """
import sys
def absent(name, path=None, target=None):
    if name == "hypothesis":
        raise ModuleNotFoundError("No module named 'hypothesis'", name=name)
sys.meta_path.insert(0, type("Absent", (), {"find_spec": staticmethod(absent)}))
import q35ref, q35ref.testing, pytest_q35ref, q35ref.testing.plugin
q35ref.testing.assert_matches_reference
try:
    from q35ref.testing import problems
except ImportError as error:
    assert "pip install 'q35ref[pytest]'" in str(error), error
else:
    raise SystemExit("no error")
"""
    subprocess.run([sys.executable, "-c", program], check=True)
