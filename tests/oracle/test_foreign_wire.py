"""Messages between the oracle and a kernel's process, byte for byte, and what is none."""

import base64
import io
import json
import struct
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.foreign import wire
from q35ref.oracle.foreign.wire import Foreign, decode, encode, plain, receive, send, told


def framed(text: str) -> io.BytesIO:
    """Return a stream that holds a message of this text."""
    return io.BytesIO(struct.pack("<Q", len(text)) + text.encode())


def test_a_message_is_its_length_and_json() -> None:
    """The length in eight bytes, the lowest first; and it comes back."""
    stream = io.BytesIO()
    send(stream, {"k": 2})
    text = b'{"map": {"k": 2}}'
    assert stream.getvalue() == bytes([len(text), 0, 0, 0, 0, 0, 0, 0]) + text
    stream.seek(0)
    assert receive(stream) == {"k": 2}
    with pytest.raises(EOFError):
        receive(stream)


def test_what_is_sent_is_not_kept_back() -> None:
    under = io.BytesIO()
    stream = io.BufferedWriter(under)
    send(stream, {})
    assert len(under.getvalue()) > 8


@pytest.mark.parametrize("cut", [0, 7, 8, 9, 24])
def test_a_message_that_is_cut_is_the_end(cut: int) -> None:
    """Also one of eight bytes of a length alone."""
    with pytest.raises(EOFError):
        receive(io.BytesIO(framed('{"map": {"k": 2}}').getvalue()[:cut]))


class Announced:
    """Announces a message of a length, and gives none of it."""

    def __init__(self, length: int) -> None:
        self.parts = [struct.pack("<Q", length), b""]
        self.wanted: list[int] = []

    def read(self, size: int, /) -> bytes:
        self.wanted.append(size)
        return self.parts.pop(0)


def test_a_message_has_up_to_four_gibibytes() -> None:
    """One byte more is not even read."""
    longest = Announced(2**32)
    with pytest.raises(EOFError):
        receive(longest)
    assert longest.wanted == [8, 2**32]
    longer = Announced(2**32 + 1)
    with pytest.raises(ValueError, match=r"^message: expected at most 4294967296 bytes, got 4294967297$"):
        receive(longer)
    assert longer.wanted == [8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting"),
        ('{"array": ["float16", [1], "AAA="]}', "'float16'"),
        ('{"array": 5}', "cannot unpack"),
        ('{"map": 5}', "'int' object has no attribute 'items'"),
        ('{"array": ["int8", [Infinity], "AA=="]}', "cannot convert float infinity to integer"),
        (20000 * "[", "recursion"),
        ('{"array": ["int8", [1], "A?A=="]}', "base64"),
        ('{"array": ["int8", [3], "AA=="]}', "cannot reshape"),
        ('{"array": ["int32", [1], "AA=="]}', "multiple of element size"),
        ("[]", "expected a value"),
        ("{}", "expected a value"),
        ('{"list": [], "tuple": []}', "expected a value"),
        ("1.5", "expected a value"),
        ('{"aaa": ["int8", [1], "AA=="]}', "unknown kind 'aaa'"),
        ('{"gap": "name"}', "unknown kind 'gap'"),
        ('{"zeal": {"a": 1}}', "unknown kind 'zeal'"),
        ("7", "expected a dict"),
        ('{"list": []}', "expected a dict"),
    ],
)
def test_what_is_no_message_is_told_on_one_short_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^message: (?!message)") as caught:
        receive(framed(text))
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["i1", "u1", "i4", "f4", "i8", "f8"])
def test_arrays_travel_with_their_bytes(kind: str) -> None:
    array = np.arange(6).astype(kind).reshape(2, 3)
    made = encode(array)
    assert made == {"array": [array.dtype.name, [2, 3], base64.b64encode(array.tobytes()).decode()]}
    found = decode(json.loads(json.dumps(made)))
    assert (found.dtype, found.tolist()) == (array.dtype, array.tolist())
    assert found.flags.writeable


def test_arrays_that_lie_otherwise_travel_in_the_order_of_their_indices() -> None:
    array = np.arange(6, dtype=np.int8).reshape(2, 3).T
    assert decode(encode(array)).tolist() == [[0, 3], [1, 4], [2, 5]]


PLAIN: list[Any] = [None, True, False, 0, -5, "text", 2**64 - 1, 1 - 2**64]


@pytest.mark.parametrize("value", PLAIN)
def test_numbers_and_text_travel_as_they_are(value: Any) -> None:
    assert encode(value) is value or encode(value) == value
    assert decode(value) == value
    assert type(decode(encode(value))) is type(value)


def test_numpys_integers_travel_as_numbers() -> None:
    assert encode(np.int8(-3)) == -3
    assert type(encode(np.uint64(2**64 - 1))) is int


def test_lists_tuples_and_dicts_stay_what_they_are() -> None:
    value = {"a": (1, [2, (None,)]), "b": {}}
    made = encode(value)
    assert made == {"map": {"a": {"tuple": [1, {"list": [2, {"tuple": [None]}]}]}, "b": {"map": {}}}}
    assert decode(made) == value
    assert encode({5: 1}) == {"map": {"5": 1}}


class Special(np.ndarray[Any, Any]):
    """No plain array."""


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (2**64, "int"),
        (-(2**64), "int"),
        (2**64 + 1, "int"),
        (1.5, "float"),
        (np.float32(1), "float32"),
        (np.zeros((2, 3), ">i4"), "ndarray >i4[2, 3]"),
        (np.zeros(2, "f2"), "ndarray float16[2]"),
        (np.zeros(2, "i1").view(Special), "Special int8[2]"),
        (np.broadcast_to(np.int8(0), (2**30 + 1,)), "ndarray int8[1073741825]"),
        (Foreign("Odd"), "Odd"),
        ({1, 2}, "set"),
    ],
)
def test_of_what_else_there_is_the_name_travels(value: Any, name: str) -> None:
    assert encode(value) == {"foreign": name}
    found = decode({"foreign": name})
    assert type(found) is Foreign
    assert found.type_name == name


def test_arrays_travel_up_to_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a gibibyte, which is shown in small."""
    assert wire.MOST_ARRAY == 2**30
    monkeypatch.setattr(wire, "MOST_ARRAY", 8)
    assert "array" in encode(np.zeros(8, "i1"))
    assert encode(np.zeros(9, "i1")) == {"foreign": "ndarray int8[9]"}


def test_what_a_kernel_says_is_one_line_of_three_hundred_characters() -> None:
    assert plain(300 * "x") == 300 * "x"
    assert plain(301 * "x") == 300 * "x" + "..."
    assert plain("a\tb\x1b[2J\u202e c") == "a\ufffdb\ufffd[2J\ufffd c"


def test_an_exception_is_told_by_its_type_and_text() -> None:
    class Mute(Exception):
        """Has no text."""

        def __str__(self) -> str:
            raise RuntimeError

    assert told(ValueError("no\nway")) == "ValueError: no\ufffdway"
    assert told(Mute()) == "Mute: its text cannot be had"
