"""The contracts that CrossHair need not confirm: why it cannot, and who carries them instead.

The gate still runs them, briefly: one that CrossHair refutes fails, and so does an excuse that is not needed.
"""

from typing import Final, NamedTuple


class Excuse(NamedTuple):
    """Why a contract is excused."""

    reason: str
    theorem: str
    """The Lean theorem that states it for all numbers."""
    test: str = "tests/test_contracts.py::test_contract_holds"
    """The test that runs it, with Hypothesis."""


_BINADE: Final = "the power of two that a quotient lies next to is no arithmetic of the solver's"
_FRACTION: Final = "reduces fractions: a gcd of unknown integers is a loop without a bound"
_LONG: Final = "longer than what CrossHair explores: the functions below state their contracts for a few rows"

EXCUSES: Final = {
    "q35ref.reference.float32.round_float32_parts": Excuse(_BINADE, "roundFloat32_error_le"),
    "q35ref.contracts.float32.round_float32_error_is_at_most_half_a_spacing": Excuse(_BINADE, "roundFloat32_error_le"),
    "q35ref.contracts.float32.round_float32_is_monotone": Excuse(_BINADE, "roundFloat32_mono"),
    "q35ref.contracts.float32.round_float32_fixes_float32s": Excuse(_BINADE, "roundFloat32_exact_on_grid"),
    "q35ref.contracts.float32.round_float32_takes_ties_to_even": Excuse(_BINADE, "roundFloat32_ties_to_even"),
    "q35ref.contracts.quantizer.quantize_is_the_rule_on_the_grid": Excuse(_FRACTION, "quantize_eq_onGrid"),
    "q35ref.contracts.quantizer.a_restored_weight_is_within_its_bound": Excuse(_FRACTION, "quantize_error_le"),
    "q35ref.contracts.parameters.minmax_covers_its_group": Excuse(_FRACTION, "calibrateMinMax_rounded"),
    "q35ref.contracts.parameters.a_constant_group_is_restored": Excuse(_BINADE, "roundFloat32_exact_on_grid"),
    "q35ref.contracts.parameters.symmetric_covers_its_group": Excuse(_FRACTION, "roundFloat32_error_le"),
    "q35ref.contracts.parameters.activations_are_restored_within_half_a_step": Excuse(
        _FRACTION, "quantizeActivations_error_le_half_step"
    ),
    "q35ref.contracts.matmul.a_matmul_entry_is_the_dot_product_of_its_groups": Excuse(_LONG, "dot_dequantize_eq"),
    "q35ref.contracts.columns.a_column_of_many_blocks_comes_back": Excuse(_LONG, "unpackDense_packDense"),
}
"""Each excuse by its contract's name."""
