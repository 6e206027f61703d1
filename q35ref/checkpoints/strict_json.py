"""JSON as its standard means it: no duplicate keys, no NaN, no surprises from hostile depth.

What is read can be written again: every number is finite, every text has an encoding.
"""

import json
import math
import re
from typing import Final, NoReturn

SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
"""How an escape begins that is half of a character, or something that looks like one."""


def loads(text: str) -> object:
    """Parse JSON.

    Errors: ValueError, also for duplicate keys, NaN, infinities, numbers that no float64 holds, halves of surrogate
    pairs, and excessive depth.

    >>> loads('{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    try:
        value: object = json.loads(text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse)
        if SURROGATE.search(text):  # seldom: only then is all text looked at
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"not Unicode: half of a surrogate pair, {error.object[error.start]!a}") from None
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"duplicate key {key!r}")
        found[key] = value
    return found


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"expected a number that float64 holds, got {number[:40]}")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"not JSON: {constant}")
