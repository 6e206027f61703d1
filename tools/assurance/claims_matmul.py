"""Claims on the matmul, and on the paper drafts."""

from typing import Final

from tools.assurance.claim import NOT_EXECUTABLE, SAMPLED, Claim

MATMUL: Final = (
    Claim(
        "Splitting a sum into groups, tiles or threads changes nothing.",
        ("acc_append", "acc_flatten", "rowSum_append"),
        (
            "contracts.matmul.an_accumulator_may_be_split_anywhere",
            "contracts.matmul.a_row_sum_may_be_split_anywhere",
        ),
        ("test_matmul::test_splitting_a_sum_changes_nothing",),
    ),
    Claim(
        "An accumulator of a legal group fits int32: up to 2 097 151 rows with gain 2, 2 796 202 with gain 1.",
        ("acc_fits_int32", "acc_le_bound"),
        (
            "contracts.matmul.an_accumulator_is_within_its_bound",
            "contracts.matmul.accumulator_bounds_grow_with_the_rows",
            "reference.matmul.accumulate",
            "reference.matmul.accumulator_bound",
            "reference.matmul.row_sum",
        ),
        ("test_lanes::test_a_group_of_the_longest_legal_length_fits_int32_and_no_longer_one_does",),
    ),
    Claim(
        "With one row more it can overflow.",
        ("acc_overflows_at", "accumulatorBound_attained"),
        ("contracts.matmul.the_accumulator_bound_is_attained",),
        ("test_matmul::test_int32_holds_every_legal_group_and_the_limits_are_tight",),
    ),
    Claim(
        "32-bit wrap-around arithmetic gives the same integers.",
        ("acc_wraps_eq",),
        ("contracts.matmul.wrapped_sums_are_exact_where_the_total_fits",),
        ("test_matmul::test_integers_are_those_of_numpy",),
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
        "Quantizing the weights moves a dot product by at most the sum of abs(a) times each weight's bound.",
        ("dot_error_le", "dot_quantize_error_le"),
        NOT_EXECUTABLE,
        ("test_matmul::test_the_output_is_the_dot_product_with_the_restored_weights",),
    ),
)
"""Claims on the integers of a matmul."""

EPILOGUE: Final = (
    Claim(
        "The float32 epilogue, evaluated over any binary tree of additions, is within B of the exact value.",
        ("epilogue_error_le",),
        SAMPLED,
        ("test_matmul::test_float32_evaluation_in_any_order_stays_within_the_bound",),
    ),
    Claim(
        "Where S < 2^127 and 2G + 1 is at most 2^23, nothing overflows on the way.",
        ("epilogue_no_overflow",),
        NOT_EXECUTABLE,
        ("test_matmul::test_the_bound_ends_where_its_denominator_does",),
    ),
    Claim(
        "No underflow term is needed: terms are integer multiples of 2^-149, and so are their sums.",
        ("roundFloat32_error_le_of_multiple", "roundFloat32_multiple"),
        NOT_EXECUTABLE,
        ("test_matmul::test_float32_evaluation_in_any_order_stays_within_the_bound",),
    ),
    Claim(
        "An activation scale adds one rounding and 2^-150.",
        ("scaledEpilogue_error_le",),
        SAMPLED,
        ("test_tensor::test_matmul_is_within_the_proved_bound",),
    ),
)
"""Claims on the float result of a matmul."""

DRAFTS: Final = (
    Claim(
        "The drafts' bound of half a scale for all weights is false, for every scale and zero-point.",
        ("draft_error_bound_false", "draft_error_unbounded"),
        NOT_EXECUTABLE,
        ("test_quantizer::test_weights_beyond_the_lane_take_its_ends",),
    ),
    Claim(
        "The drafts' converter wraps: narrow integers above 3 come back 8 too low, those below -4 8 too high.",
        ("draft_converter_wraps", "draft_converter_wraps_on_weights"),
        SAMPLED,
        ("test_oracle::test_each_planted_bug_is_caught_cut_down_and_explained",),
    ),
    Claim(
        "70e9 weights at 3.5 bits take 30.625 GB, not 19; one code a byte is 4 bits a weight.",
        ("seventyB_bytes", "columnBytes_dense", "draft_layout_saves_nothing"),
        ("reference.codec.dense_bytes",),
        ("test_tensor::test_bits_a_weight_count_everything_that_is_stored",),
    ),
)
"""Claims on the drafts' claims."""
