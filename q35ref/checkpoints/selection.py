"""Which tensors of a file are quantized."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from q35ref.checkpoints.floats import FLOAT_DTYPES
from q35ref.checkpoints.header import TensorInfo

DEFAULT_INCLUDE: Final = ("*.weight",)
"""The names of weights, by the custom of PyTorch; of these, the matrices are those of linear layers, and..."""

DEFAULT_EXCLUDE: Final = ("*embed*", "*wte.weight", "*wpe.weight", "shared.weight")
"""...embedding tables, which are looked up and not multiplied by: BERT's and LLaMA's, GPT-2's two, T5's."""


def can_quantize(tensor: TensorInfo) -> bool:
    """Whether a tensor is a matrix of floats, with at least one row and one column.

    >>> can_quantize(TensorInfo("a", "BF16", (4, 4))), can_quantize(TensorInfo("a", "F32", (4,)))
    (True, False)
    """
    return tensor.dtype in FLOAT_DTYPES and len(tensor.shape) == 2 and min(tensor.shape) >= 1


def select(
    tensors: Iterable[TensorInfo],
    include: Sequence[str] = DEFAULT_INCLUDE,
    exclude: Sequence[str] = DEFAULT_EXCLUDE,
) -> list[TensorInfo]:
    """Return the float matrices whose names match a glob of ``include`` and none of ``exclude``, case and all.

    Errors: ValueError if a glob of ``include`` matches no float matrix at all, or if nothing is left.

    >>> names = ["embed.weight", "a.weight", "a.bias"]
    >>> [found.name for found in select(TensorInfo(name, "F32", (4, 4)) for name in names)]
    ['a.weight']
    """
    matrices = [tensor for tensor in tensors if can_quantize(tensor)]
    for pattern in include:
        if not any(fnmatchcase(tensor.name, pattern) for tensor in matrices):
            raise ValueError(f"include {pattern!r}: expected the name of a float matrix to match, none does")
    chosen = [
        tensor
        for tensor in matrices
        if any(fnmatchcase(tensor.name, pattern) for pattern in include)
        and not any(fnmatchcase(tensor.name, pattern) for pattern in exclude)
    ]
    if not chosen:
        raise ValueError("expected at least one float matrix to be included and not excluded, found none")
    return chosen
