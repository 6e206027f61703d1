"""Errors against the bound: right on what is right, and quick to see what is not."""

from dataclasses import replace
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import q35ref
from q35ref import quality as quality_module
from q35ref import reference
from q35ref.backends import get
from q35ref.backends.numpy import blocks as blocks_module
from q35ref.backends.numpy.blocks import blocks
from q35ref.quality import judge_sample, measure

RNG = np.random.default_rng(9)
W = RNG.standard_normal((100, 5)).astype(np.float32)


def by_hand(w: Any, qt: q35ref.QuantizedTensor) -> tuple[Fraction, Fraction]:
    """Return the worst ratios, from exact rationals."""
    q, restored = get("reference").unpack(qt.packed, qt.k, qt.layout), q35ref.dequantize(qt)
    worst = [Fraction(0), Fraction(0)]
    length = qt.group_size or qt.k
    for row, j in np.ndindex(w.shape):
        at = (float(qt.scale[row // length, j]), float(qt.offset[row // length, j]), row, qt.narrow_gain)
        weight = Fraction(float(w[row, j]))
        exact = abs(weight - reference.dequantize(int(q[row, j]), *at)) / reference.error_bound(weight, *at)
        after = abs(weight - Fraction(float(restored[row, j]))) / reference.rounded_error_bound(weight, *at)
        worst = [max(worst[0], exact), max(worst[1], after)]
    return worst[0], worst[1]


@pytest.mark.parametrize("method", ["minmax", "symmetric", "clip"])
@pytest.mark.parametrize(("group_size", "gain"), [(0, 1), (0, 2), (16, 2), (48, 1)])
def test_the_ratios_are_those_of_exact_arithmetic(method: Any, group_size: int, gain: int) -> None:
    sizes = (W, W * np.float32(1e-42), W * np.float32(1e37), np.round(W * 2) / 2)
    for w in (values.astype(np.float32) for values in sizes):
        qt = q35ref.quantize(w, group_size=group_size, narrow_gain=gain, method=method)
        found, (exact, after) = measure(w, qt), by_hand(w, qt)
        assert found.exact_ratio == pytest.approx(float(exact), rel=1e-15)
        assert found.restored_ratio == pytest.approx(float(after), rel=1e-14)
        assert (found.exact_ratio <= 1) == (exact <= 1)
        assert (found.restored_ratio <= 1) == (after <= 1)
        assert found.within_bound
        assert found.weights == w.size


CASES = {
    "normal": W,
    "ties": np.round(W * 4) / 4,
    "far from zero": W * 1e-3 + 1e3,
    "tiny": W * 1e-42,
    "huge": W * 1e37,
    "integers": RNG.integers(-8, 8, W.shape),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("other", [False, True], ids=["own weights", "other weights"])
def test_only_places_that_cannot_matter_are_left_out(name: str, other: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers, to the last bit, as when every place is taken exactly."""
    w = np.asarray(CASES[name]).astype(np.float32)
    qt = q35ref.quantize(w, group_size=16)
    judged = (w * np.float32(0.7)).astype(np.float32) if other else w
    found = measure(judged, qt)
    monkeypatch.setattr(quality_module, "ROUGH", 1e9)
    assert found == measure(judged, qt)


def test_a_place_left_out_wrongly_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail."""
    qt = q35ref.quantize(W, group_size=16)
    found = measure(W, qt)
    monkeypatch.setattr(quality_module, "_leading", lambda *_: tuple(np.zeros(1, np.intp) for _ in range(3)))
    assert measure(W, qt) != found


def test_rmse_is_the_root_of_the_mean_squared_error() -> None:
    qt = q35ref.quantize(W)
    error = W.astype(np.float64) - q35ref.dequantize(qt)
    found = measure(W, qt)
    assert found.rmse == pytest.approx(float(np.sqrt(np.mean(error**2))), rel=1e-12)
    assert found.normalized_rmse == pytest.approx(found.rmse / float(W.astype(np.float64).std()), rel=1e-12)
    assert found.worst_error == float(np.abs(error).max())


def test_a_constant_matrix_has_no_error_and_no_normalized_one() -> None:
    w = np.full((20, 2), 0.1, np.float32)
    found = measure(w, q35ref.quantize(w))
    assert (found.rmse, found.worst_error, found.exact_ratio, found.restored_ratio) == (0, 0, 0, 0)
    assert np.isnan(found.normalized_rmse)


def test_one_wrong_code_is_seen() -> None:
    qt = q35ref.quantize(W, layout="byte")
    packed = qt.packed.copy()
    packed[2, 7] ^= 8  # the wide integer moves by one step
    wrong = replace(qt, packed=packed)
    found = measure(W, wrong)
    assert found.exact_ratio > 1
    assert found.restored_ratio > 1
    assert not found.within_bound
    sample = judge_sample(W, wrong, 2000, seed=1)
    assert sample.differences > 0
    assert not sample.agrees
    assert judge_sample(W, qt, 2000, seed=1).agrees


def test_an_error_of_a_hair_over_the_bound_is_seen() -> None:
    """Half a step and 2**-60 of it: as doubles the two are equal."""
    one = np.ones((1, 1), np.float32)
    qt = q35ref.QuantizedTensor(np.array([[0]], np.uint8), one, np.full((1, 1), -(2.0**-60), np.float32), 1, 1)
    found = measure(np.array([[0.5]], np.float32), qt)
    assert found.exact_ratio > 1
    assert not found.within_bound
    assert by_hand(np.array([[0.5]], np.float32), qt)[0] > 1


def test_a_wrong_float32_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    qt = q35ref.quantize(W)
    restored = q35ref.dequantize(qt)
    restored[3, 1] += np.float32(0.5)
    monkeypatch.setattr(quality_module, "dequantize", lambda qt: restored)
    assert measure(W, qt).restored_ratio > 1
    restored[3, 1] = np.inf
    assert measure(W, qt).restored_ratio == np.inf


def test_other_weights_than_the_tensors_are_refused() -> None:
    qt = q35ref.quantize(W)
    with pytest.raises(ValueError, match=r"weights: expected shape \(100, 5\)"):
        measure(W[:50], qt)
    with pytest.raises(ValueError, match="weights: expected finite"):
        measure(np.full_like(W, np.nan), qt)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("whole_groups", [False, True])
@given(k=st.integers(1, 300), n=st.integers(1, 70), groups=st.integers(0, 8), size=st.sampled_from([16, 64, 1 << 17]))
def test_blocks_of_any_size_cover_a_matrix_once_and_cut_no_group_amiss(
    order: Any, whole_groups: bool, k: int, n: int, groups: int, size: int
) -> None:
    group_size = 16 * groups
    length = min(group_size or k, k)
    seen = np.zeros((k, n), np.int8, order=order)
    with patch.object(blocks_module, "BLOCK_WEIGHTS", size):
        for block in blocks(seen, group_size, whole_groups=whole_groups):
            rows, (first, last) = block.rows, (block.groups.start, block.groups.stop)
            assert rows.start % 2 == 0
            assert (first, last) == (rows.start // length, -(-rows.stop // length))
            part = block.cut(seen)
            if whole_groups:
                assert (rows.start, rows.stop) == (first * length, min(last * length, k))
            else:
                assert part.size <= max(size, 16 * part.shape[2], part.shape[0] * min(length, 16) * part.shape[2])
            assert len(part) == 1 or part.shape[1] == length
            part += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("rows", [64, 60])
def test_blocks_are_as_few_as_can_be(rows: int) -> None:
    """Whole groups of one length together; a short last one by itself."""
    found = [block.groups for block in blocks(np.empty((rows, 4), np.int8), 16)]
    assert found == ([slice(0, 4)] if rows == 64 else [slice(0, 3), slice(3, 4)])


def test_blocks_run_along_the_memory() -> None:
    """Down the columns where a column lies together, along the rows where a row does."""
    for order, rows, columns in (("C", 64, 2048), ("F", 4096, 32)):
        first = next(blocks(np.empty((4096, 4096), np.int8, order=order), 0))  # type: ignore[call-overload]
        assert (first.rows.stop, first.columns.stop) == (rows, columns)
