"""Vectors as tables: where each call's numbers lie, and the words and archives that other readers get."""

import io
import stat
import zipfile
from typing import Any

import numpy as np
import pytest

from q35ref.oracle.problem import Array, Problem
from q35ref.oracle.tables import COLUMNS_FIRST, FIELDS, SCALARS, flat, hex_files, npz, scalar_file, tables
from q35ref.oracle.vector import Vector, from_problem
from q35ref.vectors import Case
from tests.oracle.vector_arrays import float32, int8, int32

ONE, HALF = [1, 0, "3f800000"], [1, -1, "3f000000"]


def packing(name: str, *rows: list[int], flags: tuple[str, ...] = (), layout: str = "byte") -> Vector:
    """A call of pack; its answer is not computed but some bytes."""
    packed = np.arange(len(rows[0]) * len(rows) // 2, dtype=np.uint8).reshape(len(rows[0]), -1)
    return Vector(name, flags, Problem("pack", len(rows), {"q": int8(*rows)}, layout), {"packed": packed})


TWO = [
    packing("first", [1, 2], [3, -4], [5, 6], [0, 1], flags=("one", "two")),
    packing("second", [7], [-1], layout="dense"),
]
"""Four rows of two columns, then two rows of one."""


# Flat tables


@pytest.mark.parametrize("name", ["q", "w", "w_low", "w_high"])
def test_weights_lie_column_by_column_and_everything_else_row_by_row(name: str) -> None:
    array = int8([1, 2, 3], [4, 5, 6])
    assert flat(name, array).tolist() == [1, 4, 2, 5, 3, 6]
    assert name in COLUMNS_FIRST
    for other in ("a", "packed", "scale", "out", "acc"):
        assert flat(other, array).tolist() == [1, 2, 3, 4, 5, 6]


def test_the_calls_of_a_file_follow_one_another_in_each_table() -> None:
    found = tables(TWO)
    names = ["fields", "ids", "flags", "cases", "in_q", "expected_packed"]
    assert list(found) == names
    assert found["in_q"].tolist() == [1, 3, 5, 0, 2, -4, 6, 1, 7, -1]
    assert found["expected_packed"].tolist() == [0, 1, 2, 3, 0]
    assert found["fields"].tolist() == [*FIELDS, "start_in_q", "start_expected_packed"]
    assert found["ids"].tolist() == ["first", "second"]
    assert found["flags"].tolist() == ["one two", ""]
    assert found["cases"].tolist() == [[1, 4, 2, 0, 0, 2, 0, 0, 0, 0], [1, 2, 1, 1, 0, 2, 0, 0, 8, 4]]
    assert found["cases"].dtype == np.int64


def test_a_case_tells_its_settings() -> None:
    """FIELDS: m, k, n, layout, group size, gain, method, refused."""
    parameters = {"scale": float32([1, 1, 1]), "offset": float32([0, 0, 0])}
    weights = float32([1, 2, 3], [4, np.inf, 6])
    refused = Vector("r", (), Problem("quantize", 2, {"w": weights, **parameters}, group_size=16, narrow_gain=1))
    found = tables([refused])
    assert found["cases"].tolist() == [[1, 2, 3, 0, 16, 1, 0, 1, 0, 0, 0]]
    assert found["fields"].tolist()[len(FIELDS) :] == ["start_in_w", "start_in_scale", "start_in_offset"]
    activations = Problem("quantize_activations", 2, {"x": float32([1, 2], [3, 4], [5, 6])})
    assert tables([from_problem("a", activations)])["cases"][0, :3].tolist() == [3, 2, 1]
    symmetric = Problem("calibrate", 2, {"w": float32([1], [2])}, method="symmetric")
    assert tables([from_problem("s", symmetric)])["cases"][0, : len(FIELDS)].tolist() == [1, 2, 1, 0, 0, 2, 1, 0]


def test_refused_calls_have_inputs_and_no_answers_among_others_that_have() -> None:
    """An answer of the third call begins where the second, which has none, left off."""
    parameters = {"scale": float32([1]), "offset": float32([0])}
    made = [Problem("quantize", 1, {"w": float32([value]), **parameters}) for value in (1, np.nan, 2)]
    found = tables([from_problem(str(i), problem) for i, problem in enumerate(made)])
    assert found["fields"].tolist()[-1] == "start_expected_q"
    assert found["cases"][:, -1].tolist() == [0, 1, 1]
    assert found["cases"][:, FIELDS.index("refused")].tolist() == [0, 1, 0]
    assert found["expected_q"].tolist() == [1, 2]


def test_a_product_has_its_arrays_in_the_order_of_the_arguments() -> None:
    arrays = {"offset": float32([1, 2]), "q": int8([1, 2], [0, 0]), "scale": float32([3, 4]), "a": int8([1], [2])}
    found = tables([from_problem("m", Problem("matmul", 1, arrays))])
    assert [name for name in found if name.startswith("in_")] == ["in_a", "in_packed", "in_scale", "in_offset"]
    answers = ["acc", "row_sum", "out", "out_low", "out_high"]
    assert [name for name in found if name.startswith("exp")] == [f"expected_{name}" for name in answers]
    assert found["cases"][0, :3].tolist() == [2, 1, 2]


def test_no_table_is_made_of_nothing() -> None:
    with pytest.raises(ValueError, match="vectors: expected at least one"):
        tables([])


# Archives


def test_an_archive_is_read_by_numpy_without_pickles() -> None:
    arrays: dict[str, Array] = {
        "big": np.array([1, 2**40], ">i8"),
        "names": np.array(["a", "bcd"]),
        "bytes": np.array([3, 255], np.uint8),
        "strided": int32([1, 2, 3], [4, 5, 6])[:, ::2],
    }
    data = npz(arrays)
    assert npz(arrays) == data
    found = np.load(io.BytesIO(data), allow_pickle=False)
    assert found.files == list(arrays)
    for name, array in arrays.items():
        assert found[name].tolist() == array.tolist()
        assert found[name].dtype == array.dtype.newbyteorder("<")


def test_an_archive_carries_no_time_no_machine_and_the_first_version_of_the_form() -> None:
    """A zip's year begins at 1980; 3 is Unix, where a file's mode is in the upper half of its attributes."""
    with zipfile.ZipFile(io.BytesIO(npz({"a": int8([1]), "b": int8([2])}))) as archive:
        assert archive.namelist() == ["a.npy", "b.npy"]
        for member in archive.infolist():
            assert member.date_time == (1980, 1, 1, 0, 0, 0)
            assert member.compress_type == zipfile.ZIP_STORED
            assert member.create_system == 3
            assert stat.filemode(member.external_attr >> 16) == "?rw-r--r--"
            assert member.external_attr & 0xFFFF == 0
            assert archive.read(member)[:8] == b"\x93NUMPY\x01\x00"


def test_an_array_of_objects_is_not_written() -> None:
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        npz({"a": np.array([None, 1], object)})


# $readmemh


def test_a_table_of_calls_has_a_word_a_call_and_a_file_an_array() -> None:
    files = hex_files("pack", tables(TWO))
    assert list(files) == ["pack.cases.hex", "pack.in_q.hex", "pack.expected_packed.hex"]
    first = "_".join(f"{value:08x}" for value in (1, 4, 2, 0, 0, 2, 0, 0, 0, 0))
    assert files["pack.cases.hex"] == (
        "// 2 words of 320 bits; 32-bit fields, highest first:\n"
        "// m k n layout group_size narrow_gain method refused start_in_q start_expected_packed\n"
        f"{first} // first\n"
        "00000001_00000002_00000001_00000001_00000000_00000002_00000000_00000000_00000008_00000004 // second\n"
    )
    assert files["pack.in_q.hex"] == "// 10 words of 8 bits: int8\n01\n03\n05\n00\n02\nfc\n06\n01\n07\nff\n"
    assert files["pack.expected_packed.hex"] == "// 5 words of 8 bits: uint8\n00\n01\n02\n03\n00\n"


def test_a_float_is_a_word_of_its_bits() -> None:
    files = hex_files("c", tables([from_problem("c", Problem("calibrate", 1, {"w": float32([-1.5])}))]))
    assert files["c.in_w.hex"] == "// 1 words of 32 bits: float32\nbfc00000\n"


def test_tables_that_do_not_belong_together_are_refused() -> None:
    found = tables(TWO)
    with pytest.raises(ValueError, match="longer"):
        hex_files("pack", {**found, "ids": found["ids"][:1]})


@pytest.mark.parametrize(
    ("operation", "inputs", "expected", "bits", "fields", "word"),
    [
        (
            *("sign_extend", {"field": 9, "bits": 4}, {"value": -7}),
            *(24, "field[8] bits[8] value[8]", "09_04_f9"),
        ),
        ("pack_pair", {"wide": -2, "narrow": 3}, {"code": 115}, 24, "wide[8] narrow[8] code[8]", "fe_03_73"),
        ("unpack_pair", {"code": 115}, {"wide": -2, "narrow": 3}, 24, "code[8] wide[8] narrow[8]", "73_fe_03"),
        (
            *("quantize", {"weight": HALF, "scale": ONE, "offset": HALF, "row": 20, "narrow_gain": 2}, {"q": -1}),
            *(144, "weight[32] scale[32] offset[32] row[32] narrow_gain[8] q[8]"),
            "3f000000_3f800000_3f000000_00000014_02_ff",
        ),
        (
            *("dequantize", {"scale": ONE, "offset": HALF, "row": 1, "narrow_gain": 1, "q": -8}, {"rounded": HALF}),
            *(144, "scale[32] offset[32] row[32] narrow_gain[8] q[8] rounded[32]"),
            "3f800000_3f000000_00000001_01_f8_3f000000",
        ),
    ],
)
def test_an_operation_on_single_numbers_has_one_word_a_case(
    operation: str, inputs: Any, expected: Any, bits: int, fields: str, word: str
) -> None:
    cases = [
        Case(f"{operation}/a/1", (), inputs, expected),
        Case(f"{operation}/a/2", (), {}, {"error": "x"}),
        Case(f"{operation}/a/3", (), inputs, expected),
    ]
    assert scalar_file(operation, cases) == (
        f"// 2 words of {bits} bits; fields, highest first:\n// {fields}\n"
        f"{word} // {operation}/a/1\n{word} // {operation}/a/3\n"
    )


def test_every_operation_on_single_numbers_is_here() -> None:
    assert set(SCALARS) == {"sign_extend", "pack_pair", "unpack_pair", "quantize", "dequantize"}


@pytest.mark.parametrize(
    ("value", "word"), [(-128, "80"), (-1, "ff"), (0, "00"), (127, "7f"), (128, "80"), (255, "ff")]
)
def test_a_field_holds_what_is_signed_and_what_is_not(value: int, word: str) -> None:
    case = Case("x", (), {"wide": value, "narrow": 0}, {"code": 0})
    assert scalar_file("pack_pair", [case]).splitlines()[-1] == f"{word}_00_00 // x"


@pytest.mark.parametrize("value", [-1000, -257, -256, -129, 256, 257, 300])
def test_a_number_that_its_field_cannot_hold_is_refused(value: int) -> None:
    case = Case("x", (), {"wide": value, "narrow": 0}, {"code": 0})
    with pytest.raises(ValueError, match=f"^vector: expected 8 bits, got {value}$"):
        scalar_file("pack_pair", [case])
