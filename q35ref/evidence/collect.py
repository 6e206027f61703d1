"""Everything that the tables and figures show, measured or calculated once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from q35ref.backends import fastest
from q35ref.demo import trained_weights
from q35ref.evidence import audits, audits_accuracy  # noqa: F401  # they register the auditors
from q35ref.evidence.claims import Audit, audit, load
from q35ref.evidence.formats import GROUPS, own_formats, peers
from q35ref.evidence.minilm import BATCH, Encoder, Tokenizer
from q35ref.evidence.model import ModelEvidence, measure_model
from q35ref.evidence.quality import QualityRow, measured, normal, trained
from q35ref.evidence.sentences import measured_sentences
from q35ref.lpu.cluster import Deployment, smallest
from q35ref.lpu.layer import NODE, STORAGES
from q35ref.lpu.machine import TSP_V1
from q35ref.lpu.models import MODELS
from q35ref.tensor import quantize

HISTOGRAM: Final = 61
"""Bins of an activation histogram."""

REACH: Final = 6.0
"""Standard deviations that a histogram shows on either side."""

GEMV: Final = (8192, 4096)
"""Rows and columns of the product that is timed."""

Progress = Callable[[str, int, int], None]
"""Told what is done, how much of it, and of how much."""


@dataclass(frozen=True)
class Histogram:
    """How the inputs of a layer's first product are spread."""

    layer: str
    edges: NDArray[Any]
    """In standard deviations."""
    share: NDArray[Any]
    """Part of all numbers in each bin."""
    beyond: float
    """Part of them that lies outside."""


@dataclass(frozen=True)
class Timed:
    """One product of a row of activations by the packed weights."""

    at: float
    """Seconds since the first."""
    seconds: float
    gigabytes: float
    """Codes read, in 1e9 bytes a second."""


@dataclass(frozen=True)
class Evidence:
    """What was found."""

    quality: tuple[QualityRow, ...]
    model: ModelEvidence
    audits: tuple[Audit, ...]
    deployments: dict[tuple[str, str], Deployment]
    """By model and format, for one user."""
    histograms: tuple[Histogram, ...]
    gemv: tuple[Timed, ...]
    backend: str
    """What multiplied in them: the native kernel, or NumPy where it was not built."""
    missing: tuple[str, ...]
    """What was not there, and why."""


def collect(seed: int = 1, *, quick: bool = False, progress: Progress = lambda name, done, whole: None) -> Evidence:
    """Measure, simulate and calculate everything. Errors: NoWeights, NoTokenizer, before anything takes time."""
    Tokenizer()
    trained_weights()
    rows, lacking = _quality(seed, quick, progress)
    model = measure_model(quick=quick, progress=lambda done, whole, name: progress(name, done, whole))
    known = load()
    audited = []
    for number, claim in enumerate(known.values()):
        progress(f"claim {claim.id}", number, len(known))
        audited.append(audit(claim, seed))
    progress("models over chips", 0, 1)
    deployments = {
        (found.name, storage.name): smallest(found, storage, TSP_V1, NODE)
        for found in MODELS.values()
        for storage in STORAGES.values()
    }
    progress("activation histograms", 0, 1)
    histograms = _histograms(24 if quick else 96)
    progress("native GEMV", 0, 1)
    timed = _timed(seed, 2.0 if quick else 10.0)
    missing = tuple(dict.fromkeys([*([lacking] if lacking else []), *model.missing]))
    return Evidence(rows, model, tuple(audited), deployments, histograms, timed, fastest().name, missing)


def _quality(seed: int, quick: bool, progress: Progress) -> tuple[tuple[QualityRow, ...], str]:
    groups = GROUPS[:2] if quick else GROUPS
    others, lacking = peers()
    formats = [*own_formats(groups), *others]
    matrices = [*normal(seed, 8 if quick else 32), *trained(trained_weights())]
    if quick:
        matrices = matrices[:4] + matrices[4::5]  # of every kind, for a layer has six
    rows = []
    for number, matrix in enumerate(matrices):
        progress(f"errors of {matrix.name}", number, len(matrices))
        rows += [measured(matrix, each) for each in formats]
    return tuple(rows), lacking


def _histograms(sentences: int) -> tuple[Histogram, ...]:
    """Return how the inputs of the query product of each encoder layer are spread, the model in float32."""
    encoder, tokenizer = Encoder.trained(), Tokenizer()
    tokens = tokenizer([sentence.text for sentence in measured_sentences(sentences)])
    products = encoder.linears()
    seen: dict[str, list[NDArray[Any]]] = {}

    def watched(name: str) -> Callable[[Any], Any]:
        def product(x: Any) -> Any:
            seen.setdefault(name, []).append(np.array(x))
            return products[name](x)

        return product

    names = [name for name in encoder.config.linear_names if name.endswith("query")]
    for start in range(0, len(tokens), BATCH):
        encoder.embed(tokens[start : start + BATCH], {name: watched(name) for name in names})
    return tuple(histogram(f"layer {number}", np.concatenate(seen[name])) for number, name in enumerate(names))


def histogram(layer: str, numbers: NDArray[Any]) -> Histogram:
    """Return how numbers are spread, in their standard deviations about their mean."""
    scaled = (numbers - numbers.mean()) / numbers.std()
    edges = np.linspace(-REACH, REACH, HISTOGRAM + 1)
    counts = np.histogram(scaled, edges)[0]
    return Histogram(layer, edges, counts / scaled.size, float((np.abs(scaled) > REACH).mean()))


def _timed(seed: int, seconds: float) -> tuple[Timed, ...]:
    """Return one product after the other by the fastest backend, for some seconds."""
    k, n = GEMV
    generator = np.random.default_rng(seed)
    made = quantize(generator.standard_normal((k, n), np.float32))
    a = generator.integers(-127, 128, (1, k), np.int8)
    backend = fastest()
    found: list[Timed] = []
    first = time.perf_counter()
    while not found or found[-1].at < seconds:
        begun = time.perf_counter()
        backend.matmul(a, made.packed, k, made.layout, 0, made.narrow_gain, made.scale, made.offset)
        taken = time.perf_counter() - begun
        found.append(Timed(begun - first, taken, made.packed.nbytes / taken / 1e9))
    return tuple(found)
