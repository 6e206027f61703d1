"""The C entry points under the sanitizers: with libFuzzer where there is clang, else with mutations alone."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from q35ref.backends.native.build import SOURCES, CompilerError, build, compiler
from tools.fuzz import libfuzzer
from tools.fuzz.mutate import nth_input
from tools.fuzz.outcome import Outcome
from tools.fuzz.target import SEEDS

NAME: Final = "native"
"""The target, and its folder of seeds."""

WHAT: Final = "every entry point of q35_abi.h, under the address and undefined-behaviour sanitizers"

HARNESS: Final = Path(__file__).with_name("c")

SANITIZERS: Final = "address,undefined"

CLANGS: Final = ("clang", *(f"clang-{version}" for version in range(22, 13, -1)))
"""Names under which clang goes."""

SECONDS: Final = 5
"""An input may take so long, by the clock: it is a small matrix."""

BATCH: Final = 2000
"""Inputs that one process reads."""

EMPTY: Final = "int LLVMFuzzerTestOneInput(const unsigned char *data, unsigned long size) { return !data && size; }\n"

ENVIRONMENT: Final = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:hard_rss_limit_mb=4096",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


class CannotBuild(Exception):
    """There is no compiler with the sanitizers; the text says why."""


def libfuzzer_compiler() -> str:
    """Return a clang that has libFuzzer, or nothing."""
    for name in CLANGS:
        found = shutil.which(name)
        if found:
            command = [found, "-x", "c", "-", f"-fsanitize=fuzzer,{SANITIZERS}", "-o", "/dev/null"]
            if subprocess.run(command, input=EMPTY, capture_output=True, text=True, check=False).returncode == 0:
                return found
    return ""


def lack() -> str:
    """Return why libFuzzer cannot be used, or nothing."""
    return (
        ""
        if libfuzzer_compiler()
        else "no clang with libFuzzer is installed: the C entry points get mutated seeds alone"
    )


@contextlib.contextmanager
def _compiler(path: str) -> Iterator[None]:
    """Let a build take this compiler, or the usual one if none is named."""
    if not path:
        yield
        return
    before = os.environ.get("CC")
    os.environ["CC"] = path
    try:
        yield
    finally:
        del os.environ["CC"]
        if before is not None:
            os.environ["CC"] = before


def build_library(folder: Path, clang: str = "") -> Path:
    """Build the library under the sanitizers into a folder, for libFuzzer if a clang is given. Errors: CannotBuild."""
    traced = ("-fsanitize=fuzzer-no-link",) if clang else ()
    try:
        with _compiler(clang):
            return build(folder / "libq35fuzz.so", sanitize=SANITIZERS, extra=("-DLEAST_WORK=1", *traced))
    except CompilerError as error:
        raise CannotBuild(str(error)) from error


def build_program(folder: Path, library: Path, *, clang: str = "", plants: Sequence[str] = ()) -> Path:
    """Build the harness for such a library into a folder. Errors: CannotBuild."""
    program = folder / "fuzz"
    try:
        command = [clang, f"-fsanitize=fuzzer,{SANITIZERS}"] if clang else [*compiler(), f"-fsanitize={SANITIZERS}"]
    except CompilerError as error:
        raise CannotBuild(str(error)) from error
    command += [] if clang else [str(HARNESS / "driver.c"), f"-DSECONDS={SECONDS}"]
    command += ["-fno-sanitize-recover=all", "-D_POSIX_C_SOURCE=200809L", "-O1", "-g", "-Wall", "-Wextra"]
    command += [*(f"-D{plant}" for plant in plants), f"-I{SOURCES}", str(HARNESS / "harness.c"), str(library)]
    command += [f"-Wl,-rpath,{library.parent}", "-lm", "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotBuild(f"{' '.join(command)}\n{done.stderr.strip()}")
    return program


def seeds() -> list[bytes]:
    """Return the committed inputs, in the order of their names."""
    return [path.read_bytes() for path in sorted((SEEDS / NAME).iterdir())]


def fuzz(*, runs: int = 0, seconds: float = 0, seed: int = 1, corpus: Path | None = None) -> Outcome:
    """Fuzz with libFuzzer. Errors: CannotBuild, CannotRun."""
    clang = libfuzzer_compiler()
    if not clang:
        raise CannotBuild(lack())
    with tempfile.TemporaryDirectory(prefix="q35-fuzz-") as name:
        folder = Path(name)
        kept = folder / "corpus" if corpus is None else corpus / NAME
        kept.mkdir(parents=True, exist_ok=True)
        program = build_program(folder, build_library(folder, clang), clang=clang)
        chosen = libfuzzer.options(folder, runs=runs, seconds=seconds, seed=seed)
        command = [str(program), *chosen, f"-timeout={SECONDS}", str(kept), str(SEEDS / NAME)]
        return libfuzzer.run(NAME, "libFuzzer", command, folder, {**os.environ, **ENVIRONMENT})[0]


def mutate(program: Path, *, runs: int = 0, seconds: float = 0, seed: int = 1) -> Outcome:
    """Read the seeds and so many mutations of them, or as many as there is time for, with a program of gcc's."""
    known, begun = seeds(), time.monotonic()
    outcome = Outcome(NAME, "seeds and mutations", 0, 0.0)
    wanted = len(known) + runs if runs else None
    while not outcome.failed and (wanted is None or outcome.runs < wanted):
        if seconds and time.monotonic() - begun > seconds:
            break
        count = BATCH if wanted is None else min(BATCH, wanted - outcome.runs)
        inputs = [nth_input(known, seed, outcome.runs + index) for index in range(count)]
        done = read_inputs(program, inputs)
        outcome = replace(done, runs=outcome.runs + done.runs)
    return replace(outcome, seconds=time.monotonic() - begun)


def read_inputs(program: Path, inputs: Sequence[bytes]) -> Outcome:
    """Let a program of gcc's read inputs, up to the first that ends it."""
    begun = time.monotonic()
    framed = b"".join(len(data).to_bytes(4, "little") + data for data in inputs)
    done = subprocess.run(
        [str(program)], input=framed, capture_output=True, env={**os.environ, **ENVIRONMENT}, check=False
    )
    outcome = Outcome(NAME, "seeds and mutations", len(done.stdout), time.monotonic() - begun)
    if done.returncode == 0 and len(done.stdout) == len(inputs):
        return outcome
    said = done.stderr.decode(errors="replace")
    kind, text = libfuzzer.told(said, "crash", done.returncode)
    if not said.strip():
        kind, text = "hang", f"no end after {SECONDS} s"
    return replace(outcome, kind=kind, text=text, data=inputs[max(0, len(done.stdout) - 1)])
