"""The names of the checks: of the reference laws and vectors, of anything else the rules."""

from q35ref import contracts, vectors
from q35ref.oracle.judge import REFUSAL, RULES
from q35ref.oracle.names import check_names


def test_the_checks_of_a_kernel_are_the_rules() -> None:
    names = check_names(object())
    assert {rule.name for rule in (*RULES, REFUSAL)} < set(names)
    assert names.index("quantize.refuses_nonfinite") == names.index("quantize.integers") + 1
    assert not [name for name in names if name.startswith(("law.", "vectors."))]


def test_the_checks_of_the_reference_are_its_laws_and_the_committed_vectors() -> None:
    names = check_names("reference")
    assert names[-len(vectors.OPERATIONS) :] == [f"vectors.{operation}" for operation in vectors.OPERATIONS]
    assert all(name.startswith("law.") for name in names[: -len(vectors.OPERATIONS)])
    assert len(names) == len(contracts.all_contracts()) + len(vectors.OPERATIONS)
