"""Programs run on data: integers exact, ``out`` within its bound, the cycles those of the closed form."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from q35ref.backends import get
from q35ref.backends.lpu import LpuBackend
from q35ref.lpu import allgather, experiment, layout
from q35ref.lpu.allgather import gathered_at
from q35ref.lpu.executor import Executor
from q35ref.lpu.formats import FORMATS
from q35ref.lpu.image import gathered_results, results
from q35ref.lpu.layout import NoRoom, chips_needed, require_residence, require_room
from q35ref.lpu.machine import TSP_V1
from q35ref.lpu.plan import Plan
from q35ref.lpu.simulate import passes, simulate
from q35ref.lpu.timing import PHASES, UNITS, activity, completion, cost, phases
from q35ref.lpu.verifier import verify
from tests.lpu_problems import MACHINES, QUICK, SMALL, Segmented, problem, small

GROUPS = st.sampled_from([0, 16, 32, 48, 64, 112])


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Return a plan of a small matmul on a small machine."""
    weights = FORMATS[draw(st.sampled_from(sorted(FORMATS)))]
    m, k, n = draw(st.integers(1, 9)), draw(st.integers(1, 300)), draw(st.integers(1, 200))
    kind = draw(st.sampled_from([Plan, Segmented]))
    gain = draw(st.sampled_from(weights.gains))
    return kind(draw(st.sampled_from(MACHINES)), weights, m, k, n, draw(GROUPS), gain)


@given(plans(), st.integers(0, 2**32 - 1))
def test_what_is_scheduled_is_verified_exact_and_as_long_as_the_closed_form(plan: Plan, seed: int) -> None:
    made = problem(plan, seed)
    verify(made.program, plan.machine, made.image.keys)
    Executor(plan.machine, made.image.memory).run(made.program)
    acc, row_sum, out = results(plan, made.image.memory)
    assert (acc == made.acc).all()
    assert (row_sum == made.row_sum).all()
    assert completion(made.program) == gathered_at(plan)
    if plan.machine.chips > 1:
        for chip in range(plan.machine.chips):
            assert (gathered_results(plan, made.image.memory, chip) == out).all()


def test_tiles_change_nothing() -> None:
    """A machine with larger tiles gives the same integers and, with one group, the same floats."""
    generator = np.random.default_rng(3)
    a = generator.integers(-128, 128, (3, 200), np.int8)
    packed = get("numpy").pack(generator.integers(-4, 4, (200, 90), np.int8), "dense")
    scale = generator.random((1, 90), np.float32)
    offset = generator.random((1, 90), np.float32)
    found: list[Any] = [
        simulate(Plan(machine, FORMATS["dense"], 3, 200, 90, 0, 2), a, packed, scale, offset).result
        for machine in (SMALL, TSP_V1)
    ]
    assert np.array_equal(found[0].acc, found[1].acc)
    assert np.array_equal(found[0].out, found[1].out)


def test_an_accumulator_of_long_groups_does_not_overflow() -> None:
    """The rows are installed at the top of a byte: 409 tiles of 640 rows are as much as 32 bits hold."""
    k = 409 * 640 + 640
    plan = Plan(TSP_V1, FORMATS["byte"], 1, k, 1, 0, 1)
    assert plan.segments == 2
    a = np.full((1, k), -128, np.int8)
    q = np.full((k, 1), -4, np.int8)
    q[0::2] = -8
    ones = np.ones((1, 1), np.float32)
    found: Any = simulate(plan, a, get("numpy").pack(q, "byte"), ones, ones).result
    assert np.array_equal(found.acc, [[[128 * 6 * k]]])


def test_too_many_columns_or_rows_are_done_in_parts() -> None:
    machine = replace(SMALL, accumulators=40)
    plan = small(m=7, k=70, n=700, group_size=16, machine=machine)
    parts = list(passes(plan))
    assert len(parts) > 1
    covered = np.zeros((plan.m, plan.n), int)
    for part in parts:
        require_room(part.plan)
        covered[part.rows, part.columns] += 1
    assert (covered == 1).all()
    made = experiment.run(plan)
    assert made.faults == 0
    assert made.largest_error < 1e-6
    assert made.cycles == sum(part.plan.total for part in parts)


def test_weights_that_a_chip_cannot_hold_are_refused_with_the_number_that_can() -> None:
    plan = Plan(TSP_V1, FORMATS["dense"], 1, 28672, 57344, 0, 2)
    with pytest.raises(NoRoom, match=r"weights: expected at most 4096 words .* got .*; 5 chips hold them"):
        experiment.run(plan)
    assert chips_needed(plan) == 5
    require_residence(replace(plan, machine=TSP_V1.joined(5)))
    with pytest.raises(NoRoom):
        require_residence(replace(plan, machine=TSP_V1.joined(4)))


def test_a_column_tile_that_no_chip_can_hold_is_refused() -> None:
    with pytest.raises(NoRoom, match="one column tile of them is too much"):
        require_residence(small(k=32 * 4096 * 2, n=1, group_size=16))
    with pytest.raises(NoRoom, match="activations: expected at most"):
        list(passes(small(k=32 * 4096 * 2, n=1, machine=replace(SMALL, addresses=4096), group_size=1 << 20)))


def test_parameters_take_room_too() -> None:
    plan = small(k=1600, n=32 * 90, group_size=16, machine=replace(SMALL, addresses=4096))
    assert plan.column_tiles * plan.groups > 4096
    with pytest.raises(NoRoom, match=r"scales: expected .*; 2 chips hold them"):
        require_residence(plan)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"m": 0}, "m"), ({"k": 0}, "k"), ({"n": -1}, "n"), ({"group_size": 8}, "group_size"),
     ({"group_size": -16}, "group_size"), ({"narrow_gain": 3}, "narrow_gain")],
)  # fmt: skip
def test_a_plan_of_no_matmul_is_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named}: expected"):
        small(**change)


def test_a_group_whose_sum_int32_cannot_hold_is_refused() -> None:
    small("int8", k=131_071)
    with pytest.raises(ValueError, match="group_size: int8 has groups of at most 131071 rows, got 131072"):
        small("int8", k=131_072)


def test_a_gather_to_a_wrong_place_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = small(n=140, machine=SMALL.joined(2))
    assert experiment.run(plan).faults == 0
    right = layout.gathered

    def wrong(plan: Plan, hemisphere: Any, column_tile: Any, row: Any) -> Any:
        return right(plan, hemisphere, column_tile, row) + 1

    monkeypatch.setattr(allgather, "gathered", wrong)
    assert experiment.run(plan).faults > 0


def test_zeros_are_no_fault() -> None:
    made = experiment.run(Plan(TSP_V1, FORMATS["dense"], 1, 1, 1, 0, 2), seed=48)
    assert made.faults == 0
    assert made.largest_error == 0


@pytest.mark.parametrize("name", ["int4", "int8"])
def test_formats_without_lanes_have_no_gain(name: str) -> None:
    with pytest.raises(ValueError, match=f"narrow_gain: expected 1 for {name}, got 2"):
        small(name, narrow_gain=2)


@given(plans())
def test_a_cost_adds_up(plan: Plan) -> None:
    made = problem(plan)
    spent = cost(plan, made.program)
    assert sum(spent.phases.values()) == spent.cycles == completion(made.program)
    assert min(spent.phases.values()) > 0
    assert set(spent.occupancy) == set(UNITS)
    assert all(0 <= share <= 1 for share in spent.occupancy.values())
    assert spent.joules == pytest.approx(plan.machine.chips * 185 * spent.cycles / 900e6)
    assert spent.memory_bytes == plan.machine.word_bytes * sum(
        len(getattr(made.program, kind)) for kind in ("read", "write", "receive")
    )
    assert spent.products_a_cycle == plan.m * plan.k * plan.n / spent.cycles
    assert spent.products < spent.peak
    assert set(spent.phases) <= set(PHASES)
    assert spent.bottleneck in spent.phases


def test_activity_over_time_is_what_is_issued() -> None:
    plan = small(m=3, k=150, n=32, machine=QUICK)
    made = problem(plan)
    busy = activity(plan, made.program, bins=plan.total)
    assert busy["multiply"].sum() * QUICK.planes == pytest.approx(len(made.program.matmul))
    assert not busy["links"].any()
    assert phases(plan)["row sums"] == plan.jobs_begin


def test_the_backend_is_the_simulator() -> None:
    generator = np.random.default_rng(5)
    a = generator.integers(-128, 128, (2, 50), np.int8)
    packed = get("numpy").pack(generator.integers(-4, 4, (50, 9), np.int8), "dense")
    scale, offset = np.ones((4, 9), np.float32), np.zeros((4, 9), np.float32)
    ours: Any = LpuBackend().matmul(a, packed, 50, "dense", 16, 2, scale, offset)
    theirs: Any = get("numpy").matmul(a, packed, 50, "dense", 16, 2, scale, offset)
    assert np.array_equal(ours.acc, theirs.acc)
    assert np.array_equal(ours.row_sum, theirs.row_sum)
    with pytest.raises(ValueError, match="a: expected"):
        LpuBackend().matmul(a[:, :-1], packed, 50, "dense", 16, 2, scale, offset)
