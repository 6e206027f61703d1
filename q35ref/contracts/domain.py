"""From a contract's ``pre:`` lines to arguments that meet them.

The conditions are the one source of truth. Comparisons of a parameter, of ``len(parameter)``, or of each element of
one (``all(low <= x <= high for x in column)``, also with ``column[1::2]`` or ``enumerate(column)``) give bounds;
what else a condition says is left to evaluating it. A bound may name other parameters: they are chosen first.

How arguments come about is one walk over the parameters, which asks a *chooser* for each integer, between a least
and a largest value (either may be missing). Sampling, exhausting, shrinking and Hypothesis are choosers.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType

from q35ref.contracts.contract import Arguments, Contract, ContractError, Parameter, Value

Chooser = Callable[[int | None, int | None], int]
"""Returns an integer between two limits, both included; None is no limit."""


class Rejected(Exception):
    """The integers chosen so far leave none to choose from: not an error, only not these."""


@dataclass(frozen=True)
class Bound:
    """A limit on the value of an integer parameter, the length of a list parameter, or its elements."""

    parameter: str
    of: str
    """``value``, ``length`` or ``element``."""
    lower: bool
    limit: CodeType
    strict: bool
    """Whether the limit itself is excluded."""
    names: frozenset[str]
    """The parameters that the limit depends on."""
    directed: bool
    """Whether it only serves in this direction: ``len(stream) == dense_bytes(count)`` cannot give ``count``."""
    index: str | None = None
    """The name of an element's index in ``limit``, if it has one."""
    start: int = 0
    step: int = 1
    """Which elements are meant: those of ``[start::step]``."""

    def evaluate(self, names: dict[str, object]) -> int:
        """Return the last integer that is inside."""
        limit = eval(self.limit, names)  # noqa: S307 - compiled from a docstring of this package
        if not isinstance(limit, int):
            raise ContractError(f"{self.parameter}: a limit must be an integer, got {limit!r}")
        return limit + (1 if self.lower else -1) * self.strict


@dataclass(frozen=True)
class Domain:
    """Where a contract's arguments come from."""

    contract: Contract
    bounds: tuple[Bound, ...]
    order: tuple[Parameter, ...]
    """The parameters, each after those that its bounds need."""
    multiples: dict[str, int]
    """The number that an integer parameter is a multiple of, where ``parameter % number == 0`` says so."""

    def arguments(self, choose: Chooser) -> Arguments:
        """Return arguments within the bounds. Other conditions may still refuse them. Errors: Rejected."""
        chosen: Arguments = {}
        for parameter in self.order:
            if parameter.kind == "int":
                chosen[parameter.name] = self._choose(choose, parameter, "value", chosen)
            else:
                chosen[parameter.name] = self._choose_list(choose, parameter, chosen)
        return {parameter.name: chosen[parameter.name] for parameter in self.contract.parameters}

    def _choose_list(self, choose: Chooser, parameter: Parameter, chosen: Arguments) -> Value:
        length = self._choose(choose, parameter, "length", chosen)
        return [self._choose(choose, parameter, "element", chosen, index) for index in range(length)]

    def _choose(self, choose: Chooser, parameter: Parameter, of: str, chosen: Arguments, index: int = 0) -> int:
        lows, highs = ([0] if of == "length" else []), list[int]()
        for bound in self.bounds:
            wanted = (bound.parameter, bound.of) == (parameter.name, of) and bound.names <= chosen.keys()
            if wanted and index >= bound.start and (index - bound.start) % bound.step == 0:
                names = self.contract.namespace(chosen if bound.index is None else {**chosen, bound.index: index})
                (lows if bound.lower else highs).append(bound.evaluate(names))
        low, high = max(lows, default=None), min(highs, default=None)
        if of == "length" and high is None:
            raise ContractError(f"{self.contract.name}: the length of {parameter.name} has no upper limit")
        unit = self.multiples.get(parameter.name, 1)
        low, high = (None if low is None else -(-low // unit)), (None if high is None else high // unit)
        if low is not None and high is not None and low > high:
            raise Rejected
        return unit * choose(low, high)


def domain_of(contract: Contract) -> Domain:
    """Read the bounds out of a contract's ``pre:`` lines."""
    kinds = {parameter.name: parameter.kind for parameter in contract.parameters}
    conjuncts = [part for condition in contract.pre for part in _conjuncts(ast.parse(condition.text, mode="eval").body)]
    bounds = tuple(bound for conjunct in conjuncts for bound in _bounds(conjunct, kinds))
    multiples = dict(pair for conjunct in conjuncts for pair in _multiples(conjunct, kinds))
    return Domain(contract, bounds, _ordered(contract.parameters, bounds), multiples)


def _ordered(parameters: tuple[Parameter, ...], bounds: tuple[Bound, ...]) -> tuple[Parameter, ...]:
    """Put each parameter after those that its bounds need; where that is a circle, keep the order."""
    order: list[Parameter] = []
    waiting = list(parameters)
    while waiting:
        known = {parameter.name for parameter in order}
        ready = next((parameter for parameter in waiting if _is_ready(parameter, bounds, known)), waiting[0])
        waiting.remove(ready)
        order.append(ready)
    return tuple(order)


def _is_ready(parameter: Parameter, bounds: tuple[Bound, ...], known: set[str]) -> bool:
    """Return whether a parameter can be chosen: nothing that it must follow is missing, and a list has a limit."""
    own = [bound for bound in bounds if bound.parameter == parameter.name]
    limited = any(bound.of == "length" and not bound.lower and bound.names <= known for bound in own)
    return (parameter.kind == "int" or limited) and all(bound.names <= known for bound in own if bound.directed)


def _conjuncts(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for value in node.values:
            yield from _conjuncts(value)
    else:
        yield node


def _multiples(node: ast.expr, kinds: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Take apart ``PARAMETER % NUMBER == 0``."""
    match node:
        case ast.Compare(
            left=ast.BinOp(left=ast.Name(id=name), op=ast.Mod(), right=ast.Constant(value=int(unit))),
            ops=[ast.Eq()],
            comparators=[ast.Constant(value=0)],
        ) if kinds.get(name) == "int" and unit > 0:
            yield name, unit


@dataclass(frozen=True)
class _Elements:
    """The loop of an ``all(...)`` over a list parameter."""

    parameter: str
    variable: str
    index: str | None
    start: int
    step: int


def _bounds(node: ast.expr, kinds: Mapping[str, str]) -> Iterator[Bound]:
    if isinstance(node, ast.Compare):
        yield from _compared(node, kinds, None)
    elements, body = _elements(node, kinds)
    for conjunct in _conjuncts(body) if elements and body else ():
        if isinstance(conjunct, ast.Compare):
            yield from _compared(conjunct, kinds, elements)


def _elements(node: ast.expr, kinds: Mapping[str, str]) -> tuple[_Elements | None, ast.expr | None]:
    """Take apart ``all(BODY for x in COLUMN)``."""
    match node:
        case ast.Call(
            func=ast.Name(id="all"),
            args=[ast.GeneratorExp(elt=body, generators=[ast.comprehension(target=target, iter=source, ifs=[])])],
        ):
            pass
        case _:
            return None, None
    match target, source:
        case ast.Name(id=variable), ast.Name(id=name) if kinds.get(name) == "list":
            return _Elements(name, variable, None, 0, 1), body
        case (
            ast.Name(id=variable),
            ast.Subscript(value=ast.Name(id=name), slice=ast.Slice(lower=lower, upper=None, step=step)),
        ) if kinds.get(name) == "list":
            return _Elements(name, variable, None, _constant(lower, 0), _constant(step, 1)), body
        case (
            ast.Tuple(elts=[ast.Name(id=index), ast.Name(id=variable)]),
            ast.Call(func=ast.Name(id="enumerate"), args=[ast.Name(id=name)]),
        ) if kinds.get(name) == "list":
            return _Elements(name, variable, index, 0, 1), body
    return None, None


def _constant(node: ast.expr | None, default: int) -> int:
    if node is None:
        return default
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    raise ContractError(f"a slice in a condition must have constant limits, got {ast.unparse(node)}")


def _compared(node: ast.Compare, kinds: Mapping[str, str], elements: _Elements | None) -> Iterator[Bound]:
    sides = [node.left, *node.comparators]
    for left, operator, right in zip(sides, node.ops, sides[1:], strict=False):
        for subject, limit, mirrored in ((left, right, False), (right, left, True)):
            target = _target(subject, kinds, elements)
            if target is None or not isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE | ast.Eq):
                continue
            used = {part.id for part in ast.walk(limit) if isinstance(part, ast.Name)}
            local = {elements.variable} if elements else set()
            if target[0] in used or used & local:
                continue
            upper = isinstance(operator, ast.Lt | ast.LtE) != mirrored
            for lower in (True, False) if isinstance(operator, ast.Eq) else (not upper,):
                yield Bound(
                    parameter=target[0],
                    of=target[1],
                    lower=lower,
                    limit=compile(ast.Expression(limit), "<bound>", "eval"),
                    strict=isinstance(operator, ast.Lt | ast.Gt),
                    names=frozenset(used & kinds.keys()),
                    directed=_target(limit, kinds, None) is None,
                    index=elements.index if elements else None,
                    start=elements.start if elements else 0,
                    step=elements.step if elements else 1,
                )


def _target(node: ast.expr, kinds: Mapping[str, str], elements: _Elements | None) -> tuple[str, str] | None:
    """Return the parameter that an expression is the value, the length or an element of."""
    match node:
        case ast.Name(id=name) if elements and name == elements.variable:
            return elements.parameter, "element"
        case ast.Name(id=name) if kinds.get(name) == "int" and elements is None:
            return name, "value"
        case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name)]) if kinds.get(name) == "list":
            return name, "length"
    return None
