"""A kernel's own process: ``python -m q35ref.oracle.foreign.worker IN OUT``.

The oracle writes requests into the pipe IN and reads answers from the pipe OUT; the kernel has the standard streams.
The first request names the kernel; each further one is a call. What the kernel does to this process, if not to its
memory, ends with it.
"""

import ctypes
import importlib
import inspect
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from q35ref.backends.protocol import OPERATIONS
from q35ref.oracle.foreign.abi import ABIS, Input, Number, Output
from q35ref.oracle.foreign.environment import Environment, change
from q35ref.oracle.foreign.memory import Rooms, Side
from q35ref.oracle.foreign.wire import MOST_ARRAY, Foreign, encode, receive, send, told

DIE_WITH_PARENT = 1
"""``PR_SET_PDEATHSIG``: whoever kills the oracle ends its kernels too."""

MOST_WRITTEN = 1 << 30
"""Bytes that a kernel may write to a file, which what it says goes to."""

Faults = list[list[str]]
"""Kind, place, got and expected of each."""


class Host(Protocol):
    """A kernel in this process."""

    def offer(self) -> dict[str, Any]:
        """Return what the kernel has: ``operations``, ``functions``, ``correctly_rounded``, ``threads``."""

    def call(self, request: dict[str, Any], rooms: Rooms, environment: Environment) -> dict[str, Any]:
        """Make a call; return ``result``, ``raised``, ``faults``, the names of its ``inputs`` and ``outputs``, and of
        those outputs that are ``optional``."""


class PythonHost:
    """An object with some of the protocol's methods."""

    def __init__(self, module: str, path: str) -> None:
        sys.path.insert(0, str(Path.cwd()))
        kernel: object = importlib.import_module(module)
        for name in path.split("."):
            kernel = getattr(kernel, name)
        self.call_it = "()" if inspect.isclass(kernel) else ""
        self.kept: list[tuple[Any, Any]] = []
        """Arrays of the last result, and what they held."""
        self.kernel = kernel() if inspect.isclass(kernel) else kernel

    def offer(self) -> dict[str, Any]:
        """See :meth:`Host.offer`."""
        operations = [name for name in OPERATIONS if callable(getattr(self.kernel, name, None))]
        rounded = bool(getattr(self.kernel, "correctly_rounded", False))
        offered = {"operations": operations, "functions": operations, "correctly_rounded": rounded, "threads": False}
        return {**offered, "made_by": self.call_it}

    def call(self, request: dict[str, Any], rooms: Rooms, environment: Environment) -> dict[str, Any]:
        """See :meth:`Host.call`."""
        inputs = {name: value for name, value in request["arguments"].items() if isinstance(value, np.ndarray)}
        placed = {name: _hold(rooms, name, value, request) for name, value in inputs.items()}
        _seal(rooms, request)
        before, result, raised = environment.read(), None, None
        try:
            with np.errstate():
                result = getattr(self.kernel, request["operation"])(*{**request["arguments"], **placed}.values())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a kernel that exits is one that raises
            raised = told(error)
        faults = _faults(rooms, inputs, placed, [], before, environment)
        if any(array.tobytes() != held for array, held in self.kept):
            faults.append(["changed result", "the last result", "changed by this call", "left as it was returned"])
        if isinstance(result, tuple):
            result = tuple(result)  # a named tuple too
        parts = result if isinstance(result, tuple) else (result,)
        own = [part for part in parts if type(part) is np.ndarray and part.nbytes <= MOST_ARRAY]
        placed_too = [array for array in own if not any(np.may_share_memory(array, room) for room in placed.values())]
        self.kept = [(array, array.tobytes()) for array in placed_too]
        try:
            encode(result)
        except (RecursionError, MemoryError, ValueError):
            result = Foreign(type(result).__name__)
        arrays = {"inputs": list(inputs), "outputs": [], "optional": []}
        return {"result": result, "raised": raised, "faults": faults, **arrays}


class CHost:
    """A shared library."""

    def __init__(self, path: str, abi: str) -> None:
        self.abi, self.library = ABIS[abi], ctypes.CDLL(path)
        wanted = [name for names in self.abi.symbols.values() for name in names]
        self.functions = [name for name in wanted if self._has(name)]
        self.threads = self.library.q35_set_num_threads if self._has("q35_set_num_threads") else None

    def _has(self, name: str) -> bool:
        try:
            return hasattr(self.library, name)
        except UnicodeDecodeError:  # the loader's message names a path that is not UTF-8
            return False

    def offer(self) -> dict[str, Any]:
        """See :meth:`Host.offer`."""
        operations = [name for name, symbols in self.abi.symbols.items() if set(symbols) & set(self.functions)]
        offered = {"operations": operations, "functions": self.functions, "correctly_rounded": False}
        return {**offered, "threads": self.threads is not None}

    def call(self, request: dict[str, Any], rooms: Rooms, environment: Environment) -> dict[str, Any]:
        """See :meth:`Host.call`."""
        call = self.abi.call(request["operation"], request["arguments"])
        if self.threads is not None:
            self.threads(ctypes.c_int32(request["threads"]))
        passed: list[Any] = []
        inputs, placed, outputs = {}, {}, {}
        for argument in call.arguments:
            if isinstance(argument, Number):
                passed.append((ctypes.c_int64 if argument.bits == 64 else ctypes.c_int32)(argument.value))
                continue
            if isinstance(argument, Input):
                inputs[argument.name] = argument.array
                array = placed[argument.name] = _hold(rooms, argument.name, argument.array, request)
            elif argument.name in request["left_out"]:
                passed.append(None)
                continue
            else:
                array = outputs[argument.name] = _room(rooms, argument, request)
            passed.append(ctypes.c_void_p(array.__array_interface__["data"][0]))
        function = getattr(self.library, call.symbol)
        function.restype = ctypes.c_int if call.returns_status else None
        _seal(rooms, request)
        before = environment.read()
        status = function(*passed) or 0
        faults = _faults(rooms, inputs, placed, list(outputs), before, environment)
        kept = {output.name: outputs[output.name].copy() if output.name in outputs else None for output in call.outputs}
        result = None if status else call.result(kept)
        return {
            "result": tuple(result) if isinstance(result, tuple) else result,
            "raised": f"status {status}" if status else None,
            "faults": faults,
            "inputs": list(inputs),
            "outputs": [output.name for output in call.outputs],
            "optional": list(call.optional),
        }


def _side(request: dict[str, Any], name: str) -> Side:
    side: Side = request["sides"].get(name, request["side"])
    return side


def _hold(rooms: Rooms, name: str, value: Any, request: dict[str, Any]) -> Any:
    array = rooms.hold(name, value.dtype, value.shape, _side(request, name))
    array[...] = value
    return array


def _room(rooms: Rooms, output: Output, request: dict[str, Any]) -> Any:
    array = rooms.hold(output.name, output.dtype, output.shape, _side(request, output.name))
    array.view(np.uint8)[...] = request["fill"]
    return array


def _seal(rooms: Rooms, request: dict[str, Any]) -> None:
    for name in request["sealed"]:
        rooms.seal(name)


def _faults(
    rooms: Rooms,
    inputs: dict[str, Any],
    placed: dict[str, Any],
    outputs: list[str],
    before: tuple[int, ...],
    environment: Environment,
) -> Faults:
    """Return what a call did beside its work."""
    after = environment.read()
    environment.restore()
    found = []
    for name in (*outputs, *inputs):
        damage = rooms.damage(name)
        if damage:
            found.append(["out-of-bounds write", name, f"wrote {damage}", "no byte outside its outputs is written"])
    for name, array in inputs.items():
        if placed[name].tobytes() != array.tobytes():
            found.append(["modified input", name, "changed by the call", "left as it was"])
    kind, settings = change(before, after)
    if kind:
        found.append([kind, "floating-point environment", settings, "left as it was"])
    return found


def host(request: dict[str, Any]) -> Host:
    """Return the kernel that a request names. Errors: whatever importing or loading it does."""
    if request["kind"] == "c":
        return CHost(request["path"], request["abi"])
    return PythonHost(request["module"], request["object"])


def _only_in(process: int) -> None:
    """End a copy of the process that the kernel made and let return: two would answer where one was asked."""
    if os.getpid() != process:
        os._exit(0)


def serve(requests: Any, answers: Any) -> None:
    """Answer requests until there are no more."""
    environment, process = Environment(), os.getpid()
    before = environment.read()
    try:
        kernel = host(receive(requests))
        offered = kernel.offer()
    except (Exception, SystemExit) as error:
        send(answers, {"error": told(error)})
        return
    _only_in(process)
    after = environment.read()
    environment.restore()
    send(answers, {**offered, "loading": list(change(before, after))})
    rooms = Rooms()
    while True:
        try:
            request = receive(requests)
        except EOFError:
            return
        answer = kernel.call(request, rooms, environment)
        _only_in(process)
        send(answers, answer)


def main() -> None:
    """Run the process."""
    requests, answers = (int(argument) for argument in sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_WRITTEN, MOST_WRITTEN))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    with os.fdopen(requests, "rb") as incoming, os.fdopen(answers, "wb") as outgoing:
        serve(incoming, outgoing)


if __name__ == "__main__":
    main()
