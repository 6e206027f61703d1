"""Which instruction sets the native kernel offers, and which it uses."""

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from q35ref.backends.native.build import build
from q35ref.backends.native.library import ISA_VARIABLE, LIBRARY_VARIABLE, load
from tests.native_kernel import ISAS, SANITIZE, SANITIZERS, needs_native, program, using

pytestmark = needs_native

BAD_ARGUMENT = 1
ASKED = "-DCPU_HAS(feature)=__extension__({ extern int test_cpu_has(const char *); test_cpu_has(feature); })"
"""Has the kernel ask the program which features the processor has."""

CPU_INFO = Path("/proc/cpuinfo")
IS_X86 = platform.machine().lower() in ("x86_64", "amd64")
AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vbmi", "avx512_vnni"}
"""Features that the path for AVX-512 needs, by Linux's names."""


@pytest.mark.slow
@pytest.mark.skipif(not IS_X86, reason="elsewhere there is one instruction set")
def test_an_instruction_set_is_offered_where_the_processor_has_all_that_it_needs(tmp_path: Path) -> None:
    """On every processor that there could be; a planted feature is seen."""
    library = build(tmp_path / "asks.so", sanitize=SANITIZE if SANITIZERS else "", extra=(ASKED,))
    found = subprocess.run([program("dispatch.c", library, *SANITIZERS)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "right on 128 processors\n", "")
    planted = program("dispatch.c", library, *SANITIZERS, "-DPLANT_A_FEATURE")
    found = subprocess.run([planted], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "wrong with the features 0\n")


@pytest.mark.skipif(not (IS_X86 and CPU_INFO.exists()), reason="Linux on x86-64 names the processor's features")
@pytest.mark.skipif(LIBRARY_VARIABLE in os.environ, reason="that build may have paths that the processor lacks")
def test_the_instruction_sets_are_those_of_this_processor() -> None:
    line = next(line for line in CPU_INFO.read_text().splitlines() if line.startswith("flags"))
    has = set(line.split())
    offered = {"avx512": has >= AVX512, "avx2": "avx2" in has, "scalar": True}
    assert load().isas == tuple(isa for isa in ISAS if offered[isa])


def test_the_fastest_is_used_unless_another_is_asked_for() -> None:
    code = "from q35ref.backends.native.library import load; print(load().isa, *load().isas)"
    environment = {name: value for name, value in os.environ.items() if name != ISA_VARIABLE}
    for asked in ("", *load().isas):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**environment, **({ISA_VARIABLE: asked} if asked else {})}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        used, *offered = done.stdout.split()
        assert used == (asked or offered[0])


@pytest.mark.parametrize("isa", ISAS)
def test_the_one_that_is_asked_for_is_used(isa: str) -> None:
    with using(isa) as native:
        assert native.library.isa == isa


def test_one_that_is_not_there_is_refused_and_changes_nothing() -> None:
    functions = ctypes.CDLL(str(load().path.resolve()))
    functions.q35_native_isa_at.argtypes, functions.q35_native_isa_at.restype = (ctypes.c_int32,), ctypes.c_char_p
    with using() as native:
        before = native.library.isa
        for name in (None, b"", b"avx", b"scalar2"):
            assert functions.q35_native_use_isa(name) == BAD_ARGUMENT
        with pytest.raises(ValueError, match=r"expected one of .*scalar, got 'sse'"):
            native.library.use_isa("sse")
        assert native.library.isa == before
    number = len(load().isas)
    for place in (-1, -(2**31), number, 2**31 - 1):
        assert functions.q35_native_isa_at(place) is None
