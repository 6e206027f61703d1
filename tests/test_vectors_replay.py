"""Vector files put to a kernel: correct ones pass, planted bugs are found, damaged files are named."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from q35ref.atomic_folder import write_folder
from q35ref.backends import get
from q35ref.oracle import Result, bugs, call_files, problems
from q35ref.oracle.replay import replay_vectors
from q35ref.oracle.suite import MANIFEST, suite
from q35ref.oracle.targets import ObjectTarget
from q35ref.oracle.vector import CALLS, RESULTS, from_problem
from q35ref.vectors import DIGESTS, OPERATIONS, VectorFileError, committed_directory, files

COMMITTED = committed_directory()
SUITE = suite(formats=["json"])


def replayed(kernel: object, *arguments: Any) -> Iterator[Result]:
    """Put vector files to an object."""
    return replay_vectors(ObjectTarget(kernel), *arguments)


def failed(kernel: object, path: Path) -> list[Result]:
    return [result for result in replayed(kernel, path) if result.status == "failed"]


def sealed(folder: Path, name: str, data: bytes) -> Path:
    """Write a file with the digest of what it holds."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    (folder / DIGESTS).write_text(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
    return folder / name


def calls_file(folder: Path, operation: str, change: Callable[[Any], object] = lambda document: None) -> Path:
    """Write some calls of an operation, changed."""
    folder.mkdir(exist_ok=True)
    posed = list(problems(operation, 1, 1))[:40]
    found = [from_problem(f"calls/{operation}/{operation}/{i}", problem) for i, problem in enumerate(posed)]
    document = call_files.document(operation, 1, 1, found)
    change(document)
    return sealed(folder / "calls", f"{operation}.json", json.dumps(document).encode())


# Kernels


@pytest.mark.parametrize("name", ["numpy", "reference"])
def test_our_backends_give_what_the_vectors_expect(name: str) -> None:
    results = {result.name: result for result in replayed(get(name), COMMITTED)}
    assert list(results) == [f"vectors.{operation}" for operation in OPERATIONS]
    for operation in OPERATIONS:
        result = results[f"vectors.{operation}"]
        assert result.status == ("passed" if operation in CALLS else "not checked"), result.to_text()
    assert results["vectors.quantize"].cases > 2000
    assert results["vectors.matmul"].numbers > 400


@pytest.mark.parametrize(
    ("bug", "file", "flag"),
    [
        (bugs.BUGS["Wraps"], "quantize", "narrow_cut"),
        (bugs.BUGS["RoundsHalfAway"], "quantize", "half_away"),
        (bugs.BUGS["RoundsHalfUp"], "quantize", "half_up"),
        (bugs.BUGS["Truncates"], "quantize", "truncated"),
        (bugs.BUGS["QuantizesInDouble"], "quantize", "in_double"),
        (bugs.BUGS["GainIgnored"], "quantize", "gain_ignored"),
        (bugs.BUGS["AcceptsNan"], "quantize", "not_finite_mapped"),
        (bugs.BUGS["DequantizesInDouble"], "dequantize", "double_rounding"),
        (bugs.BUGS["RowSumMissing"], "matmul", "row_sum_dropped"),
        (bugs.BUGS["GroupBoundaryOffByOne"], "matmul", "boundary_off_by_one"),
        (bugs.BUGS["GainIgnored"], "matmul", "gain_ignored"),
        (bugs.BUGS["UnsignedActivations"], "matmul", "activations_unsigned"),
    ],
)
def test_a_planted_bug_is_found_and_fits_its_flag(bug: type[Any], file: str, flag: str) -> None:
    (result,) = failed(bug(), COMMITTED / f"{file}.json")
    assert flag in result.findings[0].bugs
    assert result.name == f"vectors.{file}"
    assert result.findings[0].place.startswith(f"{file}/")
    assert "0x" in result.findings[0].got or result.findings[0].kind == "accepted"


def test_the_code_of_a_finding_repeats_it() -> None:
    kernel = bugs.BUGS["Wraps"]()
    (result,) = failed(kernel, COMMITTED / "quantize.json")
    lines = result.findings[0].code.splitlines()
    namespace: dict[str, Any] = {"kernel": kernel}
    exec("\n".join(lines[:-1]), namespace)  # noqa: S102  our own text
    assert eval(lines[-1], namespace).tolist() == [[0], [2]]  # noqa: S307


class Partial:
    """A kernel that packs only, and badly: it writes into its input."""

    def pack(self, q: Any, layout: Any) -> Any:
        packed = get("numpy").pack(q, layout)
        q[0, 0] += 1
        return packed


class Raises:
    def matmul(self, *arguments: Any) -> Any:
        raise MemoryError("no")

    def unpack(self, packed: Any, k: int, layout: Any) -> Any:
        return None

    def calibrate(self, *arguments: Any) -> Any:
        return np.zeros(3)


class OnlyAccumulators:
    def matmul(self, *arguments: Any) -> Any:
        acc, _, _ = get("numpy").matmul(*arguments)
        return acc, None, None


def test_what_a_kernel_lacks_is_not_checked_and_what_it_does_wrong_is_named() -> None:
    results = {result.name: result for result in replayed(Partial(), COMMITTED)}
    assert results["vectors.matmul"].reason == "the target has no matmul"
    assert results["vectors.clamp"].status == "not checked"
    assert [str(results["vectors.pack_pair"].findings).count("modified input")] == [1]
    found = {result.name: result.findings for result in failed(Raises(), COMMITTED)}
    assert str(found["vectors.matmul"]).count("MemoryError: no") == 1
    assert len(found["vectors.unpack_pair"]) == 1
    assert found["vectors.unpack_pair"][0].kind == "shape"
    assert len(found["vectors.calibrate"]) == 1
    assert failed(OnlyAccumulators(), COMMITTED / "matmul.json") == []


def test_an_output_past_its_bound_is_found() -> None:
    class Off:
        def matmul(self, *arguments: Any) -> Any:
            acc, row_sum, out = get("numpy").matmul(*arguments)
            assert out is not None
            return acc, row_sum, np.nextafter(np.nextafter(out * np.float32(1 + 1e-4), np.float32(9)), np.float32(9))

    (result,) = failed(Off(), COMMITTED / "matmul.json")
    assert "at least" in str(result.findings)


@pytest.mark.parametrize("operation", RESULTS)
def test_calls_are_replayed(operation: str, tmp_path: Path) -> None:
    path = calls_file(tmp_path, operation)
    (result,) = replayed(get("numpy"), path)
    assert (result.name, result.status, result.cases) == (f"vectors.calls.{operation}", "passed", 40)
    assert result.cases == len(list(problems(operation, 1, 1))[:40])


def test_a_bug_is_found_by_calls(tmp_path: Path) -> None:
    assert len(failed(bugs.BUGS["LanesSwapped"](), calls_file(tmp_path, "pack"))) == 1


def test_a_whole_suite_is_replayed_and_filtered(tmp_path: Path) -> None:
    write_folder(tmp_path / "suite", SUITE, lambda found: False)
    results = list(replayed(get("numpy"), tmp_path / "suite", lambda name: name.startswith("vectors.pack_")))
    assert [result.name for result in results] == ["vectors.pack_pair", "vectors.pack_dense", "vectors.pack_column"]


# Files


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: flip(folder / "json" / "clamp.json"), r"json/clamp\.json: 5654 bytes with SHA-256"),
        (lambda folder: (folder / "json" / "clamp.json").unlink(), r"clamp\.json: cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text("{"), r"manifest\.json: not a JSON document"),
        (lambda folder: (folder / MANIFEST).write_text("[" * 100_000), r"manifest\.json: nested too deeply"),
        (lambda folder: edit_manifest(folder, bytes=1), r"5654 bytes .* but manifest\.json says 1 bytes"),
        (lambda folder: edit_manifest(folder, name="../x"), r"manifest\.json: \.\./x leads out of the folder"),
        (lambda folder: edit_manifest(folder, sha256="0" * 64), r"but manifest\.json says 5654 bytes with 0000"),
        (lambda folder: edit_manifest(folder, note="x"), r"manifest\.json: document\.files\[\d+\]\.note: not allowed"),
    ],
)
def test_a_changed_suite_is_refused_before_the_kernel_is_called(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    write_folder(tmp_path / "suite", SUITE, lambda found: False)
    damage(tmp_path / "suite")
    with pytest.raises(VectorFileError, match=message):
        next(replayed(get("numpy"), tmp_path / "suite"))


def edit_manifest(folder: Path, **change: Any) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    entry = next(entry for entry in manifest["files"] if entry["name"] == "json/clamp.json")
    entry.update(change)
    (folder / MANIFEST).write_text(json.dumps(manifest))


COMMITTED_PAIR = (COMMITTED / "pack_pair.json").read_bytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (COMMITTED_PAIR[:-200], "not a JSON document: .* line"),
        (b"\xff\xfe", "not a JSON document"),
        (b"null", "expected an object with a list of cases"),
        (b'{"a":1,"a":2}', "a key is there twice"),
        (COMMITTED_PAIR.replace(b'"wide":', b'"high":', 1), r"document\.cases\[0\]\.inputs\.high: not allowed"),
        (COMMITTED_PAIR.replace(b'"code":68', b'"code":6.8', 1), "no number is written as a fraction"),
        (COMMITTED_PAIR.replace(b'"code":68', b'"code":NaN', 1), "NaN is not allowed"),
        (COMMITTED_PAIR.replace(b'"code":68', b'"code":680', 1), r"document\.cases\[0\]\.expected"),
    ],
)
def test_a_hostile_file_with_a_right_digest_is_refused_with_its_place(
    tmp_path: Path, data: bytes, message: str
) -> None:
    path = sealed(tmp_path / "v", "pack_pair.json", data)
    with pytest.raises(VectorFileError, match=rf"pack_pair\.json: .*{message}"):
        list(replayed(get("numpy"), path))


def test_sizes_that_no_vector_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.loads((COMMITTED / "accumulate.json").read_text())
    document["cases"][0]["inputs"]["rows"] = 2**52
    path = sealed(tmp_path / "v", "accumulate.json", json.dumps(document).encode())
    with pytest.raises(VectorFileError, match=r"accumulate\.json: .*cases\[0\].*rows"):
        list(replayed(get("numpy"), path))
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 1000)
    with pytest.raises(VectorFileError, match="more than the 1000 of any vector file"):
        list(replayed(get("numpy"), path))


def change_case(**changes: Any) -> Callable[[Any], object]:
    def change(document: Any) -> None:
        case = document["cases"][1]
        for place, value in changes.items():
            *keys, last = place.split("__")
            part = case
            for key in keys:
                part = part[key]
            part[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_case(inputs__packed__shape=[1, 2**62]), r"cases\[1\] .*inputs\.packed\.hex: expected \d+ numbers"),
        (change_case(settings__k=2**62), r"cases\[1\] .*packed: shape"),
        (change_case(settings__k=10**30), r"document\.cases\[1\]\.settings\.k: expected maximum"),
        (change_case(inputs__scale__decimal="2"), r"inputs\.scale\.decimal: differs"),
        (change_case(inputs__scale__dtype="int32"), r"inputs\.scale"),
        (change_case(inputs__x={"dtype": "int8", "shape": [1], "hex": "00", "decimal": "0"}), "expected the arguments"),
        (change_case(expected={"error": "w"}), "refused if, and only if"),
        (change_case(flags=["Invented"]), r"flags \['Invented'\] are not explained"),
        (change_case(settings__group_size=7), "group_size"),
        (change_case(comment="x"), r"document\.cases\[1\]\.comment: not allowed"),
        (lambda document: document.update(schema_version=2), r"document\.schema_version: expected const 1, got 2"),
        (lambda document: document["cases"].pop(), "expected 40 cases, got 39: it has been cut short"),
        (lambda document: document.update(operation="pack"), "expected the arguments"),
    ],
)
def test_hostile_calls_are_refused_with_their_place(
    tmp_path: Path, change: Callable[[Any], object], message: str
) -> None:
    path = calls_file(tmp_path, "matmul", change)
    with pytest.raises(VectorFileError, match=rf"matmul\.json: .*{message}"):
        list(replayed(get("numpy"), path))


def test_one_changed_number_in_hex_and_decimal_is_a_failure(tmp_path: Path) -> None:
    def change(document: Any) -> None:
        form = document["cases"][1]["expected"]["acc"]
        array = call_files.restored(form, "acc")
        array.flat[0] += 1
        document["cases"][1]["expected"]["acc"] = call_files.written(array)

    (result,) = failed(get("numpy"), calls_file(tmp_path, "matmul", change))
    assert result.failures == 1
    assert result.findings[0].place.startswith("calls/matmul/matmul/1, acc[m=0, n=0, g=0]")


def test_what_is_not_there_or_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pack.json")
    for path, message in (
        (tmp_path / "gone", "no such file or folder"),
        (tmp_path / "empty", "SHA256SUMS: cannot be read"),
        (tmp_path / "pack.json", r"pack\.json: no operation of that name"),
    ):
        with pytest.raises(VectorFileError, match=message):
            list(replayed(get("numpy"), path))
    (tmp_path / "clamp.json").symlink_to("pack.json")
    with pytest.raises(VectorFileError, match="expected a regular file"):
        list(replayed(get("numpy"), tmp_path / "clamp.json"))
    (tmp_path / DIGESTS).write_text("nonsense\n")
    with pytest.raises(VectorFileError, match="SHA256SUMS: line 1: expected a SHA-256"):
        list(replayed(get("numpy"), tmp_path))
