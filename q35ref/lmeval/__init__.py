"""Evaluation of Hugging Face causal language models in the 3.5-bit format with lm-evaluation-harness.

Needs the extra ``lmeval`` (torch, transformers, lm_eval). The command is ``python -m q35ref.lmeval``, the harness's
own with one model more, ``q35ref``; from Python, :func:`register` makes that model known to
``lm_eval.simple_evaluate``, and :func:`quantize_model` works without the harness. How to use it: ``docs/lmeval.md``.

This module and those below it import without the extra: what needs it says so when it is called.
"""

from q35ref.lmeval.convert import Summary, quantize_model
from q35ref.lmeval.errors import LmEvalUnavailable, Refused
from q35ref.lmeval.model import NAME, register
from q35ref.lmeval.options import Options

__all__ = ["NAME", "LmEvalUnavailable", "Options", "Refused", "Summary", "quantize_model", "register"]
