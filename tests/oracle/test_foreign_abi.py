"""The C interfaces: each call is what the header declares, with the sizes that it states."""

import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import q35ref
from q35ref.backends.numpy import NumpyBackend
from q35ref.backends.protocol import MatmulResult
from q35ref.oracle.cases import smallest
from q35ref.oracle.foreign.abi import ABIS, CCall, Input, Number, Output
from q35ref.oracle.problem import Problem

HEADER = Path(q35ref.__file__).parent / "backends" / "native" / "src" / "q35_abi.h"

TYPES = {"int8_t": "int8", "uint8_t": "uint8", "int32_t": "int32", "float": "float32"}

DECLARED = {
    name: [parameter.strip() for parameter in parameters.split(",")]
    for name, parameters in re.findall(r"^int (q35_\w+)\(([^)]*)\);", HEADER.read_text(), re.MULTILINE)
}
"""The parameters of each function."""


def declared(call: CCall) -> Iterator[str]:
    """Yield a call's arguments as the header would declare them."""
    types = {name: c for c, name in TYPES.items()}
    for argument in call.arguments:
        if isinstance(argument, Number):
            yield f"int{argument.bits}_t {argument.name}"
        elif isinstance(argument, Input):
            yield f"const {types[argument.array.dtype.name]} *{argument.name}"
        else:
            yield f"{types[np.dtype(argument.dtype).name]} *{argument.name}"


M, K, N, GROUPS = 2, 17, 3, 2

SMALL = np.random.default_rng(1)


def problems(operation: str) -> Iterator[Problem]:
    """Yield problems of which every size is another number, in both layouts and methods."""
    q = SMALL.integers(-4, 4, (K, N), np.int8)
    w, x = (SMALL.normal(size=shape).astype(np.float32) for shape in ((K, N), (M, K)))
    scale, offset = np.full((GROUPS, N), 0.5, "f4") + np.arange(N, dtype="f4"), np.zeros((GROUPS, N), "f4")
    a = SMALL.integers(-9, 9, (M, K), np.int8)
    stored = np.concatenate([q, np.ones((1, N), np.int8)])
    arrays: dict[str, dict[str, Any]] = {
        "pack": {"q": q},
        "unpack": {"q": stored},
        "calibrate": {"w": w},
        "quantize": {"w": w, "scale": scale, "offset": offset},
        "dequantize": {"q": q, "scale": scale, "offset": offset},
        "quantize_activations": {"x": x},
        "matmul": {"a": a, "q": stored, "scale": scale, "offset": offset},
    }
    for layout, method, gain in (("byte", "minmax", 1), ("dense", "symmetric", 2)):
        yield Problem(operation, K, arrays[operation], layout, 16, gain, method)


SHAPES = {
    "packed byte": (N, 9),
    "packed dense": (N, 8),
    "q": (N, K),
    "w": (N, K),
    "scale": (GROUPS, N),
    "offset": (GROUPS, N),
    "activation_scale": (M,),
    "a": (M, K),
    "x": (M, K),
    "acc": (M, N, GROUPS),
    "row_sum": (M, GROUPS),
    "out": (M, N),
}
"""As the header states them; nine codes are nine bytes, or 63 bits."""

OPERATIONS = list(ABIS["q35"].calls)


def shape(problem: Problem, name: str) -> tuple[int, ...]:
    """Return the shape of an array of a call."""
    return SHAPES[f"{name} {problem.layout}" if name == "packed" else name]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_has_the_arguments_that_the_header_declares(operation: str) -> None:
    for problem in problems(operation):
        call = ABIS["q35"].call(operation, problem.arguments())
        assert list(declared(call)) == DECLARED[call.symbol]
        assert call.symbol in ABIS["q35"].symbols[operation]
        values = {
            "m": M, "k": K, "n": N, "group_size": 16, "layout": ["byte", "dense"].index(problem.layout),
            "narrow_gain": problem.narrow_gain,
        }  # fmt: skip
        for argument in call.arguments:
            if isinstance(argument, Number):
                assert argument.value == values[argument.name]
            elif isinstance(argument, Input):
                assert argument.array.shape == shape(problem, argument.name)
                assert argument.array.flags.c_contiguous
            else:
                assert argument.shape == shape(problem, argument.name)
        assert call.returns_status
        assert call.optional == (("acc", "row_sum", "out") if operation == "matmul" else ())


def test_the_functions_are_those_of_the_header() -> None:
    found = [name for names in ABIS["q35"].symbols.values() for name in names]
    assert sorted(found) == sorted(DECLARED)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_results_come_back_in_the_protocol_s_order_of_indices(operation: str) -> None:
    """Those of NumPy, put into a function's outputs as the header has them, are those of NumPy again."""
    for problem in problems(operation):
        call = ABIS["q35"].call(operation, problem.arguments())
        right = getattr(NumpyBackend(), operation)(*problem.arguments().values())
        parts = right if isinstance(right, tuple) else (right,)
        turned = [part.T if operation in ("unpack", "quantize", "dequantize") else part for part in parts]
        assert [output.name for output in call.outputs] == [a.name for a in call.arguments if isinstance(a, Output)]
        outputs = {output.name: part for output, part in zip(call.outputs, turned, strict=True)}
        for output in call.outputs:
            assert outputs[output.name].dtype == np.dtype(output.dtype)
        found = call.result(outputs)
        assert type(found) is type(right)
        for one, other in zip(found if isinstance(found, tuple) else (found,), parts, strict=True):
            np.testing.assert_array_equal(one, other)


def test_inputs_are_given_by_columns_where_the_header_has_them_so() -> None:
    """``q`` and ``w``; all others as they are."""
    for operation in OPERATIONS:
        for problem in problems(operation):
            arguments = problem.arguments()
            for given in ABIS["q35"].call(operation, arguments).arguments:
                if isinstance(given, Input):
                    array = arguments[given.name]
                    np.testing.assert_array_equal(given.array, array.T if given.name in ("q", "w") else array)


def drafts(rows: int) -> Problem:
    """Return a matmul that the drafts' function has."""
    q = SMALL.integers(-4, 4, (rows, N), np.int8)
    scale, offset = np.arange(1, N + 1, dtype="f4")[None], np.arange(N, dtype="f4")[None]
    arrays = {"a": SMALL.integers(-9, 9, (M, rows), np.int8), "q": q, "scale": scale, "offset": offset}
    return Problem("matmul", rows, arrays)


def test_the_drafts_call_has_the_order_of_elements_of_fortran() -> None:
    """``matmul_3p5bit_awq(A, W_Q, W_scales, W_offsets, C, M, N, K)``, which returns nothing."""
    problem = drafts(18)
    arguments = problem.arguments()
    call = ABIS["groq-mvp"].call("matmul", arguments)
    assert (call.symbol, call.returns_status, call.optional) == ("matmul_3p5bit_awq", False, ())
    assert list(declared(call)) == [
        *("const int8_t *A", "const int8_t *W_Q", "const float *W_scales", "const float *W_offsets", "int32_t *C"),
        *("int32_t M", "int32_t N", "int32_t K"),
    ]
    given = {a.name: a for a in call.arguments}
    assert [given[name].value for name in "MNK"] == [M, N, 18]  # type: ignore[union-attr]
    arrays = {a.name: a.array for a in call.arguments if isinstance(a, Input)}
    np.testing.assert_array_equal(arrays["A"].ravel(), arguments["a"].ravel(order="F"))
    assert arrays["A"].flags.c_contiguous
    assert arrays["W_Q"].tobytes() == arguments["packed"].tobytes()
    assert (arrays["W_scales"].tolist(), arrays["W_offsets"].tolist()) == ([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
    (output,) = call.outputs
    assert output.shape == (N, M)
    product = np.arange(N * M, dtype="i4").reshape(N, M)
    found = call.result({"C": product})
    assert isinstance(found, MatmulResult)
    assert (found.row_sum, found.out) == (None, None)
    assert found.acc is not None
    assert found.acc.shape == (M, N, 1)
    assert [found.acc[i, j, 0] for i in range(M) for j in range(N)] == [0, 2, 4, 1, 3, 5]


def test_problems_are_brought_to_what_the_drafts_have() -> None:
    """Layout byte, gain 1, one group, an even number of rows; no other operation."""
    abi = ABIS["groq-mvp"]
    posed = abi.pose(list(problems("matmul"))[1], ["matmul_3p5bit_awq"])
    assert posed is not None
    assert (posed.layout, posed.narrow_gain, posed.group_size, posed.k, posed.n) == ("byte", 1, 0, 16, N)
    assert [abi.pose(smallest(name), ["matmul_3p5bit_awq"]) for name in OPERATIONS if name != "matmul"] == 6 * [None]
    assert abi.symbols == {"matmul": ("matmul_3p5bit_awq",)}


def test_of_two_methods_only_what_a_library_has_is_asked() -> None:
    abi, one = ABIS["q35"], ["q35_calibrate_symmetric"]
    minmax, symmetric = problems("calibrate")
    assert abi.pose(minmax, one) is None
    assert abi.pose(symmetric, one) is symmetric
    assert abi.pose(minmax, ["q35_calibrate_minmax"]) is minmax
    for operation in OPERATIONS:
        problem = smallest(operation)
        if operation != "calibrate":
            assert abi.pose(problem, one) is problem


def test_abis_and_calls_are_fixed() -> None:
    call = ABIS["q35"].call("pack", smallest("pack").arguments())
    for made, name in (*((part, "name") for part in (ABIS["q35"], *call.arguments)), (call, "symbol")):
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, "other")


@pytest.mark.parametrize("name", ABIS)
def test_an_abi_is_known_by_its_name(name: str) -> None:
    assert ABIS[name].name == name
