"""JSON as its standard means it: no duplicate keys, no NaN, no surprises from hostile depth."""

import json
from typing import NoReturn


def loads(text: str) -> object:
    """Parse JSON. Errors: ValueError, also for duplicate keys, NaN, infinities and excessive depth.

    >>> loads('{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    try:
        value: object = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
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


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"not JSON: {constant}")
