"""Claims on the simulated machine."""

from typing import Final

from tools.assurance.claim import IN_VECTORS, INPUT_OUTPUT, NOT_MATHEMATICAL, OTHER_IMPLEMENTATION, Claim

LPU: Final = (
    Claim(
        "A schedule uses no memory quad, ALU, port, plane or stream twice in a cycle, for every plan that is "
        "well-formed: any M, K, N, groups and machine, with a table of unpacking that can be repeated.",
        ("schedule_free_of_conflicts",),
        OTHER_IMPLEMENTATION,
        (
            "test_lpu_simulate::test_what_is_scheduled_is_verified_exact_and_as_long_as_the_closed_form",
            "test_lpu_machine::test_a_table_uses_nothing_twice_in_an_interval",
        ),
    ),
    Claim(
        "Every operand that an instruction takes from a stream or an ALU is there in the cycle in which it is taken.",
        ("operands_present",),
        OTHER_IMPLEMENTATION,
        ("test_lpu_simulate::test_what_is_scheduled_is_verified_exact_and_as_long_as_the_closed_form",),
    ),
    Claim(
        "Each product of an activation and a weight is formed by one instruction, once, and goes to the accumulator of "
        "its row, column and group; each accumulator is begun by its first instruction and by no other.",
        ("schedule_forms_each_product_once", "product_accumulator", "accumulator_begun_first"),
        OTHER_IMPLEMENTATION,
        ("test_lpu_simulate::test_what_is_scheduled_is_verified_exact_and_as_long_as_the_closed_form",),
    ),
    Claim(
        "Summed tile by tile, a group's integers are those of the matmul.",
        ("tiled_eq_untiled",),
        OTHER_IMPLEMENTATION,
        ("test_lpu_simulate::test_tiles_change_nothing",),
    ),
    Claim(
        "The last instruction completes in the cycle that the closed form says.",
        ("schedule_total",),
        OTHER_IMPLEMENTATION,
        ("test_lpu_simulate::test_what_is_scheduled_is_verified_exact_and_as_long_as_the_closed_form",),
    ),
    Claim(
        "An all-gather between chips completes in the cycle that its closed form says.",
        OTHER_IMPLEMENTATION,
        OTHER_IMPLEMENTATION,
        (
            "test_lpu_simulate::test_what_is_scheduled_is_verified_exact_and_as_long_as_the_closed_form",
            "test_lpu_cluster::test_a_gather_takes_what_the_simulator_counts",
        ),
    ),
    Claim(
        "What the Python scheduler emits is the Lean schedule, instruction by instruction, on 26 plans; the tables of "
        "unpacking that it uses are well-formed.",
        IN_VECTORS,
        INPUT_OUTPUT,
        ("test_lean_vectors::test_the_committed_files_are_as_generated",),
    ),
    Claim(
        "The verifier refuses a unit, port, stream or link that is used twice, an operand that is not there, what is "
        "out of bounds, memory and accumulators that nothing has begun, and buffers that are not whole; what it "
        "accepts is right.",
        NOT_MATHEMATICAL,
        NOT_MATHEMATICAL,
        (
            "test_lpu_verifier::test_nothing_is_used_twice_in_a_cycle",
            "test_lpu_verifier::test_a_link_is_taken_for_as_long_as_a_word_needs",
            "test_lpu_verifier::test_operands_are_there_in_the_cycle_in_which_they_are_taken",
            "test_lpu_verifier::test_every_field_has_bounds",
            "test_lpu_verifier::test_nothing_is_read_before_it_is_written",
            "test_lpu_verifier::test_a_buffer_has_each_row_once_when_it_is_multiplied_by",
            "test_lpu_verifier::test_a_buffer_is_not_given_rows_while_it_is_multiplied_by",
            "test_lpu_verifier::test_accumulators_are_begun_and_complete",
            "test_lpu_verifier::test_an_instruction_at_another_cycle_is_refused_or_changes_nothing",
        ),
    ),
    Claim(
        "Executed, a program yields the reference's accumulators and row sums bit for bit; after an all-gather every "
        "chip has all results.",
        OTHER_IMPLEMENTATION,
        OTHER_IMPLEMENTATION,
        (
            "test_lpu_simulate::test_what_is_scheduled_is_verified_exact_and_as_long_as_the_closed_form",
            "test_lpu_simulate::test_an_accumulator_of_long_groups_does_not_overflow",
            "test_lpu_simulate::test_the_backend_is_the_simulator",
            "test_lpu_machine::test_fields_get_to_the_top_of_a_byte",
        ),
    ),
    Claim(
        "A classic array's cycles are SCALE-Sim's formula, and its recorded outputs are that minus one.",
        OTHER_IMPLEMENTATION,
        OTHER_IMPLEMENTATION,
        (
            "test_lpu_classic::test_scalesim_counts_one_cycle_less",
            "test_lpu_classic::test_the_events_make_the_product_in_the_cycles_of_the_formula",
        ),
    ),
    Claim(
        "A language model's cycles are those of simulated programs, added up as the page says.",
        OTHER_IMPLEMENTATION,
        OTHER_IMPLEMENTATION,
        (
            "test_lpu_cluster::test_a_layers_share_takes_what_the_simulator_counts",
            "test_lpu_cluster::test_a_gather_takes_what_the_simulator_counts",
            "test_lpu_cluster::test_a_deployment_adds_up",
        ),
    ),
)
"""Claims on programs, their verifier and executor, and what is calculated from them."""
