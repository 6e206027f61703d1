"""The example kernels of other languages: each is built and asked, and its README shows what came."""

import difflib
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
    "mlir-iree": ("iree-compile", "IREE"),
}
"""What each example needs, and how it is called."""

SHOWN = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""The output in a README."""

SHOWN_WRONG = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""The output of what is made wrong."""

ANY = "(?:.*\n)*?"
"""Any lines."""

NOT_CHECKED = "--   "
"""How lines begin that the READMEs leave out: the checks of operations that a kernel lacks."""

IREE = EXAMPLES / "mlir-iree" / ".venv"
"""Where `make venv` puts IREE, 400 MB that nothing else needs; it may be beside q35ref as well."""


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
    if name == "mlir-iree":
        return (
            ""
            if (IREE / "installed").exists() or beside()
            else "IREE is not installed: make -C examples/mlir-iree venv"
        )
    return "" if shutil.which(program) else f"{called} is not on the path"


def beside() -> bool:
    """Return whether IREE is installed beside q35ref."""
    return importlib.util.find_spec("iree") is not None


def arguments(name: str) -> list[str]:
    """Return what make is told: which Python runs q35ref, and where IREE's compiler is."""
    python = IREE / "bin" / "python" if name == "mlir-iree" and (IREE / "installed").exists() else Path(sys.executable)
    return [
        f"Q35REF={python} -m q35ref",
        f"PYTHON={python}",
        *([f"IREE_COMPILE={python.with_name('iree-compile')}"] if name == "mlir-iree" else []),
    ]


def make(name: str, folder: Path, target: str) -> subprocess.CompletedProcess[str]:
    """Copy an example, unless it is there already, and make a target of it."""
    if not (folder / name).exists():
        shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns(".venv", "*.vmfb", "vectors"))
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    return subprocess.run(
        ["make", "-s", target, *arguments(name)],
        cwd=folder / name, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def steady(text: str) -> list[str]:
    """Return lines without what differs from run to run: times, and where Python and the libraries are."""
    plain = re.sub(r"CDLL\('.*/", "CDLL('", re.sub(r"\d+\.\d s\)", "s)", text))
    return plain.replace(sys.executable, "python3").splitlines()


def are_all(blocks: list[list[str]], printed: list[str]) -> bool:
    """Whether blocks of lines are what was printed, in this order; between them, and for ``...``, any lines may stand.

    >>> are_all([["a", "...", "b"], ["c"]], ["a", "1", "b", "2", "c"]), are_all([["a"]], ["a", "b"])
    (True, False)
    """
    texts = ("".join(ANY if line == "..." else re.escape(f"{line}\n") for line in block) for block in blocks)
    return re.fullmatch(ANY.join(texts), "".join(f"{line}\n" for line in printed)) is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDS)
def test_an_example_gives_what_its_readme_shows(name: str, tmp_path: Path) -> None:
    reason = lack(name)
    if reason:  # CI installs what Debian has; elsewhere the missing compiler is named
        pytest.skip(reason)
    done = make(name, tmp_path, "check")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = [steady(block) for block in SHOWN.findall((EXAMPLES / name / "README.md").read_text())]
    printed = [line for line in steady(done.stdout) if not line.startswith(NOT_CHECKED)]
    assert shown
    different = difflib.unified_diff([line for block in shown for line in block], printed, "README.md", "printed")
    assert are_all(shown, printed), "\n".join(different)


@pytest.mark.slow
def test_the_bench_that_reads_vectors_finds_what_is_wrong(tmp_path: Path) -> None:
    reason = lack("verilog")
    if reason:  # as above: `.ci/run` installs Icarus, a user need not have it
        pytest.skip(reason)
    assert make("verilog", tmp_path, "check-vectors").returncode == 0
    source = tmp_path / "verilog" / "kernel.v"
    right = source.read_text()
    unsigned = right.replace("{{5{code[2]}}, code[2:0]}", "{5'b0, code[2:0]}")
    shifted = right.replace("block[7*i +: 7]", "{block[7*i +: 6], block[7*i+6]}")
    assert right not in (unsigned, shifted)
    source.write_text(unsigned)
    done = make("verilog", tmp_path, "check-vectors")
    assert done.returncode != 0
    (shown,) = SHOWN_WRONG.findall((EXAMPLES / "verilog" / "README.md").read_text())
    assert [line for line in shown.splitlines() if line not in ("...", *done.stdout.splitlines())] == []
    source.write_text(shifted)
    done = make("verilog", tmp_path, "check-vectors")
    assert done.returncode != 0
    assert "unpack_pair: 128 passed, 0 failed\n" in done.stdout
    assert len(re.findall(r"^unpack_(?:column|dense): \d+ passed, [1-9]\d* failed$", done.stdout, re.MULTILINE)) == 2
    (tmp_path / "verilog" / "vectors" / "hex" / "unpack_dense.expected_q.hex").unlink()
    done = make("verilog", tmp_path, "check-vectors")
    assert done.returncode != 0
    assert "unpack_dense.expected_q.hex: no such file" in done.stdout


def test_every_example_is_in_the_table_and_is_run() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert folders == set(NEEDS)
    table = (EXAMPLES / "README.md").read_text()
    assert all(f"[{name}]({name})" in table for name in folders)
