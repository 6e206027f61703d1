"""What a Lean source says of itself: its code, its imports, its theorems; and which sources need which."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from tools.lean.worker import source_path

_SPAN: Final = re.compile(
    r"""
    (?P<line>--[^\n]*)
    | (?P<block>/-)
    | (?P<string>r(?P<hashes>\#*)"[\s\S]*?"(?P=hashes) | "(?:[^"\\]|\\[\s\S])*")
    | '(?:\\[^\n']{1,6}|\\'|[^\\\n'])'      # a character, which may be a quotation mark
    | «[^»\n]*»
    | [^\W\d][\w'!?]*                       # a name, which may end in primes
    """,
    re.VERBOSE,
)
_BLOCK_SIGN: Final = re.compile(r"/-|-/")
_IMPORT: Final = re.compile(r"\s*(?:(?:module|prelude)\b|(?:public\s+|meta\s+)*import\s+(?:all\s+)?([\w.«»]+))")
_THEOREM: Final = re.compile(r"^[^\S\n]*(?:@\[[^\]]*\]\s*)?(?:(?:public|protected|private)\s+)*theorem\s", re.MULTILINE)
_CASE: Final = re.compile(r"^  ⟨", re.MULTILINE)


class SourceError(Exception):
    """The sources do not fit together: a missing module, or modules that import each other."""


def spans_of(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the comments and strings of a source: ``comment`` or ``string``, where it begins, where it ends.

    Block comments nest. A comment without an end goes to the end of the text.
    """
    at = 0
    while found := _SPAN.search(text, at):
        at = found.end()
        if found["block"]:
            depth = 1
            while depth and (sign := _BLOCK_SIGN.search(text, at)):
                depth += 1 if sign.group() == "/-" else -1
                at = sign.end()
            at = len(text) if depth else at
        if found["line"] or found["block"]:
            yield "comment", found.start(), at
        elif found["string"]:
            yield "string", found.start(), at


def code_of(text: str) -> str:
    """Return a source without its comments, line for line. Strings stay: an interpolated one holds code.

    >>> code_of("def a := 1 -- one")
    'def a := 1 '
    >>> code_of('/- a /- b -/ -- c -/ def d := "-- e"')
    ' def d := "-- e"'
    """
    parts, at = [], 0
    for kind, start, end in spans_of(text):
        if kind == "comment":
            parts += [text[at:start], "\n" * text.count("\n", start, end)]
            at = end
    return "".join([*parts, text[at:]])


def imports_of(text: str) -> list[str]:
    """Return the modules that a source imports.

    >>> imports_of("module\\npublic import Q35.Spec.Lanes\\nimport all Q35.Thm.Codec\\ndef import_a := 1")
    ['Q35.Spec.Lanes', 'Q35.Thm.Codec']
    """
    code, at, found = code_of(text), 0, []
    while item := _IMPORT.match(code, at):
        found += [item[1]] if item[1] else []
        at = item.end()
    return found


def count_theorems(text: str) -> int:
    """Return the number of theorems that a source declares.

    >>> count_theorems("theorem a : 1 = 1 := rfl -- theorem b\\n@[simp] theorem c : 2 = 2 := rfl")
    2
    """
    return len(_THEOREM.findall(code_of(text)))


def count_cases(text: str) -> int:
    """Return the number of vectors in a source's lists: the generator begins a line with each.

    >>> count_cases("theorem a : List.all [\\n  ⟨1, [2]⟩,\\n  ⟨3,\\n    [⟨4⟩]⟩\\n] Clamp.holds := by decide +kernel")
    2
    """
    return len(_CASE.findall(code_of(text)))


def modules_below(root: Path, package: str) -> list[str]:
    """Return the modules of all files in a package's folder, sorted; not the package's own file."""
    paths = sorted((root / package).rglob("*.lean"))
    return sorted(".".join(path.relative_to(root).with_suffix("").parts) for path in paths)


class Sources:
    """The modules below a folder that some roots import, each before those that import it."""

    def __init__(self, root: Path, roots: Iterable[str]) -> None:
        """Read them. Errors: SourceError."""
        self.root = root
        self.text: dict[str, str] = {}
        """Each module's source, in an order in which they can be checked."""
        self._visiting: list[str] = []
        for module in roots:
            if not (root / source_path(module)).is_file():
                raise SourceError(f"{module}: expected a file {source_path(module).as_posix()}")
            self._visit(module)

    def needs(self, module: str) -> list[str]:
        """Return the modules of ours that a module imports."""
        return [name for name in imports_of(self.text[module]) if name in self.text]

    def digests(self, checker: str = "") -> Mapping[str, str]:
        """Return a digest of each module, all that it imports, and ``checker``: what says whether it is good."""
        known: dict[str, str] = {}
        for module, text in self.text.items():
            parts = [checker, text, *(known[name] for name in self.needs(module))]
            known[module] = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return known

    def _visit(self, module: str) -> None:
        path = self.root / source_path(module)
        if module in self._visiting:
            raise SourceError(f"{module}: imports itself by way of {', '.join(self._visiting)}")
        if module in self.text or not path.is_file():
            return
        self._visiting.append(module)
        text = path.read_text(encoding="utf-8")
        for name in imports_of(text):
            self._visit(name)
        self._visiting.pop()
        self.text[module] = text
