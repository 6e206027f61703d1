"""The vector suite as a folder: the same bytes every time, in three forms, written whole or not at all."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result

from q35ref import vectors
from q35ref.atomic_folder import write_folder
from q35ref.cli import main
from q35ref.oracle import call_files, problems, tables
from q35ref.oracle.suite import is_ours, suite, verify
from q35ref.oracle.vector import CALLS, RESULTS, from_case, from_problem
from q35ref.vectors import shape

SUITE = suite()
"""The committed suite in every form."""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["vectors", *arguments])


def few(operation: str) -> list[Any]:
    """The first calls of an operation."""
    posed = islice(problems(operation, 1, 1), 4)
    return [from_problem(f"calls/{operation}/{operation}/{index}", problem) for index, problem in enumerate(posed)]


# What is written


def test_the_json_files_are_the_committed_ones_and_small() -> None:
    for operation in vectors.OPERATIONS:
        assert SUITE[f"json/{operation}.json"] == (vectors.committed_directory() / f"{operation}.json").read_bytes()
    assert sum(len(data) for name, data in SUITE.items() if name.startswith("json/")) < 2_000_000
    assert not [name for name in SUITE if name.startswith("calls/")]


WRITES = "import sys; from q35ref.cli import main; main(['vectors', sys.argv[1]], standalone_mode=False)"


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    environment = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", WRITES, tmp_path / "v"], check=True, env=environment, capture_output=True)
    found = {
        p.relative_to(tmp_path / "v").as_posix(): p.read_bytes() for p in (tmp_path / "v").rglob("*") if p.is_file()
    }
    assert found == SUITE


# $readmemh


def words(name: str, text: str) -> list[str]:
    """What ``$readmemh`` reads: words without their underscores and comments, all of the width that the file says."""
    lines = [line.split("//")[0].strip().replace("_", "") for line in text.splitlines()]
    found = [line for line in lines if line]
    head = text.split("\n", 1)[0].split()
    assert (head[1], head[2]) == (str(len(found)), "words"), name
    assert {4 * len(word) for word in found} == {int(head[4])}, name
    return found


def test_every_hex_file_has_the_words_that_it_says() -> None:
    files = [name for name in SUITE if name.startswith("hex/")]
    assert len(files) > 40
    for name in files:
        words(name, SUITE[name].decode())


def test_the_table_of_codes_holds_every_code() -> None:
    found = [bytes.fromhex(word) for word in words("", SUITE["hex/unpack_pair.hex"].decode())]
    assert bytes([46, 5, 0xFE]) in found
    assert sorted(word[0] for word in found) == list(range(128))


def parts(arrays: Any, index: int, name: str) -> Any:
    """One case's part of a flat table."""
    column = arrays["fields"].tolist().index(f"start_{name}")
    starts = [*arrays["cases"][:, column].tolist(), len(arrays[name])]
    return arrays[name][starts[index] : starts[index + 1]]


@pytest.mark.parametrize("operation", sorted(CALLS))
def test_archives_hold_the_committed_cases_without_pickles(operation: str) -> None:
    arrays = dict(np.load(io.BytesIO(SUITE[f"npz/{operation}.npz"]), allow_pickle=False))
    cases = [v for case in vectors.load(operation).cases if (v := from_case(operation, case)) is not None]
    assert arrays["ids"].tolist() == [vector.id for vector in cases]
    for index in (0, len(cases) // 2, len(cases) - 1):
        vector = cases[index]
        assert arrays["flags"][index] == " ".join(vector.flags)
        for name, value in vector.expected.items():
            found = parts(arrays, index, f"expected_{name}")
            assert found.tolist() == (value.T if name in tables.COLUMNS_FIRST else value).ravel().tolist()


def test_hex_and_archive_hold_the_same_numbers() -> None:
    arrays = np.load(io.BytesIO(SUITE["npz/matmul.npz"]), allow_pickle=False)
    for name in ("in_scale", "in_a", "expected_out_low", "expected_acc"):
        text = SUITE[f"hex/matmul.{name}.hex"].decode()
        assert words(name, text) == call_files.hexadecimal(arrays[name])


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_the_bench_of_the_readme_reads_the_table(tmp_path: Path) -> None:
    write_folder(tmp_path / "v", SUITE, is_ours)
    text = SUITE["README.md"].decode().split("```verilog\n")[1].split("```")[0]
    (tmp_path / "v" / "bench.v").write_text(text)
    subprocess.run(["iverilog", "-g2005", "-o", "bench", "bench.v"], cwd=tmp_path / "v", check=True)
    done = subprocess.run(["vvp", "bench"], cwd=tmp_path / "v", check=True, capture_output=True, text=True)
    assert "0 of 128 wrong" in done.stdout


# Calls


@pytest.mark.parametrize("operation", RESULTS)
def test_calls_satisfy_their_schema_and_are_read_back(operation: str, tmp_path: Path) -> None:
    document = call_files.document(operation, 2, 1, few(operation))
    schema = json.loads(call_files.schema_path().read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    data = call_files.text(document).encode()
    assert json.loads(data) == document
    (tmp_path / f"{operation}.json").write_bytes(data)
    (tmp_path / vectors.DIGESTS).write_text(f"{hashlib.sha256(data).hexdigest()}  {operation}.json\n")
    name, _, found = call_files.load(tmp_path / f"{operation}.json")
    assert name == operation
    for before, after in zip(few(operation), found, strict=True):
        for key, value in before.problem.arguments().items():
            assert np.array_equal(after.problem.arguments()[key], value)
        assert before.expected.keys() == after.expected.keys()
        for key in before.expected:
            assert before.expected[key].tobytes() == after.expected[key].tobytes()


def test_a_level_adds_calls_with_flags_that_are_explained() -> None:
    found = call_files.generate("pack", 1, 1)
    document = call_files.document("pack", 1, 1, found)
    assert document["case_count"] == sum(not problem.large for problem in problems("pack", 1, 1))
    assert {"LanesSwapped", "PaddingBitsSet"} <= set(document["flags"])
    assert all(meaning["description"] and meaning["effect"] for meaning in document["flags"].values())
    assert all(set(case["flags"]) <= set(document["flags"]) for case in document["cases"])


# The form of a document


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (0.5, {"type": "integer"}),
        (True, {"type": "integer"}),
        (True, {"const": 1}),
        ("a\n", {"pattern": "^a$"}),
        ([1, 1], {"uniqueItems": True}),
        ([1, 2], {"prefixItems": [{}], "items": False}),
        ({"a": 1}, {"additionalProperties": False}),
        ({"a": 1}, {"required": ["b"]}),
        ({"a": 1}, {"propertyNames": {"pattern": "^b"}}),
        (1, {"anyOf": [{"type": "string"}, {"minimum": 2}]}),
        ({"a": 1, "b": 1}, {"if": {"properties": {"a": {"const": 1}}}, "then": {"properties": {"b": {"const": 2}}}}),
    ],
)
def test_what_a_schema_refuses_is_refused(value: Any, schema: Any) -> None:
    with pytest.raises(shape.FormError, match="document"):
        shape.require_form(value, schema)


def test_an_unknown_word_of_a_schema_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="unknown word 'format'"):
        shape.require_form("x", {"format": "date"})


@pytest.mark.parametrize("operation", ["pack_pair", "matmul", "round_float32"])
def test_the_published_schema_is_understood_as_others_do(operation: str) -> None:
    schema = json.loads((vectors.committed_directory() / "schema.json").read_text())
    document = json.loads(SUITE[f"json/{operation}.json"])
    shape.require_form(document, schema)
    for change in ({"note": "x"}, {"case_count": 0}, {"seed": "1"}):
        changed = {**document, **change}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(changed, schema)
        with pytest.raises(shape.FormError):
            shape.require_form(changed, schema)


# The folder


def test_the_command_writes_a_folder_and_replaces_its_own(tmp_path: Path) -> None:
    target = tmp_path / "suite"
    done = run(str(target), "--format", "json")
    assert done.exit_code == 0
    assert "wrote 25 files" in done.output
    verify(target)
    (target / "json" / "clamp.json").write_text("damaged")
    assert run(str(target), "--format", "json").exit_code == 0
    verify(target)
    assert [path.name for path in tmp_path.iterdir()] == ["suite"]


@pytest.mark.parametrize("foreign", ["notes.txt", "json/mine.json"])
def test_a_folder_with_files_of_others_is_left_as_it_is(tmp_path: Path, foreign: str) -> None:
    target = tmp_path / "suite"
    write_folder(target, suite(formats=["json"]) if "/" in foreign else {}, is_ours)
    (target / foreign).write_text("mine")
    before = sorted(path.as_posix() for path in tmp_path.rglob("*"))
    done = run(str(target), "--format", "json")
    assert done.exit_code == 2
    assert "holds files that would be lost; it is left as it is" in done.output
    assert sorted(path.as_posix() for path in tmp_path.rglob("*")) == before
    assert (target / foreign).read_text() == "mine"


def test_wrong_destinations_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, message in (
        (tmp_path / "file", "expected a folder or nothing"),
        (tmp_path / "no" / "v", "no such folder"),
    ):
        done = run(str(path), "--format", "json")
        assert done.exit_code == 2
        assert message in done.output
        assert "Traceback" not in done.output
    assert run(str(tmp_path / "v"), "--level", "4").exit_code == 2
    assert run(str(tmp_path / "v"), "--format", "xml").exit_code == 2


@pytest.mark.parametrize("moment", ["write", "rename"])
def test_a_failure_leaves_the_old_folder_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    target = tmp_path / "suite"
    write_folder(target, {"a": b"old"}, lambda found: True)
    real = Path.rename

    def fail(self: Path, to: Path) -> Path:
        if self.name.endswith(".q35tmp"):
            raise OSError(5, "no")
        return real(self, to)

    monkeypatch.setattr(Path, "rename", fail)
    names = {"a": b"new", **({"../b": b""} if moment == "write" else {})}
    with pytest.raises((OSError, ValueError)):
        write_folder(target, names, lambda found: True)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == {"suite", "suite/a"}
    assert (target / "a").read_bytes() == b"old"
