"""Hypothesis strategies for everything that the format's operations are given: legal, edges first, shrinking well."""

import numpy as np
from hypothesis import strategies as st

from q35ref.backends.protocol import Float32, Int8
from q35ref.oracle.cases import EXTREMES, LARGEST
from q35ref.oracle.problem import Array, Problem
from q35ref.reference.lanes import LAYOUTS, NARROW, NARROW_GAINS, WIDE, group_count
from q35ref.testing.numbers import POOL, SMALLEST, few, finite, from_table, group_sizes, rows, scale_and_offset, zigzag

LONG_ROWS = (514, 514, 514, 26_501)
"""Rows of a few matmuls whose sums leave 16 bits, and at times 24."""

COMPANIONS: tuple[list[float], ...] = ([], [], [0.0, LARGEST], [-LARGEST, LARGEST], [-7.0, 8.0])
"""Weights that are in a matrix together: the widest spread, whose difference overflows, and one that has scale 1."""


def codes() -> st.SearchStrategy[int]:
    """Pair codes, 0 to 127.

    >>> from hypothesis import find
    >>> find(codes(), lambda code: code > 45)
    46
    """
    return st.integers(0, 127)


@st.composite
def columns(draw: st.DrawFn, k: int | None = None, n: int | None = None) -> Int8:
    """Integers of a weight matrix, ``int8[K, N]``: -8 to 7 in even rows, -4 to 3 in odd ones.

    ``k`` and ``n`` fix the shape. Now and then all integers are at the ends of their lanes.

    >>> from hypothesis import find
    >>> find(columns(n=1), lambda q: q[-1, 0] == -8).tolist()
    [[-8]]
    """
    k, n = draw(rows()) if k is None else k, draw(few()) if n is None else n
    edges = draw(st.integers(0, 7)) == 7
    q = np.empty((k, n), np.int8)
    for lane, (low, high) in ((q[0::2], WIDE), (q[1::2], NARROW)):
        lane[:] = draw(from_table((low, high) if edges else zigzag(low, high), lane.shape, np.int8))
    return q


@st.composite
def weights(draw: st.DrawFn, k: int | None = None, n: int | None = None) -> Float32:
    """Finite weights, ``float32[K, N]``, up to ten different ones: ties, subnormals and huge ones are likely.

    >>> from hypothesis import find
    >>> find(weights(), lambda w: (w > 1).any()).shape
    (1, 1)
    """
    k, n = draw(rows()) if k is None else k, draw(few()) if n is None else n
    pool = draw(st.lists(finite(), min_size=1, max_size=POOL)) + draw(st.sampled_from(COMPANIONS))
    return draw(from_table(pool, (k, n), np.float32))


@st.composite
def parameters(
    draw: st.DrawFn, k: int | None = None, n: int | None = None, group_size: int | None = None
) -> tuple[Float32, Float32]:
    """Legal scales and offsets, each ``float32[G, N]``: ordinary, next to ties, subnormal and huge ones.

    >>> from hypothesis import find
    >>> find(parameters(), lambda parameters: parameters[0].size > 0)
    (array([[1.]], dtype=float32), array([[0.]], dtype=float32))
    """
    k, n = draw(rows()) if k is None else k, draw(few()) if n is None else n
    size = draw(group_sizes()) if group_size is None else group_size
    pairs = np.array(draw(st.lists(scale_and_offset(), min_size=1, max_size=POOL))).astype(np.float32)
    chosen = draw(from_table(range(len(pairs)), (group_count(k, size), n), np.intp))
    return pairs[chosen, 0], pairs[chosen, 1]


@st.composite
def activations(draw: st.DrawFn, m: int | None = None, k: int | None = None) -> Int8:
    """Activations, ``int8[M, K]``, -128 to 127; now and then all of them are at the ends.

    >>> from hypothesis import find
    >>> find(activations(), lambda a: (a == -128).any()).tolist()
    [[-128]]
    """
    m, k = draw(few()) if m is None else m, draw(rows()) if k is None else k
    edges = draw(st.integers(0, 3)) == 3
    return draw(from_table((0, -128, 127, -127) if edges else zigzag(-128, 127), (m, k), np.int8))


def problems(operation: str) -> st.SearchStrategy[Problem]:
    """Whole problems of an operation, or of ``"refusal"`` (weights that ``quantize`` must refuse): legal otherwise.

    Edge shapes, both layouts and gains, short last groups, ties and their neighbours, extreme numbers are likely.
    Errors: ValueError for an unknown operation.

    >>> from hypothesis import find
    >>> print(find(problems("quantize"), lambda problem: problem.k == 2).code())
    import numpy as np
    w = np.array([[0.0], [0.0]], np.float32)
    scale = np.array([[1.0]], np.float32)
    offset = np.array([[0.0]], np.float32)
    group_size, narrow_gain = 0, 1
    kernel.quantize(w, scale, offset, group_size, narrow_gain)
    """
    if operation not in PROBLEMS:
        raise ValueError(f"operation: expected one of {', '.join(PROBLEMS)}, got {operation!r}")
    return PROBLEMS[operation]()


@st.composite
def _pack(draw: st.DrawFn) -> Problem:
    q = draw(columns())
    return Problem("pack", len(q), {"q": q}, draw(st.sampled_from(LAYOUTS)))


@st.composite
def _unpack(draw: st.DrawFn) -> Problem:
    k = draw(rows())
    return Problem("unpack", k, {"q": draw(columns(k + k % 2))}, draw(st.sampled_from(LAYOUTS)))


@st.composite
def _calibrate(draw: st.DrawFn) -> Problem:
    w = draw(weights())
    method = draw(st.sampled_from(("minmax", "symmetric")))
    return Problem("calibrate", len(w), {"w": w}, group_size=draw(group_sizes()), method=method)


@st.composite
def _quantize(draw: st.DrawFn) -> Problem:
    k, n, group_size, gain = draw(_settings())
    scale, offset = draw(parameters(k, n, group_size))
    near = draw(st.integers(0, 3)) < 3
    w = draw(_near_ties(scale, offset, k, group_size, gain) if near else weights(k, n))
    return Problem("quantize", k, {"w": w, "scale": scale, "offset": offset}, "byte", group_size, gain)


@st.composite
def _refusal(draw: st.DrawFn) -> Problem:
    problem = draw(_quantize())
    w = problem.arrays["w"].copy()
    place = draw(st.integers(0, w.size - 1))
    w.flat[place] = draw(st.sampled_from((np.nan, np.inf, -np.inf)))
    return problem.with_array("w", w)


@st.composite
def _dequantize(draw: st.DrawFn) -> Problem:
    k, n, group_size, gain = draw(_settings())
    scale, offset = draw(parameters(k, n, group_size))
    arrays: dict[str, Array] = {"q": draw(columns(k, n)), "scale": scale, "offset": offset}
    return Problem("dequantize", k, arrays, "byte", group_size, gain)


@st.composite
def _quantize_activations(draw: st.DrawFn) -> Problem:
    """Any numbers, or ties and their neighbours: the largest number of the rows is drawn first, and gives the scale."""
    if draw(st.booleans()):
        m, k = draw(few()), draw(rows())
        largest = np.float32(draw(st.one_of(st.just(127.0), st.floats(SMALLEST, LARGEST, width=32))))
        scale = np.full((1, m), max(largest / np.float32(127), np.float32(SMALLEST)), np.float32)
        x = draw(_near_ties(scale, np.zeros_like(scale), k, 0, 1, reach=127))
        x[0] = largest
    else:
        x = draw(weights())
    return Problem("quantize_activations", len(x), {"x": np.ascontiguousarray(x.T)})


@st.composite
def _matmul(draw: st.DrawFn) -> Problem:
    k, n, group_size, gain = draw(_settings())
    layout = draw(st.sampled_from(LAYOUTS))
    if draw(st.integers(0, 9)) == 9:  # the same numbers all the way down
        k, n, group_size = draw(st.sampled_from(LONG_ROWS)), 1, 0
        activation, *pair = draw(st.sampled_from(EXTREMES))
        a, q = np.full((1, k), activation, np.int8), np.resize(np.array(pair, np.int8), (k + k % 2, 1))
    else:
        a, q = draw(activations(k=k)), draw(columns(k + k % 2, n))
    scale, offset = draw(parameters(k, n, group_size))
    arrays: dict[str, Array] = {"a": a, "q": q, "scale": scale, "offset": offset}
    return Problem("matmul", k, arrays, layout, group_size, gain)


def _settings() -> st.SearchStrategy[tuple[int, int, int, int]]:
    """Rows, columns, group size and gain."""
    return st.tuples(rows(), few(), group_sizes(), st.sampled_from(NARROW_GAINS))


@st.composite
def _near_ties(
    draw: st.DrawFn, scale: Float32, offset: Float32, k: int, group_size: int, gain: int, reach: int = 40
) -> Float32:
    """Weights at multiples of half a step, up to ``reach`` of them from the offset, or at the next float32."""
    row = np.arange(k)
    steps = scale.astype(np.float64)[row // group_size if group_size else row * 0]
    steps[1::2] *= gain
    shape = (k, scale.shape[1])
    low, high = max(-128, -reach), min(127, reach)
    halves = draw(from_table(zigzag(low, high), shape, np.float64)) / 2
    exact = steps * halves + offset.astype(np.float64)[row // group_size if group_size else row * 0]
    w = np.clip(exact, -LARGEST, LARGEST).astype(np.float32)
    nudge = draw(from_table((0, 0, 1, -1), shape, np.int8))
    return np.where(nudge == 0, w, np.nextafter(w, np.float32(LARGEST) * nudge)).astype(np.float32)


PROBLEMS = {
    "pack": _pack,
    "unpack": _unpack,
    "calibrate": _calibrate,
    "quantize": _quantize,
    "dequantize": _dequantize,
    "quantize_activations": _quantize_activations,
    "matmul": _matmul,
    "refusal": _refusal,
}
"""The strategy of each operation's problems, and of those that must be refused."""
