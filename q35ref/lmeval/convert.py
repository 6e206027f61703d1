"""The Linear layers of a model, quantized in place."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

import q35ref
from q35ref.lmeval.errors import Refused, load
from q35ref.lmeval.linear import packed_linear, simulated_linear
from q35ref.lmeval.options import Options

FLOATS: Final = ("float16", "bfloat16", "float32", "float64")
"""Dtypes of weights that can be quantized: the first three widen exactly, the last is rounded once to float32."""

WITHOUT_FLOAT64: Final = ("mps",)
"""Kinds of devices that cannot quantize activations in torch."""

Track = Callable[[list[str]], Iterable[str]]
"""Shows progress: passes the names of layers on, one when the one before is done."""


@dataclass
class Summary:
    """What was quantized, and what was not."""

    options: Options
    """How."""
    quantized: list[str] = field(default_factory=list)
    """Names of the layers that were quantized."""
    left_out: list[str] = field(default_factory=list)
    """Names of the Linear layers, and of other modules with matrices, that stay in floats."""
    weights: int = 0
    """Weights of the quantized layers."""
    nbytes: int = 0
    """Bytes that codes and parameters of these take in the format, whatever the mode keeps in memory."""
    parameters: int = 0
    """Parameters of the whole model, shared ones counted once, before it was quantized."""

    @property
    def bits_per_weight(self) -> float:
        """True bits of a quantized weight: codes with their padding, scales and offsets."""
        return 8 * self.nbytes / self.weights

    def record(self) -> dict[str, Any]:
        """Return what belongs into the results of an evaluation."""
        return {
            "version": q35ref.__version__,
            **{name: getattr(self.options, name) for name in Options.__dataclass_fields__},
            "quantized_layers": len(self.quantized),
            "quantized_weights": self.weights,
            "bits_per_weight": self.bits_per_weight,
            "model_parameters": self.parameters,
            "left_out": list(self.left_out),
        }

    def __str__(self) -> str:
        return (
            f"{len(self.quantized)} Linear layers quantized, {self.weights} of the model's {self.parameters}"
            f" parameters, at {self.bits_per_weight:.3f} bits a weight;"
            f" left in floats: {', '.join(self.left_out) or 'none'}"
        )


def quantize_model(model: Any, options: Options | None = None, track: Track = iter) -> Summary:
    """Replace the Linear layers of a Hugging Face causal language model by quantized ones, in place.

    Taken are modules whose class is exactly ``torch.nn.Linear``; the output head only with ``quantize_lm_head``. One
    that is tied to the embedding gets weights of its own, and the embedding stays in floats. A layer that the model
    holds under two names is quantized once. The model is changed only after every check that needs no weights.
    Embeddings, biases, norms and buffers are left alone.

    Errors: Refused for globs that match nothing, for a model that would keep matrices in floats that no glob excludes
    (fused experts, ``Conv1D``, layers that are quantized already), and for weights that are offloaded, of another dtype
    or not finite; LmEvalUnavailable.
    """
    torch = load("torch")
    options = Options() if options is None else options
    summary = Summary(options, parameters=sum(p.numel() for p in model.parameters()))
    chosen = _choose(model, options, summary)
    replaced: dict[Any, Any] = {}
    for name in track(list(chosen)):
        layer = chosen[name]
        if layer not in replaced:
            replaced[layer] = _quantized(name, layer, options, summary)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, replaced[layer])
        summary.quantized.append(name)
    if options.quantize_lm_head and getattr(model.config, "tie_word_embeddings", False):
        model.config.tie_word_embeddings = False  # or the next tie_weights() would undo the head
    if isinstance(model, torch.nn.Module):
        model.eval()
    return summary


def _choose(model: Any, options: Options, summary: Summary) -> dict[str, Any]:
    """Return the layers to quantize by name, and note in the summary what is left out. Errors: Refused."""
    torch = load("torch")
    head = model.get_output_embeddings()
    if options.quantize_lm_head and type(head) is not torch.nn.Linear:
        raise Refused(f"quantize_lm_head: expected a model whose output head is a torch.nn.Linear, got {_kind(head)}")
    chosen: dict[str, Any] = {}
    stray: list[str] = []
    unused = set(options.exclude)
    for name, module in _with_matrices(model):
        matched = {glob for glob in options.exclude if fnmatchcase(name, glob)}
        unused -= matched
        if matched or (module is head and not options.quantize_lm_head):
            summary.left_out.append(name)
        elif type(module) is torch.nn.Linear:
            _check_weight(name, module, options)
            chosen[name] = module
        else:
            stray.append(f"{name} ({_kind(module)})")
    for glob in options.exclude:
        if glob in unused:
            raise Refused(f"exclude {glob!r}: expected the name of a module with a weight matrix to match, none does")
    if stray:
        shown = ", ".join(stray[:3]) + (", ..." if len(stray) > 3 else "")
        raise Refused(
            f"model: {len(stray)} modules hold matrices and are no torch.nn.Linear, which is all that is quantized:"
            f" {shown}; name them in exclude to evaluate the model with these in floats"
        )
    if not chosen:
        raise Refused("model: expected at least one torch.nn.Linear that is not left out, found none")
    return chosen


def _with_matrices(model: Any) -> Iterator[tuple[str, Any]]:
    """Every module, under every name, that has a parameter with two or more dimensions of its own, but embeddings."""
    torch = load("torch")
    for name, module in model.named_modules(remove_duplicate=False):
        own = module.parameters(recurse=False)
        if not isinstance(module, torch.nn.Embedding) and any(p.ndim >= 2 for p in own):
            yield name, module


def _kind(module: Any) -> str:
    return type(module).__name__


def _check_weight(name: str, layer: Any, options: Options) -> None:
    """Refuse what can be told from a weight's dtype, place and shape with Refused."""
    dtype = str(layer.weight.dtype).removeprefix("torch.")
    if dtype not in FLOATS:
        raise Refused(f"{name}: expected weights of {', '.join(FLOATS)}, got {dtype}")
    if layer.weight.is_meta:
        raise Refused(f"{name}: expected weights in memory, they are offloaded; give the model more memory or devices")
    if options.mode == "dequantized" and options.activations == "int8" and layer.weight.device.type in WITHOUT_FLOAT64:
        raise Refused(
            f"activations: int8 is simulated in float64, which {layer.weight.device.type} lacks;"
            " use activations=float, or device=cpu"
        )
    if not layer.weight.numel():
        raise Refused(f"{name}: expected at least one weight, got shape {list(layer.weight.shape)}")


def _quantized(name: str, layer: Any, options: Options, summary: Summary) -> Any:
    """Return the layer that replaces ``layer``. Errors: Refused for weights that are not finite or overflow float32."""
    torch = load("torch")
    weight = layer.weight.detach()
    wide = weight if weight.dtype == torch.float64 else weight.to(torch.float32)
    try:
        tensor = q35ref.quantize(
            wide.cpu().numpy().T,
            group_size=options.group_size,
            narrow_gain=options.narrow_gain,
            layout=options.layout,
            method=options.method,
        )
    except ValueError as error:
        raise Refused(f"{name}: {error}") from error
    summary.weights += weight.numel()
    summary.nbytes += tensor.nbytes
    if options.mode == "packed":
        return packed_linear()(name, tensor, layer.bias)
    restored = torch.from_numpy(q35ref.dequantize(tensor)).T.contiguous().to(weight)
    parameter = torch.nn.Parameter(restored, requires_grad=False)
    if options.activations == "int8":
        return simulated_linear()(parameter, layer.bias)
    plain = torch.nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
    plain.weight, plain.bias = parameter, layer.bias
    return plain
