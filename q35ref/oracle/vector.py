"""A vector as a call of a kernel: what it is given, and what it must answer, both taken from a file.

The committed vectors speak of codes, columns and single weights; :func:`from_case` says the same as a call of the
protocol, wherever the protocol has one. Nothing is computed anew but bounds and the bytes of a long pattern.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from q35ref import reference
from q35ref.backends.numpy import codec
from q35ref.oracle.bounds import interval, weight_bound, weight_is_silent
from q35ref.oracle.judge import Malformed, Mismatch, Verdict, equal, place, show
from q35ref.oracle.problem import AXES, PACKED_OPERATIONS, Array, Problem
from q35ref.reference.codec import column_bytes
from q35ref.reference.lanes import MAX_GROUP_ROWS, group_count, group_rows
from q35ref.reference.matmul import NO_VERDICT, VERDICT_GROUPS
from q35ref.vectors import Case

RESULTS: dict[str, dict[str, str]] = {
    "pack": {"packed": "NB"},
    "unpack": {"q": "KN"},
    "calibrate": {"scale": "GN", "offset": "GN"},
    "quantize": {"q": "KN"},
    "dequantize": {"w": "KN"},
    "quantize_activations": {"activation_scale": "M", "a": "MK"},
    "matmul": {"acc": "MNG", "row_sum": "MG", "out": "MN"},
}
"""The results of each operation in their order, with their dimensions."""


TYPES = {
    **dict.fromkeys(("q", "a"), np.int8),
    **dict.fromkeys(("acc", "row_sum"), np.int32),
    **dict.fromkeys(("scale", "offset", "w", "x", "activation_scale", "out"), np.float32),
    "packed": np.uint8,
}
"""The type of each array."""

OVERFLOWN = {"7f800000": math.inf, "ff800000": -math.inf}
"""What is rounded to from 2**128 on, by the bits."""

MAX_ROWS = 1 << 26
"""No vector has more rows."""


@dataclass(frozen=True)
class Vector:
    """One call and its right answer."""

    id: str
    flags: tuple[str, ...]
    """The bug classes that the call exposes."""
    problem: Problem
    expected: dict[str, Array] = field(default_factory=dict)
    """Results by name; a result that is missing is not judged. ``NAME_low`` and ``NAME_high`` are the least and the
    greatest float32 that is allowed in the place of ``NAME``, or -inf and inf where there is no verdict. No results
    at all: the call must be refused."""

    def judge(self, raised: str | None, result: Any, correctly_rounded: bool = False) -> Verdict:
        """Say whether an answer is right."""
        operation = self.problem.operation
        if not self.expected:
            return Verdict(None if raised is not None else Mismatch("accepted", "w", "a result", "an exception"), 1)
        if raised is not None:
            return Verdict(Mismatch("raised", operation, raised, "a result"))
        names = RESULTS[operation]
        parts = (result,) if len(names) == 1 else result
        if not isinstance(parts, tuple) or len(parts) != len(names):
            return Verdict(Mismatch("shape", "result", type(result).__name__, f"a tuple ({', '.join(names)})"))
        judged = no_verdict = 0
        for (name, dimensions), part in zip(names.items(), parts, strict=True):
            if name not in self.expected or (operation == "matmul" and part is None):
                continue
            try:
                verdict = self._judge_part(name, dimensions, part, correctly_rounded)
            except Malformed as error:
                return Verdict(error.mismatch)
            judged, no_verdict = judged + verdict.judged, no_verdict + verdict.no_verdict
            if verdict.mismatch is not None:
                return Verdict(verdict.mismatch, judged, no_verdict)
        return Verdict(None, judged, no_verdict)

    def require_sense(self) -> None:
        """Refuse arrays that do not fit together, and what the format does not allow. Errors: ValueError."""
        problem = self.problem
        if not 1 <= problem.k <= MAX_ROWS:
            raise ValueError(f"k: expected 1 to {MAX_ROWS} rows, got {problem.k}")
        for name, array in problem.arrays.items():
            if array.ndim != 2:
                raise ValueError(f"inputs.{name}: expected two dimensions, got shape {list(array.shape)}")
        sizes = {"K": problem.k, "N": problem.n, "M": problem.m, "G": group_count(problem.k, problem.group_size)}
        sizes["B"] = column_bytes(problem.k, _layout(problem.layout))
        for name, array in problem.arrays.items():
            stored_too = problem.k % 2 if name == "q" and problem.operation in PACKED_OPERATIONS else 0
            _require_form("inputs", name, array, AXES[name], {**sizes, "K": problem.k + stored_too})
        for name, array in self.expected.items():
            _require_form("expected", name, array, RESULTS[problem.operation][_stem(name)], sizes)
        for name in ("out", "w"):
            low = self.expected.get(f"{name}_low")
            if low is not None and not (low <= self.expected[f"{name}_high"]).all():
                raise ValueError(f"expected.{name}_low: not at most expected.{name}_high")
        finite = all(np.isfinite(array).all() for array in problem.arrays.values())
        if not problem.legal() or not (finite or problem.refusal):
            raise ValueError("inputs: not what the format allows")
        if problem.refusal == bool(self.expected):
            raise ValueError("expected: weights are to be refused if, and only if, one is not finite")

    def _judge_part(self, name: str, dimensions: str, got: Any, correctly_rounded: bool) -> Verdict:
        value = self.expected[name]
        if f"{name}_low" not in self.expected:
            return equal(name, dimensions, got, value)
        low, high = self.expected[f"{name}_low"], self.expected[f"{name}_high"]
        equal(name, dimensions, got, value)  # its form, not its numbers
        silent = np.isneginf(low) & np.isposinf(high)
        if correctly_rounded and name == "w":
            low = high = value
        with np.errstate(invalid="ignore"):
            wrong = ~((low <= got) & (got <= high)) & ~silent
        counts = int((~silent).sum()), int(silent.sum())
        if not wrong.any():
            return Verdict(None, *counts)
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        allowed = f"{show(value[index])}, at least {show(low[index])}, at most {show(high[index])}"
        return Verdict(Mismatch("value", place(name, dimensions, index), show(got[index]), allowed), *counts)


def _require_form(part: str, name: str, array: Array, dimensions: str, sizes: dict[str, int]) -> None:
    wanted = [sizes[dimension] for dimension in dimensions]
    if list(array.shape) != wanted:
        raise ValueError(f"{part}.{name}: shape {list(array.shape)} does not fit the others, which ask for {wanted}")
    dtype = np.dtype(TYPES[_stem(name)])
    if array.dtype != dtype:
        raise ValueError(f"{part}.{name}: expected {dtype}, got {array.dtype}")


def _stem(name: str) -> str:
    """Return the name of the result that an array bounds, or its own."""
    return name.removesuffix("_low").removesuffix("_high")


def _layout(name: str) -> Any:
    return name


def from_problem(vector_id: str, problem: Problem) -> Vector:
    """Return a problem of the oracle with what the reference answers; the caller adds flags."""
    if problem.refusal:
        return Vector(vector_id, (), problem)
    found = problem.expected
    parts = found if isinstance(found, tuple) else (found,)
    expected: dict[str, Array] = dict(zip(RESULTS[problem.operation], map(np.ascontiguousarray, parts), strict=True))
    if problem.operation == "matmul":
        exact, bound = ([[getattr(e, what) for e in row] for row in problem.entries] for what in ("exact", "bound"))
        silent = [[e.magnitude >= NO_VERDICT or len(e.acc) > VERDICT_GROUPS for e in row] for row in problem.entries]
        expected |= interval("out", exact, bound, silent)
    if problem.operation == "dequantize":
        expected |= _dequantize_interval(problem)
    return Vector(vector_id, (), problem, expected)


def _dequantize_interval(problem: Problem) -> dict[str, Array]:
    groups = [g for g, rows in enumerate(group_rows(problem.k, problem.group_size)) for _ in rows]
    scales, offsets = problem.parameter("scale"), problem.parameter("offset")
    exact: list[list[Fraction]] = []
    bound: list[list[Fraction]] = []
    silent: list[list[bool]] = []
    for row, integers in enumerate(problem.arrays["q"].tolist()):
        pairs = [(scales[j][groups[row]], offsets[j][groups[row]]) for j in range(problem.n)]
        exact.append(
            [reference.dequantize(q, *pair, row, problem.narrow_gain) for q, pair in zip(integers, pairs, strict=True)]
        )
        bound.append([weight_bound(value, offset) for value, (_, offset) in zip(exact[-1], pairs, strict=True)])
        silent.append([weight_is_silent(*pair) for pair in pairs])
    return interval("w", exact, bound, silent)


# The committed vectors


def _float(form: Any) -> float:
    return float(form) if isinstance(form, str) else math.ldexp(form[0], form[1])


def _float32(form: Any) -> np.float32:
    value = _float(form)
    with np.errstate(over="ignore", under="ignore"):
        rounded = np.float32(value)
    if float(rounded) != value and not math.isnan(value):
        raise ValueError(f"expected the value of a float32, got {form}")
    return rounded


def _floats(forms: Any) -> Array:
    """Return the float32s of nested lists of written ones."""
    if isinstance(forms, str) or isinstance(forms[0], int):
        return np.array(_float32(forms))
    return np.stack([_floats(form) for form in forms])


def _bytes(columns: list[str]) -> Array:
    return np.array([list(bytes.fromhex(column)) for column in columns], np.uint8)


def stored(packed: Array, k: int, layout: Any) -> Array:
    """Return the integers in packed bytes, with the one in the last field of an odd number of rows."""
    if packed.ndim != 2 or packed.shape[1] != column_bytes(k, layout):
        raise ValueError(f"packed: shape {list(packed.shape)} does not fit k = {k} in layout {layout}")
    return codec.unpack(packed, k + k % 2, layout)


def _codes(codes: list[int]) -> Array:
    return codec.unpack(np.array([codes], np.uint8), 2 * len(codes), "byte")


def _element(inputs: Mapping[str, Any], name: str, value: Any, filler: Any, dtype: Any) -> dict[str, Array]:
    """Return one number as a column of one row, or of two for an odd row, whose first one is known to be plain."""
    rows = [[filler]] * (inputs["row"] % 2) + [[value]]
    return {
        name: np.array(rows, dtype),
        "scale": _floats([[inputs["scale"]]]),
        "offset": _floats([[inputs["offset"]]]),
    }


def _pack_pair(inputs: Any, expected: Any) -> Any:
    q = np.array([[inputs["wide"]], [inputs["narrow"]]], np.int8)
    return Problem("pack", 2, {"q": q}), {"packed": np.array([[expected["code"]]], np.uint8)}


def _unpack_pair(inputs: Any, expected: Any) -> Any:
    q = np.array([[expected["wide"]], [expected["narrow"]]], np.int8)
    return Problem("unpack", 2, {"q": _codes([inputs["code"]])}), {"q": q}


def _pack_dense(inputs: Any, expected: Any) -> Any:
    if not inputs["codes"]:
        return None
    q = _codes(inputs["codes"])
    return Problem("pack", len(q), {"q": q}, "dense"), {"packed": _bytes([expected["stream"]])}


def _unpack_dense(inputs: Any, expected: Any) -> Any:
    if not expected["codes"]:
        return None
    q = stored(_bytes([inputs["stream"]]), 2 * inputs["count"], "dense")
    return Problem("unpack", len(q), {"q": q}, "dense"), {"q": _codes(expected["codes"])}


def _pack_column(inputs: Any, expected: Any) -> Any:
    q = np.array(inputs["column"], np.int8)[:, None]
    return Problem("pack", len(q), {"q": q}, inputs["layout"]), {"packed": _bytes([expected["packed"]])}


def _unpack_column(inputs: Any, expected: Any) -> Any:
    k, layout = inputs["k"], inputs["layout"]
    q = stored(_bytes([inputs["packed"]]), k, layout)
    return Problem("unpack", k, {"q": q}, layout), {"q": np.array(expected["column"], np.int8)[:, None]}


def _quantize(inputs: Any, expected: Any) -> Any:
    arrays = _element(inputs, "w", _float32(inputs["weight"]), _float32(inputs["offset"]), np.float32)
    problem = Problem("quantize", len(arrays["w"]), arrays, narrow_gain=inputs["narrow_gain"])
    if "error" in expected:
        return problem, {}
    return problem, {"q": np.array([[0]] * (inputs["row"] % 2) + [[expected["q"]]], np.int8)}


def _dequantize(inputs: Any, expected: Any) -> Any:
    arrays = _element(inputs, "q", inputs["q"], 0, np.int8)
    problem = Problem("dequantize", len(arrays["q"]), arrays, narrow_gain=inputs["narrow_gain"])
    scale, offset = Fraction(_float(inputs["scale"])), Fraction(_float(inputs["offset"]))
    weights = [offset] * (inputs["row"] % 2) + [Fraction(expected["exact"])]
    exact, bound = [[weight] for weight in weights], [[weight_bound(weight, offset)] for weight in weights]
    silent = [[weight_is_silent(scale, offset)]] * problem.k
    value = np.array([[offset]] * (inputs["row"] % 2) + [[_rounded(expected["rounded"])]], np.float32)
    return problem, {"w": value, **interval("w", exact, bound, silent)}


def _rounded(form: Any) -> float:
    return OVERFLOWN[form[2]] if form[2] in OVERFLOWN else float(_float32(form))


def _calibrate(inputs: Any, expected: Any) -> Any:
    w = _floats(inputs["group"])[:, None]
    return Problem("calibrate", len(w), {"w": w}, method=inputs["method"]), {
        name: _floats([[expected[name]]]) for name in ("scale", "offset")
    }


def _quantize_activations(inputs: Any, expected: Any) -> Any:
    x = _floats(inputs["row"])[None]
    return Problem("quantize_activations", x.shape[1], {"x": x}), {
        "activation_scale": _floats([expected["activation_scale"]]),
        "a": np.array([expected["a"]], np.int8),
    }


def _accumulate(inputs: Any, expected: Any) -> Any:
    """A run of rows is a column; one that begins at an odd row gets a row of zeros before it."""
    rows, before = inputs["rows"], inputs["first_row"] % 2
    if rows == 0:
        return None
    k = rows + before
    if k > MAX_GROUP_ROWS:
        raise ValueError(f"rows: expected at most {MAX_GROUP_ROWS - before}, got {rows}")
    a, q = np.zeros(k, np.int8), np.zeros(k + k % 2, np.int8)
    a[before:] = np.resize(inputs["activation_pattern"], rows)
    q[before:k] = np.resize(inputs["column_pattern"], rows)
    parameters = {"scale": np.array([[1]], np.float32), "offset": np.array([[0]], np.float32)}
    arrays = {"a": a[None], "q": q[:, None], **parameters}
    return Problem("matmul", k, arrays, "dense", narrow_gain=inputs["narrow_gain"]), {
        "acc": np.array([[[expected["acc"]]]], np.int32),
        "row_sum": np.array([[expected["row_sum"]]], np.int32),
    }


def _matmul(inputs: Any, expected: Any) -> Any:
    k, layout = inputs["k"], inputs["layout"]
    arrays = {
        "a": np.array(inputs["activations"], np.int8),
        "q": stored(_bytes(inputs["packed"]), k, layout),
        "scale": _floats(inputs["scale"]),
        "offset": _floats(inputs["offset"]),
    }
    exact, bound, size = (
        [[Fraction(value) for value in row] for row in expected[name]] for name in ("exact", "bound", "magnitude")
    )
    silent = [[value >= NO_VERDICT for value in row] for row in size]
    out = np.array([[reference.to_float32(value) for value in row] for row in exact], np.float32)
    return Problem("matmul", k, arrays, layout, inputs["group_size"], inputs["narrow_gain"]), {
        "acc": np.array(expected["acc"], np.int32),
        "row_sum": np.array(expected["row_sum"], np.int32),
        "out": out,
        **interval("out", exact, bound, silent),
    }


CALLS = {
    "pack_pair": _pack_pair,
    "unpack_pair": _unpack_pair,
    "pack_dense": _pack_dense,
    "unpack_dense": _unpack_dense,
    "pack_column": _pack_column,
    "unpack_column": _unpack_column,
    "quantize": _quantize,
    "dequantize": _dequantize,
    "calibrate": _calibrate,
    "quantize_activations": _quantize_activations,
    "accumulate": _accumulate,
    "matmul": _matmul,
}
"""The committed operations that a kernel can be asked, with what makes a call of a case."""


def from_case(operation: str, case: Case) -> Vector | None:
    """Return a committed case as a call, or None where a kernel cannot be asked: illegal input, or none at all.

    Of what is refused, a weight that is not finite alone binds kernels.
    """
    if case.expected.get("error", "weight") != "weight":
        return None
    made = CALLS[operation](case.inputs, case.expected)
    if made is None:
        return None
    problem, expected = made
    vector = Vector(case.id, case.flags, problem, expected)
    vector.require_sense()
    return vector
