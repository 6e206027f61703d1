"""The machine: every figure of it, with its unit and where it comes from.

ISCA20: Abts et al., *Think Fast: A Tensor Streaming Processor (TSP) for Accelerating Deep Learning Workloads*,
DOI 10.1109/ISCA45697.2020.00023. ISCA22: Abts et al., *A Software-defined Tensor Streaming Multiprocessor for
Large-scale Machine Learning*, DOI 10.1145/3470496.3527405. Where a figure is not published it is an assumption, and
its docstring says so.

Two hemispheres lie on either side of the vector unit (VXM), each with memory (MEM) and matrix planes (MXM). A
*vector* is one byte for each lane; a *word* is four vectors, that is 32 bits a lane, what an ALU takes at once. Streams
carry words inwards, to the VXM, and outwards, to the MXM.
"""

from dataclasses import dataclass
from typing import Final

WORD: Final = 4
"""Bytes of a lane in a word: the ALUs are 32 bits wide (ISCA20 section III)."""


@dataclass(frozen=True)
class Machine:
    """A deterministic streaming processor. Every size is a count a hemisphere unless it says otherwise."""

    name: str
    clock: float = 900e6
    """Hz, nominal (ISCA20; it computes with 1 GHz, the press names 1.25 GHz)."""
    lanes: int = 320
    """Columns that are worked on at once: 20 superlanes of 16 lanes (ISCA20 section II)."""
    rows: int = 320
    """Rows of a plane: the products that are summed for each lane at once (ISCA20 section III)."""
    hemispheres: int = 2
    """Of the chip."""
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
    """Links to other chips, a chip (ISCA20 section II)."""
    link_rate: float = 14e9
    """Bytes a second of a link each way, as deployed (ISCA22)."""
    hop: int = 216
    """Cycles of a hop between chips (ISCA22: 0.24 microseconds)."""
    average_power: float = 185.0
    """Watts of a chip, average (card brief)."""
    peak_power: float = 300.0
    """Watts of a chip, at most (card brief)."""

    def __post_init__(self) -> None:
        """Demand sizes that programs can be written for."""
        if self.rows < 32 or self.rows % 32:
            raise ValueError(f"rows: expected a multiple of 32, got {self.rows}")
        if self.planes != 2:
            raise ValueError(f"planes: expected 2, one for each lane of the format, got {self.planes}")
        if self.streams < 8:
            raise ValueError(f"streams: expected at least 8 words, got {self.streams}")
        for name in ("lanes", "hemispheres", "install_words", "alus", "quads", "addresses", "accumulators"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")

    @property
    def word_bytes(self) -> int:
        """Bytes of a word over all lanes."""
        return WORD * self.lanes

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory of the chip."""
        return self.hemispheres * self.quads * self.addresses * self.word_bytes

    @property
    def peak_operations(self) -> float:
        """int8 multiplications and additions a second of the chip."""
        return 2 * self.hemispheres * self.planes * self.rows * self.lanes * self.clock


TSP_V1: Final = Machine("tsp-v1")
"""The first chip, as the sources describe it."""

MACHINES: Final = {machine.name: machine for machine in (TSP_V1,)}
"""By name."""
