"""Indexes of checkpoints in several files: what is wrong, or leads out of the folder, is refused in one line."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from q35ref.checkpoints import CheckpointError, dequantize_file, inspect_file, quantize_file
from q35ref.checkpoints import index as index_module
from tests.checkpoint_files import Stored, load, model, save, stored, weights
from tests.sharded_files import INDEX, save_shards, shard_name, sharded_model, write_index

FIRST, SECOND, THIRD = (shard_name(number, 3) for number in range(3))


def mapped(**others: object) -> dict[str, object]:
    """Return a sound weight map with some entries of another kind."""
    sound: dict[str, object] = {
        **dict.fromkeys(["first.weight", "embeddings.word.weight", "ids"], FIRST),
        **dict.fromkeys(["first.bias", "second.weight", "third.weight"], SECOND),
        **dict.fromkeys(["half.weight", "flag"], THIRD),
    }
    return {**sound, **others}


def but(name: str) -> dict[str, object]:
    """Return a sound weight map without a tensor."""
    return {key: shard for key, shard in mapped().items() if key != name}


PLAIN = "tensor flag: expected its shard to be the plain name of a .safetensors file, got "

LONG = "tensor flag: expected the name of its shard to have at most 255 bytes, got "

SOUND = json.dumps({"weight_map": mapped()}).encode()[1:]

HOSTILE: dict[str, tuple[Any, str]] = {
    "not JSON": (b'{"weight_map":', "not JSON"),
    "not UTF-8": (b'{"weight_map": {"\xff": "a"}}', "'utf-8' codec can't decode"),
    "empty": (b"", "not JSON"),
    "deeply nested": (b'{"weight_map":' + b"[" * 100_000, "nested too deeply"),
    "duplicate tensor": (b'{"weight_map": {"a": "a.safetensors", "a": "b.safetensors"}}', "duplicate key 'a'"),
    "duplicate weight_map": (b'{"weight_map": {}, "weight_map": {}}', "duplicate key 'weight_map'"),
    "NaN": (b'{"weight_map": {"a": NaN}}', "not JSON: NaN"),
    "endless number": (b'{"weight_map": ' + b"9" * 5000 + b"}", "digits"),
    "a list": ([], "index: expected a JSON object"),
    "no weight_map": ({"metadata": {}}, "index: expected weight_map to be an object"),
    "empty weight_map": ({"weight_map": {}}, "index: expected weight_map to be an object that names at least one"),
    "weight_map a list": ({"weight_map": [FIRST]}, "index: expected weight_map to be an object"),
    "metadata a list": ({"metadata": [], "weight_map": mapped()}, "index: expected metadata to be an object"),
    "metadata null": ({"metadata": None, "weight_map": mapped()}, "index: expected metadata to be an object"),
    "shard a number": ({"weight_map": mapped(flag=1)}, PLAIN + "1"),
    "shard null": ({"weight_map": mapped(flag=None)}, PLAIN + "None"),
    "shard a list": ({"weight_map": mapped(flag=[THIRD])}, PLAIN),
    "shard empty": ({"weight_map": mapped(flag="")}, PLAIN + "''"),
    "up and down": ({"weight_map": mapped(flag=f"../source/{THIRD}")}, PLAIN),
    "dots": ({"weight_map": mapped(flag="..")}, PLAIN),
    "in a folder": ({"weight_map": mapped(flag=f"x/{THIRD}")}, PLAIN),
    "backslashes": ({"weight_map": mapped(flag=f"..\\{THIRD}")}, PLAIN),
    "absolute": ({"weight_map": mapped(flag=f"/{THIRD}")}, PLAIN),
    "hidden": ({"weight_map": mapped(flag=".safetensors")}, PLAIN),
    "hidden too": ({"weight_map": mapped(flag=f".{THIRD}")}, PLAIN),
    "a zero byte": ({"weight_map": mapped(flag="a\0.safetensors")}, PLAIN),
    "a line break": ({"weight_map": mapped(flag="a\n.safetensors")}, PLAIN),
    "another kind of file": ({"weight_map": mapped(flag="config.json")}, PLAIN),
    "a very long name": ({"weight_map": mapped(flag="a" * 244 + ".safetensors")}, LONG + "256: 'aaa"),
    "a name of many bytes": ({"weight_map": mapped(flag="é" * 122 + ".safetensors")}, LONG + "256: 'ééé"),
    "a great number": (b'{"metadata": {"e": 1e999}, ' + SOUND, "expected a number that float64 holds, got 1e999"),
    "a number below it": (b'{"other": [-1e999], ' + SOUND, "expected a number that float64 holds, got -1e999"),
    "half character": (b'{"metadata": {"e": "\\ud800"}, ' + SOUND, r"not Unicode: half of a surrogate pair, '\ud800'"),
    "half a key": (b'{"other": [{"\\uDC00": 1}], ' + SOUND, r"not Unicode: half of a surrogate pair, '\udc00'"),
    "shard missing": ({"weight_map": mapped(flag="gone.safetensors")}, "expected the shard gone.safetensors beside it"),
    "tensor absent": ({"weight_map": mapped(more=SECOND)}, f"tensor more: expected it in {SECOND}, found none"),
    "tensor elsewhere": ({"weight_map": mapped(flag=SECOND)}, f"tensor flag: expected it in {SECOND}, found none"),
    "tensor not listed": ({"weight_map": but("ids")}, "tensor ids: expected it to be listed in the index, got it"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_index_is_refused(tmp_path: Path, name: str) -> None:
    document, problem = HOSTILE[name]
    folder = sharded_model(tmp_path / "source")
    path = write_index(folder, document)
    with pytest.raises(CheckpointError) as caught:
        inspect_file(path)
    words = str(caught.value)
    assert words.startswith(f"{path}: ")
    assert problem in words
    assert words.isprintable()
    with pytest.raises(CheckpointError):
        quantize_file(folder, tmp_path / "target")
    assert [found.name for found in tmp_path.iterdir()] == ["source"]


def test_the_frame_of_the_hostile_indexes_is_sound(tmp_path: Path) -> None:
    folder = sharded_model(tmp_path / "source")
    assert len(inspect_file(write_index(folder, {"weight_map": mapped()})).plain) == 8
    assert json.loads((folder / INDEX).read_text())["weight_map"] == mapped()


def test_what_only_looks_like_half_a_character_is_kept(tmp_path: Path) -> None:
    folder = sharded_model(tmp_path / "source")
    write_index(folder, rb'{"metadata": {"a": "\ud83d\ude00", "b": "\\ud800", "e": 1e308}, ' + SOUND)
    quantize_file(folder, tmp_path / "target")
    metadata = json.loads((tmp_path / "target" / INDEX).read_text())["metadata"]
    assert (metadata["a"], metadata["b"], metadata["e"]) == ("\U0001f600", r"\ud800", 1e308)


def test_the_longest_name_of_a_shard_is_read_and_written(tmp_path: Path) -> None:
    folder = sharded_model(tmp_path / "source")
    longest = "é" * 121 + "a.safetensors"
    (folder / THIRD).rename(folder / longest)
    write_index(folder, {"weight_map": mapped(**{"half.weight": longest, "flag": longest})})
    quantize_file(folder, tmp_path / "target")
    assert load(tmp_path / "target" / longest) == load(folder / longest)


def test_a_shard_that_cannot_be_looked_at_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system whose names are shorter."""
    folder, real = sharded_model(tmp_path / "source"), Path.exists

    def refuse(path: Path) -> bool:
        if path.name == SECOND:
            raise OSError(36, "File name too long", str(path))
        return real(path)

    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(CheckpointError) as caught:
        inspect_file(folder)
    assert str(caught.value) == f"{folder / INDEX}: shard {SECOND}: File name too long"


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    twice = {"a.weight": stored(weights(2, 2))}
    folder = save_shards(tmp_path / "source", [twice, {**twice, "b.weight": stored(weights(2, 2))}])
    one, two = (shard_name(number, 2) for number in range(2))
    with pytest.raises(CheckpointError, match=rf"json: tensor b\.weight: expected it in {one}, found none"):
        inspect_file(write_index(folder, {"weight_map": {"a.weight": one, "b.weight": one}}))
    with pytest.raises(CheckpointError, match=rf"tensor a\.weight: expected it in {one} alone, .* got it in {two}"):
        inspect_file(write_index(folder, {"weight_map": {"a.weight": one, "b.weight": two}}))


def test_a_tensor_that_is_quantized_in_one_shard_alone_is_refused(tmp_path: Path) -> None:
    shards = [{"a.weight": stored(weights(2, 2))}, {"b.weight": stored(weights(2, 2))}]
    folder = save_shards(tmp_path / "source", shards)
    quantize_file(folder, tmp_path / "target")
    one, two = (shard_name(number, 2) for number in range(2))
    save(tmp_path / "target" / two, {"a.weight": stored(weights(2, 2))})
    document = json.loads((tmp_path / "target" / INDEX).read_text())
    kept = {name: shard for name, shard in document["weight_map"].items() if shard == one}
    write_index(tmp_path / "target", {"weight_map": {**kept, "a.weight": two}})
    for command in (inspect_file, lambda path: dequantize_file(path, tmp_path / "back")):
        with pytest.raises(CheckpointError, match=r"target: tensor a\.weight: expected it quantized or not, got both"):
            command(tmp_path / "target")


def test_an_index_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sharded_model(tmp_path / "source")
    length = (folder / INDEX).stat().st_size
    monkeypatch.setattr(index_module, "MAX_INDEX", length)
    inspect_file(folder)
    monkeypatch.setattr(index_module, "MAX_INDEX", length - 1)
    with pytest.raises(CheckpointError, match=f"index: expected at most {length - 1} bytes"):
        inspect_file(folder)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = sharded_model(tmp_path / "source")
    outside = tmp_path / "outside.safetensors"
    (folder / SECOND).rename(outside)
    (folder / SECOND).symlink_to(outside)
    with pytest.raises(CheckpointError, match=rf"expected the shard {SECOND} in its folder, got a link to {outside}"):
        quantize_file(folder, tmp_path / "target")
    outside.rename(folder / "inside.safetensors")
    (folder / SECOND).unlink()
    (folder / SECOND).symlink_to("inside.safetensors")
    quantize_file(folder, tmp_path / "target")


def test_the_cache_of_the_hub_consists_of_links_and_is_read(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "model" / "snapshots" / "0123abcd", tmp_path / "model" / "blobs"
    snapshot.parent.mkdir(parents=True)
    blobs.mkdir()
    sharded_model(snapshot)
    for number, path in enumerate(sorted(snapshot.iterdir())):
        path.rename(blobs / str(number))
        path.symlink_to(Path("..", "..", "blobs", str(number)))
    assert len(quantize_file(snapshot, tmp_path / "target")) == 3
    (snapshot / FIRST).unlink()
    (tmp_path / "model" / "outside").write_bytes((blobs / "0").read_bytes())
    (snapshot / FIRST).symlink_to(Path("..", "..", "outside"))
    with pytest.raises(CheckpointError, match=f"expected the shard {FIRST} in its folder"):
        inspect_file(snapshot)


@pytest.mark.parametrize("command", [inspect_file, lambda path: quantize_file(path, path.parent / "target")])
def test_a_folder_must_hold_one_index(tmp_path: Path, command: Callable[[Path], object]) -> None:
    folder = sharded_model(tmp_path / "source")
    (folder / f"other{INDEX}").write_bytes(b"{}")
    with pytest.raises(CheckpointError, match=r"source: expected one \*\.safetensors\.index\.json .* got model"):
        command(folder)
    for path in list(folder.glob("*.json")):
        path.unlink()
    with pytest.raises(CheckpointError, match=r"source: expected one .* in this folder, got none"):
        command(folder)


def test_what_is_no_file_is_no_index_and_no_shard(tmp_path: Path) -> None:
    folder = sharded_model(tmp_path / "source")
    (folder / INDEX).unlink()
    os.mkfifo(folder / INDEX)
    with pytest.raises(CheckpointError, match=f"{INDEX}: expected a regular file"):
        inspect_file(folder)
    with pytest.raises(CheckpointError, match=r"gone\.json: No such file"):
        inspect_file(folder / "gone.json")
    other = sharded_model(tmp_path / "other")
    (other / THIRD).unlink()
    os.mkfifo(other / THIRD)
    with pytest.raises(CheckpointError, match=f"{THIRD}: expected a regular file"):
        inspect_file(other)


def test_a_shard_that_is_damaged_is_named(tmp_path: Path) -> None:
    folder = sharded_model(tmp_path / "source")
    os.truncate(folder / SECOND, 20)
    with pytest.raises(CheckpointError, match=f"{SECOND}: "):
        quantize_file(folder, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_weight_that_is_not_finite_is_named_with_its_shard(tmp_path: Path) -> None:
    bad = weights(2, 2)
    bad[1, 0] = float("nan")
    folder = save_shards(tmp_path / "source", [{"a.weight": stored(weights(2, 2))}, {"b.weight": stored(bad)}])
    with pytest.raises(CheckpointError, match=rf"{shard_name(1, 2)}: tensor b\.weight: expected finite .* at \[1, 0\]"):
        quantize_file(folder, tmp_path / "target")
    assert [found.name for found in tmp_path.iterdir()] == ["source"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    folder = sharded_model(tmp_path / "source")
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine").write_bytes(b"1")
    with pytest.raises(CheckpointError, match=r"target: holds files that would be lost; it is left as it is"):
        quantize_file(folder, target)
    with pytest.raises(CheckpointError, match="another file than the source"):
        quantize_file(folder, folder)
    save(tmp_path / "file", {"a.weight": Stored("U8", (1,), b"1")})
    with pytest.raises(CheckpointError, match="file: expected a folder or nothing, got a file"):
        quantize_file(folder, tmp_path / "file")
    with pytest.raises(CheckpointError, match="expected a regular file or none, got a folder"):
        quantize_file(model(tmp_path / "single"), target)
    assert [path.name for path in target.iterdir()] == ["mine"]
    (target / "mine").unlink()
    quantize_file(folder, target)
    assert len(list(target.iterdir())) == 4


def test_a_plain_checkpoint_cannot_be_restored(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="source: expected quantized tensors"):
        dequantize_file(sharded_model(tmp_path / "source"), tmp_path / "target")
