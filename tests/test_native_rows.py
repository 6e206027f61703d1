"""The native kernel's numbers where its fast loops meet their ends: blocks of rows, lone near-ties, extremes."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from q35ref.backends import get
from q35ref.oracle.cases import LARGEST, integers, parameters
from q35ref.reference.lanes import LAYOUTS, MAX_GROUP_ROWS, NARROW, WIDE
from tests.native_kernel import ISAS, needs_native, using

pytestmark = needs_native

NUMPY, REFERENCE = get("numpy"), get("reference")
SEEDS = st.integers(0, 2**32)
U = 2.0**-24


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal bit for bit, dtype and shape included."""
    one, other = np.ascontiguousarray(one), np.ascontiguousarray(other)
    return bool(one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("isa", ISAS)
def test_a_row_gives_the_same_alone_and_among_any_number_of_others(isa: str, layout: Any) -> None:
    """Up to those of two blocks and one more; the integers are NumPy's."""
    rng = np.random.default_rng(4)
    for k, n, group_size, gain in ((70, 21, 16, 2), (1031, 66, 112, 1), (4103, 5, 0, 2)):
        packed, (scale, offset) = NUMPY.pack(integers(k, n, rng), layout), parameters(k, n, group_size, rng)
        a = rng.integers(-128, 128, (513, k)).astype(np.int8)
        arguments = (packed, k, layout, group_size, gain, scale, offset)
        with using(isa) as native:
            alone = np.concatenate([native.matmul_output(row[None], *arguments) for row in a])
            for m in (1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 256, 257, 513):
                acc, row_sum, out = native.matmul(a[:m], *arguments)
                assert same(out, alone[:m]), (k, m)
                right = NUMPY.matmul(a[:m], *arguments)
                assert same(acc, right[0])
                assert same(row_sum, right[1])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("isa", ISAS)
@given(pairs=st.integers(0, 150), n=st.integers(1, 40), gain=st.sampled_from((1, 2)), seed=SEEDS)
def test_the_last_narrow_field_of_an_odd_column_is_ignored(
    isa: str, layout: Any, pairs: int, n: int, gain: int, seed: int
) -> None:
    rng, k = np.random.default_rng(seed), 2 * pairs + 1
    q = integers(k + 1, n, rng)
    stored, clean = NUMPY.pack(q, layout), NUMPY.pack(q[:k], layout)
    a, (scale, offset) = rng.integers(-128, 128, (1 + seed % 2, k)).astype(np.int8), parameters(k, n, 64, rng)
    with using(isa) as native:
        assert same(native.unpack(stored, k, layout), q[:k])
        assert same(native.pack(native.unpack(stored, k, layout), layout), clean)
        products = [native.matmul(a, packed, k, layout, 64, gain, scale, offset) for packed in (stored, clean)]
    assert all(map(same, *products))


@pytest.mark.parametrize("isa", ISAS)
@given(seed=SEEDS, gain=st.sampled_from((1, 2)), ordinary=st.booleans())
def test_a_lone_weight_near_a_tie_is_rounded_exactly_among_others_that_are_not(
    isa: str, seed: int, gain: int, ordinary: bool
) -> None:
    """At distances around the fast loop's own limit, one in each block, on either side of the tie."""
    rng, k, n = np.random.default_rng(seed), 256, 24
    spread = 3.0 if ordinary else 62.0
    scale = np.exp2(rng.uniform(-spread, spread, (1, n))).astype(np.float32)
    offset = (scale * rng.normal(0, 30, (1, n))).astype(np.float32)
    gains = np.where(np.arange(k) % 2, gain, 1)[:, None]
    multiples = rng.integers(-12, 12, (k, n)).astype(np.float64)
    for block in range(0, k, 64):
        rows = block + rng.integers(0, 64, n)
        distance = U * np.exp2(rng.uniform(-3, 8, n)) * rng.choice([-1, 1], n)
        multiples[rows, np.arange(n)] += 0.5 + distance
    w = (multiples * scale.astype(np.float64) * gains + offset).astype(np.float32)
    with using(isa) as native:
        assert same(native.quantize(w, scale, offset, 0, gain), NUMPY.quantize(w, scale, offset, 0, gain))


@pytest.mark.parametrize("gain", [1, 2])
@pytest.mark.parametrize("isa", ISAS)
def test_a_block_of_nothing_but_near_ties_is_rounded_exactly(isa: str, gain: int) -> None:
    """No weight in it that is far from a tie sends it to exact arithmetic."""
    rng, n = np.random.default_rng(gain), 200
    gains = np.resize(np.array([[1], [gain]], np.float32), (64, 1))
    ties = rng.integers(-4, 3, (64, n)) + 0.5 + U * rng.choice([-1, 0, 1], (64, n))
    scale = np.exp2(rng.uniform(-3, 3, (1, n))).astype(np.float32)
    w = (ties * scale.astype(np.float64) * gains).astype(np.float32)
    expected = NUMPY.quantize(w, scale, np.zeros_like(scale), 0, gain)
    quotients = w * (np.float32(1) / scale) / gains
    assert (np.rint(quotients) != expected).any(axis=0).mean() > 0.5, "float32 rounds most blocks wrongly"
    with using(isa) as native:
        assert same(native.quantize(w, scale, np.zeros_like(scale), 0, gain), expected)


@pytest.mark.parametrize("isa", ISAS)
@given(seed=SEEDS, exponent=st.integers(-149, 127), k=st.integers(60, 200))
def test_a_lone_activation_near_a_tie_is_rounded_exactly(isa: str, seed: int, exponent: int, k: int) -> None:
    """Of rows of any size, from the smallest numbers to the largest; most ties are where the quotient is largest."""
    rng, rows = np.random.default_rng(seed), np.arange(8)
    largest = np.clip(rng.uniform(1, 2, (8, 1)) * 2.0**exponent, 2.0**-149, LARGEST).astype(np.float32)
    multiples = rng.integers(-126, 127, (8, k)).astype(np.float64)
    distance = U * np.exp2(rng.uniform(-2, 9, 8)) * rng.choice([-1, 0, 1], 8)
    multiples[rows, rng.integers(1, k, 8)] = rng.choice([-1, 1], 8) * (rng.choice([126.5, 125.5, 77.5], 8) + distance)
    x = (multiples * (largest.astype(np.float64) / 127)).astype(np.float32)
    x[:, :1] = largest
    with using(isa) as native:
        ours, theirs = (backend.quantize_activations(x) for backend in (native, REFERENCE))
    assert same(ours[0], theirs[0])
    assert same(ours[1], theirs[1])


EXTREMES = (LARGEST, -LARGEST, 0.0, -0.0, 2.0**-149, -(2.0**-149), 2.0**-126, 1.0, -1.0, 2.0**60, -(2.0**60), 1e-40)
"""Weights that are largest, smallest, and at the limits of the fast loop."""


@pytest.mark.parametrize("isa", ISAS)
@given(values=st.lists(st.sampled_from(EXTREMES), min_size=1, max_size=5), gain=st.sampled_from((1, 2)), seed=SEEDS)
def test_extremes_are_calibrated_quantized_and_restored_as_by_the_reference(
    isa: str, values: list[float], gain: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    w = rng.choice(np.array(values, np.float32), (67, 1))
    with using(isa) as native:
        for method in ("minmax", "symmetric"):
            ours, theirs = (backend.calibrate(w, 16, method) for backend in (native, REFERENCE))
            assert all(map(same, ours, theirs))
            q, right = (backend.quantize(w, *theirs, 16, gain) for backend in (native, REFERENCE))
            assert same(q, right)
            restored, expected = (backend.dequantize(q, *theirs, 16, gain) for backend in (native, REFERENCE))
            assert same(restored, expected)


@pytest.mark.parametrize("offset", [1.0, -1.0, 2.0**-149, -(2.0**-149), 0.0])
@pytest.mark.parametrize("isa", ISAS)
def test_an_offset_far_below_the_scale_decides_a_tie(isa: str, offset: float) -> None:
    """Of integers that need more bits times the scale than float32 has; a double sum would lose the offset."""
    rng, n = np.random.default_rng(1), 200
    scale = (rng.integers(2**23, 2**24, (1, n)) * np.exp2(rng.integers(40, 90, (1, n)))).astype(np.float32)
    q, offsets = np.resize(np.array([[5], [3], [-7], [-3], [7]], np.int8), (32, n)), np.full((1, n), offset, np.float32)
    q[1::2] = np.resize(np.array([[3], [-3]], np.int8), (16, n))
    expected = NUMPY.dequantize(q, scale, offsets, 0, 1)
    if offset:
        lost = (q * scale.astype(np.float64)).astype(np.float32)
        assert (lost != expected).any(axis=0).mean() > 0.25, "the offset matters in many columns"
    with using(isa) as native:
        assert same(native.dequantize(q, scale, offsets, 0, 1), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("isa", ISAS)
def test_every_code_is_restored_at_every_place_of_a_chunk(isa: str, layout: Any) -> None:
    codes = np.arange(128)
    stored = np.stack([np.roll(np.resize(codes, 130), shift) for shift in range(128)])
    wide, narrow = (stored >> 3 ^ 8) - 8, (stored & 7 ^ 4) - 4
    q = np.stack([wide, narrow], axis=2).reshape(128, 260).T.astype(np.int8)
    with using(isa) as native:
        packed = native.pack(q, layout)
        assert same(packed, NUMPY.pack(q, layout))
        assert same(native.unpack(packed, 260, layout), q)


@pytest.mark.parametrize("gain", [1, 2])
@pytest.mark.parametrize("isa", ISAS)
def test_the_longest_group_is_summed_at_every_extreme(isa: str, gain: int) -> None:
    """The smallest integers, which an unsigned sum holds as zeros, do not show whether anything was summed."""
    k, one = MAX_GROUP_ROWS, np.ones((1, 1), np.float32)
    for wide, narrow in ((WIDE[1], NARROW[1]), (WIDE[0], NARROW[1]), (WIDE[1], NARROW[0]), (WIDE[0], NARROW[0])):
        packed = NUMPY.pack(np.resize(np.array([[wide], [narrow]], np.int8), (k, 1)), "dense")
        for activation in (-128, 127):
            expected = activation * (wide * ((k + 1) // 2) + gain * narrow * (k // 2))
            a = np.full((3, k), activation, np.int8)
            with using(isa) as native:
                for m in (1, 3):
                    acc, row_sum, _ = native.matmul(a[:m], packed, k, "dense", 0, gain, one, one)
                    assert np.asarray(acc).ravel().tolist() == m * [expected]
                    assert np.asarray(row_sum).ravel().tolist() == m * [activation * k]
