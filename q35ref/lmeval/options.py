"""How a model is quantized: the options that come before any weight is read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from q35ref.backends.validate import require_integer
from q35ref.lmeval.errors import Refused
from q35ref.reference.calibration import METHODS, Method
from q35ref.reference.lanes import LAYOUTS, Layout, check_narrow_gain, group_length

MODES: Final = ("packed", "dequantized")
"""What multiplies: the format's own matmul on packed codes, or torch on the restored weights."""

ACTIVATIONS: Final = ("int8", "float")
"""What is multiplied: int8 with a scale a token (``quantize_activations``), or the model's own floats."""

SEPARATOR: Final = "+"
"""Stands between globs in a string: the harness splits its arguments at commas."""


@dataclass(frozen=True)
class Options:
    """How the Linear layers of a model are quantized and multiplied. Errors: Refused, naming the option.

    >>> Options(group_size=128, exclude="*.gate+*.router").exclude
    ('*.gate', '*.router')
    >>> Options(group_size=100)
    Traceback (most recent call last):
    q35ref.lmeval.errors.Refused: group_size: expected 0 (whole column) or a multiple of 16, got 100
    """

    mode: str = "packed"
    """``"packed"``: codes stay packed, products go through the format's int8 matmul on the CPU. ``"dequantized"``:
    weights are restored into the model's dtype, products are torch's, on the model's device."""
    activations: str = "int8"
    """``"int8"`` or ``"float"``; packed mode knows int8 alone."""
    layout: Layout = "dense"
    """``"dense"`` or ``"byte"``: bytes of storage; no number of an evaluation depends on it."""
    narrow_gain: int = 2
    """Factor of the 3-bit lane, 1 or 2."""
    group_size: int = 0
    """Inputs that share a scale and an offset, a multiple of 16; 0 for all inputs of an output."""
    method: Method = "minmax"
    """How scales and offsets are chosen: ``"minmax"``, ``"symmetric"`` or ``"clip"``."""
    quantize_lm_head: bool = False
    """Whether the output head is quantized too; other quantizers leave it in floats, and so does the default."""
    exclude: str | Sequence[str] = ()
    """Globs of modules to leave in floats: names with ``+`` between them, or a sequence."""

    def __post_init__(self) -> None:
        for name, known in (
            ("mode", MODES), ("activations", ACTIVATIONS), ("layout", LAYOUTS), ("method", METHODS),
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise Refused(f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}")
        try:
            require_integer("narrow_gain", self.narrow_gain)
            require_integer("group_size", self.group_size)
            check_narrow_gain(self.narrow_gain)
            group_length(1, self.group_size)
        except (TypeError, ValueError) as error:
            raise Refused(str(error)) from error
        if not isinstance(self.quantize_lm_head, bool):
            raise Refused(f"quantize_lm_head: expected true or false, got {self.quantize_lm_head!r}")
        if self.mode == "packed" and self.activations != "int8":
            raise Refused("activations: expected int8, which is all that packed codes are multiplied by; "
                          "for floats use mode=dequantized")  # fmt: skip
        globs = self.exclude.split(SEPARATOR) if isinstance(self.exclude, str) else tuple(self.exclude)
        if not all(isinstance(glob, str) for glob in globs):
            raise Refused(f"exclude: expected names or globs with {SEPARATOR} between them, got {self.exclude!r}")
        object.__setattr__(self, "exclude", tuple(glob for glob in globs if glob))


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names that are none of the known ones, with the nearest of these. Errors: Refused.

    >>> refuse_unknown(["grop_size"], ["group_size", "mode"])
    Traceback (most recent call last):
    q35ref.lmeval.errors.Refused: grop_size: no such option; did you mean group_size?
    """
    names = sorted(known)
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(names)}"
            raise Refused(f"{name}: no such option; {hint}")
