"""The backends: equal to the reference bit for bit, and clear about what they refuse."""

from typing import Any
from unittest.mock import patch

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from q35ref.backends import BACKENDS, OPERATIONS, Backend, fastest, get, present
from q35ref.backends.numpy import blocks as blocks_module
from q35ref.backends.numpy.calibration import _best_range as best_range
from q35ref.backends.numpy.calibration import calibrate_clip, minmax
from q35ref.backends.numpy.matmul import matmul as numpy_matmul
from q35ref.backends.protocol import Float32
from q35ref.oracle.cases import LARGEST, REGIMES, integers, near_ties, parameters
from q35ref.reference.lanes import LAYOUTS, MAX_GROUP_ROWS

SHAPES = st.tuples(st.integers(1, 50), st.integers(1, 4))
GROUPS = st.sampled_from((0, 16, 32, 64, 2**40))
SEEDS = st.integers(0, 2**32)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
SCALES = st.floats(2.0**-149, LARGEST, width=32)

numpy_backend, reference_backend = get("numpy"), get("reference")

NAMES = [
    pytest.param(name, marks=pytest.mark.skipif(bool(reason), reason=reason))
    for name, reason in present().items()
    if all(hasattr(BACKENDS[name], operation) for operation in OPERATIONS)
]
"""Our own backends that do everything; one that could not be built is skipped with the reason."""


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal bit for bit, dtype and shape included."""
    one, other = np.asarray(one), np.asarray(other)
    return bool(one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes())


def matrix(shape: tuple[int, int], values: list[float]) -> Float32:
    """Return a matrix that repeats some values, so that ties and extremes meet in every lane."""
    return np.resize(np.array(values, np.float32), shape)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(shape=SHAPES, seed=SEEDS)
def test_numpy_packs_and_unpacks_as_the_reference(shape: tuple[int, int], seed: int, layout: Any) -> None:
    q = integers(*shape, np.random.default_rng(seed))
    packed = numpy_backend.pack(q, layout)
    assert same(packed, reference_backend.pack(q, layout))
    assert same(np.ascontiguousarray(numpy_backend.unpack(packed, len(q), layout)), q)


@pytest.mark.parametrize("layout", LAYOUTS)
@given(k=st.integers(1, 40), seed=SEEDS)
def test_unpacking_agrees_on_random_bytes_accepted_or_refused(k: int, seed: int, layout: Any) -> None:
    rng = np.random.default_rng(seed)
    width = reference_backend.pack(integers(k, 1, rng), layout).shape[1]
    packed = rng.integers(0, 128 if seed % 2 else 256, (2, width)).astype(np.uint8)
    outcomes = []
    for backend in (numpy_backend, reference_backend):
        try:
            outcomes.append(np.ascontiguousarray(backend.unpack(packed, k, layout)).tolist())
        except ValueError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("method", ["minmax", "symmetric"])
@given(shape=SHAPES, group_size=GROUPS, values=st.lists(FLOATS, min_size=1, max_size=20))
def test_numpy_calibrates_as_the_reference(
    shape: tuple[int, int], group_size: int, values: list[float], method: Any
) -> None:
    w = matrix(shape, values)
    ours, theirs = (b.calibrate(w, group_size, method) for b in (numpy_backend, reference_backend))
    assert same(ours[0], theirs[0])
    assert same(ours[1], theirs[1])


@given(
    shape=SHAPES, group_size=GROUPS, gain=st.sampled_from((1, 2)), scale=SCALES, offset=FLOATS,
    values=st.lists(FLOATS, min_size=1, max_size=20), seed=SEEDS,
)  # fmt: skip
def test_numpy_quantizes_and_dequantizes_as_the_reference(
    shape: tuple[int, int], group_size: int, gain: int, scale: float, offset: float, values: list[float], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scales, offsets = parameters(*shape, group_size, rng)
    if seed % 3 == 0:
        scales, offsets = np.full_like(scales, scale), np.full_like(offsets, offset)
    if seed % 3 == 1:
        special = REGIMES[seed % len(REGIMES)]
        scales, offsets = np.full_like(scales, special[0]), np.full_like(offsets, special[1])
    for w in (matrix(shape, values), near_ties(shape[0], scales, offsets, min(group_size, 64), gain, rng)):
        arguments = (scales, offsets, group_size, gain)
        q = numpy_backend.quantize(w, *arguments)
        assert same(np.ascontiguousarray(q), reference_backend.quantize(w, *arguments))
        restored = np.ascontiguousarray(numpy_backend.dequantize(q, *arguments))
        assert same(restored, reference_backend.dequantize(q, *arguments))


@given(shape=SHAPES, values=st.lists(FLOATS, min_size=1, max_size=30))
def test_numpy_quantizes_activations_as_the_reference(shape: tuple[int, int], values: list[float]) -> None:
    x = matrix(shape, values)
    ours, theirs = (b.quantize_activations(x) for b in (numpy_backend, reference_backend))
    assert same(ours[0], theirs[0])
    assert same(ours[1], theirs[1])


@pytest.mark.parametrize("layout", LAYOUTS)
@given(shape=SHAPES, m=st.integers(1, 3), group_size=GROUPS, gain=st.sampled_from((1, 2)), seed=SEEDS)
def test_numpy_accumulates_as_the_reference(
    shape: tuple[int, int], m: int, group_size: int, gain: int, seed: int, layout: Any
) -> None:
    rng = np.random.default_rng(seed)
    packed = numpy_backend.pack(integers(*shape, rng), layout)
    a = rng.integers(-128, 128, (m, shape[0])).astype(np.int8)
    scale, offset = parameters(*shape, group_size, rng)
    arguments = (a, packed, shape[0], layout, group_size, gain, scale, offset)
    ours, theirs = numpy_backend.matmul(*arguments), reference_backend.matmul(*arguments)
    assert same(ours[0], theirs[0])
    assert same(ours[1], theirs[1])


def test_accumulators_hold_at_the_longest_legal_group() -> None:
    k = MAX_GROUP_ROWS
    q = np.resize(np.array([[-8], [-4]], np.int8), (k, 1))
    packed = numpy_backend.pack(q, "dense")
    one = np.ones((1, 1), np.float32)
    a = np.full((1, k), -128, np.int8)
    acc, row_sum, _ = numpy_backend.matmul(a, packed, k, "dense", 0, 2, one, one)
    assert acc is not None
    assert row_sum is not None
    assert int(acc[0, 0, 0]) == 2**31 - 1024
    assert int(row_sum[0, 0]) == -128 * k


@pytest.mark.parametrize("name", NAMES)
def test_arrays_in_any_order_give_the_same_and_are_not_written(name: str) -> None:
    backend, rng = get(name), np.random.default_rng(3)
    w = rng.standard_normal((40, 6)).astype(np.float32)
    wide = np.zeros((80, 12), np.float32)
    wide[::2, ::2] = w
    views = {"fortran": np.asfortranarray(w), "strided": wide[::2, ::2], "reversed": w[::-1].copy()[::-1]}
    scale, offset = backend.calibrate(w, 16, "minmax")
    q = backend.quantize(w, scale, offset, 16, 2)
    for view in views.values():
        before = view.copy()
        assert all(map(same, backend.calibrate(view, 16, "minmax"), (scale, offset)))
        assert np.array_equal(backend.quantize(view, scale, offset, 16, 2), q)
        assert np.array_equal(view, before)
    for twisted in (np.asfortranarray(q), np.repeat(q, 2, axis=0)[::2]):
        assert same(backend.pack(twisted, "dense"), backend.pack(q, "dense"))
        restored = backend.dequantize(q, scale, offset, 16, 2)
        assert np.array_equal(backend.dequantize(twisted, scale, offset, 16, 2), restored)


ONE = np.ones((1, 2), np.float32)
ZERO = np.zeros((1, 2), np.float32)
W = np.zeros((4, 2), np.float32)
Q = np.zeros((4, 2), np.int8)
PACKED = np.zeros((2, 2), np.uint8)
A = np.zeros((3, 4), np.int8)


def changed(array: Any, value: Any, at: tuple[int, ...] = (0, 1)) -> Any:
    """Return a copy with one number replaced."""
    copy = array.copy()
    copy[at] = value
    return copy


def matmul(backend: Backend, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "a": A, "packed": PACKED, "k": 4, "layout": "byte", "group_size": 0, "narrow_gain": 2, "scale": ONE,
        "offset": ZERO,
    }  # fmt: skip
    return backend.matmul(**{**arguments, **changes})


REFUSALS: list[tuple[str, Any, type[Exception], str]] = [
    ("weights NaN", lambda b: b.quantize(changed(W, np.nan), ONE, ZERO, 0, 2), ValueError, r"w: .*finite.*\[0, 1\]"),
    ("weights inf", lambda b: b.quantize(changed(W, np.inf), ONE, ZERO, 0, 2), ValueError, r"w: .*finite.*\[0, 1\]"),
    ("calibrate NaN", lambda b: b.calibrate(changed(W, np.nan), 0, "minmax"), ValueError, r"w: .*finite"),
    ("calibrate -inf", lambda b: b.calibrate(changed(W, -np.inf), 0, "symmetric"), ValueError, r"w: .*finite"),
    ("activations NaN", lambda b: b.quantize_activations(changed(W, np.nan)), ValueError, r"x: .*finite"),
    ("activations inf", lambda b: b.quantize_activations(changed(W, np.inf)), ValueError, r"x: .*finite"),
    ("scale NaN", lambda b: b.quantize(W, changed(ONE, np.nan), ZERO, 0, 2), ValueError, r"scale: .*finite"),
    ("scale inf", lambda b: b.dequantize(Q, changed(ONE, np.inf), ZERO, 0, 2), ValueError, r"scale: .*finite"),
    ("scale zero", lambda b: b.quantize(W, changed(ONE, 0), ZERO, 0, 2), ValueError, r"scale: .*> 0"),
    ("scale negative", lambda b: b.dequantize(Q, changed(ONE, -1), ZERO, 0, 2), ValueError, r"scale: .*> 0"),
    ("offset NaN", lambda b: b.dequantize(Q, ONE, changed(ZERO, np.nan), 0, 2), ValueError, r"offset: .*finite"),
    ("offset inf", lambda b: b.quantize(W, ONE, changed(ZERO, np.inf), 0, 2), ValueError, r"offset: .*finite"),
    ("gain", lambda b: b.quantize(W, ONE, ZERO, 0, 3), ValueError, r"narrow_gain: expected 1 or 2, got 3"),
    ("group negative", lambda b: b.quantize(W, ONE, ZERO, -16, 2), ValueError, r"group_size: .*got -16"),
    ("group no multiple", lambda b: b.calibrate(W, 8, "minmax"), ValueError, r"group_size: .*16.*got 8"),
    ("method", lambda b: b.calibrate(W, 0, "clip"), ValueError, r"method: expected one of minmax, symmetric"),
    ("layout", lambda b: b.pack(Q, "nibble"), ValueError, r"layout: .*'nibble'"),
    ("no rows", lambda b: b.pack(Q[:0], "byte"), ValueError, r"q: expected shape \(>= 1, >= 1\)"),
    ("no columns", lambda b: b.quantize(W[:, :0], ONE, ZERO, 0, 2), ValueError, r"w: expected shape"),
    ("no activations", lambda b: b.quantize_activations(W[:0]), ValueError, r"x: expected shape"),
    ("one dimension", lambda b: b.quantize(W[0], ONE, ZERO, 0, 2), ValueError, r"w: expected shape"),
    ("scale shape", lambda b: b.quantize(W, ONE[:, :1], ZERO, 0, 2), ValueError, r"scale: expected shape \(1, 2\)"),
    ("offset shape", lambda b: b.dequantize(Q, ONE, ZERO[:, :1], 0, 2), ValueError, r"offset: expected shape"),
    ("float64 weights", lambda b: b.quantize(W.astype(float), ONE, ZERO, 0, 2), TypeError, r"w: .*float32.*float64"),
    ("a list", lambda b: b.quantize([[0.0]], ONE, ZERO, 0, 2), TypeError, r"w: expected an array of float32, got list"),
    ("int16 integers", lambda b: b.pack(Q.astype(np.int16), "byte"), TypeError, r"q: .*int8, got int16"),
    ("wide too large", lambda b: b.pack(changed(Q, 8), "byte"), ValueError, r"q\[0, 1\]: .*-8 to 7, got 8"),
    ("narrow too small", lambda b: b.pack(changed(Q, -5, (1, 0)), "dense"), ValueError, r"q\[1, 0\]: .*-4 to 3"),
    ("code 128", lambda b: b.unpack(changed(PACKED, 128), 4, "byte"), ValueError, r"packed\[0, 1\]: .*128"),
    ("padding set", lambda b: b.unpack(changed(PACKED, 0x40), 4, "dense"), ValueError, r"packed\[0\]: a padding bit"),
    ("packed short", lambda b: b.unpack(PACKED[:, :1], 4, "byte"), ValueError, r"packed: expected shape \(>= 1, 2\)"),
    ("packed long", lambda b: b.unpack(np.zeros((2, 3), np.uint8), 4, "dense"), ValueError, r"packed: expected shape"),
    ("k zero", lambda b: b.unpack(PACKED, 0, "byte"), ValueError, r"k: expected 1 to"),
    ("k overflow", lambda b: b.unpack(PACKED, 2**63, "byte"), ValueError, r"k: expected 1 to"),
    ("matmul code 128", lambda b: matmul(b, packed=changed(PACKED, 200)), ValueError, r"packed\[0, 1\]"),
    ("matmul a shape", lambda b: matmul(b, a=A[:, :3]), ValueError, r"a: expected shape \(>= 1, 4\)"),
    ("matmul no rows", lambda b: matmul(b, a=A[:0]), ValueError, r"a: expected shape"),
    ("masked q", lambda b: b.pack(np.ma.array(Q, mask=True), "byte"), TypeError, r"q: .*got MaskedArray"),
    ("masked w", lambda b: b.calibrate(np.ma.array(W, mask=True), 0, "minmax"), TypeError, r"w: .*got MaskedArray"),
    ("narrow k", lambda b: b.unpack(PACKED, np.uint8(4), "byte"), TypeError, r"k: expected an integer, got np\.uint8"),
    ("narrow group", lambda b: b.calibrate(W, np.int8(16), "minmax"), TypeError, r"group_size: expected an integer"),
    ("matmul uint8 a", lambda b: matmul(b, a=A.astype(np.uint8)), TypeError, r"a: .*int8, got uint8"),
    ("matmul gain", lambda b: matmul(b, narrow_gain=0), ValueError, r"narrow_gain"),
    ("matmul scale", lambda b: matmul(b, scale=changed(ONE, 0)), ValueError, r"scale: .*> 0"),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("call", "error", "message"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_illegal_input_is_refused_and_named(call: Any, error: type[Exception], message: str, name: str) -> None:
    with pytest.raises(error, match=message):
        call(get(name))


@pytest.mark.parametrize(
    "refusal", [each for each in REFUSALS if each[0].startswith("matmul")], ids=lambda each: each[0]
)
def test_the_simulator_refuses_what_is_no_matmul(refusal: Any) -> None:
    _, call, error, message = refusal
    with pytest.raises(error, match=message):
        call(get("lpu"))


@pytest.mark.parametrize("name", NAMES)
def test_a_group_of_one_row_too_many_is_refused(name: str) -> None:
    w = np.zeros((MAX_GROUP_ROWS + 1, 1), np.float32)
    with pytest.raises(ValueError, match="group_size: a group has at most 2097151 rows"):
        get(name).calibrate(w, 0, "minmax")


@pytest.mark.parametrize("name", NAMES)
def test_a_negative_zero_is_calibrated_as_the_rational_zero_that_it_is(name: str) -> None:
    scale, offset = get(name).calibrate(np.full((3, 1), -0.0, np.float32), 0, "minmax")
    assert same(scale, np.ones((1, 1), np.float32))
    assert same(offset, np.zeros((1, 1), np.float32))


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_value_beyond_float32_is_an_infinity(name: str) -> None:
    scale, offset = np.full((1, 1), LARGEST, np.float32), np.zeros((1, 1), np.float32)
    q = np.array([[-8], [1]], np.int8)
    assert get(name).dequantize(q, scale, offset, 0, 2).ravel().tolist() == [-np.inf, np.inf]


def test_backends_are_found_by_name() -> None:
    there = [name for name, reason in present().items() if not reason]
    assert [get(name).name for name in there] == there
    assert fastest().name == ("native" if "native" in there else "numpy")
    assert list(present()) == list(BACKENDS)
    with pytest.raises(ValueError, match="backend: expected one of reference, numpy, native, lpu, got 'cuda'"):
        get("cuda")


@pytest.mark.parametrize("weight", [2.0**61, 2.0**94, 2.0**127])
@pytest.mark.parametrize("scale", [2.0**-59, 2.0**-149, 1.0, 2.0**80])
def test_numpy_quantizes_weights_that_are_far_from_their_grid(weight: float, scale: float) -> None:
    """Where a float32 quotient would overflow, it is not taken; a warning fails this test."""
    w = np.array([[weight, -weight], [1, 1.5 * weight], [0.5, 2.0**-100]], np.float32)
    parameters = np.full((1, 2), scale, np.float32), np.array([[0, weight / 4]], np.float32)
    expected = get("reference").quantize(w, *parameters, 0, 2)
    np.testing.assert_array_equal(get("numpy").quantize(w, *parameters, 0, 2), expected)


def test_of_equally_good_ranges_the_widest_is_taken() -> None:
    low, high = np.array([[-1.0, 0.0]]), np.array([[1.0, 5.0]])
    for error in (0.0, 1.0):
        errors = np.full((1, 2), error)
        found = best_range(low, high, lambda *_: errors)  # noqa: B023
        np.testing.assert_array_equal(found, minmax(low, high))


@pytest.mark.parametrize("k", [2**14, 2**14 + 2, 16400, 2**15, 10**5])
def test_float32_sums_are_taken_over_as_many_rows_as_are_exact(k: int) -> None:
    """All rows but one add 1024, the last one 1: beyond 2**24 a float32 sum cannot be odd."""
    a, q = np.full((1, k), -128, np.int8), np.full((k, 1), -8, np.int8)
    q[1::2] = -4  # with a gain of 2
    a[0, -1], q[-1, 0] = 1, 1
    q[-2, 0], a[0, -2] = 1, 1
    one = np.ones((1, 1), np.float32)
    acc, row_sum, _ = numpy_matmul(a, q, 0, 2, one, one)
    assert np.asarray(acc).tolist() == [[[1024 * (k - 2) + 1 + 2]]]
    assert np.asarray(row_sum).tolist() == [[-128 * (k - 2) + 2]]


@pytest.mark.parametrize("offset", [0.0, 1.0, -1.0, 2.0**-30])
@pytest.mark.parametrize("exponent", [0, 29, 30, 31, 32, 60])
def test_a_restored_weight_is_rounded_once_however_small_its_offset(offset: float, exponent: int) -> None:
    """Thrice this scale lies between two float32s: the least offset decides, though no double holds the sum."""
    scale = np.full((1, 1), 5592407 * 2.0**exponent, np.float32)
    parameters = scale, np.full((1, 1), offset, np.float32)
    q = np.array([[3], [3], [-3], [-3]], np.int8)
    expected = get("reference").dequantize(q, *parameters, 0, 1)
    np.testing.assert_array_equal(get("numpy").dequantize(q, *parameters, 0, 1), expected)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_best_range_is_that_of_the_whole_group_however_long(order: Any) -> None:
    w = np.array(np.random.default_rng(3).standard_normal((300, 3)) ** 3, np.float32, order=order)
    expected = calibrate_clip(w, 0, 2)
    with patch.object(blocks_module, "BLOCK_WEIGHTS", 64):
        np.testing.assert_array_equal(calibrate_clip(w, 0, 2), expected)
