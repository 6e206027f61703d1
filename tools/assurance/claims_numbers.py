"""Claims on rounding, quantizing and calibrating."""

from typing import Final

from tools.assurance.claim import OTHER_IMPLEMENTATION, REFUSAL, SAMPLED, Claim

ROUNDING: Final = (
    Claim(
        "A fraction is rounded to an integer at most one half away; none is nearer.",
        ("roundHalfEven_error_le", "roundHalfEven_nearest", "rne_error_le"),
        ("contracts.rounding.round_half_even_is_nearest", "reference.rounding.round_half_even"),
        ("test_rounding::test_it_rounds_as_python_rounds_a_fraction",),
    ),
    Claim(
        "Ties go to the even integer.",
        ("roundHalfEven_ties_to_even",),
        ("contracts.rounding.round_half_even_takes_ties_to_even",),
        ("test_rounding::test_ties_go_to_the_even_neighbour",),
    ),
    Claim(
        "Rounding is monotone, and odd.",
        ("roundHalfEven_mono", "roundHalfEven_neg"),
        ("contracts.rounding.round_half_even_is_monotone", "contracts.rounding.round_half_even_is_odd"),
        ("test_rounding::test_it_is_monotone", "test_claims::test_rounding_is_odd"),
    ),
    Claim(
        "Rounding fixes integers, and a fraction need not be reduced.",
        ("roundHalfEven_mul", "roundHalfEven_scale"),
        (
            "contracts.rounding.round_half_even_fixes_integers",
            "contracts.rounding.round_half_even_does_not_need_reduced_fractions",
        ),
        ("test_rounding::test_integers_stay", "test_rounding::test_the_fraction_need_not_be_reduced"),
    ),
    Claim(
        "Clamping yields the nearest integer within the limits, and is monotone.",
        ("clamp_nearest", "clamp_in_range", "clamp_mono"),
        (
            "contracts.rounding.clamp_is_nearest",
            "contracts.rounding.clamp_fixes_the_interval",
            "contracts.rounding.clamp_is_monotone",
            "reference.rounding.clamp",
        ),
        ("test_rounding::test_clamp_is_the_nearest_integer_of_the_interval",),
    ),
)
"""Claims on rounding to integers."""

FLOAT32: Final = (
    Claim(
        "RN32's error is at most u·abs(x) from 2^-126 up, and at most 2^-150 below.",
        ("roundFloat32_error_le",),
        (
            "contracts.float32.round_float32_error_is_at_most_half_a_spacing",
            "reference.float32.round_float32_parts",
        ),
        ("test_float32::test_the_error_is_at_most_u_times_x_or_half_the_smallest_subnormal",),
    ),
    Claim(
        "RN32 fixes every integer multiple of 2^-149 of at most 24 bits, and yields nothing else.",
        ("roundFloat32_exact_on_grid", "roundFloat32_is_on_grid"),
        ("contracts.float32.round_float32_fixes_float32s",),
        ("test_float32::test_a_float32_stays", "test_float32::test_the_parts_are_within_24_bits_and_on_the_grid"),
    ),
    Claim(
        "RN32 is monotone, and no float32 is nearer.",
        ("roundFloat32_mono", "roundFloat32_nearest"),
        ("contracts.float32.round_float32_is_monotone",),
        ("test_float32::test_it_is_monotone", "test_float32::test_no_float32_is_nearer"),
    ),
    Claim(
        "RN32 takes ties to the even significand.",
        ("roundFloat32_ties_to_even",),
        ("contracts.float32.round_float32_takes_ties_to_even",),
        ("test_float32::test_midpoints_go_to_the_even_pattern_and_what_is_next_to_them_to_the_nearer",),
    ),
    Claim(
        "RN32 overflows where IEEE 754 says, from 2^128 - 2^103 on.",
        ("overflows_iff",),
        SAMPLED,
        (
            "test_float32::test_the_overflow_threshold_is_2_to_the_128_minus_2_to_the_103",
            "test_float32::test_a_double_is_converted_as_numpy_converts_it",
        ),
    ),
)
"""Claims on rounding to float32."""

QUANTIZER: Final = (
    Claim(
        "The exact quantizer is the rule on integers over any common denominator.",
        ("quantize_eq_onGrid", "quantize_eq_rne"),
        (
            "contracts.quantizer.quantize_is_the_rule_on_the_grid",
            "contracts.quantizer.the_common_denominator_cancels",
        ),
        ("test_quantizer::test_the_common_denominator_cancels", "test_quantizer::test_double_arithmetic_is_not_enough"),
    ),
    Claim(
        "The integer lies in the row's lane, and no integer of the lane is nearer to the weight.",
        ("quantize_in_range", "quantize_nearest"),
        ("contracts.quantizer.no_integer_of_the_lane_is_nearer", "reference.quantizer.quantize_on_grid"),
        ("test_quantizer::test_no_integer_of_the_lane_is_nearer",),
    ),
    Claim(
        "A weight midway between two integers of its lane gets the even one.",
        ("quantize_ties_to_even",),
        ("contracts.quantizer.quantize_takes_ties_to_even",),
        ("test_quantizer::test_each_tie_of_a_lane_goes_to_the_even_integer",),
    ),
    Claim(
        "For every weight the error is at most half a step or the distance to the lane's interval, if that is more.",
        ("quantize_error_le", "quantizeOnGrid_error_le"),
        (
            "contracts.quantizer.quantize_error_is_within_the_bound",
            "reference.quantizer.doubled_error_bound_on_grid",
        ),
        ("test_quantizer::test_no_error_exceeds_the_bound",),
    ),
    Claim(
        "Inside the lane's interval the error is at most half a step.",
        ("quantize_error_le_half_step",),
        (
            "contracts.quantizer.quantize_error_is_within_the_bound",
            "reference.quantizer.doubled_error_bound_on_grid",
        ),
        (
            "test_quantizer::test_no_error_exceeds_the_bound",
            "test_quantizer::test_the_bound_is_half_a_step_inside_and_the_distance_to_the_lane_where_that_is_more",
        ),
    ),
    Claim(
        "The bound is attained: no smaller one would do.",
        ("quantize_error_attained",),
        (
            "contracts.quantizer.half_a_step_is_attained",
            "contracts.quantizer.what_lies_above_gets_the_highest_integer",
            "contracts.quantizer.what_lies_below_gets_the_lowest_integer",
        ),
        ("test_quantizer::test_the_bound_is_attained_at_every_tie_and_beyond_both_ends",),
    ),
    Claim(
        "Quantizing an integer's exact value gives the integer back.",
        ("quantize_dequantize",),
        ("contracts.quantizer.quantize_inverts_dequantize",),
        ("test_quantizer::test_integers_come_back_from_their_exact_values",),
    ),
    Claim(
        "It also does for the restored float32, where u·abs(value) + 2^-150 is below half a step for every integer of "
        "the lane.",
        ("quantize_roundedDequantize",),
        SAMPLED,
        ("test_quantizer::test_integers_come_back_from_the_restored_float32_where_the_step_is_coarse_enough",),
    ),
    Claim(
        "A larger weight never gets a smaller integer.",
        ("quantize_mono",),
        ("contracts.quantizer.quantize_is_monotone",),
        ("test_quantizer::test_it_is_monotone",),
    ),
    Claim(
        "Rounding the restored value to float32 adds at most u·abs(value) + 2^-150 to the error.",
        ("quantize_rounded_error_le",),
        ("contracts.quantizer.a_restored_weight_is_within_its_bound",),
        (
            "test_quantizer::test_no_error_exceeds_the_bound",
            "test_quantizer::test_the_bound_of_a_restored_float32_adds_its_rounding",
        ),
    ),
)
"""Claims on the quantizer."""

CALIBRATION: Final = (
    Claim(
        "With unrounded min-max parameters every weight of its group lies in the wide lane's interval.",
        ("calibrateMinMax_covers_wide",),
        SAMPLED,
        ("test_claims::test_unrounded_minmax_covers_its_group_with_the_wide_lane",),
    ),
    Claim(
        "With unrounded min-max parameters and gain 2 every weight of the group is restored within half a step, in "
        "either lane; the largest is off by all of it in a narrow row, unless the group is constant.",
        ("calibrateMinMax_error_le_half_step", "calibrateMinMax_half_step_attained_at_max"),
        SAMPLED,
        ("test_claims::test_unrounded_minmax_restores_within_half_a_step_with_gain_2",),
    ),
    Claim(
        "With gain 1 that is false in the narrow lane; of weights up to the largest it holds on [min + 3.5 s, min + "
        "11.5 s].",
        ("calibrateMinMax_gain_one_false", "calibrateMinMax_gain_one_inner"),
        SAMPLED,
        (
            "test_claims::test_with_gain_1_the_least_weight_of_0_to_15_is_four_steps_off",
            "test_claims::test_with_gain_1_half_a_step_holds_from_3_5_to_11_5_steps_and_nowhere_else",
        ),
    ),
    Claim(
        "Rounding the min-max parameters s, b to s', b' adds at most abs(b' - b) + 8 abs(s' - s) to a weight's "
        "distance to its lane.",
        ("calibrateMinMax_rounded", "distanceToLane_perturbed"),
        ("contracts.parameters.minmax_covers_its_group",),
        (
            "test_claims::test_rounding_the_parameters_moves_a_lane_by_little",
            "test_calibration::test_minmax_restores_every_weight_within_half_a_step_and_the_rounding_of_its_parameters",
        ),
    ),
    Claim(
        "Min-max restores a constant group of a float32 value exactly.",
        ("calibrateMinMax_constant",),
        ("contracts.parameters.a_constant_group_is_restored",),
        ("test_calibration::test_a_constant_group_is_restored_exactly",),
    ),
    Claim(
        "With the unrounded symmetric scale s = absmax / 7 every weight of its group lies in [-7 s, 7 s]; with gain 2 "
        "it is restored within half a step, in either lane, unless all weights are 0.",
        ("calibrateSymmetric_covers", "calibrateSymmetric_error"),
        SAMPLED,
        ("test_claims::test_unrounded_symmetric_parameters_span_their_group",),
    ),
    Claim(
        "With the rounded symmetric scale s' and gain 2 every error is at most half a step, or 8 abs(s' - s) in a wide "
        "row and s + 8 abs(s' - s) in a narrow one, if that is more; a group of zeros is restored exactly.",
        ("calibrateSymmetric_rounded", "calibrateSymmetric_zero"),
        ("contracts.parameters.symmetric_covers_its_group",),
        (
            "test_claims::test_symmetric_parameters_lose_only_what_the_scale_loses_in_rounding",
            "test_calibration::test_symmetric_is_the_rule_as_it_is_written",
        ),
    ),
    Claim(
        "The exact clip search never has a larger squared error than min-max.",
        ("calibrateClip_error_le_minmax",),
        SAMPLED,
        ("test_calibration::test_clip_is_never_worse_than_minmax",),
    ),
    Claim(
        "The clip search in NumPy, which `quantize` uses, is as good as the exact one up to a factor of 1 + 2^-40, on "
        "an example.",
        OTHER_IMPLEMENTATION,
        OTHER_IMPLEMENTATION,
        (
            "test_tensor::test_clip_is_as_good_as_the_exact_search",
            "test_tensor::test_clip_never_does_worse_than_minmax",
        ),
    ),
    Claim(
        "For weights of at most 2^128 - 2^104 in magnitude, as finite float32s are, every method's scale is a positive "
        "finite float32 and its offset a finite float32.",
        (
            "calibrateMinMax_scale_pos",
            "calibrateMinMax_isFloat32",
            "calibrateSymmetric_scale_pos",
            "calibrateSymmetric_isFloat32",
            "calibrateClip_scale_pos",
        ),
        SAMPLED,
        (
            "test_calibration::test_every_method_yields_legal_parameters_for_any_weights",
            "test_claims::test_clip_yields_legal_parameters_for_any_weights",
        ),
    ),
)
"""Claims on calibration."""

ACTIVATIONS: Final = (
    Claim(
        "Quantized activations lie in -127 .. 127.",
        ("quantizeActivations_in_range",),
        ("contracts.parameters.activations_are_restored_within_half_a_step",),
        ("test_activations::test_minus_128_is_never_produced",),
    ),
    Claim(
        "With the unrounded scale s every activation is restored within half a step; with the rounded one s', within "
        "half a step, or 127 abs(s' - s) if that is more.",
        ("quantizeActivations_error_le_half_step", "quantizeActivations_rounded_error_le"),
        ("contracts.parameters.activations_are_restored_within_half_a_step",),
        (
            "test_claims::test_the_unrounded_activation_scale_restores_within_half_a_step",
            "test_activations::test_the_error_is_half_a_step_and_what_the_scale_lost_in_rounding",
        ),
    ),
    Claim(
        "NaN and infinities are refused by name, never mapped.",
        REFUSAL,
        REFUSAL,
        (
            "test_activations::test_what_is_not_finite_is_refused_by_name",
            "test_quantizer::test_what_is_not_finite_is_refused_by_name",
            "test_calibration::test_a_weight_that_is_not_finite_is_refused_with_its_place",
        ),
    ),
)
"""Claims on activations."""
