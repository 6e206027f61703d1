"""Writes docs/assurance.md, or with ``--check`` compares the committed page with what would be written."""

import argparse
import sys
from pathlib import Path

from q35ref.atomic import write_text
from tools.assurance.claims import PARTS, PREFACE
from tools.assurance.names import collect, theorems_named_in_python
from tools.assurance.page import problems, render

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "assurance.md"
HEADLINES = ROOT / "tools" / "lean" / "headlines.txt"


def main() -> int:
    """Check the index; write or compare the page."""
    parser = argparse.ArgumentParser(prog="python -m tools.assurance", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the committed page differs")
    options = parser.parse_args()
    names = collect(ROOT)
    headlines = HEADLINES.read_text(encoding="utf-8").split()
    found = list(problems(PARTS, names, headlines, theorems_named_in_python(ROOT)))
    if not found:
        page = render(PARTS, names, PREFACE)
        if not options.check:
            write_text(PAGE, page)
        elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page:
            found = ["docs/assurance.md: is out of date: run python -m tools.assurance"]
    for problem in found:
        print(f"FAILED {problem}", file=sys.stderr)
    claims = sum(len(part.claims) for part in PARTS)
    print(f"assurance: {claims} claims, {len(names.theorems)} theorems, {len(names.contracts)} contracts")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
