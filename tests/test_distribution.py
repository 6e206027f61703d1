"""The rules for wheel and sdist refuse what they must; `make dist` builds both, installs them and tries them."""

import doctest
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from tools import check_distribution
from tools.check_distribution import Failed, build, check_contents, try_out
from tools.distribution import contents
from tools.distribution.contents import (
    LARGEST,
    LIBRARY,
    MACHINES,
    NoRepository,
    elf_machine,
    platform_tag,
    sdist_problems,
    tracked,
    wheel_problems,
)
from tools.distribution.trial import NO_COMPILER, Trial, TrialFailed

VERSION = "1.2.3"

TREE = {
    name: name.encode() for name in (*contents.MUST, "q35ref/__init__.py", "tests/test_x.py", "README.md", "LICENSE")
}
"""A small tree."""

METADATA = b"""Metadata-Version: 2.4
Name: q35ref
Version: 1.2.3
License-Expression: Apache-2.0
Requires-Dist: click>=8.1
Requires-Dist: numpy>=1.26
Requires-Dist: rich>=13.7
Requires-Dist: safetensors>=0.4.3
Requires-Dist: matplotlib>=3.9; extra == 'plots'
"""

ABOUT = f"q35ref-{VERSION}.dist-info"

NAME = f"q35ref-{VERSION}-py3-none-{platform_tag()}.whl"

HERE = next((number for number, name in MACHINES.items() if platform_tag().endswith(name)), 62)
"""This processor's number in ELF."""


def library(machine: int = HERE) -> bytes:
    return b"\x7fELF\x02\x01" + 12 * b"\0" + struct.pack("<H", machine)


def wheel() -> dict[str, bytes]:
    """A wheel with nothing wrong."""
    return {
        **{name: data for name, data in TREE.items() if name.startswith(contents.PACKAGE)},
        LIBRARY: library(),
        f"{ABOUT}/METADATA": METADATA,
        f"{ABOUT}/RECORD": b"",
        f"{ABOUT}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-{platform_tag()}\n".encode(),
        f"{ABOUT}/entry_points.txt": b"",
        f"{ABOUT}/licenses/LICENSE": b"",
    }


def sdist() -> dict[str, bytes]:
    """An sdist with nothing wrong."""
    return {f"q35ref-{VERSION}/{name}": data for name, data in {**TREE, "PKG-INFO": METADATA}.items()}


def of_wheel(files: dict[str, bytes], name: str = NAME) -> list[str]:
    return list(wheel_problems(name, files, TREE, VERSION))


def of_sdist(files: dict[str, bytes], name: str = f"q35ref-{VERSION}.tar.gz") -> list[str]:
    return list(sdist_problems(name, files, TREE, VERSION))


def put(path: str, data: bytes = b"") -> Callable[[dict[str, bytes]], object]:
    return lambda files: files.update({path: data})


def drop(path: str) -> Callable[[dict[str, bytes]], object]:
    return lambda files: files.pop(path)


def test_whole_distributions_have_no_problem() -> None:
    assert of_wheel(wheel()) == []
    assert of_sdist(sdist()) == []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (drop(LIBRARY), f"{LIBRARY}: is missing"),
        (drop("q35ref/py.typed"), "q35ref/py.typed: is missing"),
        (drop(f"{ABOUT}/licenses/LICENSE"), f"{ABOUT}/licenses/LICENSE: is missing"),
        (put("q35ref/notes.txt"), "q35ref/notes.txt: is no file of the project"),
        (put("tests/test_x.py"), "tests/test_x.py: is no file of the project"),
        (put("q35ref/__pycache__/a.pyc"), "q35ref/__pycache__/a.pyc: is no file of the project"),
        (put("q35ref/__init__.py", b"changed"), "q35ref/__init__.py: differs from the tree's"),
        (put(LIBRARY, library() + LARGEST * b"\0"), f"{LIBRARY}: has 1,048,596 bytes, more than 1,048,576"),
        (put(LIBRARY, library(40)), f"{LIBRARY}: is for ELF machine 40, the wheel for {platform_tag()}"),
        (put(f"{ABOUT}/WHEEL", b"Root-Is-Purelib: true\nTag: py3-none-any\n"), "WHEEL: expected Tag py3-none-"),
        (put(f"{ABOUT}/METADATA", METADATA.replace(b"1.2.3", b"1.2.4")), "metadata: expected Version 1.2.3, got 1.2.4"),
        (put(f"{ABOUT}/METADATA", METADATA.replace(b"Apache-2.0", b"MIT")), "metadata: expected License-Expression"),
        (put(f"{ABOUT}/METADATA", METADATA + b"Requires-Dist: torch\n"), "alone to be required, got click, numpy,"),
    ],
)
def test_a_damaged_wheel_is_refused(damage: Callable[[dict[str, bytes]], object], problem: str) -> None:
    files = wheel()
    damage(files)
    assert [problem in found for found in of_wheel(files)] == [True]


def test_a_wheel_for_every_machine_is_refused() -> None:
    assert of_wheel(wheel(), f"q35ref-{VERSION}-py3-none-any.whl") == [
        f"q35ref-{VERSION}-py3-none-any.whl: expected {NAME}"
    ]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (drop(f"q35ref-{VERSION}/q35ref/backends/native/src/scalar.c"), "src/scalar.c: is missing"),
        (drop(f"q35ref-{VERSION}/LICENSE"), "LICENSE: is missing"),
        (drop(f"q35ref-{VERSION}/PKG-INFO"), "PKG-INFO: is missing"),
        (put(f"q35ref-{VERSION}/weights.bin"), "weights.bin: is no file of the project"),
        (put(f"q35ref-{VERSION}/{LIBRARY}"), f"{LIBRARY}: is no file of the project"),
        (put("elsewhere/README.md"), f"expected all files in q35ref-{VERSION}/, got elsewhere/README.md"),
    ],
)
def test_a_damaged_sdist_is_refused(damage: Callable[[dict[str, bytes]], object], problem: str) -> None:
    files = sdist()
    damage(files)
    assert problem in "\n".join(of_sdist(files))
    assert problem not in "\n".join(of_sdist(sdist()))


def test_an_sdist_of_another_name_is_refused() -> None:
    assert of_sdist(sdist(), "q35ref.tar.gz") == [f"q35ref.tar.gz: expected q35ref-{VERSION}.tar.gz"]


def test_the_package_has_what_it_must() -> None:
    """The list of what must be there names files of the tree."""
    root = Path(__file__).parents[1]
    assert [path for path in contents.MUST if not (root / path).is_file()] == []


def test_the_tree_is_what_git_knows(tmp_path: Path) -> None:
    with pytest.raises(NoRepository, match="expected a git clone"):
        tracked(tmp_path)
    for command in (["init", "-q"], ["add", "kept"]):
        for name in ("kept", "stray"):
            (tmp_path / name).write_text(name)
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert tracked(tmp_path) == {"kept": b"kept"}


def test_a_library_says_what_it_is_for() -> None:
    assert doctest.testmod(contents) == (0, 1)
    for number, name in MACHINES.items():
        assert elf_machine(library(number)) == name
    assert elf_machine(b"\x7fELF\x02\x02" + 12 * b"\0" + b"\0\x16") == "s390x"


def test_a_build_that_fails_is_said_so(tmp_path: Path) -> None:
    pytest.importorskip("build", reason="the extra test is not installed")
    with pytest.raises(Failed, match=r"pyproject\.toml"):
        build(tmp_path, tmp_path / "out")


def test_what_does_not_work_is_told_with_what_was_printed(tmp_path: Path) -> None:
    trial = Trial(tmp_path, {"Q35": "set"})
    code = "import os; print(os.environ['Q35'], os.environ.get('PYTHONPATH'))"
    assert trial.run([sys.executable, "-c", code]) == "set None\n"
    with pytest.raises(TrialFailed, match=r"expected exit status 0, got 3:\nwords"):
        trial.run([sys.executable, "-c", "print('words'); raise SystemExit(3)"])
    with pytest.raises(TrialFailed, match="expected exit status 0 and 'conforms', got 0:\nwords"):
        trial.run([sys.executable, "-c", "print('words')"], says="conforms")


def test_what_cannot_be_installed_fails_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    monkeypatch.setattr("venv.create", lambda folder, **_: made.append(folder))
    with pytest.raises(FileNotFoundError):
        try_out("wheel", tmp_path / "no.whl", tmp_path / "wheel")
    assert made == [tmp_path / "wheel" / "venv"]


def test_the_tool_fails_if_a_step_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Failed("a wheel without its library")

    monkeypatch.setattr(check_distribution, "build", lambda root, out: (Path("a.tar.gz"), Path("a.whl")))
    monkeypatch.setattr(check_distribution, "check_contents", refuse)
    told = CliRunner().invoke(check_distribution.main, [])
    assert told.exit_code == 1
    assert "FAIL a wheel without its library" in told.output


WITH_NATIVE = ("install", "import_is_installed", "with_native", "types_are_seen")

WITHOUT_NATIVE = ("install", "import_is_installed", "without_native")

TRIALS = [
    *(("a.whl", "", name) for name in WITH_NATIVE),
    *(("a.tar.gz", "", name) for name in WITH_NATIVE),
    *(("a.tar.gz", NO_COMPILER, name) for name in WITHOUT_NATIVE),
]
"""Everything that is tried: of which distribution, with which compiler named, and what."""


@pytest.mark.parametrize("broken", [None, *TRIALS])
def test_the_tool_tries_all_three_and_fails_if_anything_of_one_does(
    broken: tuple[str, str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel, the sdist, and the sdist without a compiler; what is tried is a stub, for want of a network."""
    tried: list[tuple[str, str, str]] = []

    class Stub:
        def __init__(self, folder: Path, environment: dict[str, str]) -> None:
            assert folder.is_dir()
            self.distribution, self.compiler = "", environment.get("CC", "")
            # Where CI demands the kernel, a build without a compiler would be an error.
            assert environment.get("Q35_REQUIRE_NATIVE") == ("0" if self.compiler else None)

        def do(self, name: str) -> None:
            tried.append((self.distribution, self.compiler, name))
            if tried[-1] == broken:
                raise TrialFailed("it does not work")

        def install(self, distribution: Path) -> None:
            self.distribution = distribution.name
            self.do("install")

        def __getattr__(self, name: str) -> Callable[[], None]:
            return lambda: self.do(name)

    monkeypatch.setattr(check_distribution, "build", lambda root, out: (Path("a.tar.gz"), Path("a.whl")))
    monkeypatch.setattr(check_distribution, "check_contents", lambda sdist, wheel: None)
    monkeypatch.setattr(check_distribution, "Trial", Stub)
    told = CliRunner().invoke(check_distribution.main, [])
    if broken is None:
        assert (told.exit_code, tried) == (0, TRIALS), told.output
        assert "wheel and sdist are whole and work" in told.output
    else:
        assert (told.exit_code, tried) == (1, TRIALS[: TRIALS.index(broken) + 1]), told.output
        assert "FAIL it does not work" in told.output


def test_archives_are_compared_with_the_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From files to the verdict: an sdist and a wheel that lack nearly all."""
    import tarfile
    import zipfile

    archive, packed = tmp_path / "q35ref-0.tar.gz", tmp_path / "q35ref-0.whl"
    with tarfile.open(archive, "w:gz") as made:
        made.add(__file__, "q35ref-0/tests/a.py")
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.writestr("q35ref/stray.txt", "")
    monkeypatch.setattr(check_distribution, "tracked", lambda root: TREE)
    with pytest.raises(Failed) as told:
        check_contents(archive, packed)
    text = str(told.value)
    assert "q35ref-0.whl: q35ref/stray.txt: is no file of the project" in text
    assert f"q35ref-0.whl: {LIBRARY}: is missing" in text
    assert "q35ref-0.tar.gz: expected all files in q35ref-" in text
