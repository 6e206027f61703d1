"""Calls and bug classes that are made up for a test: what is right, what it costs and what is answered is told them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from q35ref.oracle.bugs.base import Bug
from q35ref.oracle.problem import Problem
from q35ref.reference.matmul import Output


def unpacking(columns: int, k: int = 1) -> Problem:
    """Return a call of ``unpack`` whose right results are zeros, ``[k, columns]``."""
    return Problem("unpack", k, {"q": np.zeros((k + k % 2, columns), np.int8)})


def numbers(*runs: tuple[int, int]) -> Any:
    """Return one row of integers from values and how many of each."""
    return np.repeat([value for value, _ in runs], [count for _, count in runs]).astype(np.int8)[None]


def giving(name: str, *answers: Any, operation: str = "unpack") -> type[Bug]:
    """Return a class that answers its calls in turn with these results."""
    left = list(answers)

    def method(self: Bug, *arguments: Any) -> Any:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    made: type[Bug] = type(name, (Bug,), {"operations": (operation,), operation: method})
    return made


@dataclass(frozen=True)
class Restoring(Problem):
    """A call of ``dequantize`` of which it is said what is right."""

    right: tuple[float, ...] = ()

    @property
    def expected(self) -> Any:
        return np.array([self.right], np.float32)


@dataclass(frozen=True)
class Multiplying(Problem):
    """A call of ``matmul`` of which it is said what the reference says."""

    says: tuple[Output, ...] = ()

    @property
    def entries(self) -> list[list[Output]]:
        return [list(self.says)]


@dataclass(frozen=True)
class Costly(Problem):
    """A small call that says of itself how much there is to work on."""

    cost: int = 0

    @property
    def size(self) -> int:
        return self.cost


class Large(Problem):
    """A small call that says of itself that it is large."""

    large = True
