"""What fuzzing has found in the readers, each with the smallest input that shows it."""

import hashlib
import json
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from q35ref import vectors
from q35ref.checkpoints import Checkpoint, CheckpointError, inspect_file, quantize_file
from q35ref.checkpoints.index import read_index
from q35ref.oracle import check
from q35ref.oracle.call_files import document, load, restored, text, written
from q35ref.oracle.foreign.observe import read_answer
from q35ref.oracle.foreign.wire import LENGTH, receive
from q35ref.oracle.problem import Problem
from q35ref.oracle.replay import replay_vectors
from q35ref.oracle.targets import resolve
from q35ref.oracle.vector import from_problem
from q35ref.vectors import DIGESTS, VectorFileError
from tests.checkpoint_files import Stored, save, save_raw
from tests.memory_peak import peak

ALLOWANCE = 2 << 20
"""Bytes beside twice a file's: pieces of a tensor, the header's objects."""


# Safetensors files


def test_a_name_as_long_as_the_file_is_cut_in_the_message(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", {"x" * 100_000: Stored("U8", (1,), b"1")})
    with Checkpoint(path) as checkpoint, pytest.raises(CheckpointError) as refused:
        checkpoint.read_float32("x" * 100_000)
    assert len(str(refused.value)) < 1000
    assert str(refused.value).endswith("got U8")


def test_a_short_index_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text('{"weight_map": {"a": "a.safetensors"}}')
    assert read_index(path).shards == {"a.safetensors": {"a"}}
    assert peak(lambda: read_index(path)) < 1 << 20


@pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1])
def test_a_length_that_no_array_can_have_is_refused(length: int, tmp_path: Path) -> None:
    header = {"a": {"dtype": "F32", "shape": [0, length], "data_offsets": [0, 0]}}
    path = save_raw(tmp_path / "a.safetensors", json.dumps(header).encode())
    with Checkpoint(path) as checkpoint, pytest.raises(CheckpointError, match="tensor a: expected a shape"):
        checkpoint.read_float32("a")


@pytest.mark.parametrize("layout", ["dense", "byte"])
def test_checking_a_file_takes_no_more_memory_than_twice_the_file(tmp_path: Path, layout: Any) -> None:
    """The odd last row's field was looked at after all codes had been unpacked: 16 bytes for 7."""
    weights = np.zeros((1024, 4095), "<f4")
    source, target = tmp_path / "a.safetensors", tmp_path / "q.safetensors"
    save(source, {"a.weight": Stored("F32", weights.shape, weights.tobytes())})
    quantize_file(source, target, layout=layout)
    assert peak(lambda: inspect_file(target)) <= 2 * target.stat().st_size + ALLOWANCE


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_reading_a_tensor_takes_no_more_memory_than_twice_the_file(tmp_path: Path, dtype: str) -> None:
    size = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}[dtype]
    path = save(tmp_path / "a.safetensors", {"a": Stored(dtype, (1 << 22,), bytes(size << 22))})
    with Checkpoint(path) as checkpoint:
        assert peak(lambda: checkpoint.read_float32("a")) <= 2 * path.stat().st_size + ALLOWANCE


@pytest.mark.parametrize("layout", ["dense", "byte"])
@pytest.mark.parametrize("k", [1, 3, 15, 17, 31, 33])
def test_a_field_after_the_last_row_is_still_seen(tmp_path: Path, layout: Any, k: int) -> None:
    """Every odd number of rows ends at another bit."""
    weights = np.arange(3 * k, dtype="<f4").reshape(3, k)
    source, target = tmp_path / "a.safetensors", tmp_path / "q.safetensors"
    save(source, {"a.weight": Stored("F32", weights.shape, weights.tobytes())})
    quantize_file(source, target, layout=layout)
    content = bytearray(target.read_bytes())
    with Checkpoint(target) as checkpoint:
        packed = checkpoint.tensors["a.weight.q35_packed"]
        checkpoint.read_quantized("a.weight")
    begin = len(content) - checkpoint.file_bytes + 8 + struct.unpack("<Q", content[:8])[0] + packed.start
    width = packed.shape[1]
    bit = (k // 2) * (7 if layout == "dense" else 8)
    for field_bit in range(3):
        changed = bytearray(content)
        changed[begin + width + (bit + field_bit) // 8] ^= 1 << (bit + field_bit) % 8  # of the second column
        target.write_bytes(changed)
        with Checkpoint(target) as checkpoint, pytest.raises(CheckpointError, match="the field after the last"):
            checkpoint.read_quantized("a.weight")


# Vector files


def sealed(folder: Path, operation: str, change: Callable[[Any], object]) -> Path:
    """Write the first case of an operation's committed vectors, changed, with its digest."""
    changed = json.loads((vectors.committed_directory() / f"{operation}.json").read_bytes())
    changed |= {"cases": changed["cases"][:1], "case_count": 1}
    change(changed)
    data = json.dumps(changed).encode()
    folder.mkdir(exist_ok=True)
    path = folder / f"{operation}.json"
    path.write_bytes(data)
    (folder / DIGESTS).write_text(f"{hashlib.sha256(data).hexdigest()}  {path.name}\n")
    return path


def set_input(name: str, value: Any) -> Callable[[Any], None]:
    """Return a change of one input of the first case."""

    def change(content: Any) -> None:
        content["cases"][0]["inputs"][name] = value

    return change


@pytest.mark.parametrize(
    ("operation", "name", "value", "message"),
    [
        ("quantize", "weight", [1, 500, "7f800000"], "expected the value of a float32"),
        ("quantize", "weight", [1, 10**6, "7f800000"], "math range error"),
        ("accumulate", "rows", 1 << 40, "rows: expected maximum 2097151"),
    ],
)
def test_a_number_that_nothing_can_hold_is_refused(
    operation: str, name: str, value: Any, message: str, tmp_path: Path
) -> None:
    path = sealed(tmp_path, operation, set_input(name, value))
    with pytest.raises(VectorFileError, match=message):
        list(replay_vectors(resolve("numpy"), path))


@pytest.mark.parametrize(
    ("operation", "name", "value", "message"),
    [
        ("quantize", "weight", [1, 10**6, "7f800000"], "inputs: math range error"),
        ("accumulate", "rows", 1 << 40, "rows: expected maximum 2097151"),
        ("group_rows", "k", 1 << 40, "k: expected at most"),
    ],
)
def test_the_reference_is_not_asked_for_what_nothing_can_hold(
    operation: str, name: str, value: Any, message: str, tmp_path: Path
) -> None:
    path = sealed(tmp_path, operation, set_input(name, value))
    with pytest.raises(VectorFileError, match=message):
        list(vectors.replay([operation], directory=path.parent))


def test_patterns_of_few_bytes_cannot_take_all_memory(tmp_path: Path) -> None:
    def repeat(content: Any) -> None:
        case = content["cases"][0]
        case["inputs"]["rows"] = 2097151
        content |= {"cases": [case] * 500, "case_count": 500}

    path = sealed(tmp_path, "accumulate", repeat)
    with pytest.raises(VectorFileError, match="in all cases"):
        list(replay_vectors(resolve("numpy"), path))


def test_a_key_cannot_command_the_terminal(tmp_path: Path) -> None:
    path = sealed(tmp_path, "pack_pair", lambda content: content.update({"\x1b[2J\n\ud800" + 10_000 * "x": 1}))
    with pytest.raises(VectorFileError) as refused:
        list(replay_vectors(resolve("numpy"), path))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1000
    assert "not allowed" in str(refused.value)


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    folder.mkdir()
    (folder / DIGESTS).write_bytes(b"0" * 64 + b"  \0.json\n")
    with pytest.raises(VectorFileError, match="cannot be read: embedded null byte"):
        list(replay_vectors(resolve("numpy"), folder))


def test_an_array_in_a_file_takes_little_more_memory_than_its_digits() -> None:
    """Each number used to be an object of 50 bytes and more."""
    form = written(np.zeros((1 << 9, 1 << 9), np.int8))
    digits = len(form["hex"]) + len(form["decimal"])
    assert peak(lambda: restored(form, "a")) <= digits + ALLOWANCE


def test_reading_whole_calls_takes_little_more_memory_than_twice_the_file(tmp_path: Path) -> None:
    q = np.zeros((1024, 256), np.int8)
    found = [from_problem("calls/pack/pack/0", Problem("pack", len(q), {"q": q}, "dense"))]
    data = text(document("pack", 1, 1, found)).encode()
    (tmp_path / "pack.json").write_bytes(data)
    (tmp_path / DIGESTS).write_text(f"{hashlib.sha256(data).hexdigest()}  pack.json\n")
    assert peak(lambda: load(tmp_path / "pack.json")) <= 2 * len(data) + ALLOWANCE


@pytest.mark.parametrize("change", [("00 00", "0000 "), ("00 00", "00_00"), ("00", "0 0")])
def test_digits_out_of_place_are_refused(change: tuple[str, str]) -> None:
    form = written(np.zeros((2, 3), np.int8))
    form["hex"] = form["hex"].replace(*change, 1)
    with pytest.raises(ValueError, match=r"a\.hex"):
        restored(form, "a")


@pytest.mark.parametrize("count", [1, 4095, 4096, 4097, 8192, 9000])
def test_decimals_are_compared_to_the_last(count: int) -> None:
    array = np.arange(count, dtype=np.int32)
    form = written(array)
    assert (restored(form, "a") == array).all()
    for wrong in (form["decimal"] + " 0", form["decimal"][:-1] + "x", form["decimal"][:-1], " " + form["decimal"]):
        with pytest.raises(ValueError, match="differs"):
            restored({**form, "decimal": wrong}, "a")


# Messages of a kernel's process


@pytest.mark.parametrize(
    "said",
    [
        b'{"map": 3}',
        b'{"map": {"a": {"array": ["int8", [Infinity], ""]}}}',
        b'{"map": {"a": {"array": ["int8", [1e300], ""]}}}',
        b'{"map": {"a": {"array": ["int8", 1, ""]}}}',
        b'{"map": {"a": {"array": [{}, [1], ""]}}}',
        b'{"map": {"a": {"tuple": 1}}}',
        b'{"list": []}',
    ],
)
def test_a_message_that_is_none_is_refused(said: bytes) -> None:
    with pytest.raises(ValueError, match="message"):
        receive(BytesIO(LENGTH.pack(len(said)) + said))


ANSWER: dict[str, Any] = {"inputs": ["q"], "outputs": [], "optional": [], "faults": [], "raised": None, "result": None}


@pytest.mark.parametrize(
    "change",
    [{"inputs": 1}, {"outputs": [1]}, {"faults": None}, {"faults": [["a"]]}, {"faults": [[1, 2, 3, 4]]}, {"raised": 1}],
)
def test_an_answer_that_no_worker_writes_is_refused(change: dict[str, Any]) -> None:
    assert read_answer(ANSWER)[0].inputs == ("q",)
    with pytest.raises(ValueError, match=next(iter(change))):
        read_answer({**ANSWER, **change})
    with pytest.raises(ValueError, match="expected result in it"):
        read_answer({name: value for name, value in ANSWER.items() if name != "result"})


FORGER = """
import os, struct, sys
class Kernel:
    def unpack(self, packed, k, layout):
        text = TEXT
        os.write(int(sys.argv[2]), struct.pack("<Q", len(text)) + text)
"""


@pytest.mark.parametrize("said", [b'{"map": {}}', b'{"map": {"a": {"array": ["int8", [1e300], ""]}}}'])
def test_a_kernel_that_forges_answers_is_a_finding(
    said: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "forger.py").write_text(FORGER.replace("TEXT", repr(said)))
    monkeypatch.chdir(tmp_path)
    report = check("python:forger:Kernel", only="unpack.*")
    assert report.exit_status == 1
    assert {finding.kind for result in report.failures for finding in result.findings} <= {"exit", "crash"}
