"""The C interfaces: how a call of the protocol becomes a call of a function, and its arrays the protocol's again."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from q35ref.backends.protocol import MatmulResult
from q35ref.oracle.domain import Domain
from q35ref.oracle.problem import Problem
from q35ref.reference.codec import column_bytes
from q35ref.reference.lanes import LAYOUTS, group_count

Array = NDArray[Any]


@dataclass(frozen=True)
class Number:
    """An integer, passed by value."""

    name: str
    bits: Literal[32, 64]
    value: int


@dataclass(frozen=True)
class Input:
    """An array that the function reads."""

    name: str
    array: Array


@dataclass(frozen=True)
class Output:
    """An array that the function overwrites in full."""

    name: str
    dtype: str
    shape: tuple[int, ...]


Argument = Number | Input | Output


@dataclass(frozen=True)
class CCall:
    """One call of one function."""

    symbol: str
    arguments: Sequence[Argument]
    result: Callable[[dict[str, Any]], Any]
    """From the outputs to what the protocol's method returns."""
    returns_status: bool = True
    optional: tuple[str, ...] = ()
    """Outputs for which NULL may be passed."""

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The arrays that the function writes."""
        return tuple(argument for argument in self.arguments if isinstance(argument, Output))


SYMBOLS: Final = {
    "pack": ("q35_pack",),
    "unpack": ("q35_unpack",),
    "calibrate": ("q35_calibrate_minmax", "q35_calibrate_symmetric"),
    "quantize": ("q35_quantize",),
    "dequantize": ("q35_dequantize",),
    "quantize_activations": ("q35_quantize_activations",),
    "matmul": ("q35_matmul",),
}
"""The functions of ABI ``q35`` by operation (``q35_abi.h``)."""

GROQ_SYMBOL: Final = "matmul_3p5bit_awq"
"""The drafts' one function."""

GROQ_DOMAIN: Final = Domain(("byte",), (1,), (0,), 2)
"""What it does."""


def _columns(name: str, matrix: Array) -> Input:
    """Return ``[K, N]`` as ``[n][k]``."""
    return Input(name, np.ascontiguousarray(matrix.T))


def _sizes(**values: int) -> tuple[Number, ...]:
    """Return numbers in the widths of ABI ``q35``."""
    narrow = ("layout", "narrow_gain")
    return tuple(Number(name, 32 if name in narrow else 64, int(value)) for name, value in values.items())


def _pack(p: dict[str, Any]) -> CCall:
    k, n = p["q"].shape
    settings = _sizes(k=k, n=n, layout=LAYOUTS.index(p["layout"]))
    packed = Output("packed", "u1", (n, column_bytes(k, p["layout"])))
    return CCall("q35_pack", (_columns("q", p["q"]), *settings, packed), lambda out: out["packed"])


def _unpack(p: dict[str, Any]) -> CCall:
    n = len(p["packed"])
    settings = _sizes(k=p["k"], n=n, layout=LAYOUTS.index(p["layout"]))
    q = Output("q", "i1", (n, p["k"]))
    return CCall("q35_unpack", (Input("packed", p["packed"]), *settings, q), lambda out: out["q"].T)


def _calibrate(p: dict[str, Any]) -> CCall:
    k, n = p["w"].shape
    parts = [Output(name, "f4", (group_count(k, p["group_size"]), n)) for name in ("scale", "offset")]
    arguments: list[Argument] = [_columns("w", p["w"]), *_sizes(k=k, n=n, group_size=p["group_size"]), *parts]
    return CCall(f"q35_calibrate_{p['method']}", arguments, lambda out: (out["scale"], out["offset"]))


def _quantize(p: dict[str, Any]) -> CCall:
    k, n = p["w"].shape
    settings = _sizes(k=k, n=n, group_size=p["group_size"], narrow_gain=p["narrow_gain"])
    parameters = Input("scale", p["scale"]), Input("offset", p["offset"])
    arguments: list[Argument] = [_columns("w", p["w"]), *settings, *parameters, Output("q", "i1", (n, k))]
    return CCall("q35_quantize", arguments, lambda out: out["q"].T)


def _dequantize(p: dict[str, Any]) -> CCall:
    k, n = p["q"].shape
    settings = _sizes(k=k, n=n, group_size=p["group_size"], narrow_gain=p["narrow_gain"])
    parameters = Input("scale", p["scale"]), Input("offset", p["offset"])
    arguments: list[Argument] = [_columns("q", p["q"]), *settings, *parameters, Output("w", "f4", (n, k))]
    return CCall("q35_dequantize", arguments, lambda out: out["w"].T)


def _quantize_activations(p: dict[str, Any]) -> CCall:
    m, k = p["x"].shape
    outputs = Output("activation_scale", "f4", (m,)), Output("a", "i1", (m, k))
    arguments: list[Argument] = [Input("x", p["x"]), *_sizes(m=m, k=k), *outputs]
    return CCall("q35_quantize_activations", arguments, lambda out: (out["activation_scale"], out["a"]))


def _matmul(p: dict[str, Any]) -> CCall:
    m, n, groups = len(p["a"]), len(p["packed"]), len(p["scale"])
    settings = _sizes(
        m=m, k=p["k"], n=n, layout=LAYOUTS.index(p["layout"]), group_size=p["group_size"], narrow_gain=p["narrow_gain"]
    )
    outputs = (
        Output("acc", "i4", (m, n, groups)), Output("row_sum", "i4", (m, groups)), Output("out", "f4", (m, n))
    )  # fmt: skip
    inputs = [Input(name, p[name]) for name in ("a", "packed", "scale", "offset")]
    arguments: list[Argument] = [*inputs[:2], *settings, *inputs[2:], *outputs]
    names = tuple(output.name for output in outputs)
    return CCall("q35_matmul", arguments, lambda out: MatmulResult(*(out[name] for name in names)), optional=names)


def _groq_matmul(p: dict[str, Any]) -> CCall:
    """Return the drafts' call: Fortran's order of elements, which for the codes is ABI ``q35``'s too."""
    m, n = len(p["a"]), len(p["packed"])
    arguments: list[Argument] = [
        Input("A", np.ascontiguousarray(p["a"].T)),
        Input("W_Q", p["packed"].view(np.int8)),
        Input("W_scales", p["scale"][0]),
        Input("W_offsets", p["offset"][0]),
        Output("C", "i4", (n, m)),
        *(Number(name, 32, value) for name, value in (("M", m), ("N", n), ("K", p["k"]))),
    ]
    return CCall(GROQ_SYMBOL, arguments, lambda out: MatmulResult(out["C"].T[:, :, None], None, None), False)


CALLS: Final[dict[str, Callable[[dict[str, Any]], CCall]]] = {
    "pack": _pack,
    "unpack": _unpack,
    "calibrate": _calibrate,
    "quantize": _quantize,
    "dequantize": _dequantize,
    "quantize_activations": _quantize_activations,
    "matmul": _matmul,
}


@dataclass(frozen=True)
class Abi:
    """One of the interfaces."""

    name: str
    symbols: dict[str, tuple[str, ...]]
    """Functions by operation: any of them is enough for it to be checked."""
    calls: dict[str, Callable[[dict[str, Any]], CCall]]

    def call(self, operation: str, arguments: dict[str, Any]) -> CCall:
        """Return the call of a function for the arguments of the protocol, contiguous."""
        return self.calls[operation](arguments)

    def pose(self, problem: Problem, found: Iterable[str]) -> Problem | None:
        """Return the problem in a form that this interface has, or nothing; ``found`` are the library's functions."""
        if self.name == "groq-mvp":
            return GROQ_DOMAIN.nearest(problem) if problem.operation == "matmul" else None
        if problem.operation == "calibrate" and f"q35_calibrate_{problem.method}" not in found:
            return None
        return problem


ABIS: Final = {
    "q35": Abi("q35", SYMBOLS, CALLS),
    "groq-mvp": Abi("groq-mvp", {"matmul": (GROQ_SYMBOL,)}, {"matmul": _groq_matmul}),
}
"""By the name that ``--abi`` takes."""


__all__ = ["ABIS", "Abi", "CCall", "Input", "Number", "Output"]
