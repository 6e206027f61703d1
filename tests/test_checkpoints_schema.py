"""The metadata of a quantized file: the published schema, and a loader that is at least as strict."""

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest

from q35ref.checkpoints import CheckpointError, inspect_file, quantize_file
from q35ref.checkpoints.schema import (
    MEASURES,
    PART_SUFFIXES,
    RULES,
    SCHEMA_VERSION,
    encode_records,
    parse_records,
)
from tests.checkpoint_files import Stored, load, model, save

SCHEMA = json.loads(resources.files("q35ref.checkpoints").joinpath("schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
Document = dict[str, Any]


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schema")
    quantize_file(model(folder / "source"), folder / "quantized", group_size=16, layout="byte")
    return folder / "quantized"


@pytest.fixture
def document(quantized: Path) -> Document:
    return cast("Document", json.loads(load(quantized)[1]["q35ref"]))


def test_the_schema_is_a_schema_and_says_what_the_code_says() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    tensor = SCHEMA["$defs"]["tensor"]
    assert SCHEMA["properties"]["schema_version"] == {"const": SCHEMA_VERSION}
    assert set(tensor["properties"]) == {*RULES, "quality"} == set(tensor["required"])
    quality = tensor["properties"]["quality"]
    assert set(quality["properties"]) == set(MEASURES) == set(quality["required"])
    for key, allowed in RULES.items():
        rule = tensor["properties"][key]
        if "$ref" in rule:
            rule = SCHEMA["$defs"]["size"]
        if isinstance(allowed, range):
            assert (rule["minimum"], rule.get("multipleOf", 1)) == (allowed.start, allowed.step)
            assert rule["maximum"] == 2**63 - 1
        else:
            assert tuple(rule["enum"]) == allowed


def test_what_we_write_is_of_the_schema_and_read_back(quantized: Path, document: Document) -> None:
    VALIDATOR.validate(document)
    assert encode_records(parse_records(json.dumps(document)).values()) == load(quantized)[1]["q35ref"]
    for measure in MEASURES:
        document["tensors"]["first.weight"]["quality"][measure] = None
    VALIDATOR.validate(document)
    again = json.loads(encode_records(parse_records(json.dumps(document)).values()))
    assert again == document


def change(*path: str, to: object) -> Callable[[Document], None]:
    def apply(document: Document) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = to

    return apply


def remove(*path: str) -> Callable[[Document], None]:
    def apply(document: Document) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return apply


NOTHING_HAS: tuple[object, ...] = (None, [], {}, "x", 1.5, True, -1, 2**63)
NO_MEASURE: tuple[object, ...] = (-1, "0", True, [])
AT = ("tensors", "first.weight")
WRONG: list[Callable[[Document], None]] = [
    change("schema_version", to=0),
    change("schema_version", to=2),
    change("schema_version", to="1"),
    change("schema_version", to=True),
    remove("schema_version"),
    remove("tensors"),
    change("tensors", to={}),
    change("tensors", to=[]),
    change("more", to=1),
    change(*AT, to=None),
    change(*AT, "more", to=1),
    *[remove(*AT, key) for key in (*RULES, "quality")],
    *[change(*AT, key, to=value) for key in RULES for value in NOTHING_HAS],
    change(*AT, "k", to=0),
    change(*AT, "group_size", to=8),
    change(*AT, "narrow_gain", to=3),
    change(*AT, "quality", to=None),
    change(*AT, "quality", "more", to=1),
    *[remove(*AT, "quality", key) for key in MEASURES],
    *[change(*AT, "quality", key, to=value) for key in MEASURES for value in NO_MEASURE],
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_the_schema_refuses_the_loader_refuses(document: Document, wrong: Callable[[Document], None]) -> None:
    before = json.dumps(document)
    wrong(document)
    assert json.dumps(document) != before
    assert not VALIDATOR.is_valid(document)
    with pytest.raises(ValueError, match="expected"):
        parse_records(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    ["", "1", "[]", "{", '{"schema_version":1,"schema_version":1,"tensors":{}}', "[" * 100_000, "NaN",
     '{"schema_version":1e0}'],
)  # fmt: skip
def test_text_that_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|duplicate key|schema_version"):
        parse_records(text)


@pytest.mark.parametrize("number", ["1e999", "NaN", "Infinity"])
def test_a_measure_that_is_not_finite_is_refused(document: Document, number: str) -> None:
    document["tensors"]["first.weight"]["quality"]["rmse"] = "HERE"
    with pytest.raises(ValueError, match=r"rmse|not JSON|that float64 holds"):
        parse_records(json.dumps(document).replace('"HERE"', number))


class Editing:
    """A quantized file, taken apart to be spoilt and written again."""

    def __init__(self, path: Path) -> None:
        self.tensors, self.metadata = load(path)
        self.document: Document = json.loads(self.metadata["q35ref"])
        self.record: Document = self.document["tensors"]["first.weight"]

    def refused(self, path: Path) -> str:
        """Write the spoilt file, and return what is said of it."""
        if "q35ref" in self.metadata:
            self.metadata["q35ref"] = json.dumps(self.document)
        save(path, self.tensors, self.metadata)
        with pytest.raises(CheckpointError) as caught:
            inspect_file(path)
        assert caught.value.path == str(path)
        return caught.value.problem

    def part(self, suffix: str) -> bytearray:
        return bytearray(self.tensors["first.weight" + suffix].data)

    def put(self, suffix: str, data: bytearray) -> None:
        name = "first.weight" + suffix
        self.tensors[name] = self.tensors[name]._replace(data=bytes(data))


@pytest.fixture
def editing(quantized: Path) -> Editing:
    return Editing(quantized)


def test_taking_apart_and_writing_again_alone_spoils_nothing(editing: Editing, tmp_path: Path) -> None:
    save(tmp_path / "t", editing.tensors, editing.metadata)
    assert len(inspect_file(tmp_path / "t").quantized) == 2


def test_missing_metadata_is_refused(editing: Editing, tmp_path: Path) -> None:
    del editing.metadata["q35ref"]
    assert "tensor first.weight.q35_" in (problem := editing.refused(tmp_path / "t"))
    assert "metadata lacks" in problem


def test_a_tensor_that_the_metadata_lacks_is_refused(editing: Editing, tmp_path: Path) -> None:
    del editing.document["tensors"]["first.weight"]
    assert "metadata lacks" in editing.refused(tmp_path / "t")


def test_another_schema_version_is_refused(editing: Editing, tmp_path: Path) -> None:
    editing.document["schema_version"] = 2
    assert "expected schema_version 1, got 2" in editing.refused(tmp_path / "t")


@pytest.mark.parametrize("suffix", PART_SUFFIXES)
def test_a_missing_part_is_refused(editing: Editing, tmp_path: Path, suffix: str) -> None:
    del editing.tensors["first.weight" + suffix]
    assert f"tensor first.weight: expected first.weight{suffix}" in editing.refused(tmp_path / "t")


@pytest.mark.parametrize("suffix", PART_SUFFIXES)
@pytest.mark.parametrize("how", ["dtype", "turned", "flat"])
def test_a_part_of_another_dtype_or_shape_is_refused(editing: Editing, tmp_path: Path, suffix: str, how: str) -> None:
    name = "first.weight" + suffix
    dtype, (rows, columns), data = editing.tensors[name]
    editing.tensors[name] = {
        "dtype": Stored({"U8": "I8", "F32": "I32"}[dtype], (rows, columns), data),
        "turned": Stored(dtype, (columns, rows), data),
        "flat": Stored(dtype, (rows * columns,), data),
    }[how]
    assert f"tensor first.weight: expected {name} to be {dtype}" in editing.refused(tmp_path / "t")


@pytest.mark.parametrize(
    ("key", "value"),
    [("k", 35), ("k", 31), ("k", 2**62), ("n", 7), ("n", 2**62), ("group_size", 0), ("group_size", 32),
     ("layout", "dense")],
)  # fmt: skip
def test_a_record_that_does_not_fit_its_parts_is_refused(
    editing: Editing, tmp_path: Path, key: str, value: object
) -> None:
    editing.record[key] = value
    assert editing.refused(tmp_path / "t").startswith("tensor first.weight: expected first.weight.q35_")


def test_a_group_that_is_too_long_is_refused(editing: Editing, tmp_path: Path) -> None:
    editing.record.update(k=2_097_152, group_size=0)
    assert editing.refused(tmp_path / "t").startswith("tensor first.weight: group_size: ")


def test_a_tensor_that_is_both_quantized_and_plain_is_refused(editing: Editing, tmp_path: Path) -> None:
    editing.tensors["first.weight"] = Stored("F32", (1,), bytes(4))
    assert "tensor first.weight: expected it quantized or not, got both" in editing.refused(tmp_path / "t")


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    tensors, metadata = load(model(tmp_path / "source"))
    tensors["first.weight.q35_scale"] = Stored("F32", (1,), bytes(4))
    source = save(tmp_path / "source", tensors, metadata)
    with pytest.raises(CheckpointError, match=r"source: tensor first\.weight\.q35_scale"):
        quantize_file(source, tmp_path / "t")


def test_codes_above_127_are_refused(editing: Editing, tmp_path: Path) -> None:
    data = editing.part(".q35_packed")
    data[20] |= 0x80
    editing.put(".q35_packed", data)
    assert editing.refused(tmp_path / "t").startswith("tensor first.weight: packed[1, 3]: expected a code below 128")


def test_set_padding_bits_are_refused(tmp_path: Path) -> None:
    quantize_file(model(tmp_path / "source"), tmp_path / "dense")
    editing = Editing(tmp_path / "dense")
    data = editing.part(".q35_packed")
    data[-1] |= 0x80
    editing.put(".q35_packed", data)
    assert editing.refused(tmp_path / "t").startswith("tensor first.weight: packed[5]: a padding bit")


@pytest.mark.parametrize("suffix", [".q35_scale", ".q35_offset"])
@pytest.mark.parametrize("bits", ["0000807f", "000080ff", "0000c07f", "00000000", "00000080", "0000803f", "000080bf"])
def test_parameters_that_are_not_finite_or_scales_not_positive_are_refused(
    editing: Editing, tmp_path: Path, suffix: str, bits: str
) -> None:
    data = editing.part(suffix)
    data[28:32] = bytes.fromhex(bits)
    editing.put(suffix, data)
    finite_and_positive = {".q35_scale": ["0000803f"], ".q35_offset": ["00000000", "00000080", "0000803f", "000080bf"]}
    if bits in finite_and_positive[suffix]:
        save(tmp_path / "t", editing.tensors, editing.metadata)
        assert len(inspect_file(tmp_path / "t").quantized) == 2
    else:
        assert editing.refused(tmp_path / "t").startswith(f"tensor first.weight: {suffix[5:]}: expected")


def test_a_hostile_measure_does_not_overflow_the_totals(editing: Editing, tmp_path: Path) -> None:
    editing.record["quality"]["rmse"] = 1e300
    editing.metadata["q35ref"] = json.dumps(editing.document)
    save(tmp_path / "t", editing.tensors, editing.metadata)
    assert inspect_file(tmp_path / "t").quality.rmse == float("inf")


@pytest.mark.parametrize("name", ["first.weight", "second.weight"])
def test_a_measure_that_is_missing_is_not_passed_over(editing: Editing, tmp_path: Path, name: str) -> None:
    editing.document["tensors"][name]["quality"]["exact_ratio"] = None
    editing.metadata["q35ref"] = json.dumps(editing.document)
    save(tmp_path / "t", editing.tensors, editing.metadata)
    assert not inspect_file(tmp_path / "t").quality.within_bound
