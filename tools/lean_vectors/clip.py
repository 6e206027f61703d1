"""Statements about the clip search, which has no vectors of its own: only the reference and Lean say what it finds.

The groups are some of those of ``calibrate``'s vectors; what is expected is what the reference answers.
"""

from collections.abc import Iterator
from typing import Final

from q35ref.reference import calibrate_clip
from q35ref.vectors import VectorFile
from tools.lean_vectors.literals import number
from tools.lean_vectors.statements import Written, clip

EVERY: Final = 22
"""One in so many groups of three weights and more is taken: each wants 48 ranges tried in Lean's kernel."""


def clip_statements(calibrate: VectorFile) -> Iterator[tuple[str, Written]]:
    """Yield where a group is from, and what the clip search finds for it, by both gains in turn."""
    groups = [
        (case.id, list(case.inputs["group"]))  # type: ignore[arg-type]  # the schema says that it is a list
        for case in calibrate.cases
        if case.inputs["method"] == "minmax" and len(case.inputs["group"]) >= 3  # type: ignore[arg-type]
        and "error" not in case.expected
    ]  # fmt: skip
    for index, (name, group) in enumerate(groups[::EVERY]):
        narrow_gain = 1 + index % 2
        scale, offset = calibrate_clip([number(weight) for weight in group], narrow_gain)
        yield f"the reference's answer for the group of {name}", clip(group, narrow_gain, scale, offset)
