"""From an operation's definition, faulty variants and inputs to its vector file.

The expected value of a case comes from a definition that is written here a second time, by another method than
the reference's; the two must agree, or nothing is written. A case bears a flag only if the faulty variant that
the flag stands for has been run on it and went wrong, and each flag must be borne by some case.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from q35ref.vectors.encoding import Json, encode_fields
from q35ref.vectors.files import SCHEMA_VERSION
from q35ref.vectors.replaying import answer

Inputs = dict[str, Any]
"""A case's inputs by name: int, float (of a float32), Fraction, bytes, str, or lists of them."""

Fields = dict[str, Any]
"""A case's expected fields, likewise."""

SEED = 1
"""Seed of all random inputs."""


class RefusedError(Exception):
    """The definition does not allow the input; the message is the argument's name."""


class DisagreementError(Exception):
    """The definition and the reference differ, or a flag is borne by no case."""


class Flag(NamedTuple):
    """A bug class."""

    description: str
    """What the faulty implementation does."""
    effect: str
    """What comes of it."""
    faulty: Callable[..., Fields]
    """The faulty implementation; it takes a case's inputs by name."""
    lenient: bool = False
    """Whether the bug is to accept what must be refused. All others are taken to refuse what they should."""


class Operation(NamedTuple):
    """What a vector file is made from."""

    name: str
    rule: str
    define: Callable[..., Fields]
    flags: dict[str, Flag]
    inputs: Callable[[], Iterator[tuple[str, Inputs]]]


def document(operation: Operation) -> dict[str, Any]:
    """Return an operation's vector file as a JSON document."""
    numbers: Counter[str] = Counter()
    seen: set[str] = set()
    cases = []
    for category, inputs in operation.inputs():
        written = encode_fields(inputs)
        key = json.dumps(written)
        if key in seen:
            continue
        seen.add(key)
        expected = _outcome(operation.define, inputs)
        found = answer(operation.name, written)
        if found != expected:
            raise DisagreementError(
                f"{operation.name} of {written}: the definition says {expected}, the reference {found}"
            )
        numbers[category] += 1
        cases.append(
            {
                "id": f"{operation.name}/{category}/{numbers[category]}",
                "flags": [name for name, flag in operation.flags.items() if _goes_wrong(flag, inputs, expected)],
                "inputs": written,
                "expected": expected,
            }
        )
    unused = [name for name in operation.flags if not any(name in case["flags"] for case in cases)]
    if unused:
        raise DisagreementError(f"{operation.name}: no case exposes {', '.join(unused)}")
    return {
        "schema_version": SCHEMA_VERSION,
        "generator": "python -m tools.make_vectors",
        "seed": SEED,
        "operation": operation.name,
        "rule": operation.rule,
        "flags": {
            name: {"description": flag.description, "effect": flag.effect} for name, flag in operation.flags.items()
        },
        "case_count": len(cases),
        "cases": cases,
    }


def text(vectors: dict[str, Any]) -> str:
    """Return the file's text: one flag a line, one case a line, so that differences read well."""
    lines = []
    for name, value in vectors.items():
        if name == "flags":
            entries = [f"  {json.dumps(flag)}: {json.dumps(meaning)}" for flag, meaning in value.items()]
            lines.append('"flags": {\n' + ",\n".join(entries) + "\n}")
        elif name == "cases":
            lines.append('"cases": [\n' + ",\n".join(json.dumps(case, separators=(",", ":")) for case in value) + "\n]")
        else:
            lines.append(f"{json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _outcome(function: Callable[..., Fields], inputs: Inputs) -> dict[str, Json]:
    try:
        return encode_fields(function(**inputs))
    except RefusedError as refused:
        return {"error": str(refused)}


def _goes_wrong(flag: Flag, inputs: Inputs, expected: dict[str, Json]) -> bool:
    if "error" in expected and not flag.lenient:
        return False
    try:
        return _outcome(flag.faulty, inputs) != expected
    except (ArithmeticError, ValueError):  # a faulty variant may well divide by zero or leave float32's range
        return True
