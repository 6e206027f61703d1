"""llama.cpp's Q3_K and Q4_K as peers: its own quantizer, from an installed llama-cpp-python, and gguf's reader.

Their blocks have 256 weights of one column. Where K is no multiple of that, the last block is filled up with zeros,
whose errors are left out; what they take is in the true bits a weight. (llama.cpp itself takes another format for
such matrices.)
"""

import ctypes
import sys
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from q35ref.backends.numpy.float32 import Float64
from q35ref.backends.protocol import Float32

TYPES: Final = ("Q3_K", "Q4_K")

KINDS: Final = (*TYPES, "Q4_0")
"""With llama.cpp's plain four bits, in blocks of 32 weights."""

LIBRARY: Final = {"darwin": "libggml-base.dylib", "win32": "ggml-base.dll"}.get(sys.platform, "libggml-base.so")

SUPER_BLOCK: Final = 256
"""Weights of a block."""


class NoPeer(Exception):
    """A package that a peer needs is not there; the text says which."""


@dataclass(frozen=True)
class PeerMatrix:
    """A matrix as a peer's format restores it."""

    weights: Float32
    """float32[K, N]."""
    nominal_bits: Fraction
    """The format's own bits a weight: 3.4375 of Q3_K, 4.5 of the others."""
    bits_per_weight: Fraction
    """True bits a weight, padding included."""


@cache
def _ggml() -> Any:
    found = find_spec("llama_cpp")
    if found is None or found.origin is None:
        raise NoPeer("Q3_K and Q4_K need ggml's quantizer: pip install 'q35ref[peers]'")
    try:
        library = ctypes.CDLL(str(Path(found.origin).parent / "lib" / LIBRARY))
        quantize = library.ggml_quantize_chunk
    except (OSError, AttributeError) as error:
        raise NoPeer(f"the installed llama-cpp-python has no ggml_quantize_chunk: {error}") from error
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    quantize.argtypes = [ctypes.c_int, pointer, pointer, integer, integer, integer, pointer]
    quantize.restype = ctypes.c_size_t
    return quantize


def _gguf() -> Any:
    try:
        return import_module("gguf")
    except ImportError as error:
        raise NoPeer("Q3_K and Q4_K are restored by gguf: pip install gguf") from error


def require_peer() -> None:
    """Refuse a system without the packages. Errors: NoPeer."""
    _ggml()
    _gguf()


def k_quantize(weights: Float32, kind: str, mean_square: Float64 | None = None) -> PeerMatrix:
    """Quantize ``float32[K, N]`` to ``kind`` column by column, and restore it.

    ``mean_square``, ``[K]``, is llama.cpp's importance matrix; without it the quantizer weighs by the weights
    themselves, as it does by default. Errors: NoPeer, ValueError.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    quantize, gguf = _ggml(), _gguf()
    k, n = weights.shape
    type_number = gguf.GGMLQuantizationType[kind]
    block, block_bytes = gguf.GGML_QUANT_SIZES[type_number]
    padded = -(-k // block) * block
    rows = np.zeros((n, padded), np.float32)
    rows[:, :k] = weights.T
    packed = np.empty((n, padded // block * block_bytes), np.uint8)
    matrix = None
    if mean_square is not None:
        if mean_square.shape != (k,):
            raise ValueError(f"mean_square: expected shape ({k},), got {mean_square.shape}")
        matrix = np.zeros(padded, np.float32)
        matrix[:k] = mean_square
    address = None if matrix is None else matrix.ctypes.data
    written = quantize(int(type_number), rows.ctypes.data, packed.ctypes.data, 0, n, padded, address)
    if written != packed.nbytes:
        raise NoPeer(f"ggml wrote {written} bytes of {kind}, where gguf expects {packed.nbytes}")
    restored = gguf.quants.dequantize(packed, type_number)[:, :k].T
    nominal = Fraction(8 * block_bytes, block)
    return PeerMatrix(np.ascontiguousarray(restored), nominal, Fraction(8 * packed.nbytes, k * n))
