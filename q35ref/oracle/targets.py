"""From what a user names to an object with some of the protocol's methods."""

import importlib
import inspect
import sys
from pathlib import Path

from q35ref.backends import BACKENDS, OPERATIONS, get


class TargetError(ValueError):
    """A target that cannot be found or loaded."""


def resolve(target: object) -> tuple[str, object]:
    """Return a target's name and object.

    A string is one of our own backends or ``python:MODULE:OBJECT``, where the module is looked for in the
    current folder too, and an object that is a class is made without arguments. Anything else is taken as it is.
    Errors: TargetError.
    """
    if not isinstance(target, str):
        kernel = target() if inspect.isclass(target) else target
        return str(getattr(kernel, "name", None) or type(kernel).__name__), kernel
    if target in BACKENDS:
        try:
            return target, get(target)
        except ValueError as error:
            raise TargetError(f"target {target}: {error}") from error
    kind, _, rest = target.partition(":")
    module, _, path = rest.partition(":")
    if kind != "python" or not module or not path:
        expected = ", ".join([*BACKENDS, "python:MODULE:OBJECT"])
        raise TargetError(f"target: expected one of {expected}, got {target!r}")
    return target, _load(target, module, path)


def _load(target: str, module: str, path: str) -> object:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        kernel: object = importlib.import_module(module)
        for name in path.split("."):
            kernel = getattr(kernel, name)
        if inspect.isclass(kernel):
            kernel = kernel()
        found = any(callable(getattr(kernel, operation, None)) for operation in OPERATIONS)
    except (Exception, SystemExit) as error:  # somebody's module may do anything while it is imported
        raise TargetError(f"target {target}: {type(error).__name__}: {error}") from error
    if not found:
        raise TargetError(f"target {target}: expected some of the methods {', '.join(OPERATIONS)}, found none")
    return kernel
