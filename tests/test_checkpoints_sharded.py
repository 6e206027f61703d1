"""Checkpoints in several files: quantized shard by shard, restored, inspected; a folder appears whole or not at all."""

import json
import os
from pathlib import Path

import pytest
import safetensors
from click.testing import CliRunner, Result

from q35ref.atomic_folder import open_folder
from q35ref.checkpoints import CheckpointError, dequantize_file, inspect_file, quantize_file
from q35ref.cli import main
from tests.checkpoint_files import FLOATS, load, stored, weights
from tests.sharded_files import INDEX, digests, save_shards, shard_name, sharded_model

SHARDS = [shard_name(number, 3) for number in range(3)]

QUANTIZED = ["first.weight", "second.weight", "third.weight"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_each_shard_is_what_the_file_alone_would_be(tmp_path: Path) -> None:
    source, target = sharded_model(tmp_path / "source"), tmp_path / "target"
    records = quantize_file(source, target, group_size=16)
    assert [record.name for record in records] == QUANTIZED
    assert sorted(path.name for path in target.iterdir()) == [*SHARDS, INDEX]
    for name in SHARDS[:2]:
        quantize_file(source / name, tmp_path / "alone", group_size=16)
        assert (target / name).read_bytes() == (tmp_path / "alone").read_bytes()
    before, after = load(source / SHARDS[2]), load(target / SHARDS[2])
    assert after == before, "a shard without anything to quantize keeps its tensors and says nothing more"


def test_the_new_index_lists_what_is_stored(tmp_path: Path) -> None:
    source, target = sharded_model(tmp_path / "source"), tmp_path / "target"
    quantize_file(source / INDEX, target)
    index = json.loads((target / INDEX).read_text())
    stored_in: dict[str, str] = {}
    size = 0
    for name in SHARDS:
        with safetensors.safe_open(target / name, framework="np") as file:
            stored_in |= dict.fromkeys(file.keys(), name)
        size += sum(len(tensor.data) for tensor in load(target / name)[0].values())
    assert index == {"metadata": {"total_size": size, "note": "é"}, "weight_map": stored_in}
    assert stored_in["second.weight.q35_packed"] == SHARDS[1]


@pytest.mark.parametrize("dtype", FLOATS)
def test_shards_are_restored(tmp_path: Path, dtype: str) -> None:
    source, target, back = sharded_model(tmp_path / "source", dtype), tmp_path / "target", tmp_path / "back"
    records = quantize_file(source, target, group_size=16)
    restored = dequantize_file(target, back, dtype="source")
    assert [tensor.name for tensor in restored] == QUANTIZED
    assert json.loads((back / INDEX).read_text()) == json.loads((source / INDEX).read_text())
    for name in SHARDS:
        before, after = load(source / name), load(back / name)
        assert after[1] == before[1]
        assert after[0].keys() == before[0].keys()
        for tensor in before[0]:
            assert after[0][tensor].shape == before[0][tensor].shape
            assert after[0][tensor].dtype == before[0][tensor].dtype
            if tensor not in QUANTIZED:
                assert after[0][tensor] == before[0][tensor]
    for name in SHARDS[:2]:
        dequantize_file(target / name, tmp_path / "alone", dtype="source")
        assert (back / name).read_bytes() == (tmp_path / "alone").read_bytes()
    assert inspect_file(target).quantized == records


def test_inspect_adds_up_over_shards_and_measures_against_an_original(tmp_path: Path) -> None:
    source, target = sharded_model(tmp_path / "source"), tmp_path / "target"
    records = quantize_file(source, target)
    found = inspect_file(target)
    assert found.file_bytes == sum((target / name).stat().st_size for name in SHARDS)
    assert found.metadata == {"format": "pt"}, "what shards say differently is no shard's"
    assert [tensor.name for tensor in found.plain if tensor.name in QUANTIZED] == []
    assert len(found.plain) == 5
    assert found.weights == sum(record.k * record.n for record in records)
    assert inspect_file(target, source).quantized == records
    assert inspect_file(target / SHARDS[0], source).quantized == records[:1]
    with pytest.raises(CheckpointError, match=r"tensor second\.weight: expected it in this file, found none"):
        inspect_file(target, source / SHARDS[0])


def test_globs_choose_over_all_shards(tmp_path: Path) -> None:
    source = sharded_model(tmp_path / "source")
    assert [record.name for record in quantize_file(source, tmp_path / "t", include=["third*"])] == ["third.weight"]
    again = quantize_file(tmp_path / "t", tmp_path / "u", include=["*.weight"], layout="byte")
    assert [record.name for record in again] == ["first.weight", "second.weight"]
    assert sorted(record.name for record in inspect_file(tmp_path / "u").quantized) == QUANTIZED
    with pytest.raises(CheckpointError, match=r"source: include 'fourth\*'"):
        quantize_file(source, tmp_path / "v", include=["*.weight", "fourth*"])


def test_progress_counts_the_bytes_of_all_shards(tmp_path: Path) -> None:
    source = sharded_model(tmp_path / "source")
    total = sum(len(tensor.data) for name in SHARDS for tensor in load(source / name)[0].values())
    heard: list[tuple[str, int, int]] = []
    quantize_file(source, tmp_path / "t", progress=lambda *words: heard.append(words))
    assert heard[0] == ("first.weight", 0, total)
    assert heard[-1] == ("", total, total)
    assert len(heard) == 9
    assert [done for _, done, _ in heard] == sorted(done for _, done, _ in heard)


def test_the_commands_take_folders(tmp_path: Path) -> None:
    source = sharded_model(tmp_path / "source", "BF16")
    quantized = run("quantize", source, tmp_path / "t", "--group-size", 16)
    assert (quantized.exit_code, quantized.stderr) == (0, "")
    assert "2,123 weights in 3 tensors" in quantized.stdout
    inspected = run("inspect", tmp_path / "t", "--original", source)
    assert inspected.exit_code == 0
    assert f"{tmp_path}/t: {sum((tmp_path / 't' / name).stat().st_size for name in SHARDS):,} bytes" in inspected.stdout
    restored = run("dequantize", tmp_path / "t", tmp_path / "back", "--dtype", "source")
    assert (restored.exit_code, restored.stdout) == (0, f"{tmp_path}/back: 3 tensors restored\n")
    refused = run("quantize", source, tmp_path / "t")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == f"Error: {tmp_path}/t: holds files that would be lost; it is left as it is\n"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError, MemoryError])
def test_a_run_that_ends_early_leaves_no_folder(tmp_path: Path, kind: type[BaseException]) -> None:
    source = sharded_model(tmp_path / "source")

    def stop(name: str, done: int, total: int) -> None:
        if name == "third.weight":
            assert len(list(tmp_path.glob(".target.*.q35tmp/*.safetensors"))) == 3
            raise kind

    with pytest.raises((kind, CheckpointError)):
        quantize_file(source, tmp_path / "target", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_of_two_runs_to_one_folder_the_second_is_refused_after_its_work(tmp_path: Path) -> None:
    source, target = sharded_model(tmp_path / "source"), tmp_path / "target"
    quantize_file(source, tmp_path / "expected", group_size=16)

    def overtake(name: str, done: int, total: int) -> None:
        if not name:
            assert done == total
            quantize_file(source, target, group_size=16)

    with pytest.raises(CheckpointError, match="target: holds files that would be lost; it is left as it is"):
        quantize_file(source, target, progress=overtake)
    assert digests(target) == digests(tmp_path / "expected")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "source", "target"]


def test_a_shard_changed_underfoot_is_refused(tmp_path: Path) -> None:
    source = sharded_model(tmp_path / "source")

    def touch(name: str, done: int, total: int) -> None:
        if not name:  # after the last read, before the files take their place
            os.utime(source / SHARDS[0], ns=(1, 1))

    with pytest.raises(CheckpointError, match=f"{SHARDS[0]}: the file was changed while it was read"):
        quantize_file(source, tmp_path / "target", progress=touch)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_full_disk_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, start: int, size: int) -> None:
        raise OSError(28, "no room")

    heard: list[str] = []
    monkeypatch.setattr("os.posix_fallocate", refuse)
    with pytest.raises(CheckpointError, match="target: disk full"):
        quantize_file(sharded_model(tmp_path / "source"), tmp_path / "target", progress=lambda *_: heard.append("x"))
    assert heard == []
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_the_folder_of_a_dead_run_is_removed_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    source = save_shards(tmp_path / "source", [{"a.weight": stored(weights(2, 2))}])
    dead = tmp_path / ".target.01234567.q35tmp"
    dead.mkdir()
    (dead / "half").write_bytes(b"1")
    other = tmp_path / ".target.notours.q35tmp"
    other.mkdir()
    with open_folder(tmp_path / "target", lambda found: False) as living:
        assert not dead.exists()
        quantize_file(source, tmp_path / "target")
        assert living.exists()
        expected = digests(tmp_path / "target")
        with pytest.raises(FileExistsError, match="holds files"), open_folder(tmp_path / "target", lambda found: False):
            pass
        (living / "late").write_bytes(b"1")
        for path in (tmp_path / "target").iterdir():
            path.unlink()
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["late"]
    assert len(expected) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "source", "target"]


def test_an_error_of_the_block_is_the_callers_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="mine"), open_folder(tmp_path / "target", lambda found: False):
        raise FileNotFoundError("mine")
    assert list(tmp_path.iterdir()) == []
