"""The classic array: its products, its cycles, and what SCALE-Sim counts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from q35ref.lpu.classic import Array, cycles, run, schedule
from tools.scalesim import CASES

RECORD = json.loads((Path(__file__).parent / "classic" / "scalesim.json").read_text())
"""``python -m tools.scalesim`` writes it."""


def test_every_case_is_recorded() -> None:
    recorded = [tuple(case[name] for name in ("rows", "columns", "m", "n", "k")) for case in RECORD["cases"]]
    assert recorded == list(CASES)


@pytest.mark.parametrize("case", RECORD["cases"], ids=lambda case: "-".join(map(str, case.values())))
def test_scalesim_counts_one_cycle_less(case: dict[str, Any]) -> None:
    array = Array(case["rows"], case["columns"])
    assert cycles(array, case["m"], case["n"], case["k"]) - 1 == case["cycles"]
    assert max(event.cycle for event in schedule(array, case["m"], case["n"], case["k"])) == case["cycles"]


@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.integers(1, 30), st.integers(1, 30), st.integers(0, 99)
)
def test_the_events_make_the_product_in_the_cycles_of_the_formula(
    rows: int, columns: int, m: int, n: int, k: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    a = generator.integers(-128, 128, (m, k), np.int8)
    w = generator.integers(-128, 128, (k, n), np.int8)
    array = Array(rows, columns)
    product, taken = run(array, a, w)
    assert (product == a.astype(int) @ w.astype(int)).all()
    assert taken == cycles(array, m, n, k)


@pytest.mark.parametrize("name", ["rows", "columns"])
def test_an_array_has_a_size(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected at least 1, got 0"):
        Array(**({"rows": 1, "columns": 1} | {name: 0}))
