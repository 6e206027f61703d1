"""Mutants of C files: operators, bounds and constants, one at a time.

The sources are read as they are formatted: an operator between white space is binary, a star or an ampersand right
before its operand is not. Comments, strings, characters and preprocessor lines are left alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tools.mutation.mutant import Mutant, Place

REPLACED: Final[dict[str, tuple[str, ...]]] = {
    "+": ("-",),
    "-": ("+",),
    "*": ("+", "/"),
    "/": ("*",),
    "%": ("/",),
    "<<": (">>",),
    ">>": ("<<",),
    "&": ("|",),
    "|": ("&",),
    "^": ("|",),
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "&&": ("||",),
    "||": ("&&",),
    "+=": ("-=",),
    "-=": ("+=",),
    "*=": ("+=",),
    "|=": ("&=",),
    "&=": ("|=",),
}
"""What a binary operator is replaced by."""

TOKEN: Final = re.compile(
    r"""
      (?P<skip> /\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'
              | (?:^|(?<=\n)) [ \t]* \# (?:/\*.*?\*/ | \\\n | [^\n])* )
    | (?P<float> 0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?\d+[fFlL]? | \d+\.\d*(?:[eE][+-]?\d+)?[fFlL]? )
    | (?P<integer> (?:0[xX][0-9a-fA-F]+|\d+)[uUlL]* )
    | (?P<word> [A-Za-z_]\w* )
    | (?P<binary> (?<=\s) (?:<<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||[-+*|&]=|[-+*/%&|^<>]) (?=\s) )
    | (?P<not> !(?=[\w(]) )
    | (?P<other> \S )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Change:
    """A piece of the text, and what it becomes."""

    start: int
    end: int
    text: str
    operator: str


def changes(source: str) -> Iterator[Change]:
    """Yield every change of a C file, in the order of the text.

    >>> [(c.operator, c.text) for c in changes("int f(int *a) { return *a < 2; } // 1 + 1")]
    [('bound', '<='), ('bound', '>='), ('constant', '3'), ('constant', '1')]
    """
    for found in TOKEN.finditer(source):
        kind, token = found.lastgroup, found.group()
        texts: list[tuple[str, str]] = []
        if kind == "binary":
            name = "bound" if token[0] in "<>" and token not in ("<<", ">>") else "operator"
            texts = [(name, text) for text in REPLACED.get(token, ())]
        elif kind == "integer":
            texts = [("constant", text) for text in _next_to(token)]
        elif kind == "float":
            texts = [("constant", _twice(token))]
        elif kind == "not":
            texts = [("negation", "")]
        for operator, text in texts:
            yield Change(found.start(), found.end(), text, operator)


def _next_to(token: str) -> Iterator[str]:
    """Yield an integer constant plus and minus one, in its base and with its suffix; a negative one in parentheses."""
    digits = token.rstrip("uUlL")
    suffix, base = token[len(digits) :], 16 if digits[:2] in ("0x", "0X") else 10
    for value in (int(digits, base) + 1, int(digits, base) - 1):
        shown = f"{value:#x}" if base == 16 else str(value)
        yield f"{shown}{suffix}" if value >= 0 else f"({shown}{suffix})"


def _twice(token: str) -> str:
    """Return a floating constant as an expression of twice its value, or of 1 for 0."""
    suffix = token[-1] if token[-1] in "fFlL" else ""
    number = token.removesuffix(suffix)
    value = float.fromhex(number) if number[:2] in ("0x", "0X") else float(number)
    return f"(2 * {token})" if value else f"1.0{suffix}"


def places(file: str, source: str) -> list[Place]:
    """Return where a file can be mutated, from its first line to its last."""
    return [
        Place(file, source.count("\n", 0, change.start) + 1, change.operator, occurrence)
        for occurrence, change in enumerate(changes(source))
    ]


def pieces(source: str) -> list[tuple[int, int]]:
    """Return the first and the last line of the file: it is read quickly."""
    return [(1, len(source.splitlines()))]


def make(place: Place, source: str) -> Mutant:
    """Return the mutant of a place of a file."""
    change = list(changes(source))[place.occurrence]
    text = source[: change.start] + change.text + source[change.end :]
    return Mutant.between(place.file, place.operator, source, text)
