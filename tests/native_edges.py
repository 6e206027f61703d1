"""What the tests that attack the native kernel share: a buffer's two edges, columns of the ABI, settings of the FPU."""

import ctypes
import mmap
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from q35ref.backends import get
from q35ref.backends.protocol import Float32, Int8
from q35ref.oracle.cases import integers, parameters

Number = TypeVar("Number", bound=np.generic)

OUTPUTS = {
    "q35_pack": 1, "q35_unpack": 1, "q35_calibrate_minmax": 2, "q35_calibrate_symmetric": 2, "q35_quantize": 1,
    "q35_dequantize": 1, "q35_quantize_activations": 2, "q35_matmul": 3,
}  # fmt: skip
"""How many of each function's last arguments are its outputs."""

Call = tuple[str, tuple[Any, ...]]
"""A function of the ABI and its arguments."""


class Edge:
    """Room for an array right before a page that must not be touched, or right after one, used again and again."""

    def __init__(self, size: int, *, at_end: bool) -> None:
        self.at_end = at_end
        self._pages = -(-size // mmap.PAGESIZE)
        self._memory = mmap.mmap(-1, (self._pages + 2) * mmap.PAGESIZE)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for page in (0, self._pages + 1):
            if libc.mprotect(base + page * mmap.PAGESIZE, mmap.PAGESIZE, 0):
                raise OSError(ctypes.get_errno(), "mprotect")

    def hold(self, values: NDArray[Number]) -> NDArray[Number]:
        """Return a copy that lies against the page; it lasts until the next one."""
        size = self._pages * mmap.PAGESIZE
        start = mmap.PAGESIZE + (size - values.nbytes if self.at_end else 0)
        array: NDArray[Number] = np.frombuffer(self._memory, values.dtype, values.size, start).reshape(values.shape)
        array[...] = values
        return array


def every_call(k: int, n: int, group_size: int, gain: int, m: int) -> list[Call]:
    """Return a legal call of every function, with outputs to be written and inputs in the ABI's order."""
    rng = np.random.default_rng(k * 1000 + n)
    q, (scale, offset) = integers(k, n, rng), parameters(k, n, group_size, rng)
    a, x = rng.integers(-128, 128, (m, k)).astype(np.int8), rng.standard_normal((m, k)).astype(np.float32)
    w, columns = rng.standard_normal((n, k)).astype(np.float32), np.ascontiguousarray(q.T)
    found: list[Call] = [
        *((f"q35_calibrate_{method}", (w, k, n, group_size, np.empty_like(scale), np.empty_like(scale)))
          for method in ("minmax", "symmetric")),
        ("q35_quantize", (w, k, n, group_size, gain, scale, offset, np.empty((n, k), np.int8))),
        ("q35_dequantize", (columns, k, n, group_size, gain, scale, offset, np.empty((n, k), np.float32))),
        ("q35_quantize_activations", (x, m, k, np.empty(m, np.float32), np.empty((m, k), np.int8))),
    ]  # fmt: skip
    for number, layout in enumerate(("byte", "dense")):
        packed = get("numpy").pack(q, "byte" if layout == "byte" else "dense")
        sums = (np.empty((m, n, len(scale)), np.int32), np.empty((m, len(scale)), np.int32))
        found += [
            ("q35_pack", (columns, k, n, number, np.empty_like(packed))),
            ("q35_unpack", (packed, k, n, number, np.empty((n, k), np.int8))),
            ("q35_matmul",
             (a, packed, m, k, n, number, group_size, gain, scale, offset, *sums, np.empty((m, n), np.float32))),
        ]  # fmt: skip
    return found


def split(call: Call) -> tuple[str, list[Any], list[NDArray[Any]]]:
    """Return a call's function, its other arguments, and its outputs."""
    name, arguments = call
    return name, list(arguments[: -OUTPUTS[name]]), list(arguments[-OUTPUTS[name] :])


def tiny(k: int, n: int, seed: int) -> tuple[Float32, Float32, Float32, Int8]:
    """Return weights, scales, offsets and integers that a processor which flushes small numbers gets wrong."""
    rng = np.random.default_rng(seed)
    q, smallest = integers(k, n, rng), np.float32(2.0**-149)
    scale = (rng.integers(1, 2000, (1, n)) * smallest).astype(np.float32)
    offset = (rng.integers(-9000, 9000, (1, n)) * smallest).astype(np.float32)
    w = (rng.integers(-20000, 20000, (k, n)) * smallest).astype(np.float32)
    return w, scale, offset, q


FLUSH, MODE = 0x8040, 0x6000
"""Bits of x86's control register MXCSR: results flushed and operands taken as zero; the rounding mode."""

needs_x86 = pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="sets x86-64's MXCSR")


class Fpu:
    """The floating-point environment of this thread, by the image that the C library of x86-64 keeps of it."""

    CONTROL = 7
    """Where MXCSR lies in the image, in words."""

    def __init__(self) -> None:
        self._libm = ctypes.CDLL("libm.so.6")
        self._image = (ctypes.c_uint32 * 8)()

    def control(self) -> int:
        """Return MXCSR without the flags that any operation raises."""
        self._libm.fegetenv(self._image)
        return int(self._image[self.CONTROL]) & ~0x3F

    @contextmanager
    def with_bits(self, bits: int) -> Iterator[None]:
        """Set bits of MXCSR for a while."""
        before = self.control()
        self._image[self.CONTROL] = before | bits
        self._libm.fesetenv(self._image)
        try:
            yield
        finally:
            self._libm.fegetenv(self._image)
            self._image[self.CONTROL] = before
            self._libm.fesetenv(self._image)
