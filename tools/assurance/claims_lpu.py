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
        "Wherever an instruction takes an operand from a stream or an ALU, there is a word in that cycle.",
        ("operands_present",),
        OTHER_IMPLEMENTATION,
        ("test_lpu_simulate::test_what_is_scheduled_is_verified_exact_and_as_long_as_the_closed_form",),
    ),
    Claim(
        "Each product of an activation and a weight is formed by one instruction, once, and goes to the accumulator of "
        "its row, column and group; each accumulator is begun by its first instruction and by no other. A block is "
        "taken to unpack what it is for: where weights lie, and their bits, are left to tests.",
        ("schedule_forms_each_product_once", "product_accumulator", "accumulator_begun_first"),
        OTHER_IMPLEMENTATION,
        ("test_lpu_simulate::test_what_is_scheduled_is_verified_exact_and_as_long_as_the_closed_form",),
    ),
    Claim(
        "Summed plane by plane and tile by tile, a group's products are the matmul's accumulator.",
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
        "out of bounds or order, memory and accumulators that nothing has begun, and buffers that are not whole or "
        "change meanwhile; an instruction at another cycle that it accepts changes no result.",
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
            "test_lpu_verifier::test_instructions_come_in_the_order_of_their_cycles",
            "test_lpu_verifier::test_operations_have_their_operands_and_immediates",
            "test_lpu_verifier::test_memory_takes_no_word_that_memory_sends",
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
        "The cycles of a language model's matrices, and of gathers on a node, are those of simulated programs; all "
        "else about models is calculated, as the page says.",
        OTHER_IMPLEMENTATION,
        OTHER_IMPLEMENTATION,
        (
            "test_lpu_cluster::test_a_layers_share_takes_what_the_simulator_counts",
            "test_lpu_cluster::test_a_gather_takes_what_the_simulator_counts",
            "test_lpu_cluster::test_times_add_up",
            "test_lpu_cluster::test_a_deployment_adds_up",
            "test_lpu_cluster::test_the_slowest_stage_sets_the_pace",
            "test_lpu_cluster::test_a_stage_holds_whole_layers_with_every_users_keys_and_values",
        ),
    ),
)
"""Claims on programs, their verifier and executor, and what is calculated from them."""
