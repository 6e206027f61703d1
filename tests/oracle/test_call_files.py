"""Whole calls as JSON: how arrays are written, what of a file is refused, and how calls come by their flags."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from q35ref.oracle import call_files
from q35ref.oracle.bugs import KERNELS
from q35ref.oracle.call_files import (
    decimal,
    document,
    generate,
    hexadecimal,
    load,
    restored,
    schema_path,
    text,
    written,
)
from q35ref.oracle.problem import Array, Problem
from q35ref.oracle.vector import RESULTS, Vector, from_problem
from q35ref.vectors import VectorFileError
from tests.oracle.vector_arrays import float32, int8, int32
from tests.oracle.vector_files import sealed

GRID = {"scale": float32([0.5, 3]), "offset": float32([1, -7])}
CODES = int8([-8, 7], [3, -4], [1, 2])
STORED = int8([-8, 7], [3, -4], [1, 2], [-1, 3])

POSED = {
    "pack": Problem("pack", 3, {"q": CODES}, "dense"),
    "unpack": Problem("unpack", 3, {"q": STORED}, "byte"),
    "calibrate": Problem("calibrate", 3, {"w": CODES.astype(np.float32)}, method="symmetric"),
    "quantize": Problem("quantize", 3, {"w": CODES.astype(np.float32), **GRID}, narrow_gain=1),
    "dequantize": Problem("dequantize", 3, {"q": CODES, **GRID}, narrow_gain=1),
    "quantize_activations": Problem("quantize_activations", 3, {"x": float32([1, 2, 3], [0, -5, 5])}),
    "matmul": Problem("matmul", 3, {"a": int8([1, 2, 3]), "q": STORED, **GRID}, "dense"),
}
"""A small call of each operation; no two numbers of its sizes are the same."""


def calls(operation: str) -> dict[str, Any]:
    """The document of two calls of an operation."""
    found = [from_problem(f"calls/{operation}/{operation}/{i}", POSED[operation]) for i in range(2)]
    return document(operation, 2, 7, found)


# Arrays


@pytest.mark.parametrize(
    ("array", "bits", "numbers"),
    [
        (int8([5, -2], [127, -128]), "05 fe 7f 80", "5 -2 127 -128"),
        (np.array([[46, 255]], np.uint8), "2e ff", "46 255"),
        (int32([[1, -2147483648, 2147483647]]), "00000001 80000000 7fffffff", "1 -2147483648 2147483647"),
        (float32([1.5, -0.0]), "3fc00000 80000000", "1.5 -0"),
        (float32([16777217 / 3, np.inf, -np.inf]), "4aaaaaab 7f800000 ff800000", "5592405.5 inf -inf"),
        (np.array([1e-45, 3.4028235e38], np.float32), "00000001 7f7fffff", "1.40129846e-45 3.40282347e+38"),
    ],
)
def test_an_array_is_written_twice_and_read_back(array: Array, bits: str, numbers: str) -> None:
    form = written(array)
    assert form == {"dtype": str(array.dtype), "shape": list(array.shape), "hex": bits, "decimal": numbers}
    assert (hexadecimal(array), decimal(array)) == (bits.split(), numbers)
    found = restored(form, "place")
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_numbers_are_written_in_the_order_of_their_rows() -> None:
    """However they lie in memory."""
    assert written(np.asfortranarray(int8([1, 2], [3, 4])))["hex"] == "01 02 03 04"


@pytest.mark.parametrize("count", [1, 4095, 4096, 4097, 8192, 9000])
def test_a_long_array_is_read_back_and_each_of_its_numbers_compared(count: int) -> None:
    array = (np.arange(count) % 250).astype(np.uint8)
    form = written(array)
    assert restored(form, "place").tobytes() == array.tobytes()
    for changed in (f"{form['decimal']} 1", f"{form['decimal']}1", form["decimal"][:-1], f" {form['decimal']}"):
        with pytest.raises(ValueError, match=r"^place\.decimal: differs from place\.hex$"):
            restored({**form, "decimal": changed}, "place")
    if count > 4096:
        with pytest.raises(ValueError, match="differs"):
            restored({**form, "decimal": form["decimal"].replace(" ", "  ")}, "place")


@pytest.mark.parametrize(
    ("shape", "bits", "message"),
    [
        ([2], "05 fe 7f", r"^p\.hex: expected 2 numbers of 2 digits for shape \[2\]$"),
        ([2], "05", r"^p\.hex: expected 2 numbers of 2 digits for shape \[2\]$"),
        ([2, 2], "05 fe", r"^p\.hex: expected 4 numbers of 2 digits for shape \[2, 2\]$"),
        ([0], "", r"^p\.hex: expected 0 numbers of 2 digits for shape \[0\]$"),
        ([1 << 62, 4], "05 fe", r"^p\.hex: expected 18446744073709551616 numbers"),
        ([2], "05fe7", r"^p\.hex: expected words of 2 digits$"),
        ([2], "0 5fe", r"^p\.hex: expected words of 2 digits$"),
        ([3], "05 fe0 7f"[:8], r"^p\.hex: expected words of 2 digits$"),
        ([3], "05 f e 7", r"^p\.hex: expected words of 2 digits$"),
        ([2], "05 f ", r"^p\.hex: expected words of 2 digits$"),
        ([3], "05 fe07f", r"^p\.hex: expected words of 2 digits$"),
    ],
)
def test_words_that_do_not_fit_the_shape_are_refused(shape: list[int], bits: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        restored({"dtype": "int8", "shape": shape, "hex": bits, "decimal": ""}, "p")


# Documents


@pytest.mark.parametrize("operation", RESULTS)
def test_calls_are_read_back(operation: str, tmp_path: Path) -> None:
    content = calls(operation)
    jsonschema.Draft202012Validator(json.loads(schema_path().read_text())).validate(content)
    name, flags, found = load(sealed(tmp_path, "calls.json", text(content).encode()))
    assert (name, flags) == (operation, {})
    assert [vector.id for vector in found] == [f"calls/{operation}/{operation}/{i}" for i in range(2)]
    for vector in found:
        before = from_problem("", POSED[operation])
        assert vector.problem.arguments().keys() == before.problem.arguments().keys()
        for key, value in before.problem.arguments().items():
            assert np.array_equal(vector.problem.arguments()[key], value)
        assert {k: a.tobytes() for k, a in vector.expected.items()} == {
            k: a.tobytes() for k, a in before.expected.items()
        }
        assert vector.problem.k == 3


def test_a_call_names_its_settings_its_arrays_and_its_answers() -> None:
    (case, _) = calls("dequantize")["cases"]
    assert case["settings"] == {"group_size": 0, "narrow_gain": 1}
    assert list(case["inputs"]) == ["q", "scale", "offset"]
    assert list(case["expected"]) == ["w", "w_low", "w_high"]
    assert case["inputs"]["q"] == written(CODES)
    (case, _) = calls("unpack")["cases"]
    assert case["settings"] == {"k": 3, "layout": "byte"}
    assert case["inputs"] == {
        "packed": {"dtype": "uint8", "shape": [2, 2], "hex": "43 0f 3c 13", "decimal": "67 15 60 19"}
    }


def test_what_must_be_refused_says_so(tmp_path: Path) -> None:
    problem = POSED["quantize"].with_array("w", float32([1, 2], [3, np.nan], [0, 0]))
    content = document("quantize", 2, 1, [from_problem("calls/quantize/refusal/0", problem)])
    assert content["cases"][0]["expected"] == {"error": "w"}
    (vector,) = load(sealed(tmp_path, "quantize.json", content))[2]
    assert vector.expected == {}
    assert vector.problem.refusal


def test_a_document_explains_the_flags_that_its_calls_bear_and_no_others() -> None:
    found = [
        Vector("calls/pack/pack/0", ("Truncates", "LanesSwapped"), POSED["pack"], {}),
        Vector("calls/pack/pack/1", (), POSED["pack"], {}),
    ]
    content = document("pack", 3, 9, found)
    assert {name: content[name] for name in ("schema_version", "generator", "level", "seed", "operation")} == {
        "schema_version": 1,
        "generator": "q35ref vectors",
        "level": 3,
        "seed": 9,
        "operation": "pack",
    }
    assert content["case_count"] == 2
    assert set(content["flags"]) == {"Truncates", "LanesSwapped"}
    for name, meaning in content["flags"].items():
        told = (KERNELS[name].__doc__ or "").split()
        assert meaning == {"description": " ".join(told), "effect": KERNELS[name].effect}
        assert len(told) > 2
    assert content["cases"][0]["flags"] == ["Truncates", "LanesSwapped"]


def test_a_document_has_a_line_for_each_call() -> None:
    content = {"a": 1, "cases": [{"id": "x", "n": [1, 2]}, {"id": "y"}], "level": {"z": 2}}
    assert text(content) == (
        '{\n "a": 1,\n "level": {\n  "z": 2\n },\n "cases": [\n{"id":"x","n":[1,2]},\n{"id":"y"}\n]}\n'
    )
    assert json.loads(text(content)) == content


# Hostile files


def changed(operation: str, path: str, value: Any = None) -> dict[str, Any]:
    """The document of an operation with a part of its second call replaced, or left out."""
    content = calls(operation)
    part = content["cases"][1]
    *keys, last = path.split("/")
    for key in keys:
        part = part[key]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return content


PLACE = r"^f\.json: cases\[1\] \(calls/[a-z_]+/[a-z_]+/1\)"
BYTES = {"dtype": "uint8", "shape": [2, 2]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            changed("quantize", "settings/narrow_gain"),
            ": expected the arguments w, scale, offset, group_size, narrow_g",
        ),
        (changed("pack", "settings/k", 3), r": expected the arguments q, layout, got layout, k, q$"),
        (changed("pack", "inputs", {"w": written(float32([1]))}), r": expected the arguments q, layout, got layout, w"),
        (changed("dequantize", "expected/w_low"), r"\.expected: expected w, w_low, w_high, got w, w_high$"),
        (changed("pack", "expected/q", written(CODES)), r"\.expected: expected packed, got packed, q$"),
        (changed("matmul", "expected", {"a": written(CODES)}), r"\.expected: expected acc, row_sum, out, out_low, out"),
        (changed("calibrate", "expected", {"error": "w"}), ": expected: weights are to be refused if, and only if,"),
        (changed("calibrate", "inputs/w/decimal", "1"), r"\.inputs\.w\.decimal: differs"),
        (changed("calibrate", "expected/scale/decimal", "1"), r"\.expected\.scale\.decimal: differs"),
        (
            changed("calibrate", "inputs/w", written(np.zeros(3, np.float32))),
            r": inputs\.w: expected two dimensions, got shape \[3\]$",
        ),
        (
            changed("quantize_activations", "inputs/x", written(np.zeros(3, np.float32))),
            r": inputs\.x: expected two dimensions, got shape \[3\]$",
        ),
        (
            changed("matmul", "inputs/scale", written(np.ones((1, 2, 1), np.float32))),
            r": inputs\.scale: expected two dimensions, got shape \[1, 2, 1\]$",
        ),
        (changed("unpack", "settings/k", 5), r": packed: shape \[2, 2\] does not fit k = 5 in layout byte"),
        (changed("unpack", "settings/k", 1 << 62), r": packed: shape \[2, 2\] does not fit k = "),
        (
            changed("unpack", "inputs/packed", {**BYTES, "hex": "43 8f 3c 13", "decimal": "67 143 60 19"}),
            r"\.inputs\.packed: not the bytes that pack gives",
        ),
        (
            changed("pack", "expected/packed", written(np.zeros((2, 3), np.uint8))),
            r": expected\.packed: shape \[2, 3\]",
        ),
        (
            changed("unpack", "inputs/packed", {**BYTES, "hex": "43 0f 3c 93", "decimal": "67 15 60 147"}),
            r"\.inputs\.packed: not the bytes that pack gives",
        ),
        (
            changed("matmul", "inputs/packed", {**BYTES, "hex": "c3 c7 bc 09", "decimal": "195 199 188 9"}),
            r"\.inputs\.packed: not the bytes that pack gives",
        ),
        (changed("pack", "flags", ["Invented", "Absent"]), r": flags \['Absent', 'Invented'\] are not explained$"),
        (changed("matmul", "inputs/scale", written(float32([1, 0]))), ": inputs: not what the format allows$"),
        (changed("quantize", "settings/group_size", 7), r": group_size: "),
    ],
)
def test_what_is_wrong_in_a_call_is_told_with_its_place(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(VectorFileError, match=PLACE + message):
        load(sealed(tmp_path, "f.json", content))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("v"), "v"),
        (TypeError("t"), "t"),
        (KeyError("k"), "'k' is missing"),
        (IndexError("i"), "i"),
        (MemoryError("no room"), "no room"),
    ],
)
def test_whatever_a_call_does_to_its_reader_is_told_with_its_place(
    error: Exception, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(form: Any, place: str) -> Any:
        raise error

    monkeypatch.setattr(call_files, "restored", fails)
    with pytest.raises(VectorFileError, match=rf"^f\.json: cases\[0\] \(calls/pack/pack/0\): {told}$"):
        load(sealed(tmp_path, "f.json", calls("pack")))


@pytest.mark.parametrize("count", [1, 3])
def test_a_file_that_has_fewer_or_more_calls_than_it_says_is_refused(count: int, tmp_path: Path) -> None:
    content = {**calls("pack"), "case_count": count}
    with pytest.raises(VectorFileError, match=rf"^f\.json: expected {count} cases, got 2: it has been cut short$"):
        load(sealed(tmp_path, "f.json", content))


def test_a_call_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    content = changed("pack", "id", "calls/pack/pack/0")
    with pytest.raises(VectorFileError, match="the id calls/pack/pack/0 is there more than once"):
        load(sealed(tmp_path, "f.json", content))


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VectorFileError, match=r"f\.json: document\.schema_version: expected const 1, got 2"):
        load(sealed(tmp_path, "f.json", {**calls("pack"), "schema_version": 2}))


# Flags


class Right:
    """A bug class without its bug."""

    operations: tuple[str, ...] = ("pack", "quantize")

    @classmethod
    def variants(cls) -> list[Any]:
        """The kernels of the class."""
        return [cls()]

    def pack(self, q: Any, layout: Any) -> Any:
        """Return what pack returns."""
        return from_problem("", Problem("pack", len(q), {"q": q}, layout)).expected["packed"]


class Wrong(Right):
    """Wrong for columns that begin with a negative integer."""

    def pack(self, q: Any, layout: Any) -> Any:
        """Return some wrong bytes."""
        return super().pack(q, layout) ^ np.uint8(q[0, 0] < 0)


class Raises(Right):
    """Refuses everything."""

    def pack(self, q: Any, layout: Any) -> Any:
        """Raise."""
        raise MemoryError


class FirstIsWrong(Right):
    """The first of its variants is wrong, those after it are right."""

    @classmethod
    def variants(cls) -> list[Any]:
        """The kernels of the class."""
        return [Raises(), Right(), Right()]


class OfOthers(Raises):
    """Of another operation."""

    operations = ("matmul",)


def posed(kind: str, level: int, seed: int) -> Iterator[Problem]:
    """Three problems; the second is too large for a file."""
    assert (level, seed) == (2, 5)
    if kind == "refusal":
        yield POSED["quantize"].with_array("w", float32([np.nan, 0], [0, 0], [0, 0]))
        return
    yield POSED[kind]
    if kind == "pack":
        yield Problem("pack", 1 << 16, {"q": np.broadcast_to(int8([0]), (1 << 16, 4))})
        yield Problem("pack", 1, {"q": int8([1])})


def test_a_call_bears_the_flags_of_the_classes_whose_first_variant_goes_wrong_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernels = {kernel.__name__: kernel for kernel in (Right, Wrong, Raises, FirstIsWrong, OfOthers)}
    monkeypatch.setattr(call_files, "KERNELS", kernels)
    monkeypatch.setattr(call_files, "problems", posed)
    found = generate("pack", 2, 5)
    assert [(vector.id, vector.flags) for vector in found] == [
        ("calls/pack/pack/0", ("Wrong", "Raises", "FirstIsWrong")),
        ("calls/pack/pack/2", ("Raises", "FirstIsWrong")),
    ]
    assert [vector.problem.k for vector in found] == [3, 1]
    assert [vector.expected["packed"].shape for vector in found] == [(2, 2), (1, 1)]


@pytest.mark.parametrize("operation", RESULTS)
def test_quantize_alone_has_calls_that_must_be_refused(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_files, "KERNELS", {})
    monkeypatch.setattr(call_files, "problems", posed)
    kinds = [vector.id.split("/")[2] for vector in generate(operation, 2, 5)]
    assert set(kinds) == ({operation, "refusal"} if operation == "quantize" else {operation})
