"""What CONTRIBUTING.md says is so: recipes name tests that exist and fire, gates are the Makefile's, versions agree."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner

import q35ref
from q35ref.backends import BACKENDS
from q35ref.backends.numpy import NumpyBackend
from q35ref.cli import main
from q35ref.oracle.judge import REFUSAL, RULES, Rule

yaml = pytest.importorskip("yaml", reason="PyYAML, which comes with the site's generator, is not installed")

ROOT = Path(__file__).parents[1]

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()

MAKEFILE = (ROOT / "Makefile").read_text()

TEXT: dict[str, Any] = {"type": "string", "minLength": 1}

CITATION: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["authors", "cff-version", "message", "title"],
    "properties": {
        **dict.fromkeys(("abstract", "license", "message", "title", "version"), TEXT),
        "cff-version": {"const": "1.2.0"},
        "type": {"enum": ["software", "dataset"]},
        "keywords": {"type": "array", "items": TEXT, "minItems": 1, "uniqueItems": True},
        "authors": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": ["name"], "properties": {"name": TEXT}},
        },
    },
}
"""What Citation File Format 1.2.0 asks of the fields that are used here."""

NAMED = re.compile(r"`(tests/test_\w+\.py)::(test_\w+)`")
"""A test as the page names it."""


def lost_tests(text: str) -> list[str]:
    """Return the tests that a text names and that do not exist."""
    found = NAMED.findall(text)
    return [
        f"{path}::{name}"
        for path, name in found
        if not (ROOT / path).is_file() or f"\ndef {name}(" not in (ROOT / path).read_text()
    ]


def held_to_conformance(makefile: str) -> set[str]:
    """Return the backends that ``make conformance`` checks."""
    recipe = re.search(r"^conformance:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe is not None
    return set(re.findall(r"(?:q35ref check |tools\.check_)(\w+)", recipe[1]))


def prerequisites(makefile: str) -> list[str]:
    """Return the parts of ``make test``."""
    line = re.search(r"^test: (.*)$", makefile, re.MULTILINE)
    assert line is not None
    return line[1].split()


# ---- the page --------------------------------------------------------------------------------------------------------


def test_every_test_that_the_recipes_name_exists() -> None:
    assert len(NAMED.findall(CONTRIBUTING)) > 10
    assert lost_tests(CONTRIBUTING) == []
    assert lost_tests("`tests/test_codec.py::test_lost` `tests/test_lost.py::test_x`") == [
        "tests/test_codec.py::test_lost",
        "tests/test_lost.py::test_x",
    ]


def test_every_gate_is_in_the_table_in_the_order_of_the_makefile() -> None:
    gates = re.findall(r"^\| `make (\w+)` \|", CONTRIBUTING, re.MULTILINE)
    assert gates == [*prerequisites(MAKEFILE), "dist"]


def test_every_path_that_the_map_names_exists() -> None:
    table = CONTRIBUTING.partition("| place |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    paths = [path for cell in cells for path in re.findall(r"`([^`]+)`", cell)]
    assert len(paths) > 10
    assert [path for path in paths if not any((folder / path).exists() for folder in (ROOT, ROOT / "q35ref"))] == []


# ---- recipes ---------------------------------------------------------------------------------------------------------


def test_every_backend_is_held_to_conformance() -> None:
    assert held_to_conformance(MAKEFILE) == set(BACKENDS)
    assert held_to_conformance("conformance: x\n\tq35ref check numpy\n\nunit:\n\tq35ref check native\n") == {"numpy"}


def test_every_backend_is_named_where_targets_are() -> None:
    texts = {
        "q35ref check --help": CliRunner().invoke(main, ["check", "--help"]).output,
        "q35ref.check": str(q35ref.check.__doc__),
        "README.md": (ROOT / "README.md").read_text(),
        "docs/kernels.md": (ROOT / "docs" / "kernels.md").read_text(),
    }
    assert [f"{place}: {name}" for place, text in texts.items() for name in BACKENDS if name not in text] == []


class Wrong(NumpyBackend):
    """Every result has a wrong number in each of its arrays, and nothing is refused."""

    correctly_rounded = True

    def __getattribute__(self, name: str) -> Any:
        method = super().__getattribute__(name)
        if name not in ("pack", "unpack", "calibrate", "quantize", "dequantize", "quantize_activations", "matmul"):
            return method

        def wrong(*arguments: Any) -> Any:
            finite = [np.nan_to_num(each) if isinstance(each, np.ndarray) else each for each in arguments]
            result = method(*finite)
            return tuple(map(spoiled, result)) if isinstance(result, tuple) else spoiled(result)

        return wrong


def spoiled(array: Any) -> Any:
    """Return an array with another first number: one bit of it is changed."""
    made = np.array(array, order="C")
    made.view(np.uint8).reshape(-1)[made.itemsize - 1] ^= 1
    return made


@pytest.mark.parametrize("rule", [*RULES, REFUSAL], ids=lambda rule: rule.name)
def test_every_rule_refuses_a_wrong_result(rule: Rule) -> None:
    """A rule that nothing breaks would be no rule; here one bit of each result is wrong. What is right: test_oracle."""
    [result] = q35ref.check(Wrong(), only=[rule.name]).results
    assert result.status == "failed"


# ---- metadata --------------------------------------------------------------------------------------------------------


def changes_problems(text: str, version: str) -> list[str]:
    """Return what is wrong with a changelog, in the form of Keep a Changelog."""
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    released = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d", head) for head in heads]
    wrong = [head for head, found in zip(heads, released, strict=True) if not found and head != "[Unreleased]"]
    versions = [tuple(map(int, found[1].split("."))) for found in released if found]
    problems = [f"not of the form: {head}" for head in wrong]
    if heads.count("[Unreleased]") != 1 or heads[:1] != ["[Unreleased]"]:
        problems.append("expected [Unreleased] once, and first")
    if versions != sorted(versions, reverse=True):
        problems.append("expected the latest version first")
    kinds = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    problems += [f"no kind of change: {k}" for k in re.findall(r"^### (.*)$", text, re.MULTILINE) if k not in kinds]
    if version not in text:
        problems.append(f"does not name {version}")
    return problems


def test_the_changelog_keeps_its_form_and_names_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert changes_problems(text, q35ref.__version__) == []
    for wrong, told in (
        (text.replace("## [Unreleased]", "## Next"), "not of the form: Next"),
        (text.replace("### Added", "### News"), "no kind of change: News"),
        (text.replace(q35ref.__version__, "9"), f"does not name {q35ref.__version__}"),
        (f"{text}\n## [0.0.1] - 2026-01-01\n## [0.0.2] - 2026-01-02\n", "expected the latest version first"),
    ):
        assert told in changes_problems(wrong, q35ref.__version__)


def test_the_citation_is_valid_and_names_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    jsonschema.validate(citation, CITATION)
    assert citation["version"] == q35ref.__version__
    assert citation["authors"] == [{"name": "The q35ref authors"}]
    assert citation["license"] == "Apache-2.0"
    damages: tuple[dict[str, Any], ...] = ({"authors": []}, {"doi": "none"}, {"title": ""}, {"invented": 1})
    for damage in damages:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(citation | damage, CITATION)
