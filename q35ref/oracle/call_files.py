"""Vectors of whole calls as JSON: the oracle's problems of a level with what the reference answers.

``calls.schema.json`` describes the form. Each array says its type and shape and stands there twice, in hexadecimal
(the bits of each number, two's complement or IEEE) and in decimal; the two must say the same.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from q35ref import vectors
from q35ref.oracle.bugs import KERNELS
from q35ref.oracle.calls import call
from q35ref.oracle.cases import problems
from q35ref.oracle.problem import ARGUMENTS, Array, Problem
from q35ref.oracle.vector import RESULTS, Vector, from_problem, stored
from q35ref.vectors.files import parse, require_published_form, verified_content

SCHEMA_VERSION: Final = 1
"""Version of the form."""

DTYPES: Final = {name: np.dtype(name) for name in ("int8", "uint8", "int32", "float32")}
"""Types of numbers."""

SETTINGS: Final = ("k", "layout", "group_size", "narrow_gain", "method")
"""Arguments that are no arrays."""


AT_ONCE: Final = 1 << 12
"""Numbers that are written in decimal together."""


def schema_path() -> Path:
    """Return where the published schema stands."""
    return Path(str(files("q35ref.oracle"))) / "calls.schema.json"


def generate(operation: str, level: int, seed: int) -> list[Vector]:
    """Return the oracle's problems of an operation with their answers, and with the bug classes that each exposes.

    A call bears a flag only if the bug class's kernel has been run on it and went wrong.
    """
    kinds = (operation, "refusal") if operation == "quantize" else (operation,)
    bugs = {name: bug.variants()[0] for name, bug in KERNELS.items() if operation in bug.operations}
    found = []
    for kind in kinds:
        for index, problem in enumerate(problems(kind, level, seed)):
            if problem.large:
                continue  # for threads, which no file asks for
            vector = from_problem(f"calls/{operation}/{kind}/{index}", problem)
            flags = tuple(name for name, bug in bugs.items() if _goes_wrong(bug, vector))
            found.append(replace(vector, flags=flags))
    return found


def _goes_wrong(bug: object, vector: Vector) -> bool:
    outcome = call(bug, vector.problem)
    return vector.judge(outcome.raised, outcome.result).mismatch is not None


def document(operation: str, level: int, seed: int, found: Iterable[Vector]) -> dict[str, Any]:
    """Return the vectors of an operation as a JSON document."""
    cases = [_case(vector) for vector in found]
    used = {flag for case in cases for flag in case["flags"]}
    return {
        "schema_version": SCHEMA_VERSION,
        "generator": "q35ref vectors",
        "level": level,
        "seed": seed,
        "operation": operation,
        "flags": {
            name: {"description": " ".join((bug.__doc__ or name).split()), "effect": bug.effect}
            for name, bug in KERNELS.items()
            if name in used
        },
        "case_count": len(cases),
        "cases": cases,
    }


def text(content: dict[str, Any]) -> str:
    """Return a document's text: one case a line, so that differences read well."""
    head = {name: value for name, value in content.items() if name != "cases"}
    lines = [json.dumps(case, separators=(",", ":")) for case in content["cases"]]
    return json.dumps(head, indent=1)[:-2] + ',\n "cases": [\n' + ",\n".join(lines) + "\n]}\n"


def _case(vector: Vector) -> dict[str, Any]:
    problem, arguments = vector.problem, vector.problem.arguments()
    return {
        "id": vector.id,
        "flags": list(vector.flags),
        "settings": {name: getattr(problem, name) for name in ARGUMENTS[problem.operation] if name in SETTINGS},
        "inputs": {name: written(value) for name, value in arguments.items() if name not in SETTINGS},
        "expected": {name: written(value) for name, value in vector.expected.items()} or {"error": "w"},
    }


def written(array: Array) -> dict[str, Any]:
    """Return an array's JSON form.

    >>> written(np.array([[5, -2]], np.int8))
    {'dtype': 'int8', 'shape': [1, 2], 'hex': '05 fe', 'decimal': '5 -2'}
    """
    return {
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "hex": " ".join(hexadecimal(array)),
        "decimal": decimal(array),
    }


def hexadecimal(array: Array) -> list[str]:
    """Return the bits of each number in hexadecimal, most significant digit first, in C order."""
    size = array.dtype.itemsize
    digits = np.ascontiguousarray(array).astype(array.dtype.newbyteorder(">")).tobytes().hex()
    return [digits[start : start + 2 * size] for start in range(0, len(digits), 2 * size)]


def decimal(array: Array) -> str:
    """Return each number in decimal; nine significant digits tell any two float32s apart."""
    if np.issubdtype(array.dtype, np.floating):
        return " ".join(f"{value:.9g}" for value in array.ravel().tolist())
    return " ".join(map(str, array.ravel().tolist()))


def restored(form: Any, place: str) -> Array:
    """Return the array that a JSON form stands for. Errors: ValueError that names the place."""
    dtype, shape = DTYPES[form["dtype"]], tuple(form["shape"])
    size, digits = math.prod(shape), 2 * dtype.itemsize
    if len(form["hex"]) != size * (digits + 1) - 1:
        raise ValueError(f"{place}.hex: expected {size} numbers of {digits} digits for shape {list(shape)}")
    if form["hex"].count(" ") != size - 1 or set(form["hex"][digits :: digits + 1]) - {" "}:
        raise ValueError(f"{place}.hex: expected words of {digits} digits")
    found = np.frombuffer(bytes.fromhex(form["hex"]), dtype.newbyteorder(">")).astype(dtype).reshape(shape)
    if not _says(form["decimal"], found):
        raise ValueError(f"{place}.decimal: differs from {place}.hex")
    return found


def _says(text: str, array: Array) -> bool:
    """Whether a text is an array's numbers in decimal; some at a time, as each takes far more memory than digits."""
    numbers, position = array.ravel(), 0
    for start in range(0, len(numbers), AT_ONCE):
        part = f"{' ' if start else ''}{decimal(numbers[start : start + AT_ONCE])}"
        if not text.startswith(part, position):
            return False
        position += len(part)
    return not text[position:]


def load(path: Path) -> tuple[str, dict[str, dict[str, str]], list[Vector]]:
    """Return the operation, the meaning of the flags and the vectors of a file.

    Errors: VectorFileError that names the file and the place.
    """
    content = parse(path.name, verified_content(path))
    require_published_form(path.name, content, json.loads(schema_path().read_text()))
    if content["case_count"] != len(content["cases"]):
        raise vectors.VectorFileError(
            f"{path.name}: expected {content['case_count']} cases, got {len(content['cases'])}: it has been cut short"
        )
    operation, found = content["operation"], []
    ids: set[str] = set()
    for case in content["cases"]:
        if case["id"] in ids:
            raise vectors.VectorFileError(f"{path.name}: the id {case['id']} is there more than once")
        ids.add(case["id"])
    for index, case in enumerate(content["cases"]):
        place = f"cases[{index}] ({case['id']})"
        try:
            found.append(_vector(operation, case, place))
        except (ValueError, TypeError, KeyError, IndexError, MemoryError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            where = "" if reason.startswith("cases[") else f"{place}: "
            raise vectors.VectorFileError(f"{path.name}: {where}{reason}") from error
        unknown = set(case["flags"]) - set(content["flags"])
        if unknown:
            raise vectors.VectorFileError(f"{path.name}: {place}: flags {sorted(unknown)} are not explained")
    return operation, content["flags"], found


def _vector(operation: str, case: Any, place: str) -> Vector:
    settings = dict(case["settings"])
    arrays = {name: restored(form, f"{place}.inputs.{name}") for name, form in case["inputs"].items()}
    given = [*settings, *arrays]
    if set(given) != set(ARGUMENTS[operation]):
        raise ValueError(f"{place}: expected the arguments {', '.join(ARGUMENTS[operation])}, got {', '.join(given)}")
    packed = arrays.pop("packed", None)
    named = arrays.get("q", arrays.get("w"))
    k = settings.pop("k", None) or (len(named) if named is not None else arrays["x"].shape[-1])
    if packed is not None:
        codes = Problem("unpack", k, {"q": stored(packed, k, settings["layout"])}, settings["layout"])
        if not (codes.legal() and np.array_equal(codes.arguments()["packed"], packed)):
            raise ValueError(f"{place}.inputs.packed: not the bytes that pack gives")
        arrays["q"] = codes.arrays["q"]
    problem = Problem(operation, k, arrays, **settings)
    if "error" in case["expected"]:
        refusal = Vector(case["id"], tuple(case["flags"]), problem)
        refusal.require_sense()
        return refusal
    expected = {name: restored(form, f"{place}.expected.{name}") for name, form in case["expected"].items()}
    if expected.keys() != _result_names(operation).keys():
        raise ValueError(f"{place}.expected: expected {', '.join(_result_names(operation))}, got {', '.join(expected)}")
    vector = Vector(case["id"], tuple(case["flags"]), problem, expected)
    vector.require_sense()
    return vector


def _result_names(operation: str) -> dict[str, None]:
    names = dict.fromkeys(RESULTS[operation])
    bounded = {"matmul": "out", "dequantize": "w"}.get(operation)
    return names | ({f"{bounded}_low": None, f"{bounded}_high": None} if bounded else {})
