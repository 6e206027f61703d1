"""Safetensors in and out: quantize a checkpoint's weights, restore them, say what it holds; one file or many.

>>> import tempfile, numpy as np, safetensors.numpy
>>> with tempfile.TemporaryDirectory() as folder:
...     source, target = f"{folder}/model.safetensors", f"{folder}/model.q35.safetensors"
...     safetensors.numpy.save_file({"a.weight": np.linspace(-1, 1, 512, dtype=np.float32).reshape(16, 32)}, source)
...     [record] = quantize_file(source, target)
...     record.shape, record.k, float(record.bits_per_weight), record.quality.within_bound
((16, 32), 32, 5.5, True)
"""

from q35ref.checkpoints.convert import dequantize_file, load_quantized, quantize_file, read_weights
from q35ref.checkpoints.errors import CheckpointError
from q35ref.checkpoints.header import TensorInfo
from q35ref.checkpoints.inspection import Inspection, inspect_file
from q35ref.checkpoints.on_dask import on_cluster
from q35ref.checkpoints.reader import Checkpoint
from q35ref.checkpoints.runners import Runner, in_processes, serially
from q35ref.checkpoints.schema import Orientation, TensorRecord
from q35ref.checkpoints.selection import DEFAULT_EXCLUDE, DEFAULT_INCLUDE, select

__all__ = [
    "DEFAULT_EXCLUDE",
    "DEFAULT_INCLUDE",
    "Checkpoint",
    "CheckpointError",
    "Inspection",
    "Orientation",
    "Runner",
    "TensorInfo",
    "TensorRecord",
    "dequantize_file",
    "in_processes",
    "inspect_file",
    "load_quantized",
    "on_cluster",
    "quantize_file",
    "read_weights",
    "select",
    "serially",
]
