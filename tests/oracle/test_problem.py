"""One call of one operation: its sizes, its parts, what it is as code, and what of it is judged."""

from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import q35ref
from q35ref import reference
from q35ref.backends import get
from q35ref.backends.numpy import NumpyBackend, codec
from q35ref.oracle.problem import ARGUMENTS, Problem, array_code, unfold
from q35ref.reference.lanes import LAYOUTS, Layout

NAN, INF = float("nan"), float("inf")


def matmul(m: int = 2, k: int = 5, n: int = 3, **settings: Any) -> Problem:
    """Return a product whose every number is another one."""
    groups = -(-k // settings["group_size"]) if settings.get("group_size") else 1
    rows = k + k % 2
    q = np.arange(rows)[:, None] % 4 - np.arange(n) % 2
    arrays = {
        "a": (np.arange(m * k).reshape(m, k) % 251 - 125).astype(np.int8),
        "q": np.clip(q, -4, 3).astype(np.int8),
        "scale": 1 + np.arange(groups * n, dtype=np.float32).reshape(groups, n) / 8,
        "offset": -1 - np.arange(groups * n, dtype=np.float32).reshape(groups, n) / 4,
    }
    return Problem("matmul", k, arrays, **settings)


def quantize(w: Any) -> Problem:
    arrays = {"w": np.array(w, np.float32)}
    arrays["scale"], arrays["offset"] = np.ones((1, len(w[0])), np.float32), np.zeros((1, len(w[0])), np.float32)
    return Problem("quantize", len(w), arrays)


def activations(m: int, k: int) -> Problem:
    return Problem("quantize_activations", k, {"x": np.ones((m, k), np.float32)})


def pack(rows: list[list[int]], layout: str = "byte") -> Problem:
    return Problem("pack", len(rows), {"q": np.array(rows, np.int8)}, layout)


# ---- sizes -----------------------------------------------------------------------------------------------------------


def test_sizes_are_those_of_the_arrays() -> None:
    found = [(p.m, p.k, p.n, p.size, p.input_size) for p in (matmul(), quantize([[1, 2]]), activations(3, 4))]
    assert found == [
        (2, 5, 3, 30, 10 + 18 + 3 + 3),
        (1, 1, 2, 2, 2 + 2 + 2),
        (3, 4, 1, 12, 12),
    ]


def test_it_says_what_it_is_about() -> None:
    assert repr(matmul(layout="dense", group_size=16, narrow_gain=1)) == (
        "<Problem matmul: K = 5; a [2, 5], q [6, 3], scale [1, 3], offset [1, 3]; dense, group size 16, gain 1, minmax>"
    )


@pytest.mark.parametrize(
    ("problem", "large", "work"),
    [
        (matmul(1, 2**16, 4), True, 2**16 * 3),
        (matmul(1, 2**16 - 1, 4), False, (2**16 - 1) * 4),
        (matmul(1, 2**17, 3), False, 2**17 * 3),
        (matmul(1, 2**17, 2), False, 2**17 * 2),
        (matmul(3, 2**16, 4), True, 2**16 * 9),
        (activations(4, 2**16), True, 4000),
        (activations(4, 2**16 - 1), False, 4 * (2**16 - 1)),
        (activations(3, 2**17), False, 3 * 2**17),
        (quantize(np.zeros((2**16, 4))), True, 4000),
        (quantize(np.zeros((2**16, 3))), False, 3 * 2**16),
    ],
)
def test_a_large_problem_costs_what_is_judged_of_it(problem: Problem, large: bool, work: int) -> None:
    """Large: 2**18 weights in more than the three columns that are judged of a product."""
    assert (problem.large, problem.work) == (large, work)


@pytest.mark.parametrize(
    ("layout", "narrow_gain", "columns"),
    [("byte", 1, (0, 3)), ("byte", 2, (3, 6)), ("dense", 1, (3, 6)), ("dense", 2, (7, 10))],
)
def test_of_a_large_product_three_columns_are_judged_the_first_the_last_or_in_between(
    layout: str, narrow_gain: int, columns: tuple[int, int]
) -> None:
    problem = matmul(1, 2**15, 10, layout=layout, narrow_gain=narrow_gain)
    assert problem.judged is not None
    part, cut = problem.judged
    assert (cut.start, cut.stop) == columns
    assert (part.k, part.n) == (2**15, 3)
    assert part.arrays["q"].tolist() == problem.arrays["q"][:, cut].tolist()


def test_of_all_other_problems_everything_is_judged() -> None:
    assert matmul().judged is None
    assert activations(4, 2**16).judged is None
    weights = quantize(np.zeros((2**16, 4)))
    for operation in ("calibrate", "quantize", "dequantize", "pack", "unpack"):
        assert replace(weights, operation=operation).judged is None


# ---- what is legal ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("q", "legal"),
    [
        ([[-8], [-4]], True),
        ([[7], [3]], True),
        ([[7]], True),
        ([[8], [0]], False),
        ([[-9], [0]], False),
        ([[0], [4]], False),
        ([[0], [-5]], False),
        ([[0], [0], [8]], False),
        ([[0, 0], [0, 4]], False),
    ],
)
def test_integers_are_legal_in_their_lanes(q: list[list[int]], legal: bool) -> None:
    assert pack(q).legal() == legal


@pytest.mark.parametrize(("scale", "legal"), [(1, True), (2.0**-149, True), (0, False), (-1, False), (NAN, False)])
def test_scales_are_positive(scale: float, legal: bool) -> None:
    problem = quantize([[1, 2]]).with_array("scale", np.array([[1, scale]], np.float32))
    assert problem.legal() == legal


def test_weights_alone_are_always_legal_and_refused_unless_finite() -> None:
    for value in (NAN, INF, -INF, 1.0):
        assert quantize([[0], [value]]).legal()
        assert quantize([[0], [value]]).refusal == (value != 1.0)
    assert not Problem("calibrate", 1, {"w": np.array([[NAN]], np.float32)}).refusal, "of quantize alone"
    assert Problem("calibrate", 1, {"w": np.array([[NAN]], np.float32)}).legal()


# ---- arguments and answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arguments_come_in_order_fresh_and_contiguous(layout: Layout) -> None:
    problem = matmul(layout=layout)
    turned = problem.with_array("a", np.asfortranarray(problem.arrays["a"]))
    arguments = turned.arguments()
    assert tuple(arguments) == ARGUMENTS["matmul"]
    assert (arguments["k"], arguments["layout"], arguments["group_size"], arguments["narrow_gain"]) == (5, layout, 0, 2)
    for name in ("a", "packed", "scale", "offset"):
        assert arguments[name].flags.c_contiguous
    arguments["a"][:] = 0
    assert turned.arrays["a"].any()
    assert arguments["packed"].tolist() == get("reference").pack(problem.arrays["q"], layout).tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_large_problems_are_packed_and_answered_alike_by_the_faster_backend(layout: Layout) -> None:
    """The same bytes and numbers as those of the reference, which would take seconds."""
    large = matmul(1, 2**16, 4, layout=layout)
    small = large.restrict(columns=slice(0, 1))
    assert large.large
    assert not small.large
    assert (large.arguments()["packed"][:1] == get("numpy").pack(small.arrays["q"], layout)).all()
    q = np.tile(np.array([[3], [-2]], np.int8), (2**15, 4))
    problem = Problem("pack", 2**16, {"q": q}, layout)
    assert (problem.expected == problem.expected[0]).all()
    few = Problem("pack", 16, {"q": q[:16, :1]}, layout).expected
    assert problem.expected[0, : few.shape[1]].tolist() == few[0].tolist()


def test_the_reference_packs_what_is_not_large_and_only_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("the other one packs it")

    with monkeypatch.context() as patch:
        patch.setattr(codec, "pack", never)
        assert matmul().arguments()["packed"].shape == (3, 3)
    monkeypatch.setattr(reference, "pack_column", never)
    assert matmul(1, 2**16, 4).arguments()["packed"].shape == (4, 2**15)


def test_the_reference_answers_small_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NumpyBackend, "pack", None)
    monkeypatch.setattr(NumpyBackend, "quantize", None)
    assert quantize([[0.5], [3.0]]).expected.tolist() == [[0], [2]]
    assert pack([[-8], [3]]).expected.tolist() == [[0x43]]


def test_entries_are_those_of_each_row_and_column_without_what_is_stored_beyond_them() -> None:
    problem = matmul(2, 3, 2, narrow_gain=2)
    a, q = problem.arrays["a"].tolist(), problem.arrays["q"].tolist()
    entries = problem.entries
    for i in range(2):
        for j in range(2):
            acc = a[i][0] * q[0][j] + 2 * a[i][1] * q[1][j] + a[i][2] * q[2][j]
            scale, offset = (Fraction(float(problem.arrays[name][0, j])) for name in ("scale", "offset"))
            assert tuple(entries[i][j].acc) == (acc,)
            assert tuple(entries[i][j].row_sum) == (sum(a[i]),)
            assert entries[i][j].exact == scale * acc + offset * sum(a[i])


def test_columns_and_parameters_are_by_column() -> None:
    problem = matmul(1, 17, 2, group_size=16)
    assert problem.columns() == [problem.arrays["q"][:17, j].tolist() for j in range(2)]
    assert problem.parameter("scale") == [[1, Fraction(10, 8)], [Fraction(9, 8), Fraction(11, 8)]]


# ---- parts -----------------------------------------------------------------------------------------------------------


def shapes(problem: Problem) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in problem.arrays.items()}


def test_a_part_has_the_groups_of_its_rows_and_one_stored_integer_more_where_they_are_odd() -> None:
    problem = matmul(3, 40, 5, group_size=16)
    part = problem.restrict(rows=slice(16, 35), columns=slice(1, 4), activations=slice(2, 3))
    assert (part.k, part.m, part.n) == (19, 1, 3)
    assert shapes(part) == {"a": (1, 19), "q": (20, 3), "scale": (2, 3), "offset": (2, 3)}
    assert part.arrays["a"].tolist() == problem.arrays["a"][2:3, 16:35].tolist()
    assert part.arrays["q"].tolist() == problem.arrays["q"][16:36, 1:4].tolist()
    for name in ("scale", "offset"):
        assert part.arrays[name].tolist() == problem.arrays[name][1:3, 1:4].tolist()
    assert (part.layout, part.group_size, part.narrow_gain) == ("byte", 16, 2)


@pytest.mark.parametrize(
    ("rows", "groups"), [((0, 16), [0]), ((0, 17), [0, 1]), ((16, 32), [1]), ((32, 40), [2]), ((0, 40), [0, 1, 2])]
)
def test_a_part_has_no_parameters_of_groups_that_it_does_not_reach(rows: tuple[int, int], groups: list[int]) -> None:
    problem = matmul(1, 40, 1, group_size=16)
    part = problem.restrict(rows=slice(*rows))
    assert part.arrays["scale"].tolist() == problem.arrays["scale"][groups].tolist()


def test_integers_that_are_not_packed_have_none_beyond_the_last_row() -> None:
    assert pack([[1], [2], [3]]).restrict(rows=slice(0, 1)).arrays["q"].tolist() == [[1]]
    unpack = Problem("unpack", 4, {"q": np.array([[1], [2], [3], [-1]], np.int8)})
    assert unpack.restrict(rows=slice(0, 3)).arrays["q"].tolist() == [[1], [2], [3], [-1]]


def test_a_part_without_cuts_is_the_whole() -> None:
    problem = matmul()
    assert shapes(problem.restrict()) == shapes(problem)
    assert problem.restrict().origin == ""


def test_a_part_says_how_it_was_made_if_that_is_known() -> None:
    known = Problem("pack", 2, {"q": np.array([[1, 5], [2, 3]], np.int8)}, origin="whole()")
    cut = known.restrict(rows=slice(0, 2), columns=slice(0, 1))
    assert cut.origin == "whole().restrict(rows=slice(0, 2, None), columns=slice(0, 1, None))"
    changed = cut.with_settings(layout="dense", narrow_gain=1)
    assert changed.origin == f"{cut.origin}.with_settings(layout='dense', narrow_gain=1)"
    assert (changed.layout, changed.narrow_gain) == ("dense", 1)
    assert changed.with_array("q", cut.arrays["q"]).origin == ""
    unknown = pack([[1], [2]])
    assert unknown.restrict(rows=slice(0, 1)).origin == unknown.with_settings(layout="dense").origin == ""


def test_a_problem_is_equal_to_itself_alone() -> None:
    """To compare arrays is not to say whether two problems are one."""
    one, other = matmul(), matmul()
    assert one == one
    assert one != other
    assert len({one, other}) == 2


def test_a_problem_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        matmul().k = 3  # type: ignore[misc]


def test_another_array_leaves_the_first_problem_as_it_is() -> None:
    problem = pack([[1]])
    changed = problem.with_array("q", np.array([[2]], np.int8))
    assert (problem.arrays["q"].tolist(), changed.arrays["q"].tolist()) == ([[1]], [[2]])


# ---- as text ---------------------------------------------------------------------------------------------------------


def test_a_folded_problem_unfolds_to_itself() -> None:
    problem = matmul(1, 17, 2, layout="dense", group_size=16, narrow_gain=1, method="symmetric")
    text = problem.folded()
    again = unfold(text)
    assert repr(again) == repr(problem)
    for name, array in problem.arrays.items():
        assert again.arrays[name].dtype == array.dtype
        assert again.arrays[name].tolist() == array.tolist()
    assert again.folded() == text


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.array([[1, -2]], np.int8), "np.array([[1, -2]], np.int8)"),
        (np.array([1, 2], np.uint8), "np.array([[1, 2]], np.uint8)[0]"),
        (np.full((1, 9), 3, np.int8), "np.full((1, 9), 3, np.int8)"),
        (np.full((3, 3), 3, np.int8), "np.resize(np.array([[3, 3, 3]], np.int8), (3, 3))"),
        (np.full((1, 8), 3, np.int8), "np.array([[3, 3, 3, 3, 3, 3, 3, 3]], np.int8)"),
        (np.array([[0.0, *8 * [-0.0]]], np.float32), f"np.array([[0.0{8 * ', -0.0'}]], np.float32)"),
        (np.array([[-0.0], [0.0], [-0.0]], np.float32), "np.array([[-0.0], [0.0], [-0.0]], np.float32)"),
        (np.array([[4] + [3] * 8], np.int8), "np.array([[4, 3, 3, 3, 3, 3, 3, 3, 3]], np.int8)"),
        (np.array([[3] * 8 + [4]], np.int8), "np.array([[3, 3, 3, 3, 3, 3, 3, 3, 4]], np.int8)"),
        (np.array([[1]] * 3, np.int8), "np.resize(np.array([[1]], np.int8), (3, 1))"),
        (np.array([[1]] * 2, np.int8), "np.array([[1], [1]], np.int8)"),
        (np.array([[1], [2]] * 2 + [[1]], np.int8), "np.resize(np.array([[1], [2]], np.int8), (5, 1))"),
        (np.array([[1], [2]] * 2, np.int8), "np.array([[1], [2], [1], [2]], np.int8)"),
        (np.array([[2], [1], [1]], np.int8), "np.array([[2], [1], [1]], np.int8)"),
        (np.array([[1], [2], [1]], np.int8), "np.array([[1], [2], [1]], np.int8)"),
        (np.array([[1], [2], [1], [2], [2]], np.int8), "np.array([[1], [2], [1], [2], [2]], np.int8)"),
        (np.array([[0.5, -1.5]], np.float32), "np.array([[0.5, -1.5]], np.float32)"),
        (np.array([[NAN, INF, -INF]], np.float32), "np.array([[np.nan, np.inf, -np.inf]], np.float32)"),
        (np.array([[2.0**-149, -(2.0**100)]], np.float32), "np.array([[2.0**-149, -2.0**100]], np.float32)"),
        (np.array([[-(2.0**-20), 0]], np.float32), "np.array([[-2.0**-20, 0.0]], np.float32)"),
        (np.array([[2.0**12, 2.0**11]], np.float32), "np.array([[2.0**12, 2048.0]], np.float32)"),
        (np.array([[2.0**-14, 2.0**-13]], np.float32), "np.array([[2.0**-14, 0.0001220703125]], np.float32)"),
        (np.array([[3 * 2.0**20]], np.float32), "np.array([[3145728.0]], np.float32)"),
    ],
)
def test_arrays_are_written_as_short_code(array: Any, code: str) -> None:
    """A row that repeats is written once; powers of two that have many digits are written as powers."""
    assert array_code(array) == code
    again = eval(code)  # noqa: S307
    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (
            Problem("pack", 1, {"q": np.array([[3]], np.int8)}, "dense"),
            "import numpy as np\nq = np.array([[3]], np.int8)\nlayout = 'dense'\nkernel.pack(q, layout)",
        ),
        (
            Problem("unpack", 1, {"q": np.array([[3], [1]], np.int8)}),
            """\
import numpy as np
from q35ref.backends import get
q = np.array([[3], [1]], np.int8)
packed = get("reference").pack(q, 'byte')
k, layout = 1, 'byte'
kernel.unpack(packed, k, layout)""",
        ),
        (
            Problem("quantize_activations", 1, {"x": np.array([[3]], np.float32)}),
            "import numpy as np\nx = np.array([[3.0]], np.float32)\nkernel.quantize_activations(x)",
        ),
    ],
)
def test_a_problem_is_written_as_code(problem: Problem, code: str) -> None:
    assert problem.code() == code
    assert problem.code("mine") == code.replace("kernel.", "mine.")


def row(negative: int) -> Problem:
    """Return a problem with a row of 259 digits, some of them negative: code of 798 characters, and those signs."""
    q = np.array([[-1] * negative + [1] * (258 - negative) + [2]], np.int8)
    return Problem("pack", 1, {"q": q}, origin="made()")


def test_arrays_of_more_than_800_characters_are_not_written_out() -> None:
    assert [len(array_code(row(signs).arrays["q"])) for signs in (2, 3)] == [800, 801]
    assert "np.array" in row(2).code()
    call = "kernel.pack(*problem.arguments().values())"
    words = "  # too long to be written out\n"
    assert row(3).code() == f"import q35ref\nproblem = made(){words}{call}"
    unknown = row(2).with_array("q", row(3).arrays["q"])
    assert unknown.code() == f"import q35ref\nproblem = q35ref.oracle.unfold({unknown.folded()!r}){words}{call}"


def test_the_code_of_an_unknown_long_problem_makes_it_again() -> None:
    problem = matmul(1, 400, 2).with_array("a", (np.arange(400)[None] ** 2 % 255 - 127).astype(np.int8))
    scope: dict[str, Any] = {"kernel": get("numpy")}
    setup, _, _ = problem.code().rpartition("\n")
    exec(setup, scope)  # noqa: S102
    assert scope["q35ref"] is q35ref
    assert repr(scope["problem"]) == repr(problem)
    assert scope["problem"].arrays["a"].tolist() == problem.arrays["a"].tolist()
