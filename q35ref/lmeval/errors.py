"""What can go wrong before an evaluation starts, and how optional packages are loaded."""

from importlib import import_module
from typing import Any


class Refused(ValueError):
    """An option or a model that cannot be evaluated as asked; the text names it and says what was expected."""


class LmEvalUnavailable(ImportError):
    """A package of the extra ``lmeval`` is missing; the text says which, and what to install."""


def load(name: str) -> Any:
    """Import a module of an optional package. Errors: LmEvalUnavailable.

    >>> load("no_such_package")
    Traceback (most recent call last):
    q35ref.lmeval.errors.LmEvalUnavailable: evaluation needs no_such_package: pip install 'q35ref[lmeval]'
    """
    try:
        return import_module(name)
    except ImportError as error:
        missing = error.name or name
        raise LmEvalUnavailable(f"evaluation needs {missing.split('.')[0]}: pip install 'q35ref[lmeval]'") from error
