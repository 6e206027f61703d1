"""Arrays as they are written in a test: row by row."""

from typing import Any

import numpy as np


def float32(*rows: list[Any]) -> Any:
    """Return the rows, as many as there are, as float32."""
    return np.array(rows, np.float32)


def int8(*rows: list[int]) -> Any:
    """Return the rows as int8."""
    return np.array(rows, np.int8)
