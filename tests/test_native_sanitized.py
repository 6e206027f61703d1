"""The native kernel under the compiler's sanitizers, and on the paths that this processor lacks."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from q35ref.backends.native.build import build
from q35ref.backends.native.library import load
from tests.native_kernel import EMPTY, ISAS, SANITIZE, compiles, library_of, needs_address, needs_native

pytestmark = [needs_native, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[1]
NO_SIMDE = compiles(f"#include <simde/x86/avx512.h>\n{EMPTY}")
needs_simde = pytest.mark.skipif(bool(NO_SIMDE), reason=f"Debian's libsimde-dev is not installed: {NO_SIMDE}")

OVERRUN = """
import ctypes
from q35ref.backends.native.library import load
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
q = (ctypes.c_int8 * 32)()
packed = libc.malloc(7)
print(load().call("q35_pack", ctypes.addressof(q), 32, 1, 1, packed))
"""
"""Calls the kernel with a buffer of 7 bytes where it writes 14."""

TOUCH = """
import numpy as np
from q35ref.backends.native.library import load
from tests.native_kernel import Guarded
packed = Guarded(at_end=True).array(np.zeros((1, 7), np.uint8))
load().call("q35_pack", np.zeros((1, 32), np.int8), 32, 1, 1, packed)
"""
"""The same against a page that must not be touched."""


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python at the project's root."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def under_address_sanitizer(library: Path) -> dict[str, str]:
    """Return the environment in which Python runs a sanitized library; Python itself leaks a little at its end."""
    runtime = library_of("libasan.so")
    if runtime is None:  # compilers come without it on some systems, and Python cannot be run under it then
        pytest.skip("the compiler's libasan.so, which Python must load first, is not found")
    options = {"ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
    return {"LD_PRELOAD": str(runtime), "Q35_NATIVE_LIBRARY": str(library), **options}


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build with the address and undefined-behaviour sanitizers."""
    return build(tmp_path_factory.mktemp("sanitized") / "address.so", sanitize=SANITIZE)


@needs_address
@pytest.mark.parametrize("isa", ISAS)
def test_the_checks_pass_under_the_address_sanitizer(isa: str, sanitized: Path) -> None:
    if isa not in load().isas:
        pytest.skip(f"this processor has no {isa}")
    environment = {**under_address_sanitizer(sanitized), "Q35_NATIVE_ISA": isa}
    done = python("-m", "q35ref", "check", "native", "--level", "1", "--quiet", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "20 passed, 0 failed, 0 not checked: conforms" in done.stdout


@needs_address
@pytest.mark.parametrize("parts", [("first",), ("safety", "edges", "rows", "callers")], ids="-".join)
def test_tests_of_the_kernel_pass_under_the_address_sanitizer(parts: tuple[str, ...], sanitized: Path) -> None:
    """A few problems, by which mutants are judged too; then the rest: what is refused must be refused before it is
    used, and edges, long rows and odd callers."""
    files = [f"tests/test_native_{part}.py" for part in parts]
    command = ("-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "--hypothesis-profile=dev", *files)
    done = python(*command, **under_address_sanitizer(sanitized))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert " passed" in done.stdout, "a library that cannot be loaded has all tests skipped"


@needs_address
def test_the_address_sanitizer_would_see_an_overrun(sanitized: Path) -> None:
    done = python("-c", OVERRUN, **under_address_sanitizer(sanitized))
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr


def test_a_forbidden_page_would_end_the_process() -> None:
    assert python("-c", TOUCH).returncode == -signal.SIGSEGV


@needs_simde
def test_the_paths_that_this_processor_lacks_are_safe_too(tmp_path: Path) -> None:
    """With SIMDe's intrinsics, in portable C: the same tests as for the paths that it has."""
    missing = [isa for isa in ISAS if isa not in load().isas]
    if not missing:
        pytest.skip("this processor has every path")
    library = build(tmp_path / "simde.so", simde=True)
    command = (
        "-m",
        "pytest",
        "-q",
        "-n0",
        "-p",
        "no:cacheprovider",
        "--hypothesis-profile=dev",
        "-k",
        " or ".join(missing),
    )
    files = [f"tests/test_native{part}.py" for part in ("", "_safety", "_edges", "_rows", "_callers")]
    done = python(*command, *files, Q35_NATIVE_LIBRARY=str(library))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout


THREADS = """
import os
import numpy as np
from tests.native_kernel import using
with using(threads=3) as native:
    native.pack(np.zeros((32, 64), np.int8), "dense")
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted where Linux shows them")
def test_all_is_the_same_with_threads_for_the_smallest_work(tmp_path: Path) -> None:
    """Of the kernel as it is built, small matrices are one thread's; here every column may be another's."""
    library = build(tmp_path / "threads.so", extra=("-DLEAST_WORK=1",))
    files = [f"tests/test_native{part}.py" for part in ("", "_safety", "_edges", "_rows", "_callers")]
    command = ("-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "--hypothesis-profile=dev", *files)
    done = python(*command, Q35_NATIVE_LIBRARY=str(library))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    few = [int(python("-c", THREADS, Q35_NATIVE_LIBRARY=path).stdout) for path in ("", str(library))]
    assert few[1] == few[0] + 2, "the small work is given to two threads more"
