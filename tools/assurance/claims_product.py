"""Claims on what is built around the reference, and what all of it rests on."""

from typing import Final

from tools.assurance.claim import INPUT_OUTPUT, NOT_EXECUTABLE, NOT_MATHEMATICAL, Claim

PRODUCT: Final = (
    Claim(
        "The Lean definitions yield what the committed vectors expect, and so does the Python reference.",
        NOT_MATHEMATICAL,
        NOT_EXECUTABLE,
        (
            "test_vectors::test_the_reference_passes_every_vector",
            "test_vectors::test_the_committed_files_are_as_generated",
            "test_lean_vectors::test_the_committed_files_are_as_generated",
        ),
    ),
    Claim(
        "The NumPy backend agrees with the reference bit for bit.",
        NOT_MATHEMATICAL,
        NOT_EXECUTABLE,
        (
            "test_backends::test_numpy_packs_and_unpacks_as_the_reference",
            "test_backends::test_numpy_calibrates_as_the_reference",
            "test_backends::test_numpy_quantizes_and_dequantizes_as_the_reference",
            "test_backends::test_numpy_quantizes_activations_as_the_reference",
            "test_backends::test_numpy_accumulates_as_the_reference",
        ),
    ),
    Claim(
        "`q35ref check` finds, cuts down and names each planted bug.",
        NOT_MATHEMATICAL,
        NOT_EXECUTABLE,
        ("test_oracle::test_each_planted_bug_is_caught_cut_down_and_explained",),
    ),
    Claim(
        "A file is written whole or not at all.",
        NOT_MATHEMATICAL,
        INPUT_OUTPUT,
        (
            "test_atomic::test_a_killed_run_leaves_the_old_file_and_the_next_one_tidies_up",
            "test_checkpoints_interrupted::test_a_killed_run_leaves_the_old_file_and_the_next_one_tidies_up",
        ),
    ),
    Claim(
        "A truncated or hostile checkpoint is refused with a clear error.",
        NOT_MATHEMATICAL,
        INPUT_OUTPUT,
        ("test_checkpoints_schema::test_what_the_schema_refuses_the_loader_refuses",),
    ),
    Claim(
        "The gate on contracts fires: misspelt, impossible, false, missing, unconfirmed contracts fail.",
        NOT_MATHEMATICAL,
        NOT_EXECUTABLE,
        (
            "test_crosshair_gate::test_misspelt_post_is_refused",
            "test_crosshair_gate::test_impossible_pre_fails",
            "test_crosshair_gate::test_false_post_fails",
            "test_crosshair_gate::test_unconfirmed_contract_fails",
            "test_crosshair_gate::test_removed_added_and_weakened_contracts_are_noticed",
        ),
    ),
)
"""Claims on the product."""

TRUST: Final = (
    Claim(
        "Lean's kernel accepts only proofs.",
        NOT_MATHEMATICAL,
        NOT_EXECUTABLE,
        INPUT_OUTPUT,
        trusted="it is small and widely used, and the proofs assume no more than propext, Classical.choice and "
        "Quot.sound, which the audits of axioms check for every theorem",
    ),
    Claim(
        "Lean compiled to WebAssembly, an unofficial build that `make proofs` uses where there is no `lake`, checks as "
        "Lean does.",
        NOT_MATHEMATICAL,
        INPUT_OUTPUT,
        INPUT_OUTPUT,
        trusted="its digest is pinned, its planted faults are refused, and what it accepts plain Lean should accept; "
        "`lake build` has not been run yet: the public workflow will be the first to run it",
    ),
    Claim(
        "A Lean definition says what the Python function of its name says.",
        NOT_MATHEMATICAL,
        NOT_EXECUTABLE,
        ("test_vectors::test_the_reference_passes_every_vector",),
        trusted="both are short and stand in files of the same name; on the committed vectors they are shown to agree",
    ),
    Claim(
        "CrossHair's and Z3's verdicts are right, and Python's integers and fractions are exact.",
        NOT_MATHEMATICAL,
        NOT_EXECUTABLE,
        INPUT_OUTPUT,
        trusted="both are widely used; no claim about the numbers rests on CrossHair alone where a theorem is named",
    ),
    Claim(
        "NumPy and the machine's float32 arithmetic round as IEEE 754 says.",
        NOT_MATHEMATICAL,
        NOT_EXECUTABLE,
        (
            "test_numpy_float32::test_a_rounded_quotient_is_rounded_once",
            "test_numpy_float32::test_a_rounded_sum_is_rounded_once",
        ),
        trusted="the tests compare with exact rational arithmetic on drawn values only",
    ),
)
"""What everything else rests on."""
