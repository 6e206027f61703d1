"""The native kernel and its callers: their processor's settings, their threads, their arrays, their mistakes."""

import itertools
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import run
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from q35ref.backends import get
from q35ref.backends.native import NativeBackend
from q35ref.oracle.cases import integers, parameters
from tests.native_edges import FLUSH, MODE, Call, Fpu, Number, every_call, needs_x86, split, tiny
from tests.native_kernel import ISAS, needs_native, using

pytestmark = needs_native

OK, BAD_ARGUMENT, NOT_FINITE, NO_MEMORY = range(4)


def results(native: NativeBackend, call: Call) -> tuple[int, list[bytes]]:
    """Return a call's status, and the bytes of its outputs, fresh ones each time."""
    name, inputs, outputs = split(call)
    fresh = [np.full_like(output, 3) for output in outputs]
    return native.library.call(name, *inputs, *fresh), [output.tobytes() for output in fresh]


def tiny_calls(k: int, n: int) -> list[Call]:
    """Return the calls of :func:`every_call` with numbers that are all subnormal."""
    w, scale, offset, q = tiny(k, n, 5)
    columns, rows = np.ascontiguousarray(q.T), np.ascontiguousarray(w.T)
    floats: dict[tuple[int, ...], NDArray[Any]] = {(n, k): rows, (1, n): offset, (2, k): rows[:2]}
    found = []
    for call in every_call(k, n, 0, 2, 2):
        name, inputs, outputs = split(call)
        changed = [floats[a.shape] if isinstance(a, np.ndarray) and a.dtype == np.float32 else a for a in inputs]
        changed = [columns if isinstance(a, np.ndarray) and a.shape == (n, k) and a.dtype == np.int8 else a
                   for a in changed]  # fmt: skip
        if len(changed) >= 2 and changed[-1] is offset:
            changed[-2] = scale
        found.append((name, (*changed, *outputs)))
    return found


@needs_x86
@pytest.mark.parametrize("bits", [FLUSH, MODE, FLUSH | 0x2000], ids=["flush", "toward zero", "flush and down"])
@pytest.mark.parametrize("isa", ISAS)
def test_the_callers_settings_neither_matter_nor_are_lost(isa: str, bits: int) -> None:
    """For every function, and on threads of the kernel's own, which take the settings of the one that starts them."""
    fpu = Fpu()
    with using(isa) as native:
        calls = [*every_call(100, 7, 16, 2, 2), *tiny_calls(100, 7), *tiny_calls(1500, 700)]
        right = [results(native, call) for call in calls]
        native.library.use_threads(3)
        for call, expected in zip(calls, right, strict=True):
            with fpu.with_bits(bits):
                got, left = results(native, call), fpu.control()
            assert left & bits == bits
            assert got[0] == OK
            assert got == expected, call[0]


TRAPS = """
import ctypes, sys
from tests.native_edges import every_call
from tests.test_native_callers import results, tiny_calls
from tests.native_kernel import using
libm = ctypes.CDLL("libm.so.6")
with using(sys.argv[1], threads=2) as native:
    for call in [*every_call(100, 7, 16, 2, 2), *tiny_calls(100, 7), *tiny_calls(1500, 700)]:
        right = results(native, call)
        libm.feenableexcept(0x3D)
        got = results(native, call)
        left = libm.fegetexcept()
        libm.fedisableexcept(0x3D)
        assert got == right, call[0]
        assert left == 0x3D
print("no trap")
"""
"""Has every floating-point exception end the process, as numerical programs do to find their mistakes."""


@needs_x86
@pytest.mark.parametrize("isa", ISAS)
def test_a_caller_that_traps_floating_point_exceptions_is_not_trapped(isa: str) -> None:
    with using(isa):
        done = run([sys.executable, "-c", TRAPS, isa], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "no trap\n"), done.stderr


ASKED = (-(2**31), -1, 0, 1, 2, 3, 255, 256, 257, 2**31 - 1)
"""Numbers of threads that the ABI takes: fewer than one are one, and more than 256 are 256."""

THREADS = """
import ctypes, os, sys
import numpy as np
from q35ref.backends.native.library import load
library = load()
functions = ctypes.CDLL(str(library.path.resolve()))
q, packed = np.zeros((2**14, 2**11), np.int8), np.empty((2**14, 2**10), np.uint8)
def threads():
    return len(os.listdir("/proc/self/task"))
before = threads()
for asked in map(int, sys.argv[1:]):
    functions.q35_set_num_threads(ctypes.c_int32(asked))
    assert library.call("q35_pack", q, 2**11, 2**14, 0, packed) == 0
    print(1 + threads() - before)
"""
"""Counts the threads that a matrix with work enough for 256 of them has."""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted where Linux shows them")
def test_there_are_as_many_threads_as_are_asked_for() -> None:
    command = [sys.executable, "-c", THREADS, *map(str, ASKED)]
    done = run(command, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(min(256, max(1, asked))) for asked in ASKED], done.stderr


def shifted(values: NDArray[Number], by: int) -> NDArray[Number]:
    """Return a copy that begins ``by`` bytes after an address that is a multiple of 16."""
    room = np.zeros(values.nbytes + by + 16, np.uint8)
    start = by - room.ctypes.data % 16 + (16 if room.ctypes.data % 16 > by else 0)
    copy: NDArray[Number] = np.frombuffer(room.data, values.dtype, values.size, start).reshape(values.shape)
    copy[...] = values
    return copy


@pytest.mark.parametrize("by", [1, 2, 3])
def test_the_library_is_given_no_float_at_an_address_that_c_forbids(by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays from a buffer that begins anywhere are right for NumPy, but not for C, whose compilers rely on it."""
    k, n = 96, 5
    rng = np.random.default_rng(by)
    w = shifted(rng.standard_normal((n, k)).astype(np.float32), by)
    scale, offset = (shifted(values, by) for values in parameters(k, n, 16, rng))
    a, packed = rng.integers(-9, 9, (2, k)).astype(np.int8), get("numpy").pack(integers(k, n, rng), "dense")
    native = NativeBackend()
    seen: list[tuple[str, bool]] = []
    call = native.library.call

    def watch(name: str, *arguments: Any) -> int:
        seen.extend((name, a.flags.aligned) for a in arguments if isinstance(a, np.ndarray))
        return call(name, *arguments)

    monkeypatch.setattr(native.library, "call", watch)
    assert not w.flags.aligned
    for backend in (native, get("numpy")):
        backend.calibrate(w.T, 16, "minmax")
        q = backend.quantize(w.T, scale, offset, 16, 2)
        backend.dequantize(q, scale, offset, 16, 2)
        backend.quantize_activations(w)
        backend.matmul(a, packed, k, "dense", 16, 2, scale, offset)
    assert [name for name, aligned in seen if not aligned] == []


def test_calls_from_several_threads_at_once_do_not_disturb_one_another() -> None:
    """While another thread changes the instruction set and the number of threads: results depend on neither."""
    with using(threads=2) as native:
        calls = every_call(700, 420, 48, 2, 3)
        right = [results(native, call) for call in calls]

        def change(turn: int) -> None:
            native.library.use_isa(native.library.isas[turn % len(native.library.isas)])
            native.library.use_threads(1 + turn % 5)

        with ThreadPoolExecutor(4) as pool:
            turns = [pool.submit(change, turn) for turn in range(60)]
            found = [pool.submit(results, native, call) for _ in range(6) for call in calls]
            for turn in turns:
                turn.result()
            for place, future in enumerate(found):
                assert future.result() == right[place % len(calls)]


Fault = tuple[str, int, float]
"""An array, a column, and what is put there."""


def with_faults(call: Call, places: dict[str, int], faults: tuple[Fault, ...]) -> Call:
    """Return a call of which some arrays, by name and argument number, hold what they must not in some columns."""
    name, arguments = call
    changed = list(arguments)
    for array, column, value in faults:
        place = places[array]
        changed[place] = copy = changed[place].copy()
        copy[(0, column) if array in ("scale", "offset") else (column, 0)] = value
    return name, tuple(changed)


PLACES = {
    "q35_quantize": {"w": 0, "scale": 5, "offset": 6},
    "q35_dequantize": {"q": 0, "scale": 5, "offset": 6},
    "q35_matmul": {"packed": 1, "scale": 8, "offset": 9},
}
"""Where the arrays are among the arguments."""

FAULTS: dict[str, list[tuple[str, float]]] = {
    "q35_quantize": [("w", np.nan), ("scale", 0), ("scale", np.inf), ("offset", np.nan)],
    "q35_dequantize": [("q", 100), ("scale", -1), ("scale", np.nan), ("offset", np.inf)],
    "q35_matmul": [("packed", 255), ("scale", 0), ("scale", np.nan), ("offset", np.inf)],
}
"""Numbers that are refused with one status or the other."""


@pytest.mark.parametrize("name", sorted(FAULTS))
@pytest.mark.parametrize("m", [1, 4])
@pytest.mark.parametrize("isa", ISAS)
def test_of_several_faults_the_first_columns_gives_the_status(isa: str, m: int, name: str) -> None:
    """On any number of threads, for any number of rows: a caller's error does not depend on the machine."""
    k, n = 16384 // m, 112
    with using(isa) as native:
        call = next(call for call in every_call(k, n, 0, 2, m) if call[0] == name)
        for (first, bad), (second, worse) in itertools.permutations(FAULTS[name], 2):
            for later in (20, 70, 111):
                native.library.use_threads(1)
                alone = results(native, with_faults(call, PLACES[name], ((first, 3, bad),)))[0]
                both = with_faults(call, PLACES[name], ((first, 3, bad), (second, later, worse)))
                for threads in (1, 2, 7):
                    native.library.use_threads(threads)
                    assert results(native, both)[0] == alone, (first, second, later, threads)


@pytest.mark.parametrize("m", [1, 4])
@pytest.mark.parametrize("isa", ISAS)
def test_in_a_column_parameters_come_before_codes(isa: str, m: int) -> None:
    """Whichever column it is, and whatever the one before it."""
    with using(isa) as native:
        call = next(call for call in every_call(40, 5, 16, 2, m) if call[0] == "q35_matmul")
        for column in range(5):
            codes = with_faults(call, PLACES["q35_matmul"], (("packed", column, 255),))
            both = with_faults(call, PLACES["q35_matmul"], (("packed", column, 255), ("scale", column, np.nan)))
            assert (results(native, codes)[0], results(native, both)[0]) == (BAD_ARGUMENT, NOT_FINITE), column


LONG = (2**57 * 16, 2**60, 2**60 + 16, 2**61 + 16, 2**62, 2**63 - 17, 2**63 - 1)
"""Rows of which 16 make a group and a chunk of 128 bytes: that is more than 64 bits can count."""


@pytest.mark.parametrize("isa", ISAS)
def test_columns_that_no_memory_holds_are_refused_before_they_are_read(isa: str) -> None:
    """Also those whose sizes leave 64 bits on the way to a small number."""
    one, sums, total = np.ones((1, 1), np.float32), np.zeros((1, 1, 1), np.int32), np.zeros((1, 1), np.float32)
    activations, codes = np.zeros((1, 1), np.int8), np.zeros((1, 1), np.uint8)
    with using(isa) as native:
        for k in LONG:
            sizes = (1, k, 1, 1, 16, 2)
            status = native.library.call("q35_matmul", activations, codes, *sizes, one, one, sums, sums, total)
            assert status in (BAD_ARGUMENT, NO_MEMORY), k


def test_a_size_that_the_memory_does_not_hold_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    native = NativeBackend()
    monkeypatch.setattr(native.library, "call", lambda *_: NO_MEMORY)
    one = np.ones((1, 1), np.float32)
    with pytest.raises(MemoryError, match="q35_matmul: not enough memory"):
        native.matmul(np.zeros((1, 2), np.int8), np.zeros((1, 1), np.uint8), 2, "dense", 0, 2, one, one)
