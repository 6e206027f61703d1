"""The reference keeps its contracts, and does not if a fault is planted in it."""

import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import q35ref
from q35ref import contracts
from q35ref.contracts import Contract, Rejected, domain_of
from q35ref.contracts.choosers import every
from q35ref.contracts.running import EXHAUST_LIMIT
from tools.crosshair_excuses import EXCUSES

CONTRACTS = contracts.all_contracts()
SMALL = [contract for contract in CONTRACTS if every(domain_of(contract), EXHAUST_LIMIT)]
LARGE = [contract for contract in CONTRACTS if contract not in SMALL]


def as_parameter(contract: Contract) -> object:
    """Name a contract's case, and mark it if it suits CrossHair's backend for Hypothesis."""
    marks = () if contract.name in EXCUSES else (pytest.mark.symbolic,)
    return pytest.param(contract, id=contract.name.removeprefix("q35ref."), marks=marks)


@pytest.mark.parametrize("contract", [as_parameter(contract) for contract in LARGE])
@given(data=st.data())
def test_contract_holds(contract: Contract, data: st.DataObject) -> None:
    """A domain that is too large to exhaust: Hypothesis looks for arguments that violate the contract."""
    try:
        arguments = domain_of(contract).arguments(lambda low, high: data.draw(st.integers(low, high)))
    except Rejected:
        assume(False)
        raise
    assume(contract.accepts(arguments))
    assert contract.check(arguments) is None


@pytest.mark.parametrize("contract", SMALL, ids=lambda contract: contract.name.removeprefix("q35ref."))
def test_contract_holds_everywhere(contract: Contract) -> None:
    """A small domain: every argument is run."""
    outcome = contracts.run(contract, seed=1, count=1)
    assert outcome.exhausted
    assert outcome.violation is None


def round_half_up(numerator: int, denominator: int) -> int:
    """Round ties upwards."""
    return (2 * numerator + denominator) // (2 * denominator)


def groups_one_row_late(k: int, group_size: int) -> list[range]:
    """Cut a column one row too late."""
    length = min(group_size, k) or k
    starts = [0, *range(length + 1, k, length)]
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], k], strict=True)]


FAULTS = [
    pytest.param("rounding.round_half_even", round_half_up, "rounding.round_half_even_takes_ties_to_even"),
    pytest.param("codec.sign_extend", lambda field, bits: field, "codec.unpack_pair_inverts_pack_pair"),
    pytest.param("lanes.group_rows", groups_one_row_late, "lanes.groups_begin_on_a_byte"),
    pytest.param("matmul.group_rows", groups_one_row_late, "matmul.a_matmul_entry_is_the_dot_product_of_its_groups"),
    pytest.param("matmul.row_sum", lambda a: sum(a[:-1]), "matmul.a_row_sum_may_be_split_anywhere"),
]


@pytest.mark.parametrize(("target", "faulty", "law"), FAULTS, ids=[str(fault.values[0]) for fault in FAULTS])
def test_planted_fault_is_caught(monkeypatch: pytest.MonkeyPatch, target: str, faulty: object, law: str) -> None:
    """A function that is replaced while the program runs is held to the contracts of the one that it replaces."""
    monkeypatch.setattr(f"q35ref.reference.{target}", faulty)
    violations = {outcome.name: outcome.violation for outcome in contracts.run_all(seed=1, count=100)}
    assert violations[f"q35ref.contracts.{law}"] is not None


EDITS = [
    ("rounding", "(excess == 0 and floor % 2 == 1)", "excess == 0", ["rounding", "quantizer"]),
    ("codec", "(field + half) % (2 * half) - half", "field", ["codec", "columns"]),
    ("lanes", "min(start + length, k)", "min(start + length + 1, k)", ["lanes", "matmul"]),
    ("matmul", "return sum(activations)", "return sum(activations[1:])", ["matmul"]),
]


@pytest.mark.parametrize(("module", "right", "wrong", "laws"), EDITS, ids=[edit[0] for edit in EDITS])
def test_fault_in_the_source_is_caught(tmp_path: Path, module: str, right: str, wrong: str, laws: list[str]) -> None:
    """A copy of the package whose reference has been edited fails, and says where."""
    shutil.copytree(Path(q35ref.__file__).parent, tmp_path / "q35ref", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "q35ref" / "reference" / f"{module}.py"
    source = path.read_text(encoding="utf-8")
    assert source.count(right) == 1
    path.write_text(source.replace(right, wrong), encoding="utf-8")
    command = [sys.executable, "-m", "q35ref.contracts", *(f"q35ref.contracts.{law}" for law in laws)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    for law in laws:
        assert f"q35ref.contracts.check('q35ref.contracts.{law}." in done.stdout


def test_violation_is_shrunk_and_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest tie that rounding up takes to an odd integer is 1/2; its code finds it again."""
    monkeypatch.setattr("q35ref.reference.rounding.round_half_even", round_half_up)
    name = "q35ref.contracts.rounding.round_half_even_takes_ties_to_even"
    law = next(contract for contract in CONTRACTS if contract.name == name)
    violation = contracts.run(law, seed=1, count=100).violation
    assert violation is not None
    assert violation.arguments == {"floor": 0, "half": 1}
    assert violation.message == "assert rounded % 2 == 0"
    assert violation.code == f"q35ref.contracts.check({name!r}, floor=0, half=1)"
    assert contracts.check(name, floor=0, half=1) == violation
    monkeypatch.undo()
    assert contracts.check(name, floor=0, half=1) is None


def test_lists_shrink_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """One activation of 1 is enough to see that the first row is missing."""
    monkeypatch.setattr("q35ref.reference.matmul.row_sum", lambda activations: sum(activations[1:]))
    name = "q35ref.contracts.matmul.the_dot_product_is_scale_times_acc_plus_offset_times_row_sum"
    law = next(contract for contract in CONTRACTS if contract.name == name)
    violation = contracts.run(law, seed=1, count=100).violation
    assert violation is not None
    assert violation.arguments == {"activations": [1], "column": [0], "narrow_gain": 1, "scale": 0, "offset": 1}


def test_the_same_seed_runs_the_same_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample depends on the seed alone."""
    seen: list[tuple[int, ...]] = []

    def clamp(*arguments: int) -> int:
        seen.append(arguments)
        return sorted(arguments)[1]

    monkeypatch.setattr("q35ref.reference.rounding.clamp", clamp)
    law = next(c for c in CONTRACTS if c.name == "q35ref.reference.rounding.clamp")
    runs = []
    for seed in (1, 1, 2):
        seen.clear()
        contracts.run(law, seed=seed, count=20)
        runs.append(list(seen))
    assert runs[0] == runs[1] != runs[2]


def test_symbolic_backend_finds_a_needle() -> None:
    """The profile ``crosshair`` solves for an input that no sample would hit."""

    @settings(backend="crosshair", deadline=None, max_examples=20, database=None)
    @given(number=st.integers())
    def search(number: int) -> None:
        assert 3 * number != 370370367

    with pytest.raises(AssertionError):
        search()


@pytest.mark.parametrize(
    ("law", "module", "attribute", "fault"),
    [
        (
            "parameters.minmax_covers_its_group",
            "calibration",
            "calibrate_minmax",
            lambda g: (Fraction(12345), Fraction(7)),
        ),
        (
            "parameters.symmetric_covers_its_group",
            "calibration",
            "calibrate_symmetric",
            lambda g: (Fraction(1, 9), Fraction(0)),
        ),
        (
            "parameters.activations_are_restored_within_half_a_step",
            "activations",
            "quantize_activations",
            lambda row: (Fraction(1, 7), [max(-127, min(round(7 * x), 127)) for x in row]),
        ),
        (
            "quantizer.what_lies_above_gets_the_highest_integer",
            "quantizer",
            "doubled_error_bound_on_grid",
            lambda *a: 10**9,
        ),
    ],
)
def test_a_law_measures_its_slack_from_the_rule_and_not_from_the_result(
    law: str, module: str, attribute: str, fault: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any scale would be within its own distance of the right one."""
    monkeypatch.setattr(f"q35ref.reference.{module}.{attribute}", fault)
    chosen = [contract for contract in contracts.all_contracts() if contract.name == f"q35ref.contracts.{law}"]
    [outcome] = contracts.run_all(1, 100, chosen)
    assert outcome.violation is not None
