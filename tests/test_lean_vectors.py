"""The vectors as Lean theorems: up to date, complete, and of what the issue of the proofs asks for."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from q35ref import vectors
from tools.lean_vectors.files import FOLDER, generate
from tools.lean_vectors.statements import NOT_STATED
from tools.make_lean_vectors import PROOFS, counts, differences, main

VECTORS = Path(vectors.__file__).parent


def test_the_committed_files_are_as_generated() -> None:
    assert list(differences(PROOFS, generate()[0])) == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the committed Lean files."""
    shutil.copytree(PROOFS / FOLDER, tmp_path / FOLDER)
    shutil.copy(PROOFS / f"{FOLDER}.lean", tmp_path)
    return tmp_path


def test_a_missing_a_changed_and_an_extra_file_are_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / FOLDER / "Codec.lean").unlink()
    changed = copy / FOLDER / "Float32.lean"
    changed.write_text(changed.read_text(encoding="utf-8").replace("theorem", "theorem ", 1), encoding="utf-8")
    (copy / FOLDER / "Extra.lean").write_text("module\n", encoding="utf-8")
    assert main(["--check", "--directory", str(copy)]) == 1
    said = capsys.readouterr().out
    assert f"FAILED {FOLDER}/Codec.lean: missing" in said
    assert f"FAILED {FOLDER}/Float32.lean: differs in line" in said
    assert f"FAILED {FOLDER}/Extra.lean: no such file is generated" in said


def test_a_changed_expected_value_changes_the_statement(copy: Path, tmp_path: Path) -> None:
    changed = tmp_path / "vectors"
    shutil.copytree(VECTORS, changed, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    path = changed / "pack_pair.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    expected = data["cases"][0]["expected"]
    expected["code"] = (expected["code"] + 1) % 128
    path.write_text(json.dumps(data), encoding="utf-8")
    _renew_digest(changed, path)
    assert any("Codec.lean" in line for line in differences(copy, generate(changed)[0]))


def _renew_digest(directory: Path, path: Path) -> None:
    sums = directory / "SHA256SUMS"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lines = sums.read_text(encoding="utf-8").splitlines()
    renewed = [f"{digest}  {path.name}" if line.endswith(f"  {path.name}") else line for line in lines]
    sums.write_text("\n".join(renewed) + "\n", encoding="utf-8")


def test_every_vector_is_stated_or_refused_for_a_listed_reason() -> None:
    found = counts()
    assert set(vectors.OPERATIONS) <= found.keys()
    for operation, count in found.items():
        assert count.not_stated.keys() <= NOT_STATED.get(operation, {}).keys()
        if operation in vectors.OPERATIONS:
            cases = vectors.load(operation).cases
            assert count.stated + sum(count.not_stated.values()) == len(cases)


def test_there_are_as_many_as_the_proofs_promise() -> None:
    stated = {operation: count.stated for operation, count in counts().items()}
    assert stated["unpack_pair"] >= 128
    assert stated["quantize"] >= 2000
    assert stated["round_float32"] >= 500
    assert stated["unpack_dense"] >= 60
    assert min(stated.values()) > 0
