"""The examples' runner: a wrong example fails, and so does a file without one."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from tools.run_readme import main, run


def block(language: str, text: str) -> str:
    return f"Words.\n\n```{language}\n{text}\n```\n"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (block("console", "$ echo one; echo two\none\n..."), 0),
        (block("console", "$ echo one; echo two\none\nt..."), 0),
        (block("console", "$ echo one\ntwo"), 1),
        (block("console", "$ echo one; echo two\none"), 1),
        (block("console", "$ exit 3"), 1),
        (block("console", "$ exit 3\n# exit status 3"), 0),
        (block("console", "$ true\n# exit status 1"), 1),
        (block("console", "$ echo kept > file\n$ cat file\nkept"), 0),
        (block("python", ">>> 1 + 1\n2"), 0),
        (block("python", ">>> 1 + 1\n3"), 1),
    ],
)
def test_a_wrong_example_is_found(text: str, wrong: int, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    count, found = run(page)
    assert (count, len(found)) == (1, wrong)
    assert CliRunner().invoke(main, [str(page)]).exit_code == wrong


def test_a_page_without_examples_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(block("text", "$ false"))
    assert CliRunner().invoke(main, [str(page)]).exit_code == 1
