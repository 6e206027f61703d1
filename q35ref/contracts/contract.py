"""What a contract is, and the strict reader of the docstrings that state one.

A contract is a function with conditions in its docstring (PEP 316), each a Python expression on a line of its own:
``pre:`` on the arguments, ``post:`` also on the result, which is called ``_``. ``:raises ValueError:`` allows an
exception. They are read from a module's source, never from the function that happens to stand in the module: a
function that a test has replaced is held to the contract of the one that it replaces.

The reader refuses what CrossHair silently ignores: a keyword that is nearly right, a ``pre:`` without a
``post:``, a contract where none is looked for.
"""

import ast
import builtins
import difflib
import importlib
import inspect
import re
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Literal

Value = int | list[int]
"""What an argument of a contract may be."""

Arguments = dict[str, Value]
"""A function's arguments by name, in the order of its parameters."""

KEYWORDS = ("pre", "post")
"""The words that begin a condition."""

_CONDITION = re.compile(r"(pre|post): (\S.*)")
_RAISES = re.compile(r":raises (\w+):.*")
_HEADER = re.compile(r"\W*(\w+)\s*(?:\[[^]]*\])?\s*:")
_KINDS: dict[str, Literal["int", "list"]] = {"int": "int", "list[int]": "list", "Sequence[int]": "list"}


class ContractError(Exception):
    """A contract is badly stated: it could not be checked as its author meant it."""


@dataclass(frozen=True)
class Condition:
    """One ``pre:`` or ``post:`` line."""

    text: str
    """The expression."""
    line: int
    """Its line in the module's source."""
    code: CodeType
    """The expression, compiled."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a contract's function."""

    name: str
    kind: Literal["int", "list"]


@dataclass(frozen=True)
class Violation:
    """A contract that does not hold for some arguments."""

    name: str
    """The contract."""
    arguments: Arguments
    message: str
    """What went wrong."""

    @property
    def code(self) -> str:
        """A Python expression that repeats it, after ``import q35ref.contracts``."""
        arguments = "".join(f", {name}={value!r}" for name, value in self.arguments.items())
        return f"q35ref.contracts.check({self.name!r}{arguments})"


@dataclass(frozen=True)
class Contract:
    """A function and its conditions."""

    module: str
    function: str
    parameters: tuple[Parameter, ...]
    pre: tuple[Condition, ...]
    post: tuple[Condition, ...]
    raises: tuple[str, ...]
    """Names of the exceptions that the function may raise instead of returning."""
    lines: range
    """The lines of the function in its module's source."""

    @property
    def name(self) -> str:
        """Where the function is found: module and name."""
        return f"{self.module}.{self.function}"

    def namespace(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """Return the names that a condition may use: the module's, as they are now, and the arguments."""
        return {**vars(importlib.import_module(self.module)), **arguments}

    def accepts(self, arguments: Arguments) -> bool:
        """Return whether every ``pre:`` holds."""
        names = self.namespace(arguments)
        return all(_evaluate(condition, names) for condition in self.pre)

    def check(self, arguments: Arguments) -> Violation | None:
        """Call the function, looked up now, and return what contradicts the contract, if anything does.

        The arguments must meet every ``pre:``.
        """
        function = getattr(importlib.import_module(self.module), self.function)
        copies = [[*value] if isinstance(value, list) else value for value in arguments.values()]
        try:
            result = function(*copies)
        except Exception as problem:
            if any(kind.__name__ in self.raises for kind in type(problem).__mro__):
                return None
            return Violation(self.name, arguments, _describe(problem))
        names = self.namespace({**arguments, "_": result, "__return__": result})
        for condition in self.post:
            try:
                holds = _evaluate(condition, names)
            except Exception as problem:
                return Violation(self.name, arguments, f"post: {condition.text}: {_describe(problem)}")
            if not holds:
                return Violation(self.name, arguments, f"post: {condition.text}: false, the result is {result!r}")
        return None


def _evaluate(condition: Condition, names: dict[str, object]) -> object:
    # The text is a docstring of this package, compiled by read_contracts: no input gets here.
    return eval(condition.code, names)  # noqa: S307


def _describe(problem: Exception) -> str:
    """Return an exception in one line; a bare assertion by its source."""
    if isinstance(problem, AssertionError) and not str(problem):
        return traceback.extract_tb(problem.__traceback__)[-1].line or "AssertionError"
    return f"{type(problem).__name__}: {problem}"


def read_module(module: ModuleType) -> tuple[Contract, ...]:
    """Return the contracts of a module. Errors: as :func:`read_contracts`."""
    return read_contracts(inspect.getsource(module), module.__name__)


def read_contracts(source: str, module: str) -> tuple[Contract, ...]:
    """Return the contracts that a module's source states, in order.

    Errors: ContractError, with the line, for anything that is nearly a contract but not one.
    """
    tree = ast.parse(source)
    found: list[Contract] = []
    top = {id(node) for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            contract = _read_docstring(node, module)
            if contract is not None and id(node) not in top:
                raise ContractError(f"{contract.name}, line {node.lineno}: only functions of a module have contracts")
            if contract is not None and any(contract.name == other.name for other in found):
                raise ContractError(f"{contract.name}, line {node.lineno}: a second function of this name")
            if contract is not None:
                found.append(contract)
    return tuple(found)


def _read_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, module: str) -> Contract | None:
    conditions: dict[str, list[Condition]] = {keyword: [] for keyword in KEYWORDS}
    raises = []
    for number, line in _docstring_lines(node):
        where = f"{module}.{node.name}, line {number}"
        if match := _CONDITION.fullmatch(line):
            conditions[match[1]].append(_condition(match[2], number, where))
        elif match := _RAISES.fullmatch(line):
            if not hasattr(builtins, match[1]):
                raise ContractError(f"{where}: no built-in exception is called {match[1]}")
            raises.append(match[1])
        elif (match := _HEADER.match(line)) and _is_nearly_a_keyword(match[1]):
            raise ContractError(f"{where}: expected 'pre: ' or 'post: ' and an expression, got {line!r}")
    if not conditions["post"]:
        if conditions["pre"]:
            raise ContractError(f"{module}.{node.name}, line {node.lineno}: has a 'pre:' but no 'post:'")
        return None
    return Contract(
        module=module,
        function=node.name,
        parameters=() if isinstance(node, ast.ClassDef) else _parameters(node, module),
        pre=tuple(conditions["pre"]),
        post=tuple(conditions["post"]),
        raises=tuple(raises),
        lines=range(node.lineno, (node.end_lineno or node.lineno) + 1),
    )


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[tuple[int, str]]:
    """Yield the docstring's lines, stripped, with their numbers in the source."""
    if ast.get_docstring(node, clean=False) is not None:
        expression = node.body[0]
        assert isinstance(expression, ast.Expr)
        assert isinstance(expression.value, ast.Constant)
        for index, line in enumerate(str(expression.value.value).split("\n")):
            yield expression.lineno + index, line.strip()


def _is_nearly_a_keyword(word: str) -> bool:
    lower = word.lower()
    return lower.startswith(KEYWORDS) or bool(difflib.get_close_matches(lower, KEYWORDS, cutoff=0.66))


def _condition(text: str, line: int, where: str) -> Condition:
    try:
        return Condition(text, line, compile(text, where, "eval"))
    except SyntaxError as problem:
        raise ContractError(f"{where}: {problem.msg}: {text}") from problem


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef, module: str) -> tuple[Parameter, ...]:
    parameters = []
    for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
        kind = _KINDS.get(ast.unparse(argument.annotation)) if argument.annotation else None
        if kind is None:
            raise ContractError(
                f"{module}.{node.name}, line {argument.lineno}: {argument.arg} must be int, list[int] or Sequence[int]"
            )
        parameters.append(Parameter(argument.arg, kind))
    return tuple(parameters)
