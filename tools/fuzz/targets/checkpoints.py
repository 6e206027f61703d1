"""The reader of safetensors files: any bytes at all, and headers whose frame is sound."""

import contextlib
import json
from pathlib import Path
from typing import Final

from click.testing import CliRunner

from q35ref.checkpoints import Checkpoint, CheckpointError, inspect_file
from q35ref.checkpoints.floats import FLOAT_DTYPES
from q35ref.checkpoints.header import LENGTH_BYTES, parse_header
from q35ref.checkpoints.schema import METADATA_ENTRY, parse_records
from q35ref.cli import main
from tools.fuzz.target import LONGEST_MESSAGE, Target, documented, require_line
from tools.fuzz.targets.scratch import folder

FEW: Final = 4
"""Tensors up to which a file is printed as well: tables take longer than all else."""


def read_checkpoint(data: bytes) -> None:
    """Read a file whole: the header, every tensor, what ``q35ref inspect`` says of it."""
    path = folder("checkpoint") / "model.safetensors"
    path.write_bytes(data)
    with documented(CheckpointError):
        found = inspect_file(path)
        json.dumps(found.document(), allow_nan=False)
        if len(found.plain) + len(found.quantized) <= FEW:
            _print(path, 0 if not found.quantized or found.quality.within_bound else 1)
    with documented(CheckpointError), Checkpoint(path) as checkpoint:
        for name, tensor in checkpoint.tensors.items():
            if len(checkpoint.raw(name)) != tensor.nbytes:
                raise AssertionError(f"{name}: bytes of another length than the tensor")
            if tensor.dtype in FLOAT_DTYPES:
                with documented(CheckpointError):
                    checkpoint.read_float32(name)
        for name in checkpoint.records:
            with documented(CheckpointError):
                checkpoint.read_quantized(name)


def read_header(data: bytes) -> None:
    """Read a header, and a file with it. An input is the header's text and, after a zero byte, the tensors' bytes."""
    text, _, tensors = data.partition(b"\0")
    with contextlib.suppress(ValueError):  # whose text a CheckpointError cuts to a line
        header = parse_header(text.decode(), len(tensors))
        parse_records(header.metadata.get(METADATA_ENTRY))
    read_checkpoint(len(text).to_bytes(LENGTH_BYTES, "little") + text + tensors)


def _print(path: Path, status: int) -> None:
    """Let the command print a file that it can read: no name in it may command the terminal."""
    for option in ([], ["--json"]):
        done = CliRunner().invoke(
            main, ["inspect", str(path), *option], color=True
        )  # or click drops what it ought not to
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        if done.exit_code != status:
            raise AssertionError(f"inspect: exit status {done.exit_code}, expected {status}: {done.output[:200]}")
        for line in done.output.split("\n"):  # splitlines() takes more for the end of a line than it ought to
            for start in range(0, len(line), LONGEST_MESSAGE):
                require_line("inspect", line[start : start + LONGEST_MESSAGE])


CHECKPOINT: Final = Target("checkpoint", "safetensors files, byte by byte", read_checkpoint)

HEADER: Final = Target("header", "headers of safetensors files, and q35ref's records in them", read_header)

FOUND: Final = (CHECKPOINT, HEADER)
"""The targets of this module."""
