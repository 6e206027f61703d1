"""What quantization does to a real model: all-MiniLM-L6-v2's embeddings against those of float32.

Only the Linear layers of the encoder are quantized; embeddings tables, LayerNorm, softmax and GELU stay in float32. Two
figures: the cosine similarity of each sentence's embedding to float32's, and Spearman's rank correlation of the
similarities of all pairs of sentences, which is what a search by embeddings depends on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from q35ref.backends.numpy.float32 import Float64
from q35ref.backends.protocol import Float32
from q35ref.evidence.activations import Statistics, gather
from q35ref.evidence.grids import uniform
from q35ref.evidence.kquants import TYPES, NoPeer, k_quantize, require_peer
from q35ref.evidence.linears import packed_linear, restored_linear, static_scale
from q35ref.evidence.minilm import Encoder, Linear
from q35ref.evidence.outputs import Made, made_by, uniform_as_ours
from q35ref.reference.calibration import METHODS, Method
from q35ref.tensor import dequantize, quantize

CALIBRATION_SIZES: Final = (128, 512, 1024)
"""Sentences that static activation scales are measured on; policies are given the most."""

DYNAMIC: Final = "int8 dynamic"

UNIFORM: Final = {"uniform 3-bit": 3, "uniform 4-bit": 4}
"""Grids without lanes, and their bits."""

FEEDBACK: Final = "feedback"

FED_BACK: Final = {"uniform 3-bit": 128, "uniform 4-bit": 0}
"""Plain grids that are filled with feedback too, and their groups: bits a weight on either side of the lanes'."""

POLICIES_RUN: Final = ("clip, ordered", "weighted clip, ordered", "feedback", "feedback, ordered")
"""Policies whose embeddings are measured."""

QUICK_POLICY: Final = "feedback, ordered, one pass"
"""The one of a quick run: nearly the best, in a quarter of the time."""


@dataclass(frozen=True)
class Setting:
    """One way to quantize every Linear layer."""

    ablation: str
    """What it is made to be compared with: ``baseline``, ``calibration, group size``, ``gain``, ``activations``,
    ``grid``, ``policy`` or ``peer``."""
    weights: str
    """``float32``, ``4+3``, ``uniform 3-bit``, ``uniform 4-bit``, or a peer's name."""
    method: str = "none"
    """How parameters are chosen, or the policy's name."""
    group_size: int = 0
    narrow_gain: int = 0
    """0 where there is no narrow lane."""
    activations: str = DYNAMIC
    """``float32``, ``int8 dynamic`` or ``int8 static``."""
    calibration: int = 0
    """Sentences that anything was calibrated on."""


@dataclass(frozen=True)
class Agreement:
    """How near some embeddings are to others."""

    mean_cosine: float
    least_cosine: float
    spearman: float
    """Rank correlation of the similarities of all pairs."""


@dataclass(frozen=True)
class EmbeddingRow:
    """A setting and what came of it."""

    setting: Setting
    bits_per_weight: Fraction
    """True bits a weight of all Linear layers together: codes, parameters, stored order, padding."""
    sentences: int
    agreement: Agreement


def settings(calibration_sizes: Sequence[int], *, quick: bool = False, peers: bool = True) -> list[Setting]:
    """Return the settings, each of which differs in one thing from another one of its ablation, or of the first.

    A quick run has no groups of 64 and no whole columns but the format's own, and peers without importance matrices.
    """
    most = max(calibration_sizes)
    made = [Setting("baseline", "float32")]
    groups = (0, 128) if quick else (0, 128, 64)
    methods: tuple[Method, ...] = ("minmax", "clip", "symmetric")
    made += [Setting("calibration, group size", "4+3", method, group, 2) for group in groups for method in methods]
    gains = ((128, "minmax"),) if quick else tuple((group, method) for group in (0, 128) for method in methods[:2])
    made += [Setting("gain", "4+3", method, group, 1) for group, method in gains]
    made += [Setting("activations", "4+3", "clip", 128, 2, "int8 static", size) for size in calibration_sizes]
    made += [Setting("activations", "4+3", "clip", 128, 2, "float32")]
    for grid in UNIFORM:
        for group in (128,) if quick else (0, 128):
            made += [Setting("grid", grid, method, group) for method in methods]
    if not quick:
        made += [Setting("grid", grid, FEEDBACK, group, 0, DYNAMIC, most) for grid, group in FED_BACK.items()]
    names = (QUICK_POLICY,) if quick else POLICIES_RUN
    made += [Setting("policy", "4+3", name, 0, 2, DYNAMIC, most) for name in names]
    if peers:
        for kind in TYPES:
            weighted = Setting("peer", kind, "importance matrix", calibration=most)
            made += [Setting("peer", kind)] if quick else [Setting("peer", kind), weighted]
    return made


def agreement(embeddings: Float32, expected: Float32) -> Agreement:
    """Compare embeddings ``float32[S, D]`` of the same sentences, each of length 1. Errors: ValueError.

    >>> agreement(np.eye(3, dtype=np.float32)[[0, 1, 1]], np.eye(3, dtype=np.float32)[[0, 1, 1]])
    Agreement(mean_cosine=1.0, least_cosine=1.0, spearman=1.0)
    """
    if embeddings.shape != expected.shape or embeddings.ndim != 2 or len(embeddings) < 3:
        raise ValueError(f"embeddings: expected at least 3, of shape {expected.shape}, got {embeddings.shape}")
    one, other = embeddings.astype(np.float64), expected.astype(np.float64)
    cosines = (one * other).sum(axis=1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))
    pairs = np.triu_indices(len(one), 1)
    return Agreement(
        float(cosines.mean()), float(cosines.min()), spearman((one @ one.T)[pairs], (other @ other.T)[pairs])
    )


def spearman(one: Float64, other: Float64) -> float:
    """Return the correlation of the ranks of two lists; equal numbers share the mean of their ranks.

    Errors: ValueError for lists of different or no length, or of equal numbers only.

    >>> round(spearman(np.array([1.0, 2, 2, 9]), np.array([10.0, 30, 20, 40])), 4)
    0.9487
    """
    if one.shape != other.shape or one.ndim != 1 or len(one) < 2:
        raise ValueError(f"lists: expected equal lengths of at least 2, got {one.shape} and {other.shape}")
    first, second = (ranks - ranks.mean() for ranks in (_ranks(one), _ranks(other)))
    spread = float(np.sqrt((first @ first) * (second @ second)))
    if spread == 0:
        raise ValueError("lists: expected different numbers in each")
    return float(first @ second) / spread


def _ranks(numbers: Float64) -> Float64:
    _, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Float64 = (last - (counts - 1) / 2)[inverse.reshape(-1)]
    return ranks


def measure(
    encoder: Encoder,
    tokens: Sequence[Sequence[int]],
    calibration: Sequence[Sequence[int]],
    sizes: Sequence[int] = CALIBRATION_SIZES,
    *,
    quick: bool = False,
    statistics: Mapping[str, Statistics] | None = None,
    made: Made | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> tuple[list[EmbeddingRow], list[str]]:
    """Measure every setting on tokenized sentences; return the rows, and what is not there, and why.

    ``sizes`` are the numbers of calibration sentences, all of them first ones of ``calibration``. ``statistics``,
    of the largest number in float32, are gathered where they are not given; ``made`` keeps what policies make. Errors:
    ValueError for more calibration sentences than there are.
    """
    if not sizes or not 0 < max(sizes) <= len(calibration):
        raise ValueError(f"sizes: expected 1 to {len(calibration)} sentences, got {list(sizes)}")
    missing = []
    try:
        require_peer()
    except NoPeer as error:
        missing.append(str(error))
    chosen = settings(sizes, quick=quick, peers=not missing)
    most = max(sizes)
    known: dict[int, Mapping[str, Statistics]] = {
        size: gather(encoder, calibration[:size], moments=False) for size in sizes if size != most
    }
    known[most] = gather(encoder, calibration[:most]) if statistics is None else statistics
    kept: Made = {} if made is None else made
    expected = encoder.embed(tokens)
    rows = []
    for done, setting in enumerate(chosen):
        progress(done, len(chosen), f"{setting.weights}, {setting.method}, {setting.activations}")
        linears, bits = _plug(encoder, setting, known, kept)
        rows.append(EmbeddingRow(setting, bits, len(tokens), agreement(encoder.embed(tokens, linears), expected)))
    progress(len(chosen), len(chosen), "")
    return rows, missing


def _plug(
    encoder: Encoder, setting: Setting, known: Mapping[int, Mapping[str, Statistics]], made: Made
) -> tuple[dict[str, Linear], Fraction]:
    """Return every Linear layer's product under a setting, and the true bits a weight of all of them."""
    linears, bits, weights = {}, Fraction(0), 0
    for name in encoder.config.linear_names:
        matrix = encoder.weights(name)
        statistics = known[setting.calibration][name] if setting.calibration else None
        if setting.ablation == "policy":
            assert statistics is not None, "a policy's setting says how many sentences it is calibrated on"
            ordered = made_by(setting.method, name, matrix, statistics, made)
            linears[name], each = ordered.linear(), ordered.bits_per_weight
        else:
            linears[name], each = _plug_one(matrix, setting, statistics)
        bits, weights = bits + each * matrix.size, weights + matrix.size
    return linears, bits / weights


def _plug_one(matrix: Float32, setting: Setting, statistics: Statistics | None) -> tuple[Linear, Fraction]:
    if setting.weights == "float32":
        return restored_linear(matrix), Fraction(32)
    if setting.weights in TYPES:
        peer = k_quantize(matrix, setting.weights, None if statistics is None else statistics.mean_square)
        return restored_linear(peer.weights), peer.bits_per_weight
    if setting.method == FEEDBACK:
        assert statistics is not None, "its setting says how many sentences it is calibrated on"
        fed = uniform_as_ours(matrix, statistics, UNIFORM[setting.weights], setting.group_size)
        return restored_linear(fed.weights), fed.bits_per_weight
    method, group = _method(setting.method), setting.group_size
    if setting.weights in UNIFORM:
        restored = uniform(matrix, UNIFORM[setting.weights], group, method)
        return restored_linear(restored.weights), restored.bits_per_weight
    qt = quantize(matrix, group_size=group, narrow_gain=setting.narrow_gain, method=method)
    if setting.activations == "float32":
        weights = dequantize(qt)
        return (lambda x: x @ weights), qt.bits_per_weight
    return packed_linear(qt, None if statistics is None else static_scale(statistics.absmax)), qt.bits_per_weight


def _method(name: str) -> Method:
    for method in METHODS:
        if method == name:
            return method
    raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {name!r}")
