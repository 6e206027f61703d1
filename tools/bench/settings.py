"""How large the matrices are and how often everything runs."""

from dataclasses import dataclass, field

from q35ref.backends.native.library import available_processors

MIB = 1 << 20
GIB = 1 << 30


def _threads() -> tuple[int, ...]:
    return (1, 2) if available_processors() > 1 else (1,)


@dataclass(frozen=True)
class Settings:
    """The sizes of one run; the defaults are those of a layer of a large language model."""

    k: int = 8192
    """Rows of every weight matrix, a multiple of 512: the peers' blocks have 256."""
    n: int = 28672
    """Columns where one row of activations is multiplied."""
    gemm_n: int = 4096
    """Columns where several are."""
    gemm_rows: tuple[int, ...] = (8, 64, 512)
    weights_n: tuple[int, ...] = (1024, 4096)
    """Columns where weights are quantized and restored: a size that the peers are known by, and a larger one."""
    distinct: int = 1024
    """Columns of random weights; larger matrices repeat them."""
    slow_share: int = 32
    """Contenders known to be slow are given one column in this many."""
    read_bytes: int = GIB
    """What the anchors read, at most; 128 KiB a thread at least."""
    copy_bytes: int = 256 * MIB
    multiply_iterations: int = 4_000_000
    growth_bytes: tuple[int, ...] = tuple(size * MIB for size in (1, 4, 16, 64, 256, 1024, 4096))
    """Bytes of codes in the runs that show how time grows."""
    least_sample: float = 0.02
    """Seconds that a sample of those runs lasts at least; short calls are repeated."""
    overhead_sizes: tuple[tuple[int, int], ...] = ((256, 256), (4096, 4096), (8192, 28672))
    """K and N of the calls through Python."""
    rounds: int = 15
    threads: tuple[int, ...] = field(default_factory=_threads)


SMALL = Settings(
    k=512,
    n=256,
    gemm_n=128,
    gemm_rows=(8,),
    weights_n=(128,),
    distinct=64,
    slow_share=4,
    read_bytes=16 * MIB,
    copy_bytes=MIB,
    multiply_iterations=1000,
    growth_bytes=(MIB // 4, MIB),
    least_sample=0.0,
    overhead_sizes=((256, 256),),
    rounds=2,
)
"""For trying the benchmark out: seconds, and no number of it means anything."""
