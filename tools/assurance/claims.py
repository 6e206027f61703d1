"""The claims of q35ref, part by part."""

from typing import Final

from tools.assurance.claim import Part
from tools.assurance.claims_format import CODEC, COLUMNS, LANES
from tools.assurance.claims_gates import GATES
from tools.assurance.claims_lpu import LPU
from tools.assurance.claims_matmul import DRAFTS, EPILOGUE, MATMUL
from tools.assurance.claims_numbers import ACTIVATIONS, CALIBRATION, FLOAT32, QUANTIZER, ROUNDING
from tools.assurance.claims_product import PRODUCT, TRUST

PARTS: Final[tuple[Part, ...]] = (
    Part("Lanes and groups", LANES),
    Part("Codes of pairs", CODEC),
    Part("Columns and dense streams", COLUMNS),
    Part("Rounding to integers", ROUNDING),
    Part("Rounding to float32", FLOAT32),
    Part("Quantizer", QUANTIZER),
    Part("Calibration", CALIBRATION),
    Part("Activations", ACTIVATIONS),
    Part("Matmul: the integers", MATMUL),
    Part("Matmul: the float result", EPILOGUE),
    Part("The streaming processor", LPU),
    Part("The paper drafts", DRAFTS),
    Part("The product", PRODUCT),
    Part("The gates, each shown to fire", GATES),
    Part("What is trusted", TRUST),
)
"""Every claim, in the order of the page."""

PREFACE: Final = """\
# What q35ref claims, and what holds it

This page is written by `python -m tools.assurance` and checked by `make test`: a theorem, contract or test that does
not exist, a contract or headline theorem that holds no claim, and a claim that nothing holds all fail the build.

How a claim is held, the strongest word first:

- **proved**: a theorem in `proofs/`, checked by Lean's kernel, for all inputs, about the Lean definition that mirrors
  the Python function. Both are tied by the committed vectors, which the kernel decides for the definition and a test
  replays on the function; between the vectors the tie is the reader's eye. Unrounded parameters and the drafts' code
  have no function in the package: there the test holds a copy.
- **confirmed**: CrossHair has explored all paths of the Python function itself, within the `pre:` of its contract.
- **exhausted**: a test runs every input that there is.
- **tested**: tests run examples, or inputs that Hypothesis draws.
- **trusted**: nothing here shows it; the page says why it is believed.

A cell without a name says why it has none.
"""
"""What stands above the tables."""
