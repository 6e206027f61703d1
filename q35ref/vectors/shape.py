"""Whether a JSON document has the form that a published schema describes, said with the place where it has not.

Only the words of JSON Schema that the project's schemas use; any other word is an error, never passed over.
"""

import re
from collections.abc import Callable
from typing import Any, Final


class FormError(ValueError):
    """A document has not the published form; the message begins with the place, as a path of keys and indices."""


KINDS: Final[dict[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
}
"""What each type is in Python."""

SILENT: Final = {"$schema", "$defs", "title", "description", "if", "then"}
"""Words that say nothing about the value by themselves."""


def require_form(value: Any, schema: Any, root: Any = None, place: str = "document") -> None:
    """Raise :class:`FormError` unless a value has the form that a schema describes.

    >>> require_form({"k": 0}, {"properties": {"k": {"minimum": 1}}})
    Traceback (most recent call last):
    q35ref.vectors.shape.FormError: document.k: expected minimum 1, got 0
    """
    root = schema if root is None else root
    if schema is False:
        raise FormError(f"{place}: not allowed")
    if schema is True:
        return
    if "if" in schema and _has_form(value, schema["if"], root, place):
        require_form(value, schema["then"], root, place)
    for word, wanted in schema.items():
        if word in SILENT:
            continue
        if word in SIMPLE:
            kind, holds = SIMPLE[word]
            if (kind is None or KINDS[kind](value)) and not holds(value, wanted):
                raise FormError(f"{place}: expected {word} {_brief(wanted)}, got {_brief(value)}")
        elif word in NESTED:
            NESTED[word](value, wanted, schema, root, place)
        else:
            raise ValueError(f"schema: unknown word {word!r} at {place}")


def _has_form(value: Any, schema: Any, root: Any, place: str) -> bool:
    try:
        require_form(value, schema, root, place)
    except FormError:
        return False
    return True


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is(value: Any, wanted: Any) -> bool:
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


def _expression(pattern: str) -> str:
    """Return a schema's pattern as Python's, which takes little memory however long the text is.

    A group that repeats up to the end needs none of the places that it could go back to: before the end is not the end.

    >>> _expression("^(ab)*$")
    '^(ab)*+\\\\Z'
    """
    return pattern.replace("$", r"\Z").replace(r")*\Z", r")*+\Z")


SIMPLE: Final[dict[str, tuple[str | None, Callable[[Any, Any], bool]]]] = {
    "type": (None, lambda value, wanted: KINDS[wanted](value)),
    "const": (None, _is),
    "enum": (None, lambda value, wanted: any(_is(value, one) for one in wanted)),
    "minimum": ("integer", lambda value, wanted: value >= wanted),
    "maximum": ("integer", lambda value, wanted: value <= wanted),
    "exclusiveMinimum": ("integer", lambda value, wanted: value > wanted),
    "exclusiveMaximum": ("integer", lambda value, wanted: value < wanted),
    "minLength": ("string", lambda value, wanted: len(value) >= wanted),
    "pattern": ("string", lambda value, wanted: re.search(_expression(wanted), value) is not None),
    "minItems": ("array", lambda value, wanted: len(value) >= wanted),
    "maxItems": ("array", lambda value, wanted: len(value) <= wanted),
    "uniqueItems": ("array", lambda value, wanted: not wanted or len({repr(item) for item in value}) == len(value)),
    "minProperties": ("object", lambda value, wanted: len(value) >= wanted),
    "required": ("object", lambda value, wanted: all(name in value for name in wanted)),
}
"""Words about a value alone: the type that they speak of, and when they hold."""


def _reference(value: Any, wanted: Any, schema: Any, root: Any, place: str) -> None:
    found = root
    for part in wanted.removeprefix("#/").split("/"):
        found = found[part]
    require_form(value, found, root, place)


def _all_of(value: Any, wanted: Any, schema: Any, root: Any, place: str) -> None:
    for one in wanted:
        require_form(value, one, root, place)


def _any_of(value: Any, wanted: Any, schema: Any, root: Any, place: str) -> None:
    if not any(_has_form(value, one, root, place) for one in wanted):
        raise FormError(f"{place}: expected one of {len(wanted)} forms, got {_brief(value)}")


def _properties(value: Any, wanted: Any, schema: Any, root: Any, place: str) -> None:
    if isinstance(value, dict):
        for name, one in wanted.items():
            if name in value:
                require_form(value[name], one, root, f"{place}.{name}")


def _additional(value: Any, wanted: Any, schema: Any, root: Any, place: str) -> None:
    if isinstance(value, dict):
        for name in value:
            if name not in schema.get("properties", {}):
                require_form(value[name], wanted, root, f"{place}.{name}")


def _names(value: Any, wanted: Any, schema: Any, root: Any, place: str) -> None:
    if isinstance(value, dict):
        for name in value:
            require_form(name, wanted, root, f"{place}, key {name!r}")


def _prefix_items(value: Any, wanted: Any, schema: Any, root: Any, place: str) -> None:
    if isinstance(value, list):
        for index, (item, one) in enumerate(zip(value, wanted, strict=False)):
            require_form(item, one, root, f"{place}[{index}]")


def _items(value: Any, wanted: Any, schema: Any, root: Any, place: str) -> None:
    if isinstance(value, list):
        first = len(schema.get("prefixItems", ()))
        for index, item in enumerate(value[first:], first):
            require_form(item, wanted, root, f"{place}[{index}]")


NESTED: Final[dict[str, Callable[[Any, Any, Any, Any, str], None]]] = {
    "$ref": _reference,
    "allOf": _all_of,
    "anyOf": _any_of,
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "prefixItems": _prefix_items,
    "items": _items,
}
"""Words that hold other schemas."""
