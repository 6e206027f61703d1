"""The model that lm-evaluation-harness knows as ``q35ref``."""

import inspect
import logging
from functools import cache
from typing import Any, Final

from q35ref.lmeval.convert import Summary, quantize_model
from q35ref.lmeval.errors import Refused, load
from q35ref.lmeval.options import Options, refuse_unknown

NAME: Final = "q35ref"
"""The model's name in the harness, for ``--model``."""

OWN: Final = tuple(Options.__dataclass_fields__)
"""Arguments that say how the model is quantized."""

LOADING: Final = (
    *("attn_implementation", "cache_dir", "device_map", "experts_implementation", "force_download"),
    *("local_files_only", "low_cpu_mem_usage", "proxies", "token", "use_safetensors", "variant", "weights_only"),
)
"""Arguments that the harness hands on to ``from_pretrained``; it takes any, so that misspelt ones would be lost."""

UNSUPPORTED: Final = {
    "autogptq": "weights in floats",
    "gptqmodel": "weights in floats",
    "peft": "an adapter that is merged into the weights",
    "tp_plan": "a model that is not split within its layers; parallelize=True splits it between them",
}
"""Arguments of the harness that cannot go with quantized layers, and what is expected instead."""


def split(arguments: dict[str, Any], known: set[str]) -> tuple[Options, dict[str, Any]]:
    """Return the options, and the arguments that are left for the harness, which knows ``known``. Errors: Refused.

    >>> options, rest = split({"group_size": 64, "dtype": "float32"}, {"dtype"})
    >>> options.group_size, rest
    (64, {'dtype': 'float32'})
    """
    refuse_unknown(arguments, {*OWN, *known, *LOADING, *UNSUPPORTED})
    for name, expected in UNSUPPORTED.items():
        if arguments.get(name):
            raise Refused(f"{name}: cannot be combined with the format, which needs {expected}")
    rest = {name: value for name, value in arguments.items() if name not in OWN}
    return Options(**{name: arguments[name] for name in OWN if name in arguments}), rest


@cache
def register() -> Any:
    """Make the model known to the harness of this process, and return its class. Errors: LmEvalUnavailable.

    The harness looks models up in a registry that only an import fills, so this must be called before
    ``lm_eval.simple_evaluate(model="q35ref", model_args={...})``; ``python -m q35ref.lmeval`` does it.
    """
    registry, huggingface = load("lm_eval.api.registry"), load("lm_eval.models.huggingface")
    progress = load("tqdm").tqdm
    known = set(inspect.signature(huggingface.HFLM.__init__).parameters) - {"self", "kwargs"}

    class Q35LM(huggingface.HFLM):  # type: ignore[misc, name-defined]  # of an optional package
        """The harness's model for Hugging Face transformers with its Linear layers in the 3.5-bit format.

        ``pretrained``: a name or a folder, or a model, which is then changed in place. Further arguments are the fields
        of :class:`~q35ref.lmeval.options.Options` and those of the harness's model ``hf``. Errors: Refused.
        """

        def __init__(self, pretrained: Any, **arguments: Any) -> None:
            options, rest = split(arguments, known)
            super().__init__(pretrained, **rest)
            if self.backend != "causal":
                raise Refused(f"pretrained: expected a causal language model, got one of the kind {self.backend}")
            self.quantization: Summary = quantize_model(
                self.model, options, lambda names: progress(names, desc="quantizing", unit="layer")
            )
            logging.getLogger(f"lm_eval.{NAME}").info(
                "%s", self.quantization
            )  # below the harness's own, which is shown

        def get_model_info(self) -> dict[str, Any]:
            """Return what the harness records of a model, and how it was quantized."""
            return {**super().get_model_info(), NAME: self.quantization.record()}

    return registry.register_model(NAME)(Q35LM)
