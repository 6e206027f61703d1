"""The vector suite as a folder: which files it has, what its manifest says, and which folders are ours."""

import hashlib
import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from q35ref import vectors
from q35ref.atomic_folder import write_folder
from q35ref.oracle import call_files, tables
from q35ref.oracle import suite as module
from q35ref.oracle.problem import Problem
from q35ref.oracle.suite import MANIFEST, MANIFEST_SCHEMA, is_ours, load_manifest, suite, verify
from q35ref.oracle.vector import Vector, from_problem
from q35ref.vectors import VectorFileError
from q35ref.version import __version__
from tests.oracle.vector_arrays import int8

COMMITTED = vectors.committed_directory()

ALWAYS = {"README.md", MANIFEST, MANIFEST_SCHEMA}

OPERATIONS = ("clamp", "pack_pair", "unpack_column")
"""One that no kernel has, one on single numbers, one of neither kind."""


load = cache(vectors.load)
"""Each file is read once."""


def generated(operation: str, level: int, seed: int) -> list[Vector]:
    """One call, which tells what it was made for."""
    problem = Problem(operation, level, {"q": int8(*([1] for _ in range(level)))})
    return [from_problem(f"calls/{operation}/{operation}/{seed}", problem)]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write few of the committed files, and one generated one."""
    monkeypatch.setattr(vectors, "OPERATIONS", OPERATIONS)
    monkeypatch.setattr(vectors, "load", load)
    monkeypatch.setattr(module, "OPERATIONS", ("pack",))
    monkeypatch.setattr(call_files, "generate", generated)
    monkeypatch.setattr(tables, "SCALARS", {"pack_pair": tables.SCALARS["pack_pair"]})


def names(content: dict[str, bytes], *folders: str) -> set[str]:
    return {name for name in content if name.startswith(folders)}


# What is written


def test_the_suite_is_the_committed_vectors_in_every_form() -> None:
    content = suite()
    json_files = {f"json/{name}" for name in ("clamp.json", "pack_pair.json", "unpack_column.json")}
    assert names(content, "json/") == json_files | {"json/SHA256SUMS", "json/schema.json"}
    for name in names(content, "json/"):
        assert content[name] == (COMMITTED / name.removeprefix("json/")).read_bytes()
    assert names(content, "npz/") == {"npz/pack_pair.npz", "npz/unpack_column.npz"}
    arrays = ("cases", "in_packed", "expected_q")
    assert names(content, "hex/") == {"hex/pack_pair.hex", *(f"hex/unpack_column.{name}.hex" for name in arrays)}
    assert set(content) == ALWAYS | names(content, "json/", "npz/", "hex/")
    assert list(content)[-1] == MANIFEST


def test_what_no_kernel_can_be_asked_is_in_no_table() -> None:
    """Refusals are in the JSON alone."""
    cases = [case for case in vectors.load("unpack_column").cases if "error" not in case.expected]
    assert 0 < len(cases) < len(vectors.load("unpack_column").cases)
    content = suite(formats=["npz", "hex"])
    arrays = np.load(io.BytesIO(content["npz/unpack_column.npz"]), allow_pickle=False)
    assert arrays["ids"].tolist() == [case.id for case in cases]
    lines = content["hex/pack_pair.hex"].decode().splitlines()
    pairs = [case.id for case in vectors.load("pack_pair").cases if "error" not in case.expected]
    assert [line.partition("// ")[2] for line in lines[2:]] == pairs


@pytest.mark.parametrize("level", [2, 3])
def test_higher_levels_add_the_calls_of_that_level_and_seed(level: int) -> None:
    content = suite(level, 5)
    assert names(content, "calls/") == {"calls/pack.json", "calls/SHA256SUMS", "calls/schema.json"}
    document = json.loads(content["calls/pack.json"])
    assert (document["level"], document["seed"], document["operation"]) == (level, 5, "pack")
    assert [case["id"] for case in document["cases"]] == ["calls/pack/pack/5"]
    digest = hashlib.sha256(content["calls/pack.json"]).hexdigest()
    assert content["calls/SHA256SUMS"].decode() == f"{digest}  pack.json\n"
    assert content["calls/schema.json"] == call_files.schema_path().read_bytes()
    arrays = ("cases", "in_q", "expected_packed")
    assert names(content, "hex/calls.") == {f"hex/calls.pack.{name}.hex" for name in arrays}
    assert names(content, "npz/calls.") == {"npz/calls.pack.npz"}
    manifest = json.loads(content[MANIFEST])
    assert (manifest["level"], manifest["seed"]) == (level, 5)


@pytest.mark.parametrize("form", ["json", "hex", "npz"])
def test_a_form_may_be_chosen(form: str) -> None:
    content = suite(2, 0, [form])
    folders = ("json/", "calls/") if form == "json" else (f"{form}/",)
    assert set(content) == ALWAYS | names(content, *folders)
    assert json.loads(content[MANIFEST])["formats"] == [form]


def test_forms_are_listed_in_one_order_and_once() -> None:
    assert json.loads(suite(formats=["npz", "json", "npz"])[MANIFEST])["formats"] == ["json", "npz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 0}, r"^level: expected one of \(1, 2, 3\), got 0$"),
        ({"level": 4}, r"^level: expected one of \(1, 2, 3\), got 4$"),
        ({"seed": -1}, "^seed: expected an integer >= 0, got -1$"),
        ({"seed": -2}, "^seed: expected an integer >= 0, got -2$"),
        ({"formats": []}, "^formats: expected some of json, hex, npz, got none$"),
        ({"formats": ["json", "xml", "csv"]}, "^formats: expected some of json, hex, npz, got xml, csv$"),
    ],
)
def test_what_there_is_not_cannot_be_asked_for(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        suite(**arguments)


def test_any_seed_from_zero_on_will_do() -> None:
    for seed in (0, 1, 2):
        assert json.loads(suite(seed=seed, formats=["npz"])[MANIFEST])["seed"] == seed


def test_the_manifest_lists_every_other_file_with_its_digest() -> None:
    content = suite()
    text = content[MANIFEST].decode()
    manifest = json.loads(text)
    jsonschema.validate(manifest, json.loads(content[MANIFEST_SCHEMA]))
    assert text.startswith('{\n "format": "q35ref vectors",\n "schema_version": 1,\n "q35ref_version": ')
    assert text.endswith("\n}\n")
    assert (manifest["q35ref_version"], manifest["level"], manifest["seed"]) == (__version__, 1, 1)
    assert manifest["formats"] == ["json", "hex", "npz"]
    assert [entry["name"] for entry in manifest["files"]] == sorted(set(content) - {MANIFEST})
    for entry in manifest["files"]:
        data = content[entry["name"]]
        assert (entry["bytes"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


# Folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files in it, one of them in a folder, and their manifest."""
    content = {"README.md": b"read", "json/a.json": b"{}"}
    files = [
        {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in content.items()
    ]
    head = {"format": "q35ref vectors", "schema_version": 1, "q35ref_version": "1", "level": 1, "seed": 1}
    content[MANIFEST] = json.dumps({**head, "formats": ["json"], "files": files}).encode()
    write_folder(tmp_path / "v", content, lambda found: False)
    return tmp_path / "v"


def add(folder: Path, name: str) -> None:
    """Make the manifest list one file more."""
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"].append({"name": name, "bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()})
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_folder_as_it_was_written_is_verified(folder: Path) -> None:
    assert verify(folder) == load_manifest(folder) == json.loads((folder / MANIFEST).read_text())


@pytest.mark.parametrize("data", [b"", b"{", b"{ }", b"[]", b"()"])
def test_a_file_of_other_bytes_is_named(folder: Path, data: bytes) -> None:
    """Fewer bytes, more, and as many with a digest before and after the right one."""
    (folder / "json" / "a.json").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    message = rf"^json/a\.json: {len(data)} bytes with SHA-256 {digest}, but manifest\.json says 2 bytes with 44136fa"
    with pytest.raises(VectorFileError, match=message):
        verify(folder)


def test_the_digests_of_the_other_bytes_are_on_both_sides_of_the_right_one() -> None:
    right, *others = (hashlib.sha256(data).hexdigest() for data in (b"{}", b"[]", b"()"))
    assert min(others) < right < max(others)


def test_what_is_missing_or_leads_out_is_named(folder: Path) -> None:
    (folder.parent / "x").write_bytes(b"")
    add(folder, "gone")
    with pytest.raises(VectorFileError, match=r"^gone: cannot be read"):
        verify(folder)
    (folder / "gone").touch()
    verify(folder)
    add(folder, "../x")
    with pytest.raises(VectorFileError, match=r"^manifest\.json: \.\./x leads out of the folder$"):
        verify(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON document"),
        ("[" * 100_000, "nested too deeply"),
        ('{"format": 1}', r"document: expected required"),
    ],
)
def test_a_damaged_manifest_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / MANIFEST).write_text(text)
    with pytest.raises(VectorFileError, match=rf"^manifest\.json: .*{message}"):
        load_manifest(folder)
    assert not is_ours(folder)


def test_a_folder_is_ours_if_it_holds_nothing_else(folder: Path) -> None:
    assert is_ours(folder)
    (folder / "empty").mkdir()
    assert is_ours(folder)
    (folder / "json" / "mine.json").touch()
    assert not is_ours(folder)


def test_a_folder_that_lacks_a_file_or_has_it_damaged_is_ours_still(folder: Path) -> None:
    (folder / "README.md").write_text("damaged")
    assert is_ours(folder)
    (folder / "README.md").unlink()
    assert is_ours(folder)
    (folder / "mine").touch()
    assert not is_ours(folder)


def test_a_manifest_that_lists_itself_is_ours_too(folder: Path) -> None:
    add(folder, MANIFEST)
    assert is_ours(folder)


def test_a_folder_without_a_manifest_is_not_ours(tmp_path: Path) -> None:
    assert not is_ours(tmp_path)
    assert not is_ours(tmp_path / "gone")
