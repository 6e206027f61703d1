"""``python -m tools.lean``: check the proofs, with lake if it is on the path, else with Lean in WebAssembly.

Where neither can be had, it says so, and that is a failure if ``Q35_REQUIRE_PROOFS`` is 1.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.lean import toolchain
from tools.lean.lints import lint, word_problems
from tools.lean.roots import ROOTS, read_headlines, write_roots
from tools.lean.sources import SourceError, Sources, count_cases, count_theorems
from tools.lean.toolchain import LEAN_VERSION, ToolchainError, Unreachable, locked
from tools.lean.wasm_build import Verdict, WasmBuild
from tools.lean.worker import OLEANS

PROOFS: Final = Path(__file__).resolve().parents[2] / "proofs"

MEMORY_PER_JOB: Final = 6.5e9
"""What a worker can grow to, in bytes."""

CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")
"""The memory that a container may use, or the word ``max``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.lean", description="Check the Lean proofs.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="check only these and what they import")
    parser.add_argument("--jobs", type=int, default=default_jobs(), help="Lean processes, 6 GB each")
    parser.add_argument("--setup", action="store_true", help="only fetch Lean in WebAssembly")
    parser.add_argument("--write-roots", action="store_true", help="only write the files that import all others")
    options = parser.parse_args(arguments)
    headlines = read_headlines()
    if options.write_roots:
        print("\n".join(write_roots(PROOFS, headlines)) or "nothing has changed")
        return 0
    if options.setup:
        return setup()
    modules = options.modules
    problems = list(word_problems(PROOFS, modules)) if modules else lint(PROOFS, headlines)
    if problems:
        return failed(problems)
    if shutil.which("lake"):
        return check_with_lake(modules)
    return check_with_wasm(modules or ROOTS, max(1, options.jobs))


def default_jobs() -> int:
    """Return 2, or 1 where the memory is too small for two Lean processes."""
    return 2 if memory() >= 2 * MEMORY_PER_JOB else 1


def memory() -> float:
    """Return the bytes of memory that are this machine's, or this container's."""
    there = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        return min(there, float(CGROUP_LIMIT.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return there


def required() -> bool:
    """Whether it is a failure if the proofs cannot be checked."""
    return os.environ.get("Q35_REQUIRE_PROOFS", "0") not in ("", "0")


def setup() -> int:
    """Fetch the toolchain."""
    try:
        print(f"Lean {LEAN_VERSION} (WebAssembly) is in {toolchain.fetch()}")
    except ToolchainError as problem:
        return failed([str(problem)])
    return 0


def check_with_lake(modules: Sequence[str]) -> int:
    """Check with the toolchain that ``lean-toolchain`` names; a warning is a failure."""
    began = time.monotonic()
    status = subprocess.run(["lake", "build", "--wfail", *modules], cwd=PROOFS, check=False).returncode
    if status:
        return failed([f"lake build ended with status {status}"])
    print(summary(modules or ROOTS, time.monotonic() - began, "lake"))
    return 0


def check_with_wasm(modules: Sequence[str], jobs: int) -> int:
    """Check with Lean in WebAssembly, which is fetched if need be."""
    began = time.monotonic()
    try:
        home = toolchain.fetch()
    except Unreachable as problem:
        missing = f"there is no lake on the path, and Lean in WebAssembly cannot be fetched: {problem}"
        if required():
            return failed([missing])
        print(f"proofs: NOT CHECKED: {missing}")
        return 0
    except ToolchainError as problem:
        return failed([str(problem)])
    (PROOFS / OLEANS).mkdir(parents=True, exist_ok=True)
    with locked(PROOFS / OLEANS / "lock", "another make proofs in this folder"):
        print(f"proofs: Lean in up to {jobs} processes of up to 6 GB; the first answer takes a minute", flush=True)
        build = WasmBuild(home, PROOFS, jobs)
        try:
            verdicts = build.build(modules, show)
        except SourceError as problem:
            return failed([str(problem)])
        finally:
            build.stop()
    bad = [verdict for verdict in verdicts if verdict.problems]
    if bad:
        return failed([f"{len(bad)} of {len(verdicts)} modules: {', '.join(verdict.module for verdict in bad)}"])
    print(summary(modules, time.monotonic() - began, f"Lean {LEAN_VERSION} (WebAssembly)"))
    return 0


def show(verdict: Verdict) -> None:
    """Print what came out for a module."""
    if verdict.problems:
        print(f"{verdict.module}: FAILED", *verdict.problems, sep="\n  ", flush=True)
    else:
        took = "unchanged" if verdict.seconds is None else f"ok, {verdict.seconds:.1f} s"
        print(f"{verdict.module}: {took}", *verdict.notes, sep="; ", flush=True)


def summary(modules: Sequence[str], seconds: float, checker: str) -> str:
    """Return the last line: how much was checked, and by what."""
    texts = Sources(PROOFS, modules).text
    vectors = {
        module: text for module, text in texts.items() if module.startswith("Q35.Vectors.") and count_cases(text)
    }
    counts = [f"{len(texts)} modules", f"{sum(map(count_theorems, texts.values()))} theorems"]
    if vectors:
        theorems, cases = sum(map(count_theorems, vectors.values())), sum(map(count_cases, vectors.values()))
        counts.append(f"of these {theorems} with {cases} vectors")
    return f"proofs: {', '.join(counts)}, {seconds:.0f} s, {checker}: all checked"


def failed(problems: Sequence[str]) -> int:
    """Print problems; return the exit status that they are."""
    for problem in problems:
        print(f"FAILED {problem}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted: what has been checked stays so", file=sys.stderr)
        sys.exit(130)
