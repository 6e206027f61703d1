"""The machine's figures, the formats' fields and the tables of unpacking."""

from collections import Counter
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from q35ref.backends import get
from q35ref.lpu.executor import COMPUTE
from q35ref.lpu.formats import FORMATS, PERIOD, Field, stored
from q35ref.lpu.machine import LEAST, TSP_V1, Machine
from q35ref.lpu.unpacking import least_interval, table
from tests.lpu_problems import MACHINES, QUICK, SMALL, TALL


def test_the_preset_has_the_published_sizes() -> None:
    assert TSP_V1.memory_bytes == 220 * 2**20  # 88 slices of 2.5 MiB
    assert TSP_V1.hemispheres * TSP_V1.planes == 4
    assert TSP_V1.hemispheres * TSP_V1.alus * TSP_V1.lanes == 5120
    assert round(TSP_V1.peak_operations / 1e12) == 737
    assert TSP_V1.install_rate == 10_240  # 409 600 weights in 40 cycles
    assert TSP_V1.streams * TSP_V1.word_bytes * TSP_V1.hemispheres == 20_480
    assert TSP_V1.hemispheres * TSP_V1.quads * TSP_V1.word_bytes == 56_320


@pytest.mark.parametrize(
    ("change", "named"),
    [
        *(({name: least - 1}, name) for name, least in LEAST.items()),
        ({"planes": 1}, "planes"),
        ({"install_words": 3}, "install_words"),
        ({"rows": 48}, "rows"),
        ({"rows": 352}, "rows"),
        ({"rows": 8192, "lanes": 8192}, "rows"),
        ({"clock": float("nan")}, "clock"),
        ({"link_rate": float("inf")}, "link_rate"),
        ({"hemispheres": 3, "chips": 2}, "hemispheres"),
        ({"hemispheres": 36, "chips": 18}, "chips"),
    ],
)
def test_a_machine_that_no_program_can_be_written_for_is_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}: expected"):
        replace(TSP_V1, **change)


@pytest.mark.parametrize(
    ("name", "value"), [("alus", 8.5), ("rows", 320.0), ("alus", "8"), ("lanes", True), ("clock", "x")]
)
def test_a_figure_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^{name}: expected"):
        replace(TSP_V1, **{name: value})  # type: ignore[arg-type]


def test_every_figure_has_a_least_value_but_for_those_with_a_rule_of_their_own() -> None:
    assert {field.name for field in fields(Machine)} - set(LEAST) == {"name", "planes"}


def test_only_single_chips_are_joined() -> None:
    with pytest.raises(ValueError, match="chips: expected one"):
        SMALL.joined(2).joined(2)


@pytest.mark.parametrize("chips", range(2, 18))
def test_every_link_has_two_ends(chips: int) -> None:
    machine = TSP_V1.joined(chips)
    ends = [(chip, link) for chip in range(chips) for link in range(machine.lines * (chips - 1))]
    assert len(ends) <= chips * machine.links
    for chip, link in ends:
        peer, other = machine.far_end(chip, link)
        assert peer != chip
        assert (peer, other) in ends
        assert machine.far_end(peer, other) == (chip, link)
    assert Counter(machine.far_end(*end) for end in ends) == Counter(ends)


@given(st.sampled_from(sorted(FORMATS)), st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_fields_get_to_the_top_of_a_byte(name: str, k: int, n: int, seed: int) -> None:
    """Shifting, masking and joining what is stored gives each integer times a power of two."""
    weights = FORMATS[name]
    generator = np.random.default_rng(seed)
    limits = [1 << (field.width - 1) for field in weights.fields]
    q = np.stack([generator.integers(-limits[row % PERIOD], limits[row % PERIOD], n, np.int8) for row in range(k)])
    packed = stored(weights, q).reshape(n, -1, weights.period_bytes)
    for row in range(k):
        field = weights.fields[row % PERIOD]
        found = unpacked(field, packed[:, row // PERIOD])
        assert (found.view(np.int8) == q[row] << (8 - field.width)).all()


def unpacked(field: Field, stored_bytes: Any) -> Any:
    """Return a row's integers as the ALUs make them, each byte in a word with ones beside it."""
    whole = None
    for part in field.parts:
        word = stored_bytes[:, part.byte].astype(np.uint32) | np.uint32(0xFFFF0000)
        word = COMPUTE["mask"](COMPUTE["shift"](word, word, part.shift), word, part.mask)
        whole = word if whole is None else COMPUTE["or"](whole, word, 0)
    assert whole is not None
    return (whole & 0xFF).astype(np.uint8)


@pytest.mark.parametrize("layout", ["dense", "byte"])
@pytest.mark.parametrize("k", [1, 2, 15, 16, 17, 100])
def test_the_layouts_are_those_of_the_format(layout: str, k: int) -> None:
    generator = np.random.default_rng(k)
    q = generator.integers(-4, 4, (k, 3), np.int8)
    q[0::2] = generator.integers(-8, 8, q[0::2].shape)
    packed = get("numpy").pack(q, layout)  # type: ignore[arg-type]
    ours = stored(FORMATS[layout], q)
    assert (ours[:, : packed.shape[1]] == packed).all()
    assert not ours[:, packed.shape[1] :].any()


@pytest.mark.parametrize("machine", [TSP_V1, SMALL, QUICK, TALL], ids=lambda machine: machine.name)
@pytest.mark.parametrize("name", FORMATS)
def test_a_table_uses_nothing_twice_in_an_interval(machine: Machine, name: str) -> None:
    weights = FORMATS[name]
    made = table(machine, weights)
    assert made.interval >= least_interval(machine, weights)
    assert len(made.steps) == weights.operations
    for used in (
        [(step.alu, step.cycle % made.interval) for step in made.steps],
        [(place.plane, place.port, place.cycle % made.interval) for place in made.placements],
        [(fetch.outward, fetch.stream, fetch.cycle % made.interval) for fetch in made.fetches],
    ):
        assert len(set(used)) == len(used)
    assert max(step.alu for step in made.steps) < machine.alus if made.steps else name == "int8"
    assert sorted((place.plane, place.row) for place in made.placements) == [(p, r) for p in (0, 1) for r in range(8)]


@pytest.mark.parametrize("alus", range(8, 17))
def test_the_search_finds_the_fewest_cycles_for_other_machines(alus: int) -> None:
    machine = replace(TSP_V1, alus=alus)
    assert table(machine, FORMATS["dense"]).interval == least_interval(machine, FORMATS["dense"])


def test_the_real_machine_unpacks_64_rows_in_6_cycles_or_4() -> None:
    found = {name: table(TSP_V1, weights).interval for name, weights in FORMATS.items()}
    assert found == {"dense": 6, "byte": 4, "int4": 4, "int8": 4}


def test_the_machines_of_the_tests_differ() -> None:
    assert len({machine.name for machine in MACHINES}) == len(MACHINES)
