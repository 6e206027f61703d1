"""Programs: timed instructions, and nothing that is decided while they run.

Each instruction says at which cycle it is issued, on which unit of which hemisphere, and from and to which stream.
A stream carries a word past every unit: whoever does not take it in the cycle in which it is there will not see it.
Instructions are kept as columns, one NumPy record array for each kind.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Records = NDArray[Any]

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "read": ("cycle", "hemisphere", "quad", "address", "outward", "stream"),
    "write": ("cycle", "hemisphere", "quad", "address", "stream"),
    "alu": ("cycle", "hemisphere", "alu", "operation", "immediate", "from_a", "a", "from_b", "b", "stream"),
    "install": ("cycle", "hemisphere", "plane", "port", "buffer", "row", "stream"),
    "matmul": ("cycle", "hemisphere", "plane", "buffer", "stream", "byte", "accumulator", "begins"),
    "drain": ("cycle", "hemisphere", "plane", "accumulator", "stream"),
    "send": ("cycle", "hemisphere", "link", "stream"),
    "receive": ("cycle", "hemisphere", "link", "quad", "address"),
}
"""The fields of each kind of instruction, all int64.

``read``: a word of memory goes onto a stream, inwards or outwards. ``write``: an outward stream's word goes to memory.
``alu``: an operation on words; its sources come from a stream inwards (``STREAM``), or from what an ALU was issued
``alu_latency`` cycles before (``ALU``); ``stream`` is the outward stream that takes the result, or -1.
``install``: a word's four vectors become rows ``row``, ``row + 8``, ``row + 16``, ``row + 24`` of a plane's buffer.
``matmul``: byte ``byte`` of a word is multiplied by a buffer's rows; the products' sums go into an accumulator, or are
added to it unless it ``begins``. ``drain``: an accumulator's sums go onto a stream inwards.
``send``: an outward stream's word, in the cycle in which the MXM could take it, begins to leave on one of the chip's
links, which is taken for ``link_cycles``. ``receive``: a word that has come whole on a link goes to memory.
"""

NOTHING, STREAM, ALU = 0, 1, 2
"""Where an ALU's operand comes from."""

OPERANDS: Final = {
    "shift": 1, "mask": 1, "or": 2, "shift_right": 1, "add": 2, "to_float": 1, "multiply": 2, "add_float": 2, "keep": 1,
}  # fmt: skip
"""How many words each operation takes."""

IMMEDIATES: Final = {"shift": (-31, 31), "mask": (0, 255), "shift_right": (0, 31)}
"""The least and the largest immediate of each operation; 0 for the others."""

OPERATIONS: Final = ("shift", "mask", "or", "shift_right", "add", "to_float", "multiply", "add_float", "keep")
"""What an ALU does. ``shift``: the 32 bits by ``immediate``, to the left or (negative) to the right, zeros moving in.
``mask``: each byte and ``immediate``. ``shift_right``: int32, arithmetic. ``to_float``, ``multiply``, ``add_float``:
float32, each rounded once. ``keep``: its operand as it is."""


@dataclass(frozen=True)
class Program:
    """The instructions of a chip, or of several that are joined."""

    read: Records
    write: Records
    alu: Records
    install: Records
    matmul: Records
    drain: Records
    send: Records
    receive: Records

    @property
    def size(self) -> int:
        """Number of instructions."""
        return sum(len(getattr(self, kind.name)) for kind in fields(self))

    def kinds(self) -> dict[str, Records]:
        """Return the instructions by kind."""
        return {kind.name: getattr(self, kind.name) for kind in fields(self)}


def joined(*programs: Program) -> Program:
    """Return the instructions of several programs as one."""
    whole = {}
    for kind in COLUMNS:
        records = np.concatenate([getattr(program, kind) for program in programs])
        whole[kind] = records[np.argsort(records["cycle"], kind="stable")]
    return Program(**whole)


class Writer:
    """Collects instructions, many at a time."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Records]] = {kind: [] for kind in COLUMNS}

    def add(self, kind: str, **columns: Any) -> None:
        """Add instructions; columns are broadcast against each other."""
        names = COLUMNS[kind]
        if set(columns) != set(names):
            raise TypeError(f"{kind}: expected the columns {', '.join(names)}, got {', '.join(columns)}")
        arrays = np.broadcast_arrays(*(np.asarray(columns[name], np.int64) for name in names))
        made = np.empty(arrays[0].size, [(name, np.int64) for name in names])
        for name, array in zip(names, arrays, strict=True):
            made[name] = array.ravel()
        self._parts[kind].append(made)

    def program(self) -> Program:
        """Return the instructions, each kind in the order of its cycles."""
        whole = {}
        for kind, parts in self._parts.items():
            empty = np.empty(0, [(name, np.int64) for name in COLUMNS[kind]])
            records = np.concatenate(parts) if parts else empty
            whole[kind] = records[np.argsort(records["cycle"], kind="stable")]
        return Program(**whole)
