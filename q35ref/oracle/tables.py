"""Vectors as plain tables of numbers, for readers that know no JSON: ``$readmemh`` files and NumPy archives.

The calls of a file become one case table, a row a call, and one flat table of numbers for each array, in which the
calls follow one another; the case table says where each begins. Arrays lie in the C ABI's order.
"""

import io
import zipfile
from typing import Any, Final

import numpy as np

from q35ref.oracle.call_files import hexadecimal
from q35ref.oracle.problem import ARGUMENTS, Array
from q35ref.oracle.vector import Vector
from q35ref.reference.lanes import LAYOUTS

FIELDS: Final = ("m", "k", "n", "layout", "group_size", "narrow_gain", "method", "refused")
"""The first fields of a case: layout 0 byte, 1 dense; method 0 minmax, 1 symmetric; refused 1 if it must be."""

COLUMNS_FIRST: Final = ("q", "w", "w_low", "w_high")
"""Arrays ``[K, N]`` that the C ABI holds column by column, ``[n][k]``."""

SCALARS: Final[dict[str, tuple[tuple[str, str, int], ...]]] = {
    "sign_extend": (("inputs", "field", 8), ("inputs", "bits", 8), ("expected", "value", 8)),
    "pack_pair": (("inputs", "wide", 8), ("inputs", "narrow", 8), ("expected", "code", 8)),
    "unpack_pair": (("inputs", "code", 8), ("expected", "wide", 8), ("expected", "narrow", 8)),
    "quantize": (
        *(("inputs", name, 32) for name in ("weight", "scale", "offset", "row")),
        ("inputs", "narrow_gain", 8),
        ("expected", "q", 8),
    ),
    "dequantize": (
        *(("inputs", name, 32) for name in ("scale", "offset", "row")),
        ("inputs", "narrow_gain", 8),
        ("inputs", "q", 8),
        ("expected", "rounded", 32),
    ),
}
"""Operations on single numbers, each case of which is one word: its fields, highest first, with their bits."""

STAMP: Final = (1980, 1, 1, 0, 0, 0)
"""The time that archives give for each member: the earliest that a zip can say."""


def flat(name: str, array: Array) -> Array:
    """Return an array's numbers in the C ABI's order."""
    return np.ravel(array.T if name in COLUMNS_FIRST else array)


def tables(vectors: list[Vector]) -> dict[str, Array]:
    """Return the case table ``cases`` (int64), its ``fields``, ``ids``, ``flags``, and each array's flat table.

    Inputs are called ``in_NAME``, answers ``expected_NAME``; ``start_...`` fields say where a case's numbers begin.
    """
    if not vectors:
        raise ValueError("vectors: expected at least one")
    columns: dict[str, list[Array]] = {}
    rows = []
    made = [_numbers(vector) for vector in vectors]
    names = list(dict.fromkeys(name for numbers in made for name in numbers))
    starts = dict.fromkeys(names, 0)
    for vector, numbers in zip(vectors, made, strict=True):
        problem = vector.problem
        settings = (problem.m, problem.k, problem.n, LAYOUTS.index(_known(problem.layout)), problem.group_size)
        method = ("minmax", "symmetric").index(problem.method)
        rows.append([*settings, problem.narrow_gain, method, int(not vector.expected), *starts.values()])
        for name, values in numbers.items():
            columns.setdefault(name, []).append(values)
            starts[name] += values.size
    return {
        "fields": np.array([*FIELDS, *(f"start_{name}" for name in names)]),
        "ids": np.array([vector.id for vector in vectors]),
        "flags": np.array([" ".join(vector.flags) for vector in vectors]),
        "cases": np.array(rows, np.int64),
        **{name: np.concatenate(columns[name]) for name in names},
    }


def _known(layout: Any) -> Any:
    return layout


def _numbers(vector: Vector) -> dict[str, Array]:
    arguments = vector.problem.arguments()
    arrays = {name: value for name, value in arguments.items() if isinstance(value, np.ndarray)}
    order = [name for name in ARGUMENTS[vector.problem.operation] if name in arrays]
    return {f"in_{name}": flat(name, arrays[name]) for name in order} | {
        f"expected_{name}": flat(name, value) for name, value in vector.expected.items()
    }


def npz(arrays: dict[str, Array]) -> bytes:
    """Return an archive that ``numpy.load(..., allow_pickle=False)`` reads; equal arrays give equal bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", STAMP)
            member.create_system = 3
            member.external_attr = 0o644 << 16
            data = io.BytesIO()
            little = array.astype(array.dtype.newbyteorder("<"))
            np.lib.format.write_array(data, np.ascontiguousarray(little), version=(1, 0), allow_pickle=False)
            archive.writestr(member, data.getvalue())
    return content.getvalue()


def hex_files(name: str, arrays: dict[str, Array]) -> dict[str, str]:
    """Return the ``$readmemh`` files of a set of tables: ``NAME.cases.hex``, and ``NAME.ARRAY.hex`` for each array."""
    fields = arrays["fields"].tolist()
    lines = [f"// {len(arrays['cases'])} words of {32 * len(fields)} bits; 32-bit fields, highest first:"]
    lines.append(f"// {' '.join(fields)}")
    for case, row in zip(arrays["ids"].tolist(), arrays["cases"].tolist(), strict=True):
        lines.append(f"{'_'.join(f'{value:08x}' for value in row)} // {case}")
    files = {f"{name}.cases.hex": "\n".join(lines) + "\n"}
    for array, values in arrays.items():
        if array.startswith(("in_", "expected_")):
            head = f"// {values.size} words of {8 * values.dtype.itemsize} bits: {values.dtype}\n"
            files[f"{name}.{array}.hex"] = head + "\n".join(hexadecimal(values)) + "\n"
    return files


def scalar_file(operation: str, cases: Any) -> str:
    """Return the ``$readmemh`` file of an operation on single numbers: one word a case, refusals left out."""
    fields = SCALARS[operation]
    kept = [case for case in cases if "error" not in case.expected]
    bits = sum(size for _, _, size in fields)
    lines = [f"// {len(kept)} words of {bits} bits; fields, highest first:"]
    lines.append("// " + " ".join(f"{name}[{size}]" for _, name, size in fields))
    for case in kept:
        words = [_word(getattr(case, part)[name], size) for part, name, size in fields]
        lines.append(f"{'_'.join(words)} // {case.id}")
    return "\n".join(lines) + "\n"


def _word(form: Any, bits: int) -> str:
    if isinstance(form, list):
        return str(form[2])
    if not -(1 << bits - 1) <= form < 1 << bits:
        raise ValueError(f"vector: expected {bits} bits, got {form}")
    return f"{form & (1 << bits) - 1:0{bits // 4}x}"
