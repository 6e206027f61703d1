"""Claims on the matmul, and on the paper drafts."""

from typing import Final

from tools.assurance.claim import OTHER_IMPLEMENTATION, SAMPLED, Claim

MATMUL: Final = (
    Claim(
        "Splitting a sum into runs of rows, tiles or threads' shares, added in any order, changes nothing.",
        ("acc_append", "acc_flatten", "acc_flatten_perm", "acc_regroup", "rowSum_append", "rowSum_regroup"),
        (
            "contracts.matmul.an_accumulator_may_be_split_anywhere",
            "contracts.matmul.a_row_sum_may_be_split_anywhere",
        ),
        ("test_matmul::test_splitting_a_sum_changes_nothing", "test_claims::test_tiles_may_be_added_in_any_order"),
    ),
    Claim(
        "For int8 activations and integers within their lanes an accumulator fits int32: up to 2 097 151 rows with "
        "gain 2, 2 796 202 with gain 1. So does the sum of the activations of a legal group.",
        ("acc_fits_int32", "acc_le_bound", "accumulatorBound_fits_iff", "rowSum_fits_int32", "matmulEntry_fits_int32"),
        (
            "contracts.matmul.an_accumulator_is_within_its_bound",
            "contracts.matmul.accumulator_bounds_grow_with_the_rows",
            "reference.matmul.accumulate",
            "reference.matmul.accumulator_bound",
            "reference.matmul.row_sum",
        ),
        (
            "test_matmul::test_int32_holds_every_legal_group_and_the_limits_are_tight",
            "test_matmul::test_no_accumulator_exceeds_the_bound",
        ),
    ),
    Claim(
        "With one row more, 2 097 152 or 2 796 203, it can overflow.",
        ("acc_overflows_at", "accumulatorBound_attained"),
        ("contracts.matmul.the_accumulator_bound_is_attained",),
        (
            "test_matmul::test_int32_holds_every_legal_group_and_the_limits_are_tight",
            "test_matmul::test_the_accumulator_bound_is_attained",
            "test_claims::test_with_one_row_more_a_32_bit_register_ends_wrong",
        ),
    ),
    Claim(
        "Arithmetic that wraps around at 32 bits is exact modulo 2^32; so it yields the exact integers wherever these "
        "fit int32, as they do for all lengths above.",
        ("acc_wraps_eq", "rowSum_wraps_eq", "acc_fits_int32", "acc_wraps_exact", "rowSum_wraps_exact"),
        ("contracts.matmul.wrapped_sums_are_exact_where_the_total_fits",),
        (
            "test_claims::test_a_32_bit_register_may_wrap_on_the_way",
            "test_claims::test_biased_fields_wrap_and_come_out_right_at_the_longest_groups",
        ),
    ),
    Claim(
        "The dot product with the restored weights is the sum of scale·acc + offset·row_sum over the groups.",
        ("dot_dequantize_eq",),
        (
            "contracts.matmul.the_dot_product_is_scale_times_acc_plus_offset_times_row_sum",
            "contracts.matmul.a_matmul_entry_is_the_dot_product_of_its_groups",
        ),
        ("test_matmul::test_the_output_is_the_dot_product_with_the_restored_weights",),
    ),
    Claim(
        "Quantizing the weights moves a dot product by at most the sum of abs(a) times each weight's error bound.",
        ("dot_error_le", "dot_quantize_error_le"),
        SAMPLED,
        (
            "test_claims::test_quantizing_moves_a_dot_product_by_at_most_the_sum_of_the_bounds",
            "test_claims::test_the_bound_of_a_moved_dot_product_is_attained",
        ),
    ),
)
"""Claims on the integers of a matmul."""

EPILOGUE: Final = (
    Claim(
        "For float32 parameters and n·u < 1, n = 2G + 1, the float32 epilogue, evaluated over any binary tree of "
        "additions, with or without fused multiply-adds, is within B = n·u / (1 - n·u)·S of the exact value, if "
        "nothing overflows on the way.",
        ("epilogue_error_le", "epilogue_float32_error_le", "matmul_error_le"),
        SAMPLED,
        (
            "test_claims::test_any_tree_of_additions_with_or_without_fma_stays_within_the_bound",
            "test_matmul::test_float32_evaluation_in_any_order_stays_within_the_bound",
        ),
    ),
    Claim(
        "Nothing overflows on the way where the integers fit int32, the parameters are float32s, S < 2^127, and 2G + 1 "
        "is at most 2^23. The first holds for every legal size.",
        ("epilogue_no_overflow", "epilogue_float32_error_le", "matmulEntry_fits_int32", "matmul_no_overflow"),
        SAMPLED,
        (
            "test_claims::test_below_2_to_the_127_nothing_overflows",
            "test_claims::test_at_twice_that_something_can_overflow",
        ),
    ),
    Claim(
        "B needs no term for underflow: for float32 parameters all products and sums on the way are integer multiples "
        "of 2^-149, on which a rounding's error is at most u times the magnitude.",
        ("converted_product", "evaluate_multiple", "roundFloat32_multiple", "roundFloat32_error_le_of_multiple"),
        SAMPLED,
        ("test_claims::test_any_tree_of_additions_with_or_without_fma_stays_within_the_bound",),
    ),
    Claim(
        "An activation scale adds one rounding, n = 2G + 2, and 2^-150, under the same conditions.",
        ("scaledEpilogue_error_le",),
        SAMPLED,
        (
            "test_claims::test_any_tree_of_additions_with_or_without_fma_stays_within_the_bound",
            "test_tensor::test_matmul_is_within_the_proved_bound",
        ),
    ),
)
"""Claims on the float result of a matmul."""

DRAFTS: Final = (
    Claim(
        "The drafts' bound of half a scale for all weights is false, for every scale and zero-point; no bound at all "
        "holds for all weights.",
        ("draft_error_bound_false", "draft_error_unbounded"),
        OTHER_IMPLEMENTATION,
        ("test_claims::test_the_drafts_bound_of_half_a_scale_is_false",),
    ),
    Claim(
        "The drafts' converter wraps: of its four-bit integers in narrow rows, those above 3 come back 8 too low, "
        "those below -4 8 too high.",
        ("draft_converter_wraps",),
        OTHER_IMPLEMENTATION,
        ("test_claims::test_the_drafts_converter_wraps_every_narrow_integer_of_more_than_three_bits",),
        exhausted=True,
    ),
    Claim(
        "Of the column [-8, 7] the drafts' converter restores the weight 7 as -1.",
        ("draft_converter_wraps_on_weights",),
        OTHER_IMPLEMENTATION,
        ("test_claims::test_the_drafts_converter_turns_the_weight_7_into_minus_1",),
    ),
    Claim(
        "70e9 weights at 3.5 bits take 30.625 GB, not 19; one code a byte is 4 bits a weight.",
        ("seventyB_bytes", "columnBytes_dense", "draft_layout_saves_nothing"),
        ("reference.codec.dense_bytes", "reference.codec.pair_count"),
        ("test_claims::test_seventy_billion_weights_take_30_625_gigabytes",),
    ),
)
"""Claims on the drafts' claims."""
