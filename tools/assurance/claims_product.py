"""Claims on what is built around the reference, and what all of it rests on."""

from typing import Final

from tools.assurance.claim import (
    IN_VECTORS,
    INPUT_OUTPUT,
    NOT_MATHEMATICAL,
    NOTHING_TO_RUN,
    OTHER_IMPLEMENTATION,
    Claim,
)

PRODUCT: Final = (
    Claim(
        "The Python reference yields what the committed vectors expect, and so do the Lean definitions, but for "
        "vectors that are left out of Lean for a listed reason.",
        IN_VECTORS,
        INPUT_OUTPUT,
        (
            "test_vectors::test_the_reference_passes_every_vector",
            "test_lean_vectors::test_the_committed_files_are_as_generated",
            "test_lean_vectors::test_no_number_of_a_vector_is_left_out_of_its_statement",
            "test_lean_vectors::test_every_vector_is_stated_or_refused_for_a_listed_reason",
        ),
    ),
    Claim(
        "The NumPy backend agrees with the reference bit for bit, a matmul's two integers included; its float result "
        "keeps to the bound.",
        OTHER_IMPLEMENTATION,
        OTHER_IMPLEMENTATION,
        (
            "test_backends::test_numpy_packs_and_unpacks_as_the_reference",
            "test_backends::test_unpacking_agrees_on_random_bytes_accepted_or_refused",
            "test_backends::test_numpy_calibrates_as_the_reference",
            "test_backends::test_numpy_quantizes_and_dequantizes_as_the_reference",
            "test_backends::test_numpy_quantizes_activations_as_the_reference",
            "test_backends::test_numpy_accumulates_as_the_reference",
            "test_oracle::test_a_correct_kernel_passes_whatever_the_seed",
        ),
    ),
    Claim(
        "The native kernel agrees with the reference bit for bit, on every instruction set, a matmul's two integers "
        "included; its float result keeps to the bound, and depends neither on the instruction set nor on the number "
        "of threads or rows.",
        OTHER_IMPLEMENTATION,
        OTHER_IMPLEMENTATION,
        (
            "test_native::test_codes_are_those_of_numpy",
            "test_native::test_parameters_are_those_of_the_reference",
            "test_native::test_integers_and_weights_are_those_of_the_reference",
            "test_native::test_activations_are_those_of_numpy",
            "test_native::test_products_are_exact_and_outputs_within_their_bound",
            "test_native::test_nothing_depends_on_threads_or_the_path",
            "test_native::test_every_path_conforms_in_portable_c",
        ),
    ),
    Claim(
        "`q35ref check` finds, cuts down and names each planted bug.",
        NOT_MATHEMATICAL,
        NOT_MATHEMATICAL,
        ("test_oracle::test_each_planted_bug_is_caught_cut_down_and_explained",),
    ),
    Claim(
        "A file is written whole or not at all.",
        NOT_MATHEMATICAL,
        INPUT_OUTPUT,
        (
            "test_atomic::test_a_killed_run_leaves_the_old_file_and_the_next_one_tidies_up",
            "test_atomic::test_an_exception_leaves_the_old_file_and_nothing_else",
            "test_checkpoints_interrupted::test_a_killed_run_leaves_the_old_file_and_the_next_one_tidies_up",
        ),
    ),
    Claim(
        "A truncated or hostile checkpoint is refused with an error that names the file.",
        NOT_MATHEMATICAL,
        INPUT_OUTPUT,
        (
            "test_checkpoints_bad_input::test_a_hostile_header_is_refused",
            "test_checkpoints_bad_input::test_a_wrong_header_length_is_refused",
            "test_checkpoints_bad_input::test_a_file_cut_short_anywhere_is_refused",
            "test_checkpoints_bad_input::test_a_file_cut_short_underfoot_is_an_error_and_no_crash",
            "test_checkpoints_bad_input::test_a_name_cannot_command_the_terminal",
            "test_checkpoints_bad_input::test_weights_that_are_not_finite_are_refused",
            "test_checkpoints_index::test_a_hostile_index_is_refused",
        ),
    ),
    Claim(
        "A checkpoint's bytes do not depend on who quantizes it: one process, several, or ones that died on the way.",
        NOT_MATHEMATICAL,
        INPUT_OUTPUT,
        (
            "test_checkpoints_sharded::test_each_shard_is_what_the_file_alone_would_be",
            "test_checkpoints_workers::test_the_bytes_do_not_depend_on_the_number_of_workers",
            "test_checkpoints_workers::test_a_worker_that_dies_is_replaced_and_its_job_done_again",
            "test_checkpoints_workers::test_after_some_deaths_the_shard_and_the_tensor_are_named",
            "test_checkpoints_workers::test_ctrl_c_ends_every_process_and_leaves_nothing",
            "test_checkpoints_workers::test_memory_is_that_of_a_tensor_however_many_there_are",
        ),
    ),
    Claim(
        "A quantized checkpoint whose record or parts are not as the schema says is refused.",
        NOT_MATHEMATICAL,
        INPUT_OUTPUT,
        (
            "test_checkpoints_schema::test_what_the_schema_refuses_the_loader_refuses",
            "test_checkpoints_schema::test_a_record_that_does_not_fit_its_parts_is_refused",
            "test_checkpoints_schema::test_codes_above_127_are_refused",
            "test_checkpoints_schema::test_set_padding_bits_are_refused",
            "test_checkpoints_schema::test_parameters_that_are_not_finite_or_scales_not_positive_are_refused",
        ),
    ),
)
"""Claims on the product."""

TRUST: Final = (
    Claim(
        "Lean's kernel accepts only proofs, and the theorems assume nothing that is false.",
        NOTHING_TO_RUN,
        NOTHING_TO_RUN,
        NOTHING_TO_RUN,
        trusted="the kernel is small and widely used. The audit that `make proofs` runs in WebAssembly demands of "
        "every constant of ours that it is no axiom, is not `unsafe`, and uses none of `sorryAx`, `Lean.ofReduceBool`, "
        "`Lean.ofReduceNat` and `Lean.trustCompiler`; it asks the kernel again for all of them but generated vectors "
        "and inductive types, whatever options their modules set, and does not look into the theorems of Lean's own "
        "library. Only "
        "`proofs/Audit.lean` collects the axioms that each theorem rests on in the end and demands that they are among "
        "`propext`, `Classical.choice` and `Quot.sound`; it needs `lake build`, which has not been run yet",
    ),
    Claim(
        "Lean compiled to WebAssembly, an unofficial build that `make proofs` uses where there is no `lake`, checks as "
        "Lean does.",
        NOTHING_TO_RUN,
        NOTHING_TO_RUN,
        (
            "test_lean_refusals::test_lean_and_its_audit_refuse",
            "test_lean_toolchain::test_wrong_digest_is_refused",
        ),
        trusted="its digest is pinned, the faults planted for it are refused, and what it accepts plain Lean should "
        "accept; `lake build` has not been run yet: the public workflow will be the first to run it",
    ),
    Claim(
        "A Lean definition says what the Python function of its name says.",
        NOT_MATHEMATICAL,
        NOT_MATHEMATICAL,
        (
            "test_vectors::test_the_reference_passes_every_vector",
            "test_lean_vectors::test_the_committed_files_are_as_generated",
        ),
        trusted="both are short and stand in files of the same name; on the vectors that are stated in Lean they are "
        "shown to agree",
    ),
    Claim(
        "CrossHair's and Z3's verdicts are right, and Python's integers and fractions are exact.",
        NOTHING_TO_RUN,
        NOTHING_TO_RUN,
        NOTHING_TO_RUN,
        trusted="they are widely used, and a claim that names a theorem, too, does not rest on CrossHair alone",
    ),
    Claim(
        "NumPy and the machine's float32 and float64 arithmetic round as IEEE 754 says.",
        NOTHING_TO_RUN,
        NOTHING_TO_RUN,
        (
            "test_claims::test_numpy_adds_multiplies_and_converts_with_one_rounding_to_float32",
            "test_numpy_float32::test_two_sum_is_exact",
            "test_numpy_float32::test_a_rounded_quotient_is_rounded_once",
            "test_numpy_float32::test_a_rounded_sum_is_rounded_once",
        ),
        trusted="the tests compare with exact rational arithmetic on drawn values only",
    ),
)
"""What everything else rests on."""
