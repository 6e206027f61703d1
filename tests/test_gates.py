"""Planted failures for the gates that have no tests of their own, and the list of gates against the Makefile.

Which test shows which gate to fire stands in ``tools/assurance/claims_gates.py``, and so on the assurance page.
"""

import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from q35ref.backends import NativeUnavailable
from q35ref.backends.native.library import ISA_VARIABLE
from tests.makefile import MAKEFILE, ROOT, ignored, lines, recipe, swallowed
from tools import check_native
from tools.assurance.claims_gates import GATES

SOUND = '"""A module."""\n\n\ndef successor(x: int) -> int:\n    """Return what follows."""\n    return x + 1\n'


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


CLAIMED = [str(re.findall(r"^`make (\w+)`", claim.text)[0]) for claim in GATES]
"""The targets of the gates."""


# ---- every gate has its line ----------------------------------------------------------------------------------------


def test_every_gate_is_shown_to_fire() -> None:
    parts = re.search(r"^test: (.*)$", MAKEFILE, re.MULTILINE)
    assert parts is not None
    ci = re.findall(r"^make (?!test)(\w+)", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert CLAIMED[: len(parts[1].split())] == parts[1].split()
    assert set(ci) <= set(CLAIMED)


@pytest.mark.parametrize("gate", CLAIMED)
def test_no_line_of_a_gate_swallows_a_failure(gate: str) -> None:
    assert lines(gate)
    assert list(swallowed(gate)) == []


def test_nothing_makes_every_failure_count_for_nothing() -> None:
    assert ignored() == []
    script = (ROOT / ".ci/run").read_text()
    assert "set -euo pipefail\n" in script
    assert [line for line in script.splitlines() if re.match(r"\W*make ", line)] == [
        "make dist",
        "make test",
        'make fuzz FUZZ="--seconds 10"',
    ]


@pytest.mark.parametrize(
    "line",
    [
        "-false",
        "@-false",
        "false || true",
        "false ||:",
        "false; true",
        "false ; exit 0",
        "false | cat",
        "false & true",
        "cd x && false || echo 'no'",
        "$(TOOL) --check",
    ],
)
def test_a_planted_line_that_swallows_its_failure_is_found(line: str) -> None:
    makefile = f"TOOL = false || true\n\ngate: installed\n\tcd x && true\n\t{line}\n\tfalse 'a; b' \\\n\t    --c\n"
    assert len(list(swallowed("gate", makefile))) == 1
    assert list(swallowed("gate", makefile.replace(f"\t{line}\n", ""))) == []


def test_a_planted_setting_that_swallows_every_failure_is_found() -> None:
    assert len(ignored(".IGNORE:\nMAKEFLAGS += -k\nexport MAKEFLAGS=i\n.IGNORE: lint\n")) == 4


def test_every_tool_of_a_gate_hands_on_its_status() -> None:
    """What main returns is the exit status: Click sees to it, or the call does."""
    found = {name for gate in CLAIMED for line in lines(gate) for name in re.findall(r"-m (tools\.\S+)", line)}
    assert len(found) > 10
    for name in sorted(found):
        module = f"{name}.__main__" if (ROOT / name.replace(".", "/")).is_dir() else name
        is_command = isinstance(importlib.import_module(module).main, click.Command)
        ends = (ROOT / f"{module.replace('.', '/')}.py").read_text().partition('\nif __name__ == "__main__":\n')[2]
        assert re.search(r"^ +main\(.*\)$" if is_command else r"^ +sys\.exit\(main\(\)\)$", ends, re.MULTILINE), module


def test_ci_leaves_nothing_out_that_is_optional_elsewhere() -> None:
    """Each variable that makes a lack an error is set, whoever reads it."""
    read = {
        name
        for folder in ("q35ref", "tools", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"environ\.get\(\"(Q35_REQUIRE_\w+)\"", path.read_text())
    }
    exported = re.findall(r"^export (Q35_REQUIRE_\w+)=1$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert sorted(exported) == sorted(read)
    assert {"Q35_REQUIRE_NATIVE", "Q35_REQUIRE_PROOFS"} <= read


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


COVERED = """def clamped(x: int) -> int:
    if x > 7:
        x = 7
    return x
"""

TAKEN = """from planted.clamp import clamped


def test_clamped() -> None:
    assert clamped(8) == 7
"""


@pytest.mark.parametrize("is_taken", [False, True])
def test_an_uncovered_branch_fails(is_taken: bool, tmp_path: Path) -> None:
    """All lines run in both cases: it is the branch that counts."""
    settings, source = (ROOT / "pyproject.toml").read_text(), 'source = ["q35ref/reference"]'
    assert source in settings
    (tmp_path / "pyproject.toml").write_text(settings.replace(source, 'source = ["planted"]'))
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "__init__.py").touch()
    (tmp_path / "planted" / "clamp.py").write_text(COVERED)
    taken = TAKEN + ("    assert clamped(6) == 6\n" if is_taken else "")
    (tmp_path / "test_planted.py").write_text(taken)
    done = run(recipe("unit")[1].replace("$(REFERENCE_TESTS)", "test_planted.py -n 0").split(), tmp_path)
    assert (done.returncode == 0) == is_taken, done
    assert ("Required test coverage of 100% not reached" in done.stdout + done.stderr) == (not is_taken)
    assert re.search(r"^planted/clamp\.py +4 +0 ", done.stdout, re.MULTILINE), "every line ran"


def test_a_warning_fails(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / "test_planted.py").write_text(
        "import warnings\n\n\ndef test_planted() -> None:\n    warnings.warn('planted')\n"
    )
    done = run(["python", "-m", "pytest", "-n", "0", "test_planted.py"], tmp_path)
    assert done.returncode == 1
    assert "UserWarning: planted" in done.stdout


# ---- conformance ----------------------------------------------------------------------------------------------------


def planted_python(folder: Path, script: str) -> str:
    """Write what stands in for Python: the child is real, and what it does is known."""
    program = folder / "python"
    program.write_text(f'#!/bin/sh\necho "$@, $Q35_NATIVE_ISA."\n{script}\nexit 0\n')
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("", ""),
        ('[ "$Q35_NATIVE_ISA" = avx2 ] && exit 3', "avx2: exit status 3"),
        ('[ "$Q35_NATIVE_ISA" = scalar ] && kill -s SEGV $$', f"scalar: exit status {-signal.SIGSEGV}"),
        ("kill -s KILL $$", f"avx2: exit status {-signal.SIGKILL}"),
    ],
)
def test_every_path_of_the_native_kernel_is_checked(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each in a child of its own, whose failure or death by a signal is the gate's, whatever the others say."""
    monkeypatch.setenv(ISA_VARIABLE, "none")
    monkeypatch.setattr(check_native, "load", lambda: SimpleNamespace(isas=("avx2", "scalar")))
    monkeypatch.setattr(sys, "executable", planted_python(tmp_path, script))
    monkeypatch.setattr(sys, "argv", ["", "--level", "3"])
    assert check_native.main() == int(bool(said))
    told = capsys.readouterr()
    for isa in ("avx2", "scalar"):
        assert f"native kernel, {isa}: -m q35ref check native --quiet --level 3, {isa}.\n" in told.out
    assert (said in told.err, bool(told.err)) == (True, bool(said))


@pytest.mark.parametrize("required", ["1", "", None])
def test_a_native_kernel_that_is_not_there_fails_where_it_is_required(
    required: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> None:
        raise NativeUnavailable("not built")

    monkeypatch.setattr(check_native, "load", load)
    monkeypatch.delenv("Q35_REQUIRE_NATIVE", raising=False)
    if required is not None:
        monkeypatch.setenv("Q35_REQUIRE_NATIVE", required)
    assert check_native.main() == int(required == "1")
    assert capsys.readouterr().out == "native: not checked: not built\n"


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
