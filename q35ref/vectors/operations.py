"""How each operation's vectors are put to the reference, and how its answer is written down.

``CALLS`` turns the inputs of a case into calls, ``RESULTS`` turns what the calls return into expected fields.
"""

from collections.abc import Callable
from typing import Any, Final

from q35ref.vectors.calls import Argument, Call, Repeated
from q35ref.vectors.encoding import Json, encode, float32_bits, float32_form


def _plain(function: str, *names: str) -> Callable[[dict[str, Any]], Argument]:
    """Call one function of the reference with the inputs of these names, in this order."""
    return lambda inputs: Call(function, tuple(inputs[name] for name in names))


def _round_half_even(inputs: dict[str, Any]) -> Argument:
    return Call("rounding.round_half_even", (int(inputs["numerator"]), int(inputs["denominator"])))


def _round_float32(inputs: dict[str, Any]) -> Argument:
    return [Call(f"float32.{name}", (inputs["x"],)) for name in ("round_float32", "to_float32")]


def _pack_column(inputs: dict[str, Any]) -> Argument:
    return Call("codec.pack_column", (inputs["column"], inputs["layout"]))


def _unpack_dense(inputs: dict[str, Any]) -> Argument:
    return Call("codec.unpack_dense", (bytes.fromhex(inputs["stream"]), inputs["count"]))


def _unpack_column(inputs: dict[str, Any]) -> Call:
    return Call("codec.unpack_column", (bytes.fromhex(inputs["packed"]), inputs["k"], inputs["layout"]))


_ELEMENT: Final = ("scale", "offset", "row", "narrow_gain")


def _pair_of_calls(functions: tuple[str, str], first: str) -> Callable[[dict[str, Any]], Argument]:
    return lambda inputs: [_plain(f"quantizer.{function}", first, *_ELEMENT)(inputs) for function in functions]


def _accumulate(inputs: dict[str, Any]) -> Argument:
    rows = inputs["rows"]
    activations = Repeated(tuple(inputs["activation_pattern"]), rows)
    column = Repeated(tuple(inputs["column_pattern"]), rows)
    return [
        Call("matmul.accumulate", (activations, column, inputs["narrow_gain"], inputs["first_row"])),
        Call("matmul.row_sum", (activations,)),
    ]


def _exact_output(inputs: dict[str, Any]) -> Argument:
    terms = tuple(inputs[name] for name in ("acc", "row_sum", "scale", "offset"))
    magnitude = Call("matmul.output_magnitude", terms)
    return [
        Call("matmul.exact_output", terms),
        magnitude,
        Call("matmul.output_bound", (len(inputs["acc"]), magnitude)),
    ]


def _matmul(inputs: dict[str, Any]) -> Argument:
    columns = [_unpack_column({**inputs, "packed": packed}) for packed in inputs["packed"]]
    parameters = [
        [list(values) for values in zip(*inputs[name], strict=True)]  # [G][N] to a list for each column
        for name in ("scale", "offset")
    ]
    group_size, narrow_gain = inputs["group_size"], inputs["narrow_gain"]
    return [
        [
            Call("matmul.matmul_entry", (row, column, group_size, narrow_gain, scale, offset))
            for column, scale, offset in zip(columns, *parameters, strict=True)
        ]
        for row in inputs["activations"]
    ]


CALLS: Final[dict[str, Callable[[dict[str, Any]], Argument]]] = {
    "round_half_even": _round_half_even,
    "clamp": _plain("rounding.clamp", "value", "low", "high"),
    "round_float32": _round_float32,
    "group_rows": _plain("lanes.group_rows", "k", "group_size"),
    "sign_extend": _plain("codec.sign_extend", "field", "bits"),
    "pack_pair": _plain("codec.pack_pair", "wide", "narrow"),
    "unpack_pair": _plain("codec.unpack_pair", "code"),
    "pack_dense": _plain("codec.pack_dense", "codes"),
    "unpack_dense": _unpack_dense,
    "pack_column": _pack_column,
    "unpack_column": _unpack_column,
    "quantize": _plain("quantizer.quantize", "weight", *_ELEMENT),
    "dequantize": _pair_of_calls(("dequantize", "rounded_dequantize"), "q"),
    "error_bound": _pair_of_calls(("error_bound", "rounded_error_bound"), "weight"),
    "calibrate": _plain("calibration.calibrate", "group", "method"),
    "quantize_activations": _plain("activations.quantize_activations", "row"),
    "accumulate": _accumulate,
    "accumulator_bound": _plain("matmul.accumulator_bound", "rows", "narrow_gain"),
    "exact_output": _exact_output,
    "matmul": _matmul,
}
"""The calls that each operation's inputs stand for."""


def _one(name: str) -> Callable[[Any], dict[str, Json]]:
    return lambda raw: {name: encode(raw)}


def _several(*names: str) -> Callable[[Any], dict[str, Json]]:
    return lambda raw: {name: encode(value) for name, value in zip(names, raw, strict=True)}


def _rounded(raw: Any) -> dict[str, Json]:
    value, as_float = raw
    return {"rounded": float32_form(value, float32_bits(as_float))}


def _dequantized(raw: Any) -> dict[str, Json]:
    exact, rounded = raw
    return {"exact": encode(exact), "rounded": float32_form(rounded)}


def _calibrated(raw: Any) -> dict[str, Json]:
    scale, offset = raw
    return {"scale": float32_form(scale), "offset": float32_form(offset)}


def _activations(raw: Any) -> dict[str, Json]:
    scale, integers = raw
    return {"activation_scale": float32_form(scale), "a": encode(integers)}


def _entries(raw: Any) -> dict[str, Json]:
    def each(name: str) -> Json:
        return [[encode(getattr(entry, name)) for entry in row] for row in raw]

    row_sums: list[Json] = [encode(row[0].row_sum) for row in raw]
    disagreeing = [i for i, row in enumerate(raw) if any(entry.row_sum != row[0].row_sum for entry in row)]
    if disagreeing:
        raise AssertionError(f"row sums of the activation rows {disagreeing} depend on the column")
    return {
        "acc": each("acc"),
        "row_sum": row_sums,
        "exact": each("exact"),
        "magnitude": each("magnitude"),
        "bound": each("bound"),
    }


RESULTS: Final[dict[str, Callable[[Any], dict[str, Json]]]] = {
    "round_half_even": lambda raw: {"integer": str(raw)},
    "clamp": _one("value"),
    "round_float32": _rounded,
    "group_rows": lambda raw: {"groups": [[rows.start, rows.stop] for rows in raw]},
    "sign_extend": _one("value"),
    "pack_pair": _one("code"),
    "unpack_pair": _several("wide", "narrow"),
    "pack_dense": lambda raw: {"stream": bytes(raw).hex()},
    "unpack_dense": _one("codes"),
    "pack_column": _one("packed"),
    "unpack_column": _one("column"),
    "quantize": _one("q"),
    "dequantize": _dequantized,
    "error_bound": _several("bound", "rounded_bound"),
    "calibrate": _calibrated,
    "quantize_activations": _activations,
    "accumulate": _several("acc", "row_sum"),
    "accumulator_bound": _one("bound"),
    "exact_output": _several("exact", "magnitude", "bound"),
    "matmul": _entries,
}
"""The expected fields that each operation's results are written as."""
