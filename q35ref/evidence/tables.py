"""The drafts' tables, with the drafts' columns, each row with where it comes from; and those of what was measured here.

``provenance`` is ``measured`` (run here), ``simulated`` (cycles of the streaming processor), ``calculated``,
``published`` (by others, or to be read where it stands), or ``claimed`` (by the drafts; nothing here shows it).
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from q35ref.evidence.collect import Evidence
from q35ref.evidence.quality import QualityRow
from q35ref.evidence.theory import best_uniform, error_of, lanes, lloyd_max, shannon
from q35ref.lpu.cluster import weight_bytes

PROVENANCES: Final = ("measured", "simulated", "calculated", "published", "claimed")

METHODS: Final = {"fp16": "FP16", "int8": "INT8", "int4": "INT4", "byte": "3.5-bit, a byte a code", "dense": "3.5-bit"}
"""Names of formats in the drafts' tables."""

DRAFTS: Final = "paper drafts"

LPU: Final = "q35ref lpu (docs/lpu.md): speed simulated, memory calculated, power the published average of a chip"

GIBIBYTE: Final = 2**30 / 1e9
"""The other draft's "GB", in 1e9 bytes."""

Row = Mapping[str, Any]

CLAIMED: Final[tuple[Row, ...]] = (
    {"method": "3.5-bit", "memory_gb": 19, "throughput_toks": 4188, "latency_ms": 0.24, "power_w": 38},
    {"method": "INT4", "throughput_toks": 3124, "latency_ms": 0.32, "power_w": 41},
    {"method": "INT8", "throughput_toks": 2850, "power_w": 52},
)
"""For Llama-2 70B on one chip."""

CLAIMED_ELSEWHERE: Final = {"3.5-bit": 32.6, "INT4": 34.6, "INT8": 65.2, "FP16": 130.4}
"""Memory in another draft, in 2**30 bytes, with parameters of groups of 128."""

TASKS: Final[tuple[Row, ...]] = (
    {"method": "FP16", "mmlu": 69.8, "humaneval": 45.7, "truthfulqa": 62.3},
    {"method": "INT8", "mmlu": 69.2, "humaneval": 44.9, "truthfulqa": 61.8},
    {"method": "INT4", "mmlu": 68.5, "humaneval": 43.5, "truthfulqa": 60.9},
    {"method": "3.5-bit", "mmlu": 68.6, "humaneval": 44.2, "truthfulqa": 61.5},
)

COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "performance": ("method", "memory_gb", "throughput_toks", "latency_ms", "power_w", "hardware"),
    "accuracy": ("method", "mmlu", "humaneval", "truthfulqa"),
    "scalability": ("model", "method", "memory_gb", "hardware", "throughput_toks"),
    "ablation": ("ablation", "setting", "bits_per_weight", "metric", "value"),
    "quality": (
        "data", "matrix", "k", "n", "format", "group_size", "bits_per_weight", "normalized_rmse", "worst_ratio",
    ),
    "outputs": (
        "policy", "matrices", "bits_per_weight", "nominal_bits", "output_error", "normalized_rmse",
        "better_than_q3_k", "better_than_weighted_q3_k",
    ),
    "outputs_by_matrix": (
        "matrix", "k", "n", "policy", "bits_per_weight", "nominal_bits", "output_error", "normalized_rmse",
    ),
    "theory": ("quantizer", "bits_per_weight", "normalized_rmse"),
    "claims": ("claim", "says", "verdict", "value", "unit", "found"),
}  # fmt: skip
"""Columns of each table, before ``provenance`` and ``source``."""


def tables(evidence: Evidence) -> dict[str, list[Row]]:
    """Return every table's rows by its name."""
    made: dict[str, list[Row]] = {
        "performance": [*_performance(evidence)],
        "accuracy": [{**row, "provenance": "claimed", "source": DRAFTS} for row in TASKS],
        "scalability": [*_scalability(evidence)],
        "ablation": [*_ablation_of_errors(evidence), *_ablation(evidence)],
        "quality": [*_quality(evidence)],
        "outputs": [*_outputs(evidence)],
        "outputs_by_matrix": [*_outputs_by_matrix(evidence)],
        "theory": [*_theory()],
        "claims": [*_claims(evidence)],
    }
    require_sources(made)
    return made


def require_sources(made: Mapping[str, Sequence[Row]]) -> None:
    """Refuse rows that do not say where they are from with a ValueError."""
    for name, rows in made.items():
        for row in rows:
            if row["provenance"] not in PROVENANCES or not row["source"]:
                raise ValueError(f"{name}: expected a provenance and a source, got {row}")


def text(name: str, rows: Sequence[Row]) -> str:
    """Return a table as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [*COLUMNS[name], "provenance", "source"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else value


def _performance(evidence: Evidence) -> Iterator[Row]:
    for (model, storage), made in evidence.deployments.items():
        if model == "llama-2-70b":
            yield {
                "method": METHODS[storage], "memory_gb": weight_bytes(made.model, made.storage) / 1e9,
                "throughput_toks": made.tokens_a_user, "latency_ms": 1e3 * made.latency,
                "power_w": made.chips * made.machine.average_power, "hardware": f"{made.chips} chips",
                "provenance": "simulated", "source": LPU,
            }  # fmt: skip
    for row in CLAIMED:
        yield {**row, "hardware": "1 chip", "provenance": "claimed", "source": DRAFTS}
    for method, gibibytes in CLAIMED_ELSEWHERE.items():
        yield {
            "method": method, "memory_gb": gibibytes * GIBIBYTE, "provenance": "claimed",
            "source": f"another draft: {gibibytes} of 2^30 bytes, groups of 128",
        }  # fmt: skip


def _scalability(evidence: Evidence) -> Iterator[Row]:
    for (model, storage), made in evidence.deployments.items():
        yield {
            "model": model, "method": METHODS[storage], "memory_gb": weight_bytes(made.model, made.storage) / 1e9,
            "hardware": f"{made.chips} chips, {made.split} a layer", "throughput_toks": made.tokens_a_user,
            "provenance": "simulated", "source": LPU,
        }  # fmt: skip
    for model, memory, hardware, tokens in (
        ("llama-2-70b", 19, "1 chip", 4188),
        ("llama-3.1-405b", 107, "CS-4", 3500),
        ("llama-3.1-405b", 107, "2 x H100", 1740),
    ):
        yield {
            "model": model, "method": "3.5-bit", "memory_gb": memory, "hardware": hardware,
            "throughput_toks": tokens, "provenance": "claimed", "source": DRAFTS,
        }  # fmt: skip


ABLATED: Final[Mapping[str, Sequence[str]]] = {
    "zero-point": ("INT4 symmetric", "INT4 asymmetric", "q35 gain 2 symmetric", "q35 gain 2 minmax"),
    "grid": ("3-bit asymmetric", "q35 gain 2 minmax", "INT4 asymmetric"),
    "grid, clipped": ("3-bit clip", "q35 gain 2 clip", "INT4 clip"),
    "clip": ("q35 gain 2 minmax", "q35 gain 2 clip"),
    "gain": ("q35 gain 1 minmax", "q35 gain 2 minmax", "q35 gain 1 clip", "q35 gain 2 clip"),
}
"""Formats that differ in one thing, by what it is."""


def _ablation_of_errors(evidence: Evidence) -> Iterator[Row]:
    """Yield the mean errors of formats that differ in one thing, on each kind of weights."""
    rows: dict[tuple[str, str, int], list[QualityRow]] = {}
    for row in evidence.quality:
        rows.setdefault((row.data, row.format, row.group_size), []).append(row)
    for ablation, names in ABLATED.items():
        for (data, name, group_size), own in rows.items():
            if name in names:
                weights = sum(row.k * row.n for row in own)
                yield {
                    "ablation": ablation,
                    "setting": f"{name}, {f'groups of {group_size}' if group_size else 'whole columns'}",
                    "bits_per_weight": sum(row.bits_per_weight * row.k * row.n for row in own) / weights,
                    "metric": f"normalized RMSE of weights, {data}",
                    "value": sum(row.normalized_rmse for row in own) / len(own),
                    "provenance": "measured", "source": f"mean over {len(own)} matrices of quality.csv",
                }  # fmt: skip


def _ablation(evidence: Evidence) -> Iterator[Row]:
    for row in evidence.model.embeddings:
        setting = row.setting
        parts = [setting.weights, setting.method if setting.method != "none" else ""]
        if setting.weights.startswith(("4+3", "uniform")):
            parts += [f"groups of {setting.group_size}" if setting.group_size else "whole columns"]
        parts += [f"gain {setting.narrow_gain}" if setting.narrow_gain else "", setting.activations]
        parts += [f"{setting.calibration} calibration sentences" if setting.calibration else ""]
        about = {
            "ablation": setting.ablation, "setting": ", ".join(filter(None, parts)),
            "bits_per_weight": float(row.bits_per_weight), "provenance": "measured",
            "source": f"MiniLM, {row.sentences} sentences",
        }  # fmt: skip
        yield {**about, "metric": "mean cosine to float32", "value": row.agreement.mean_cosine}
        yield {**about, "metric": "Spearman of similarities", "value": row.agreement.spearman}


def _quality(evidence: Evidence) -> Iterator[Row]:
    for row in evidence.quality:
        source = f"{row.n} columns drawn" if row.data == "N(0,1)" else "all-MiniLM-L6-v2"
        yield {**vars(row), "provenance": "measured", "source": source}


def _outputs(evidence: Evidence) -> Iterator[Row]:
    for row in evidence.model.summaries:
        numbers = {"bits_per_weight": float(row.bits_per_weight), "nominal_bits": float(row.nominal_bits)}
        yield {**vars(row), **numbers, "provenance": "measured", "source": "MiniLM, held-out sentences"}


def _outputs_by_matrix(evidence: Evidence) -> Iterator[Row]:
    for row in evidence.model.outputs:
        numbers = {"bits_per_weight": float(row.bits_per_weight), "nominal_bits": float(row.nominal_bits)}
        yield {**vars(row), **numbers, "provenance": "measured", "source": "MiniLM, held-out sentences"}


def _theory() -> Iterator[Row]:
    best = {bits: error_of(lloyd_max(2**bits)) for bits in (3, 4)}
    even = {bits: best_uniform(2**bits)[1] for bits in (3, 4)}
    rows: list[tuple[str, float, float]] = [(f"Lloyd-Max, {bits} bits", bits, best[bits]) for bits in (3, 4)]
    rows += [(f"best uniform, {bits} bits", bits, even[bits]) for bits in (3, 4)]
    rows += [("Lloyd-Max in lanes of 4 and 3 bits", 3.5, lanes(best[4], best[3]))]
    rows += [("best uniform in lanes of 4 and 3 bits", 3.5, lanes(even[4], even[3]))]
    rows += [(f"Shannon's bound, {bits} bits", bits, shannon(bits)) for bits in (3, 3.5, 4)]
    for name, bits, error in rows:
        yield {"quantizer": name, "bits_per_weight": bits, "normalized_rmse": error, "provenance": "calculated",
               "source": "N(0,1)"}  # fmt: skip


def _claims(evidence: Evidence) -> Iterator[Row]:
    kinds = {"proved": "calculated", "read": "published", "none": "claimed"}
    for made in evidence.audits:
        kind = made.finding.kind
        yield {
            "claim": made.claim.id, "says": made.claim.says, "verdict": made.finding.verdict,
            "value": made.finding.value, "unit": made.claim.unit, "found": made.finding.says,
            "provenance": kinds.get(kind, kind), "source": made.command,
        }  # fmt: skip
