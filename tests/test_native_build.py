"""Building and loading the native kernel: what is missing is named, and nothing that stands is lost."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from q35ref.backends import BACKENDS, NativeUnavailable, fastest, present
from q35ref.backends.native import build as builder
from q35ref.backends.native import library as loader
from q35ref.backends.native.__main__ import main
from q35ref.backends.native.build import CompilerError, build
from q35ref.cli.doctor import doctor
from tests.native_kernel import needs_native


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library be loaded anew, by nobody else's memory."""
    monkeypatch.setattr(loader, "load", loader.load.__wrapped__)
    monkeypatch.setattr("q35ref.backends.native.load", loader.load)
    monkeypatch.setattr(sys.modules["q35ref.cli.doctor"], "load", loader.load)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(CompilerError, match="no C compiler: cc or gcc or clang is not on the path"):
        build(tmp_path / "lib.so")
    monkeypatch.setenv("CC", "mycc")
    with pytest.raises(CompilerError, match="no C compiler: mycc is not on the path"):
        build(tmp_path / "lib.so")


@needs_native
def test_the_compilers_command_may_have_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As that of a compiler's cache has."""
    monkeypatch.setenv("CC", f"env LANG=C {builder.compiler()[0]}")
    folder = tmp_path / "a folder"
    folder.mkdir()
    assert build(folder / "lib.so").stat().st_size > 0


def test_a_failed_build_leaves_the_old_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And nothing else; the compiler's own words are in the error."""
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "lib.so").write_text("old")
    with pytest.raises(CompilerError, match="no such luck"):
        build(folder / "lib.so")
    assert [path.name for path in folder.iterdir()] == ["lib.so"]
    assert (folder / "lib.so").read_text() == "old"


@needs_native
def test_the_sources_compile_without_a_warning(tmp_path: Path) -> None:
    build(tmp_path / "lib.so", extra=("-Werror", "-Wshadow", "-Wstrict-prototypes"))


@needs_native
def test_a_planted_warning_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "a.c").write_text("int f(void);\nint f(void) { int unused; return 0; }\n")
    monkeypatch.setattr(builder, "SOURCES", folder)
    with pytest.raises(CompilerError, match="unused variable"):
        build(tmp_path / "lib.so", extra=("-Werror",))


@needs_native
@pytest.mark.usefixtures("fresh")
def test_a_library_older_than_its_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "sources_digest", lambda: "another")
    with pytest.raises(ValueError, match=r"not built from these sources: python -m q35ref\.backends\.native"):
        fastest()
    assert "not built from these sources" in present()["native"]
    shown = CliRunner().invoke(doctor, env={"COLUMNS": "300"}).output
    assert "cannot be used" in shown
    line = next(line for line in shown.splitlines() if "backend native" in line)
    assert "asked by q35ref.quantize" in line, "and it raises: NumPy does not take its place"
    assert "missing" not in line


@pytest.mark.usefixtures("fresh")
def test_a_library_that_is_not_there_or_no_library_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("Q35_NATIVE_LIBRARY", str(tmp_path / "gone.so"))
    with pytest.raises(ValueError, match=r"Q35_NATIVE_LIBRARY: the native kernel .*gone\.so cannot be loaded"):
        fastest()
    (tmp_path / "loop.so").symlink_to("loop.so")
    monkeypatch.setenv("Q35_NATIVE_LIBRARY", str(tmp_path / "loop.so"))
    with pytest.raises(ValueError, match=r"Q35_NATIVE_LIBRARY: the native kernel .*loop\.so cannot be loaded"):
        fastest()
    monkeypatch.delenv("Q35_NATIVE_LIBRARY")
    monkeypatch.setattr(loader, "LIBRARY", tmp_path / "gone.so")
    with pytest.raises(
        NativeUnavailable, match=r"not built: install a C compiler, then python -m q35ref\.backends\.native"
    ):
        loader.load()
    (tmp_path / "gone.so").write_bytes(b"\x7fELF but not quite")
    with pytest.raises(NativeUnavailable, match="cannot be loaded"):
        loader.load()
    assert fastest().name == "numpy"
    assert list(present()) == list(BACKENDS)


@needs_native
@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("Q35_NATIVE_ISA", "sse9", "Q35_NATIVE_ISA: expected one of .*scalar, got 'sse9'"),
        ("Q35_NUM_THREADS", "0", "Q35_NUM_THREADS: expected 1 to 256 threads, got 0"),
        ("Q35_NUM_THREADS", "257", "Q35_NUM_THREADS: expected 1 to 256 threads, got 257"),
        ("Q35_NUM_THREADS", "two", "Q35_NUM_THREADS: expected 1 to 256 threads, got 'two'"),
        ("Q35_NUM_THREADS", "-1", "Q35_NUM_THREADS: expected 1 to 256 threads, got '-1'"),
        ("Q35_NUM_THREADS", "²", "Q35_NUM_THREADS: expected 1 to 256 threads, got '²'"),
    ],
)
def test_a_wrong_environment_is_an_error_that_names_it(
    variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a reason to use NumPy in silence."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=message):
        fastest()


def test_without_a_compiler_the_rest_works(tmp_path: Path) -> None:
    """The product imports, quantizes and multiplies with NumPy, and doctor tells why."""
    code = (
        "import numpy as np, q35ref; print(q35ref.matmul(np.ones((1, 2), np.int8), q35ref.quantize(np.eye(2))).shape)"
    )
    package = Path(builder.__file__).parents[2]
    shutil.copytree(package, tmp_path / "q35ref", ignore=shutil.ignore_patterns("*.so", "__pycache__"))

    def python(*command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, *command], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert python("-c", code).stdout == "(1, 2)\n"
    shown = python("-m", "q35ref", "doctor").stdout
    assert "missing" in next(line for line in shown.splitlines() if "backend native" in line)
    assert "install a C compiler" in shown
    assert "asked by q35ref.quantize" in next(line for line in shown.splitlines() if "backend numpy" in line)
    done = python("-m", "q35ref", "check", "native")
    assert done.returncode == 2
    assert "target native: the native kernel is not built" in done.stderr


def test_the_command_builds_and_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CC", "mycc")
    assert main([str(tmp_path / "lib.so")]) == 1
    assert "error: no C compiler: mycc" in capsys.readouterr().err
    monkeypatch.delenv("CC")
    (tmp_path / "file").touch()
    assert main([str(tmp_path / "file" / "lib.so")]) == 1
    assert main([str(tmp_path / "no folder" / "lib.so")]) == 1
    assert capsys.readouterr().err.count("no folder") == 1
    (tmp_path / "says nothing").write_text("no program")
    (tmp_path / "says nothing").chmod(0o755)
    for wrong in ("gcc 'a", "true", str(tmp_path / "says nothing").replace(" ", "\\ ")):
        monkeypatch.setenv("CC", wrong)
        assert main([str(tmp_path / "lib.so")]) == 1
        assert capsys.readouterr().err.startswith("error: ")


@needs_native
def test_a_compiler_that_is_told_to_be_fast_is_told_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Afterwards subnormal numbers are what they were, and NaN is refused."""
    monkeypatch.setenv("CC", shlex.join([*builder.compiler(), "-ffast-math"]))
    library = build(tmp_path / "fast.so")
    code = (
        "import numpy as np; from q35ref.backends import get; native = get('native')\n"
        "assert np.float32(2.0**-140) * np.float32(0.5) > 0\n"
        "assert native.calibrate(np.array([[2.0**-149]], np.float32), 0, 'minmax')[1][0, 0] > 0\n"
        "try: native.quantize(np.full((64, 1), np.nan, np.float32), *[np.ones((1, 1), np.float32)] * 2, 0, 2)\n"
        "except ValueError as error: print(error)"
    )
    environment = {**os.environ, "Q35_NATIVE_LIBRARY": library.name}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "w: expected finite numbers" in done.stdout, done.stderr
    monkeypatch.setattr(builder, "FLAGS", [flag for flag in builder.FLAGS if flag != "-fno-fast-math"])
    with pytest.raises(CompilerError, match="no -ffast-math"):
        build(tmp_path / "fast.so")
