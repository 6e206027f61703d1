"""Mutants of Python files, made by Cosmic Ray's operators.

Left out of them are an identity for an equality (``is`` for ``==``), since what it does to strings and small integers
is the interpreter's affair, and most of the eleven replacements of each binary operator: two of them, the likeliest
slips, tell about as much as all.
"""

import ast
from functools import cache
from typing import Any, Final

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from tools.mutation.mutant import Mutant, Place

PREFIX: Final = "core/"
"""Cosmic Ray's own operators, not those of a plugin."""

BINARY: Final[dict[str, tuple[str, ...]]] = {
    "Add": ("Sub", "Mul"),
    "Sub": ("Add", "Mul"),
    "Mul": ("Div", "Add"),
    "Div": ("Mul", "FloorDiv"),
    "FloorDiv": ("Div", "Mul"),
    "Mod": ("FloorDiv", "Mul"),
    "Pow": ("Mul", "Add"),
    "LShift": ("RShift", "Mul"),
    "RShift": ("LShift", "FloorDiv"),
    "BitOr": ("BitAnd", "BitXor"),
    "BitAnd": ("BitOr", "BitXor"),
    "BitXor": ("BitOr", "BitAnd"),
}
"""What a binary operator is replaced by."""


def is_wanted(name: str) -> bool:
    """Whether an operator of this name takes part.

    >>> is_wanted("core/ReplaceBinaryOperator_Add_Sub"), is_wanted("core/ReplaceBinaryOperator_Add_Pow")
    (True, False)
    >>> is_wanted("core/ReplaceComparisonOperator_Eq_Is"), is_wanted("core/ReplaceComparisonOperator_Is_IsNot")
    (False, True)
    """
    if not name.startswith(PREFIX):
        return False
    kind, _, change = name.removeprefix(PREFIX).partition("_")
    old, _, new = change.partition("_")
    if kind == "ReplaceBinaryOperator":
        return new in BINARY[old]
    if kind == "ReplaceComparisonOperator":
        return ("Is" in old) == ("Is" in new)
    return True


@cache
def operators() -> dict[str, Any]:
    """Return the operators that take part, by name; those that need arguments do not."""
    found = {name: get_operator(name) for name in operator_names() if is_wanted(name)}
    return {name.removeprefix(PREFIX): made() for name, made in found.items() if not made.arguments()}


def places(file: str, source: str) -> list[Place]:
    """Return where a file can be mutated, from its first line to its last."""
    nodes = list(ast_nodes(get_ast(source)))
    found = [
        Place(file, start[0], name, occurrence)
        for name, operator in operators().items()
        for occurrence, (start, _) in enumerate(span for node in nodes for span in operator.mutation_positions(node))
    ]
    return sorted(found, key=lambda place: (place.number, place.operator, place.occurrence))


def pieces(source: str) -> list[tuple[int, int]]:
    """Return the first and the last line of each statement of a module, decorators included.

    >>> pieces("import a\\n\\n@a\\ndef f():\\n    pass\\n")
    [(1, 1), (3, 5)]
    """
    found = []
    for node in ast.parse(source).body:
        above = [decorator.lineno for decorator in getattr(node, "decorator_list", [])]
        found.append((min([node.lineno, *above]), node.end_lineno or node.lineno))
    return found


def make(place: Place, source: str) -> Mutant:
    """Return the mutant of a place of a file."""
    text = mutate_code(source, operators()[place.operator], place.occurrence)
    if text is None:
        raise ValueError(f"{place.file}: {place.operator} has no place number {place.occurrence}")
    return Mutant.between(place.file, place.operator, source, text)


def is_valid(text: str) -> bool:
    """Whether a mutant is Python at all: an operator may meet what it takes for another."""
    try:
        compile(text, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True
