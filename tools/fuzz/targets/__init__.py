"""The targets by name. Each is imported when it is asked for: what it reads with may have to be instrumented first."""

from importlib import import_module
from typing import Final

from tools.fuzz.target import Target

READERS: Final = {
    "checkpoint": "checkpoints",
    "header": "checkpoints",
    "index": "indexes",
    "vectors": "vectors",
    "calls": "vectors",
    "folder": "vectors",
    "answer": "pipes",
    "session": "pipes",
    "wire": "pipes",
}
"""What reads bytes in Python, and the module that has it."""

PLANTED: Final = dict.fromkeys(
    (f"planted-{wrong}" for wrong in ("crash", "hang", "sleep", "hog", "error", "message", "warning")), "planted"
)
"""Likewise what is wrong on purpose."""

TARGETS: Final = READERS | PLANTED
"""All of them."""


def find(name: str) -> Target:
    """Return a target by its name.

    >>> find("planted-hog").what
    'takes 64 MB'
    """
    found: tuple[Target, ...] = import_module(f"tools.fuzz.targets.{TARGETS[name]}").FOUND
    return next(target for target in found if target.name == name)
