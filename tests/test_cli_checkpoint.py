"""The commands ``quantize``, ``dequantize`` and ``inspect``: what they print, and how they end."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from q35ref.checkpoints import inspect_file
from q35ref.cli import main
from q35ref.cli.checkpoint import progress_bar
from tests.checkpoint_files import model, save, stored, weights


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_quantize_prints_each_matrix_and_the_total(tmp_path: Path) -> None:
    result = run("quantize", model(tmp_path / "s"), tmp_path / "t", "--group-size", 16)
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.search(r"first\.weight +6x33 +9\.4545 ", result.stdout)  # (15 bytes + 3 groups of 8) * 8 / 33
    assert re.search(r"second\.weight +5x1 +72\.0000 ", result.stdout)
    assert "group size 16, narrow gain 2, layout dense, method minmax" in result.stdout
    assert "203 weights in 2 tensors" in result.stdout
    assert "As measured: no weight is farther from its restored value than the theorem allows." in result.stdout
    assert len(inspect_file(tmp_path / "t").quantized) == 2


def test_every_option_of_quantize_arrives(tmp_path: Path) -> None:
    options = ["--group-size", 32, "--narrow-gain", 1, "--layout", "byte", "--method", "clip"]
    options += ["--orientation", "in_out", "--include", "first*", "--include", "emb*", "--exclude", "x"]
    assert run("quantize", model(tmp_path / "s"), tmp_path / "t", *options).exit_code == 0
    records = inspect_file(tmp_path / "t").quantized
    assert sorted(record.name for record in records) == ["embeddings.word.weight", "first.weight"]
    for record in records:
        assert (record.group_size, record.narrow_gain, record.layout) == (32, 1, "byte")
        assert (record.method, record.orientation) == ("clip", "in_out")


def test_dequantize_restores(tmp_path: Path) -> None:
    run("quantize", model(tmp_path / "s", "BF16"), tmp_path / "t")
    result = run("dequantize", tmp_path / "t", tmp_path / "back", "--dtype", "source")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/back: 2 tensors restored\n")
    dtypes = {tensor.name: tensor.dtype for tensor in inspect_file(tmp_path / "back").plain}
    assert (dtypes["first.weight"], dtypes["first.bias"]) == ("BF16", "F32")


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    """As in ``q35ref inspect FILE | head -1``."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "q35ref", "inspect", str(model(tmp_path / "s"))]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_quantized_checkpoint_is_told_from_one_without_matrices(tmp_path: Path) -> None:
    save(tmp_path / "s", {"a.weight": stored(weights(6, 33))})
    assert run("quantize", tmp_path / "s", tmp_path / "t").exit_code == 0
    assert (
        "t: expected a float matrix to quantize; its matrices are quantized already"
        in run("quantize", tmp_path / "t", tmp_path / "u").stderr
    )


def test_inspect_prints_quantized_and_plain_tensors(tmp_path: Path) -> None:
    run("quantize", model(tmp_path / "s"), tmp_path / "t")
    recorded = run("inspect", tmp_path / "t")
    measured = run("inspect", tmp_path / "t", "--original", tmp_path / "s")
    assert recorded.exit_code == measured.exit_code == 0
    assert f"{tmp_path}/t: {(tmp_path / 't').stat().st_size:,} bytes\n  format: pt\n" in recorded.stdout
    assert "errors as recorded" in recorded.stdout
    assert "As recorded: no weight is farther" in recorded.stdout
    assert "As measured: no weight is farther" in measured.stdout
    assert f"against {tmp_path}/s" in measured.stdout
    for name in ("first.weight", "ids", "nothing.weight"):
        assert name in recorded.stdout
    save(tmp_path / "other", {"first.weight": stored(weights(6, 33, seed=8)), "second.weight": stored(weights(5, 1))})
    for options in ((), ("--json",)):
        changed = run("inspect", tmp_path / "t", "--original", tmp_path / "other", *options)
        assert changed.exit_code == 1
    assert run("inspect", tmp_path / "s").exit_code == 0, "nothing in it is quantized"
    assert re.search(r"flag +number +BOOL +1 ", recorded.stdout)
    table = re.compile(r"(?m)^.*\.weight .*$")
    assert table.findall(recorded.stdout) == table.findall(measured.stdout)


def test_settings_that_differ_get_columns_of_their_own(tmp_path: Path) -> None:
    run("quantize", model(tmp_path / "s"), tmp_path / "one", "--include", "first*")
    run("quantize", tmp_path / "one", tmp_path / "two", "--layout", "byte")
    result = run("inspect", tmp_path / "two")
    assert re.search(r"first\.weight +6x33 +dense ", result.stdout)
    assert re.search(r"second\.weight +5x1 +byte ", result.stdout)
    assert "narrow gain 2, method minmax" in result.stdout


def test_a_weight_beyond_its_bound_is_announced(tmp_path: Path) -> None:
    run("quantize", model(tmp_path / "s"), tmp_path / "t")
    save(tmp_path / "other", {"first.weight": stored(weights(6, 33, seed=9)), "second.weight": stored(weights(5, 1))})
    result = run("inspect", tmp_path / "t", "--original", tmp_path / "other")
    assert "A WEIGHT IS FARTHER" in result.stdout
    assert "No weight" not in result.stdout


def test_inspect_prints_json(tmp_path: Path) -> None:
    run("quantize", model(tmp_path / "s"), tmp_path / "t")
    result = run("inspect", tmp_path / "t", "--json")
    document = json.loads(result.stdout)
    assert document == json.loads(json.dumps(inspect_file(tmp_path / "t").document()))
    assert document["total"]["weights"] == 203
    by_name = {tensor["name"]: tensor for tensor in document["quantized"]}
    assert by_name["first.weight"]["bits_per_weight"] == (15 + 8) * 8 / 33
    assert by_name["first.weight"]["quality"]["exact_ratio"] <= 1
    assert {tensor["name"] for tensor in document["tensors"]} >= {"ids", "flag"}


def test_names_are_printed_whole_and_harmless(tmp_path: Path) -> None:
    names = ["long." * 50 + "weight", "[bold]x[/bold].weight", "bell\a\x1b[2J.weight"]
    save(tmp_path / "s", {name: stored(weights(2, 2)) for name in names})
    for command in (
        ("quantize", tmp_path / "s", tmp_path / "t"),
        ("inspect", tmp_path / "t"),
        ("inspect", tmp_path / "s"),
    ):
        result = run(*command)
        assert names[0] in result.stdout
        assert names[1] in result.stdout
        assert r"'bell\x07\x1b[2J.weight'" in result.stdout
        assert "\x1b" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("quantize", "gone", "t"), "gone: No such file or directory"),
        (("quantize", "s", "s"), "s: expected another file than the source"),
        (("quantize", "s", "t", "--include", "nothing"), "include 'nothing'"),
        (("quantize", "s", "t", "--group-size", "5"), "--group-size"),
        (("quantize", "s", "t", "--narrow-gain", "3"), "--narrow-gain"),
        (("quantize", "s", "t", "--method", "best"), "--method"),
        (("quantize", "s", "gone/t"), "no such folder"),
        (("quantize", "s"), "DESTINATION"),
        (("dequantize", "s", "t"), "expected quantized tensors"),
        (("dequantize", "s", "t", "--dtype", "F8"), "--dtype"),
        (("inspect", "gone"), "gone: No such file"),
        (("inspect", "s", "--original", "s"), "expected quantized tensors"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    model(tmp_path / "s")
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    [line] = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert problem in line
    assert result.stderr.endswith(line + "\n")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize(("kind", "status", "words"), [(KeyboardInterrupt, 130, "Interrupted."),
                                                       (MemoryError, 2, "Error: not enough memory")])  # fmt: skip
def test_an_interruption_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException], status: int, words: str
) -> None:
    def stop(*_: object) -> None:
        assert len(list(tmp_path.iterdir())) == 2, "a temporary file is being written"
        raise kind

    monkeypatch.setattr("q35ref.checkpoints.jobs.measure", stop)
    result = run("quantize", model(tmp_path / "s"), tmp_path / "t")
    assert result.exit_code == status
    assert result.stderr.startswith(words)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_drawn_on_a_terminal_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, drawn in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress_bar() as report:
            report("[bold]first\x1b.weight", 1, 4)
            report("", 4, 4)
        assert bool(stream.getvalue()) is drawn
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar() as report:
        report("[bold]first.weight", 1, 4)
    assert "[bold]first.weight" in terminal.getvalue()
    assert "25%" in terminal.getvalue()


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    model(tmp_path / "s")
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "from q35ref.cli import main; main()", "inspect", str(tmp_path / "s")]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert "Traceback" not in ended.stderr
