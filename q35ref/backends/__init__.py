"""Implementations of the format behind one protocol, by name."""

from typing import Any

from q35ref.backends.lpu import LpuBackend
from q35ref.backends.native import NativeBackend, NativeUnavailable
from q35ref.backends.numpy import NumpyBackend
from q35ref.backends.protocol import OPERATIONS, Backend, MatmulResult
from q35ref.backends.reference import ReferenceBackend

BACKENDS: dict[str, type[Any]] = {
    "reference": ReferenceBackend,
    "numpy": NumpyBackend,
    "native": NativeBackend,
    "lpu": LpuBackend,
}
"""Our own implementations, the specification first, the fastest last."""


def get(name: str) -> Backend:
    """Return one of our own backends by its name.

    Errors: ValueError for an unknown one, NativeUnavailable (a ValueError) where the native kernel was not built.

    >>> get("numpy").name
    'numpy'
    """
    if name not in BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(BACKENDS)}, got {name!r}")
    backend: Backend = BACKENDS[name]()
    return backend


def fastest() -> NativeBackend | NumpyBackend:
    """Return the fastest backend that is present.

    Errors: ValueError for a native kernel that is older than its sources, and for an environment that asks for one
    that is not there.
    """
    try:
        return NativeBackend()
    except NativeUnavailable:
        return NumpyBackend()


def present() -> dict[str, str]:
    """Return the name of each of our own backends, and why it is not there, or nothing."""
    reasons = dict.fromkeys(BACKENDS, "")
    try:
        NativeBackend()
    except ValueError as error:
        reasons["native"] = str(error)
    return reasons


__all__ = [
    "BACKENDS",
    "OPERATIONS",
    "Backend",
    "MatmulResult",
    "NativeUnavailable",
    "fastest",
    "get",
    "present",
]
