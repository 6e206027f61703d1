"""The figures: what was found, drawn; each title says what there is to see. Needs matplotlib, which is optional."""

import io
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

import numpy as np

from q35ref.evidence.collect import Evidence
from q35ref.evidence.quality import QualityRow
from q35ref.evidence.tables import METHODS
from q35ref.lpu.cluster import Deployment, weight_bytes
from q35ref.lpu.models import MODELS
from q35ref.lpu.picture import NoPicture
from q35ref.reference.codec import column_bytes

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
"""Colours that people who see few colours tell apart (Okabe and Ito)."""

SAVED: Final[Mapping[str, Mapping[str, Any]]] = {"svg": {"Date": None}, "png": {"Software": None}}
"""Nothing that differs from day to day goes into the files."""

PLAIN: Final = ("fp16", "int8", "int4", "dense")
"""Formats that bars stand for."""

LEAST_RANK: Final = 0.7
"""Rank agreement below which a picture shows no point: so poor settings are alike."""

DEVICES: Final = {"40 GB": 40, "80 GB": 80}
"""Memory of devices that lines are drawn for."""


def draw(evidence: Evidence) -> dict[str, Any]:
    """Return every figure by its name. Errors: NoPicture without matplotlib."""
    return {name: make(evidence) for name, make in FIGURES.items()}


def files(name: str, figure: Any) -> dict[str, bytes]:
    """Return a figure as SVG and as PNG, by the names of the files."""
    made = {}
    with import_module("matplotlib").rc_context({"svg.hashsalt": "q35ref", "svg.fonttype": "path"}):
        for suffix, metadata in SAVED.items():
            out = io.BytesIO()
            figure.savefig(out, format=suffix, metadata=dict(metadata), dpi=130)
            made[f"figures/{name}.{suffix}"] = out.getvalue()
    return made


def _figure(title: str, rows: int = 1, columns: int = 1, size: tuple[float, float] = (8, 5)) -> tuple[Any, Any]:
    try:
        module = import_module("matplotlib.figure")
    except ImportError as error:
        raise NoPicture("a picture needs matplotlib: pip install 'q35ref[evidence]'") from error
    figure = module.Figure(figsize=size, layout="constrained")
    figure.suptitle(title)
    return figure, figure.subplots(rows, columns)


def _llama(evidence: Evidence) -> dict[str, Deployment]:
    return {name: evidence.deployments["llama-2-70b", name] for name in PLAIN}


def layout(evidence: Evidence) -> Any:
    """Draw the bits of a 7-bit code, of the two INT4 codes beside it, and of a dense stream."""
    del evidence  # it is the format's
    saved = 1 - column_bytes(16, "dense") / 8
    figure, axes = _figure(f"A pair of weights in 7 bits: {saved:.1%} less than two of INT4", size=(9, 3.2))
    rows = (
        ("two INT4", [("q even", 4, 0), ("q odd", 4, 1)], 1),
        ("one code", [("narrow", 3, 1), ("wide", 4, 0)], 1),
        ("dense stream", [("narrow", 3, 1), ("wide", 4, 0)], 3),
    )
    for height, (_, fields, repeat) in enumerate(reversed(rows)):
        at = 0
        for name, width, colour in fields * repeat:
            axes.broken_barh([(at, width)], (height - 0.35, 0.7), color=COLOURS[colour], edgecolor="white")
            axes.text(at + width / 2, height, name, ha="center", va="center", color="white", fontsize=8)
            at += width
    axes.set_yticks(range(len(rows)), [label for label, _, _ in reversed(rows)])
    axes.set_xticks(range(0, 25, 8))
    axes.grid(axis="x", color="#999999", linewidth=0.6)
    axes.set_xlabel("bit, the lowest first; lines are bytes. wide: 4 bits, even row; narrow: 3 bits, odd row")
    return figure


def bars(evidence: Evidence) -> Any:
    """Draw memory, throughput, latency and power of Llama-2 70B by format, with what the drafts claim."""
    made = _llama(evidence)
    of_int4 = made["dense"].tokens_a_user / made["int4"].tokens_a_user
    held = [weight_bytes(made[name].model, made[name].storage) for name in ("dense", "int4")]
    figure, axes = _figure(
        f"Llama-2 70B on simulated LPUs: 3.5 bits take {held[0] / held[1]:.0%} of INT4's memory and decode at "
        f"{of_int4:.0%} of its speed for one user", 2, 2, (10, 7),
    )  # fmt: skip
    names = [METHODS[name] for name in made]
    parts = (
        ("weights, GB", [weight_bytes(each.model, each.storage) / 1e9 for each in made.values()], 19),
        ("tokens/s of one user", [each.tokens_a_user for each in made.values()], 4188),
        ("ms a token", [1e3 * each.latency for each in made.values()], 0.24),
        ("kW, all chips", [each.chips * each.machine.average_power / 1e3 for each in made.values()], 0.038),
    )
    for axis, (label, values, claimed) in zip(axes.flat, parts, strict=True):
        axis.bar(names, values, color=COLOURS[0])
        axis.axhline(claimed, color=COLOURS[1], linestyle="--", label=f"claimed for 3.5-bit: {claimed:g}")
        axis.set_title(label)
        axis.legend(fontsize=8)
        for place, value in enumerate(values):
            axis.text(place, value, f"{value:,.4g}", ha="center", va="bottom", fontsize=8)
        axis.margins(y=0.15)
    return figure


def accuracy(evidence: Evidence) -> Any:
    """Draw the rank agreement of embeddings against true bits a weight."""
    rows = [row for row in evidence.model.embeddings if row.setting.activations == "int8 dynamic"]
    best = max((row for row in rows if row.setting.weights == "4+3"), key=lambda row: row.agreement.spearman)
    figure, axes = _figure(
        f"MiniLM's embeddings: 4+3 at {float(best.bits_per_weight):.2f} bits a weight ({best.setting.method}) agree to "
        f"{best.agreement.spearman:.3f} in rank"
    )  # fmt: skip
    kinds = sorted({row.setting.weights for row in rows} - {"float32"})
    for number, kind in enumerate(kinds):
        own = [row for row in rows if row.setting.weights == kind]
        axes.scatter([float(row.bits_per_weight) for row in own], [row.agreement.spearman for row in own],
                     color=COLOURS[number], label=kind, marker="osD^vPX*"[number])  # fmt: skip
    (whole,) = [row for row in rows if row.setting.weights == "float32"]
    axes.axhline(whole.agreement.spearman, color="#555555", linestyle=":", label="float32 weights")
    below = sum(row.agreement.spearman < LEAST_RANK for row in rows)
    axes.set_ylim(LEAST_RANK, 1.005)
    axes.set_xlabel(f"true bits a weight ({below} settings lie below the picture)")
    axes.set_ylabel("Spearman of pairwise similarities, int8 activations")
    axes.legend(loc="lower right")
    return figure


def memory(evidence: Evidence) -> Any:
    """Draw the memory of models against their size."""
    most = max(DEVICES.values())
    fitting = [model.name for model in MODELS.values() if weight_bytes(model, evidence.deployments[
        model.name, "dense"].storage) / 1e9 < most]  # fmt: skip
    largest = [*MODELS.values()][-1]
    devices = -(-weight_bytes(largest, evidence.deployments[largest.name, "dense"].storage) // (most * 1e9))
    figure, axes = _figure(
        f"At 3.5 bits the weights of {fitting[-1]} fit {most} GB; {largest.name} takes {devices:.0f} such devices"
    )
    sizes = [model.weights / 1e9 for model in MODELS.values()]
    for number, name in enumerate(PLAIN):
        storage = evidence.deployments["llama-2-7b", name].storage
        held = [weight_bytes(model, storage) / 1e9 for model in MODELS.values()]
        axes.plot(sizes, held, "osD^"[number] + "-", color=COLOURS[number], label=METHODS[name])
    for label, gigabytes in DEVICES.items():
        axes.axhline(gigabytes, color="#555555", linestyle=":")
        axes.text(sizes[0], gigabytes, label, va="bottom")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [name.rpartition("-")[2] for name in MODELS])
    axes.minorticks_off()
    axes.set_xlabel("model")
    axes.set_ylabel("GB of weights and parameters")
    axes.legend()
    return figure


def _of(evidence: Evidence, data: str, name: str, group_size: int) -> list[QualityRow]:
    return [row for row in evidence.quality if (row.data, row.format, row.group_size) == (data, name, group_size)]


def layers(evidence: Evidence) -> Any:
    """Draw the error of each matrix of the trained model."""
    shown = (("INT4 clip", 128), ("q35 gain 2 minmax", 128), ("q35 gain 2 clip", 128), ("3-bit clip", 128))
    means = {pair: np.mean([row.normalized_rmse for row in _of(evidence, "MiniLM", *pair)]) for pair in shown}
    figure, axes = _figure(
        f"MiniLM, groups of 128, clipped: 4+3 is off by {means[shown[2]]:.1%}, INT4 by {means[shown[0]]:.1%}, "
        f"3 bits by {means[shown[3]]:.1%}", size=(11, 5),
    )  # fmt: skip
    for number, pair in enumerate(shown):
        own = _of(evidence, "MiniLM", *pair)
        label = f"{pair[0]}, {own[0].bits_per_weight:.2f} bits"
        axes.plot([row.normalized_rmse for row in own], "osD^"[number] + "-", color=COLOURS[number], label=label)
    rows = _of(evidence, "MiniLM", *shown[0])
    names = [row.matrix.removesuffix(".weight").replace("encoder.layer.", "") for row in rows]
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_ylabel("RMSE / standard deviation")
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


def _points(evidence: Evidence, data: str) -> list[tuple[str, float, float]]:
    """Return name, bits and error of each format below seven bits, means over the matrices."""
    found: dict[tuple[str, int], list[QualityRow]] = {}
    for row in evidence.quality:
        if row.data == data and row.bits_per_weight < 7:
            found.setdefault((row.format, row.group_size), []).append(row)
    return [
        (
            name,
            float(np.mean([row.bits_per_weight for row in rows])),
            float(np.mean([row.normalized_rmse for row in rows])),
        )
        for (name, _), rows in found.items()
    ]


def pareto(evidence: Evidence) -> Any:
    """Draw error against true bits, on normal and on trained weights."""
    points = {data: _points(evidence, data) for data in ("N(0,1)", "MiniLM")}
    best = {data: min((at for at in made if at[0].startswith("q35") and at[1] < 3.7), key=lambda at: at[2])
            for data, made in points.items()}  # fmt: skip
    figure, axes = _figure(
        "Rounding alone: below 3.7 bits this format is off by at least "
        + ", ".join(f"{error:.1%} on {data}" for data, (_, _, error) in best.items()), 1, 2, (11, 5),
    )  # fmt: skip
    for axis, (data, made) in zip(axes, points.items(), strict=True):
        kinds = {"q35 gain 2": 0, "q35 gain 1": 5, "INT4": 1, "3-bit": 2, "HQQ": 4, "Q": 3}
        for kind, colour in kinds.items():
            own = [at for at in made if at[0].startswith(kind)]
            if own:
                label = kind if kind != "Q" else "llama.cpp"
                axis.scatter([at[1] for at in own], [at[2] for at in own], color=COLOURS[colour], label=label)
        front = [at for at in made if not any(other[1] <= at[1] and other[2] < at[2] for other in made)]
        front.sort(key=lambda at: at[1])
        axis.step([at[1] for at in front], [at[2] for at in front], where="post", color="#999999",
                  linewidth=1, label="Pareto front")  # fmt: skip
        rates = np.linspace(3, 5.6, 50)
        axis.plot(rates, 2.0**-rates, color="#555555", linestyle=":", label="Shannon, N(0,1)")
        axis.set_title(data)
        axis.set_xlabel("true bits a weight")
        axis.set_ylim(0, 0.35)
        axis.legend(fontsize=8)
    axes[0].set_ylabel("RMSE / standard deviation")
    return figure


def throughput(evidence: Evidence) -> Any:
    """Draw tokens a second against the bits of codes."""
    shares = [evidence.deployments[model, "dense"].tokens_a_user / evidence.deployments[model, "int8"].tokens_a_user
              for model in MODELS]  # fmt: skip
    figure, axes = _figure(
        f"On simulated LPUs 3.5 bits decode at {min(shares):.0%} to {max(shares):.0%} of INT8's speed for one user"
    )
    for number, model in enumerate(MODELS):
        made = [evidence.deployments[model, name] for name in ("dense", "int4", "int8", "fp16")]
        axes.plot([each.storage.bits for each in made], [each.tokens_a_user for each in made],
                  "osD^"[number] + "-", color=COLOURS[number], label=model)  # fmt: skip
    axes.set_yscale("log")
    axes.set_xticks([3.5, 4, 8, 16], ["3.5", "4", "8", "16"])
    axes.set_xlabel("bits of a weight's code")
    axes.set_ylabel("tokens/s of one user (chips differ: see scalability.csv)")
    axes.legend()
    return figure


def power(evidence: Evidence) -> Any:
    """Draw power against tokens a second of one user."""
    made = _llama(evidence)
    least = min(made.values(), key=lambda each: each.joules)
    name = METHODS[least.storage.name]
    figure, axes = _figure(
        f"Llama-2 70B, one user: {name} takes the least energy a token, {least.joules:.0f} J (simulated)"
    )
    for number, each in enumerate(made.values()):
        kilowatts = each.chips * each.machine.average_power / 1e3
        axes.scatter([each.tokens_a_user], [kilowatts], color=COLOURS[number], s=70, marker="osD^"[number],
                     label=f"{METHODS[each.storage.name]}: {each.chips} chips, {each.joules:.0f} J")  # fmt: skip
    axes.set_xlabel("tokens/s of one user")
    axes.set_ylabel("kW, all chips at average power")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


def activations(evidence: Evidence) -> Any:
    """Draw how the inputs of each layer are spread."""
    worst = max(evidence.histograms, key=lambda each: each.beyond)
    edge = worst.edges[-1]
    figure, axes = _figure(
        f"Inputs of MiniLM's query products: up to {worst.beyond:.2%} lie beyond {edge:g} deviations ({worst.layer})"
    )
    for number, each in enumerate(evidence.histograms):
        middle = (each.edges[1:] + each.edges[:-1]) / 2
        axes.step(
            middle,
            np.where(each.share > 0, each.share, np.nan),
            where="mid",
            color=COLOURS[number % 8],
            label=each.layer,
        )
    axes.set_yscale("log")
    axes.set_xlabel("standard deviations from the mean")
    axes.set_ylabel("share of a bin")
    axes.legend()
    return figure


def bandwidth(evidence: Evidence) -> Any:
    """Draw the rate at which the fastest kernel here reads codes, over time."""
    rates = np.array([each.gigabytes for each in evidence.gemv])
    figure, axes = _figure(
        f"GEMV here ({evidence.backend}): {np.median(rates):.1f} GB/s of codes in the median, "
        f"{np.percentile(rates, 5):.1f} in the slowest twentieth"
    )  # fmt: skip
    axes.plot([each.at for each in evidence.gemv], rates, ".", markersize=2, color=COLOURS[0])
    axes.axhline(float(np.median(rates)), color=COLOURS[1], label="median")
    axes.set_xlabel("s")
    axes.set_ylabel("GB/s of packed codes")
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


FIGURES: Final[Mapping[str, Callable[[Evidence], Any]]] = {
    "layout": layout, "performance": bars, "accuracy": accuracy, "memory": memory, "rmse-by-layer": layers,
    "pareto": pareto, "throughput": throughput, "power": power, "activations": activations, "bandwidth": bandwidth,
}  # fmt: skip
"""Every figure by its name."""
