"""The fuzzer finds what is planted, and finds nothing in what is fuzzed; the bounded, deterministic part of it.

The parts that are led by coverage run where their tools are installed, and for a moment only: ``python -m tools.fuzz``
runs them for as long as one likes.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.native_kernel import needs_address
from tools.fuzz import coverage, libfuzzer, mutation, native
from tools.fuzz.cli import main
from tools.fuzz.make_seeds import MOST_BYTES, WRITERS, every_seed, faults
from tools.fuzz.mutate import nth_input
from tools.fuzz.outcome import Outcome
from tools.fuzz.record import Record
from tools.fuzz.target import SEEDS, BadMessage, require_line
from tools.fuzz.targets import READERS, TARGETS, find

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]

RUNS = {
    "checkpoint": 300, "header": 300, "index": 600, "vectors": 300, "calls": 300, "folder": 200, "answer": 1200,
    "session": 30, "wire": 800,
}  # fmt: skip
"""Mutated inputs of each target, for some seconds of processor time each."""

NATIVE_RUNS = 1500
"""And of the C entry points."""

needs_atheris = pytest.mark.skipif(bool(coverage.lack()), reason=coverage.lack())
needs_libfuzzer = pytest.mark.skipif(bool(native.lack()), reason=native.lack())

PLANTED = {
    "crash": "crash",
    "hang": "hang",
    "sleep": "hang",
    "hog": "memory",
    "error": "undocumented",
    "message": "message",
    "warning": "undocumented",
}
"""What each planted target must be found to do."""


# What is fuzzed


def test_every_target_is_run_and_has_seeds() -> None:
    assert RUNS.keys() == READERS.keys()
    assert WRITERS.keys() == {*READERS, native.NAME}
    assert all(find(name).seeds() for name in TARGETS)


@pytest.mark.parametrize("name", RUNS)
def test_nothing_is_found_in_the_seeds_and_their_mutations(name: str) -> None:
    outcome = mutation.fuzz(find(name), runs=RUNS[name], seed=1)
    assert not outcome.failed, f"{outcome.line()}: {outcome.text}: {outcome.data!r}"
    assert outcome.runs == RUNS[name] + len(find(name).seeds())
    assert outcome.worst.memory_share <= 1
    assert outcome.worst.memory > 0


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the C library under the sanitizers."""
    return native.build_library(tmp_path_factory.mktemp("library"))


@needs_address
def test_nothing_is_found_in_the_c_entry_points(library: Path, tmp_path: Path) -> None:
    outcome = native.mutate(native.build_program(tmp_path, library), runs=NATIVE_RUNS, seed=1)
    assert not outcome.failed, f"{outcome.text}: {outcome.data.hex()}"
    assert outcome.runs == NATIVE_RUNS + len(native.seeds())


# The seeds


def test_the_committed_seeds_are_what_the_projects_writers_write() -> None:
    assert faults(every_seed()) == []


def test_seeds_that_differ_are_told() -> None:
    wanted = every_seed()
    wanted["answer/absent"] += b"!"
    wanted["answer/large"] = bytes(MOST_BYTES)
    del wanted["answer/pack"]
    found = faults(wanted)
    assert found[:3] == ["answer/absent: differs", "answer/large: not committed", "answer/pack: nothing writes it"]
    assert found[3].endswith(f"expected at most {MOST_BYTES}")


def test_the_same_number_is_the_same_input() -> None:
    seeds = find("header").seeds()
    inputs = [nth_input(seeds, 1, index) for index in range(60)]
    assert inputs == [nth_input(seeds, 1, index) for index in range(60)]
    assert inputs[: len(seeds)] == seeds
    assert inputs[len(seeds) :] != [nth_input(seeds, 2, index) for index in range(len(seeds), 60)]


# What must be found


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found_saved_and_found_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutation, "PATIENCE", 2)
    monkeypatch.chdir(ROOT)
    options = ["--target", f"planted-{name}", "--engine", "mutation", "--crashes", str(tmp_path / "found")]
    done = CliRunner().invoke(main, [*options, "--runs", "400"])
    assert done.exit_code == 1
    assert f"FOUND {PLANTED[name]}" in done.output
    (saved,) = (tmp_path / "found").iterdir()
    assert saved.read_bytes()[0] % 2 == 1
    command = done.output.rpartition("again: python -m tools.fuzz ")[2].split()
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 1, again.output
    assert f"planted-{name}: 1 runs" in again.output
    assert f"FOUND {PLANTED[name]}" in again.output


def test_an_input_that_shows_nothing_is_no_finding() -> None:
    even = ROOT / "tools" / "fuzz" / "seeds" / "planted-crash" / "even"
    outcome = mutation.repeat(find("planted-crash"), even)
    assert (outcome.failed, outcome.runs) == (False, 1)


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[2J", "lone \ud800", "x" * 1001])
def test_a_message_that_is_no_short_printable_line_is_found(text: str) -> None:
    with pytest.raises(BadMessage, match="error: "):
        require_line("error", text)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that this process and those that it starts have for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["planted-crash", "planted-sleep"])
def test_a_process_that_dies_leaves_no_folder(name: str, places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutation, "PATIENCE", 1)
    assert mutation.fuzz(find(name), runs=20).failed
    assert list(places.iterdir()) == []


def test_what_commands_the_terminal_is_found_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the message's length too, and though click would drop it."""
    seed = (SEEDS / "header" / "empty").read_bytes()
    for command in ("\\u001b[2J", "safe\\rEVIL", "\\u0085", "\\f", "x" * 2000 + "\\u001b[2J"):
        data = seed.replace(b'"pt"', f'"{command}"'.encode())
        assert data != seed
        find("header").run(data)
        with monkeypatch.context() as planted:
            planted.setattr("q35ref.cli.checkpoint.printable", str)
            with pytest.raises(BadMessage, match="inspect: not one printable line"):
                find("header").run(data)


def header_with_error_ratio(ratio: float) -> bytes:
    """Return a seed whose record says that errors are so many times their bound."""
    seed = (SEEDS / "header" / "even-dense-0").read_bytes()
    said = rb"\"exact_ratio\":"
    assert said + b"0.0" in seed
    return seed.replace(said + b"0.0", said + str(ratio).encode())


@pytest.mark.parametrize(("ratio", "status"), [(1.0, 0), (5.0, 1)])
def test_inspect_must_end_with_1_just_for_errors_beyond_their_bound(
    ratio: float, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = header_with_error_ratio(ratio)
    find("header").run(data)
    monkeypatch.setattr("q35ref.cli.checkpoint.print_inspection", lambda *_, **__: sys.exit(1 - status))
    with pytest.raises(AssertionError, match=f"exit status {1 - status}, expected {status}"):
        find("header").run(data)


@needs_address
@pytest.mark.parametrize(("plant", "said"), [("PLANT_SHORT", "heap-buffer-overflow"), ("PLANT_HANG", "no end after")])
def test_what_is_planted_in_c_is_found(plant: str, said: str, library: Path, tmp_path: Path) -> None:
    outcome = native.mutate(native.build_program(tmp_path, library, plants=[plant]), runs=20)
    assert outcome.failed
    assert said in outcome.text
    assert outcome.data == native.seeds()[outcome.runs - 1]


# The command


def test_the_command_counts_and_keeps_a_record(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    options = ["--target", "answer", "--engine", "mutation", "--runs", "20", "--json", str(record)]
    done = CliRunner().invoke(main, options)
    assert done.exit_code == 0, done.output
    seeds = len(find("answer").seeds())
    assert f"answer: {20 + seeds} runs in" in done.output
    assert "no finding" in done.output
    table = Record.read(record).table()
    assert f"| answer | seeds and mutations | 0 | {20 + seeds} |" in table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input", __file__], "--input: expected one --target, got 0"),
        (["--target", "nothing"], "'nothing' is not one of"),
        (["--runs", "0"], "0 is not in the range"),
    ],
)
def test_wrong_usage_is_told(options: list[str], message: str) -> None:
    done = CliRunner().invoke(main, options)
    assert (done.exit_code, message in done.output) == (2, True), done.output


def test_a_tool_that_is_missing_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "lack", lambda: "no atheris here")
    wanted = ["--target", "answer", "--target", "planted-error", "--runs", "1"]
    done = CliRunner().invoke(main, wanted)
    assert done.output.count("no atheris here") == 1
    done = CliRunner().invoke(main, [*wanted, "--engine", "coverage"])
    assert (done.exit_code, "Error: no atheris here" in done.output) == (2, True)


def test_the_page_has_the_counts_of_the_record() -> None:
    page = (ROOT / "docs" / "fuzzing.md").read_text()
    assert page.endswith(Record.read(ROOT / "docs" / "fuzzing" / "record.json").table())


# Led by coverage


@needs_atheris
def test_atheris_reaches_new_code() -> None:
    outcome = coverage.fuzz(find("answer"), runs=500)
    assert not outcome.failed, outcome.text
    assert outcome.coverage is not None
    assert outcome.coverage > 0
    assert outcome.worst.memory > 0


@needs_atheris
def test_atheris_leaves_no_folder(places: Path) -> None:
    assert not coverage.fuzz(find("index"), runs=20).failed
    assert list(places.iterdir()) == []


@needs_atheris
def test_atheris_finds_what_is_planted() -> None:
    outcome = coverage.fuzz(find("planted-hog"), runs=2000)
    assert outcome.kind == "memory"
    assert outcome.data[0] % 2 == 1


@pytest.fixture(scope="session")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the C library for libFuzzer, which takes seconds to build."""
    return native.build_library(tmp_path_factory.mktemp("traced"), native.libfuzzer_compiler())


LATER = "static int64_t seen; if (++seen > 500) "
"""A plant that fires after the seeds, among what libFuzzer makes of them."""


@needs_libfuzzer
@pytest.mark.parametrize(
    ("line", "planted", "kind", "said"),
    [
        (
            "    int64_t bytes = count * size;\n",
            f"{LATER}bytes -= !is_input && bytes > 1;\n",
            "crash",
            "heap-buffer-overflow",
        ),
        ("    const int legal = is_legal(j);\n", f"{LATER}for (volatile int on = 1; on;) {{}}\n", "hang", "timeout"),
    ],
    ids=["short", "hang"],
)
def test_libfuzzer_finds_what_is_planted_in_c(
    line: str, planted: str, kind: str, said: str, traced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command, as `make fuzz` runs it; a second is enough to wait for what never ends."""
    harness = (native.HARNESS / "harness.c").read_text()
    assert harness.count(line) == 1
    (tmp_path / "harness.c").write_text(harness.replace(line, line + planted))
    monkeypatch.setattr(native, "build_library", lambda folder, clang: traced)
    monkeypatch.setattr(native, "HARNESS", tmp_path)
    monkeypatch.setattr(native, "SECONDS", 1)
    options = ["--target", native.NAME, "--runs", "2000", "--crashes", str(tmp_path / "found")]
    done = CliRunner().invoke(main, options)
    assert done.exit_code == 1, done.output
    assert "libFuzzer" in done.output
    assert f"FOUND {kind}" in done.output
    assert said in done.output
    (saved,) = (tmp_path / "found").iterdir()
    assert saved.read_bytes()


@needs_libfuzzer
def test_libfuzzer_reaches_new_code() -> None:
    outcome = native.fuzz(runs=300)
    assert not outcome.failed, outcome.text
    assert outcome.coverage is not None
    assert outcome.coverage > 0


def test_an_engine_that_cannot_run_is_no_finding() -> None:
    with pytest.raises(mutation.CannotRun, match="ended before the first input"):
        mutation.fuzz(replace(find("answer"), name="nothing"), runs=1)


def engine(folder: Path, body: str) -> Outcome:
    """Run a stand-in for an engine, whose artifacts go into its folder."""
    return libfuzzer.run("planted", "stand-in", [sys.executable, "-c", body], folder)[0]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("print('q35-fuzz: memory: more than twice the file'); raise SystemExit(77)", "memory"),
        ("open('{}/crash-1', 'w').write('seed'); raise SystemExit(77)", "crash"),
        ("open('{}/timeout-1', 'w').write('seed'); raise SystemExit(70)", "hang"),
    ],
)
def test_what_a_seed_shows_before_the_engine_says_anything_is_a_finding(tmp_path: Path, body: str, kind: str) -> None:
    outcome = engine(tmp_path, body.format(tmp_path))
    assert (outcome.failed, outcome.kind, outcome.runs) == (True, kind, 0)
    assert outcome.data in (b"", b"seed")


def test_an_engine_that_says_nothing_of_use_did_not_begin(tmp_path: Path) -> None:
    with pytest.raises(mutation.CannotRun, match="did not begin: no such library"):
        engine(tmp_path, "raise SystemExit('no such library')")
