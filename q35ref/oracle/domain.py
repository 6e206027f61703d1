"""The part of the format that a kernel has: many do one layout, one gain, one group size.

A problem outside is brought inside: the nearest layout, gain, group size and number of rows that the kernel has.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from q35ref.oracle.problem import Problem
from q35ref.reference.lanes import GROUP_MULTIPLE, LAYOUTS, NARROW_GAINS, group_count


@dataclass(frozen=True)
class Domain:
    """What a kernel can be asked; nothing named means all there is. Errors: ValueError for what the format lacks."""

    layouts: tuple[str, ...] = ()
    """``byte``, ``dense``."""
    narrow_gains: tuple[int, ...] = ()
    """1, 2."""
    group_sizes: tuple[int, ...] = ()
    """0 for the whole column, or multiples of 16."""
    k_multiple: int = 1
    """What K is a multiple of."""

    def __post_init__(self) -> None:
        """Demand a part of the format."""
        for layout in self.layouts:
            if layout not in LAYOUTS:
                raise ValueError(f"layouts: expected some of {', '.join(LAYOUTS)}, got {layout!r}")
        for gain in self.narrow_gains:
            if gain not in NARROW_GAINS:
                raise ValueError(f"narrow_gains: expected some of 1, 2, got {gain}")
        for size in self.group_sizes:
            if size < 0 or size % GROUP_MULTIPLE:
                raise ValueError(f"group_sizes: expected 0 or multiples of {GROUP_MULTIPLE}, got {size}")
        if not 1 <= self.k_multiple <= 4096:
            raise ValueError(f"k_multiple: expected 1 to 4096, got {self.k_multiple}")

    @property
    def whole(self) -> bool:
        """Whether it is all that the format has."""
        return self == WHOLE

    def __str__(self) -> str:
        """What is left, in words; nothing if it is all.

        >>> str(Domain(layouts=("dense",), group_sizes=(64, 128), k_multiple=16))
        'layout dense, group size 64 or 128, K a multiple of 16'
        """
        parts = []
        for name, values in (("layout", self.layouts), ("gain", self.narrow_gains), ("group size", self.group_sizes)):
            if values:
                parts.append(f"{name} {' or '.join(map(str, values))}")
        if self.k_multiple > 1:
            parts.append(f"K a multiple of {self.k_multiple}")
        return ", ".join(parts)

    def options(self) -> str:
        """Return the command's options for it, each after a blank.

        >>> Domain(layouts=("dense",), k_multiple=16).options()
        ' --layout dense --k-multiple 16'
        """
        made = [f" --layout {layout}" for layout in self.layouts]
        made += [f" --gain {gain}" for gain in self.narrow_gains]
        made += [f" --group-size {size}" for size in self.group_sizes]
        return "".join([*made, *([f" --k-multiple {self.k_multiple}"] if self.k_multiple > 1 else [])])

    def nearest(self, problem: Problem) -> Problem | None:
        """Return the problem itself if it lies inside, else the nearest one, or nothing if it has too few rows."""
        beyond = problem.k % self.k_multiple
        k = problem.k - beyond
        if not k:
            return None
        found = problem.restrict(rows=slice(0, k)) if beyond else problem
        settings = {
            "layout": _nearest(found.layout, self.layouts),
            "narrow_gain": _nearest(found.narrow_gain, self.narrow_gains),
            "group_size": _nearest(found.group_size, self.group_sizes),
        }
        if all(getattr(found, name) == value for name, value in settings.items()):
            return found
        groups = np.arange(group_count(k, int(settings["group_size"])))
        arrays = {
            name: array[groups % len(array)] if name in ("scale", "offset") else array
            for name, array in found.arrays.items()
        }
        origin = f"q35ref.oracle.{self!r}.nearest({problem.origin})" if problem.origin else ""
        return replace(found, arrays=arrays, origin=origin, **settings)


def _nearest(value: Any, allowed: tuple[Any, ...]) -> Any:
    if not allowed or value in allowed:
        return value
    if isinstance(value, str):
        return next(iter(allowed))
    return min(allowed, key=lambda each: abs(int(each) - int(value)))


WHOLE = Domain()
"""All of the format."""
