"""Quantizing a file, restoring it, and saying what it holds."""

import json
import math
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import q35ref
from q35ref import reference
from q35ref.checkpoints import (
    Checkpoint,
    CheckpointError,
    Orientation,
    dequantize_file,
    inspect_file,
    load_quantized,
    quantize_file,
    select,
)
from q35ref.checkpoints.header import TensorInfo
from q35ref.checkpoints.spans import CHUNK
from q35ref.quality import measure
from q35ref.reference.calibration import METHODS, Method
from q35ref.reference.lanes import LAYOUTS, Layout
from tests.checkpoint_files import FLOATS, Stored, load, model, save, save_raw, stored, weights

PASSED_THROUGH = ("embeddings.word.weight", "first.bias", "ids", "half.weight", "flag", "nothing.weight")


def as_float32(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Round doubles by the reference, number by number."""
    exact = [float(reference.round_float32(Fraction(value))) for value in values.ravel().tolist()]
    return np.array(exact, np.float32).reshape(values.shape)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_file_is_quantized_and_restored(tmp_path: Path, dtype: str) -> None:
    source, target, back = model(tmp_path / "source", dtype), tmp_path / "target", tmp_path / "back"
    records = quantize_file(source, target, group_size=16)
    restored = dequantize_file(target, back)

    before, _ = load(source)
    quantized = safetensors.numpy.load(save_without_float8(target, tmp_path / "plain").read_bytes())
    after, metadata = load(back)
    assert metadata == {"format": "pt", "note": "é\n"}
    assert after.keys() == before.keys()
    for name in PASSED_THROUGH:
        assert after[name] == before[name] == load(target)[0][name]
    assert sorted(record.name for record in records) == ["first.weight", "second.weight"]
    for record in records:
        shape = tuple(before[record.name].shape)
        assert (record.n, record.k, record.shape, record.source_dtype) == (*shape, shape, dtype)
        w = as_float32(weights(*shape, seed=1 if record.name == "first.weight" else 3, dtype=dtype)).T
        expected = q35ref.quantize(w, group_size=16)
        assert np.array_equal(quantized[f"{record.name}.q35_packed"], expected.packed)
        assert np.array_equal(quantized[f"{record.name}.q35_scale"], expected.scale)
        assert np.array_equal(quantized[f"{record.name}.q35_offset"], expected.offset)
        assert record.bits_per_weight == expected.bits_per_weight
        assert record.quality == measure(w, expected)
        assert record.quality.within_bound
        assert after[record.name] == stored(q35ref.dequantize(expected).T.astype(np.float64))
        loaded = load_quantized(target, record.name)
        assert np.array_equal(loaded.packed, expected.packed)
        assert (loaded.k, loaded.n, loaded.group_size) == (record.k, record.n, 16)
    assert {tensor.name: tensor.dtype for tensor in restored} == {"first.weight": "F32", "second.weight": "F32"}


def save_without_float8(path: Path, to: Path) -> Path:
    """Write a file again without what NumPy cannot hold."""
    tensors, metadata = load(path)
    return save(to, {name: tensor for name, tensor in tensors.items() if tensor.dtype != "F8_E4M3"}, metadata)


def test_the_library_reads_what_we_write_and_finds_it_aligned(tmp_path: Path) -> None:
    target = tmp_path / "target"
    quantize_file(model(tmp_path / "source"), target)
    with safetensors.safe_open(target, framework="np") as file:
        assert set(file.keys()) == set(load(target)[0])
        assert file.metadata()["format"] == "pt"
    content = target.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    sizes = {"I64": 8, "F32": 4, "F8_E4M3": 1, "U8": 1, "BOOL": 1}
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["data_offsets"][0] % sizes[entry["dtype"]] == 0, name


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    source = model(tmp_path / "source")
    for name in ("a", "b"):
        quantize_file(source, tmp_path / name, method="clip")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("gain", [1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_every_option_reaches_the_quantizer(tmp_path: Path, layout: Layout, gain: int, method: Method) -> None:
    source = save(tmp_path / "source", {"a.weight": stored(weights(3, 40))})
    [record] = quantize_file(source, tmp_path / "t", layout=layout, narrow_gain=gain, method=method, group_size=32)
    w = weights(3, 40).astype(np.float32).T
    expected = q35ref.quantize(w, layout=layout, narrow_gain=gain, method=method, group_size=32)
    found = load_quantized(tmp_path / "t", "a.weight")
    assert (record.layout, record.narrow_gain, record.method, record.group_size) == (layout, gain, method, 32)
    for part in ("packed", "scale", "offset"):
        assert np.array_equal(getattr(found, part), getattr(expected, part))


@pytest.mark.parametrize("orientation", ["out_in", "in_out"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (20, 33)])
def test_orientation_says_which_side_is_summed(
    tmp_path: Path, shape: tuple[int, int], orientation: Orientation
) -> None:
    source = save(tmp_path / "source", {"a.weight": stored(weights(*shape))})
    [record] = quantize_file(source, tmp_path / "t", orientation=orientation, group_size=16)
    dequantize_file(tmp_path / "t", tmp_path / "back")
    w = weights(*shape).astype(np.float32)
    w = w.T if orientation == "out_in" else w
    assert (record.k, record.n) == w.shape
    expected = q35ref.dequantize(q35ref.quantize(w, group_size=16))
    expected = expected.T if orientation == "out_in" else expected
    assert load(tmp_path / "back")[0]["a.weight"] == stored(expected.astype(np.float64))
    [measured] = inspect_file(tmp_path / "t", source).quantized
    assert measured.document() == record.document()


@pytest.mark.parametrize("dtype", FLOATS)
def test_restoring_to_the_source_dtype_rounds_once(tmp_path: Path, dtype: str) -> None:
    source = save(tmp_path / "source", {"a.weight": stored(weights(4, 20, dtype=dtype), dtype)})
    quantize_file(source, tmp_path / "t")
    for asked in ("source", dtype):
        [tensor] = dequantize_file(tmp_path / "t", tmp_path / "back", dtype=asked)
        assert tensor.dtype == dtype
        with Checkpoint(tmp_path / "back") as checkpoint:
            found = checkpoint.read_float32("a.weight")
        values = q35ref.dequantize(load_quantized(tmp_path / "t", "a.weight")).T
        digits = {"F64": 24, "F32": 24, "F16": 11, "BF16": 8}[dtype]
        mantissa, exponent = np.frexp(values.astype(np.float64))
        assert np.array_equal(found, np.ldexp(np.rint(np.ldexp(mantissa, digits)), exponent - digits))


def test_a_restored_value_that_the_dtype_cannot_hold_is_refused(tmp_path: Path) -> None:
    source = save(tmp_path / "source", {"a.weight": stored(weights(4, 20) * 1e30)})
    quantize_file(source, tmp_path / "t")
    with pytest.raises(CheckpointError, match=r"t: tensor a\.weight: .* fit F16, got .* at \[0, 0\]"):
        dequantize_file(tmp_path / "t", tmp_path / "back", dtype="F16")
    assert not (tmp_path / "back").exists()


def test_weights_at_the_edge_of_float32_are_recorded_and_never_restored_as_infinities(tmp_path: Path) -> None:
    largest = float(np.finfo(np.float32).max)
    source = save(tmp_path / "source", {"a.weight": stored(np.array([[-0.9 * largest, 0, 0, 0, largest]]))})
    [record] = quantize_file(source, tmp_path / "t")
    assert math.isinf(record.quality.worst_error)
    [recorded] = inspect_file(tmp_path / "t").quantized
    assert math.isnan(recorded.quality.worst_error)
    assert recorded.document() == record.document()
    with pytest.raises(CheckpointError, match=r"t: tensor a\.weight: .* fit F32, got inf"):
        dequantize_file(tmp_path / "t", tmp_path / "back")


def test_subnormal_and_constant_weights_are_restored(tmp_path: Path) -> None:
    tiny = np.array([[1e-45, 2e-45, 5e-44, 0.0], [3.5, 3.5, 3.5, 3.5]]).astype(np.float32)
    source = save(tmp_path / "source", {"a.weight": stored(tiny.astype(np.float64))})
    [record] = quantize_file(source, tmp_path / "t")
    dequantize_file(tmp_path / "t", tmp_path / "back")
    restored = np.frombuffer(load(tmp_path / "back")[0]["a.weight"].data, "<f4").reshape(2, 4)
    assert record.quality.within_bound
    assert restored[1].tolist() == [3.5] * 4


def test_a_second_run_adds_to_what_is_quantized(tmp_path: Path) -> None:
    source = model(tmp_path / "source")
    [first] = quantize_file(source, tmp_path / "one", include=["first*"], group_size=16)
    [second] = quantize_file(tmp_path / "one", tmp_path / "two", include=["second*"], layout="byte")
    found = inspect_file(tmp_path / "two")
    assert found.quantized == [first, second]
    assert found.metadata == {"format": "pt", "note": "é\n"}
    parts, _ = load(tmp_path / "one")
    for suffix in (".q35_packed", ".q35_scale", ".q35_offset"):
        name = "first.weight" + suffix
        assert load(tmp_path / "two")[0][name] == parts[name]


def test_inspect_measures_against_an_original(tmp_path: Path) -> None:
    source = model(tmp_path / "source")
    records = quantize_file(source, tmp_path / "t")
    again = inspect_file(tmp_path / "t", source)
    assert again.quantized == records
    assert again.original == str(tmp_path / "source")
    shifted = save(tmp_path / "shifted", {**load(source)[0], "first.weight": stored(weights(6, 33) + 1)})
    other = inspect_file(tmp_path / "t", shifted)
    assert other.quantized[0].quality.rmse == pytest.approx(1, abs=0.1)
    assert not other.quality.within_bound


def test_inspect_adds_up(tmp_path: Path) -> None:
    source = model(tmp_path / "source")
    records = quantize_file(source, tmp_path / "t")
    found = inspect_file(tmp_path / "t")
    assert found.file_bytes == (tmp_path / "t").stat().st_size
    assert sorted(tensor.name for tensor in found.plain) == sorted(PASSED_THROUGH)
    assert found.weights == 6 * 33 + 5
    stored_bytes = sum(len(tensor.data) for name, tensor in load(tmp_path / "t")[0].items() if ".q35_" in name)
    assert found.quantized_bytes == stored_bytes
    assert found.bits_per_weight == Fraction(8 * stored_bytes, 203)
    squares = sum(record.quality.rmse**2 * record.k * record.n for record in records)
    assert found.quality.rmse == pytest.approx(math.sqrt(squares / 203))
    assert found.quality.worst_error == max(record.quality.worst_error for record in records)


def test_a_plain_file_is_inspected(tmp_path: Path) -> None:
    found = inspect_file(model(tmp_path / "source"))
    assert len(found.plain) == 8
    assert not found.quantized
    assert found.bits_per_weight == 0
    assert not found.quality.within_bound
    json.dumps(found.document(), allow_nan=False)


def test_a_file_without_any_tensor_is_read(tmp_path: Path) -> None:
    for header in (b"{}", b'{"__metadata__":{}}', b'{"__metadata__":null}'):
        assert inspect_file(save_raw(tmp_path / "empty", header)).plain == []


def test_progress_is_reported_in_bytes_of_the_source(tmp_path: Path) -> None:
    source = model(tmp_path / "source", "F16")
    total = sum(len(tensor.data) for tensor in load(source)[0].values())
    heard: list[tuple[str, int, int]] = []
    quantize_file(source, tmp_path / "t", progress=lambda *words: heard.append(words))
    assert heard[0] == ("first.weight", 0, total)
    assert heard[1] == ("second.weight", 6 * 33 * 2, total)
    assert heard[-1] == ("", total, total)
    assert [done for _, done, _ in heard] == sorted(done for _, done, _ in heard)


def test_memory_is_bounded_by_the_largest_tensor(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        tensors = {f"{i}.weight": stored(weights(256, 256, seed=i)) for i in range(count)}
        tensors |= {f"{i}.bias": Stored("U8", (1 << 20,), bytes(1 << 20)) for i in range(count)}
        source = save(tmp_path / "source", tensors)
        del tensors
        tracemalloc.start()
        quantize_file(source, tmp_path / "t")
        dequantize_file(tmp_path / "t", tmp_path / "back")
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    few, many = peak(2), peak(12)
    assert many < 1.2 * few


EMBEDDINGS = ["bert.embeddings.word_embeddings.weight", "model.embed_tokens.weight", "transformer.wte.weight",
              "wpe.weight", "shared.weight"]  # fmt: skip


def test_by_default_linear_matrices_are_selected_and_embeddings_are_not() -> None:
    linear = ["lm_head.weight", "encoder.layer.0.attention.self.query.weight", "pooler.dense.weight"]
    infos = [TensorInfo(name, "BF16", (8, 8)) for name in linear + EMBEDDINGS]
    infos += [TensorInfo("norm.weight", "BF16", (8,)), TensorInfo("conv.weight", "F32", (8, 8, 3, 3))]
    infos += [TensorInfo("codes.weight", "I8", (8, 8)), TensorInfo("matrix", "F32", (8, 8))]
    assert [info.name for info in select(infos)] == linear


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 5, 2 * CHUNK, 3 * CHUNK + 1])
def test_tensors_of_any_length_pass_through(tmp_path: Path, size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    tensors = {"bytes": Stored("U8", (size,), data), "a.weight": stored(weights(2, 2))}
    quantize_file(save(tmp_path / "s", tensors), tmp_path / "t")
    assert load(tmp_path / "t")[0]["bytes"] == tensors["bytes"]
    with Checkpoint(tmp_path / "s") as checkpoint:
        assert checkpoint.raw("bytes").tobytes() == data


def test_globs_choose(tmp_path: Path) -> None:
    infos = [TensorInfo(name, "F32", (2, 2)) for name in ("a.weight", "A.weight", "b.weight", "embed", "x[0]")]
    assert [info.name for info in select(infos, ["*"], [])] == ["a.weight", "A.weight", "b.weight", "embed", "x[0]"]
    assert [info.name for info in select(infos, ["a*", "b*"], ["b*"])] == ["a.weight"]
    assert [info.name for info in select(infos, ["*"], [""])] == [info.name for info in infos]
    source = model(tmp_path / "source")
    records = quantize_file(source, tmp_path / "t", include=["*"], exclude=["first*"])
    assert sorted(record.name for record in records) == ["embeddings.word.weight", "second.weight"]


def test_an_include_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    source = model(tmp_path / "source")
    for include in (["first.weight", "frist*"], ["first.bias"], ["half*"], ["nothing*"]):
        with pytest.raises(CheckpointError, match=f"include {include[-1]!r}".replace("*", r"\*")):
            quantize_file(source, tmp_path / "t", include=include)
    for include, exclude in ((["*"], ["*"]), ([], [])):
        with pytest.raises(CheckpointError, match="at least one float matrix"):
            quantize_file(source, tmp_path / "t", include=include, exclude=exclude)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
