"""Claims on rounding, quantizing and calibrating."""

from typing import Final

from tools.assurance.claim import NOT_EXECUTABLE, NOT_MATHEMATICAL, SAMPLED, Claim

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
        ("test_rounding::test_it_is_monotone",),
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
        ("test_float32::test_the_overflow_threshold_is_2_to_the_128_minus_2_to_the_103",),
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
        ("contracts.quantizer.quantize_error_is_within_the_bound",),
        ("test_quantizer::test_the_bound_is_half_a_step_inside_and_the_distance_to_the_lane_where_that_is_more",),
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
        "It also does for the restored float32, where u·abs(value) + 2^-150 is below half a step for every code.",
        ("quantize_roundedDequantize",),
        NOT_EXECUTABLE,
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
        ("test_quantizer::test_the_bound_of_a_restored_float32_adds_its_rounding",),
    ),
)
"""Claims on the quantizer."""

CALIBRATION: Final = (
    Claim(
        "With unrounded parameters every weight of its group lies in the wide lane's interval.",
        ("calibrateMinMax_covers_wide",),
        ("contracts.parameters.minmax_covers_its_group",),
        ("test_calibration::test_minmax_is_the_rule_as_it_is_written",),
    ),
    Claim(
        "With unrounded parameters and gain 2 every weight is restored within half a step, in either lane.",
        ("calibrateMinMax_error_le_half_step", "calibrateMinMax_half_step_attained_at_max"),
        SAMPLED,
        ("test_calibration::test_minmax_restores_every_weight_within_half_a_step_and_the_rounding_of_its_parameters",),
    ),
    Claim(
        "With gain 1 that is false in the narrow lane; it holds on [min + 3.5 s, min + 11.5 s].",
        ("calibrateMinMax_gain_one_false", "calibrateMinMax_gain_one_inner"),
        NOT_EXECUTABLE,
        ("test_quantizer::test_the_bound_is_attained_at_every_tie_and_beyond_both_ends",),
    ),
    Claim(
        "With rounded parameters the distance to a lane grows by at most abs(b' - b) + 8 abs(s' - s).",
        ("calibrateMinMax_rounded", "distanceToLane_perturbed"),
        ("contracts.parameters.minmax_covers_its_group",),
        ("test_calibration::test_minmax_restores_every_weight_within_half_a_step_and_the_rounding_of_its_parameters",),
    ),
    Claim(
        "A constant group is restored exactly.",
        ("calibrateMinMax_constant",),
        ("contracts.parameters.a_constant_group_is_restored",),
        ("test_calibration::test_a_constant_group_is_restored_exactly",),
    ),
    Claim(
        "Symmetric parameters cover their group up to the rounding of the scale.",
        ("calibrateSymmetric_covers",),
        ("contracts.parameters.symmetric_covers_its_group",),
        ("test_calibration::test_symmetric_is_the_rule_as_it_is_written",),
    ),
    Claim(
        "The exact clip search never does worse than min-max.",
        ("calibrateClip_error_le_minmax",),
        SAMPLED,
        (
            "test_calibration::test_clip_is_never_worse_than_minmax",
            "test_tensor::test_clip_never_does_worse_than_minmax",
        ),
    ),
    Claim(
        "Scales are positive float32s and offsets float32s, whatever the weights.",
        ("calibrateMinMax_scale_pos",),
        SAMPLED,
        ("test_calibration::test_every_method_yields_legal_parameters_for_any_weights",),
    ),
)
"""Claims on calibration."""

ACTIVATIONS: Final = (
    Claim(
        "Quantized activations lie in -127 .. 127.",
        ("quantizeActivations_in_range",),
        SAMPLED,
        ("test_activations::test_minus_128_is_never_produced",),
    ),
    Claim(
        "With the unrounded scale every activation is restored within half a step; with the rounded one, within what "
        "the rounding adds.",
        ("quantizeActivations_error_le_half_step", "quantizeActivations_rounded_error_le"),
        ("contracts.parameters.activations_are_restored_within_half_a_step",),
        ("test_activations::test_the_error_is_half_a_step_and_what_the_scale_lost_in_rounding",),
    ),
    Claim(
        "NaN and infinities are refused by name, never mapped.",
        NOT_MATHEMATICAL,
        NOT_MATHEMATICAL,
        (
            "test_activations::test_what_is_not_finite_is_refused_by_name",
            "test_quantizer::test_what_is_not_finite_is_refused_by_name",
        ),
    ),
)
"""Claims on activations."""
