"""The native kernel: the reference's integers and bits, on every path, for any number of threads and rows."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from q35ref.backends import get
from q35ref.backends.native.build import build
from q35ref.oracle.cases import LARGEST, REGIMES, integers, near_ties, parameters
from q35ref.reference import output_bound
from q35ref.reference.lanes import LAYOUTS, MAX_GROUP_ROWS
from q35ref.reference.matmul import NO_VERDICT
from tests.native_kernel import ISAS, compiles, needs_native, using

pytestmark = needs_native

SHAPES = st.tuples(st.integers(1, 300), st.integers(1, 70))
SMALL = st.tuples(st.integers(1, 50), st.integers(1, 4))
GROUPS = st.sampled_from((0, 16, 32, 48, 64, 112, 128, 144, 2**40))
GAINS = st.sampled_from((1, 2))
SEEDS = st.integers(0, 2**32)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
SCALES = st.floats(2.0**-149, LARGEST, width=32)

numpy_backend, reference_backend = get("numpy"), get("reference")


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal bit for bit, dtype and shape included."""
    one, other = np.asarray(one), np.asarray(other)
    return bool(one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes())


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("layout", LAYOUTS)
@given(shape=SHAPES, seed=SEEDS)
def test_codes_are_those_of_numpy(isa: str, layout: Any, shape: tuple[int, int], seed: int) -> None:
    q = integers(*shape, np.random.default_rng(seed))
    with using(isa) as native:
        packed = native.pack(q, layout)
        assert same(packed, numpy_backend.pack(q, layout))
        assert same(np.ascontiguousarray(native.unpack(packed, len(q), layout)), q)


@pytest.mark.parametrize("isa", ISAS)
@given(shape=SMALL, group_size=GROUPS, values=st.lists(FLOATS, min_size=1, max_size=20))
def test_parameters_are_those_of_the_reference(
    isa: str, shape: tuple[int, int], group_size: int, values: list[float]
) -> None:
    w = np.resize(np.array(values, np.float32), shape)
    with using(isa) as native:
        for method in ("minmax", "symmetric"):
            ours = native.calibrate(w, group_size, method)
            theirs = reference_backend.calibrate(w, group_size, method)
            assert same(ours[0], theirs[0])
            assert same(ours[1], theirs[1])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("steps", range(2**23, 2**23 + 4))
def test_a_scale_half_way_between_two_numbers_goes_to_the_even_one(isa: str, steps: int) -> None:
    """The range is 15 times the middle of two neighbours, exactly."""
    middle = Fraction(2 * steps + 1, 2)
    w = np.array([[15 * 2.0**23], [float(15 * (2**23 - middle))]], np.float32)
    assert Fraction(float(w[0, 0])) - Fraction(float(w[1, 0])) == 15 * middle
    with using(isa) as native:
        scale, _ = native.calibrate(w, 0, "minmax")
    assert scale[0, 0] == steps + steps % 2 == reference_backend.calibrate(w, 0, "minmax")[0][0, 0]


@pytest.mark.parametrize("isa", ISAS)
@given(
    shape=SMALL, group_size=GROUPS, gain=GAINS, scale=SCALES, offset=FLOATS,
    values=st.lists(FLOATS, min_size=1, max_size=20), seed=SEEDS,
)  # fmt: skip
def test_integers_and_weights_are_those_of_the_reference(
    isa: str, shape: tuple[int, int], group_size: int, gain: int, scale: float, offset: float,
    values: list[float], seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    scales, offsets = parameters(*shape, group_size, rng)
    if seed % 3 == 0:
        scales, offsets = np.full_like(scales, scale), np.full_like(offsets, offset)
    if seed % 3 == 1:
        special = REGIMES[seed % len(REGIMES)]
        scales, offsets = np.full_like(scales, special[0]), np.full_like(offsets, special[1])
    drawn = np.resize(np.array(values, np.float32), shape)
    with using(isa) as native:
        for w in (drawn, near_ties(shape[0], scales, offsets, min(group_size, 64), gain, rng)):
            arguments = (scales, offsets, group_size, gain)
            q = native.quantize(w, *arguments)
            assert same(np.ascontiguousarray(q), reference_backend.quantize(w, *arguments))
            restored = np.ascontiguousarray(native.dequantize(q, *arguments))
            assert same(restored, reference_backend.dequantize(q, *arguments))


@pytest.mark.parametrize("isa", ISAS)
@given(shape=SHAPES, group_size=GROUPS, gain=GAINS, seed=SEEDS)
def test_long_columns_are_quantized_as_by_numpy(
    isa: str, shape: tuple[int, int], group_size: int, gain: int, seed: int
) -> None:
    """Long enough for the loops over blocks, with near-ties among them."""
    rng = np.random.default_rng(seed)
    scales, offsets = parameters(*shape, group_size, rng)
    w = near_ties(shape[0], scales, offsets, min(group_size, 2**20), gain, rng)
    w[rng.random(w.shape) < 0.9] = rng.standard_normal()
    arguments = (scales, offsets, group_size, gain)
    with using(isa, threads=2) as native:
        q = native.quantize(w, *arguments)
        assert same(np.ascontiguousarray(q), np.ascontiguousarray(numpy_backend.quantize(w, *arguments)))
        ours, theirs = native.dequantize(q, *arguments), numpy_backend.dequantize(q, *arguments)
        assert same(np.ascontiguousarray(ours), np.ascontiguousarray(theirs))


@pytest.mark.parametrize("isa", ISAS)
@given(shape=SHAPES, values=st.lists(FLOATS, min_size=1, max_size=30), seed=SEEDS)
def test_activations_are_those_of_numpy(isa: str, shape: tuple[int, int], values: list[float], seed: int) -> None:
    """NumPy's are compared with the reference's elsewhere; halves of the scale are ties."""
    x = np.resize(np.array(values, np.float32), shape)
    if seed % 2:
        x = (np.random.default_rng(seed).integers(-254, 255, shape) / 2).astype(np.float32)
        x[:, 0] = 127
    with using(isa) as native:
        ours, theirs = (backend.quantize_activations(x) for backend in (native, numpy_backend))
        assert same(ours[0], theirs[0])
        assert same(ours[1], theirs[1])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("layout", LAYOUTS)
@given(shape=SHAPES, m=st.integers(1, 9), group_size=GROUPS, gain=GAINS, seed=SEEDS)
def test_products_are_exact_and_outputs_within_their_bound(
    isa: str, layout: Any, shape: tuple[int, int], m: int, group_size: int, gain: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    packed = numpy_backend.pack(integers(*shape, rng), layout)
    a = rng.integers(-128, 128, (m, shape[0])).astype(np.int8)
    a[rng.random(a.shape) < 0.1] = -128
    scale, offset = parameters(*shape, group_size, rng)
    arguments = (packed, shape[0], layout, group_size, gain, scale, offset)
    with using(isa, threads=2) as native:
        ours, theirs = native.matmul(a, *arguments), numpy_backend.matmul(a, *arguments)
        alone = native.matmul_output(a[-1:], *arguments)
    assert same(ours.acc, theirs[0])
    assert same(ours.row_sum, theirs[1])
    assert ours.out is not None
    assert ours.acc is not None
    assert ours.row_sum is not None
    assert same(alone[0], ours.out[-1]), "one row alone, and among others"
    for j in {0, shape[1] - 1}:
        acc, sums = ours.acc[-1, j].tolist(), ours.row_sum[-1].tolist()
        scales, offsets = scale[:, j].tolist(), offset[:, j].tolist()
        pairs = list(zip(acc, sums, map(Fraction, scales), map(Fraction, offsets), strict=True))
        exact = sum((s * p + o * r for p, r, s, o in pairs), Fraction(0))
        magnitude = sum((abs(s * p) + abs(o * r) for p, r, s, o in pairs), Fraction(0))
        if magnitude < NO_VERDICT:
            assert abs(Fraction(float(ours.out[-1, j])) - exact) <= output_bound(len(pairs), magnitude)


@given(shape=st.tuples(st.integers(900, 1500), st.integers(300, 400)), m=st.sampled_from((1, 2, 5, 300)), seed=SEEDS)
def test_nothing_depends_on_threads_or_the_path(shape: tuple[int, int], m: int, seed: int) -> None:
    """Outputs too, bit for bit; there is enough work for several threads."""
    rng = np.random.default_rng(seed)
    group_size = int(rng.choice((0, 16, 128)))
    w = rng.standard_normal(shape).astype(np.float32)
    a = rng.integers(-128, 128, (m, shape[0])).astype(np.int8)
    results = []
    with using() as probe:
        isas = probe.library.isas
    for isa in isas:
        for threads in (1, 2, 3, 7):
            with using(isa, threads) as native:
                scale, offset = native.calibrate(w, group_size, "minmax")
                q = native.quantize(w, scale, offset, group_size, 2)
                packed = native.pack(q, "dense")
                out = native.matmul_output(a, packed, shape[0], "dense", group_size, 2, scale, offset)
                restored = native.dequantize(q, scale, offset, group_size, 2)
                results.append([part.tobytes() for part in (scale, offset, q, packed, out, restored)])
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("gain", [1, 2])
def test_accumulators_hold_at_the_longest_legal_group(isa: str, gain: int) -> None:
    """Every product at its extreme: biased sums leave int32 on the way and come back."""
    k = MAX_GROUP_ROWS
    q = np.resize(np.array([[-8], [-4]], np.int8), (k, 1))
    packed = numpy_backend.pack(q, "dense")
    one = np.ones((1, 1), np.float32)
    a = np.full((2, k), -128, np.int8)
    with using(isa) as native:
        for rows in (a[:1], a):
            acc, row_sum, _ = native.matmul(rows, packed, k, "dense", 0, gain, one, one)
            expected = 1024 * ((k + 1) // 2) + 512 * gain * (k // 2)
            assert acc is not None
            assert row_sum is not None
            assert set(acc.ravel().tolist()) == {expected}
            assert set(row_sum.ravel().tolist()) == {-128 * k}


SIMDE = compiles("#include <simde/x86/avx512.h>\nint main(void) { return 0; }\n")


# SIMDe is Debian's, and `.ci/run` installs it; where it is missing, the processor's own paths are tested all the same.
@pytest.mark.slow
@pytest.mark.skipif(bool(SIMDE), reason=f"SIMDe (Debian's libsimde-dev) is not installed: {SIMDE}")
def test_every_path_conforms_in_portable_c(tmp_path: Path) -> None:
    """The vector paths with SIMDe's intrinsics, so that each is tested on every machine."""
    library = build(tmp_path / "simde.so", simde=True)
    for isa in ISAS:
        environment = {**os.environ, "Q35_NATIVE_LIBRARY": str(library), "Q35_NATIVE_ISA": isa}
        command = [sys.executable, "-m", "q35ref", "check", "native", "--level", "1", "--quiet"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "20 passed, 0 failed, 0 not checked: conforms" in done.stdout


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shift", [0, 1, 2, 6])
def test_weights_that_no_cache_holds_are_those_of_numpy(isa: str, shift: int) -> None:
    """So many are stored past the caches, where the address allows it; odd columns begin at odd addresses."""
    k, n = 2049, 2100
    rng = np.random.default_rng(shift)
    q, (scale, offset) = integers(k, n, rng), parameters(k, n, 48, rng)
    room = np.zeros(k * n + shift, np.float32)
    with using(isa, threads=2) as native:
        columns = np.ascontiguousarray(q.T)
        assert native.library.call("q35_dequantize", columns, k, n, 48, 2, scale, offset, room[shift:]) == 0
    expected = np.ascontiguousarray(numpy_backend.dequantize(q, scale, offset, 48, 2).T)
    assert room[shift:].tobytes() == expected.tobytes()
