"""Every file is imported, every root is as its template says, and lake is told to build all."""

import shutil
from pathlib import Path

import pytest

from tools.lean import __main__ as command
from tools.lean.lints import lakefile_problems, lint, orphans, stale_roots, word_problems
from tools.lean.roots import GENERATED, read_headlines, write_roots

PROOFS = Path(__file__).resolve().parents[1] / "proofs"

FILES = {
    "Q35/Spec/A.lean": "module\n\ndef a := 1\n",
    "Q35/Thm/B.lean": "module\n\npublic import Q35.Spec.A\n\ntheorem b : a = 1 := rfl\n",
    "Q35/Vectors/C.lean": "module\n\npublic import Q35.Spec.A\n\ntheorem c : List.all [\n  ⟨1⟩,\n  ⟨2⟩\n] f := rfl\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of proofs in which nothing is wrong; its headline is ``b``."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name in ("lakefile.toml", "lean-toolchain"):
        shutil.copyfile(PROOFS / name, tmp_path / name)
    assert write_roots(tmp_path, ["b"]) == list(GENERATED)
    assert lint(tmp_path, ["b"]) == []
    return tmp_path


@pytest.mark.parametrize("folder", ["Spec", "Thm", "Vectors", "Thm/Deep"])
def test_file_that_nothing_imports_is_refused(root: Path, folder: str) -> None:
    """By either root; writing the roots anew mends it."""
    orphan = root / "Q35" / folder / "Orphan.lean"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_text("module\n", encoding="utf-8")
    remedy = "does not import it: run python -m tools.lean --write-roots"
    assert list(orphans(root)) == [f"Q35/{folder}/Orphan.lean: {top} {remedy}" for top in ("Q35", "Q35.AuditWasm")]
    assert write_roots(root, ["b"]) == ["Q35.lean", "Q35/AuditWasm.lean"]
    assert lint(root, ["b"]) == []


@pytest.mark.parametrize("name", ["Extra.lean", "Other/Deep.lean"])
def test_file_outside_the_package_is_refused(root: Path, name: str) -> None:
    """Somebody might believe it to be checked; what git ignores nobody does."""
    for folder in ("Other", "Scratch", ".lake"):
        (root / folder).mkdir()
        (root / folder / "Ignored.lean").write_text("theorem x : 1 = 2 := sorry\n", encoding="utf-8")
    (root / "Other" / "Ignored.lean").unlink()
    (root / name).write_text("theorem x : 1 = 2 := sorry\n", encoding="utf-8")
    assert lint(root, ["b"]) == [f"{name}: not below Q35/, so that nothing checks it"]


def test_module_that_is_not_there_is_named(root: Path) -> None:
    """As an argument of the command."""
    assert list(word_problems(root, ["Q35.Nope"])) == ["Q35.Nope: no such module: expected a file Q35/Nope.lean"]


def test_import_of_a_module_that_imports_it_is_enough_for_no_orphan(root: Path) -> None:
    """But the audit must see each module's proofs itself, so its text must be the template's."""
    audit = root / "Q35" / "AuditWasm.lean"
    audit.write_text(audit.read_text(encoding="utf-8").replace("import all Q35.Spec.A\n", ""), encoding="utf-8")
    assert list(orphans(root)) == []
    assert lint(root, ["b"]) == [
        "Q35/AuditWasm.lean: not as its template and the files present say: run python -m tools.lean --write-roots"
    ]


@pytest.mark.parametrize("name", GENERATED)
def test_changed_and_missing_roots_are_refused(root: Path, name: str) -> None:
    """The forbidden words that an audit needs are no way in for others."""
    with (root / name).open("a", encoding="utf-8") as file:
        file.write("axiom more : 1 = 2\n")
    assert [problem.partition(":")[0] for problem in stale_roots(root, ["b"])] == [name]
    (root / name).unlink()
    assert [problem.partition(":")[0] for problem in stale_roots(root, ["b"])] == [name]
    assert any(name in problem for problem in lint(root, ["b"]))


def test_headlines_are_in_both_audits(root: Path) -> None:
    """A new headline is one that the audits do not ask for yet."""
    problems = lint(root, ["b", "c", "d"])
    assert [problem.partition(":")[0] for problem in problems] == [
        *("Q35/AuditWasm.lean", "Audit.lean", "HEADLINES.md", "headline d")
    ]
    write_roots(root, ["b", "c"])
    assert "  `Q35.b,\n  `Q35.c]" in (root / "Q35" / "AuditWasm.lean").read_text(encoding="utf-8")
    assert "#print axioms Q35.c\n" in (root / "Audit.lean").read_text(encoding="utf-8")


def test_a_headline_that_says_less_is_noticed(root: Path) -> None:
    """By the page of statements, until somebody writes it anew and shows the difference."""
    path = root / "Q35" / "Thm" / "B.lean"
    path.write_text(path.read_text(encoding="utf-8").replace("theorem b : a = 1", "theorem b : True"), encoding="utf-8")
    assert [problem.partition(":")[0] for problem in lint(root, ["b"])] == ["HEADLINES.md"]
    write_roots(root, ["b"])
    assert "theorem b : True" in (root / "HEADLINES.md").read_text(encoding="utf-8")


def test_words_are_refused_in_every_file(root: Path) -> None:
    """Wherever it lies."""
    for name, text in FILES.items():
        (root / name).write_text(text + "-- sorry\naxiom x : 1 = 2\n", encoding="utf-8")
    found = [problem for problem in lint(root, ["b"]) if "axiom assumes" in problem]
    assert [problem.partition(":")[0] for problem in found] == list(FILES)
    assert len(list(word_problems(root, ["Q35.Thm.B"]))) == 1


def test_circle_is_refused(root: Path) -> None:
    """It is said which modules are in it."""
    (root / "Q35" / "Spec" / "A.lean").write_text("module\npublic import Q35.Thm.B\n", encoding="utf-8")
    assert any("imports itself by way of" in problem for problem in lint(root, ["b"]))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('["Q35", "Audit"]', '["Q35"]', "defaultTargets: expected ['Q35', 'Audit'], got ['Q35']"),
        ('name = "Audit"', 'name = "Audits"', "lean_lib: expected "),
        ('name = "Q35"', 'name = "Q35"\nsrcDir = "decoy"', "lean_lib: expected "),
        ("warningAsError = true", "warningAsError = false", "leanOptions: expected {'warningAsError': True}"),
        ("warningAsError = true", "warningAsError = true\ndebug.skipKernelTC = true", "leanOptions: expected "),
        ('version = "0.1.0"', 'version = "0.1.0"\nmoreLeanArgs = ["-D"]', "moreLeanArgs: expected None, got ['-D']"),
    ],
)
def test_lakefile_must_build_all(root: Path, old: str, new: str, problem: str) -> None:
    """Both libraries, from files that exist, without warnings."""
    lakefile = root / "lakefile.toml"
    text = lakefile.read_text(encoding="utf-8")
    assert text.count(old) == 1
    lakefile.write_text(text.replace(old, new), encoding="utf-8")
    (said,) = lakefile_problems(root)
    assert said.startswith(f"lakefile.toml: {problem}")
    lakefile.write_text(text, encoding="utf-8")
    (root / "lakefile.lean").touch()
    assert list(lakefile_problems(root)) == ["lakefile.lean: lake would read it instead of lakefile.toml"]


def test_toolchain_is_pinned(root: Path) -> None:
    """To the version that Lean in WebAssembly is a build of."""
    (root / "lean-toolchain").write_text("leanprover/lean4:stable\n", encoding="utf-8")
    assert list(lakefile_problems(root)) == ["lean-toolchain: expected leanprover/lean4:v4.28.0"]


def test_committed_sources_pass() -> None:
    """All that can be seen without Lean, in the proofs themselves."""
    assert lint(PROOFS, read_headlines()) == []


FAKE_LAKE = """#!/bin/sh
pwd > called
echo "$@" >> called
exit {status}
"""


@pytest.mark.parametrize("status", [0, 1])
def test_lake_is_asked_first(
    root: Path, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the folder of the proofs, with warnings as failures; the lints come before it."""
    (root / "lake").write_text(FAKE_LAKE.replace("{status}", str(status)), encoding="utf-8")
    (root / "lake").chmod(0o755)
    monkeypatch.setenv("PATH", str(root), prepend=":")
    monkeypatch.setattr(command, "PROOFS", root)
    monkeypatch.setattr(command, "read_headlines", lambda: ["b"])
    assert command.main([]) == status
    assert (root / "called").read_text(encoding="utf-8") == f"{root}\nbuild --wfail\n"
    said = capsys.readouterr()
    if status:
        assert "FAILED lake build ended with status 1" in said.err
    else:
        assert said.out.startswith("proofs: 5 modules, 2 theorems, of these 1 with 2 vectors, ")
        assert said.out.endswith(" s, lake: all checked\n")
    (root / "called").unlink()
    (root / "Q35" / "Thm" / "Orphan.lean").write_text("module\n", encoding="utf-8")
    assert command.main([]) == 1
    assert not (root / "called").exists()
    assert "FAILED Q35/Thm/Orphan.lean: Q35 does not import it" in capsys.readouterr().err
