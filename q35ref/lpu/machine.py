"""The machine: every figure of it, with its unit and where it comes from.

ISCA20: Abts et al., *Think Fast: A Tensor Streaming Processor (TSP) for Accelerating Deep Learning Workloads*,
DOI 10.1109/ISCA45697.2020.00023. ISCA22: Abts et al., *A Software-defined Tensor Streaming Multiprocessor for
Large-scale Machine Learning*, DOI 10.1145/3470496.3527405. Where a figure is not published it is an assumption, and
its docstring says so.

Two hemispheres lie on either side of the vector unit (VXM), each with memory (MEM) and matrix planes (MXM). A
*vector* is one byte for each lane; a *word* is four vectors, that is 32 bits a lane, what an ALU takes at once. Streams
carry words inwards, to the VXM, and outwards, to the MXM.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Final

WORD: Final = 4
"""Bytes of a lane in a word: the ALUs are 32 bits wide (ISCA20 section III)."""


@dataclass(frozen=True)
class Machine:
    """A deterministic streaming processor. Every size is a count a hemisphere unless it says otherwise."""

    name: str
    clock: float = 900e6
    """Hz, nominal (ISCA20, which computes with 1 GHz; press: 1.25 GHz)."""
    lanes: int = 320
    """Columns that are worked on at once: 20 superlanes of 16 lanes (ISCA20 section II)."""
    rows: int = 320
    """Rows of a plane: the products that are summed for each lane at once (ISCA20 section III)."""
    hemispheres: int = 2
    """Of the chip (ISCA20 section II); of all chips together where several work on one matmul."""
    chips: int = 1
    """Chips that work on one matmul, each linked to each other."""
    planes: int = 2
    """Matrix planes, four a chip (ISCA20 section III): one for the even rows of weights, one for the odd ones."""
    install_words: int = 2
    """Words that a plane can be given a cycle. Two, that is 8 rows of 320 bytes, fill the chip's planes with 409 600
    weights in 40 cycles; ISCA20 says "less than 40"."""
    alus: int = 8
    """ALUs of each lane, of 16 a lane of the chip (ISCA20 section III)."""
    streams: int = 8
    """Words that travel in each direction a cycle: 32 streams of bytes each way (ISCA20 Eq. 1)."""
    quads: int = 22
    """Groups of four banks, each giving or taking a word a cycle: 44 slices of two banks (ISCA20 section II-B)."""
    addresses: int = 4096
    """Words that a quad holds: 2.5 MiB a slice (ISCA20 section II-B) are 8192 vectors of 320 bytes in two banks."""
    accumulators: int = 4096
    """int32 vectors that a plane can accumulate into (its ACC instruction: ISCA20 Table I). Assumption: the size is
    not published."""
    memory_latency: int = 10
    """Cycles from the issue of a read to the word at the unit that takes it, and from a unit to memory. Assumption, of
    the size of ISCA20 Eq. 4 less the skew of 20 tiles, which all instructions share."""
    alu_latency: int = 4
    """Cycles from the issue of an ALU's instruction to its result at another ALU. Assumption."""
    transit: int = 10
    """Cycles from the VXM to the MXM. Assumption."""
    matrix_latency: int = 32
    """Cycles from an activation vector at a plane to the accumulator that has its products: 320 rows in steps of the
    supercell's 16, and the skew. Assumption."""
    drain_latency: int = 10
    """Cycles from the issue of reading an accumulator to the word at the VXM. Assumption."""
    links: int = 16
    """Links of a chip to others (ISCA20 section II). Assumption: all serve the chips of one matmul, as many each."""
    link_rate: float = 14e9
    """Bytes a second of a link each way, as deployed (ISCA22)."""
    hop: int = 216
    """Cycles of a hop between chips (ISCA22: 0.24 microseconds)."""
    average_power: float = 185.0
    """Watts of a chip, on average (the maker's card brief, by secondary sources)."""
    peak_power: float = 300.0
    """Watts of a chip, at most (the same)."""

    def __post_init__(self) -> None:
        """Demand sizes that programs can be written for. Errors: ValueError."""
        for name, least in LEAST.items():
            value = getattr(self, name)
            whole = not isinstance(getattr(type(self), name), float)
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                raise TypeError(f"{name}: expected {'an integer' if whole else 'a number'}, got {value!r}")
            if not (math.isfinite(value) and value >= least):
                raise ValueError(f"{name}: expected at least {least}, and finite, got {value}")
        if self.planes != 2:
            raise ValueError(f"planes: expected 2, one for each lane of the format, got {self.planes}")
        if self.install_words > 2:
            raise ValueError(f"install_words: expected 1 or 2, the streams that a plane has, got {self.install_words}")
        if self.rows % 32:
            raise ValueError(f"rows: expected a multiple of 32, got {self.rows}")
        if self.rows > MOST_ROWS:
            raise ValueError(f"rows: expected at most {MOST_ROWS}, got {self.rows}")
        if self.rows > self.lanes:
            raise ValueError(f"rows: expected at most {self.lanes}, the lanes of an activation vector, got {self.rows}")
        if self.hemispheres % self.chips:
            raise ValueError(f"hemispheres: expected a multiple of {self.chips} chips, got {self.hemispheres}")
        if self.chips > self.links + 1:
            raise ValueError(f"chips: expected at most {self.links + 1}, each linked to each other, got {self.chips}")

    def joined(self, chips: int) -> "Machine":
        """Return so many of these chips as one machine: a column tile is worked on by one hemisphere of one of them.

        >>> TSP_V1.joined(8).hemispheres
        16
        """
        if self.chips != 1:
            raise ValueError(f"chips: expected one to join with others, got {self.chips}")
        if chips == 1:
            return self
        return replace(self, name=f"{chips} x {self.name}", chips=chips, hemispheres=chips * self.hemispheres)

    @property
    def sides(self) -> int:
        """Hemispheres of one chip."""
        return self.hemispheres // self.chips

    @property
    def word_bytes(self) -> int:
        """Bytes of a word over all lanes."""
        return WORD * self.lanes

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory of a chip."""
        return self.sides * self.quads * self.addresses * self.word_bytes

    @property
    def link_cycles(self) -> int:
        """Cycles in which a word leaves on a link."""
        return math.ceil(self.word_bytes * self.clock / self.link_rate)

    @property
    def lines(self) -> int:
        """Links from each chip to each other, so many that words on all of them can be told apart by their cycle."""
        return max(1, min(self.links // (self.chips - 1), self.link_cycles // self.chips)) if self.chips > 1 else 0

    def link(self, chip: Any, peer: Any, line: Any) -> Any:
        """Return the link of a chip that is its ``line``-th to another chip.

        >>> [TSP_V1.joined(8).link(3, peer, 0) for peer in (4, 5, 2)]
        [0, 2, 12]
        """
        return (peer - chip - 1) % self.chips * self.lines + line

    def far_end(self, chip: Any, link: Any) -> tuple[Any, Any]:
        """Return the chip at the other end of a link, and the link's number there.

        >>> TSP_V1.joined(8).far_end(3, 13)
        (2, 1)
        """
        peer = (chip + 1 + link // self.lines) % self.chips
        return peer, self.link(peer, chip, link % self.lines)

    @property
    def install_rate(self) -> int:
        """Bytes of weights a cycle that a chip's planes can be given."""
        return self.sides * self.planes * self.install_words * self.word_bytes

    @property
    def peak_operations(self) -> float:
        """int8 multiplications and additions a second of a chip."""
        return 2 * self.sides * self.planes * self.rows * self.lanes * self.clock


MOST_ROWS: Final = 4096
"""Rows of a plane: int32 accumulators must have room for a tile's products."""

LEAST: Final = {
    "clock": 1, "lanes": 1, "rows": 32, "hemispheres": 1, "chips": 1, "install_words": 1, "alus": 8, "streams": 8,
    "quads": 22, "addresses": 2, "accumulators": 2, "memory_latency": 1, "alu_latency": 1, "transit": 0,
    "matrix_latency": 1, "drain_latency": 1, "links": 0, "link_rate": 1, "hop": 0, "average_power": 0, "peak_power": 0,
}  # fmt: skip
"""The least that each figure can be: the epilogue takes 8 ALUs, and what a program keeps lies in 22 quads."""

TSP_V1: Final = Machine("tsp-v1")
"""The first chip, as the sources describe it."""

MACHINES: Final = {machine.name: machine for machine in (TSP_V1,)}
"""By name."""
