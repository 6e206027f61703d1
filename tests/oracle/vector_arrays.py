"""Arrays of the format's types, written as their rows."""

from typing import Any

import numpy as np

from q35ref.oracle.problem import Array


def int8(*rows: Any) -> Array:
    """Return int8 rows."""
    return np.array(rows, np.int8)


def int32(*rows: Any) -> Array:
    """Return int32 rows."""
    return np.array(rows, np.int32)


def float32(*rows: Any) -> Array:
    """Return float32 rows."""
    return np.array(rows, np.float32)
