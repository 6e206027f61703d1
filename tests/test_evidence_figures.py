"""What the figures draw, from rows that are made up."""

from types import SimpleNamespace
from typing import Any

import pytest

from q35ref.evidence.figures import pareto
from q35ref.evidence.quality import QualityRow

POINTS = {
    "q35 gain 2 clip": (3.6, 0.12), "q35 gain 2 minmax": (3.6, 0.16), "INT4 clip": (4.5, 0.08),
    "INT4 asymmetric": (4.5, 0.09), "3-bit clip": (3.2, 0.20), "HQQ 4-bit": (4.6, 0.085), "q35 gain 1 clip": (3.6, 0.3),
}  # fmt: skip
"""Bits and errors of formats; of the first, the third and the fifth nothing is better in both."""


def rows(data: str, factor: float) -> list[QualityRow]:
    """Return rows of two matrices each, whose means are the points'."""
    return [
        QualityRow(data, matrix, 2, 2, name, 128, bits + side * 0.1, factor * (error + side * 0.01), None)
        for name, (bits, error) in POINTS.items()
        for matrix, side in (("a", -1), ("b", 1))
    ]


def test_the_pareto_front_is_of_what_nothing_beats_and_the_title_names_the_least_error() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'q35ref[evidence]'")
    evidence: Any = SimpleNamespace(quality=[*rows("N(0,1)", 1.0), *rows("MiniLM", 0.5)])
    figure = pareto(evidence)
    assert figure.get_suptitle().endswith("off by at least 12.0% on N(0,1), 6.0% on MiniLM")
    for axis, factor in zip(figure.axes, (1.0, 0.5), strict=True):
        (front,) = [line for line in axis.lines if line.get_label() == "Pareto front"]
        drawn = [(bits, error / factor) for bits, error in front.get_xydata().tolist()]
        assert drawn == [pytest.approx(POINTS[name]) for name in ("3-bit clip", "q35 gain 2 clip", "INT4 clip")]
