"""Inputs made of the seeds, the same for the same number: no coverage, but no tool is needed either.

Beside what any fuzzer does to bytes, numbers and words of JSON are replaced by such as readers stumble over.
"""

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

from tools.fuzz.target import LONGEST

NUMBERS: Final = (
    "0", "-1", "1", "2", "7", "15", "16", "17", "127", "128", "255", "65536", "2097151", "2097152", "2147483647",
    "4294967296", "9007199254740991", "9223372036854775807", "9223372036854775808", "18446744073709551615",
    "18446744073709551616", "-9223372036854775809", "1" + 40 * "0", 5000 * "9", "1e999", "-1e-999", "1.5", "-0", "00",
)  # fmt: skip
"""What numbers in a text become."""

WORDS: Final = (
    b"null", b"true", b"[]", b"{}", b'""', b"NaN", b"-Infinity", b'"\\ud800"', b'"\\u001b[2J\\n"', b'"nan"', b'"1/0"',
    b'"-inf"', b"[[]]", b'{"a":1}', b'"' + 3000 * b"x" + b'"', "\u2028\U0001f600".encode(), b"\x00", b"\xff",
    b"\xef\xbb\xbf",
)  # fmt: skip
"""What other words of a text become."""

INTEGERS: Final = tuple(
    (value % (1 << 8 * width)).to_bytes(width, "little")
    for width in (1, 2, 4, 8)
    for value in (0, 1, -1, 7, 8, 15, 16, 127, 128, 1 << 8 * width - 1, (1 << 8 * width - 1) - 1)
)
"""What bytes become that may be integers."""

NUMBER: Final = re.compile(rb"-?[0-9]+")
TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null|[0-9A-Fa-f?!-]+')

Random = random.Random
Change = Callable[[bytes, Random, Sequence[bytes]], bytes]


def _at(data: bytes, rng: Random) -> int:
    return rng.randrange(len(data) + 1)


def _flip(data: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    if not data:
        return b"\x01"
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _byte(data: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    at = _at(data, rng)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _integer(data: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    at, value = _at(data, rng) // 2 if rng.random() < 0.5 else _at(data, rng), rng.choice(INTEGERS)
    return data[:at] + value + data[at + len(value) :]


def _insert(data: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    at = _at(data, rng)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 8, 40))) + data[at:]


def _delete(data: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    at = _at(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 8, 100)) :]


def _cut(data: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    return data[: _at(data, rng)]


def _repeat(data: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    first, last = sorted((_at(data, rng), _at(data, rng)))
    return data[:last] + data[first:last] * rng.choice((1, 2, 30)) + data[last:]


def _nest(data: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    at, opening = _at(data, rng), rng.choice((b"[", b'{"a":', b'{"array":', b'{"list":['))
    return data[:at] + opening * rng.choice((3, 200, 4000)) + data[at:]


def _splice(data: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    other = rng.choice(seeds)
    return data[: _at(data, rng)] + other[_at(other, rng) :]


def _replace(data: bytes, rng: Random, found: Sequence[re.Match[bytes]], value: bytes) -> bytes:
    if not found:
        return data + value
    chosen = rng.choice(found)
    return data[: chosen.start()] + value + data[chosen.end() :]


def _number(data: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    return _replace(data, rng, list(NUMBER.finditer(data)), rng.choice(NUMBERS).encode())


def _near(data: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Change a number by a little: sizes that do not fit each other are nearly right."""
    found = [match for match in NUMBER.finditer(data) if len(match[0]) < 20]
    if not found:
        return data
    chosen = rng.choice(found)
    value = int(chosen[0]) + rng.choice((-16, -8, -2, -1, 1, 2, 8, 16))
    return data[: chosen.start()] + str(value).encode() + data[chosen.end() :]


def _word(data: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    return _replace(data, rng, list(TOKEN.finditer(data)), rng.choice(WORDS))


def _swap(data: bytes, rng: Random, seeds: Sequence[bytes]) -> bytes:
    """Put one word of the text, or of another seed, in another's place."""
    source = rng.choice(seeds) if rng.random() < 0.3 else data
    words = TOKEN.findall(source)
    return _replace(data, rng, list(TOKEN.finditer(data)), rng.choice(words)) if words else data


CHANGES: Final[tuple[Change, ...]] = (
    _flip, _byte, _integer, _insert, _delete, _cut, _repeat, _nest, _splice, _number, _number, _near, _near, _word,
    _word, _swap, _swap,
)  # fmt: skip
"""What may be done to an input; some twice as often as others."""


def changed(data: bytes, rng: Random, seeds: Sequence[bytes], longest: int = LONGEST) -> bytes:
    """Return an input with one to four changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        data = rng.choice(CHANGES)(data, rng, seeds)
    return data[:longest]


def nth_input(seeds: Sequence[bytes], seed: int, index: int) -> bytes:
    """Return an input by its number: first the seeds themselves, then as many changed ones as one likes.

    >>> nth_input([b"one", b"two"], 1, 1), nth_input([b"one"], 1, 9) == nth_input([b"one"], 1, 9)
    (b'two', True)
    """
    if index < len(seeds):
        return seeds[index]
    rng = Random(f"{seed}/{index}")
    return changed(rng.choice(seeds), rng, seeds)
