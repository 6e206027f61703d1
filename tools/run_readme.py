"""Run the examples of Markdown files, so that none of them can rot.

    python -m tools.run_readme README.md

A block fenced as ``console`` holds commands after ``$ `` (further lines after ``> ``) and, beneath each, what it
prints: an exact line, or one with ``...`` where anything may stand; a line ``...`` alone stands for any lines. A
command must exit with 0 unless the block ends in ``# exit status N``. A block fenced as ``python`` that holds
``>>>`` is run as a doctest, and may use the names of those above. Blocks fenced otherwise are not run.

All blocks of a file share one folder, which is empty at first; or a copy of one of the repository's, and none is run
where a program is not there, if the file says so by a comment of this form:

    <!-- The examples are run in a copy of examples/fortran, if gfortran is on the path. -->
"""

import doctest
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A fenced block: its language and text."""

SETTING = re.compile(r"^<!-- The examples are run in a copy of (\S+), if (\S+) is on the path\. -->$", re.MULTILINE)
"""What a file says of the folder and the program that its examples need."""

ROOT = Path(__file__).resolve().parents[1]
"""Where such folders are named from."""

MADE = (".venv", "*.so", "*.vvp", "*.vmfb", "vectors", "__pycache__")
"""What is not copied: what examples make."""

CONTINUED = "> "
"""What the further lines of a command begin with."""

TIMEOUT = 300
"""Seconds that one command may take."""

NOT_A_READERS = re.compile(r"(MAKE|MFLAGS|PYTEST_|Q35_).*|CI|BUILD_NUMBER|COLUMNS|LINES|(FORCE|PY)_COLORS?")
"""Variables that change what a command prints, and that whoever reads a page has not set: pytest, for one, cuts no
line short where ``CI`` is set, and make says where it enters and leaves when it is another make's child."""


@dataclass(frozen=True)
class Command:
    """One command of a block, and what it must print."""

    text: str
    expected: list[str]
    status: int


def commands(block: str) -> Iterator[Command]:
    """Yield the commands of a console block.

    >>> list(commands("$ true\\n$ false\\n# exit status 1\\n"))
    [Command(text='true', expected=[], status=0), Command(text='false', expected=[], status=1)]
    """
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        text, *lines = part.rstrip("\n").split("\n")
        while lines and (lines[0].startswith(CONTINUED) or lines[0] == CONTINUED.rstrip()):
            text += "\n" + lines.pop(0)[len(CONTINUED) :]
        status = 0
        if lines and (found := re.fullmatch(r"# exit status (\d+)", lines[-1])):
            status = int(found[1])
            lines.pop()
        yield Command(text, lines, status)


def matches(expected: list[str], printed: str) -> bool:
    """Whether what was printed is what was expected.

    >>> matches(["one", "...", "t...e"], "one\\ntwo\\nthree\\n"), matches(["one"], "two\\n")
    (True, False)
    """
    patterns = []
    for line in expected:
        if line == "...":
            patterns.append(r"(?:[^\n]*\n)*?")
        else:
            patterns.append(re.escape(line.rstrip()).replace(r"\.\.\.", r"[^\n]*") + r"[ ]*\n")
    return re.fullmatch("".join(patterns), printed) is not None


def run_console(block: str, folder: str) -> list[str]:
    """Run a console block; return what is wrong with it."""
    wrong = []
    inherited = {name: value for name, value in os.environ.items() if not NOT_A_READERS.fullmatch(name)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    for command in commands(block):
        done = subprocess.run(
            ["bash", "-c", command.text],
            cwd=folder,
            env={**inherited, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        printed = done.stdout + done.stderr
        if done.returncode != command.status:
            wrong.append(f"$ {command.text}\nexit status {done.returncode}, expected {command.status}\n{printed}")
        elif command.expected and not matches(command.expected, printed):
            expected = "\n".join(command.expected)
            wrong.append(f"$ {command.text}\n--- expected\n{expected}\n--- printed\n{printed}")
    return wrong


def run_doctest(block: str, name: str, names: dict[str, Any]) -> list[str]:
    """Run a Python block's examples with the names of earlier ones, and keep theirs; return what is wrong with them."""
    test = doctest.DocTestParser().get_doctest(block, names, name, name, 0)
    wrong: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=wrong.append, clear_globs=False)
    names.update(test.globs)
    return ["".join(wrong)] if wrong else []


def lacking(path: Path) -> str:
    """Return the program that a file's examples need and that is not there, or nothing."""
    found = SETTING.search(path.read_text())
    return found[2] if found and shutil.which(found[2]) is None else ""


def run(path: Path) -> tuple[int, list[str]]:
    """Run a file's examples; return how many blocks were run, and what is wrong with them. Errors: OSError."""
    count = 0
    wrong: list[str] = []
    names: dict[str, Any] = {}
    text = path.read_text()
    with tempfile.TemporaryDirectory() as folder:
        if found := SETTING.search(text):
            shutil.copytree(ROOT / found[1], folder, ignore=shutil.ignore_patterns(*MADE), dirs_exist_ok=True)
        for language, block in FENCE.findall(text):
            if language == "console":
                count, wrong = count + 1, wrong + run_console(block, folder)
            elif language == "python" and ">>>" in block:
                count, wrong = count + 1, wrong + run_doctest(block, str(path), names)
    return count, wrong


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def main(files: tuple[Path, ...]) -> None:
    """Run the examples of FILES; exit with 1 if one is wrong, or if a file has none."""
    failed = False
    for path in files:
        if lack := lacking(path):
            click.echo(f"{path}: not run: {lack} is not on the path")
            continue
        count, wrong = run(path)
        for text in wrong:
            click.echo(f"{path}: {text}\n", err=True)
        click.echo(f"{path}: {count} blocks run, {len(wrong)} wrong")
        failed |= bool(wrong) or count == 0
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
