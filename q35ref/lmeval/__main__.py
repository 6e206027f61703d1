"""``python -m q35ref.lmeval``: the command of lm-evaluation-harness, with ``q35ref`` as its default model."""

import sys
from collections.abc import Sequence
from typing import Final

from q35ref.lmeval.errors import LmEvalUnavailable, Refused, load
from q35ref.lmeval.model import NAME, register

WRONG_USAGE: Final = 2
"""Exit status where the evaluation cannot start."""

NAMES_MODEL: Final = ("--model", "-M", "--config", "-C")
"""Options that say which model is meant, the last two by a file."""

NO_RUN: Final = ("ls", "validate", "-h", "--help")
"""First words that evaluate nothing."""


def with_model(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``--model q35ref`` added where a run names no model: the harness would take ``hf``.

    >>> with_model(["--tasks", "mmlu"])
    ['--tasks', 'mmlu', '--model', 'q35ref']
    >>> with_model(["run", "--model=hf", "--tasks", "mmlu"])
    ['run', '--model=hf', '--tasks', 'mmlu']
    """
    words = list(arguments)
    if not words or words[0] in NO_RUN or any(word in ("-h", "--help") for word in words):
        return words
    named = any(word.split("=")[0] in NAMES_MODEL or word[:2] in ("-M", "-C") for word in words)
    return words if named else [*words, "--model", NAME]


def main() -> None:
    """Run the harness's command with this process's arguments. Exit status 2 for what cannot be evaluated."""
    try:
        register()
        command = load("lm_eval.__main__").cli_evaluate
        sys.argv = ["lm-eval", *with_model(sys.argv[1:])]
        command()
    except (LmEvalUnavailable, Refused) as error:
        print(f"python -m q35ref.lmeval: {error}", file=sys.stderr)
        sys.exit(WRONG_USAGE)


if __name__ == "__main__":
    main()
