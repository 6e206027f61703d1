"""Implementations of the format behind one protocol, by name."""

from q35ref.backends.numpy import NumpyBackend
from q35ref.backends.protocol import OPERATIONS, Backend, MatmulResult
from q35ref.backends.reference import ReferenceBackend

BACKENDS: dict[str, type[NumpyBackend] | type[ReferenceBackend]] = {
    "reference": ReferenceBackend,
    "numpy": NumpyBackend,
}
"""Our own implementations, the specification first."""


def get(name: str) -> Backend:
    """Return one of our own backends by its name. Errors: ValueError for an unknown one.

    >>> get("numpy").name
    'numpy'
    """
    if name not in BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(BACKENDS)}, got {name!r}")
    return BACKENDS[name]()


def fastest() -> Backend:
    """Return the fastest backend that is present."""
    return NumpyBackend()


__all__ = ["BACKENDS", "OPERATIONS", "Backend", "MatmulResult", "fastest", "get"]
