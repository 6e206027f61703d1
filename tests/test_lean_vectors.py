"""The vectors as Lean theorems: up to date, complete, and of what the issue of the proofs asks for."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from q35ref import vectors
from q35ref.vectors.encoding import Json
from tools.lean_vectors.files import FOLDER, MARK, generate
from tools.lean_vectors.statements import NOT_STATED, UnknownRefusalError, state
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
    path.write_text(path.read_text(encoding="utf-8").replace('{"code":68}', '{"code":69}', 1), encoding="utf-8")
    _renew_digest(changed, path)
    files, _ = generate(changed)
    (named,) = differences(copy, files)
    assert named.startswith(f"{FOLDER}/Codec.lean: differs in line ")
    ours = (copy / FOLDER / "Codec.lean").read_text(encoding="utf-8").splitlines()
    new = files[f"{FOLDER}/Codec.lean"].splitlines()
    lines = [(old, now) for old, now in zip(ours, new, strict=True) if old != now and not old.startswith("-- ")]
    assert lines == [("  ⟨−8, −4, 68⟩,", "  ⟨−8, −4, 69⟩,")]


def _renew_digest(directory: Path, path: Path) -> None:
    sums = directory / "SHA256SUMS"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lines = sums.read_text(encoding="utf-8").splitlines()
    renewed = [f"{digest}  {path.name}" if line.endswith(f"  {path.name}") else line for line in lines]
    sums.write_text("\n".join(renewed) + "\n", encoding="utf-8")


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a number in a case; a float32's bits are for the reader, unless they are those of an infinity."""
    match value:
        case [int(significand), int(), str()]:
            yield from ((*path, 0), (*path, 1)) if significand else ((*path, 0),)
        case dict() | list():
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                yield from _leaves(item, (*path, key))
        case _:
            yield path


def _changed(value: Any, path: tuple[Any, ...]) -> Any:
    """A case with another number in that place."""
    if path:
        copied = value.copy()
        copied[path[0]] = _changed(value[path[0]], path[1:])
        return copied
    match value:
        case int():
            return value + 2
        case "byte" | "dense":
            return {"byte": "dense", "dense": "byte"}[value]
        case "minmax" | "symmetric":
            return {"minmax": "symmetric", "symmetric": "minmax"}[value]
        case str() if "/" in value:
            changed = Fraction(value) + 1
            return f"{changed.numerator}/{changed.denominator}"
    return value[:-1] + ("1" if value[-1] == "0" else "0") if value else "00"


@pytest.mark.parametrize("operation", vectors.OPERATIONS)
def test_no_number_of_a_vector_is_left_out_of_its_statement(operation: str) -> None:
    stated = [case for case in vectors.load(operation).cases if state(operation, case) is not None]
    count = 0
    for case in stated[:: max(1, len(stated) // 12)]:
        for part in ("inputs", "expected"):
            fields = getattr(case, part)
            for path in () if "error" in fields else _leaves(fields):
                count += 1
                changed = case._replace(**{part: _changed(fields, path)})
                assert state(operation, changed) != state(operation, case), (case.id, part, path)
    assert count > 12


def test_an_overflow_is_stated() -> None:
    infinite = [case for case in vectors.load("round_float32").cases if "7f800000" in str(case.expected["rounded"])]
    assert infinite
    written = [state("round_float32", case) for case in infinite]
    assert all(found is not None and found.fields[2] == "true" for found in written)
    largest: dict[str, Json] = {"rounded": [16777215, 104, "7f7fffff"]}
    finite = state("round_float32", infinite[0]._replace(expected=largest))
    assert finite is not None
    assert finite.fields[2] == "false"


@pytest.mark.parametrize("operation", ["unpack_dense", "unpack_column", "calibrate", "matmul"])
def test_what_lean_refuses_is_stated_as_none(operation: str) -> None:
    refused = [case for case in vectors.load(operation).cases if "error" in case.expected]
    stated = [found for case in refused if (found := state(operation, case)) is not None]
    assert stated
    assert all(found.fields[-1] == "none" for found in stated)


def test_a_refusal_without_a_reason_is_an_error() -> None:
    case = vectors.load("clamp").cases[0]
    with pytest.raises(UnknownRefusalError, match=r"clamp/.* clamp refuses value: neither stated nor excused"):
        state("clamp", case._replace(expected={"error": "value"}))


def test_no_reason_is_listed_in_vain() -> None:
    found = counts()
    assert {name: set(count.not_stated) for name, count in found.items() if count.not_stated} == {
        name: set(reasons) for name, reasons in NOT_STATED.items()
    }


def test_what_is_written_is_what_is_checked(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / FOLDER / "Codec.lean").unlink()
    (copy / FOLDER / "Quantize4.lean").write_text(f"{MARK}module\n", encoding="utf-8")
    (copy / FOLDER / "ByHand.lean").write_text("module\n", encoding="utf-8")
    assert main(["--directory", str(copy)]) == 0
    assert not (copy / FOLDER / "Quantize4.lean").exists()
    assert list(differences(copy, generate()[0])) == [f"{FOLDER}/ByHand.lean: no such file is generated"]
    assert "not stated: 6 that refuse weight: NaN and infinities are no Rat" in capsys.readouterr().out


def test_the_files_are_small_and_name_their_sources() -> None:
    lines = (VECTORS / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    digests = {file: digest for digest, file in (line.split("  ") for line in lines)}
    named = set()
    for name, text in generate()[0].items():
        assert len(text.encode()) < 400_000, name
        assert max(map(len, text.splitlines())) <= 120, name
        assert text.startswith(MARK)
        sources = re.findall(r"^-- (\w{64})  q35ref/vectors/(\S+)$", text, re.MULTILINE)
        assert all(digests[file] == digest for digest, file in sources), name
        named |= {file for _, file in sources}
    assert named == set(digests)


def test_the_counts_are_those_of_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--counts"]) == 0
    total = json.loads(capsys.readouterr().out)
    texts = generate()[0].values()
    assert total["theorems"] == sum(len(re.findall(r"^theorem ", text, re.MULTILINE)) for text in texts)
    assert total["stated"] == sum(len(re.findall(r"^  ⟨", text, re.MULTILINE)) for text in texts)
    assert total["not_stated"] == sum(
        reason["vectors"] for count in total["operations"].values() for reason in count["not_stated"].values()
    )


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
    assert stated["pack_pair"] == stated["unpack_pair"] == 128
    assert stated["quantize"] >= 2000
    assert stated["round_float32"] >= 500
    assert stated["pack_dense"] >= 190
    assert stated["unpack_dense"] >= 100
    assert stated["calibrate_clip"] >= 5
    assert min(stated.values()) > 0
