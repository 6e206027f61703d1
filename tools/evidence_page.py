"""``python -m tools.evidence_page``: ``docs/evidence.md`` from the tables of a whole run, kept in ``docs/evidence``.

python -m tools.evidence_page --from DIR   take the tables and PNG figures of ``q35ref evidence DIR``, write the page
python -m tools.evidence_page              write the page again
python -m tools.evidence_page --check      exit status 1 if the page is not what the tables say
"""

import csv
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from textwrap import fill
from typing import Any, Final

import click

from q35ref.atomic_folder import write_folder
from tools.generated import settle

DOCS: Final = Path(__file__).parents[1] / "docs"

PAGE: Final = DOCS / "evidence.md"

KEPT: Final = DOCS / "evidence"

Rows = Sequence[Mapping[str, str]]

FIGURES: Final = {
    "layout": "The code",
    "pareto": "Error against bits",
    "rmse-by-layer": "Error by layer",
    "accuracy": "A real model",
    "activations": "What goes into its layers",
    "performance": "Memory, speed, latency, power",
    "memory": "Memory by model",
    "throughput": "Speed by precision",
    "power": "Power and speed",
    "bandwidth": "The native kernel",
}
"""Figures in the page's order, with their headings."""


class Tables:
    """The tables of a run."""

    def __init__(self, folder: Path) -> None:
        self.about = json.loads((folder / "about.json").read_text())
        if self.about["quick"]:
            sys.exit(f"{folder}: a quick run; the page is made from a whole one")
        self.rows: dict[str, Rows] = {}
        for path in sorted(folder.glob("*.csv")):
            with path.open(newline="") as file:
                self.rows[path.stem] = list(csv.DictReader(file))

    def find(self, name: str, **wanted: str) -> Mapping[str, str]:
        """Return the one row of a table with these cells."""
        (row,) = [row for row in self.rows[name] if all(row[key] == value for key, value in wanted.items())]
        return row


def number(text: str, digits: str = ".4g") -> str:
    """Return a cell's number, shorter."""
    return format(float(text), digits) if text else ""


def percent(text: str) -> str:
    """Return a share as a percentage."""
    return f"{float(text):.2%}" if text else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, numbers to the right from the second column."""
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def groups(size: str) -> str:
    """Return a group size in words."""
    return f"groups of {size}" if int(size) else "whole columns"


RANKED: Final = (
    "4+3, feedback, ordered", "4+3, clip, whole columns, gain 2", "uniform 3-bit, clip, groups of 128",
    "uniform 4-bit, clip, whole columns", "uniform 3-bit, feedback, groups of 128",
    "uniform 4-bit, feedback, whole columns", "4+3, feedback, whole columns",
)  # fmt: skip
"""Settings whose rank agreement the summary tells."""


def summary(found: Tables) -> str:
    """Return what there is to know in five minutes."""
    dense, int4 = (found.find("performance", method=name, provenance="simulated") for name in ("3.5-bit", "INT4"))
    saved = 1 - float(dense["memory_gb"]) / float(int4["memory_gb"])
    speed = float(dense["throughput_toks"]) / float(int4["throughput_toks"])
    claimed = found.find("performance", method="3.5-bit", provenance="claimed", source="paper drafts")
    outputs = {row["policy"]: row for row in found.rows["outputs"]}
    best = outputs["feedback, ordered"]
    error = {name: number(row["output_error"], ".4f") for name, row in outputs.items()}
    ranks = {
        kind: f"{float(row['value']):.3f} at {float(row['bits_per_weight']):.2f} bits"
        for kind in RANKED
        for row in found.rows["ablation"]
        if row["setting"].startswith(kind) and row["metric"].startswith("Spearman") and "int8 dynamic" in row["setting"]
    }
    verdicts = Counter(row["verdict"] for row in found.rows["claims"])
    normal = {
        (name, size): f"{mean_of(found, 'N(0,1)', name, size, 'normalized_rmse'):.2%} at "
        f"{mean_of(found, 'N(0,1)', name, size, 'bits_per_weight'):.2f} bits"
        for name, size in {(row["format"], row["group_size"]) for row in found.rows["quality"]}
    }
    three = outputs["uniform 3-bit, feedback, groups of 128"]
    points = [
        f"""**Memory** (calculated, the weights of all layers and the head): Llama-2 70B takes
        {number(dense["memory_gb"])} GB with a float32 scale and offset a column, INT4 {number(int4["memory_gb"])} GB:
        {saved:.1%} less. The drafts claim {claimed["memory_gb"]} GB.""",
        f"""**Weights** (measured, N(0,1), rounding alone, ranges clipped in all of them): normalized RMSE
        {normal["q35 gain 2 clip", "0"]} a column, {normal["q35 gain 2 clip", "128"]} in groups of 128. Plain 3 bits
        have {normal["3-bit clip", "0"]} a column and {normal["3-bit clip", "128"]} in groups of 128, INT4
        {normal["INT4 clip", "0"]} and {normal["INT4 clip", "128"]}, llama.cpp's Q3_K {normal["Q3_K", "256"]}.""",
        f"""**Products** (measured, all {best["matrices"]} matrices of MiniLM, sentences that nothing was fitted to):
        with the channels in an order that puts the loud ones into the wide lane, and error feedback,
        {number(best["bits_per_weight"])} bits a weight, everything counted, have an output error of
        {error["feedback, ordered"]}. Q3_K has {error["Q3_K"]} ({error["Q3_K, importance matrix"]} with an importance
        matrix) at {number(outputs["Q3_K"]["nominal_bits"])} bits, padding to its blocks apart; the error is below
        Q3_K's on {best["better_than_q3_k"]} ({best["better_than_weighted_q3_k"]}) of the matrices. Q4_K has
        {error["Q4_K"]} at {number(outputs["Q4_K"]["nominal_bits"])} bits. Order and feedback are in Python
        (`q35ref.evidence.feedback.quantize_with_feedback`), for they need activations; `q35ref quantize` has none.""",
        f"""**Is it the lanes?** The same feedback on plain grids has {error["uniform 3-bit, feedback, groups of 128"]}
        with 3 bits in groups of 128 ({number(three["bits_per_weight"])} bits in all),
        {error["uniform 4-bit, feedback"]} with 4 bits and one scale a column
        ({number(outputs["uniform 4-bit, feedback"]["bits_per_weight"])} bits); in the lanes, channels not ordered, it
        has {error["feedback"]} at {number(outputs["feedback"]["bits_per_weight"])} bits.""",
        f"""**A model** (measured): Spearman's rank correlation of similarities with those of float32, at true bits a
        weight: with feedback {ranks["4+3, feedback, ordered"]} with channels ordered,
        {ranks["4+3, feedback, whole columns"]} without, {ranks["uniform 3-bit, feedback, groups of 128"]} on plain 3
        bits, {ranks["uniform 4-bit, feedback, whole columns"]} on plain 4; with clipping alone
        {ranks["4+3, clip, whole columns, gain 2"]}, {ranks["uniform 3-bit, clip, groups of 128"]} on plain 3 bits,
        {ranks["uniform 4-bit, clip, whole columns"]} on plain 4. One set of generated sentences: the third digit
        means little.""",
        f"""**Speed** (simulated, [`lpu.md`](lpu.md)): on Groq's first chip 3.5 bits decode at {speed:.0%} of INT4's
        speed for one user, {number(dense["throughput_toks"])} tokens/s on {dense["hardware"]}; the drafts claim
        {claimed["throughput_toks"]} on one.""",
        f"""**Claims**: {", ".join(f"{count} {name}" for name, count in verdicts.most_common())}; each with its command
        in [`claims.md`](claims.md).""",
    ]
    return "## In five minutes\n\n" + "".join(wrapped(point) for point in points)


def wrapped(point: str) -> str:
    """Return a point of a list in lines of even length."""
    return (
        fill(" ".join(point.split()), 120, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False) + "\n"
    )


def mean_of(found: Tables, data: str, name: str, group_size: str, column: str) -> float:
    """Return a column's mean over the matrices."""
    return fmean(
        float(row[column])
        for row in found.rows["quality"]
        if (row["data"], row["format"], row["group_size"]) == (data, name, group_size)
    )


def quality(found: Tables) -> str:
    """Return the table of weight errors, a mean over matrices for each format."""
    cells: dict[tuple[str, str], dict[str, Rows]] = defaultdict(dict)
    for row in found.rows["quality"]:
        of = cells[row["format"], row["group_size"]]
        of[row["data"]] = [*of.get(row["data"], []), row]
    lines = []
    for (name, size), by in cells.items():
        line = [name, groups(size)]
        for data in ("N(0,1)", "MiniLM"):
            rows = by[data]
            weights = sum(int(row["k"]) * int(row["n"]) for row in rows)
            bits = sum(float(row["bits_per_weight"]) * int(row["k"]) * int(row["n"]) for row in rows) / weights
            line += [f"{bits:.3f}"]
            line += [percent(str(fmean(float(row["normalized_rmse"]) for row in rows)))]
        ratios = [float(row["worst_ratio"]) for rows in by.values() for row in rows if row["worst_ratio"]]
        lines.append([*line, f"{max(ratios):.6f}" if ratios else ""])
    heads = ("format", "parameters", "bits, N(0,1)", "RMSE, N(0,1)", "bits, MiniLM", "RMSE, MiniLM", "worst / bound")
    theory = table(
        ("quantizer of N(0,1)", "bits", "RMSE"),
        ((row["quantizer"], row["bits_per_weight"], percent(row["normalized_rmse"])) for row in found.rows["theory"]),
    )
    return f"""## Errors of weights (measured)

Root of the mean squared error over the weights' standard deviation, a mean over the matrices: columns drawn of the
drafts' four shapes ({found.rows["quality"][0]["n"]} each, for columns are alike), and MiniLM's 36. Bits count codes,
scales and offsets as they are stored, float32 here, the peers' blocks with the padding that K = 384 costs them.
*worst / bound* is the largest error over the bound proven for this format (`proofs/`). Every matrix: `quality.csv`.

{table(heads, lines)}

What theory says of the same, calculated:

{theory}
"""


def outputs(found: Tables) -> str:
    """Return the table of output errors."""
    heads = ("policy", "bits a weight", "nominal", "output error", "RMSE", "below Q3_K", "below Q3_K weighted")
    rows = (
        (row["policy"], number(row["bits_per_weight"], ".3f"), number(row["nominal_bits"], ".3f"),
         number(row["output_error"], ".4f"), percent(row["normalized_rmse"]), row["better_than_q3_k"],
         row["better_than_weighted_q3_k"])
        for row in found.rows["outputs"]
    )  # fmt: skip
    return f"""## More out of the same format (measured)

The format stays; only which integers are stored changes. *Output error* is ‖XW − XŴ‖/‖XW‖ on sentences that no policy
has seen, a mean over MiniLM's 36 matrices; *below* counts the matrices. Bits count codes, float32 parameters and the
stored permutation; *nominal* is what a peer's makers store: no padding, for GPTQ and AWQ a float16 scale and an integer
zero a group. GPTQ (static groups, channels by importance) and AWQ (weights cut off in all layers) are our own code of
the published rules on a uniform grid, since gptqmodel 7.7.0 and AutoAWQ 0.2.9 have no BERT among their models;
*uniform, feedback* has the same start, damping and rounds as this format's, which were chosen for the lanes. Every
matrix: `outputs_by_matrix.csv`.

{table(heads, rows)}
"""


def ablation(found: Tables) -> str:
    """Return the ablations: of weights' errors, and of embeddings."""
    errors: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in found.rows["ablation"]:
        if row["metric"].startswith("normalized RMSE"):
            errors[row["ablation"], row["setting"]] += [number(row["bits_per_weight"], ".3f"), percent(row["value"])]
    settings: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
    for row in found.rows["ablation"]:
        if not row["metric"].startswith("normalized RMSE"):
            settings[row["ablation"], row["setting"], row["bits_per_weight"]][row["metric"]] = row["value"]
    first = ((name, setting, *cells) for (name, setting), cells in errors.items())
    second = (
        (name, setting, number(bits, ".3f"), *(number(value, ".4f") for value in values.values()))
        for (name, setting, bits), values in settings.items()
    )
    metrics = next(iter(settings.values()))
    return f"""## Ablations (measured)

{table(("what differs", "setting", "bits, N(0,1)", "RMSE, N(0,1)", "bits, MiniLM", "RMSE, MiniLM"), first)}

MiniLM's embeddings against float32's, {found.rows["ablation"][-1]["source"].rpartition(", ")[2]}, all Linear layers
quantized:

{table(("what differs", "setting", "bits", *metrics), second)}
"""


def performance(found: Tables) -> str:
    """Return the drafts' tables of speed."""
    heads = ("method", "GB", "tokens/s", "ms", "W", "hardware", "provenance")
    columns = ("memory_gb", "throughput_toks", "latency_ms", "power_w")
    rows = (
        (row["method"], *(number(row[column]) for column in columns), row["hardware"], row["provenance"])
        for row in found.rows["performance"]
    )
    scale = (
        (row["model"], row["method"], number(row["memory_gb"]), number(row["throughput_toks"]), row["hardware"],
         row["provenance"])
        for row in found.rows["scalability"]
    )  # fmt: skip
    return f"""## Performance and scalability of Llama (simulated; claimed)

Nothing of this is measured: no such chip is at hand. [`lpu.md`](lpu.md) says what the simulation is worth.

{table(heads, rows)}

{table(("model", "method", "GB", "tokens/s of one user", "hardware", "provenance"), scale)}

The drafts' scores on MMLU, HumanEval and TruthfulQA (`accuracy.csv`) are claimed only; [`lmeval.md`](lmeval.md) says
how to run them where the weights are.
"""


def figures(found: Tables) -> str:
    """Return the figures."""
    del found
    return "## Figures\n\n" + "\n".join(f"![{says}](evidence/figures/{name}.png)\n" for name, says in FIGURES.items())


def closing(found: Tables) -> str:
    """Return how it was made."""
    about = found.about
    missing = "".join(f"\n- Left out: {each}" for each in about["missing"])
    return f"""## How it was made

`q35ref evidence DIR` with q35ref {about["version"]}, seed {about["seed"]}, in {about["seconds"] / 60:.1f} minutes:
Python {about["python"]}, NumPy {about["numpy"]}, the {about["backend"]} backend, {about["processors"]} processors
({about["machine"]}). The rows of llama.cpp come from its own quantizer (`pip install 'q35ref[evidence,peers]'`).
Figures beside this page are PNG; the command writes SVG too. The tables are in [`evidence/`](evidence).{missing}
"""


SECTIONS: Final[Sequence[Callable[[Tables], str]]] = (
    summary, quality, outputs, ablation, performance, figures, closing,
)  # fmt: skip

HEAD: Final = """# The evidence

<!-- Generated by `python -m tools.evidence_page` from docs/evidence; do not edit. -->

What 3.5 bits a weight buy, by running code. *Measured* was run on the machine named at the end, *simulated* are cycles
of a streaming processor, *calculated* follows from a formula, *claimed* is what the drafts say and nothing here shows.
"""


def page(folder: Path) -> str:
    """Return the page."""
    found = Tables(folder)
    return "\n".join([HEAD, *(section(found) for section in SECTIONS)])


def take(source: Path) -> None:
    """Keep a run's tables and PNG figures."""
    Tables(source)
    paths = [source / "about.json", *source.glob("*.csv"), *source.glob("figures/*.png")]
    content: dict[str, Any] = {str(path.relative_to(source)): path.read_bytes() for path in paths}
    write_folder(KEPT, content, lambda folder: (folder / "about.json").exists())


@click.command()
@click.option("--from", "source", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A run's folder.")
@click.option("--check", is_flag=True, help="Only compare.")
def main(source: Path | None, check: bool) -> None:
    """Write docs/evidence.md, or compare it with what its tables say."""
    if source is not None and check:
        raise click.UsageError("--check: only compares; expected no --from")
    try:
        made = page(KEPT if source is None else source)
        if source is not None:
            take(source)
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(
            f"{source or KEPT}: expected the whole run of q35ref evidence, llama.cpp's formats included: {error!r}"
        )
    settle(PAGE, made, "its tables say", "tools.evidence_page", check=check)


if __name__ == "__main__":
    main()
