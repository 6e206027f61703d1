"""The example kernels of other languages: each is built and asked, and its README shows what came."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from q35ref.backends.native.build import CompilerError, compiler

EXAMPLES = Path(__file__).parents[1] / "examples"

NEEDS = {
    "c": ("cc", "any C compiler"),
    "fortran": ("gfortran", "Debian's gfortran"),
    "fortran-drafts": ("gfortran", "Debian's gfortran"),
    "flang": ("flang-new-16", "Debian's flang-16"),
    "verilog": ("iverilog", "Debian's iverilog"),
    "pipe": ("make", "make"),
}
"""What each example needs, and how it is called."""

SHOWN = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""The output in a README."""


def lack(name: str) -> str:
    """Return why an example cannot be run here, or nothing."""
    if shutil.which("make") is None:
        return "make is not on the path"
    program, called = NEEDS[name]
    if name == "c":
        try:
            compiler()
        except CompilerError as error:
            return str(error)
        return ""
    return "" if shutil.which(program) else f"{called} is not on the path"


def steady(text: str) -> list[str]:
    """Return lines without what differs from run to run: times, and where Python and the libraries are."""
    plain = re.sub(r"CDLL\('.*/", "CDLL('", re.sub(r"\d+\.\d s\)", "s)", text))
    return plain.replace(sys.executable, "python3").splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDS)
def test_an_example_gives_what_its_readme_shows(name: str, tmp_path: Path) -> None:
    reason = lack(name)
    if reason:  # CI installs what Debian has; elsewhere the missing compiler is named
        pytest.skip(reason)
    shutil.copytree(EXAMPLES / name, tmp_path / name)
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    arguments = [f"Q35REF={sys.executable} -m q35ref", f"PYTHON={sys.executable}"]
    done = subprocess.run(
        ["make", "-s", "check", *arguments],
        cwd=tmp_path / name, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    shown = SHOWN.findall((EXAMPLES / name / "README.md").read_text())
    printed = steady(done.stdout)
    assert shown
    for block in shown:
        assert [line for line in steady(block) if line != "..." and line not in printed] == []


# IREE is 400 MB that nothing else needs: whoever installs it beside q35ref has this test too.
@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("iree") is None, reason="IREE is not installed: examples/mlir-iree/requirements.txt"
)
def test_the_example_in_mlir_conforms(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "mlir-iree", tmp_path / "mlir")
    command = ["make", "-s", "check", f"Q35REF={sys.executable} -m q35ref"]
    done = subprocess.run(command, cwd=tmp_path / "mlir", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_example_is_in_the_table_and_is_run() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert folders == {*NEEDS, "mlir-iree"}
    table = (EXAMPLES / "README.md").read_text()
    assert all(f"[{name}]({name})" in table for name in folders)
