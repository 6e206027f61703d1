"""The three things that users do: quantize, dequantize, matmul."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import q35ref
from q35ref import QuantizedTensor, reference
from q35ref.backends import get
from q35ref.oracle.cases import LARGEST
from q35ref.reference.lanes import LAYOUTS
from q35ref.tensor import to_float32

RNG = np.random.default_rng(5)
W = RNG.standard_normal((100, 7)).astype(np.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("method", ["minmax", "symmetric", "clip"])
@pytest.mark.parametrize(("group_size", "gain"), [(0, 1), (0, 2), (16, 2), (64, 1), (128, 2)])
def test_quantizing_is_calibrating_quantizing_and_packing(layout: Any, method: Any, group_size: int, gain: int) -> None:
    qt = q35ref.quantize(W, group_size=group_size, narrow_gain=gain, layout=layout, method=method)
    backend = get("reference")
    if method != "clip":
        scale, offset = backend.calibrate(W, group_size, method)
        assert np.array_equal(qt.scale, scale)
        assert np.array_equal(qt.offset, offset)
    q = backend.quantize(W, qt.scale, qt.offset, group_size, gain)
    assert np.array_equal(qt.packed, backend.pack(q, layout))
    assert np.array_equal(q35ref.dequantize(qt), backend.dequantize(q, qt.scale, qt.offset, group_size, gain))


@pytest.mark.parametrize("gain", [1, 2])
@pytest.mark.parametrize("group_size", [0, 16])
def test_clip_is_as_good_as_the_exact_search(gain: int, group_size: int) -> None:
    qt = q35ref.quantize(W[:, :3], group_size=group_size, narrow_gain=gain, method="clip")
    length = group_size or len(W)
    for g, j in np.ndindex(qt.scale.shape):
        group = W[g * length : (g + 1) * length, j].tolist()
        best = reference.squared_error(group, *reference.calibrate_clip(group, gain), gain)
        ours = reference.squared_error(group, float(qt.scale[g, j]), float(qt.offset[g, j]), gain)
        assert ours <= best * (1 + Fraction(1, 2**40))


def test_clip_never_does_worse_than_minmax() -> None:
    for gain in (1, 2):
        errors = [
            float(np.square(W - q35ref.dequantize(q35ref.quantize(W, narrow_gain=gain, method=method))).sum())
            for method in ("clip", "minmax")
        ]
        assert errors[0] <= errors[1]
        assert gain == 1 or errors[0] < errors[1]


@pytest.mark.parametrize(("k", "group_size"), [(1, 0), (1, 16), (17, 16), (40, 64), (33, 2**62)])
def test_odd_and_short_shapes_work(k: int, group_size: int) -> None:
    w = RNG.standard_normal((k, 3)).astype(np.float32)
    qt = q35ref.quantize(w, group_size=group_size)
    assert q35ref.dequantize(qt).shape == (k, 3)
    assert q35ref.matmul(np.ones((2, k), np.int8), qt).shape == (2, 3)


@pytest.mark.parametrize("size", [2.0**-149, 1e-40, 1e30, LARGEST])
def test_subnormal_and_huge_weights_do_not_overflow_on_the_way(size: float) -> None:
    w = np.array([[size], [-size], [size / 2], [0]], np.float32)
    for group_size in (0, 16):
        qt = q35ref.quantize(w, group_size=group_size)
        q = get("reference").quantize(w, qt.scale, qt.offset, group_size, 2)
        assert np.array_equal(qt.packed, get("reference").pack(q, "dense"))
        values = get("reference").dequantize(q, qt.scale, qt.offset, group_size, 2)
        assert np.array_equal(q35ref.dequantize(qt), values)


def test_float16_widens_and_float64_is_rounded_once() -> None:
    half = W.astype(np.float16)
    assert np.array_equal(to_float32("w", half), half.astype(np.float32))
    double = np.array([1 + 2.0**-24, 1 + 2.0**-24 + 2.0**-50, -1e-320])
    assert to_float32("w", double).tolist() == [reference.to_float32(x) for x in double.tolist()]
    assert to_float32("w", W) is W


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.zeros((2, 2), np.int32), TypeError, "weights: expected float16, bfloat16, float32 or float64, got int32"),
        (np.full((2, 2), np.nan), ValueError, r"weights: expected finite numbers, got nan at \[0, 0\]"),
        (np.full((2, 2), 1e300), ValueError, r"weights: expected numbers that fit float32, got 1e\+300"),
        (np.full((2, 2), np.inf, np.float16), ValueError, "weights: expected finite"),
        (np.zeros(3), ValueError, r"weights: expected shape \(>= 1, >= 1\), got \(3,\)"),
        (np.zeros((0, 3)), ValueError, "weights: expected shape"),
        (np.full((2, 2), np.inf, np.float32), ValueError, "weights: expected finite"),
    ],
)
def test_illegal_weights_are_refused(weights: Any, error: type[Exception], message: str) -> None:
    for method in ("minmax", "clip"):
        with pytest.raises(error, match=message):
            q35ref.quantize(weights, method=method)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "best"}, "method: expected one of minmax, symmetric, clip, got 'best'"),
        ({"layout": "nibble"}, "layout: expected 'byte' or 'dense'"),
        ({"narrow_gain": 4}, "narrow_gain: expected 1 or 2, got 4"),
        ({"group_size": 24}, "group_size: expected 0"),
        ({"group_size": -16}, "group_size: expected 0"),
    ],
)
def test_illegal_options_are_refused(options: Any, message: str) -> None:
    for method in ("minmax", "clip"):
        with pytest.raises(ValueError, match=message):
            q35ref.quantize(W, **({"method": method} | options))


@pytest.mark.parametrize("name", ["group_size", "narrow_gain"])
@pytest.mark.parametrize("value", [16.0, "16", None, True])
def test_settings_that_are_no_integers_are_refused(name: str, value: Any) -> None:
    options: Any = {name: value}
    with pytest.raises(TypeError, match=f"{name}: expected an integer, got"):
        q35ref.quantize(W, **options)
    with pytest.raises(TypeError, match=f"{name}: expected an integer, got"):
        tensor(**options)


def tensor(**changes: Any) -> QuantizedTensor:
    qt = q35ref.quantize(W, group_size=16)
    fields = {name: getattr(qt, name) for name in qt.__dataclass_fields__}
    return QuantizedTensor(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 8}, "packed: expected 8 columns, got 7"),
        ({"n": 0}, "n: expected 1 to"),
        ({"k": 99}, None),
        ({"k": 96}, "packed: expected shape"),
        ({"group_size": 32}, r"scale: expected shape \(4, 7\)"),
        ({"narrow_gain": 0}, "narrow_gain"),
        ({"layout": "byte"}, "packed: expected shape"),
        ({"scale": np.zeros((7, 7), np.float32)}, "scale: expected numbers > 0"),
        ({"offset": np.full((7, 7), np.nan, np.float32)}, "offset: expected finite"),
    ],
)
def test_an_illegal_tensor_cannot_be_made(changes: Any, message: str | None) -> None:
    if message is None:  # the last narrow field of an odd k is ignored
        assert tensor(**changes).k == 99
        return
    with pytest.raises(ValueError, match=message):
        tensor(**changes)


def test_bits_a_weight_count_everything_that_is_stored() -> None:
    qt = q35ref.quantize(RNG.standard_normal((256, 4)), group_size=128)
    assert qt.bits_per_weight == 3.5 + Fraction(2 * 32, 128)
    assert qt.nbytes == 4 * 112 + 2 * 2 * 4 * 4
    assert "bits_per_weight=4.000" in repr(qt)
    assert q35ref.quantize(RNG.standard_normal((16, 1)), layout="byte").bits_per_weight == 4 + 4


@pytest.mark.parametrize("group_size", [0, 16])
def test_matmul_is_within_the_proved_bound(group_size: int) -> None:
    qt = q35ref.quantize(W, group_size=group_size)
    a = RNG.integers(-128, 128, (3, 100)).astype(np.int8)
    scale = RNG.random(3).astype(np.float32)
    plain, scaled = q35ref.matmul(a, qt), q35ref.matmul(a, qt, scale)
    q = get("reference").unpack(qt.packed, qt.k, qt.layout)
    for i, j in np.ndindex(plain.shape):
        scales, offsets = qt.scale[:, j].tolist(), qt.offset[:, j].tolist()
        entry = reference.matmul_entry(a[i].tolist(), q[:, j].tolist(), group_size, 2, scales, offsets)
        assert abs(Fraction(float(plain[i, j])) - entry.exact) <= entry.bound
        bound = reference.output_bound(len(scales), entry.magnitude, float(scale[i]))
        assert abs(Fraction(float(scaled[i, j])) - entry.exact * Fraction(float(scale[i]))) <= bound


def test_float_activations_are_quantized_row_by_row() -> None:
    qt = q35ref.quantize(W)
    x = RNG.standard_normal((3, 100)).astype(np.float32)
    scale, a = get("reference").quantize_activations(x)
    assert np.array_equal(q35ref.matmul(x, qt), q35ref.matmul(a, qt, scale))
    assert np.array_equal(q35ref.matmul(x.astype(np.float64), qt), q35ref.matmul(x, qt))
    assert np.array_equal(q35ref.matmul(a, qt, 0.5), q35ref.matmul(a, qt) * np.float32(0.5))


@pytest.mark.parametrize(
    ("a", "scale", "error", "message"),
    [
        (np.zeros((1, 100)), 1.0, ValueError, "activation_scale: expected none"),
        (np.zeros((1, 100), np.int8), np.nan, ValueError, "activation_scale: expected finite"),
        (np.zeros((1, 100), np.int8), 1e300, ValueError, "activation_scale: expected numbers that fit float32"),
        (np.zeros((1, 100), np.int8), [1.0, 2.0], ValueError, r"activation_scale: .*shape \(1,\), got \(2,\)"),
        (np.zeros((1, 99), np.int8), None, ValueError, r"a: expected shape \(>= 1, 100\)"),
        (np.zeros((1, 100), np.int16), None, TypeError, "a: expected int8 or floats, got int16"),
        (np.full((1, 100), np.inf), None, ValueError, "a: expected finite"),
    ],
)
def test_illegal_activations_are_refused(a: Any, scale: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        q35ref.matmul(a, q35ref.quantize(W), scale)
