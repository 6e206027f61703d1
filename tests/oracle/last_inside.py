"""What the ends of an interval must be: the last floats in it."""

from fractions import Fraction
from typing import Any

import numpy as np


def require_last_inside(low: Any, high: Any, exact: Fraction, bound: Fraction) -> None:
    """Demand that the ends are within a bound of a value, and that the floats beyond them are not."""
    outside = np.nextafter(low, np.float32(-np.inf)), np.nextafter(high, np.float32(np.inf))
    for value, inside in ((low, True), (high, True), (outside[0], False), (outside[1], False)):
        assert (abs(exact - Fraction(float(value))) <= bound) is inside
