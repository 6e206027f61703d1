"""Bug classes, each as a kernel that has exactly that bug.

A finding is consistent with a class if the class's kernel gives, on every call that is at hand, what the target
gave. The same kernels are the planted faults that show that the checks fire:
``q35ref check python:q35ref.oracle.bugs:NarrowCodesWrap`` fails.
"""

import numpy as np

from q35ref.oracle.bugs.base import Bug
from q35ref.oracle.bugs.codecs import (
    LanesSwapped,
    NarrowSignThreshold,
    NoSignExtension,
    OnesComplement,
    PacksBigEndian,
    PaddingBitsSet,
)
from q35ref.oracle.bugs.matmuls import (
    ActivationTailDropped,
    ColumnTailDropped,
    Float32Accumulators,
    GainOnWideLane,
    GroupBoundaryOffByOne,
    Int16Accumulators,
    LongGroupsUseTheFirst,
    MatmulIgnoresGain,
    OffsetBeforeScale,
    RowSumMissing,
    RowSumOverWholeRow,
    ShortGroupDropped,
    UnsignedActivations,
)
from q35ref.oracle.bugs.quantizers import (
    AcceptsNan,
    ActivationsInFloat32,
    DequantizesInDouble,
    NarrowCodesWrap,
    OffsetFromUnroundedScale,
    QuantizerIgnoresGain,
    QuantizesInDouble,
    QuantizesInFloat32,
    RoundsHalfAway,
    RoundsHalfUp,
    Truncates,
)
from q35ref.oracle.calls import Outcome, call, judge
from q35ref.oracle.judge import Rule
from q35ref.oracle.problem import Problem


def _concrete(base: type[Bug]) -> list[type[Bug]]:
    """Return the bug classes below ``base``, but for those that only others are made of."""
    below = [bug for subclass in base.__subclasses__() for bug in (subclass, *_concrete(subclass))]
    return [bug for bug in below if not bug.__name__.startswith("_")]


BUGS: dict[str, type[Bug]] = {bug.__name__: bug for bug in sorted(_concrete(Bug), key=lambda bug: bug.__name__)}
"""Every bug class by its name."""

RESULT_PARTS = {
    "calibrate": ("scale", "offset"),
    "quantize_activations": ("scale", "integers"),
    "matmul": ("acc", "row_sum", "out"),
}
"""The order of the results that an operation returns together, by the names of the rules about them."""


def explain(rule: Rule, calls: list[tuple[Problem, Outcome]]) -> tuple[str, ...]:
    """Return the bug classes whose kernels break the rule on each of these calls, with what the target gave."""
    fitting = []
    for name, bug in BUGS.items():
        if bug.operation == rule.operation and all(_fits(bug(), rule, problem, seen) for problem, seen in calls):
            fitting.append(name)
    return tuple(fitting)


def _fits(bug: Bug, rule: Rule, problem: Problem, seen: Outcome) -> bool:
    ours = call(bug, problem)
    return _same(ours, seen, rule) and judge(rule, problem, ours).mismatch is not None


def _same(ours: Outcome, seen: Outcome, rule: Rule) -> bool:
    """Tell whether two calls came to the same, in the result that the rule is about."""
    if ours.raised is not None or seen.raised is not None or seen.modified is not None:
        return False
    mine, other = ours.result, seen.result
    if isinstance(mine, tuple) and isinstance(other, tuple) and len(mine) == len(other):
        index = RESULT_PARTS[rule.operation].index(rule.name.partition(".")[2])
        mine, other = mine[index], other[index]
    if not (isinstance(mine, np.ndarray) and isinstance(other, np.ndarray)):
        return False
    if mine.shape != other.shape or mine.dtype != other.dtype:
        return False
    if rule.name == "matmul.out":  # one float32 evaluation of a wrong formula may differ from another
        return bool(np.allclose(mine, other, rtol=1e-5, atol=0, equal_nan=True))
    return bool(((mine == other) | ((mine != mine) & (other != other))).all())


__all__ = [
    "BUGS",
    "AcceptsNan",
    "ActivationTailDropped",
    "ActivationsInFloat32",
    "Bug",
    "ColumnTailDropped",
    "DequantizesInDouble",
    "Float32Accumulators",
    "GainOnWideLane",
    "GroupBoundaryOffByOne",
    "Int16Accumulators",
    "LanesSwapped",
    "LongGroupsUseTheFirst",
    "MatmulIgnoresGain",
    "NarrowCodesWrap",
    "NarrowSignThreshold",
    "NoSignExtension",
    "OffsetBeforeScale",
    "OffsetFromUnroundedScale",
    "OnesComplement",
    "PacksBigEndian",
    "PaddingBitsSet",
    "QuantizerIgnoresGain",
    "QuantizesInDouble",
    "QuantizesInFloat32",
    "RoundsHalfAway",
    "RoundsHalfUp",
    "RowSumMissing",
    "RowSumOverWholeRow",
    "ShortGroupDropped",
    "Truncates",
    "UnsignedActivations",
    "explain",
]
