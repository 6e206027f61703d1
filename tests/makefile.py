"""What the tests of the gates read from the Makefile, so that they run what `make` runs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]

MAKEFILE: Final = (ROOT / "Makefile").read_text()


def expanded(makefile: str) -> str:
    """Return a Makefile with the variables that are defined by a plain ``=`` in place: commands that targets share."""
    for name, value in re.findall(r"^(\w+) = (.*)$", makefile, re.MULTILINE):
        makefile = makefile.replace(f"$({name})", value)
    return makefile


def lines(target: str, makefile: str = MAKEFILE) -> list[str]:
    """Return the lines of a target's recipe, without their tab; a continued line is one."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", expanded(makefile).replace("\\\n", " "), re.MULTILINE)
    assert found is not None, target
    return [line.removeprefix("\t") for line in found[1].splitlines()]


def recipe(target: str, makefile: str = MAKEFILE) -> list[str]:
    """Return the commands of a target of the Makefile, from where the programs are named."""
    return [command.strip() for line in lines(target, makefile) for command in re.findall(r"\$\(BIN\)/([^&]+)", line)]


def swallowed(target: str, makefile: str = MAKEFILE) -> Iterator[str]:
    """Yield the lines of a recipe whose failure `make` would not see.

    Its commands may be joined by ``&&`` alone: after ``||``, ``;``, ``|`` and ``&`` another's status counts.
    """
    for line in lines(target, makefile):
        bare = re.sub(r"\"[^\"]*\"|'[^']*'", "", line)
        if re.match(r"[@+\s]*-", bare) or re.search(r"[|;]|(?<!&)&(?!&)|\bexit\b", bare):
            yield line


def ignored(makefile: str = MAKEFILE) -> list[str]:
    """Return the lines that would make every failure count for nothing."""
    return re.findall(r"^\.(?:IGNORE|ONESHELL|SHELLFLAGS).*$|^.*\bMAKEFLAGS\b.*$", makefile, re.MULTILINE)
