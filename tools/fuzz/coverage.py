"""The engine for Python that is led by coverage: atheris, where it is installed."""

import importlib.util
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from tools.fuzz import libfuzzer
from tools.fuzz.measure import Worst
from tools.fuzz.outcome import Outcome
from tools.fuzz.target import SEEDS, Target

ENGINE: Final = "atheris"

LACK: Final = (
    "atheris is not installed (pip install 'q35ref[fuzz]'; it has wheels for Linux on x86-64): "
    "seeds are mutated without coverage"
)
"""Said where it is missing."""


def lack() -> str:
    """Return why atheris cannot be used, or nothing."""
    return "" if importlib.util.find_spec("atheris") else LACK


def fuzz(target: Target, *, runs: int = 0, seconds: float = 0, seed: int = 1, corpus: Path | None = None) -> Outcome:
    """Fuzz a target, beginning with its seeds and what the corpus holds, to which is added. Errors: CannotRun."""
    with tempfile.TemporaryDirectory(prefix="q35-fuzz-") as name:
        folder = Path(name)
        stats, kept = folder / "stats.json", folder / "corpus" if corpus is None else corpus / target.name
        kept.mkdir(parents=True, exist_ok=True)
        chosen = libfuzzer.options(folder, runs=runs, seconds=seconds, seed=seed)
        command = [sys.executable, "-m", "tools.fuzz.guided", target.name, str(stats), *chosen]
        command += [str(kept), str(SEEDS / target.name)]
        # libFuzzer ends its process at once: what that would have taken away with it goes with the folder.
        environment = {**os.environ, "TMPDIR": name}
        outcome, _ = libfuzzer.run(target.name, ENGINE, command, folder, environment)
        worst = Worst(**json.loads(stats.read_text())) if stats.exists() else Worst()
        return replace(outcome, worst=worst)
