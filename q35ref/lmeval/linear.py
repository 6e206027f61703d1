"""The layers that take the place of ``torch.nn.Linear``. Torch is optional: the classes are made when asked for."""

from functools import cache
from typing import Any, Final

import q35ref
from q35ref.backends.numpy.float32 import MIN_SUBNORMAL
from q35ref.lmeval.errors import load
from q35ref.reference.activations import ACTIVATION_LIMIT

EXPONENT: Final = 128.0
"""int8 activations enter a torch product divided by this power of two, exactly, and leave it multiplied: sums in
float16 then stay as small as the weights, where those of integers would overflow."""


def quantize_activations(x: Any) -> tuple[Any, Any]:
    """Return ``scale float32[..., 1]`` and the integers as ``float64[..., K]`` of a tensor ``[..., K]`` of floats.

    Bit for bit what ``q35ref.reference.quantize_activations`` gives for each row, with NaN and infinities becoming NaN
    instead of an error. Runs on any device that has float64. Errors: LmEvalUnavailable.
    """
    torch = load("torch")
    rows = x.to(torch.float32)
    largest = rows.abs().amax(dim=-1, keepdim=True)
    # A tensor as divisor: by a plain number, CUDA multiplies by the reciprocal, which rounds twice.
    scale = (largest / torch.full_like(largest, ACTIVATION_LIMIT)).clamp(min=float(MIN_SUBNORMAL))
    scale = torch.where(largest == 0, torch.ones_like(scale), scale)
    # Double decides as exact arithmetic would: next to a tie, a quotient of two float32s is the tie or at least 2**-26
    # away from it, and up to 2**8 its rounding errs by no more than 2**-45.
    integers = (rows.double() / scale.double()).round().clamp(-ACTIVATION_LIMIT, ACTIVATION_LIMIT)
    return scale, integers


@cache
def packed_linear() -> Any:
    """Return the class ``PackedLinear``. Errors: LmEvalUnavailable."""
    torch = load("torch")

    class PackedLinear(torch.nn.Module):  # type: ignore[misc, name-defined]  # of an optional package
        """``y = q35ref.matmul(x, tensor) + bias``: int8 activations, packed weights, float32 sums, on the CPU.

        ``x`` ``[..., K]`` has any float dtype and device; ``y`` ``[..., N]`` has the same, and is rounded to it once.
        There is no ``weight``. Errors: ValueError naming the layer for activations that are not finite.
        """

        def __init__(self, name: str, tensor: q35ref.QuantizedTensor, bias: Any) -> None:
            super().__init__()
            self.name, self.tensor = name, tensor
            self.in_features, self.out_features = tensor.k, tensor.n
            self.register_parameter("bias", bias)

        def forward(self, x: Any) -> Any:
            shape = (*x.shape[:-1], self.out_features)
            if not x.numel():  # an expert that no token was sent to
                return x.new_zeros(shape)
            rows = x.detach().reshape(-1, self.in_features).to("cpu", torch.float32)
            try:
                product = q35ref.matmul(rows.numpy(), self.tensor)
            except ValueError as error:
                raise ValueError(f"{self.name}: {error}") from error
            y = torch.from_numpy(product).to(x.device)
            if self.bias is not None:
                y = y + self.bias.to(y)
            return y.to(x.dtype).reshape(shape)

        def extra_repr(self) -> str:
            return f"{self.tensor!r}, bias={self.bias is not None}"

    return PackedLinear


@cache
def simulated_linear() -> Any:
    """Return the class ``SimulatedLinear``. Errors: LmEvalUnavailable."""
    torch = load("torch")

    class SimulatedLinear(torch.nn.Module):  # type: ignore[misc, name-defined]  # of an optional package
        """``y = scale * (a @ weight.T) + bias``, ``scale, a`` the int8 activations of ``x``, in torch.

        The product is formed in the dtype of ``weight`` ``[N, K]``, in which the integers are exact; scale and bias are
        applied in float32 or better, and ``y`` is rounded once to the dtype of ``x``. NaN and infinities give NaN.
        """

        def __init__(self, weight: Any, bias: Any) -> None:
            super().__init__()
            self.out_features, self.in_features = weight.shape
            self.weight = weight
            self.register_parameter("bias", bias)

        def forward(self, x: Any) -> Any:
            scale, integers = quantize_activations(x) if x.numel() else (x[..., :1], x)
            product = torch.nn.functional.linear((integers / EXPONENT).to(self.weight.dtype), self.weight)
            y = product.to(torch.promote_types(product.dtype, torch.float32)) * EXPONENT * scale
            if self.bias is not None:
                y = y + self.bias.to(y)
            return y.to(x.dtype)

        def extra_repr(self) -> str:
            return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

    return SimulatedLinear
