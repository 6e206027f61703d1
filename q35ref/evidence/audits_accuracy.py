"""The audit of each claim on errors: the drafts' own code re-created, and run on weights."""

from typing import Final

import numpy as np

from q35ref.evidence.claims import Claim, Finding, audits, verdict
from q35ref.evidence.drafts import (
    Floats,
    convert,
    epilogue,
    int4,
    normalized_rmse,
    parameters,
    rounded,
    unpacked,
)  # fmt: skip
from q35ref.tensor import dequantize, quantize

K: Final = 8192
"""Rows of the drafts' matrices."""

COLUMNS: Final = 64
"""Columns that are drawn; the drafts' have 8192 and more, all alike."""


def normal(seed: int, k: int = K, n: int = COLUMNS) -> Floats:
    """Return weights of N(0, 1), as float32 holds them."""
    return np.random.default_rng(seed).standard_normal((k, n), np.float32).astype(float)


def uniform(weights: Floats, bits: int, group: int) -> Floats:
    """Return weights restored from ``bits`` bits between each group's smallest and largest."""
    k, n = weights.shape
    parts = weights.reshape(-1, group, n)
    low, high = parts.min(axis=1, keepdims=True), parts.max(axis=1, keepdims=True)
    step = (high - low) / (2**bits - 1)
    restored: Floats = (low + step * np.rint((parts - low) / step)).reshape(k, n)
    return restored


def ours(weights: Floats, group_size: int = 0, method: str = "minmax", narrow_gain: int = 2) -> Floats:
    """Return weights restored from this format."""
    made = quantize(weights.astype(np.float32), group_size=group_size, method=method, narrow_gain=narrow_gain)  # type: ignore[arg-type]
    return dequantize(made).astype(float)


@audits("rmse-1494")
def rmse_1494(claim: Claim, seed: int) -> Finding:
    """The drafts' converter, with its integers as they are and as its bytes hold them."""
    weights = normal(seed)
    codes, scale, zero = convert(weights)
    kept = normalized_rmse(weights, rounded(weights, scale, zero) * scale + zero)
    found = normalized_rmse(weights, unpacked(codes, K) * scale + zero)
    formats = {
        "per column": ours(weights),
        "groups of 128": ours(weights, 128),
        "clip, groups of 128": ours(weights, 128, "clip"),
    }
    others = ", ".join(f"{name} {normalized_rmse(weights, restored):.1%}" for name, restored in formats.items())
    return Finding(
        verdict(claim, 100 * found, 0.05), "measured",
        f"{found:.1%} once packed and unpacked, for the converter cuts 4-bit integers of the narrow lane to 3 bits "
        "(N(0,1), "
        f"{COLUMNS} columns of {K}). {kept:.1%} is the error before packing, of 4 bits in both lanes; their INT4 has "
        f"{normalized_rmse(weights, int4(weights)):.1%}. This format: {others}.", 100 * found,
    )  # fmt: skip


@audits("rmse-3bit")
def rmse_3bit(claim: Claim, seed: int) -> Finding:
    """Uniform 3 bits, in groups and per column."""
    weights = normal(seed)
    grouped, column = (normalized_rmse(weights, uniform(weights, 3, group)) for group in (128, K))
    return Finding(
        verdict(claim, 100 * grouped, 0.02), "measured",
        f"{grouped:.1%} in groups of 128 between smallest and largest. Per column, as their 14.94% is, it is "
        f"{column:.1%}: the two "
        "are not comparable.", 100 * grouped,
    )  # fmt: skip


@audits("bound")
def bound(claim: Claim, _: int) -> Finding:
    """A weight outside of the range breaks it."""
    weights = np.array([[-8.0], [7.0]])
    scale, zero = parameters(weights)
    far = np.array([[1000.0]])
    error = float(np.abs(far - (rounded(far, scale, zero) * scale + zero))[0, 0] / scale[0])
    return Finding(
        verdict(claim, error, 0.01), "proved",
        f"False without a hypothesis on x: theorem `draft_error_bound_false`; 1000 is {error:.0f} scales off where "
        "the column is "
        "-8 and 7. And their narrow lane wraps (`draft_converter_wraps`). What holds: `quantize_error_le`.", error,
    )  # fmt: skip


@audits("kernel")
def kernel(_: Claim, seed: int) -> Finding:
    """The epilogue against the value of the weights."""
    generator = np.random.default_rng(seed)
    weights = normal(seed, 512, 64)
    scale, zero = parameters(weights)
    q = rounded(weights, scale, zero)
    a = generator.integers(-127, 128, (16, 512)).astype(float)
    right = a @ (q * scale + zero)
    wrong = epilogue(a @ q, scale, zero)
    off = float(np.linalg.norm(wrong - right) / np.linalg.norm(right))
    return Finding(
        "refuted", "measured",
        "It does not compile as printed (Fortran takes K and k for one name), and its epilogue leaves out the sum "
        "of the "
        f"activations: off by {off:.0%} of the product with the converter's own weights (16 by 512 by 64, N(0,1)). "
        "`examples/fortran-drafts` runs a mended one through the oracle.", 100 * off,
    )  # fmt: skip


@audits("ablation")
def ablation(claim: Claim, seed: int) -> Finding:
    """Asymmetric against symmetric, and 4+3 against 3 bits, by RMSE on N(0,1)."""
    weights = normal(seed)
    asymmetric = normalized_rmse(weights, ours(weights))
    symmetric = normalized_rmse(weights, ours(weights, method="symmetric"))
    three = normalized_rmse(weights, uniform(weights, 3, K))
    found = 100 * (1 - asymmetric / symmetric)
    return Finding(
        verdict(claim, found, 0.1), "measured",
        f"RMSE {asymmetric:.1%} asymmetric, {symmetric:.1%} symmetric, per column of N(0,1): {found:.1f}% less. "
        "Uniform 3 bits have "
        f"{three:.1%}: that 4+3 beats them holds. Other comparisons need a model.", found,
    )  # fmt: skip
