"""Bugs between integers and bytes."""

from typing import Any

import numpy as np

from q35ref.backends.numpy import codec
from q35ref.backends.protocol import Int8, UInt8
from q35ref.oracle.bugs.base import Bug, lanes
from q35ref.reference.lanes import Layout


class _Packer(Bug):
    """A packer with codes or bytes of its own."""

    operation = "pack"

    def pack(self, q: Int8, layout: Layout) -> UInt8:
        padded = np.vstack([q, np.zeros((len(q) % 2, q.shape[1]), np.int8)]).astype(np.int64)
        codes: UInt8 = self.codes(padded[0::2].T, padded[1::2].T).astype(np.uint8)
        if layout == "byte":
            return codes
        wide, narrow = (codes >> 3 ^ 8).astype(np.int8) - 8, (codes & 7 ^ 4).astype(np.int8) - 4
        integers = np.stack([wide, narrow], axis=2).reshape(len(codes), -1).T.astype(np.int8)
        return self.stream(codec.pack(integers, "dense"), codes)

    def codes(self, wide: Any, narrow: Any) -> Any:
        return (wide % 16 << 3) | narrow % 8

    def stream(self, packed: UInt8, codes: UInt8) -> UInt8:
        return packed


class PacksBigEndian(_Packer):
    """Codes are written to the dense stream most significant bit first."""

    effect = "every code but those of whole zero blocks is read back wrong"

    def stream(self, packed: UInt8, codes: UInt8) -> UInt8:
        bits = np.unpackbits(codes[:, :, None], axis=2)[:, :, 1:].reshape(len(codes), -1)
        return np.packbits(bits, axis=1)


class PaddingBitsSet(_Packer):
    """The bits after the last code of a dense stream are ones."""

    effect = "a strict reader refuses the file, and equal weights have unequal digests"

    def stream(self, packed: UInt8, codes: UInt8) -> UInt8:
        spare = 8 * packed.shape[1] - 7 * codes.shape[1]
        filled = packed.copy()
        filled[:, -1] |= np.uint8(255 << (8 - spare) & 255)
        return filled


class LanesSwapped(_Packer):
    """The narrow integer is written above the wide one."""

    effect = "every weight takes its neighbour's place, wide ones lose a bit"

    def codes(self, wide: Any, narrow: Any) -> Any:
        return (narrow % 8 << 4) | wide % 16


class _Unpacker(Bug):
    """An unpacker with a sign extension of its own."""

    operation = "unpack"

    def unpack(self, packed: UInt8, k: int, layout: Layout) -> Int8:
        q = codec.unpack(packed, k, layout)
        unsigned = q % np.where(np.arange(k)[:, None] % 2, 8, 16)
        extended: Int8 = self.fields(unsigned, k).astype(np.int8)
        return extended

    def fields(self, unsigned: Any, k: int) -> Any:
        return unsigned


class NoSignExtension(_Unpacker):
    """Fields are read as unsigned integers."""

    effect = "negative weights become large positive ones"


class NarrowSignThreshold(_Unpacker):
    """The narrow field is sign-extended as if it had four bits: from 8 on, which it never reaches."""

    effect = "negative narrow weights become positive"

    def fields(self, unsigned: Any, k: int) -> Any:
        return np.where(unsigned >= 8, unsigned - 16, unsigned)


class OnesComplement(_Unpacker):
    """Negative fields are read as one's complement."""

    effect = "every negative weight is one step too high"

    def fields(self, unsigned: Any, k: int) -> Any:
        signs, masks = lanes(k, 8, 4), lanes(k, 15, 7)
        return np.where(unsigned >= signs, unsigned - masks, unsigned)
