"""Planted failures for the gates that have no tests of their own, and the list of gates against the Makefile.

Which test shows which gate to fire stands in ``tools/assurance/claims_gates.py``, and so on the assurance page.
"""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from q35ref.backends import NativeUnavailable
from q35ref.backends.native.library import load
from tools import check_native
from tools.assurance.claims_gates import GATES

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()

SOUND = '"""A module."""\n\n\ndef successor(x: int) -> int:\n    """Return what follows."""\n    return x + 1\n'


def recipe(target: str) -> list[str]:
    """Return the commands of a target of the Makefile, from where the programs are named."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert found is not None
    return [command for line in found[1].splitlines() for command in re.findall(r"\$\(BIN\)/([^&]+)", line)]


def run(command: list[str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


# ---- every gate has its line ----------------------------------------------------------------------------------------


def test_every_gate_is_shown_to_fire() -> None:
    gates = re.search(r"^test: (.*)$", MAKEFILE, re.MULTILINE)
    assert gates is not None
    ci = re.findall(r"^make (?!test)(\w+)", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    claimed = [str(re.findall(r"^`make (\w+)`", claim.text)[0]) for claim in GATES]
    assert claimed[: len(gates[1].split())] == gates[1].split()
    assert set(ci) <= set(claimed)


# ---- lint -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text", "said"),
    [
        (0, SOUND.replace("x + 1", "x+1"), "would be reformatted"),
        (1, "import os\n" + SOUND, "F401"),
        (1, SOUND.replace("x + 1", "eval(f'{x} + 1')"), "S307"),
        (2, SOUND.replace("x + 1", "str(x)"), "Incompatible return value type"),
        (2, SOUND.replace(": int)", ")"), "missing a type annotation"),
    ],
)
def test_lint_refuses(number: int, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    command = recipe("lint")[number].split()
    command = [word for word in command if word != "."] + ["module.py"]
    for content, refused in ((SOUND, False), (text, True)):
        (tmp_path / "module.py").write_text(content)
        done = run(command, tmp_path)
        assert (done.returncode != 0, said in done.stdout + done.stderr) == (refused, refused), done


# ---- unit -----------------------------------------------------------------------------------------------------------


def test_an_uncovered_branch_fails() -> None:
    """One file of tests alone leaves branches untaken."""
    command = recipe("unit")[1].replace("$(REFERENCE_TESTS)", "tests/test_rounding.py -n 0 -p no:cacheprovider").split()
    done = run(command)
    assert done.returncode != 0
    assert "Required test coverage of 100% not reached" in done.stdout + done.stderr


def test_a_warning_fails(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / "test_planted.py").write_text(
        "import warnings\n\n\ndef test_planted() -> None:\n    warnings.warn('planted')\n"
    )
    done = run(["python", "-m", "pytest", "-n", "0", "test_planted.py"], tmp_path)
    assert done.returncode == 1
    assert "UserWarning: planted" in done.stdout


# ---- conformance ----------------------------------------------------------------------------------------------------


def test_every_path_of_the_native_kernel_is_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last path's failure is the gate's, whatever the others say."""
    try:
        isas = load().isas
    except NativeUnavailable as error:
        pytest.skip(f"no native kernel: {error}")
    seen = []

    def check(isa: str) -> subprocess.CompletedProcess[str]:
        seen.append(isa)
        return subprocess.CompletedProcess([], int(isa == isas[-1]), f"{isa} was asked\n", "")

    monkeypatch.setattr(check_native, "check", check)
    assert check_native.main() == 1
    assert sorted(seen) == sorted(isas)
    assert capsys.readouterr().out.count("was asked") == len(isas)


# ---- claims ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("command", recipe("claims"))
def test_a_page_that_somebody_edited_is_refused(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = command.split()[2]
    module = importlib.import_module(f"{name}.__main__" if (ROOT / name.replace(".", "/")).is_dir() else name)
    page = tmp_path / module.PAGE.name
    monkeypatch.setattr(module, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["", "--check"])

    def status(text: str) -> int:
        page.write_text(text)
        try:
            return int(module.main())
        except SystemExit as ended:
            return int(ended.code or 0)

    committed = (ROOT / "docs" / page.name).read_text()
    assert status(committed) == 0
    assert status(committed.replace("\n", "\nedited ", 1)) == 1
    assert page.name in "".join(capsys.readouterr())
