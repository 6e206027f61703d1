"""The contenders that come as Python packages: NumPy's float32 product, gguf-py, torch. Each is optional but NumPy."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, Final

import numpy as np

from q35ref.backends.protocol import Float32
from tools.bench.contender import Contender, Skipped, nothing, relative_error
from tools.bench.memory import empty, placed, repeated

TORCH_GROUP: Final = 64
"""Rows that share parameters in torch's four-bit weights."""

BFLOAT16_LIMIT: Final = 0.03
"""Relative error of products of bfloat16 activations and parameters, eight bits each."""


def optional(name: str, skipped: list[Skipped], remedy: str) -> ModuleType | None:
    """Return a package that need not be there, or nothing and say so, once."""
    try:
        return import_module(name)
    except ImportError:
        note = Skipped(name, "not installed", remedy)
        if note not in skipped:
            skipped.append(note)
        return None


def numpy_multipliers(
    distinct: Float32, n: int, x: Float32, threads: tuple[int, ...], skipped: list[Skipped], stack: ExitStack
) -> list[Contender]:
    """Return the product with the float32 weights, by NumPy's BLAS; with one thread more than one needs a limit."""
    control = optional("threadpoolctl", skipped, "pip install threadpoolctl")
    if control is None:
        return []
    weights, transposed = repeated(distinct, n), np.ascontiguousarray(x.T)
    out = empty((n, len(x)), "f4")
    expected = distinct.astype(np.float64) @ transposed
    pools = control.ThreadpoolController()
    stack.enter_context(pools.limit(limits=None))  # puts back what the contenders change

    def error() -> float:
        return relative_error(out, expected[np.arange(n) % len(distinct)])

    return [
        Contender(
            work="multiply",
            name="NumPy float32",
            path="@",
            run=partial(np.matmul, weights, transposed, out=out),
            k=x.shape[1],
            n=n,
            bytes=weights.nbytes,
            rows=len(x),
            threads=count,
            prepare=partial(pools.limit, limits=count),
            error=error,
            limit=1e-4,
        )
        for count in threads
    ]


def gguf_weights(w: Float32, skipped: list[Skipped]) -> list[Contender]:
    """Return gguf-py's Q4_0, which is NumPy like our twin."""
    gguf = optional("gguf", skipped, "pip install gguf")
    if gguf is None:
        return []
    kind = gguf.GGMLQuantizationType.Q4_0
    rows = placed(w)
    blocks = gguf.quants.quantize(rows, kind)
    found: list[Any] = [None, None]

    def quantize() -> None:
        found[0] = gguf.quants.quantize(rows, kind)

    def dequantize() -> None:
        found[1] = gguf.quants.dequantize(blocks, kind)

    works: dict[str, tuple[Callable[[], None], Callable[[], float]]] = {
        "calibrate and quantize": (
            quantize,
            lambda: relative_error(gguf.quants.dequantize(found[0], kind), rows),
        ),
        "dequantize": (dequantize, lambda: relative_error(found[1], rows)),
    }
    return [
        Contender(
            work=work,
            name="gguf-py Q4_0",
            path="numpy",
            run=run,
            k=w.shape[1],
            n=len(w),
            bytes=rows.nbytes + blocks.nbytes,
            error=error,
            limit=0.25,
        )
        for work, (run, error) in works.items()
    ]


def torch_multipliers(
    distinct: Float32, n: int, x: Float32, threads: tuple[int, ...], skipped: list[Skipped]
) -> list[Contender]:
    """Return torch's four-bit product, whose activations are bfloat16."""
    remedy = "pip install torch"
    torch = optional("torch", skipped, remedy)
    if torch is None:
        return []
    k = x.shape[1]
    try:
        low, high = distinct.min(), distinct.max()
        integers = np.clip(np.rint((distinct - low) * (15 / (high - low))), 0, 15).astype(np.int32)
        step = float(torch.tensor((high - low) / 15, dtype=torch.bfloat16))
        parameters = torch.zeros((k // TORCH_GROUP, n, 2), dtype=torch.bfloat16)
        parameters[..., 0] = step  # the value is (integer - 8) * step + zero
        made = torch.ops.aten._convert_weight_to_int4pack_for_cpu(torch.from_numpy(repeated(integers, n)), 1)
        packed = torch.from_numpy(placed(made.numpy()))
        activations = torch.from_numpy(x).to(torch.bfloat16)
        product = torch.ops.aten._weight_int4pack_mm_for_cpu
        product(activations, packed, TORCH_GROUP, parameters)
    except (RuntimeError, AttributeError, NotImplementedError) as problem:
        skipped.append(Skipped("torch int4pack", str(problem).splitlines()[0], "another version of torch"))
        return []
    expected = ((integers - 8) * step) @ x.T.astype(np.float64)
    found: list[Any] = [None]

    def run() -> None:
        with torch.no_grad():
            found[0] = product(activations, packed, TORCH_GROUP, parameters)

    def error() -> float:
        return relative_error(found[0].float().numpy().T, expected[np.arange(n) % len(distinct)])

    return [
        Contender(
            work="multiply",
            name=f"torch int4pack g{TORCH_GROUP}",
            path="bfloat16",
            run=run,
            k=k,
            n=n,
            bytes=packed.nbytes + parameters.nelement() * parameters.element_size(),
            rows=len(x),
            threads=count,
            prepare=partial(torch.set_num_threads, count),
            finish=nothing,
            error=error,
            limit=BFLOAT16_LIMIT,
        )
        for count in threads
    ]
