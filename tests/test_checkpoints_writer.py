"""The writer holds its callers to what they announced: nothing half written ever takes its place."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from q35ref.checkpoints import CheckpointError, TensorInfo
from q35ref.checkpoints import header as header_module
from q35ref.checkpoints.writer import CheckpointWriter, write_checkpoint
from tests.checkpoint_files import Stored, load

TENSORS = [TensorInfo("b", "U8", (3,)), TensorInfo("a", "U8", (2,)), TensorInfo("wide", "F64", (1,))]
DATA = {"a": b"AA", "b": b"BBB", "wide": bytes(range(8))}


def write(path: Path, metadata: Mapping[str, str], room: Mapping[str, str]) -> None:
    with write_checkpoint(path, TENSORS, room) as output:
        for name, data in DATA.items():
            output.write(name, [memoryview(data[:1]), memoryview(data[1:])])
        output.finish(metadata)


def test_tensors_are_written_in_any_order_and_aligned(tmp_path: Path) -> None:
    write(tmp_path / "t", {"key": "v"}, {"key": "v" * 100})
    tensors, metadata = load(tmp_path / "t")
    assert tensors == {info.name: Stored(info.dtype, info.shape, DATA[info.name]) for info in TENSORS}
    assert list(tensors) == ["wide", "a", "b"]
    assert metadata == {"key": "v"}


def test_metadata_longer_than_foreseen_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="t: expected a header of"):
        write(tmp_path / "t", {"key": "v" * 100}, {"key": "v"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("work", "problem"),
    [
        (lambda output: output.write("a", [memoryview(b"A")]), "tensor 'a': expected 2 bytes, got 1"),
        (lambda output: output.write("a", [memoryview(b"AA")] * 2), "tensor 'a': expected 2 bytes, got 4"),
        (lambda output: output.write("a", []), "tensor 'a': expected 2 bytes, got 0"),
        (lambda output: output.finish({}), r"expected every tensor .* none for \['a', 'b', 'wide'\]"),
    ],
)
def test_what_was_not_announced_is_refused(
    tmp_path: Path, work: Callable[[CheckpointWriter], None], problem: str
) -> None:
    with pytest.raises(CheckpointError, match=problem), write_checkpoint(tmp_path / "t", TENSORS, {}) as output:
        work(output)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "__metadata__"])
def test_a_name_that_is_taken_is_refused(tmp_path: Path, name: str) -> None:
    twice = [*TENSORS, TensorInfo(name, "F32", (1,))]
    with pytest.raises(CheckpointError, match="the name is taken"), write_checkpoint(tmp_path / "t", twice, {}):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_header_longer_than_readers_accept_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "t", {}, {})
    length = int.from_bytes((tmp_path / "t").read_bytes()[:8], "little")
    monkeypatch.setattr(header_module, "MAX_HEADER", length)
    write(tmp_path / "t", {}, {})
    monkeypatch.setattr(header_module, "MAX_HEADER", length - 1)
    with pytest.raises(CheckpointError, match=f"t: header: expected at most {length - 1} bytes, got {length}"):
        write(tmp_path / "t", {}, {})
