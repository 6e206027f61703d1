"""The native kernel short of memory and threads, and its vector paths under the thread sanitizer."""

from pathlib import Path

import pytest

from q35ref.backends.native.build import build
from q35ref.backends.native.library import load
from tests.native_kernel import ISAS, needs_native, needs_thread, outcome, program

pytestmark = [needs_native, pytest.mark.slow]

REPLACED = tuple(f"-D{name}=test_{name}" for name in ("malloc", "aligned_alloc", "free", "pthread_create"))
"""What has the kernel call the program's own functions."""


def test_a_shortage_is_a_status_or_changes_nothing(tmp_path: Path) -> None:
    """Each allocation fails in turn, and any of the threads; no memory is kept. A planted leak is seen."""
    library = build(tmp_path / "short.so", extra=REPLACED)
    status, said, wrong = outcome(program("shortage.c", library))
    assert (status, wrong) == (0, ""), said
    assert said.startswith("every shortage was survived")
    status, said, _ = outcome(program("shortage.c", library, "-DPLANT_A_LEAK"))
    assert (status, said) == (1, "1 allocations kept\n")


@pytest.fixture(scope="module")
def threaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build with the thread sanitizer."""
    return build(tmp_path_factory.mktemp("threaded") / "threaded.so", sanitize="thread")


@needs_thread
def test_no_path_races(threaded: Path) -> None:
    """Each instruction set that the processor has; the last while they and the number of threads are changed."""
    races = program("races.c", threaded, "-fsanitize=thread")
    for isa in (isa for isa in ISAS if isa in load().isas):
        for changing in ((), ("changing",)):
            assert outcome(races, isa, *changing) == (0, "the same 0\n", ""), isa
    planted = program("races.c", threaded, "-fsanitize=thread", "-DPLANT_A_RACE")
    status, _, wrong = outcome(planted, "scalar")
    assert status != 0
    assert "data race" in wrong
