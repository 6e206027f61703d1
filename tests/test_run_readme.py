"""The examples' runner: a wrong example fails, and so does a file without one."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from tools.run_readme import lacking, main, run


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
        (block("console", "$ cat > file <<END\n> one\n>\n> END\n$ wc -l < file\n2"), 0),
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


def test_a_python_block_has_the_names_of_those_above(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(block("python", ">>> two = 2") + block("python", ">>> two\n2"))
    assert run(page) == (2, [])
    page.write_text(block("python", ">>> two\n2"))
    assert len(run(page)[1]) == 1


def test_an_example_prints_what_a_reader_sees_wherever_it_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test runner that cuts lines short does not where ``CI`` is set; a make says more when it is another's child."""
    page = tmp_path / "page.md"
    long = f"$ cat > test_long.py <<END\n> def test_long():\n>     assert False, {'long ' * 40!r}\n> END"
    fails = "$ pytest -p no:cacheprovider -q test_long.py | tail -2\nFAILED ...long long...\n1 failed in ...s"
    page.write_text(block("console", f"{long}\n{fails}") + block("console", "$ cat; echo end\nend"))
    for name, value in {"CI": "true", "BUILD_NUMBER": "1", "COLUMNS": "200", "PYTEST_ADDOPTS": "-vv"}.items():
        monkeypatch.setenv(name, value)
    assert run(page) == (2, [])
    page.write_text(page.read_text().replace("long long...", f"{'long ' * 40}..."))
    assert len(run(page)[1]) == 1


def test_a_page_without_examples_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(block("text", "$ false"))
    assert CliRunner().invoke(main, [str(page)]).exit_code == 1


def setting(program: str, folder: str = "examples/pipe") -> str:
    return f"<!-- The examples are run in a copy of {folder}, if {program} is on the path. -->\n\n"


def test_a_page_is_run_in_a_copy_of_the_folder_that_it_names(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(setting("bash") + block("console", "$ ls client.py\nclient.py\n$ rm client.py"))
    assert run(page) == (1, [])
    assert run(page) == (1, [])
    page.write_text(setting("bash", "examples/none") + block("console", "$ true"))
    with pytest.raises(FileNotFoundError, match="examples/none"):
        run(page)


def test_a_page_whose_program_is_not_there_is_left_out_and_said_so(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(setting("no-such-program") + block("console", "$ false"))
    assert lacking(page) == "no-such-program"
    told = CliRunner().invoke(main, [str(page)])
    assert (told.exit_code, told.output) == (0, f"{page}: not run: no-such-program is not on the path\n")
    page.write_text(setting("bash") + block("console", "$ false"))
    assert CliRunner().invoke(main, [str(page)]).exit_code == 1
