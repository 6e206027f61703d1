"""A Sphinx extension: reference pages made from code, and a demand that they are complete.

- ``abi`` describes each function of a C header by its declaration and the comment above it.
- ``json-schema`` shows a JSON schema as tables.
- Contracts (``pre:``, ``post:``) of docstrings are shown as such, and constants by what their own module says of them.
- A public name, command or function of the C ABI that the reference does not have is a warning, that is an error of
  ``make docs``.
"""

import ast
import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from docutils import nodes
from numpy.typing import ArrayLike, NDArray
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import stringify_annotation

from q35ref import cli
from q35ref.backends import protocol
from q35ref.reference.calibration import Method
from q35ref.reference.lanes import Layout
from tools.docs.schema import described

LOGGER: Final = logging.getLogger(__name__)

PUBLIC: Final = (
    *("q35ref", "q35ref.reference", "q35ref.backends", "q35ref.oracle", "q35ref.testing", "q35ref.checkpoints"),
    *("q35ref.contracts", "q35ref.vectors", "q35ref.lpu"),
)
"""Modules whose ``__all__`` is what users may rely on."""

HEADER: Final = "q35ref/backends/native/src/q35_abi.h"
"""The C ABI, from the repository's root."""

COMMAND_PAGE: Final = "reference/cli"
"""Where the commands stand."""

ALIASES: Final = {
    "ArrayLike": ArrayLike,
    "Float32": protocol.Float32,
    "Int8": protocol.Int8,
    "Int32": protocol.Int32,
    "UInt8": protocol.UInt8,
    "NDArray": NDArray[Any],
    "Layout": Layout,
    "Method": Method,
}
"""Types by the names under which signatures show them, instead of all that they stand for."""

CONTRACT: Final = re.compile(r"(pre|post): ")
"""How the lines of a contract begin in a docstring."""


@dataclass(frozen=True)
class Declaration:
    """Some functions of a header, and the comment above the first."""

    functions: tuple[str, ...]
    """Each on one line, without the semicolon."""
    comment: str
    """In paragraphs' words, lines joined."""


def declarations(header: str) -> Iterator[Declaration]:
    """Yield the functions of a header in C in their order; those without a blank line or comment between share one.

    >>> [found] = declarations("/* Adds,\\n * exactly. */\\nint add(int a,\\n        int b);\\nint sum(int a);\\n")
    >>> found.functions, found.comment
    (('int add(int a, int b)', 'int sum(int a)'), 'Adds, exactly.')
    """
    block = re.compile(r"(?:/\*((?:[^*]|\*(?!/))*)\*/\n)?((?:^(?:int|void) \w+\([^;]*\);[^\n]*\n)+)", re.MULTILINE)
    for comment, code in block.findall(header):
        functions = tuple(" ".join(each.split()) for each in code.split(";") if each.strip())
        words = " ".join(line.strip().removeprefix("* ").strip() for line in comment.splitlines())
        yield Declaration(functions, words.strip())


def function_names(header: str) -> list[str]:
    """Return the names of the functions that a header declares, found apart from :func:`declarations`."""
    return re.findall(r"^\w+ (q35_\w+) *\(", header, re.MULTILINE)


class Abi(SphinxDirective):
    """Describe the functions of a C header."""

    required_arguments = 1
    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return a description of each function, with the comment that it shares in that of the last one."""
        path = _root(self.env) / self.arguments[0]
        self.env.note_dependency(str(path))
        made: list[nodes.Node] = []
        for found in declarations(path.read_text("utf-8")):
            for function in found.functions:
                made += self.parse_text_to_nodes(f":::{{c:function}} {function}\n:::\n")
            content = made[-1].next_node(addnodes.desc_content)
            assert content is not None
            content += nodes.paragraph(text=found.comment)
        return made


class JsonSchema(SphinxDirective):
    """Show a JSON schema as tables."""

    required_arguments = 1
    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the tables. Errors: ValueError for what :mod:`tools.docs.schema` has no words for."""
        path = _root(self.env) / self.arguments[0]
        self.env.note_dependency(str(path))
        return self.parse_text_to_nodes(described(json.loads(path.read_text("utf-8"))))


def _root(env: BuildEnvironment) -> Path:
    return Path(env.srcdir).parent


def on_signature(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Return a signature with short names of types."""
    return shortened(signature), shortened(returned)


def shortened(text: str | None) -> str | None:
    """Return part of a signature with :data:`ALIASES` for what they stand for.

    >>> shortened("(layout: ~typing.Literal['byte', 'dense']) -> int")
    '(layout: Layout) -> int'
    """
    for name, alias in ALIASES.items():
        text = text and text.replace(stringify_annotation(alias, "smart"), name)
    return text


def on_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Show contracts as lines of code, and give a constant the words of the module that defines it."""
    if what == "data" and (own := constant_docs(name)):
        lines[:] = own
    if any(CONTRACT.match(line) for line in lines):
        kept = [line for line in lines if not CONTRACT.match(line)]
        stated = [f"    {line}" for line in lines if CONTRACT.match(line)]
        lines[:] = [*kept, "", "Contract::", "", *stated, ""]


def constant_docs(name: str) -> list[str]:
    """Return the string beneath a module's constant, found where the module has it from; nothing if it has none.

    >>> constant_docs("q35ref.backends.OPERATIONS")[0]
    "The protocol's methods, in the order in which data passes through them."
    """
    module, _, constant = name.rpartition(".")
    while module:
        analyzer = ModuleAnalyzer.for_module(module)
        if ("", constant) in analyzer.find_attr_docs():
            return list(analyzer.attr_docs["", constant])
        module = next(
            (
                node.module
                for node in ast.parse(analyzer.code).body
                if isinstance(node, ast.ImportFrom) and node.module and constant in [alias.name for alias in node.names]
            ),
            "",
        )
    return []


def on_missing_reference(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, shown: nodes.TextElement
) -> nodes.TextElement | None:
    """Leave a name of ours that exists and is not described without a link; of others Sphinx warns."""
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"]
    return shown if name in ALIASES or exists(name, node.get("py:module") or "") else None


def exists(name: str, package: str) -> bool:
    """Whether a name is that of a module or object of ours, whole, or as it is called somewhere in a package.

    >>> exists("q35ref.oracle.judge.RULES", ""), exists("RULES", "q35ref.oracle"), exists("RULES", "q35ref.reference")
    (True, True, False)
    """
    parts = name.split(".")
    if parts[0] == "q35ref":
        return any(_reaches(_module(".".join(parts[:cut])), parts[cut:]) for cut in range(1, len(parts) + 1))
    modules = [module for path, module in sys.modules.items() if f"{path}.".startswith(f"{package or 'q35ref'}.")]
    return any(_reaches(module, parts) for module in modules)


def _module(path: str) -> ModuleType | None:
    try:
        return importlib.import_module(path)
    except ImportError:
        return None


def _reaches(place: object, parts: list[str]) -> bool:
    """Whether attributes lead on from a place; from nothing none do."""
    for part in parts:
        place = getattr(place, part, None)
    return place is not None


def missing(env: BuildEnvironment) -> Iterator[str]:
    """Say which public names, commands and functions of the ABI the reference lacks."""
    described_names = {name for name, _, _, _, _, _ in env.get_domain("py").get_objects()}
    for module in map(importlib.import_module, PUBLIC):
        for name in module.__all__:
            full = f"{module.__name__}.{name}"
            if full not in described_names:
                yield f"{full}: is public, and the reference does not describe it"
            elif not isinstance(found := getattr(module, name), ModuleType) and not _documented(found, full):
                yield f"{full}: is public, and has no docstring"
    functions = {name for name, _, _, _, _, _ in env.get_domain("c").get_objects()}
    for name in function_names((_root(env) / HEADER).read_text("utf-8")):
        if name not in functions:
            yield f"{name}: is in the C ABI, and the reference does not describe it"
    page = [env.get_doctree(COMMAND_PAGE)] if COMMAND_PAGE in env.found_docs else []
    sections = {each for tree in page for node in tree.findall(nodes.section) for each in node["ids"]}
    for name in cli.main.commands:
        if f"q35ref-{name}" not in sections:
            yield f"q35ref {name}: is a command, and the reference does not describe it"


def _documented(found: object, name: str) -> bool:
    if inspect.isroutine(found) or inspect.isclass(found):
        return bool(inspect.getdoc(found))
    return name.endswith("__version__") or bool(constant_docs(name))


def on_consistency(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of what is missing."""
    for message in missing(env):
        LOGGER.warning("%s", message)


def on_command_description(app: Sphinx, context: object, lines: list[str]) -> None:
    """A command's help is plain text: its asterisks begin no emphasis."""
    lines[:] = [line.replace("*", r"\*") for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_directive("abi", Abi)
    app.add_directive("json-schema", JsonSchema)
    app.connect("autodoc-process-signature", on_signature)
    app.connect("autodoc-process-docstring", on_docstring)
    app.connect("missing-reference", on_missing_reference)
    app.connect("sphinx-click-process-description", on_command_description)
    app.connect("env-check-consistency", on_consistency)
    return {"parallel_read_safe": False, "parallel_write_safe": False}
