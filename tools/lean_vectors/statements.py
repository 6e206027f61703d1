"""What each vector states in Lean: a value of a structure of ``proofs/Q35/Vectors/Cases.lean``, field by field.

The definitions there are total, but for those that refuse a packed column or an empty group with ``none``. A vector
of any other refusal states nothing: :data:`NOT_STATED` says why, by operation and refused argument.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final, NamedTuple

from q35ref.vectors import Case
from tools.lean_vectors.literals import (
    integer,
    integers,
    listed,
    natural,
    naturals,
    number,
    numbers,
    octets,
    optional,
    rational,
    structure,
    tupled,
)


class Written(NamedTuple):
    """A vector as the value of a Lean structure."""

    structure: str
    """The structure's name."""
    fields: tuple[str, ...]
    """Its fields in Lean's notation."""


class UnknownRefusalError(Exception):
    """A vector's refusal is neither stated in Lean nor listed with a reason."""


Writer = Callable[[dict[str, Any], dict[str, Any] | None], Written]
"""Writes a vector's inputs and what is expected, None for a refusal."""

TOTAL: Final = "Lean's function is total; nothing is promised of what it gives here"
NO_NAT: Final = "a negative number is no Nat"
NO_RAT: Final = "NaN and infinities are no Rat"
NO_LAYOUT: Final = "Layout has no such value"
NO_ROWS: Final = "Lean has columns and rows of no items too"

_PARAMETERS: Final = {"scale": f"{NO_RAT}; {TOTAL}", "offset": NO_RAT}
_ALL_PARAMETERS: Final = {**_PARAMETERS, "narrow_gain": TOTAL}

NOT_STATED: Final[dict[str, dict[str, str]]] = {
    "round_half_even": {"denominator": TOTAL},
    "clamp": {"low, high": TOTAL},
    "group_rows": {"k": f"{NO_NAT}; {TOTAL}", "group_size": f"{NO_NAT}; {TOTAL}"},
    "pack_pair": {"wide": TOTAL, "narrow": TOTAL},
    "unpack_pair": {"code": f"{NO_NAT}; {TOTAL}"},
    "pack_dense": {"codes": f"{NO_NAT}; {TOTAL}"},
    "unpack_dense": {"count": NO_NAT},
    "pack_column": {"q": TOTAL, "k": NO_ROWS, "layout": NO_LAYOUT},
    "unpack_column": {"k": NO_ROWS, "layout": NO_LAYOUT},
    "quantize": {"weight": NO_RAT, **_ALL_PARAMETERS},
    "dequantize": {"q": TOTAL, **_ALL_PARAMETERS},
    "error_bound": _ALL_PARAMETERS,
    "calibrate": {"group": NO_RAT, "method": "each method is a function of its own"},
    "quantize_activations": {"x": f"{NO_RAT}; {NO_ROWS}"},
    "exact_output": {"row_sums": "a GroupTerm holds its group's four numbers: no lengths can differ", **_PARAMETERS},
    "matmul": {"activations": TOTAL, "group_size": f"{NO_NAT}; {TOTAL}", **_ALL_PARAMETERS},
}
"""Why the refusal of an argument is not stated, by operation; what is modelled as ``none`` is not listed."""


def _refused_by_lean(operation: str, case: Case) -> bool:
    """Return whether Lean's definition refuses what a vector says must be refused."""
    if operation == "calibrate":
        return case.inputs["group"] == []
    return operation in ("unpack_dense", "unpack_column", "matmul") and case.expected["error"] == "packed"


def state(operation: str, case: Case) -> Written | None:
    """Return what a vector states, None for a refusal that Lean does not model.

    Errors: UnknownRefusalError for a refusal that is neither.
    """
    if "error" not in case.expected:
        return WRITERS[operation](case.inputs, case.expected)
    if _refused_by_lean(operation, case):
        return WRITERS[operation](case.inputs, None)
    if case.expected["error"] not in NOT_STATED.get(operation, {}):
        raise UnknownRefusalError(
            f"{case.id}: {operation} refuses {case.expected['error']}: neither stated nor excused"
        )
    return None


def _plain(name: str, inputs: str, expected: str) -> Writer:
    """Write fields of numbers, each given as its name and a letter: n natural, i integer, r rational."""

    def write(given: dict[str, Any], wanted: dict[str, Any] | None) -> Written:
        assert wanted is not None
        parts = [(given, part) for part in inputs.split()] + [(wanted, part) for part in expected.split()]
        return Written(name, tuple(_LETTERS[part[0]](values[part[2:]]) for values, part in parts))

    return write


_LETTERS: Final[dict[str, Callable[[Any], str]]] = {
    "n": lambda value: natural(int(value)),
    "i": lambda value: integer(int(value)),
    "r": lambda value: rational(number(value)),
}

_ELEMENT: Final = "r:scale r:offset n:row n:narrow_gain"


def _round_float32(inputs: dict[str, Any], expected: dict[str, Any] | None) -> Written:
    assert expected is not None
    rounded = expected["rounded"]
    infinite = rounded[2] in ("7f800000", "ff800000")
    return Written(
        "RoundFloat32", (rational(number(inputs["x"])), rational(number(rounded)), "true" if infinite else "false")
    )


def _group_rows(inputs: dict[str, Any], expected: dict[str, Any] | None) -> Written:
    assert expected is not None
    groups = listed(tupled(natural(start), natural(stop)) for start, stop in expected["groups"])
    return Written("GroupRows", (natural(inputs["k"]), natural(inputs["group_size"]), groups))


def _pack_dense(inputs: dict[str, Any], expected: dict[str, Any] | None) -> Written:
    assert expected is not None
    return Written("PackDense", (naturals(inputs["codes"]), octets(expected["stream"])))


def _unpack_dense(inputs: dict[str, Any], expected: dict[str, Any] | None) -> Written:
    codes = optional(None if expected is None else naturals(expected["codes"]))
    return Written("UnpackDense", (octets(inputs["stream"]), natural(inputs["count"]), codes))


def _pack_column(inputs: dict[str, Any], expected: dict[str, Any] | None) -> Written:
    assert expected is not None
    return Written("PackColumn", (integers(inputs["column"]), f".{inputs['layout']}", octets(expected["packed"])))


def _unpack_column(inputs: dict[str, Any], expected: dict[str, Any] | None) -> Written:
    column = optional(None if expected is None else integers(expected["column"]))
    return Written("UnpackColumn", (octets(inputs["packed"]), natural(inputs["k"]), f".{inputs['layout']}", column))


def _calibrate(inputs: dict[str, Any], expected: dict[str, Any] | None) -> Written:
    name = {"minmax": "CalibrateMinMax", "symmetric": "CalibrateSymmetric"}[inputs["method"]]
    if expected is None:
        return Written(name, (numbers(inputs["group"]), optional(None)))
    scale, offset = (rational(number(expected[field])) for field in ("scale", "offset"))
    return Written(name, (numbers(inputs["group"]), optional(tupled(scale, offset))))


def clip(group: list[Any], narrow_gain: int, scale: Fraction, offset: Fraction) -> Written:
    """Return what a group's parameters by the clip search state."""
    parameters = optional(tupled(rational(scale), rational(offset)))
    return Written("CalibrateClip", (numbers(group), natural(narrow_gain), parameters))


def _quantize_activations(inputs: dict[str, Any], expected: dict[str, Any] | None) -> Written:
    assert expected is not None
    scale = rational(number(expected["activation_scale"]))
    return Written("QuantizeActivations", (numbers(inputs["row"]), scale, integers(expected["a"])))


def _accumulate(inputs: dict[str, Any], expected: dict[str, Any] | None) -> Written:
    assert expected is not None
    patterns = [integers(inputs[name]) for name in ("activation_pattern", "column_pattern")]
    counts = [natural(inputs[name]) for name in ("rows", "narrow_gain", "first_row")]
    results = [integer(expected[name]) for name in ("acc", "row_sum")]
    return Written("Accumulate", (counts[0], *patterns, *counts[1:], *results))


def _exact_output(inputs: dict[str, Any], expected: dict[str, Any] | None) -> Written:
    assert expected is not None
    terms = listed(
        structure(integer(acc), integer(row_sum), rational(number(scale)), rational(number(offset)))
        for acc, row_sum, scale, offset in zip(
            inputs["acc"], inputs["row_sum"], inputs["scale"], inputs["offset"], strict=True
        )
    )
    return Written(
        "ExactOutput", (terms, *(rational(number(expected[name])) for name in ("exact", "magnitude", "bound")))
    )


def _matmul(inputs: dict[str, Any], expected: dict[str, Any] | None) -> Written:
    columns = listed(
        structure(octets(packed), numbers(s[j] for s in inputs["scale"]), numbers(b[j] for b in inputs["offset"]))
        for j, packed in enumerate(inputs["packed"])
    )
    counts = [natural(inputs[name]) for name in ("k", "group_size", "narrow_gain")]
    return Written(
        "Matmul",
        (
            listed(map(integers, inputs["activations"])), columns, counts[0], f".{inputs['layout']}", *counts[1:],
            optional(None if expected is None else _entries(expected)),
        ),
    )  # fmt: skip


def _entries(expected: dict[str, Any]) -> str:
    """Write the entries, each with the row sums of its row of activations."""
    return listed(
        listed(
            structure(
                integers(expected["acc"][i][j]),
                integers(row_sums),
                *(rational(number(expected[name][i][j])) for name in ("exact", "magnitude", "bound")),
            )
            for j in range(len(expected["acc"][i]))
        )
        for i, row_sums in enumerate(expected["row_sum"])
    )


WRITERS: Final[dict[str, Writer]] = {
    "round_half_even": _plain("RoundHalfEven", "i:numerator i:denominator", "i:integer"),
    "clamp": _plain("Clamp", "i:value i:low i:high", "i:value"),
    "round_float32": _round_float32,
    "group_rows": _group_rows,
    "sign_extend": _plain("SignExtend", "n:field n:bits", "i:value"),
    "pack_pair": _plain("PackPair", "i:wide i:narrow", "n:code"),
    "unpack_pair": _plain("UnpackPair", "n:code", "i:wide i:narrow"),
    "pack_dense": _pack_dense,
    "unpack_dense": _unpack_dense,
    "pack_column": _pack_column,
    "unpack_column": _unpack_column,
    "quantize": _plain("Quantize", f"r:weight {_ELEMENT}", "i:q"),
    "dequantize": _plain("Dequantize", f"i:q {_ELEMENT}", "r:exact r:rounded"),
    "error_bound": _plain("ErrorBound", f"r:weight {_ELEMENT}", "r:bound r:rounded_bound"),
    "calibrate": _calibrate,
    "quantize_activations": _quantize_activations,
    "accumulate": _accumulate,
    "accumulator_bound": _plain("AccumulatorBound", "n:rows n:narrow_gain", "n:bound"),
    "exact_output": _exact_output,
    "matmul": _matmul,
}
"""How each operation's vectors are written."""
