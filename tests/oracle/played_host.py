"""What is outside of the oracle's process, played: kernels in processes, programs, and the ways to call them."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from q35ref.oracle.calls import Outcome
from q35ref.oracle.foreign.process import CannotStart
from q35ref.oracle.problem import Problem


class Host:
    """What was asked, and what is answered."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.offered: dict[str, Any] = {
            "operations": ["pack", "matmul"],
            "functions": ["f", "g"],
            "correctly_rounded": False,
            "threads": True,
            "made_by": "()",
        }
        self.outcome = Outcome("result")
        self.fails = False

    def process(self, about: dict[str, Any], timeout: float) -> Any:
        """In the place of KernelProcess."""
        if self.fails:
            raise CannotStart("it has no legs")
        self.told.append(("process", about, timeout))
        return SimpleNamespace(offered=self.offered, close=lambda: self.told.append(("close",)))

    def observer(self, process: Any) -> Any:
        """In the place of Observer."""

        def asked(how: str) -> Callable[..., Any]:
            def ask(operation: str, arguments: dict[str, Any], *more: Any) -> Any:
                self.told.append((how, operation, list(arguments), *more))
                return more[0] if more else self.outcome

            return ask

        return SimpleNamespace(observe=asked("observe"), answer=asked("answer"), again=asked("again"))

    def client(self, command: str, timeout: float) -> Any:
        """In the place of PipeClient."""
        if self.fails:
            raise CannotStart("it has no legs")
        self.told.append(("client", command, timeout))

        def observe(problem: Problem) -> Outcome:
            self.told.append(("observe", problem))
            return self.outcome

        return SimpleNamespace(
            observe=observe,
            has=lambda operation: operation == "pack",
            code=lambda problem, fault: (problem, fault),
            close=lambda: self.told.append(("close",)),
        )

    def abi(self) -> Any:
        """In the place of an ABI."""
        return SimpleNamespace(
            symbols={"pack": ("f",), "matmul": ("g", "h")},
            pose=lambda problem, functions: (problem, functions),
            call=lambda operation, arguments: (operation, list(arguments)),
        )
