"""Files that are no safetensors files, or lie about what they hold, are refused with the file's name."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from q35ref.checkpoints import Checkpoint, CheckpointError, dequantize_file, inspect_file, quantize_file
from q35ref.checkpoints.header import MAX_HEADER, parse_header
from tests.checkpoint_files import Stored, load, model, save, save_raw, stored, weights


def entry(dtype: object = "U8", shape: object = (1,), offsets: object = (0, 1)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HOSTILE: dict[str, Any] = {
    "unknown dtype": {"a": entry(dtype="F33")},
    "dtype no text": {"a": entry(dtype=["U8"])},
    "negative shape": {"a": entry(shape=[-1])},
    "fractional shape": {"a": entry(shape=[1.0])},
    "boolean shape": {"a": entry(shape=[True])},
    "shape no list": {"a": entry(shape=1)},
    "shape that overflows": {"a": entry(shape=[2**33, 2**33])},
    "shape beyond 64 bits": {"a": entry(shape=[2**64])},
    "shape that does not fit": {"a": entry(shape=[2])},
    "half a byte": {"a": entry(dtype="F4")},
    "half a byte too many": {"a": entry(dtype="F4", shape=[3])},
    "offsets out of range": {"a": entry(shape=[2], offsets=[0, 2])},
    "offsets far out of range": {"a": entry(shape=[2**62], offsets=[0, 2**62])},
    "offsets that begin late": {"a": entry(shape=[0], offsets=[1, 1])},
    "offsets backwards": {"a": entry(offsets=[1, 0])},
    "negative offsets": {"a": entry(offsets=[-1, 0])},
    "one offset": {"a": entry(offsets=[0])},
    "no offsets": {"a": entry(offsets=[])},
    "overlapping tensors": {"a": entry(), "b": entry()},
    "bytes that no tensor has": {"a": entry(shape=[0], offsets=[0, 0])},
    "no tensor for the bytes": {},
    "missing key": {"a": {"dtype": "U8", "shape": [1]}},
    "extra key": {"a": {**entry(), "more": 1}},
    "tensor no object": {"a": [1]},
    "metadata no object": {"__metadata__": ["x"], "a": entry()},
    "metadata no text": {"__metadata__": {"x": 1}, "a": entry()},
    "header no object": [1],
    "not JSON": b'{"a":',
    "not UTF-8": b'{"\xff":1}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "empty header": b"",
    "deeply nested": b'{"a":' + b"[" * 100_000,
    "duplicate tensor": b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
    b'"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}',
    "duplicate key": b'{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}',
    "duplicate metadata": b'{"__metadata__":{"x":"1","x":"2"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
    "half a surrogate": b'{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
    "NaN": b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,1]}}',
    "endless number": b'{"a":{"dtype":"U8","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,1]}}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_refused(tmp_path: Path, name: str) -> None:
    header = HOSTILE[name]
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = save_raw(tmp_path / "hostile", text, b"x")
    with pytest.raises(CheckpointError, match="hostile: "):
        Checkpoint(path)


@pytest.mark.parametrize("name", sorted(HOSTILE.keys() - {"not UTF-8", "UTF-16", "half a surrogate"}))
def test_a_hostile_header_is_refused_even_without_the_library(name: str) -> None:
    header = HOSTILE[name]
    with pytest.raises(ValueError, match=r"expected|JSON|duplicate|digits"):
        parse_header(header.decode() if isinstance(header, bytes) else json.dumps(header), 1)


def test_the_frame_of_the_hostile_headers_is_sound(tmp_path: Path) -> None:
    path = save_raw(tmp_path / "sound", json.dumps({"a": entry()}).encode(), b"x")
    with Checkpoint(path) as checkpoint:
        assert checkpoint.raw("a").tobytes() == b"x"


@pytest.mark.parametrize("length", [0, 3, 20, MAX_HEADER, MAX_HEADER + 1, 2**31, 2**63, 2**64 - 1])
def test_a_wrong_header_length_is_refused(tmp_path: Path, length: int) -> None:
    path = save_raw(tmp_path / "hostile", json.dumps({"a": entry()}).encode(), b"x", length=length)
    with pytest.raises(CheckpointError, match="hostile: "):
        Checkpoint(path)


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    quantize_file(model(tmp_path / "source"), tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    data = 8 + int.from_bytes(content[:8], "little")
    lengths = {*range(40), *range(40, len(content), 97), *range(data - 10, data + 10), *range(-20, 0)}
    for length in sorted(lengths):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="cut: "):
            inspect_file(tmp_path / "cut")
    (tmp_path / "cut").write_bytes(content + b"x")
    with pytest.raises(CheckpointError, match="cut: "):
        inspect_file(tmp_path / "cut")


def test_a_name_cannot_command_the_terminal(tmp_path: Path) -> None:
    path = save_raw(tmp_path / "a\x1b[2Jb", json.dumps({"t\x1b[2J": entry(dtype="F33")}).encode(), b"x")
    with pytest.raises(CheckpointError) as caught:
        Checkpoint(path)
    assert str(caught.value).isprintable()
    path = save_raw(tmp_path / "hostile", json.dumps({"t\x1b[2J": entry(shape=[2])}).encode(), b"x")
    with pytest.raises(CheckpointError) as caught:
        Checkpoint(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("command", [Checkpoint, inspect_file])
def test_what_cannot_be_read_is_refused(tmp_path: Path, command: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    for name in ("gone", "pipe", "folder", "empty", "empty/under"):
        with pytest.raises(CheckpointError, match=name):
            command(tmp_path / name)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = model(tmp_path / "source")

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("q35ref.checkpoints.reader.open_file", refuse)  # root may read everything
    with pytest.raises(CheckpointError, match=r"source: Permission denied$"):
        inspect_file(source)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float, dtype: str) -> None:
    w = weights(4, 5, dtype="BF16")
    w[2, 3] = value
    source = save(tmp_path / "source", {"a.weight": stored(w, dtype)})
    with pytest.raises(CheckpointError, match=r"source: tensor a\.weight: expected finite .* at \[2, 3\]"):
        quantize_file(source, tmp_path / "t")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_float64_beyond_float32_is_refused(tmp_path: Path) -> None:
    source = save(tmp_path / "source", {"a.weight": stored(np.array([[0, 1e39]]), "F64")})
    with pytest.raises(CheckpointError, match=r"source: tensor a\.weight: .* fit float32, got 1e\+39 at \[0, 1\]"):
        quantize_file(source, tmp_path / "t")


def test_a_column_too_long_for_one_group_is_refused(tmp_path: Path) -> None:
    data = bytes(2 * 2_097_152)
    source = save(tmp_path / "source", {"a.weight": Stored("F16", (1, 2_097_152), data)})
    with pytest.raises(CheckpointError, match=r"source: tensor a\.weight: group_size: .* 2097151 rows"):
        quantize_file(source, tmp_path / "t")
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [("group_size", 5), ("group_size", -16), ("narrow_gain", 3), ("layout", "loose"), ("method", "best"),
     ("orientation", "up")],
)  # fmt: skip
def test_an_illegal_option_is_refused(tmp_path: Path, option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option}: expected"):
        quantize_file(model(tmp_path / "source"), tmp_path / "t", **{option: value})
    with pytest.raises(ValueError, match=r"^dtype: expected"):
        dequantize_file(tmp_path / "source", tmp_path / "t", dtype="F8")


def test_a_plain_file_cannot_be_restored_or_compared(tmp_path: Path) -> None:
    source = model(tmp_path / "source")
    with pytest.raises(CheckpointError, match="source: expected quantized tensors"):
        dequantize_file(source, tmp_path / "t")
    with pytest.raises(CheckpointError, match="source: expected quantized tensors"):
        inspect_file(source, source)
    with Checkpoint(source) as checkpoint, pytest.raises(CheckpointError, match="expected a quantized tensor"):
        checkpoint.read_quantized("first.weight")


def test_an_original_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    source = model(tmp_path / "source")
    quantize_file(source, tmp_path / "t")
    for replacement, problem in (
        (stored(weights(33, 6)), r"expected shape \(6, 33\), got \(33, 6\)"),
        (Stored("I8", (6, 33), bytes(198)), "expected F64, F32, F16, BF16, got I8"),
        (None, "expected it in this file"),
    ):
        tensors, _ = load(source)
        del tensors["first.weight"]
        if replacement is not None:
            tensors["first.weight"] = replacement
        save(tmp_path / "other", tensors)
        with pytest.raises(CheckpointError, match=rf"other: tensor first\.weight: {problem}"):
            inspect_file(tmp_path / "t", tmp_path / "other")


@pytest.mark.parametrize("how", ["same", "link", "hard link", "dotted"])
def test_the_source_is_never_the_destination(tmp_path: Path, how: str) -> None:
    source = model(tmp_path / "source")
    before = source.read_bytes()
    target = {"same": source, "dotted": tmp_path / "." / "x" / ".." / "source"}.get(how, tmp_path / "target")
    (tmp_path / "x").mkdir()
    if how == "link":
        target.symlink_to(source)
    if how == "hard link":
        target.hardlink_to(source)
    with pytest.raises(CheckpointError, match="another file than the source"):
        quantize_file(source, target)
    with pytest.raises(CheckpointError, match="another file than the source"):
        dequantize_file(source, target)
    assert source.read_bytes() == before


def test_a_destination_that_cannot_be_is_refused(tmp_path: Path) -> None:
    source = model(tmp_path / "source")
    (tmp_path / "folder").mkdir()
    for target, problem in (
        (tmp_path / "folder", "folder: expected a regular file or none, got a folder"),
        (tmp_path / "gone" / "t", f"t: no such folder: {tmp_path}/gone"),
        (tmp_path / "gone" / ".." / "source", f"source: no such folder: {tmp_path}/gone/.."),
        (tmp_path / "gone" / ".." / "t", f"t: no such folder: {tmp_path}/gone/.."),
        (source / "t", "t: Not a directory"),
        (Path("/dev/null"), "/dev/null: expected a regular file"),
    ):
        with pytest.raises(CheckpointError, match=problem):
            quantize_file(source, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "source"]


def test_a_file_cut_short_underfoot_is_an_error_and_no_crash(tmp_path: Path) -> None:
    source = model(tmp_path / "source")
    with Checkpoint(source) as checkpoint:
        os.truncate(source, source.stat().st_size - 40)
        checkpoint.raw("first.weight")
        with pytest.raises(CheckpointError, match=r"source: tensor half\.weight: the file was cut short"):
            checkpoint.raw("half.weight")

    source = model(tmp_path / "source")
    (tmp_path / "t").write_bytes(b"old")
    with pytest.raises(CheckpointError, match=r"source: tensor .*: the file was cut short"):
        quantize_file(source, tmp_path / "t", progress=lambda *_: os.truncate(source, source.stat().st_size // 2))
    assert (tmp_path / "t").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "t"]


@pytest.mark.parametrize("command", [quantize_file, dequantize_file])
def test_a_file_changed_underfoot_is_refused(tmp_path: Path, command: Callable[..., object]) -> None:
    source = model(tmp_path / "source")
    if command is dequantize_file:
        quantize_file(source, tmp_path / "quantized")
        source = tmp_path / "quantized"
    with pytest.raises(CheckpointError, match="was changed while it was read"):
        command(source, tmp_path / "t", progress=lambda *_: os.utime(source, ns=(1, 1)))
    assert not (tmp_path / "t").exists()


def test_a_file_replaced_underfoot_is_read_as_it_was_and_refused_in_the_end(tmp_path: Path) -> None:
    source = model(tmp_path / "source")
    other = save(tmp_path / "other", {"x": stored(weights(2, 2))})
    with Checkpoint(source) as checkpoint:
        shutil.move(other, source)
        assert np.array_equal(checkpoint.read_float32("first.weight"), weights(6, 33).astype(np.float32))
        with pytest.raises(CheckpointError, match="source: the file was"):
            checkpoint.check_unchanged()
