"""The headlines' statements in one page, copied from the sources: where one says less than it did, that shows."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tools.lean.sources import code_of, modules_below
from tools.lean.worker import source_path

PAGE: Final = "HEADLINES.md"
"""The page, below ``proofs``."""

DECLARATION: Final = (
    r"^[^\S\n]*(?:@\[[^\]]*\]\s*)?((?:(?:public|protected|private|noncomputable|scoped)\s+)*)"
    r"(theorem|def|abbrev|axiom|opaque|instance|structure|inductive|class)\s+(?:Q35\.)?{name}(?![\w.'!?])"
)
"""How a name is declared; ``{name}`` stands for it."""

_VARIABLES: Final = re.compile(r"^variable\s.*(?:\n[ \t]+.*)*", re.MULTILINE)
_BRACKETS: Final = {"(": 1, "[": 1, "{": 1, "⟨": 1, ")": -1, "]": -1, "}": -1, "⟩": -1}

INTRODUCTION: Final = """\
# The headlines

The theorems that must exist, as the sources state them; `README.md` tells how to read one. Written by
`python -m tools.lean --write-roots`, and compared by `make proofs`: a statement that changes does not change unseen.
What stands under `variable` belongs to it where it is named in it. Definitions are in `Q35/Spec/`.
"""


def declared(name: str) -> re.Pattern[str]:
    """Return what finds the declaration of a name."""
    return re.compile(DECLARATION.replace("{name}", re.escape(name)), re.MULTILINE)


def statement(code: str, start: int) -> str:
    """Return a declaration's text from ``start`` to its ``:=``, the first that is in no bracket.

    >>> statement("theorem a (b := 1) :\\n  b = b := by rfl", 0)
    'theorem a (b := 1) :\\n  b = b'
    """
    depth = 0
    for at in range(start, len(code)):
        depth += _BRACKETS.get(code[at], 0)
        if depth == 0 and code.startswith(":=", at):
            return code[start:at].strip()
    return code[start:].strip()


def statements(root: Path, headlines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield each headline that is there: its name, its file, and its statement with the variables before it."""
    paths = [source_path(module) for module in modules_below(root, "Q35")]
    codes = {path: code_of((root / path).read_text(encoding="utf-8")) for path in paths}
    for name in headlines:
        pattern = declared(name)
        for path, code in codes.items():
            if found := pattern.search(code):
                variables = [match[0].strip() for match in _VARIABLES.finditer(code, 0, found.start())]
                yield name, path.as_posix(), "\n\n".join([*variables, statement(code, found.start())])
                break


def page(root: Path, headlines: Sequence[str]) -> str:
    """Return the page's text."""
    parts = [f"## {name}\n\n`{path}`\n\n```lean\n{text}\n```\n" for name, path, text in statements(root, headlines)]
    return "\n".join([INTRODUCTION, *parts])
