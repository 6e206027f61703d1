"""The committed vectors: well-formed, as generated, replayed, and able to catch a broken reference."""

import hashlib
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import gcd
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import q35ref
from q35ref import reference, vectors
from q35ref.vectors.calls import PREAMBLE
from q35ref.vectors.encoding import decode, encode, float32_form
from q35ref.vectors.operations import RESULTS
from q35ref.vectors.replaying import answer
from tools import make_vectors
from tools.vector_cases import grid
from tools.vector_cases.build import DisagreementError, Flag, Operation, document

SCHEMA = json.loads((vectors.committed_directory() / "schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

CHEAP = tuple(
    name
    for name in vectors.OPERATIONS
    if name not in ("accumulate", "quantize", "dequantize", "calibrate", "round_float32", "quantize_activations")
)
"""Operations whose files are generated again here; ``make vectors`` does it for all."""


def content(operation: str) -> dict[str, Any]:
    """The file of an operation as JSON."""
    loaded: dict[str, Any] = json.loads((vectors.committed_directory() / f"{operation}.json").read_text())
    return loaded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the committed files that a test may damage."""
    return Path(shutil.copytree(vectors.committed_directory(), tmp_path / "vectors"))


def seal(folder: Path, operation: str, text: str) -> None:
    """Write a file together with its digest, so that only its content can be refused."""
    (folder / f"{operation}.json").write_text(text)
    line = f"{hashlib.sha256(text.encode()).hexdigest()}  {operation}.json"
    sums = folder / vectors.DIGESTS
    kept = [old for old in sums.read_text().splitlines() if not old.endswith(f"  {operation}.json")]
    sums.write_text("\n".join([*kept, line]) + "\n")


# What the files hold


@pytest.mark.parametrize("operation", vectors.OPERATIONS)
def test_every_file_satisfies_the_published_schema(operation: str) -> None:
    VALIDATOR.validate(content(operation))


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.update(note="hand-made"),
        lambda file: file.update(schema_version=2),
        lambda file: file["cases"][0].update(comment="added"),
        lambda file: file["cases"][0]["inputs"].update(extra=1),
        lambda file: file["cases"][0]["inputs"].update(wide=0.5),
        lambda file: file["cases"][0]["expected"].update(code=128),
        lambda file: file["cases"][0]["expected"].clear(),
        lambda file: file["cases"][0].pop("id"),
        lambda file: file["flags"]["sign_leak"].pop("effect"),
    ],
)
def test_the_schema_refuses_a_changed_form(change: Callable[[dict[str, Any]], object]) -> None:
    file = content("pack_pair")
    change(file)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(file)


def test_the_schema_knows_exactly_the_operations() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert tuple(SCHEMA["properties"]["operation"]["enum"]) == vectors.OPERATIONS


def test_ids_are_unique_and_every_flag_is_defined_and_used() -> None:
    ids = []
    for operation in vectors.OPERATIONS:
        file = vectors.load(operation)
        ids += [case.id for case in file.cases]
        assert {flag for case in file.cases for flag in case.flags} == set(file.flags), operation
    assert len(set(ids)) == len(ids)


def test_the_numbers_of_cases_that_the_proofs_rely_on() -> None:
    assert len(vectors.load("quantize").cases) >= 2000
    assert len(vectors.load("round_float32").cases) >= 500
    lengths = {case.inputs["count"] for case in vectors.load("unpack_dense").cases if "codes" in case.expected}
    assert lengths == set(range(41))
    packed = [case for case in vectors.load("pack_pair").cases if "code" in case.expected]
    assert sorted(str(case.expected["code"]) for case in packed) == sorted(map(str, range(128)))
    assert 2_097_151 in [case.inputs["rows"] for case in vectors.load("accumulate").cases]


def test_the_files_together_stay_below_two_megabytes() -> None:
    assert sum(path.stat().st_size for path in vectors.committed_directory().glob("*.json")) < 2_000_000


def written_numbers(value: object) -> Iterator[tuple[str, Any]]:
    """Every float32 and every rational of a case."""
    match value:
        case [int(), int(), str()]:
            yield "float32", value
        case str() if "/" in value:
            yield "rational", value
        case list() | tuple():
            for item in value:
                yield from written_numbers(item)
        case dict():
            for item in value.values():
                yield from written_numbers(item)


def test_every_number_is_written_in_its_one_form() -> None:
    count = 0
    for operation in vectors.OPERATIONS:
        for case in vectors.load(operation).cases:
            for kind, number in written_numbers([case.inputs, case.expected]):
                count += 1
                if kind == "rational":
                    numerator, denominator = map(int, number.split("/"))
                    assert gcd(numerator, denominator) == 1, case.id
                    continue
                significand, exponent, bits = number
                assert significand % 2 == 1 or (significand, exponent) == (0, 0), case.id
                value = significand * Fraction(2) ** exponent
                if abs(value) < 2**128:
                    assert struct.unpack(">f", bytes.fromhex(bits))[0] == value, case.id
                else:
                    assert bits == ("ff800000" if value < 0 else "7f800000"), case.id
    assert count > 10_000


# Encoding


@pytest.mark.parametrize("value", [0, -5, 0.0, 0.5, -(2.0**-149), 2.0**127, Fraction(-7, 3), [1, 2.0, [3]]])
def test_what_is_encoded_is_decoded_again(value: Any) -> None:
    assert decode(json.loads(json.dumps(encode(value)))) == value


def test_a_number_that_is_no_float32_is_not_encoded() -> None:
    with pytest.raises(ValueError, match=r"value: expected the value of a float32, got 0\.1"):
        encode(0.1)


def test_an_object_is_not_a_value() -> None:
    with pytest.raises(TypeError, match="value"):
        decode({"a": 1})


@pytest.mark.parametrize("x", [Fraction(2**128), Fraction(-(2**130)), Fraction(0), Fraction(-3, 2**140)])
def test_the_two_writers_of_float32_agree(x: Fraction) -> None:
    assert float32_form(x) == grid.written(x)


# Generating


def test_the_committed_files_are_as_generated() -> None:
    for name, text in make_vectors.generate(CHEAP):
        if name != vectors.DIGESTS:
            assert (vectors.committed_directory() / name).read_text() == text, name


def test_a_difference_is_found_and_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "round_half_even.json"
    path.write_text(path.read_text().replace('"expected":{"integer":"-20"}', '"expected":{"integer":"-21"}', 1))
    assert make_vectors.main(["--check", "--directory", str(folder)]) == 1
    printed = capsys.readouterr().out
    assert "round_half_even.json: line 16, case round_half_even/small/1" in printed
    assert printed.count('"integer":"-20"') == printed.count('"integer":"-21"') == 1


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: (folder / "clamp.json").unlink(), "clamp.json: missing"),
        (lambda folder: (folder / "clamp.json").write_text("{\n"), "clamp.json: line 2"),
        (lambda folder: (folder / "relu.json").write_text("{}"), "relu.json: no operation of that name"),
    ],
)
def test_a_missing_short_or_strange_file_is_named(folder: Path, damage: Callable[[Path], object], named: str) -> None:
    generated = [pair for pair in make_vectors.generate(["clamp"]) if pair[0] != vectors.DIGESTS]
    assert make_vectors.first_difference(folder, generated) is None
    damage(folder)
    assert str(make_vectors.first_difference(folder, generated)).startswith(named)


def test_what_is_written_is_what_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = list(make_vectors.generate(["clamp"]))
    monkeypatch.setattr(make_vectors, "generate", lambda: iter(few))
    assert make_vectors.main(["--directory", str(tmp_path)]) == 0
    assert make_vectors.main(["--check", "--directory", str(tmp_path)]) == 0
    assert vectors.load("clamp", tmp_path) == vectors.load("clamp")
    assert "as generated" in capsys.readouterr().out


def toy(define: Callable[..., Any], faulty: Callable[..., Any]) -> Operation:
    """An operation with one case, to be generated from a given definition and a given faulty variant."""
    inputs = ("only", {"value": 9, "low": -8, "high": 7})
    return Operation("clamp", "a toy", define, {"bug": Flag("a bug", "an effect", faulty)}, lambda: iter([inputs]))


def test_nothing_is_generated_where_definition_and_reference_differ() -> None:
    with pytest.raises(DisagreementError, match=r"the definition says {'value': 8}, the reference {'value': 7}"):
        document(toy(lambda **_: {"value": 8}, lambda **_: {"value": 0}))


def test_a_flag_that_no_case_exposes_is_refused() -> None:
    with pytest.raises(DisagreementError, match="no case exposes bug"):
        document(toy(lambda **_: {"value": 7}, lambda **_: {"value": 7}))
    assert document(toy(lambda **_: {"value": 7}, lambda **_: {"value": 0}))["cases"][0]["flags"] == ["bug"]


# Loading


@pytest.mark.parametrize("operation", vectors.OPERATIONS)
def test_a_missing_file_is_an_error(folder: Path, operation: str) -> None:
    (folder / f"{operation}.json").unlink()
    with pytest.raises(vectors.VectorFileError, match=rf"{operation}\.json: cannot be read"):
        list(vectors.replay([operation], directory=folder))


def test_a_truncated_file_is_an_error(folder: Path) -> None:
    path = folder / "pack_pair.json"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(vectors.VectorFileError, match=r"pack_pair\.json: SHA-256"):
        vectors.load("pack_pair", folder)


def test_one_changed_byte_is_an_error(folder: Path) -> None:
    path = folder / "pack_pair.json"
    path.write_bytes(path.read_bytes().replace(b'{"code":68}', b'{"code":69}', 1))
    with pytest.raises(vectors.VectorFileError, match=r"pack_pair\.json: SHA-256"):
        vectors.load("pack_pair", folder)


def test_a_missing_list_of_digests_is_an_error(folder: Path) -> None:
    (folder / vectors.DIGESTS).unlink()
    with pytest.raises(vectors.VectorFileError, match="SHA256SUMS: cannot be read"):
        vectors.load("pack_pair", folder)


@pytest.mark.parametrize(
    "change", [{"schema_version": 2}, {"operation": "clamp"}, {"case_count": 136}, {"cases": [], "case_count": 0}]
)
def test_a_file_of_another_version_operation_or_length_is_an_error(folder: Path, change: dict[str, Any]) -> None:
    seal(folder, "pack_pair", json.dumps({**content("pack_pair"), **change}))
    with pytest.raises(vectors.VectorFileError, match=r"pack_pair\.json: expected version 1, operation pack_pair"):
        vectors.load("pack_pair", folder)


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"operation: expected one of .* got 'relu'"):
        vectors.load("relu")
    with pytest.raises(ValueError, match=r"operations: expected some of .* got relu"):
        vectors.replay(["pack_pair", "relu"])


# Replaying


def test_the_reference_passes_every_vector() -> None:
    outcomes = list(vectors.replay())
    assert tuple(outcome.name for outcome in outcomes) == vectors.OPERATIONS
    assert [failure for outcome in outcomes for failure in outcome.failures] == []
    assert [outcome.cases for outcome in outcomes] == [len(vectors.load(name).cases) for name in vectors.OPERATIONS]


def test_a_subset_is_replayed_in_the_fixed_order() -> None:
    assert [outcome.name for outcome in vectors.replay({"unpack_pair", "clamp"})] == ["clamp", "unpack_pair"]


def half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def test_a_failure_says_what_is_needed_to_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference.rounding, "round_half_even", half_up)
    (outcome,) = vectors.replay(["round_half_even"])
    flagged = {case.id for case in vectors.load("round_half_even").cases if "half_up" in case.flags}
    assert {failure.id for failure in outcome.failures if "half_up" in failure.flags} == flagged
    first = outcome.failures[0]
    assert first.inputs == {"numerator": "-19", "denominator": "2"}
    assert (first.got, first.expected) == ({"integer": "-9"}, {"integer": "-10"})
    assert first.code == "q35ref.reference.rounding.round_half_even(-19, 2)"


@pytest.mark.parametrize("operation", vectors.OPERATIONS)
def test_the_code_of_a_failure_repeats_it(operation: str, folder: Path) -> None:
    file = content(operation)
    kept = [case for case in file["cases"] if "error" not in case["expected"]][-1]
    wrong = {**kept, "expected": {"error": "never"}}
    seal(folder, operation, json.dumps({**file, "cases": [wrong], "case_count": 1}))
    ((failure,),) = [outcome.failures for outcome in vectors.replay([operation], directory=folder)]
    namespace: dict[str, Any] = {}
    exec(PREAMBLE, namespace)  # noqa: S102  the preamble is our own text
    assert RESULTS[operation](eval(failure.code, namespace)) == failure.got == kept["expected"]  # noqa: S307


def test_a_crash_of_the_reference_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: int) -> int:
        raise RecursionError("deep")

    monkeypatch.setattr(reference.codec, "pack_pair", crash)
    (outcome,) = vectors.replay(["pack_pair"])
    assert len(outcome.failures) == outcome.cases
    assert outcome.failures[0].got == {"exception": "RecursionError: deep"}


def test_row_sums_that_depend_on_the_column_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(10**6))
    monkeypatch.setattr(reference.matmul, "row_sum", lambda activations: next(calls))
    case = next(case for case in vectors.load("matmul").cases if len(case.inputs["packed"]) == 2)  # type: ignore[arg-type]
    assert "depend on the column" in str(answer("matmul", case.inputs)["exception"])


GROUPS_ONE_ROW_TOO_LONG = """
def group_rows(k, size):
    length = group_length(k, size)
    step = length + 1 if length < k else length
    return [range(i, min(i + step, k)) for i in range(0, k, step)]
"""

FAULTS = {
    "none": ("codec", "", ""),
    "half_up": ("rounding", "def round_half_even(n, d): return (2 * n + d) // (2 * d)", "round_half_even quantize"),
    "sign_threshold": (
        "codec",
        "def sign_extend(field, bits): return field - 2**bits if 2 * field > 2**bits else field",
        "sign_extend unpack_pair unpack_column matmul",
    ),
    "group_boundary": ("lanes", GROUPS_ONE_ROW_TOO_LONG, "group_rows matmul"),
    "row_sum": ("matmul", "def row_sum(activations): return sum(activations[:-1])", "matmul"),
}
"""Faults by name: the module of the reference that is changed, how, and which files must notice."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_copy_of_the_reference_is_caught(fault: str, tmp_path: Path) -> None:
    module, source, noticing = FAULTS[fault]
    package = Path(q35ref.__file__).parent
    for part in ("reference", "vectors"):
        shutil.copytree(package / part, tmp_path / "q35ref" / part)
    (tmp_path / "q35ref" / "__init__.py").write_text("")
    program = (
        "from q35ref.vectors import OPERATIONS, replay\n"
        "chosen = [name for name in OPERATIONS if name != 'accumulate']\n"  # its long sums take a second
        "print(*(outcome.name for outcome in replay(chosen) if outcome.failures))\n"
    )

    path = tmp_path / "q35ref" / "reference" / f"{module}.py"
    path.write_text(f"{path.read_text()}\n\n{source}\n")
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    failing = set(done.stdout.split())
    assert failing >= set(noticing.split())
    assert bool(failing) == (fault != "none")


def test_a_run_of_rows_without_its_last_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference.matmul, "row_sum", lambda activations: sum(activations[:-1]))
    dropped = [case for case in vectors.load("accumulate").cases if "last_row_dropped" in case.flags]
    for case in dropped[-20:]:  # the first ones are millions of rows long
        assert answer("accumulate", case.inputs) != case.expected, case.id
