"""What is checked, in which order, and what is not checked again; with stand-ins for Lean, so that it takes no time."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.lean import wasm_build, worker
from tools.lean.sources import SourceError, Sources, code_of, imports_of
from tools.lean.wasm_build import Verdict, WasmBuild
from tools.lean.worker import OLEANS, LeanStopped, Message, Worker, source_path


class StandIn:
    """A worker that finds what it is told to find."""

    checked: list[str]
    messages: dict[str, list[Message]]
    stopped: int

    def __init__(self, home: Path, root: Path) -> None:
        self.root = root

    def check(self, module: str) -> list[Message]:
        """Write an olean, unless there is an error."""
        StandIn.checked.append(module)
        olean = self.root / OLEANS / source_path(module).with_suffix(".olean")
        olean.parent.mkdir(parents=True, exist_ok=True)
        olean.write_text(f"olean of {module}", encoding="utf-8")
        return StandIn.messages.get(module, [])

    def stop(self) -> None:
        """Count."""
        StandIn.stopped += 1


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm_build, "Worker", StandIn)
    StandIn.checked, StandIn.messages, StandIn.stopped = [], {}, 0


def plant(root: Path, **sources: str) -> Path:
    """Write modules; the default ones import each other in a diamond: D needs B and C, which need A."""
    for module, text in (sources or {"A": "", "B": "A", "C": "A", "D": "B C"}).items():
        imports = "".join(f"public import {name}\n" for name in text.split()) if not sources else ""
        (root / f"{module}.lean").write_text(f"module\n{imports or text}\n", encoding="utf-8")
    return root


def build(root: Path, *roots: str) -> list[Verdict]:
    """Build with two workers."""
    return WasmBuild(root, root, 2).build(roots or ["D"], lambda verdict: None)


def test_imports_come_first_and_each_is_checked_once(tmp_path: Path) -> None:
    """Whatever runs at the same time."""
    verdicts = build(plant(tmp_path))
    assert {verdict.module for verdict in verdicts} == set("ABCD")
    assert (StandIn.checked[0], set(StandIn.checked[1:3]), StandIn.checked[3:]) == ("A", {"B", "C"}, ["D"])


def test_what_has_not_changed_is_not_checked_again(tmp_path: Path) -> None:
    """Nor is Lean started. A change of a source is one for all that import it; so is one of the checker for all."""
    StandIn.messages = {"B": [Message("information", "two theorems\n", "B.lean", 1, 0)]}
    build(plant(tmp_path))
    StandIn.checked.clear()
    verdicts = build(tmp_path)
    assert StandIn.checked == []
    assert [verdict.seconds for verdict in verdicts] == [None] * 4
    assert [verdict.notes for verdict in verdicts if verdict.module == "B"] == [("two theorems",)]
    with (tmp_path / "B.lean").open("a", encoding="utf-8") as file:
        file.write("-- changed\n")
    build(tmp_path)
    assert StandIn.checked == ["B", "D"]


def test_other_checker_checks_all_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new toolchain, another driver."""
    build(plant(tmp_path))
    StandIn.checked.clear()
    monkeypatch.setattr(wasm_build, "identity", lambda: "another")
    build(tmp_path)
    assert sorted(StandIn.checked) == list("ABCD")


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.write_bytes(b"other")])
def test_lost_and_overwritten_oleans_are_made_again(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """A stamp is worth nothing without the olean that it stands for."""
    build(plant(tmp_path))
    StandIn.checked.clear()
    change(tmp_path / OLEANS / "C.olean")
    build(tmp_path)
    assert StandIn.checked == ["C"]


@pytest.mark.parametrize("stamps", ["", "[", "{}"])
def test_unreadable_stamps_are_none(tmp_path: Path, stamps: str) -> None:
    """All is checked again."""
    build(plant(tmp_path))
    StandIn.checked.clear()
    (tmp_path / OLEANS / wasm_build.STAMPS).write_text(stamps, encoding="utf-8")
    build(tmp_path)
    assert sorted(StandIn.checked) == list("ABCD")


@pytest.mark.parametrize("severity", ["warning", "error"])
def test_warnings_and_errors_fail_and_what_imports_them_is_not_checked(tmp_path: Path, severity: str) -> None:
    """The others are; and the next run tries again."""
    StandIn.messages = {"B": [Message(severity, "unused variable", "B.lean", 3, 4)]}
    for _ in range(2):
        verdicts = {verdict.module: verdict.problems for verdict in build(plant(tmp_path))}
        assert verdicts == {
            "A": (),
            "B": (f"B.lean:3:4: {severity}: unused variable",),
            "C": (),
            "D": ("not checked: B failed",),
        }
    assert StandIn.checked.count("B") == 2


def test_interrupt_stops_the_workers(tmp_path: Path) -> None:
    """All of them, those that work too."""

    def interrupt(verdict: Verdict) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        WasmBuild(tmp_path, plant(tmp_path), 2).build(["D"], interrupt)
    assert StandIn.stopped == 2


def test_sources_that_do_not_fit_together(tmp_path: Path) -> None:
    """A missing root, a circle."""
    plant(tmp_path, A="import B", B="import C", C="import A")
    with pytest.raises(SourceError, match=r"E: expected a file E\.lean"):
        build(tmp_path, "E")
    with pytest.raises(SourceError, match="A: imports itself by way of A, B, C"):
        Sources(tmp_path, ["A"])


def test_headers_are_read_to_their_end() -> None:
    """Several imports on a line, indented ones, comments between them; none after the header."""
    text = "-- import No\nmodule /- import Not -/ import A import all B.C\n  public meta import D\ndef x := 1\nimport E"
    assert imports_of(text) == ["A", "B.C", "D"]
    assert imports_of("import A") == ["A"]


def test_comments_are_taken_out_as_lean_does() -> None:
    """Nested ones, unfinished ones; not within strings, characters, and names in quotation marks."""
    assert code_of("a /- b /- c -/ d\n-/ e -- f") == "a \n e "
    assert code_of("a /- b /- c -/ d") == "a "
    for code in ('"-- /-"', r'"\"--"', 'r#"a"--"#', "x'--'".replace("--", "'"), "«--»", "'\"' a '\"'", r"'\'' a"):
        assert code_of(f"{code} -- b") == f"{code} "


FAKE = """#!/bin/sh
echo started >> "$3/starts"
echo @@ready
while read request; do
  {answer}
done
"""


def fake_lean(root: Path, answer: str) -> Worker:
    """Return a worker whose Node is a shell script: it does ``answer`` for each request."""
    (root / "bin").mkdir()
    (root / "bin" / "node").write_text(FAKE.replace("{answer}", answer), encoding="utf-8")
    (root / "bin" / "node").chmod(0o755)
    plant(root, A="", B="")
    return Worker(root, root)


def starts(root: Path) -> int:
    """Return how often the fake Lean was started."""
    return len((root / "starts").read_text(encoding="utf-8").split())


def test_stop_ends_a_check_that_is_under_way(tmp_path: Path) -> None:
    """At once, and Lean is not started again."""
    lean = fake_lean(tmp_path, "exec sleep 60")
    said: list[Exception] = []

    def check() -> None:
        try:
            lean.check("A")
        except LeanStopped as problem:
            said.append(problem)

    thread = threading.Thread(target=check)
    thread.start()
    while not (tmp_path / "starts").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    lean.stop()
    thread.join(20)
    assert len(said) == 1
    with pytest.raises(LeanStopped):
        lean.check("A")


def test_lean_that_crashes_is_tried_once_more_and_then_a_failure(tmp_path: Path) -> None:
    """A process that has checked something may have run out of memory; a fresh one has no such excuse."""
    lean = fake_lean(tmp_path, "echo out of memory; exit 3")
    with pytest.raises(LeanStopped, match=r"A.lean: no verdict, .*; Lean's last words: out of memory"):
        lean.check("A")
    assert starts(tmp_path) == 1
    lean.stop()


def test_worker_starts_anew_after_some_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lean gives no memory back."""
    monkeypatch.setattr(worker, "MODULES_PER_START", 2)
    lean = fake_lean(tmp_path, 'touch "$3/.lake/wasm/A.olean" "$3/.lake/wasm/B.olean"; echo @@passed')
    for module in "ABA":
        assert lean.check(module) == []
    assert starts(tmp_path) == 2
    lean.stop()


def test_time_is_limited(tmp_path: Path) -> None:
    """A proof that does not end is a failure."""
    lean = fake_lean(tmp_path, "exec sleep 60")
    lean.limit = 0.5
    with pytest.raises(LeanStopped, match="no verdict, or none in 0 s"):
        lean.check("A")
