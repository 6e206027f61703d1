"""``python -m q35ref.backends.native``: build the native kernel again, after a change or with sanitizers."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from q35ref.backends.native.build import LIBRARY, CompilerError, build


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m q35ref.backends.native", description="Build the kernel.")
    parser.add_argument("library", nargs="?", type=Path, default=LIBRARY)
    parser.add_argument("--sanitize", default="", metavar="LIST", help="for -fsanitize=, as address,undefined")
    parser.add_argument("--simde", action="store_true", help="vector intrinsics in portable C, for tests")
    options = parser.parse_args(arguments)
    try:
        print(build(options.library, sanitize=options.sanitize, simde=options.simde))
    except CompilerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
