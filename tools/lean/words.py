"""Words and signs that no source of ours may hold.

They make a refusal quick and clear. They are the first of three lines: Lean's warning of a proof that is left out is a
failure too, and the audit looks at what Lean's kernel was given, however it was spelt.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

from tools.lean.sources import code_of, imports_of, spans_of

FORBIDDEN: Final = {
    "leaves out a proof": ("sorry", "sorryAx", "admit"),
    "assumes what is to be proved": ("axiom",),
    "trusts Lean's compiler": (
        "native_decide",
        "native",
        "bv_decide",
        "bv_check",
        "ofReduceBool",
        "ofReduceNat",
        "trustCompiler",
    ),
    "lets other code stand for a definition": ("implemented_by", "extern", "unsafe"),
    "hides a definition that statements are about": ("opaque", "partial"),
    "changes what the text means": (
        *("macro", "macro_rules", "syntax", "elab", "elab_rules", "declare_syntax_cat", "local", "attribute"),
        *("notation", "infix", "infixl", "infixr", "postfix", "prefix"),
    ),
    "adds an assumption that the statement does not show": ("include",),
    "runs a program while Lean checks": ("run_cmd", "run_elab", "run_meta", "run_tac", "by_elab", "initialize"),
}
"""What is wrong with a word, and the words."""

OPTIONS: Final = ("maxRecDepth", "compiler.extract_closed")
"""All that ``set_option`` may set: neither makes Lean believe or conceal anything, unlike ``debug.skipKernelTC``."""

PACKAGES: Final = ("Q35", "Init", "Std")
"""What may be imported. The package ``Lean`` is what programs that change Lean are made of."""

_REASONS: Final = {word: reason for reason, words in FORBIDDEN.items() for word in words}
# Where Lean ends a number it begins a word: 1set_option are two tokens. Letters that are not ASCII end words here,
# though not always there, which can only refuse too much.
_TOKEN: Final = re.compile(
    r"0[xX][0-9a-fA-F_]*|0[bB][01_]*|0[oO][0-7_]*|[0-9][0-9_]*(?:\.[0-9][0-9_]*)?(?:[eE][+-]?[0-9]+)?|([A-Za-z_][A-Za-z0-9_]*)"
)
_SIGNS: Final = (
    (re.compile(r"«"), "«", "can spell any word"),
    (re.compile(r"#[A-Za-z]\w*"), "a command that begins with #", "proves nothing, and #exit or #guard_msgs hide"),
    (re.compile(r"\bopen\s+private\b"), "open private", "reaches into Lean"),
)
# Another order or sum on rationals would empty every statement about them.
_INSTANCE: Final = re.compile(r"instance\b(?![^=]*:\s*Decidable\s*\()")
_NAME: Final = re.compile(r"\s*(\S+)")


def faults_of(text: str, allowed: Collection[str] = ()) -> Iterator[str]:
    """Yield what a source may not hold, with its line: "line 3: sorry leaves out a proof"; ``allowed`` are words.

    >>> list(faults_of("theorem t : 1 = 2 := by sorry -- no axiom"))
    ['line 1: sorry leaves out a proof']
    """
    code = code_of(text)
    words = [(token.end(1), token[1]) for token in _TOKEN.finditer(code) if token[1]]
    found = [
        (end - len(word), f"{word} {_REASONS[word]}") for end, word in words if word in _REASONS and word not in allowed
    ]
    found += [(m.start(), "instance: only one of Decidable is allowed") for m in _INSTANCE.finditer(code)]
    found += [(m.start(), f"{sign} {reason}") for pattern, sign, reason in _SIGNS for m in pattern.finditer(code)]
    options = [(end, _NAME.match(code, end)) for end, word in words if word == "set_option"]
    found += [
        (end, f"set_option {name[1] if name else ''} is not among {', '.join(OPTIONS)}")
        for end, name in options
        if not name or name[1] not in OPTIONS
    ]
    for at, fault in sorted(found):
        yield f"line {code.count(chr(10), 0, at) + 1}: {fault}"
    yield from _comment_faults(text)
    for module in imports_of(text):
        if module.partition(".")[0] not in PACKAGES:
            yield f"line 1: import {module}: only {', '.join(PACKAGES)} may be imported"


def _comment_faults(text: str) -> Iterator[str]:
    """Yield comments that Lean might not take for one: in ``x <-- y`` it reads a minus, in a string nothing at all."""
    for kind, start, end in spans_of(text):
        line = text.count("\n", 0, start) + 1
        if kind == "comment" and start and not text[start - 1].isspace():
            yield f"line {line}: a comment begins without a blank before it"
        if kind == "string" and re.search(r"--|/-|-/", text[start:end]):
            yield f"line {line}: a string holds the sign of a comment"
        if kind == "string" and "{" in text[start:end]:
            yield f"line {line}: a string holds a brace: an interpolated one would end where Lean sees code"
