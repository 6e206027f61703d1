"""All that is measured on the trained model, in one call: embeddings by setting, output errors by policy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from q35ref.evidence.activations import gather
from q35ref.evidence.embeddings import CALIBRATION_SIZES, QUICK_POLICY, EmbeddingRow, measure
from q35ref.evidence.minilm import Encoder, Tokenizer
from q35ref.evidence.outputs import (
    BEST,
    POLICIES,
    Made,
    OutputRow,
    OutputSummary,
    output_rows,
    summarize,
)
from q35ref.evidence.sentences import MEASURED_SENTENCES, calibration_sentences, measured_sentences

QUICK_SENTENCES: Final = 120

QUICK_CALIBRATION: Final = (128,)

QUICK_LAYERS: Final = (0,)
"""Encoder layers whose matrices a quick run measures output errors on."""

QUICK_POLICIES: Final = ("min-max", "clip", "clip, ordered", "feedback", QUICK_POLICY, BEST)


@dataclass(frozen=True)
class ModelEvidence:
    """What was measured."""

    embeddings: tuple[EmbeddingRow, ...]
    outputs: tuple[OutputRow, ...]
    summaries: tuple[OutputSummary, ...]
    missing: tuple[str, ...]
    """Peers that were not there, and why."""


def measure_model(
    *, quick: bool = False, progress: Callable[[int, int, str], None] = lambda done, total, name: None
) -> ModelEvidence:
    """Measure the trained model: 600 sentences, policies calibrated on 1024 others; with ``quick`` 120 and 128.

    ``progress`` is told steps done, steps in all and what is next. Errors: NoWeights, NoTokenizer.
    """
    encoder, tokenizer = Encoder.trained(), Tokenizer()
    sizes = QUICK_CALIBRATION if quick else CALIBRATION_SIZES
    sentences = measured_sentences(QUICK_SENTENCES if quick else MEASURED_SENTENCES)
    tokens = tokenizer([sentence.text for sentence in sentences])
    calibration = tokenizer([sentence.text for sentence in calibration_sentences(max(sizes))])
    names = encoder.config.linear_names
    matrices = [name for name in names if not quick or int(name.split(".")[2]) in QUICK_LAYERS]
    progress(0, 1, "activations")
    known, held_out = gather(encoder, calibration), gather(encoder, tokens)
    made: Made = {}
    done: list[str] = []

    def count(name: str) -> None:
        done.append(name)
        progress(len(done), len(matrices), f"output errors: {name}")

    outputs, missing = output_rows(
        encoder,
        known,
        held_out,
        policies=QUICK_POLICIES if quick else tuple(POLICIES),
        matrices=matrices,
        made=made,
        progress=count,
    )
    rows, missing_too = measure(
        encoder, tokens, calibration, sizes, quick=quick, statistics=known, made=made, progress=progress
    )
    absent = tuple(dict.fromkeys(missing + missing_too))
    return ModelEvidence(tuple(rows), tuple(outputs), tuple(summarize(outputs)), absent)
