"""Claims on the gates: each fails when what it guards is broken, as planted failures show."""

from typing import Final

from tools.assurance.claim import NOT_MATHEMATICAL, Claim


def fires(gate: str, on: str, *tests: str) -> Claim:
    """Return the claim that a gate fails on something, which the tests plant."""
    return Claim(f"`make {gate}` fails on {on}.", NOT_MATHEMATICAL, NOT_MATHEMATICAL, tests)


GATES: Final = (
    fires(
        "lint",
        "a file that is not formatted, a name that is not used, and a type that does not fit",
        "test_gates::test_lint_refuses",
    ),
    fires(
        "unit",
        "a branch of the reference that no test takes, and a warning",
        "test_gates::test_an_uncovered_branch_fails",
        "test_gates::test_a_warning_fails",
    ),
    fires(
        "conformance",
        "a backend, ours or anybody's, that gives a wrong number, crashes or hangs, and on a fault in the reference",
        "test_cli::test_a_faulty_target_exits_with_one_and_its_finding",
        "test_gates::test_every_path_of_the_native_kernel_is_checked",
        "test_gates::test_a_native_kernel_that_is_not_there_fails_where_it_is_required",
        "test_contributing::test_every_backend_is_held_to_conformance",
        "test_contributing::test_every_rule_refuses_a_wrong_result",
        "test_check_reference::test_a_fault_planted_in_the_reference_is_found",
    ),
    fires(
        "contracts",
        "misspelt, impossible, false, missing, weakened and unconfirmed contracts, and on excuses that are not needed",
        "test_crosshair_gate::test_the_command_fails_if_there_is_a_problem",
        "test_crosshair_gate::test_misspelt_post_is_refused",
        "test_crosshair_gate::test_impossible_pre_fails",
        "test_crosshair_gate::test_false_post_fails",
        "test_crosshair_gate::test_no_contract_at_all_fails",
        "test_crosshair_gate::test_unconfirmed_contract_fails",
        "test_crosshair_gate::test_removed_added_and_weakened_contracts_are_noticed",
        "test_crosshair_gate::test_excuses_must_be_needed_and_few",
        "test_crosshair_gate::test_crosshair_that_hangs_fails",
    ),
    fires(
        "proofs",
        "missing proofs, axioms, trust in the compiler, warnings, files that nothing imports, and headlines that are "
        "no theorems",
        "test_lean_refusals::test_text_is_refused",
        "test_lean_refusals::test_lean_and_its_audit_refuse",
        "test_lean_refusals::test_headlines_must_be_public_theorems",
        "test_lean_roots::test_file_that_nothing_imports_is_refused",
        "test_lean_build::test_warnings_and_errors_fail_and_what_imports_them_is_not_checked",
    ),
    fires(
        "vectors",
        "a vector, or its statement in Lean, that is missing, changed or not generated",
        "test_vectors::test_a_difference_is_found_and_named",
        "test_vectors::test_a_missing_short_or_strange_file_is_named",
        "test_lean_vectors::test_a_missing_a_changed_and_an_extra_file_are_named",
    ),
    fires(
        "claims",
        "a page that is not what its source says, on a claim that nothing holds, and on a mutant that is recorded as a "
        "survivor without a reason",
        "test_gates::test_a_page_that_somebody_edited_is_refused",
        "test_assurance::test_a_claim_that_nothing_holds_is_a_problem",
        "test_assurance::test_gaps_are_problems",
        "test_assurance::test_the_command_fails_on_a_problem_of_the_index",
        "test_mutation_page::test_a_page_that_is_out_of_date_or_unexplained_is_noticed",
    ),
    fires(
        "examples",
        "a command that prints something else than the page says, or ends otherwise",
        "test_run_readme::test_a_wrong_example_is_found",
        "test_run_readme::test_a_page_without_examples_fails",
    ),
    fires(
        "docs",
        "a link that leads nowhere, a page that no contents list, and a public name without its words",
        "test_docs::test_what_is_broken_or_missing_fails_the_build",
        "test_docs::test_a_broken_site_is_told_of",
    ),
    fires(
        "dist",
        "a file too many or too few in the wheel or sdist, and on one that does not install or work, the sdist also "
        "without a compiler",
        "test_distribution::test_a_damaged_wheel_is_refused",
        "test_distribution::test_a_damaged_sdist_is_refused",
        "test_distribution::test_what_does_not_work_is_told_with_what_was_printed",
        "test_distribution::test_what_cannot_be_installed_fails_the_trial",
        "test_distribution::test_the_tool_fails_if_a_step_does",
        "test_distribution::test_the_tool_tries_all_three_and_fails_if_anything_of_one_does",
    ),
    fires(
        "fuzz",
        "an input that crashes, hangs, takes too much memory or gets no short answer, in Python and in C",
        "test_fuzz::test_what_is_planted_is_found_saved_and_found_again",
        "test_fuzz::test_what_is_planted_in_c_is_found",
        "test_fuzz::test_libfuzzer_finds_what_is_planted_in_c",
    ),
    fires(
        "mutation",
        "a hole in the tests, and on a mutant that is listed as equivalent and is killed or stopped",
        "test_mutation::test_a_planted_hole_is_found_and_told_until_a_test_fills_it",
        "test_mutation::test_what_is_listed_as_equivalent_and_noticed_fails",
    ),
    fires(
        "soak",
        "backends that differ: the failure is kept, counted and replayed",
        "test_soak::test_a_planted_bug_is_found_kept_counted_and_replayed",
    ),
)
"""A claim for each gate, in the order of ``make test``; then those of ``.ci/run`` and of the night."""
