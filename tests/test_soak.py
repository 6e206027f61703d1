"""A soak goes on where it stopped, finds what is wrong, keeps it, and says how to see it again."""

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from q35ref.backends import OPERATIONS
from q35ref.backends.native import NativeBackend, NativeUnavailable
from q35ref.backends.numpy import NumpyBackend
from q35ref.cli import main
from q35ref.oracle.call_files import load as load_calls
from q35ref.oracle.domain import WHOLE
from q35ref.oracle.problem import Problem
from q35ref.oracle.targets import ObjectTarget
from q35ref.oracle.vector import from_problem
from q35ref.soak import Lineup, State, StateError, problem, soak
from q35ref.soak.backends import THREADED, Setting
from q35ref.soak.judging import REFERENCE, agreed, judge, reference_vector
from q35ref.soak.state import Counts, load, schema_path
from q35ref.vectors.shape import require_form

WRAPS = "python:q35ref.oracle.bugs:Wraps"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["soak", *arguments])


def first(kind: str, wanted: Callable[[Problem], bool] = lambda found: True) -> tuple[int, Problem]:
    """Return the first problem of seed 1 of an operation."""
    for number in range(5000):
        found = problem(1, number)
        if found.operation == kind and wanted(found):
            return number, found
    raise AssertionError(kind)


# ---- problems --------------------------------------------------------------------------------------------------------


def test_a_problem_depends_on_its_seed_and_number_alone() -> None:
    numbers = [5, 3, 17, 3, 5]
    texts = [problem(1, number).folded() for number in numbers]
    assert texts[0] == texts[4]
    assert texts[1] == texts[3]
    assert len({*texts, problem(2, 5).folded()}) == 4


def test_problems_are_legal_of_every_operation_and_many_sizes() -> None:
    found = [problem(7, number) for number in range(300)]
    assert {one.operation for one in found} == set(OPERATIONS)
    assert any(one.refusal for one in found)
    for one in found:
        assert one.legal()
        assert WHOLE.nearest(one) is one
        assert one.refusal or all(np.isfinite(array).all() for array in one.arrays.values())
    small = sum(one.size <= REFERENCE for one in found)
    assert 0.8 < small / len(found) < 1
    assert any(one.size >= THREADED for one in found)
    assert {one.layout for one in found} == {"byte", "dense"}
    assert any(one.group_size > one.k for one in found)
    assert eval(found[3].origin, {"q35ref": __import__("q35ref.soak")}).folded() == found[3].folded()  # noqa: S307


# ---- judging ---------------------------------------------------------------------------------------------------------


def test_the_reference_answers_a_large_problem_part_by_part_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in OPERATIONS:
        _, found = first(kind, lambda one: (one.m if "x" in one.arrays else one.n) >= 4 and one.size < 400)
        whole = from_problem("a", found)
        with monkeypatch.context() as patched:
            patched.setattr(sys.modules[Problem.__module__], "LARGE", 1)
            assert found.large
            parts = reference_vector("a", found)
        assert parts.expected.keys() == whole.expected.keys()
        for name, array in whole.expected.items():
            assert array.tobytes() == parts.expected[name].tobytes(), (kind, name)


@pytest.mark.parametrize("kind", ["matmul", "dequantize"])
def test_twice_the_bound_holds_every_right_answer_and_no_more(kind: str) -> None:
    """The ends of the reference's own interval must lie inside; a step of the bound farther out nothing may."""
    checked = 0
    for number in range(400):
        found = problem(3, number)
        if found.operation != kind or found.size > 400:
            continue
        right = from_problem("a", found).expected
        with Lineup() as lineup:
            vector = agreed("a", found, lineup.asked(0, found)[0].answer(found))
        assert vector is not None
        name = "out" if kind == "matmul" else "w"
        judged = np.isfinite(right[f"{name}_low"]) & np.isfinite(vector.expected[f"{name}_low"])
        low, high = (vector.expected[f"{name}_{end}"][judged].astype(np.float64) for end in ("low", "high"))
        inner, outer = (right[f"{name}_{end}"][judged].astype(np.float64) for end in ("low", "high"))
        assert (low <= inner).all()
        assert (outer <= high).all()
        width, slack = outer - inner, 8 * np.spacing(np.maximum(np.abs(low), np.abs(high)).astype(np.float32))
        assert (high - low <= 2 * width + slack).all()
        checked += int(judged.sum())
    assert checked > 100


def test_a_large_problem_that_must_be_refused_is_refused() -> None:
    """Most of its columns alone need not be."""
    w = np.zeros((1024, 300), np.float32)
    w[5, 7] = np.nan
    one = np.ones((1, 300), np.float32)
    posed = Problem("quantize", 1024, {"w": w, "scale": one, "offset": one})
    assert posed.large
    with Lineup() as lineup, lineup.as_found():
        judged = judge(posed, lineup.asked(0, posed), "calls/quantize/soak/0")
    assert judged.by_reference
    assert judged.calls > 1
    assert not judged.failures


class OneColumnWrong:
    """NumPy's backend, wrong in the last column of what is wide."""

    name = "one column wrong"
    correctly_rounded = True

    def __getattr__(self, operation: str) -> Any:
        if operation not in OPERATIONS:
            raise AttributeError(operation)

        def call(*arguments: Any) -> Any:
            result = getattr(NumpyBackend(), operation)(*arguments)
            if operation == "dequantize" and result.shape[1] > 3:
                result[0, -1] = np.nextafter(result[0, -1], np.float32(np.inf))
            return result

        return call


def test_the_reference_says_who_is_wrong_about_a_large_problem() -> None:
    number, found = first("dequantize", lambda one: 2 * REFERENCE < one.size < 1 << 16 and one.n > 3)
    with Lineup([OneColumnWrong()]) as lineup, lineup.as_found():
        judged = judge(found, lineup.asked(number, found), "calls/dequantize/soak/0")
    assert judged.by_reference
    assert [setting.name for setting, _ in judged.failures] == ["one column wrong"]
    with Lineup() as lineup, lineup.as_found():
        judged = judge(found, lineup.asked(number, found), "calls/dequantize/soak/0")
    assert not judged.by_reference
    assert not judged.failures


def test_a_wrong_first_backend_does_not_make_the_others_wrong() -> None:
    number, found = first("dequantize", lambda one: 2 * REFERENCE < one.size < 1 << 16 and one.n > 3)
    with Lineup([OneColumnWrong()]) as lineup, lineup.as_found():
        asked = lineup.asked(number, found)
        judged = judge(found, [asked[-1], *asked[:-1]], "calls/dequantize/soak/0")
    assert [setting.name for setting, _ in judged.failures] == ["one column wrong"]


class Raises:
    name, correctly_rounded = "raises", True

    def pack(self, q: Any, layout: Any) -> Any:
        raise OSError("no")


def test_an_answer_that_is_none_is_a_failure_even_of_the_first() -> None:
    number, found = first("pack", lambda one: one.size > REFERENCE)
    with Lineup([Raises()]) as lineup, lineup.as_found():
        asked = lineup.asked(number, found)
        judged = judge(found, [asked[-1], *asked[:-1]], "calls/pack/soak/0")
    assert [mismatch.kind for _, mismatch in judged.failures] == ["raised"]


class MinusZero(NumpyBackend):
    """Right, but for the sign of a zero, which no rule looks at."""

    def dequantize(self, *arguments: Any, **named: Any) -> Any:
        return np.negative(super().dequantize(*arguments, **named))


def test_settings_that_promise_the_same_bits_are_held_to_them() -> None:
    one, zero = np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
    posed = Problem("dequantize", 2, {"q": np.zeros((2, 1), np.int8), "scale": one, "offset": zero})
    for promise, found in ((True, ["other bits"]), (False, [])):
        settings = [
            Setting(type(backend).__name__, ObjectTarget(backend), "numpy", same_bits=promise)
            for backend in (NumpyBackend(), MinusZero())
        ]
        judged = judge(posed, settings, "calls/dequantize/soak/0")
        assert [mismatch.kind for _, mismatch in judged.failures] == found


# ---- runs ------------------------------------------------------------------------------------------------------------


def test_nothing_is_found_on_our_own_backends(tmp_path: Path) -> None:
    done = run("--problems", "150", "--failures", str(tmp_path / "failures"), "--seed", "4")
    assert done.exit_code == 0, done.output
    assert "problems 0 to 149" in done.output
    assert ", 0 failures" in done.output
    assert not (tmp_path / "failures").exists()


def counted(path: Path) -> dict[str, Any]:
    """Return a state without the time that it took."""
    found: dict[str, Any] = json.loads(path.read_text())
    return {name: value for name, value in found.items() if name not in ("milliseconds", "sha256")}


def test_a_run_in_parts_is_the_run_in_one(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole.json", tmp_path / "parts.json"
    assert run("--problems", "60", "--state", str(whole)).exit_code == 0
    for most in (7, 8, 41, 60):
        assert run("--problems", str(most), "--state", str(parts)).exit_code == 0
    assert counted(parts) == counted(whole)
    assert counted(whole)["next"] == 60
    require_form(json.loads(whole.read_text()), json.loads(schema_path().read_text()))
    again = run("--problems", "60", "--state", str(whole))
    assert "problems 0 to 59" in again.output


def test_an_interrupted_run_goes_on_to_the_same_counts(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole.json", tmp_path / "parts.json"
    command = [sys.executable, "-m", "q35ref", "soak", "--minutes", "5", "--state", str(parts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not parts.exists():
            time.sleep(0.01)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors.strip().endswith("Interrupted.")
    posed = counted(parts)["next"]
    assert f"problems 0 to {posed - 1}" in output or posed == 0
    more = str(posed + 25)
    assert run("--problems", more, "--state", str(parts)).exit_code == 0
    assert run("--problems", more, "--state", str(whole)).exit_code == 0
    assert counted(parts) == counted(whole)


def test_a_planted_bug_is_found_kept_counted_and_replayed(tmp_path: Path) -> None:
    state, failures = tmp_path / "state.json", tmp_path / "failures"
    options = ["--problems", "40", "--state", str(state), "--failures", str(failures), "--also", WRAPS]
    done = run(*options)
    assert done.exit_code == 1, done.output
    counts = counted(state)["counts"]
    found = sum(entry["failures"] for entry in counts.values())
    assert found == counts["quantize"]["failures"] > 0
    folders = sorted(failures.iterdir())
    assert len(folders) == found
    assert f"{found} failures" in done.output
    for folder in folders:
        operation, _, [vector] = load_calls(folder / "calls" / "quantize.json")
        assert operation == "quantize"
        assert vector.problem.input_size <= 12, "cut down"
        text = (folder / "README.txt").read_text()
        replay = shlex.split(text.partition("vector: ")[2])
        assert replay[:3] == ["q35ref", "check", WRAPS]
        if folder is folders[0]:
            replayed = CliRunner().invoke(main, replay[1:])
            assert replayed.exit_code == 1, replayed.output
            assert "FAIL vectors.calls.quantize" in replayed.output
            right = CliRunner().invoke(main, ["check", "numpy", "--vectors", replay[-1]])
            assert right.exit_code == 0, right.output
            again = shlex.split(text.partition("again:")[2].partition("\n")[0])
            assert run(*again[2:], "--failures", str(tmp_path / "more")).exit_code == 1
            assert [path.name for path in (tmp_path / "more").iterdir()] == [folder.name]
    resumed = run(*options[:1], "41", *options[2:])
    assert resumed.exit_code == 1, "failures of earlier runs count"


def test_a_folder_that_is_not_ours_is_not_replaced(tmp_path: Path) -> None:
    number, _ = first("quantize", lambda one: not one.refusal and one.k > 20)
    options = ["--start", str(number), "--problems", "1", "--also", WRAPS, "--failures", str(tmp_path / "failures")]
    assert run(*options).exit_code == 1
    [kept] = (tmp_path / "failures").iterdir()
    assert run(*options).exit_code == 1, "its own folder is written again"
    (kept / "notes").write_text("mine")
    done = run(*options)
    assert done.exit_code == 2
    assert "would be lost" in done.output
    assert (kept / "notes").read_text() == "mine"


def test_the_native_kernel_is_left_as_it_was_found() -> None:
    library = NativeBackend().library
    before = library.isa, library.threads
    state = State(1, ("numpy",))
    with Lineup() as lineup:
        soak(state, lineup, failures=Path("unused"), stop=lambda now: now.next == 12)
    assert (library.isa, library.threads) == before


def test_without_the_native_kernel_the_others_are_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing() -> None:
        raise NativeUnavailable("not built")

    monkeypatch.setattr("q35ref.soak.backends.NativeBackend", missing)
    state = tmp_path / "state.json"
    done = run("--problems", "10", "--state", str(state))
    assert done.exit_code == 0, done.output
    assert "native: not asked: not built" in done.output
    assert "asked: numpy, lpu" in done.output
    monkeypatch.undo()
    done = run("--problems", "10", "--state", str(state))
    assert done.exit_code == 2, "with other backends the counts would not be those of one run"
    assert "a run with backends numpy, lpu; expected numpy, native" in done.output


def test_every_setting_has_its_turn() -> None:
    with Lineup() as lineup:
        names = {setting.name for number in range(40) for setting in lineup.asked(number, problem(1, number))}
        number, large = first("matmul", lambda one: one.size >= THREADED)
        at_once = {setting.name for setting in lineup.asked(number, large)}
        isas = len(lineup.names) - 2
    assert {"numpy", "lpu"} < names
    assert len(at_once) == 1 + 5 * isas


# ---- states that are refused -----------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "state.json"
    State(1, ("numpy", "lpu"), 0, 2, 5, {"pack": Counts(2, 2, 4, 10, 10)}).save(path)
    return path


def test_a_state_is_read_as_it_was_written(saved: Path) -> None:
    assert load(saved, 1, ("numpy", "lpu"), None).total == Counts(2, 2, 4, 10, 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "not a JSON document"),
        (lambda text: "", "not a JSON document"),
        (lambda text: "[]", "document: expected type 'object'"),
        (lambda text: text.replace('"cases": 4', '"cases": 5'), "damaged: its SHA-256"),
        (lambda text: text.replace('"cases": 4', '"cases": -4'), "document.counts.pack.cases: expected minimum 0"),
        (lambda text: text.replace('"cases": 4', '"cases": 4.5'), "not allowed"),
        (lambda text: text.replace('"seed"', '"sead"'), "document.sead: not allowed"),
        (lambda text: text.replace("q35ref soak", "q35ref vectors"), "expected const"),
    ],
)
def test_a_damaged_state_is_refused_in_one_line(saved: Path, change: Callable[[str], str], message: str) -> None:
    saved.write_text(change(saved.read_text()))
    done = run("--problems", "3", "--state", str(saved))
    assert done.exit_code == 2
    assert message in done.output
    assert done.output.startswith(f"Error: {saved}: ")
    assert done.output.count("\n") == 1


def rewritten(saved: Path, **changes: Any) -> None:
    """Change a state and its digest with it."""
    content = {**json.loads(saved.read_text()), **changes}
    del content["sha256"]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    saved.write_text(json.dumps({**content, "sha256": digest}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"q35ref_version": "0.0.1"}, "a run with q35ref_version 0.0.1; expected"),
        ({"numpy_version": "1.0"}, "a run with numpy_version 1.0; expected"),
        ({"seed": 2}, "a run with seed 2; expected 1"),
        ({"backends": ["numpy"]}, "a run with backends numpy; expected numpy, lpu"),
        ({"first": 1}, "a run with first 1; expected 0"),
        ({"next": 3}, "expected 3 problems in its counts"),
    ],
)
def test_another_runs_state_is_refused(saved: Path, changes: dict[str, Any], message: str) -> None:
    rewritten(saved, **changes)
    with pytest.raises(StateError, match=message):
        load(saved, 1, ("numpy", "lpu"), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--minutes or --problems: expected one of them"),
        (["--minutes", "0"], "minutes"),
        (["--problems", "0"], "problems"),
        (["--problems", "1", "--also", "cuda"], "target: expected one of"),
        (["--problems", "1", "--state", "no/such/folder/state.json"], "no such folder"),
    ],
)
def test_wrong_usage_is_one_line(options: list[str], message: str, tmp_path: Path) -> None:
    done = run(*options)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


def test_minutes_end_a_run() -> None:
    begun = time.monotonic()
    done = run("--minutes", "0.01")
    assert done.exit_code == 0
    assert 0.5 < time.monotonic() - begun < 30
    assert os.environ.get("Q35_NUM_THREADS") is None
