"""The specification of the 3.5-bit format: pure Python, standard library only, exact.

Read it in this order: ``lanes`` (the two lanes, groups, sizes), ``rounding``, ``codec`` (integers, codes, bytes),
``float32`` (RN32), ``quantizer`` (one weight), ``calibration`` (a group's parameters), ``activations``,
``matmul``. Contracts (``pre:``, ``post:``) stand in the docstrings of the functions on integers; those on
:class:`~fractions.Fraction` are thin wrappers around them.
"""

from q35ref.reference.activations import activation_scale, quantize_activation, quantize_activations
from q35ref.reference.calibration import (
    calibrate,
    calibrate_clip,
    calibrate_minmax,
    calibrate_symmetric,
    squared_error,
)
from q35ref.reference.codec import (
    column_bytes,
    pack_column,
    pack_dense,
    pack_pair,
    pair_codes,
    sign_extend,
    unpack_column,
    unpack_dense,
    unpack_pair,
    unpair_codes,
)
from q35ref.reference.float32 import round_float32, to_float32
from q35ref.reference.lanes import group_count, group_rows, lane_gain, lane_interval
from q35ref.reference.matmul import (
    accumulate,
    accumulator_bound,
    exact_output,
    matmul_entry,
    output_bound,
    output_magnitude,
    row_sum,
)
from q35ref.reference.quantizer import (
    dequantize,
    error_bound,
    quantize,
    rounded_dequantize,
    rounded_error_bound,
)
from q35ref.reference.rounding import clamp, round_half_even

__all__ = [
    "accumulate",
    "accumulator_bound",
    "activation_scale",
    "calibrate",
    "calibrate_clip",
    "calibrate_minmax",
    "calibrate_symmetric",
    "clamp",
    "column_bytes",
    "dequantize",
    "error_bound",
    "exact_output",
    "group_count",
    "group_rows",
    "lane_gain",
    "lane_interval",
    "matmul_entry",
    "output_bound",
    "output_magnitude",
    "pack_column",
    "pack_dense",
    "pack_pair",
    "pair_codes",
    "quantize",
    "quantize_activation",
    "quantize_activations",
    "round_float32",
    "round_half_even",
    "rounded_dequantize",
    "rounded_error_bound",
    "row_sum",
    "sign_extend",
    "squared_error",
    "to_float32",
    "unpack_column",
    "unpack_dense",
    "unpack_pair",
    "unpair_codes",
]
