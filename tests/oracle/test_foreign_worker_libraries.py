"""Shared libraries in a kernel's own process, run in this one with objects that stand in for libraries."""

import ctypes
import os
from collections.abc import Callable
from typing import Any

import pytest

from q35ref.oracle.foreign.memory import Rooms
from q35ref.oracle.foreign.wire import encode
from q35ref.oracle.foreign.worker import CHost
from tests.oracle.foreign_kernels import Library, Settings, asked, page


@pytest.fixture(autouse=True)
def on_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a change is called differs elsewhere."""
    monkeypatch.setattr("q35ref.oracle.foreign.environment.X86", True)


Load = Callable[..., tuple[CHost, Any]]


@pytest.fixture(name="load")
def loaded(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that loads a library of some functions."""

    def load(abi: str = "q35", **functions: Callable[..., Any]) -> tuple[CHost, Any]:
        library = Library(**functions)
        with monkeypatch.context() as context:
            context.setattr(ctypes, "CDLL", {"k.so": library}.__getitem__)
            return CHost("k.so", abi), library

    return load


def ones(packed: Any, k: Any, n: Any, layout: Any, q: Any) -> int:
    """Unpack two ones, as the only problem holds."""
    assert ctypes.string_at(packed.value, 1) == b"\x09"
    ctypes.memmove(q.value, b"\x01\x01", 2)
    return 0


def test_a_library_offers_what_it_has(load: Load) -> None:
    host, _ = load(q35_unpack=ones, q35_calibrate_symmetric=ones)
    assert host.offer() == {
        "operations": ["unpack", "calibrate"],
        "functions": ["q35_unpack", "q35_calibrate_symmetric"],
        "correctly_rounded": False,
        "threads": False,
    }
    assert load(q35_set_num_threads=ones)[0].offer()["threads"] is True
    assert load("groq-mvp", matmul_3p5bit_awq=ones)[0].offer()["operations"] == ["matmul"]


def test_a_library_at_a_path_that_is_not_text_has_what_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unnamed:
        """Says what is missing in bytes that are no text."""

        def __getattr__(self, name: str) -> Any:
            if name == "q35_pack":
                return ones
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no text")

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Unnamed())
    assert CHost("k.so", "q35").functions == ["q35_pack"]


def test_a_function_is_called_with_addresses_and_numbers_of_their_widths(load: Load) -> None:
    host, library = load(q35_unpack=ones)
    answer = host.call(asked("unpack"), Rooms(), Settings())
    assert answer["result"].tolist() == [[1], [1]]
    assert {name: part for name, part in answer.items() if name != "result"} == {
        "raised": None, "faults": [], "inputs": ["packed"], "outputs": ["q"], "optional": []
    }  # fmt: skip
    types = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int32, ctypes.c_void_p]
    assert [type(part) for part in library.q35_unpack.passed] == types
    assert [part.value for part in library.q35_unpack.passed[1:4]] == [2, 1, 0]
    assert library.q35_unpack.restype is ctypes.c_int


def test_a_status_is_a_refusal(load: Load) -> None:
    host, _ = load(q35_unpack=lambda *_: 2)
    answer = host.call(asked("unpack"), Rooms(), Settings())
    assert (answer["result"], answer["raised"]) == (None, "status 2")


def test_a_function_that_returns_nothing_has_no_status(load: Load) -> None:
    host, library = load(
        "groq-mvp", matmul_3p5bit_awq=lambda *passed: ctypes.memmove(passed[4].value, b"\x02\0\0\0", 4) and None
    )
    answer = host.call(asked("matmul"), Rooms(), Settings())
    assert library.matmul_3p5bit_awq.restype is None
    assert answer["raised"] is None
    acc, *rest = answer["result"]
    assert (type(answer["result"]), acc.tolist(), rest) == (tuple, [[[2]]], [None, None])


def test_what_lies_in_the_outputs_before_is_asked_for(load: Load) -> None:
    """Bytes that are not written stay; the result is the kernel's no more when the next call comes."""
    host, _ = load(q35_unpack=lambda *_: 0)
    rooms = Rooms()
    first = host.call(asked("unpack", fill=0x3C), rooms, Settings())["result"]
    assert first.tolist() == [[0x3C], [0x3C]]
    host.call(asked("unpack", fill=0x11), rooms, Settings())
    assert first.tolist() == [[0x3C], [0x3C]]


def test_floats_are_filled_by_bytes_too(load: Load) -> None:
    host, _ = load(q35_dequantize=lambda *_: 0)
    answer = host.call(asked("dequantize", fill=0x3C), Rooms(), Settings())
    assert answer["result"].tobytes() == 8 * b"\x3c"


def test_results_that_are_not_asked_for_are_null(load: Load) -> None:
    host, library = load(q35_matmul=lambda *_: 0)
    answer = host.call(asked("matmul", left_out=("acc", "out")), Rooms(), Settings())
    passed = library.q35_matmul.passed
    assert [part is None for part in passed] == 10 * [False] + [True, False, True]
    acc, row_sum, out = answer["result"]
    assert (acc, row_sum.shape, out) == (None, (1, 1), None)
    assert answer["outputs"] == answer["optional"] == ["acc", "row_sum", "out"]
    assert answer["inputs"] == ["a", "packed", "scale", "offset"]
    assert answer["faults"] == []


def test_threads_are_set_where_a_library_lets_us(load: Load) -> None:
    host, library = load(q35_unpack=ones, q35_set_num_threads=lambda _: None)
    host.call(asked("unpack", threads=8), Rooms(), Settings())
    (threads,) = library.q35_set_num_threads.passed
    assert (type(threads), threads.value) == (ctypes.c_int32, 8)


def test_arrays_lie_where_the_request_says(load: Load) -> None:
    """Each by itself, or all."""
    host, library = load(q35_unpack=ones)
    rooms = Rooms()
    places = []
    for conditions in ({}, {"side": "before"}, {"sides": {"q": "after"}}, {"side": "after", "sides": {"q": ""}}):
        host.call(asked("unpack", **conditions), rooms, Settings())
        packed, *_, q = library.q35_unpack.passed
        places.append((page(packed.value), page(q.value)))
    size = os.sysconf("SC_PAGESIZE")
    assert places[0] == places[1] == (0, 0)
    assert places[2:] == [(0, size - 2), (size - 1, 0)]


def test_what_a_function_does_beside_its_work_is_told(load: Load) -> None:
    """Outputs first, then inputs, then the unit's settings, which are restored."""
    settings = Settings()

    def mischief(packed: Any, k: Any, n: Any, layout: Any, q: Any) -> int:
        for address in (packed.value, packed.value - 3, q.value + 2):
            ctypes.memset(address, 7, 1)
        settings.now = (0x37F, 0xFFFF, 0x9F80)
        return 0

    host, _ = load(q35_unpack=mischief)
    faults = host.call(asked("unpack"), Rooms(), settings)["faults"]
    assert faults == [
        [
            "out-of-bounds write",
            "q",
            "wrote 1 bytes from 0 to 0 past its end",
            "no byte outside its outputs is written",
        ],
        [
            "out-of-bounds write",
            "packed",
            "wrote 1 bytes up to 3 before its start",
            "no byte outside its outputs is written",
        ],
        ["modified input", "packed", "changed by the call", "left as it was"],
        ["flush-to-zero", "floating-point environment", "flush-to-zero is switched on", "left as it was"],
    ]
    assert settings.restored == 1


def test_inputs_are_sealed_as_the_request_says(load: Load) -> None:
    """What is sealed cannot be written, the rest can."""
    sealed: list[str] = []

    class Sealing(Rooms):
        def seal(self, name: str) -> None:
            sealed.append(name)
            super().seal(name)

    host, _ = load(q35_unpack=ones)
    host.call(asked("unpack", sealed=("packed",)), Sealing(), Settings())
    assert sealed == ["packed"]


def test_results_are_what_a_message_can_hold(load: Load) -> None:
    """Of a kernel in C always: no name of a type stands for them."""
    host, _ = load(q35_matmul=lambda *_: 0, q35_unpack=ones)
    for operation in ("matmul", "unpack"):
        assert "foreign" not in str(encode(host.call(asked(operation), Rooms(), Settings())["result"]))
