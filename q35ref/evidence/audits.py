"""The audit of each claim on memory, speed, power, and of those that are texts. Errors are in ``audits_accuracy``."""

from typing import Final

from q35ref.evidence.claims import Claim, Finding, audits, verdict
from q35ref.lpu.cluster import deploy, fastest, weight_bytes
from q35ref.lpu.layer import NODE, STORAGES
from q35ref.lpu.machine import TSP_V1
from q35ref.lpu.models import MODELS
from q35ref.reference.codec import column_bytes
from q35ref.tensor import CODE_BITS, PAIR_ROWS

SEVENTY: Final = MODELS["llama-2-70b"]

DENSE: Final = STORAGES["dense"]

BITS: Final = CODE_BITS / PAIR_ROWS
"""Of a weight's code."""


def gigabytes(weights: int) -> float:
    """Return the bytes of the codes of so many weights in one column, in 1e9 bytes."""
    return column_bytes(weights, "dense") / 1e9


@audits("mem-70b-19")
def mem_70b_19(claim: Claim, _: int) -> Finding:
    """70e9 weights at 3.5 bits."""
    found = gigabytes(70 * 10**9)
    assert claim.value is not None
    bits = claim.value * 8e9 / 70e9
    return Finding(
        verdict(claim, found), "calculated",
        f"70e9 weights of {BITS} bits are {found:.3f} GB, {1 - BITS / 4:.1%} below 4 bits. 19 GB would be {bits:.2f} "
        "bits a weight. Theorem `seventyB_bytes`.", found,
    )  # fmt: skip


@audits("mem-70b-32")
def mem_70b_32(claim: Claim, _: int) -> Finding:
    """The same with a float32 scale and offset for each 128 weights, in 2**30 bytes."""
    weights = 70 * 10**9
    found = (column_bytes(weights, "dense") + weights / 128 * 8) / 2**30
    int4 = (weights / 2 + weights / 128 * 4) / 2**30
    return Finding(
        verdict(claim, found), "calculated",
        f"{found:.3f} GiB with a float32 scale and offset for each 128 weights ({BITS + 64 / 128:g} bits a "
        "weight); INT4 "
        f"with a float32 scale {int4:.3f}. The unit is 2^30 bytes.", found,
    )  # fmt: skip


@audits("mem-405b")
def mem_405b(claim: Claim, _: int) -> Finding:
    """405e9 weights at 3.5 bits."""
    found = gigabytes(405 * 10**9)
    return Finding(verdict(claim, found), "calculated", f"405e9 weights of {BITS} bits are {found:.1f} GB.", found)


@audits("mem-byte")
def mem_byte(claim: Claim, _: int) -> Finding:
    """What a code in a byte of its own takes."""
    found = 8 * column_bytes(1 << 20, "byte") / (1 << 20)
    dense = 8 * column_bytes(1 << 20, "dense") / (1 << 20)
    return Finding(
        verdict(claim, found), "calculated",
        f"One code a byte is {found:g} bits a weight, as much as INT4. The dense layout of this format has "
        f"{dense:g}.", found,
    )  # fmt: skip


@audits("tput-4188")
def tput_4188(claim: Claim, _: int) -> Finding:
    """What the simulated chips reach."""
    node, best = deploy(SEVENTY, DENSE, split=NODE), fastest(SEVENTY, DENSE)
    held = TSP_V1.memory_bytes / weight_bytes(SEVENTY, DENSE)
    return Finding(
        verdict(claim, best.tokens_a_user), "simulated",
        f"4188 is 80e12 bytes/s over 19.1e9 bytes, a quotient that nothing ran. One chip holds {held:.2%} of the "
        "weights. "
        f"With {node.split} chips a layer, {node.chips} in all, a user gets {node.tokens_a_user:.0f} tokens/s; with "
        f"{best.split}, the most that was found, {best.tokens_a_user:,.0f} (`docs/lpu.md`).", best.tokens_a_user,
    )  # fmt: skip


@audits("tput-gain")
def tput_gain(claim: Claim, _: int) -> Finding:
    """Dense against INT4 on the simulated chips."""
    dense, int4 = (deploy(SEVENTY, STORAGES[name], split=NODE).tokens_a_user for name in ("dense", "int4"))
    found = 100 * (dense / int4 - 1)
    return Finding(
        verdict(claim, found), "simulated",
        f"Dense 3.5 bits decode {found:+.0f}% against INT4 on the simulated chips: {dense:.0f} against {int4:.0f} "
        "tokens/s, for "
        "both are given to the planes as bytes, and unpacking 3.5 bits takes longer. The drafts' benchmark "
        "multiplies a "
        "NumPy time by 0.78.", found,
    )  # fmt: skip


@audits("lat")
def lat(claim: Claim, _: int) -> Finding:
    """The time of a token."""
    found = 1e3 * fastest(SEVENTY, DENSE).latency
    return Finding(
        verdict(claim, found), "simulated",
        f"0.24 ms is 1/4188 s, the same quotient. The fastest of the simulated deployments takes {found:.2f} ms a "
        "token.", found,
    )  # fmt: skip


@audits("power")
def power(claim: Claim, _: int) -> Finding:
    """The card's own figure."""
    found = TSP_V1.average_power
    return Finding(
        verdict(claim, found), "published",
        f"Published figures say {found:g} W on average and {TSP_V1.peak_power:g} W at most, for one chip; 70B needs "
        f"{deploy(SEVENTY, DENSE, split=NODE).chips} of them.", found,
    )  # fmt: skip


@audits("bw-80")
def bw_80(claim: Claim, _: int) -> Finding:
    """What the machine's memory can give."""
    found = TSP_V1.hemispheres * TSP_V1.quads * TSP_V1.word_bytes * TSP_V1.clock / 1e9
    return Finding(
        verdict(claim, found), "published",
        f"SRAM gives {found:,.0f} GB/s at {TSP_V1.clock / 1e9:g} GHz (ISCA 2020, Eq. 2), marketing says 80 TB/s: a "
        "thousand times "
        f"the claim. 750 TOPS is right: {TSP_V1.peak_operations / 1e12:.0f} at that clock.", found,
    )  # fmt: skip


@audits("tput-405b")
def tput_405b(claim: Claim, _: int) -> Finding:
    """Two rules of the drafts against each other."""
    assert claim.value is not None
    rule = 4188 * (70 / 405) ** 0.5
    return Finding(
        verdict(claim, rule), "calculated",
        f"The drafts contradict themselves: their 1/sqrt(size) rule gives {rule:.0f} from their own 4188, half of "
        "the other "
        "claim; and a dense model's time grows with its size, not with its root. The hardware is not here.", rule,
    )  # fmt: skip


@audits("first")
def first(_: Claim, __: int) -> Finding:
    """What was there before."""
    return Finding(
        "refuted", "published",
        "EXL2 (a mix of 2 to 8 bits, 2023), llama.cpp's Q3_K (3.4375 bits, 2023) and IQ3_XS (about 3.3 to 3.5, "
        "2024) are "
        "older.",
    )  # fmt: skip


@audits("overflow")
def overflow(claim: Claim, _: int) -> Finding:
    """The longest safe column."""
    found = (2**31 - 1) // (128 * 8)
    assert claim.value is not None
    return Finding(
        "reproduced" if found >= claim.value else "refuted", "proved",
        f"True, and far beyond: {found:,} rows (theorems `acc_fits_int32`, `acc_overflows_at`).", float(found),
    )  # fmt: skip


@audits("matmul-thm")
def matmul_thm(_: Claim, __: int) -> Finding:
    """What the statement says."""
    return Finding(
        "refuted", "read",
        "`True` says nothing about a matmul. What holds is proved here: `dot_dequantize_eq`, `dot_error_le`.",
    )  # fmt: skip


@audits("gpu-gain")
def gpu_gain(_: Claim, __: int) -> Finding:
    """Needs a GPU."""
    return Finding("not testable here", "none", "There is no GPU here, and the drafts have no kernel for one.")


@audits("acc-mmlu")
def acc_mmlu(_: Claim, __: int) -> Finding:
    """Needs the model's weights."""
    ours = [f"{score * (1 - 0.019):.1f}" for score in (69.8, 45.7, 62.3)]
    return Finding(
        "not testable here", "none",
        "It takes the 70B weights and hours of an accelerator. The drafts' code takes a constant 1.9% off a "
        "baseline, which "
        f"would give {'/'.join(ours)}, not what they quote.",
    )  # fmt: skip
