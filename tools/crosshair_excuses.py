"""The contracts that CrossHair need not confirm: why it cannot, and who carries them instead.

The gate still runs them, briefly: one that CrossHair refutes fails, and so does an excuse that is not needed.
"""

from typing import Final, NamedTuple


class Excuse(NamedTuple):
    """Why a contract is excused."""

    reason: str
    theorem: str
    """The Lean theorem that is to state it for all numbers; until it is proved, the test alone carries it."""
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

_LAWS: Final = "q35ref.contracts"
_REFERENCE: Final = "q35ref.reference"

NEVER_EXCUSED: Final = frozenset(
    [
        *(f"{_REFERENCE}.codec.{name}" for name in ("pack_pair", "unpack_pair", "sign_extend")),
        *(f"{_REFERENCE}.codec.{name}" for name in ("pack_dense", "unpack_dense", "dense_bytes", "pair_count")),
        f"{_LAWS}.codec.unpack_pair_inverts_pack_pair",
        f"{_LAWS}.codec.pack_pair_inverts_unpack_pair",
        f"{_LAWS}.codec.sign_extension_of_four_bits_is_twos_complement",
        f"{_LAWS}.codec.sign_extension_of_three_bits_is_twos_complement",
        f"{_LAWS}.columns.a_byte_column_comes_back",
        f"{_LAWS}.columns.bytes_of_a_column_come_back",
        f"{_LAWS}.columns.unpack_dense_inverts_pack_dense",
        f"{_LAWS}.columns.pack_dense_inverts_unpack_dense",
        f"{_LAWS}.columns.a_dense_column_is_the_stream_of_its_byte_column",
        f"{_LAWS}.columns.a_dense_stream_is_read_like_the_byte_column_of_its_codes",
        f"{_LAWS}.columns.a_set_padding_bit_is_refused",
        f"{_REFERENCE}.rounding.round_half_even",
        f"{_REFERENCE}.rounding.clamp",
        f"{_LAWS}.rounding.round_half_even_is_nearest",
        f"{_LAWS}.rounding.round_half_even_takes_ties_to_even",
        f"{_LAWS}.rounding.round_half_even_is_monotone",
        f"{_LAWS}.rounding.clamp_is_nearest",
        f"{_REFERENCE}.quantizer.quantize_on_grid",
        f"{_REFERENCE}.quantizer.doubled_error_bound_on_grid",
        f"{_LAWS}.quantizer.no_integer_of_the_lane_is_nearer",
        f"{_LAWS}.quantizer.quantize_error_is_within_the_bound",
        f"{_REFERENCE}.matmul.accumulate",
        f"{_REFERENCE}.matmul.accumulator_bound",
        f"{_LAWS}.matmul.an_accumulator_is_within_its_bound",
        f"{_LAWS}.matmul.an_accumulator_may_be_split_anywhere",
        f"{_LAWS}.matmul.a_row_sum_may_be_split_anywhere",
    ]
)
"""The heart of the reference: pairs, columns up to a block, rounding, nearest codes, bounds, splitting of sums.
These must exist and be confirmed; no excuse is taken for them."""
