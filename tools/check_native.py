"""``q35ref check native`` once for each instruction set that the processor has, each in a process of its own.

python -m tools.check_native [--level 3]
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from q35ref.backends.native.library import ISA_VARIABLE, NativeUnavailable, load


def check(isa: str) -> subprocess.CompletedProcess[str]:
    """Run the checks with one instruction set."""
    command = [sys.executable, "-m", "q35ref", "check", "native", "--quiet", *sys.argv[1:]]
    return subprocess.run(command, env={**os.environ, ISA_VARIABLE: isa}, check=False, capture_output=True, text=True)


def main() -> int:
    """Run the command; return 1 if any of the processes failed, or was ended by a signal: its status is negative."""
    try:
        isas = load().isas
    except NativeUnavailable as error:
        print(f"native: not checked: {error}")
        return int(os.environ.get("Q35_REQUIRE_NATIVE") == "1")
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(check, isas))
    for isa, process in zip(isas, done, strict=True):
        print(f"native kernel, {isa}: {process.stdout}{process.stderr}", end="")
        if process.returncode:
            print(f"FAILED native kernel, {isa}: exit status {process.returncode}", file=sys.stderr)
    return int(any(process.returncode for process in done))


if __name__ == "__main__":
    sys.exit(main())
