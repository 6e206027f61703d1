"""The site: whole where it is made of code; broken links, lost names and unknown schemas are errors of the build."""

import doctest
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from q35ref import cli
from tests.makefile import recipe

for name in ("sphinx", "myst_parser", "furo", "sphinx_click"):
    pytest.importorskip(name, reason="the site's generator is not installed: pip install 'q35ref[docs]'")

from tools.docs.links import files, rewritten, shown  # noqa: E402 - after the skip
from tools.docs.reference import HEADER, PUBLIC, declarations, function_names  # noqa: E402 - after the skip
from tools.docs.schema import described, form  # noqa: E402 - after the skip
from tools.docs.site import broken, main, read  # noqa: E402 - after the skip

ROOT = Path(__file__).parents[1]

REFERENCE = ("api", "abi", "cli", "vectors", "format")


def site(folder: Path, pages: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Build a site of pages with `make docs`'s own command and settings; the index has all of them."""
    docs = folder / "docs"
    for name, text in pages.items():
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / name).write_text(text)
    shutil.copy(ROOT / "docs" / "conf.py", docs)
    for linked in ("q35ref", "tools", "examples", "proofs", "tests"):
        (folder / linked).symlink_to(ROOT / linked)
    words = recipe("docs")[0].split()[1:]
    places = [str(folder / word) if word == "docs" or word.startswith("build/") else word for word in words]
    return subprocess.run([sys.executable, *places], capture_output=True, text=True, check=False)


def contents(*names: str) -> str:
    return "# Index\n\n:::{toctree}\n" + "\n".join(names) + "\n:::\n"


@pytest.mark.slow
def test_the_reference_has_every_public_name_command_and_function(tmp_path: Path) -> None:
    """The reference alone, so that pages beside it, which it links to, are not there: all else must be right."""
    pages = {f"reference/{name}.md": (ROOT / "docs" / "reference" / f"{name}.md").read_text() for name in REFERENCE}
    outside = ("assurance", "kernels", "lmeval", "proofs", "vectors", "pipe")
    pages |= {f"{name}.md": f"# {name}\n" for name in outside}
    done = site(tmp_path, {"index.md": contents(*outside, *(f"reference/{name}" for name in REFERENCE)), **pages})
    assert (done.returncode, done.stderr) == (0, "")
    made = tmp_path / "build" / "site"
    assert list(broken(made)) == []
    names = [f"{each.__name__}.{name}" for each in map(importlib.import_module, PUBLIC) for name in each.__all__]
    wanted = {"api": {*PUBLIC, *names}, "abi": set(), "cli": {f"q35ref-{name}" for name in cli.main.commands}}
    for page, anchors in wanted.items():
        found = {anchor.removeprefix("module-") for anchor in read(made / "reference" / f"{page}.html").anchors}
        assert sorted(anchors - found) == []
    functions = function_names((ROOT / HEADER).read_text())
    assert len(functions) == 9
    abi = (made / "reference" / "abi.html").read_text()
    assert [name for name in functions if f'id="c.{name}"' not in abi] == []
    vectors = (made / "reference" / "vectors.html").read_text()
    for schema in ("vectors/schema", "oracle/calls.schema", "oracle/manifest.schema", "oracle/report.schema"):
        text = json.loads((ROOT / "q35ref" / f"{schema}.json").read_text())
        assert [name for name in (*text["properties"], *text.get("$defs", {})) if f">{name}<" not in vectors] == []


@pytest.mark.slow
def test_what_is_broken_or_missing_fails_the_build(tmp_path: Path) -> None:
    """Planted failures, all of which one build tells of."""
    page = """# Links

[a page](no-page.md) [a file](../q35ref/no_file.py) [a heading](#no-heading) [a line](../tests/test_docs.py#L99999)
{py:func}`q35ref.no_function` ![a picture](no-picture.png) [right](../tests/test_docs.py#L1)
"""
    done = site(tmp_path, {"index.md": contents("links"), "links.md": page, "lost.md": "# Lost\n"})
    assert done.returncode != 0
    for told in (
        "'no-page.md'",
        "'../q35ref/no_file.py'",
        "'no-heading'",
        "tests/test_docs.py#L99999: there is no such line",
        "q35ref.no_function",
        "no-picture.png",
        "lost.md: WARNING: document isn't included in any toctree",
        "q35ref.matmul: is public, and the reference does not describe it",
        "q35ref.oracle.Report: is public, and the reference does not describe it",
        "q35_pack: is in the C ABI, and the reference does not describe it",
        "q35ref check: is a command, and the reference does not describe it",
    ):
        assert told in done.stderr
    assert "test_docs.py#L1:" not in done.stderr


def test_links_start_from_where_the_text_lies(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "deep").mkdir(parents=True)
    (tmp_path / "code.py").touch()
    text = "[a](kernels.md#b) [c](../code.py#L3) [d](https://e.f) [g](#h) [i](../../outside) ![j](k.png)"
    told = rewritten(text, docs, docs / "deep", docs)
    assert told == (
        "[a](../kernels.md#b) [c](source:code.py#L3) [d](https://e.f) [g](#h) [i](../../outside) ![j](../k.png)"
    )
    assert rewritten("[a](code.py) [b](docs/x.md) [c](lost.py)", tmp_path, docs, docs) == (
        "[a](source:code.py) [b](x.md) [c](lost.py)"
    )


def test_a_folder_shows_what_people_wrote(tmp_path: Path) -> None:
    for name in ("a.py", "b/c.txt", "b/__pycache__/c.pyc", ".hidden", "d/.venv/e", "f.so"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = '<'\n")
    assert [path.relative_to(tmp_path).as_posix() for path in files(tmp_path)] == ["a.py", "b/c.txt"]
    for name in ("a.py", "b/c.txt"):
        assert 'id="L-1"' in shown(tmp_path / name)
        assert "&lt;" in shown(tmp_path / name)


def test_every_function_of_the_header_has_its_words() -> None:
    header = (ROOT / HEADER).read_text()
    found = list(declarations(header))
    assert [each.partition("(")[0].split()[-1] for one in found for each in one.functions] == function_names(header)
    assert all(one.comment.endswith(".") for one in found)
    assert found[0].functions[0].endswith("int32_t layout, uint8_t *packed)")


def test_a_schema_that_cannot_be_told_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot describe oneOf"):
        form({"oneOf": []})
    assert form({"type": "integer", "exclusiveMinimum": -3, "maximum": 7}) == "integer, above -3 and 7"
    assert form({"type": "string", "minLength": 1}) == "string"
    table = described({"properties": {"a": {"const": 1, "description": "x|y"}}})
    assert "| `a` | `1` | x\\|y |" in table


def test_a_broken_site_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "index.html").write_text('<a id="top" href="a/b.html#here">b</a> <a href="a/b.html#gone">b</a>')
    (tmp_path / "a" / "b.html").write_text(
        '<p id="here"><a href="../index.html#top">i</a><img src="c.png"><a href="../../d">d</a><a href="https://x.y">'
    )
    found = [
        "a/b.html: c.png: there is no such file",
        "a/b.html: ../../d: leads out of the site",
        "index.html: a/b.html#gone: there is no such anchor",
    ]
    assert list(broken(tmp_path)) == found
    told = CliRunner().invoke(main, [str(tmp_path)])
    assert told.exit_code == 1
    assert "2 pages, 3 broken links" in told.output
    for path in (*tmp_path.rglob("*.html"),):
        path.unlink()
    assert CliRunner().invoke(main, [str(tmp_path)]).exit_code == 1  # no page at all


@pytest.mark.parametrize("name", ["reference", "schema"])
def test_the_tools_own_examples_hold(name: str) -> None:
    """Pytest looks for examples in the package and the tests alone."""
    found = doctest.testmod(importlib.import_module(f"tools.docs.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
