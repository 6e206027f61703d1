"""JSON schemas as tables in Markdown: every property and definition, whatever a schema of ours uses of the language."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

KNOWN: Final = frozenset(
    {
        *("$ref", "const", "enum", "anyOf", "type", "description", "title", "pattern", "minLength", "uniqueItems"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "items", "prefixItems", "minItems", "maxItems"),
        *("properties", "required", "additionalProperties", "propertyNames", "minProperties"),
    }
)
"""What :func:`form` can say, or may leave out. A schema with anything else is refused: a page must not be silent."""


def form(schema: Schema) -> str:
    """Return what a value must be, in a few words. Errors: ValueError for a part of the language that is not known.

    >>> form({"type": "integer", "minimum": 0, "maximum": 127}), form({"$ref": "#/$defs/code"})
    ('integer, 0 to 127', '`code`')
    >>> form({"anyOf": [{"const": 1}, {"type": "array", "items": {"$ref": "#/$defs/flag"}}]})
    '`1` or array of `flag`'
    """
    unknown = sorted(schema.keys() - KNOWN)
    if unknown:
        raise ValueError(f"schema: cannot describe {', '.join(unknown)}")
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(form(part) for part in schema["anyOf"])
    kind = schema.get("type", "any value")
    if kind == "object":
        return _object(schema)
    if kind == "array":
        return _array(schema)
    limits = f", {found}" if (found := _limits(schema)) else ""
    pattern = f" `{schema['pattern']}`" if "pattern" in schema else ""
    return f"{kind}{pattern}{limits}"


def _limits(schema: Schema) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    low_name = "above " if "exclusiveMinimum" in schema else ""
    high_name = "below " if "exclusiveMaximum" in schema else ""
    if high is None:
        return "" if low is None else f"{low_name}{low}" if low_name else f"{low} or more"
    if low is None:
        return f"{high_name}{high}" if high_name else f"{high} or less"
    return f"{low_name}{low} and {high_name}{high}" if low_name or high_name else f"{low} to {high}"


def _object(schema: Schema) -> str:
    inner = schema.get("additionalProperties")
    if isinstance(inner, Mapping):
        return f"object: for each {form(schema.get('propertyNames', {}))}, {form(inner)}"
    required = schema.get("required", schema.get("properties", {}))
    parts = [
        f"`{name}`{'' if name in required else ' (may lack)'}: {form(part)}"
        for name, part in schema.get("properties", {}).items()
    ]
    return f"object of {'; '.join(parts)}" if parts else "object"


def _array(schema: Schema) -> str:
    if "prefixItems" in schema:
        return f"array of {', then '.join(form(part) for part in schema['prefixItems'])}"
    return f"array of {form(schema['items'])}" if isinstance(schema.get("items"), Mapping) else "array"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown; bars in cells are escaped.

    >>> print(table(["a", "b"], [["1", "x|y"]]))
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" if at != 1 else f"|{'|'.join(line)}|" for at, line in enumerate(lines))


def described(schema: Schema) -> str:
    """Return a schema as tables: what a file holds, how numbers are written, and what each operation's cases hold."""
    parts = [str(schema.get("description", "")), _properties(schema)]
    definitions: Mapping[str, Schema] = schema.get("$defs", {})
    cases = {
        name: part for name, part in definitions.items() if {"inputs", "expected"} <= part.get("properties", {}).keys()
    }
    rest = [[f"`{name}`", form(part), meaning(part)] for name, part in definitions.items() if name not in cases]
    if rest:
        parts.append(table(["form", "is", "meaning"], rest))
    if cases:
        rows = [
            [f"`{name}`", *(form(part["properties"][key]) for key in ("inputs", "expected"))]
            for name, part in cases.items()
        ]
        parts.append(table(["operation", "`inputs`", "`expected`"], rows))
    return "\n\n".join(part for part in parts if part) + "\n"


def _properties(schema: Schema) -> str:
    rows = [[f"`{name}`", form(part), meaning(part)] for name, part in schema["properties"].items()]
    return table(["in a file", "is", "meaning"], rows)


def meaning(schema: Schema) -> str:
    """Return a schema's own description, or nothing."""
    return str(schema.get("description", ""))
