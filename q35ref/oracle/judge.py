"""What the reference expects of a call, and the first place where a result differs from it.

Each rule is one promise of the format. Numbers are compared as the exact values that they are: integers and
correctly rounded floats must be equal (-0.0 is 0), bounded ones within the proved bound. A NaN equals nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from q35ref import reference
from q35ref.backends.reference import group_of_rows
from q35ref.oracle.problem import Problem
from q35ref.reference.float32 import UNIT_ROUNDOFF
from q35ref.reference.matmul import NO_VERDICT, VERDICT_GROUPS


@dataclass(frozen=True)
class Mismatch:
    """The first place where a result is not what it must be."""

    kind: str
    """``value``, ``shape``, ``raised``, ``accepted``, or what a kernel does beside its work (:data:`FAULTS`)."""
    place: str
    """Where: an index with the names of its dimensions, or an argument."""
    got: str
    """What the kernel gave, in hexadecimal and decimal."""
    expected: str
    """What the rule allows, in hexadecimal and decimal."""
    threads: int = 1
    """Threads of the call in which it shows."""
    left_out: tuple[str, ...] = ()
    """Results that are not asked for in that call."""


@dataclass(frozen=True)
class Verdict:
    """What a rule says of one call."""

    mismatch: Mismatch | None = None
    """None if the rule holds."""
    judged: int = 0
    """Numbers that were compared."""
    no_verdict: int = 0
    """Numbers on which the format gives no verdict."""


class Absent(Exception):
    """The kernel returned None for a result that it may leave out."""


class Malformed(Exception):
    """The result is not made as the protocol has it."""

    def __init__(self, mismatch: Mismatch) -> None:
        super().__init__(mismatch.place)
        self.mismatch = mismatch


@dataclass(frozen=True)
class Rule:
    """One promise of the format about one operation."""

    name: str
    """``operation.promise``."""
    operation: str
    promise: str
    """The rule in one sentence."""
    judge: Callable[[Problem, Any], Verdict]
    """Judges a result, or a call's faults if the rule is about behaviour; raises :class:`Absent`."""
    correctly_rounded: bool = False
    """Whether it binds only kernels that claim correct rounding."""
    behaviour: bool = False
    """Whether it is about what a kernel does beside its work."""


def show(value: Any) -> str:
    """Return a number in hexadecimal (its bits, for a float32) and in decimal.

    >>> show(np.int8(-2)), show(np.float32(1.5)), show(np.uint8(46))
    ('0xFE (-2)', '0x3FC00000 (1.5)', '0x2E (46)')
    """
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        return repr(value)
    bits = array.view(np.dtype(f"u{array.dtype.itemsize}"))
    return f"0x{int(bits):0{2 * array.dtype.itemsize}X} ({value})"


def _shaped(result: Any, name: str, dtype: Any, shape: tuple[int, ...]) -> None:
    """Demand an array of this dtype and shape."""
    expected = f"{np.dtype(dtype)}{list(shape)}"
    if type(result) is not np.ndarray:  # a masked array would hide what it masks from every comparison
        raise Malformed(Mismatch("shape", name, _type(result), expected))
    if result.dtype != dtype or result.shape != shape:
        raise Malformed(Mismatch("shape", name, f"{result.dtype}{list(result.shape)}", expected))


def _type(result: Any) -> str:
    """Return the name of a result's type; of one from another process the name is all that there is."""
    return str(getattr(result, "type_name", "")) or type(result).__name__


def _parts(result: Any, *names: str) -> tuple[Any, ...]:
    """Demand a tuple of results with these names."""
    if not isinstance(result, tuple) or len(result) != len(names):
        got = f"tuple of {len(result)}" if isinstance(result, tuple) else _type(result)
        raise Malformed(Mismatch("shape", "result", got, f"a tuple ({', '.join(names)})"))
    return result


def equal(name: str, dimensions: str, got: Any, expected: Any) -> Verdict:
    """Demand an array of the same dtype and shape with the same numbers."""
    _shaped(got, name, expected.dtype, expected.shape)
    different = ~(got == expected)
    if not different.any():
        return Verdict(judged=expected.size)
    index = tuple(int(i) for i in np.argwhere(different)[0])
    return Verdict(
        Mismatch("value", place(name, dimensions, index), show(got[index]), show(expected[index])), expected.size
    )


def place(name: str, dimensions: str, index: tuple[int, ...]) -> str:
    """Return an index with the names of its dimensions, and the lane where there is a row of weights.

    >>> place("q", "KN", (3, 0))
    'q[k=3, n=0], narrow lane'
    """
    where = ", ".join(f"{dimension.lower()}={i}" for dimension, i in zip(dimensions, index, strict=True))
    lane = "" if "K" not in dimensions or "M" in dimensions else (", wide lane", ", narrow lane")[index[0] % 2]
    return f"{name}[{where}]{lane}"


def _pack(problem: Problem, result: Any) -> Verdict:
    verdict = equal("packed", "NB", result, problem.expected)
    wrong = verdict.mismatch
    if wrong is None:
        return verdict
    differing = int(wrong.got.split()[0], 16) ^ int(wrong.expected.split()[0], 16)
    lowest = (differing ^ (differing - 1)).bit_length() - 1
    where = f"{wrong.place}, layout {problem.layout}, bit {lowest}"
    return replace(verdict, mismatch=replace(wrong, place=where))


def _unpack(problem: Problem, result: Any) -> Verdict:
    return equal("q", "KN", result, np.array(problem.columns(), np.int8).T)


def _calibrate(part: int, name: str) -> Callable[[Problem, Any], Verdict]:
    def judge(problem: Problem, result: Any) -> Verdict:
        return equal(name, "GN", _parts(result, "scale", "offset")[part], problem.expected[part])

    return judge


def _quantize(problem: Problem, result: Any) -> Verdict:
    return equal("q", "KN", result, problem.expected)


def _activations(part: int, name: str, dimensions: str) -> Callable[[Problem, Any], Verdict]:
    def judge(problem: Problem, result: Any) -> Verdict:
        return equal(name, dimensions, _parts(result, "activation_scale", "a")[part], problem.expected[part])

    return judge


def _dequantize(problem: Problem, result: Any, exactly: bool) -> Verdict:
    """Compare restored weights with RN32 of their exact values; only where they differ does the bound matter.

    RN32 of the value is itself within the bound: u |value| <= u |scale gain q| + u |offset|, and it is exact below
    2**-126, where every value is a multiple of 2**-149.
    """
    _shaped(result, "w", np.float32, (problem.k, problem.n))
    groups = group_of_rows(problem.k, problem.group_size)
    parameters = list(zip(problem.parameter("scale"), problem.parameter("offset"), strict=True))
    too_large = [[8 * s + abs(o) >= NO_VERDICT for s, o in zip(*column, strict=True)] for column in parameters]
    unjudged = np.array([[column[g] for column in too_large] for g in groups])
    counts = (int((~unjudged).sum()), int(unjudged.sum()))
    for row, j in np.argwhere(~unjudged & ~(result == problem.expected)).tolist():
        got, expected = result[row, j], problem.expected[row, j]
        scale, offset = (part[groups[row]] for part in parameters[j])
        value = reference.dequantize(int(problem.arrays["q"][row, j]), scale, offset, row, problem.narrow_gain)
        bound = UNIT_ROUNDOFF * (2 + UNIT_ROUNDOFF) * abs(value - offset) + UNIT_ROUNDOFF * abs(offset)
        if exactly or not np.isfinite(got) or abs(Fraction(float(got)) - value) > bound:
            allowed = show(expected) if exactly else f"{show(expected)} within {float(bound):.3g}"
            return Verdict(Mismatch("value", place("w", "KN", (row, j)), show(got), allowed), *counts)
    return Verdict(None, *counts)


def _matmul_part(result: Any, part: int) -> Any:
    names = ("acc", "row_sum", "out")
    found = _parts(result, *names)[part]
    if found is None:
        raise Absent(names[part])
    return found


def _acc(problem: Problem, result: Any) -> Verdict:
    return equal(
        "acc",
        "MNG",
        _matmul_part(result, 0),
        np.array([[entry.acc for entry in row] for row in problem.entries], np.int32),
    )


def _row_sum(problem: Problem, result: Any) -> Verdict:
    return equal(
        "row_sum", "MG", _matmul_part(result, 1), np.array([first.row_sum for first, *_ in problem.entries], np.int32)
    )


def _out(problem: Problem, result: Any) -> Verdict:
    got = _matmul_part(result, 2)
    _shaped(got, "out", np.float32, (problem.m, problem.n))
    judged = no_verdict = 0
    for i, row in enumerate(problem.entries):
        for j, entry in enumerate(row):
            if entry.magnitude >= NO_VERDICT or len(entry.acc) > VERDICT_GROUPS:
                no_verdict += 1
                continue
            judged += 1
            value = got[i, j]
            if not np.isfinite(value) or abs(Fraction(float(value)) - entry.exact) > entry.bound:
                allowed = f"{show(np.float32(reference.to_float32(entry.exact)))} within {float(entry.bound):.3g}"
                wrong = Mismatch("value", place("out", "MN", (i, j)), show(value), allowed)
                return Verdict(wrong, judged, no_verdict)
    return Verdict(None, judged, no_verdict)


RULES: tuple[Rule, ...] = (
    Rule("pack.bytes", "pack", "each column's bytes are its codes in the layout, padding bits clear", _pack),
    Rule("unpack.integers", "unpack", "each code gives its two integers, sign-extended", _unpack),
    Rule("calibrate.scale", "calibrate", "scale = RN32((max - min)/15) or RN32(absmax/7)", _calibrate(0, "scale")),
    Rule("calibrate.offset", "calibrate", "offset = RN32(min + 8 scale) or 0", _calibrate(1, "offset")),
    Rule("quantize.integers", "quantize", "q = clamp(rne((w - offset)/(scale gain))), as if exact", _quantize),
    Rule(
        "dequantize.bound",
        "dequantize",
        "|w - value| <= u(2+u)|scale gain q| + u|offset|",
        lambda problem, result: _dequantize(problem, result, exactly=False),
    ),
    Rule(
        "dequantize.exact",
        "dequantize",
        "w = RN32(scale gain q + offset)",
        lambda problem, result: _dequantize(problem, result, exactly=True),
        correctly_rounded=True,
    ),
    Rule(
        "quantize_activations.scale",
        "quantize_activations",
        "activation_scale = RN32(absmax/127)",
        _activations(0, "activation_scale", "M"),
    ),
    Rule(
        "quantize_activations.integers",
        "quantize_activations",
        "a = clamp(rne(x/activation_scale), -127, 127), as if exact",
        _activations(1, "a", "MK"),
    ),
    Rule("matmul.acc", "matmul", "acc = sum of gain a q over each group, exact", _acc),
    Rule("matmul.row_sum", "matmul", "row_sum = sum of a over each group, exact", _row_sum),
    Rule("matmul.out", "matmul", "out = sum of scale acc + offset row_sum, within n u/(1 - n u) S", _out),
)
"""Every rule, in the order in which it is reported."""


def _behaves(problem: Problem, faults: Any) -> Verdict:
    return Verdict(faults[0] if faults else None)


BEHAVIOUR: dict[str, Rule] = {
    operation: Rule(
        f"{operation}.behaves",
        operation,
        "answers, touches its arrays alone, keeps inputs and settings, and repeats",
        _behaves,
        behaviour=True,
    )
    for operation in dict.fromkeys(rule.operation for rule in RULES)
}
"""The rule about what a kernel does beside its work, by operation."""

FAULTS: dict[str, tuple[str, ...]] = {
    "crash": ("Crash",),
    "hang": ("Hang",),
    "exit": ("Exits",),
    "out-of-bounds write": ("OutOfBoundsWrite",),
    "overread": ("Overread",),
    "misaligned": ("Misaligned",),
    "modified input": ("InputModified",),
    "written input": ("InputModified",),
    "flush-to-zero": ("FlushToZero",),
    "environment": ("ChangedEnvironment",),
    "null result": ("NullResult",),
    "stale output": ("StaleOutput",),
    "stale cache": ("StaleCache",),
    "changed result": ("ReusedResult", "StaleOutput"),
    "thread dependent": ("ThreadRace",),
    "not repeatable": ("ThreadRace", "StaleOutput"),
}
"""Each kind of such a fault, and the bug classes that it may come from."""

REFUSAL = Rule(
    "quantize.refuses_nonfinite",
    "quantize",
    "weights with a NaN or an infinity are refused",
    lambda problem, result: Verdict(Mismatch("accepted", "w", "a result", "an exception"), 1),
)
"""The one rule about illegal input that binds a foreign kernel."""
