"""The native kernel short of memory and threads, and its vector paths under the thread sanitizer."""

import shutil
import subprocess
from pathlib import Path

import pytest

from q35ref.backends.native.build import build
from q35ref.backends.native.library import load
from tests.native_kernel import ISAS, compiles, needs_native, program

pytestmark = [needs_native, pytest.mark.slow]

EMPTY = "int main(void) { return 0; }\n"
REPLACED = tuple(f"-D{name}=test_{name}" for name in ("malloc", "aligned_alloc", "free", "pthread_create"))
"""What has the kernel call the program's own functions."""

NO_THREAD = compiles(EMPTY, "-fsanitize=thread", "-pthread")
needs_thread = pytest.mark.skipif(bool(NO_THREAD), reason=f"the compiler has no thread sanitizer: {NO_THREAD}")


UNPLACED = "unexpected memory mapping"
"""What the thread sanitizer says where addresses are laid out too randomly for it; setarch can make them plain."""


def outcome(*command: str | Path) -> tuple[int, str, str]:
    """Return a program's exit status, output and errors."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if UNPLACED in done.stderr and shutil.which("setarch"):
        done = subprocess.run(["setarch", "-R", *words], capture_output=True, text=True, check=False)
    if UNPLACED in done.stderr or "setarch" in done.stderr:
        pytest.skip(f"the thread sanitizer cannot lay out its memory here: {done.stderr.strip()}")
    return done.returncode, done.stdout, done.stderr


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
