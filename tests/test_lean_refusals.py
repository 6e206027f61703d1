"""Each fault that a planted source has is refused, in its text or by Lean itself, and a sound source is not."""

import re
import shutil
from pathlib import Path

import pytest

from tools.lean import toolchain
from tools.lean.__main__ import required
from tools.lean.lints import headline_problems
from tools.lean.roots import fill
from tools.lean.sources import count_theorems
from tools.lean.words import FORBIDDEN, OPTIONS, faults_of
from tools.lean.worker import Worker, source_path

PLANTED = Path(__file__).parent / "planted"

IN_TEXT = {
    "Sorry": "line 6: sorry leaves out a proof",
    "Admit": "line 6: admit leaves out a proof",
    "Axiom": "line 6: axiom assumes what is to be proved",
    "NativeDecide": "line 6: native_decide trusts Lean's compiler",
    "ImplementedBy": "line 8: implemented_by lets other code stand for a definition",
    "Unsafe": "line 6: unsafe lets other code stand for a definition",
    "Opaque": "line 6: opaque hides a definition that statements are about",
    "HiddenSorry": "line 7: macro changes what the text means",
    "Program": "line 6: run_cmd runs a program while Lean checks",
    "QuotedName": "line 6: « can spell any word",
    "Guarded": "line 6: a command that begins with # proves nothing, and #exit or #guard_msgs hide",
    "Unchecked": f"line 6: set_option debug.skipKernelTC is not among {', '.join(OPTIONS)}",
    "Option": f"line 3: set_option linter.unusedVariables is not among {', '.join(OPTIONS)}",
    "Comment": "line 7: a comment begins without a blank before it",
    "Import": "line 1: import Lean: only Q35, Init, Std may be imported",
}
"""What the text of a planted source is refused for, first of all."""

BY_LEAN = {
    "Sorry": r"6:\d+: warning: declaration uses `sorry`",
    "HiddenSorry": r"9:\d+: warning: declaration uses `sorry`",
    "Warning": r"6:\d+: warning: unused variable `unused`",
    "Error": r"6:\d+: error: .*proposition\n  1 = 2\nis false",
    "Axiom": None,
    "Unchecked": None,
    "HeadlineDef": None,
    "Good": None,
}
"""What Lean says of a planted source, in the order of the checks; what it passes is for the audit."""

IN_AUDIT = (
    "Planted.sorryClaim uses sorryAx",
    "Planted.assumed is an axiom",
    "Planted.uncheckedClaim._proof_1_1 is not accepted by the kernel",
    "headline Planted.promisedOnly is no theorem",
    "headline Planted.gone is missing",
)


def planted(name: str) -> str:
    """Return the text of a planted source."""
    return (PLANTED / f"Planted{name}.lean").read_text(encoding="utf-8")


def test_every_planted_source_is_refused_for_what_it_was_planted_for() -> None:
    """By its text, by Lean, or by the audit; none lies there unused."""
    names = {path.stem.removeprefix("Planted") for path in PLANTED.glob("*.lean")}
    assert names == {*IN_TEXT, *BY_LEAN}


@pytest.mark.parametrize("name", IN_TEXT)
def test_text_is_refused(name: str) -> None:
    """The first fault found is the one that was planted."""
    assert next(faults_of(planted(name))) == IN_TEXT[name]


@pytest.mark.parametrize("name", sorted(BY_LEAN.keys() - IN_TEXT.keys()))
def test_other_text_is_not_refused(name: str) -> None:
    """Words in comments do not count, however deep; a quotation mark begins no string."""
    assert list(faults_of(planted(name))) == []


@pytest.mark.parametrize("word", [word for words in FORBIDDEN.values() for word in words])
def test_every_forbidden_word_is_found(word: str) -> None:
    """As code, within an interpolated string, and as part of a dotted name; not as part of a longer word."""
    for code in (f"def a := {word} 1", f'def a := s!"{{{word} 1}}"', f"def a := Lean.{word}"):
        assert next(fault.split()[2] for fault in faults_of(f"module\n{code}")) == word
    assert list(faults_of(f"theorem no_{word}_here : 1 = 1 := rfl -- {word}")) == []


EVASIONS = {
    "def a : Nat := 1set_option debug.skipKernelTC true in": "set_option debug.skipKernelTC is not among",
    "def a := 0xFset_option debug.skipKernelTC true": "set_option debug.skipKernelTC is not among",
    "def a := 1e5set_option debug.skipKernelTC true": "set_option debug.skipKernelTC is not among",
    "set_option": "set_option  is not among",
    "def a := (2)⁻¹axiom b : 1 = 2": "axiom assumes",
    "def a := xλaxiom": "axiom assumes",
    "def a : Nat := (15)#eval 1": "a command that begins with #",
    'def a := s!"{f " /- "}"\naxiom b : 1 = 2\n-- -/': "a string holds a brace",
    "local instance : LE Rat := ⟨fun _ _ => True⟩": "local changes",
    "instance : LE Rat := ⟨fun _ _ => True⟩": "instance: only one of Decidable",
    "@[instance] def a : LE Rat := ⟨fun _ _ => True⟩": "instance: only one of Decidable",
    "attribute [-instance] Rat.instLE": "attribute changes",
    "scoped notation a ≤ b => True": "notation changes",
    "include legal in": "include adds an assumption",
    "theorem a : 1 = 2 := by decide +native": "native trusts",
}
"""Ways around the words that were found by trying, and what each is refused for."""


@pytest.mark.parametrize("text", EVASIONS)
def test_ways_around_the_words_are_refused(text: str) -> None:
    """Lean needs no blanks between tokens, and sees code in a string that is interpolated."""
    assert [fault for fault in faults_of(text) if EVASIONS[text] in fault]


def test_decidable_instances_and_an_exempt_word_are_not_refused() -> None:
    """A file's exemption is for a word."""
    assert list(faults_of("instance (x : Rat) : Decidable (Overflows x) := inferInstance")) == []
    assert list(faults_of('scoped prefix:max "−" => negative', allowed=("prefix",))) == []
    assert len(list(faults_of('scoped prefix:max "−" => negative'))) == 1


@pytest.mark.parametrize("string", ['"--"', '"a /- b"', 'r#"-/"#'])
def test_signs_of_comments_in_strings_are_refused(string: str) -> None:
    """What begins a comment must begin one for every reader."""
    assert list(faults_of(f"def a := {string}")) == ["line 1: a string holds the sign of a comment"]


def test_headlines_must_be_public_theorems(tmp_path: Path) -> None:
    """A definition, a private theorem, a comment, a longer name: none of them is the headline."""
    (tmp_path / "Q35").mkdir()
    source = "theorem found : 1 = 1 := rfl\n@[simp] protected theorem Q35.also : 1 = 1 := rfl\n"
    source += "abbrev promised : Prop := 1 = 2\nprivate theorem hidden : 1 = 1 := rfl\n"
    source += "-- theorem commented : 1 = 1\ntheorem longer' : 1 = 1 := rfl\ntheorem longer.still : 1 = 1 := rfl\n"
    (tmp_path / "Q35" / "A.lean").write_text(source, encoding="utf-8")
    assert list(headline_problems(tmp_path, ["found", "also", "promised", "hidden", "commented", "longer"])) == [
        "headline promised: no public theorem of this name; there is: abbrev",
        "headline hidden: no public theorem of this name; there is: private theorem",
        "headline commented: no public theorem of this name",
        "headline longer: no public theorem of this name",
    ]
    assert list(headline_problems(tmp_path, [])) == ["no headline theorem is asked for"]


@pytest.mark.slow
def test_lean_and_its_audit_refuse(tmp_path: Path) -> None:
    """In one process, for it takes 20 s to start: warnings, errors, and what the audit finds behind the words."""
    home = toolchain.fetch() if required() else toolchain.present()
    if home is None:  # 0.6 GB that a user need not fetch for the tests; where proofs are required, it is fetched
        pytest.skip("Lean in WebAssembly is not in the cache: python -m tools.lean --setup fetches it")
    worker = Worker(home, tmp_path)
    heads = ["Planted.promised", "Planted.promisedOnly", "Planted.gone"]
    audits = {
        "AuditBad": (["Sorry", "Axiom", "Unchecked", "HeadlineDef", "Good"], heads),
        "AuditGood": (["Good"], heads[:1]),
    }
    said = {}
    try:
        for name in BY_LEAN:
            module = tmp_path / source_path(f"Planted.{name}")
            module.parent.mkdir(exist_ok=True)
            shutil.copyfile(PLANTED / f"Planted{name}.lean", module)
            said[name] = [str(message) for message in worker.check(f"Planted.{name}")]
        for name, (imports, headlines) in audits.items():
            text = fill("Q35/AuditWasm.lean", [f"Planted.{module}" for module in imports], "Planted", headlines)
            (tmp_path / f"{name}.lean").write_text(text, encoding="utf-8")
            said[name] = [str(message) for message in worker.check(name)]
        unseen = (tmp_path / "AuditGood.lean").read_text(encoding="utf-8").replace("import all", "import")
        (tmp_path / "AuditUnseen.lean").write_text(unseen, encoding="utf-8")
        said["AuditUnseen"] = [str(message) for message in worker.check("AuditUnseen")]
    finally:
        worker.stop()
    for name, pattern in BY_LEAN.items():
        assert len(said[name]) == (pattern is not None), said[name]
        assert pattern is None or re.search(pattern, said[name][0]), said[name]
    assert [fault for fault in IN_AUDIT if fault not in said["AuditBad"][0]] == [], said["AuditBad"]
    assert said["AuditBad"][0].count("\n") == len(IN_AUDIT), said["AuditBad"]
    assert "information: audited" in said["AuditGood"][0]
    assert "Planted.promised is an axiom" in said["AuditUnseen"][0], "imported without its proofs"


def test_theorems_are_counted() -> None:
    """Those of code, however they are marked."""
    assert count_theorems(planted("Good")) == 2
