"""Messages between the oracle and a kernel's process: a length, then JSON; nothing that could run code when read."""

import base64
import json
import struct
from typing import Any, Final, Protocol

import numpy as np

LENGTH: Final = struct.Struct("<Q")

MOST: Final = 1 << 32
"""Bytes of a message."""

DTYPES: Final = {dtype.name: dtype for dtype in map(np.dtype, ("i1", "u1", "i4", "f4", "i8", "f8"))}
"""What arrays may hold on their way."""


class Reader(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return ``size`` bytes, fewer at the end."""


MOST_ARRAY: Final = 1 << 30
"""Bytes of an array."""

MOST_TEXT: Final = 300
"""Characters of what a kernel says."""


def plain(text: str) -> str:
    """Return what a kernel says, cut, on one line, without characters that steer a terminal.

    >>> plain("two\\nlines" + 400 * "!")[:12]
    'two\ufffdlines!!!'
    """
    cut = text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "..."
    return "".join(c if c.isprintable() else "\ufffd" for c in cut)


def told(error: BaseException) -> str:
    """Return an exception as text, whatever it does when it is asked for it."""
    try:
        said = str(error)
    except Exception:
        said = "its text cannot be had"
    return plain(f"{type(error).__name__}: {said}")


class Foreign:
    """Stands for a result that is no array, of which only the type's name is known."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name


def encode(value: Any) -> Any:
    """Return JSON for a number, text, ``None``, an array, or a list, tuple or dict of these; else for a type's name."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer) and abs(int(value)) < 1 << 64:
        return int(value)
    if isinstance(value, Foreign):
        return {"foreign": value.type_name}
    small = isinstance(value, np.ndarray) and value.nbytes <= MOST_ARRAY
    if type(value) is np.ndarray and small and value.dtype.isnative and value.dtype.name in DTYPES:
        data = base64.b64encode(value.tobytes()).decode()
        return {"array": [value.dtype.name, list(value.shape), data]}
    if isinstance(value, dict):
        return {"map": {str(key): encode(part) for key, part in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [encode(part) for part in value]}
    if isinstance(value, list):
        return {"list": [encode(part) for part in value]}
    described = f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else ""
    return {"foreign": f"{type(value).__name__} {described}".strip()}


def decode(value: Any) -> Any:
    """Return what :func:`encode` was given. Errors: ValueError for anything else."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError("message: expected a value")
    (kind, content), *_ = value.items()
    if kind == "array":
        name, shape, data = content
        array = np.frombuffer(base64.b64decode(data, validate=True), DTYPES[name]).reshape([int(n) for n in shape])
        return array.copy()
    if kind == "map":
        return {key: decode(part) for key, part in content.items()}
    if kind in ("tuple", "list"):
        parts = [decode(part) for part in content]
        return tuple(parts) if kind == "tuple" else parts
    if kind == "foreign":
        return Foreign(str(content))
    raise ValueError(f"message: unknown kind {kind!r}")


class Writer(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes, /) -> Any:
        """Write all of it."""

    def flush(self) -> Any:
        """Keep nothing back."""


def send(stream: Writer, message: dict[str, Any]) -> None:
    """Write a message. Errors: OSError."""
    text = json.dumps(encode(message)).encode()
    stream.write(LENGTH.pack(len(text)) + text)
    stream.flush()


def receive(stream: Reader) -> dict[str, Any]:
    """Read a message. Errors: EOFError at the end, ValueError for what is none."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    if length > MOST:
        raise ValueError(f"message: expected at most {MOST} bytes, got {length}")
    text = stream.read(length)
    if len(text) < length:
        raise EOFError
    try:
        message = decode(json.loads(text))
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(plain(f"message: {str(error).removeprefix('message: ')}")) from error
    if not isinstance(message, dict):
        raise ValueError("message: expected a dict")
    return message
