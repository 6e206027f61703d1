"""A call of the reference as data: it can be run, and it can be written down as the Python that repeats it."""

import math
from collections.abc import Callable
from fractions import Fraction
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

PREAMBLE = "import q35ref.reference; from fractions import Fraction"
"""What must have been executed before the code of a failure can be evaluated."""


class Call(NamedTuple):
    """A function of the reference and its arguments, which may be calls themselves.

    The function is looked up when the call runs, so that a reference that has been changed in the meantime (by
    a test that plants a fault) is the one that answers.

    >>> call = Call("codec.pack_pair", (5, -2))
    >>> call.run(), call.code()
    (46, 'q35ref.reference.codec.pack_pair(5, -2)')
    """

    function: str
    """``module.name`` within ``q35ref.reference``."""
    arguments: "tuple[Argument, ...]"
    """Positional arguments."""

    def run(self) -> object:
        """Make the call."""
        module, name = self.function.split(".")
        function: Callable[..., object] = getattr(import_module(f"q35ref.reference.{module}"), name)
        return function(*(run(argument) for argument in self.arguments))

    def code(self) -> str:
        """Return the call as a Python expression, to be evaluated after :data:`PREAMBLE`."""
        return f"q35ref.reference.{self.function}({', '.join(map(code, self.arguments))})"


class Repeated(NamedTuple):
    """The first ``length`` items of a pattern that repeats for ever: a long argument in a short form.

    >>> Repeated((1, 2), 5).run(), Repeated((1, 2), 5).code()
    ([1, 2, 1, 2, 1], '([1, 2] * 3)[:5]')
    """

    pattern: tuple[int, ...]
    """What repeats."""
    length: int
    """Number of items."""

    @property
    def times(self) -> int:
        """How often the pattern is written down before it is cut."""
        return -(-self.length // len(self.pattern))

    def run(self) -> list[int]:
        """Return the items."""
        return (list(self.pattern) * self.times)[: self.length]

    def code(self) -> str:
        """Return a Python expression for the items."""
        return f"({list(self.pattern)} * {self.times})[:{self.length}]"


Argument: TypeAlias = "Call | Repeated | list[Any] | int | float | str | bytes | Fraction"
"""What a call takes."""


def run(argument: Argument) -> object:
    """Return what an argument stands for, with every call in it made."""
    if isinstance(argument, Call | Repeated):
        return argument.run()
    if isinstance(argument, list):
        return [run(item) for item in argument]
    return argument


def code(argument: Argument) -> str:
    """Return a Python expression for an argument; ``repr`` restores each finite float exactly.

    >>> code([0.5, float("nan"), Fraction(1, 3)])
    "[0.5, float('nan'), Fraction(1, 3)]"
    """
    if isinstance(argument, Call | Repeated):
        return argument.code()
    if isinstance(argument, list):
        return f"[{', '.join(map(code, argument))}]"
    if isinstance(argument, float) and not math.isfinite(argument):
        return f"float('{argument}')"
    return repr(argument)
