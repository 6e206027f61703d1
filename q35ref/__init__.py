"""q35ref: reference and conformance oracle for the 3.5-bit (4+3) weight format.

>>> import numpy as np
>>> import q35ref
>>> q35ref.reference.pack_pair(5, -2)
46
>>> qt = q35ref.quantize(np.linspace(-1, 1, 64, dtype=np.float32).reshape(32, 2), group_size=16)
>>> q35ref.dequantize(qt).shape
(32, 2)
"""

from q35ref import reference
from q35ref.oracle import check
from q35ref.tensor import QuantizedTensor, dequantize, matmul, quantize
from q35ref.version import __version__

__all__ = ["QuantizedTensor", "__version__", "check", "dequantize", "matmul", "quantize", "reference"]
