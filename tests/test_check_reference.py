"""``q35ref check reference`` fails when a fault is planted in the reference's own source."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import q35ref

FAULTS = {
    "rounding": ("rounding.py", "excess == 0 and floor % 2 == 1", "excess == 0"),
    "sign extension": ("codec.py", "half: int = 2 ** (bits - 1)", "half: int = 2 ** (bits - 1) + 1"),
    "group boundary": ("lanes.py", "range(start, min(start + length, k))", "range(start, min(start + length + 1, k))"),
    "row sum": ("matmul.py", "return sum(activations)", "return sum(activations[1:])"),
}
"""What is planted: the file, the text that stands there, and the fault."""


def check_copy(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "q35ref", "check", "reference", "--quiet", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(q35ref.__file__).parent, tmp_path / "q35ref", ignore=ignored)
    return tmp_path


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_planted_in_the_reference_is_found(fault: str, copy: Path) -> None:
    name, sound, faulty = FAULTS[fault]
    path = copy / "q35ref" / "reference" / name
    source = path.read_text()
    assert source.count(sound) == 1
    path.write_text(source.replace(sound, faulty))
    done = check_copy(copy, "--only", "law.*", "--only", "vectors.[!a]*")  # accumulate.json takes a second
    assert done.returncode == 1, done.stdout + done.stderr
    assert "does not conform" in done.stdout
    assert "FAIL law." in done.stdout
    assert "FAIL vectors." in done.stdout


def test_the_copy_conforms_without_a_fault(copy: Path) -> None:
    done = check_copy(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("0 failed, 0 not checked: conforms\n")


def test_a_damaged_vector_file_is_an_error(copy: Path) -> None:
    path = copy / "q35ref" / "vectors" / "quantize.json"
    path.write_bytes(path.read_bytes()[:-100])
    done = check_copy(copy, "--only", "vectors.*")
    assert done.returncode == 2
    assert "quantize.json" in done.stderr
    assert "Traceback" not in done.stderr
