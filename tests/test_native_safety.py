"""The native kernel keeps within its buffers, refuses what is illegal, and leaves its caller's settings alone."""

import ctypes
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from q35ref.backends import get
from q35ref.backends.native import NativeBackend
from q35ref.oracle.cases import integers, parameters
from q35ref.reference.lanes import MAX_GROUP_ROWS
from tests.native_kernel import ISAS, Guarded, needs_native, using

pytestmark = needs_native

BAD_ARGUMENT, NOT_FINITE = 1, 2
SIZES = list(itertools.product((1, 2, 15, 16, 17, 127, 128, 129, 300), (1, 3, 4, 5, 16, 17, 65)))
FILL = 0x5A
"""What outputs hold beforehand."""


def problem(k: int, n: int, group_size: int, m: int) -> dict[str, NDArray[Any]]:
    """Return legal arguments of every function, in the ABI's layout, and the outputs that are right."""
    numpy, rng = get("numpy"), np.random.default_rng(k * 1000 + n)
    q = integers(k, n, rng)
    scale, offset = parameters(k, n, group_size, rng)
    a = rng.integers(-128, 128, (m, k)).astype(np.int8)
    w = np.ascontiguousarray(rng.standard_normal((n, k)).astype(np.float32))
    x = rng.standard_normal((m, k)).astype(np.float32)
    found: dict[str, NDArray[Any]] = {"w": w, "q": np.ascontiguousarray(q.T), "a": a, "x": x}
    found |= {"scale": scale, "offset": offset}
    found["byte"], found["dense"] = numpy.pack(q, "byte"), numpy.pack(q, "dense")
    found["quantized"] = np.ascontiguousarray(numpy.quantize(w.T, scale, offset, group_size, 2).T)
    found["restored"] = np.ascontiguousarray(numpy.dequantize(q, scale, offset, group_size, 2).T)
    found["minmax_scale"], found["minmax_offset"] = numpy.calibrate(w.T, group_size, "minmax")
    found["x_scale"], found["x_integers"] = numpy.quantize_activations(x)
    product = numpy.matmul(a, found["dense"], k, "dense", group_size, 2, scale, offset)
    found["acc"], found["row_sum"] = np.asarray(product[0]), np.asarray(product[1])
    return found


Call = tuple[str, list[int | str | None], list[str]]
"""A function, its arguments (names of inputs, of outputs, or numbers), and the names of its outputs."""


def calls(k: int, n: int, group_size: int, m: int) -> list[Call]:
    """Return a call of every function, both layouts."""
    parameters_, minmax = ["scale", "offset"], ["minmax_scale", "minmax_offset"]
    found: list[Call] = [
        ("q35_calibrate_minmax", ["w", k, n, group_size, *minmax], minmax),
        ("q35_quantize", ["w", k, n, group_size, 2, *parameters_, "quantized"], ["quantized"]),
        ("q35_dequantize", ["q", k, n, group_size, 2, *parameters_, "restored"], ["restored"]),
        ("q35_quantize_activations", ["x", m, k, "x_scale", "x_integers"], ["x_scale", "x_integers"]),
    ]  # fmt: skip
    for number, layout in enumerate(("byte", "dense")):
        found.append(("q35_pack", ["q", k, n, number, layout], [layout]))
        found.append(("q35_unpack", [layout, k, n, number, "q"], ["q"]))
        matmul: list[int | str | None] = ["a", layout, m, k, n, number, group_size, 2, *parameters_]
        found.append(("q35_matmul", [*matmul, "acc", "row_sum", None], ["acc", "row_sum"]))
    return found


@pytest.mark.parametrize("at_end", [False, True], ids=["after a page", "before a page"])
@pytest.mark.parametrize("isa", ISAS)
def test_no_byte_outside_the_buffers_is_touched(isa: str, at_end: bool) -> None:
    """Each lies against a page that must not be touched; inputs may not be written. A fault would end the process."""
    with using(isa, threads=2) as native:
        for k, n in SIZES:
            for group_size, m in ((0, 1), (16, 2), (48, 5)):
                right = problem(k, n, group_size, m)
                for name, arguments, outputs in calls(k, n, group_size, m):
                    memory = Guarded(at_end=at_end)
                    held = {
                        key: memory.array(
                            np.full_like(right[key], FILL) if key in outputs else right[key],
                            read_only=key not in outputs,
                        )
                        for key in arguments
                        if isinstance(key, str)
                    }
                    passed = [held[a] if isinstance(a, str) else a for a in arguments]
                    assert native.library.call(name, *passed) == 0
                    for output in outputs:
                        assert held[output].tobytes() == right[output].tobytes(), (name, k, n, group_size, output)


@pytest.mark.parametrize("shift", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("isa", ISAS)
def test_bytes_may_lie_at_any_address(isa: str, shift: int) -> None:
    k, n, m = 300, 21, 3
    right = problem(k, n, 48, m)

    def moved(values: NDArray[Any]) -> NDArray[Any]:
        away = shift if values.itemsize == 1 else 4 * shift
        room = np.zeros(values.nbytes + away, np.uint8)
        there: NDArray[Any] = room[away:].view(values.dtype).reshape(values.shape)
        there[...] = values
        return there

    with using(isa) as native:
        for name, arguments, outputs in calls(k, n, 48, m):
            held = {key: moved(right[key]) for key in arguments if isinstance(key, str)}
            for output in outputs:
                held[output][...] = FILL
            assert native.library.call(name, *[held[a] if isinstance(a, str) else a for a in arguments]) == 0
            for output in outputs:
                assert held[output].tobytes() == right[output].tobytes(), (name, output)


ILLEGAL_SIZES = (0, -1, -(2**63), 2**62, 2**63 - 1, (2**64 + 2) // 3)
"""Three times the last one is 2 in 64 bits."""

ILLEGAL_COUNTS = (*ILLEGAL_SIZES, 2**60 + 1)
"""Of columns or rows of 48 numbers each: the last of them would be 48 numbers in 64 bits."""


@pytest.mark.parametrize("isa", ISAS)
def test_illegal_sizes_and_missing_arrays_are_bad_arguments(isa: str) -> None:
    """Of each function, each argument in turn; no illegal one is ever used."""
    k, n, m, group_size = 48, 3, 2, 16
    right = problem(k, n, group_size, m)
    with using(isa) as native:
        for name, arguments, outputs in calls(k, n, group_size, m):
            passed = [right[a].copy() if isinstance(a, str) else a for a in arguments]
            assert native.library.call(name, *passed) == 0
            for place, argument in enumerate(arguments):
                if isinstance(argument, str):
                    optional = name == "q35_matmul" and argument in outputs
                    wrong = [*passed[:place], None, *passed[place + 1 :]]
                    assert native.library.call(name, *wrong) == (0 if optional else BAD_ARGUMENT), (name, argument)
            for place in (place for place, argument in enumerate(arguments) if isinstance(argument, int)):
                for value in illegal_values(name, place):
                    wrong = [*passed[:place], value, *passed[place + 1 :]]
                    assert native.library.call(name, *wrong) == BAD_ARGUMENT, (name, place, value)


def illegal_values(name: str, place: int) -> tuple[int, ...]:
    """Return what an integer argument of a function must not be."""
    kinds = {
        "q35_pack": "sizes counts layout",
        "q35_unpack": "sizes counts layout",
        "q35_calibrate_minmax": "sizes counts groups",
        "q35_quantize": "sizes counts groups gain",
        "q35_dequantize": "sizes counts groups gain",
        "q35_quantize_activations": "counts sizes",
        "q35_matmul": "packed counts sizes counts layout groups gain",
    }[name].split()
    return {
        "packed": (),
        "sizes": ILLEGAL_SIZES,
        "counts": ILLEGAL_COUNTS,
        "layout": (-1, 2, 2**31 - 1),
        "groups": (-16, 8, 17, -(2**63)),
        "gain": (0, 3, -1),
    }[kinds[place - 1]]


def test_numbers_that_memory_could_hold_as_bytes_alone_are_refused() -> None:
    """Fewer than 2^63 numbers of four bytes each, which are more than 2^63 bytes."""
    k, n = 48, 2**57
    one, bytes_ = np.ones((1, k), np.float32), np.zeros((1, k), np.int8)
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("q35_calibrate_minmax", (one, k, n, 16, one, one)),
        ("q35_calibrate_symmetric", (one, k, n, 16, one, one)),
        ("q35_quantize", (one, k, n, 16, 2, one, one, bytes_)),
        ("q35_dequantize", (bytes_, k, n, 16, 2, one, one, one)),
        ("q35_quantize_activations", (one, n, k, one, bytes_)),
        ("q35_matmul", (bytes_, bytes_.view(np.uint8), 16, k, n // 2, 1, 16, 2, one, one, None, None, None)),
    ]
    with using() as native:
        for name, arguments in calls:
            assert native.library.call(name, *arguments) == BAD_ARGUMENT, name


def test_as_many_bytes_as_there_can_be_are_not_refused_for_their_number() -> None:
    """Nobody has so many; but the first of them, which is no number, is what is wrong with them then."""
    n, bad, one, q = 2**61 - 1, np.full((1, 1), np.nan, np.float32), np.ones((1, 1), np.float32), np.zeros(1, np.int8)
    with using() as native:
        assert native.library.call("q35_calibrate_minmax", bad, 1, n, 0, one.copy(), one.copy()) == NOT_FINITE
        assert native.library.call("q35_quantize", one, 1, n, 0, 2, bad, one, q) == NOT_FINITE


SIZES_OF_NO_PRODUCT = [
    (1, 2**20, 2**44, 0),
    (2**44, 2**20, 1, 0),
    (2**32 + 1, 1, 2**32 + 1, 0),
    ((2**64 + 2) // 3 // 342, 48, 342, 16),
]
"""M, K, N and group size: too many weights, activations, outputs (in 64 bits 2^33 + 1), accumulators (in 64 bits 2)."""


@pytest.mark.parametrize("sizes", SIZES_OF_NO_PRODUCT, ids=str)
def test_a_product_with_one_array_too_large_is_refused(sizes: tuple[int, int, int, int]) -> None:
    *dimensions, group_size = sizes
    one, packed = np.ones((1, 1), np.float32), np.zeros((1, 1), np.uint8)
    a = Guarded(at_end=True).array(np.zeros((1, 1), np.int8))  # a second row of it would end the process
    with using() as native:
        options = (1, group_size, 2, one, one, None, None, None)
        assert native.library.call("q35_matmul", a, packed, *dimensions, *options) == BAD_ARGUMENT


def test_a_group_of_one_row_too_many_is_a_bad_argument() -> None:
    with using() as native:
        k = MAX_GROUP_ROWS + 1
        w, parameter = np.zeros((1, k), np.float32), np.ones((1, 1), np.float32)
        assert native.library.call("q35_calibrate_minmax", w, k, 1, 0, parameter, parameter) == BAD_ARGUMENT
        assert native.library.call("q35_calibrate_minmax", w, k - 1, 1, 0, parameter, parameter) == 0


BAD_NUMBERS: list[tuple[str, str, float, int]] = [
    *(("q35_quantize", name, bad, NOT_FINITE) for name in ("w", "scale", "offset") for bad in (np.nan, np.inf)),
    *(("q35_calibrate_minmax", "w", bad, NOT_FINITE) for bad in (np.nan, -np.nan, np.inf, -np.inf)),
    *(("q35_quantize_activations", "x", bad, NOT_FINITE) for bad in (np.nan, np.inf, -np.inf)),
    *(("q35_dequantize", name, bad, NOT_FINITE) for name in ("scale", "offset") for bad in (np.nan, np.inf)),
    *(("q35_matmul", name, bad, NOT_FINITE) for name in ("scale", "offset") for bad in (np.nan, np.inf, -np.inf)),
    *((f"q35_{name}", "scale", bad, BAD_ARGUMENT) for name in ("quantize", "dequantize", "matmul") for bad in (0, -1)),
    *((name, "q", bad, BAD_ARGUMENT) for name in ("q35_pack", "q35_dequantize") for bad in (8, -9, 127, -128)),
    *((name, "byte", 200, BAD_ARGUMENT) for name in ("q35_unpack", "q35_matmul")),
]  # fmt: skip
"""Function, argument, a number that it must not hold, and the status."""


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("name", "argument", "bad", "status"), BAD_NUMBERS)
def test_an_illegal_number_is_found_wherever_it_is(isa: str, name: str, argument: str, bad: float, status: int) -> None:
    """First, last, and in between; one test of a build whose least work is 1 runs this on three threads."""
    k, n, m, group_size = 144, 70, 3, 48
    right = problem(k, n, group_size, m)
    found = calls(k, n, group_size, m)
    call = next(c for c in found if c[0] == name and argument in c[1] and argument not in c[2])
    places = sorted({0, right[argument].size - 1, right[argument].size // 2, right[argument].size // 3})
    for threads, place in itertools.product((1, 3), places):
        passed = [right[a].copy() if isinstance(a, str) else a for a in call[1]]
        held = passed[call[1].index(argument)]
        assert isinstance(held, np.ndarray)
        held.reshape(-1)[place] = bad
        with using(isa, threads) as native:
            assert native.library.call(name, *passed) == status, place


@pytest.mark.parametrize("pairs", range(1, 8))
@pytest.mark.parametrize("isa", ISAS)
def test_every_padding_bit_must_be_clear(isa: str, pairs: int) -> None:
    k, a, one = 2 * pairs, np.zeros((1, 2 * pairs), np.int8), np.ones((1, 1), np.float32)
    with using(isa) as native:
        for bit in range(8):
            packed = np.zeros((1, pairs), np.uint8)
            packed[0, -1] = 1 << bit
            expected = BAD_ARGUMENT if bit >= 8 - pairs else 0
            assert native.library.call("q35_unpack", packed, k, 1, 1, np.empty((1, k), np.int8)) == expected
            sizes, out = (1, k, 1, 1, 0, 2), np.empty((1, 1), np.float32)
            assert native.library.call("q35_matmul", a, packed, *sizes, one, one, None, None, out) == expected


@pytest.mark.parametrize("isa", ISAS)
def test_the_smallest_illegal_code_is_refused_among_zeros(isa: str) -> None:
    """No other code sets a bit by which it would be found."""
    packed, one = np.zeros((1, 64), np.uint8), np.ones((1, 1), np.float32)
    packed[0, 40] = 128
    with using(isa) as native:
        assert native.library.call("q35_unpack", packed, 128, 1, 0, np.empty((1, 128), np.int8)) == BAD_ARGUMENT
        sizes, out = (1, 128, 1, 0, 0, 2), np.empty((1, 1), np.float32)
        a = np.zeros((1, 128), np.int8)
        assert native.library.call("q35_matmul", a, packed, *sizes, one, one, None, None, out) == BAD_ARGUMENT


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("name", "argument", "bad", "status"), BAD_NUMBERS)
def test_nothing_but_illegal_numbers_is_found(isa: str, name: str, argument: str, bad: float, status: int) -> None:
    """No legal one beside them has anybody look more closely."""
    for n, m in ((1, 1), (1, 3), (19, 1), (19, 3)):
        right = problem(48, n, 0, m)
        right[argument][...] = bad
        call = next(c for c in calls(48, n, 0, m) if c[0] == name and argument in c[1] and argument not in c[2])
        with using(isa) as native:
            found = native.library.call(name, *[right[a] if isinstance(a, str) else a for a in call[1]])
        assert found == status, (n, m)


@pytest.mark.parametrize("name", ["q35_quantize", "q35_dequantize", "q35_matmul"])
@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("isa", ISAS)
def test_parameters_may_be_the_largest_numbers(isa: str, m: int, name: str) -> None:
    largest = np.finfo(np.float32).max
    right = problem(48, 3, 0, m)
    right["scale"][...], right["offset"][...] = largest, -largest
    call = next(call for call in calls(48, 3, 0, m) if call[0] == name)
    with using(isa) as native:
        assert native.library.call(name, *[right[a] if isinstance(a, str) else a for a in call[1]]) == 0


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("isa", ISAS)
def test_weights_of_which_none_is_finite_are_refused(isa: str, bad: float) -> None:
    """A block without an ordinary weight, which would send all of it to exact arithmetic anyway."""
    w, one = np.full((1, 128), bad, np.float32), np.ones((1, 1), np.float32)
    with using(isa) as native:
        status = native.library.call("q35_quantize", w, 128, 1, 0, 2, one, one, np.empty((1, 128), np.int8))
    assert status == NOT_FINITE


@pytest.mark.parametrize("isa", ISAS)
def test_a_set_padding_bit_is_refused(isa: str) -> None:
    right = problem(13, 5, 0, 1)
    for column in (0, 2, 4):
        packed = right["dense"].copy()
        packed[column, -1] |= 0x80
        with using(isa) as native:
            assert native.library.call("q35_unpack", packed, 13, 5, 1, np.empty((5, 13), np.int8)) == BAD_ARGUMENT
            out = np.empty((1, 5), np.float32)
            parameter = (right["scale"], right["offset"])
            status = native.library.call(
                "q35_matmul", right["a"], packed, 1, 13, 5, 1, 0, 2, *parameter, None, None, out
            )
            assert status == BAD_ARGUMENT


ONE: NDArray[np.float32] = np.ones((1, 1), np.float32)
ZEROS: NDArray[np.int8] = np.zeros((2, 1), np.int8)

REFUSED: list[tuple[str, Callable[[Any], object]]] = [
    (r"^w: expected finite numbers, got nan at \[1, 0\]", lambda b: b.calibrate(bad_weights(), 0, "minmax")),
    (r"^w: expected finite numbers, got nan at \[1, 0\]", lambda b: b.quantize(bad_weights(), ONE, ONE, 0, 2)),
    (r"^scale: expected numbers > 0, got 0.0", lambda b: b.dequantize(ZEROS, 0 * ONE, ONE, 0, 2)),
    (r"^offset: expected finite", lambda b: b.dequantize(ZEROS, ONE, np.inf * ONE, 0, 2)),
    (r"^q\[1, 0\]: expected an integer from -4 to 3, got 4", lambda b: b.pack(ZEROS + np.int8(4), "dense")),
    (r"^packed\[0, 0\]: expected a code below 128", lambda b: b.unpack(np.full((1, 1), 255, np.uint8), 2, "byte")),
    (r"^x: expected finite numbers, got inf", lambda b: b.quantize_activations(np.inf * ONE)),
    (r"^a: expected shape", lambda b: b.matmul(ZEROS, np.zeros((1, 1), np.uint8), 2, "dense", 0, 2, ONE, ONE)),
]  # fmt: skip


def bad_weights() -> NDArray[np.float32]:
    """Return weights of which the second is no number."""
    return np.array([[1], [np.nan]], np.float32)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize(("message", "call"), REFUSED)
def test_what_is_refused_is_named_as_by_numpy(backend: str, message: str, call: Callable[[Any], object]) -> None:
    with pytest.raises(ValueError, match=message):
        call(get(backend))


@pytest.mark.parametrize("mode", [0x400, 0x800, 0xC00], ids=["down", "up", "toward zero"])
@pytest.mark.parametrize("isa", ISAS)
def test_the_callers_rounding_mode_neither_matters_nor_is_lost(isa: str, mode: int) -> None:
    """The modes of x86; elsewhere others, which fesetround refuses."""
    libm = ctypes.CDLL("libm.so.6")
    right = problem(300, 5, 48, 2)
    with using(isa, threads=2) as native:
        for name, arguments, outputs in calls(300, 5, 48, 2):
            held = {key: right[key].copy() for key in arguments if isinstance(key, str)}
            passed = [held[a] if isinstance(a, str) else a for a in arguments]
            assert libm.fesetround(mode) == 0
            try:
                status, left = native.library.call(name, *passed), libm.fegetround()
            finally:
                libm.fesetround(0)
            assert (status, left) == (0, mode)
            for output in outputs:
                assert held[output].tobytes() == right[output].tobytes(), (name, output)


def test_subnormal_numbers_survive_a_caller_that_flushes_them() -> None:
    """As torch.set_flush_denormal does, here by the register's image in the environment of x86-64."""
    environment = (ctypes.c_uint32 * 8)()
    libm = ctypes.CDLL("libm.so.6")
    libm.fegetenv(environment)
    before = list(environment)
    w = np.array([[2.0**-140], [2.0**-141]], np.float32)
    native, numpy = NativeBackend(), get("numpy")
    expected = numpy.calibrate(w, 0, "minmax")
    columns, scale, offset = np.ascontiguousarray(w.T), np.empty((1, 1), np.float32), np.empty((1, 1), np.float32)
    environment[7] |= 0x8040  # flush results, and take operands as zero
    libm.fesetenv(environment)
    try:
        status = native.library.call("q35_calibrate_minmax", columns, 2, 1, 0, scale, offset)
        after = (ctypes.c_uint32 * 8)()
        libm.fegetenv(after)
    finally:
        environment[:] = before
        libm.fesetenv(environment)
    assert status == 0
    assert after[7] & 0x8040 == 0x8040
    assert (scale.tobytes(), offset.tobytes()) == (expected[0].tobytes(), expected[1].tobytes())
