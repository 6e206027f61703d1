"""The native kernel next to forbidden pages: every size of tail, every function, every thread's share."""

import itertools
from typing import Any

import numpy as np
import pytest

from q35ref.backends import get
from q35ref.backends.protocol import Int8
from q35ref.oracle.cases import integers, parameters
from q35ref.reference.lanes import LAYOUTS
from tests.native_edges import Call, Edge, every_call, split
from tests.native_kernel import ISAS, needs_native, using

pytestmark = needs_native

MOST_COLUMNS = 70
ROWS = (*range(1, 35), 48, *range(63, 66), *range(110, 116), *range(126, 131), 255, 257)
"""Around all that a load of 64 bytes may take along: short columns of which many follow, and the ends of chunks."""

NUMPY = get("numpy")


def expected_sums(a: Int8, q: Int8, gain: int) -> Any:
    """Return the accumulators of one group, ``[M, N, 1]``, by plain products."""
    gains = np.where(np.arange(len(q)) % 2, gain, 1)[:, None]
    return (a.astype(np.int64) @ (q * gains)).astype(np.int32)[:, :, None]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("isa", ISAS)
def test_columns_are_read_to_their_last_byte_and_no_further(isa: str, layout: Any) -> None:
    """Of any number of columns, by one row and by two; a fault would end the process."""
    rng, edge = np.random.default_rng(1), Edge(MOST_COLUMNS * 130, at_end=True)
    one = np.ones((1, MOST_COLUMNS), np.float32)
    acc = np.empty(2 * MOST_COLUMNS, np.int32)
    with using(isa) as native:
        for k in ROWS:
            q, a = integers(k, MOST_COLUMNS, rng), rng.integers(-128, 128, (2, k)).astype(np.int8)
            packed, right = NUMPY.pack(q, layout), expected_sums(a, q, 2)
            for n, m in itertools.product(range(1, MOST_COLUMNS + 1), (1, 2)):
                codes = edge.hold(packed[:n])
                sizes = (m, k, n, LAYOUTS.index(layout), 0, 2)
                status = native.library.call("q35_matmul", a, codes, *sizes, one, one, acc, None, None)
                assert status == 0
                assert acc[: m * n].tobytes() == right[:m, :n].tobytes(), (k, n, m)


def filled(call: Call, at_end: bool, fill: int) -> list[bytes]:
    """Return the bytes of a call's outputs, which held something else, all its arrays against forbidden pages."""
    name, inputs, outputs = split(call)
    held = [Edge(a.nbytes, at_end=at_end).hold(a) if isinstance(a, np.ndarray) else a for a in (*inputs, *outputs)]
    results = held[len(inputs) :]
    for result in results:
        result.reshape(-1).view(np.uint8)[...] = fill
    with using() as native:
        assert native.library.call(name, *held) == 0
    return [result.tobytes() for result in results]


@pytest.mark.parametrize("gain", [1, 2])
@pytest.mark.parametrize("isa", ISAS)
def test_every_byte_of_an_output_is_written(isa: str, gain: int) -> None:
    """Whatever it held before, at both edges; ``out`` too, and both methods of calibration."""
    with using(isa):
        for k, n, group_size, m in ((1, 1, 0, 1), (17, 3, 16, 4), (130, 19, 48, 1), (300, 67, 112, 9)):
            for call in every_call(k, n, group_size, gain, m):
                after, before = filled(call, False, 0), filled(call, True, 0xFF)
                assert after == before, (call[0], k, n)


@pytest.mark.parametrize("at_end", [False, True], ids=["after a page", "before a page"])
@pytest.mark.parametrize("isa", ISAS)
def test_a_threads_share_ends_where_the_next_begins(isa: str, at_end: bool) -> None:
    """With work enough for threads, and weights enough to be stored past the caches."""
    k, n = 2049, 2053
    with using(isa, threads=1):
        calls = every_call(k, n, 144, 2, 1)
        alone = [filled(call, at_end, 0) for call in calls]
    for threads in (2, 7):
        with using(isa, threads) as native:
            for call, right in zip(calls, alone, strict=True):
                name, inputs, outputs = split(call)
                held = [Edge(array.nbytes, at_end=at_end).hold(array) for array in outputs]
                assert native.library.call(name, *inputs, *held) == 0
                assert [array.tobytes() for array in held] == right, (name, threads)


@pytest.mark.parametrize("m", [1, 3, 257])
@pytest.mark.parametrize("isa", ISAS)
def test_each_result_of_a_matmul_may_be_asked_for_alone(isa: str, m: int) -> None:
    k, n, group_size = 100, 37, 48
    rng = np.random.default_rng(m)
    q, a = integers(k, n, rng), rng.integers(-128, 128, (m, k)).astype(np.int8)
    packed, (scale, offset) = NUMPY.pack(q, "dense"), parameters(k, n, group_size, rng)
    shapes = ((m, n, len(scale)), (m, len(scale)), (m, n))
    with using(isa) as native:
        full = native.matmul(a, packed, k, "dense", group_size, 2, scale, offset)
        for wanted in itertools.product((False, True), repeat=3):
            room = [
                np.full(shape, 77, np.float32 if place == 2 else np.int32) if want else None
                for place, (shape, want) in enumerate(zip(shapes, wanted, strict=True))
            ]
            inputs = (a, packed, m, k, n, 1, group_size, 2, scale, offset)
            assert native.library.call("q35_matmul", *inputs, *room) == 0
            for got, right in zip(room, full, strict=True):
                assert got is None or (right is not None and got.tobytes() == right.tobytes())
