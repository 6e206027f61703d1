"""The table of planted bugs: read from reports as they are, wrong verdicts fail it, and its page is up to date."""

import json
import platform
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import q35ref
from q35ref.backends.native.build import CompilerError
from q35ref.oracle.bugs import BUGS
from tests.kernels import planted
from tools.planted import cli, page, tables
from tools.planted.kernels import ROOT, BuildError, Kernel, correct_kernels, planted_kernels
from tools.planted.record import Correct, Found, Load, Planted, Record, faults, load, save
from tools.planted.run import SETTINGS, NoReport, Run, check, correct_run, planted_run

WRAPS = Planted("C", "Wraps", "Wraps", 1, 1.25, 7.0, 9, (Found("quantize.integers", "value", ("Wraps",), 4),))

RIGHT = Correct("C", 1, 1, 0, 19, 1, 4000, 300_000, 0, 7.0)


def record(*runs: Planted | Correct) -> Record:
    return Record(
        {"cpu": "a processor", "processors": "2", "system": "Linux"},
        {"python": "3"},
        Load(0.1, 0.9, 0.8),
        tuple(run for run in runs if isinstance(run, Planted)),
        tuple(run for run in runs if isinstance(run, Correct)),
    )


def naming(*bugs: str) -> Planted:
    """Return a run whose first finding names these classes."""
    return replace(WRAPS, findings=(replace(WRAPS.findings[0], bugs=bugs), *WRAPS.findings))


NOT_CAUGHT = replace(WRAPS, exit_status=0, first_seconds=None, failures=0, findings=())

WRONG = {
    "C:Wraps: not caught (exit status 0)": NOT_CAUGHT,
    "C:Wraps: not caught (exit status 2)": replace(NOT_CAUGHT, exit_status=2),
    "C:Wraps: expected Wraps, the first finding names Truncates": naming("Truncates"),
    "C:Wraps: expected Wraps, the first finding names no class": naming(),
    "C:Wraps: expected Wraps, the first finding names Wraps, Truncates, Crash": naming("Wraps", "Truncates", "Crash"),
    "C:Wraps: expected no class, the first finding names Wraps": replace(WRAPS, bug=""),
    "C, correct, level 1, seed 1: exit status 1, 1 findings": replace(RIGHT, exit_status=1, findings=1),
    "C, correct, level 1, seed 1: exit status 2, 0 findings": replace(RIGHT, exit_status=2, passed=0),
}
"""What must fail the tool, by what it says."""


# ---- kernels ---------------------------------------------------------------------------------------------------------


def test_every_planted_kernel_is_checked_and_has_its_class() -> None:
    kernels = planted_kernels()
    assert len({kernel.label for kernel in kernels}) == len(kernels)
    assert {kernel.bug for kernel in kernels} - {""} <= set(BUGS)
    in_python = {kernel.name for kernel in kernels if kernel.language == "Python"}
    assert in_python == set(planted.__all__) - {"Correct", "CLASS_OF"}
    assert not any(kernel.correct for kernel in kernels)
    assert all(kernel.correct for kernel in correct_kernels())


def test_what_cannot_be_built_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with pytest.raises(BuildError, match="NoSuchBug"):
            Kernel("C", "NoSuchBug", "NoSuchBug").target(tmp_path)
    except CompilerError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="not on the path"):
        Kernel("Fortran", "Correct").target(tmp_path)


# ---- a run -----------------------------------------------------------------------------------------------------------


CLIENT = "import sys\nfor line in sys.stdin: print('00' if line.startswith('pack ') else '?', flush=True)\n"


def test_the_first_finding_is_timed_when_it_is_printed(tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text(CLIENT)
    run = check(f"pipe:{sys.executable} {tmp_path / 'client.py'}")
    assert run.exit_status == 1
    assert run.first_seconds is not None
    assert 0 < run.first_seconds <= run.seconds
    assert "pack.bytes" in {found.check for found in run.findings}


def test_a_check_without_a_report_is_an_error() -> None:
    with pytest.raises(NoReport, match=r"c:no-such.so: exit status 2: .*there is no file"):
        check("c:no-such.so")


def results(target: Any, **options: Any) -> list[dict[str, Any]]:
    """Return the results of a report in JSON."""
    found: list[dict[str, Any]] = json.loads(q35ref.check(target, **options).to_json())["results"]
    return found


def test_a_planted_run_keeps_what_its_report_says() -> None:
    told = results(BUGS["LanesSwapped"], only=["pack.*", "unpack.*"])
    run = planted_run(Kernel("Python", "LanesSwapped", "LanesSwapped"), Run(1, 0.5, 2.0, told))
    assert [found.check for found in run.findings] == ["pack.bytes", "unpack.integers"]
    assert run.findings[0] == Found("pack.bytes", "value", ("LanesSwapped",), 1)
    assert run.failures == sum(result["failures"] for result in told) > 0
    assert run.named_throughout


def test_a_correct_run_keeps_what_its_report_says() -> None:
    told = results("numpy", only=["pack.*"])
    run = correct_run(Kernel("Python", "Correct"), 1, 1, Run(0, None, 1.0, told))
    assert (run.passed, run.not_checked, run.findings) == (len(told), 0, 0)
    assert run.cases == sum(result["cases"] for result in told) > 0
    assert run.numbers > 0
    assert run.conforms


# ---- verdicts --------------------------------------------------------------------------------------------------------


def test_a_bug_may_be_named_beside_one_other() -> None:
    assert faults(record(WRAPS, naming("Truncates", "Wraps"), RIGHT)) == []
    assert not naming("Truncates", "Crash").named
    assert replace(naming(), bug="", findings=naming().findings[:1]).named


def test_later_findings_are_judged_apart_from_the_first() -> None:
    later = tuple(Found("quantize.x", "value", bugs, 4) for bugs in (("Truncates",), ("RoundsHalfUp",), ()))
    run = replace(WRAPS, findings=(*WRAPS.findings, *later))
    assert run.named
    assert not run.named_throughout
    assert replace(run, findings=run.findings[:2]).named_throughout
    told = "C `Wraps`, `quantize.x`: Truncates; `quantize.x`: RoundsHalfUp; `quantize.x`: no class"
    assert told in page.page(record(run, RIGHT))


@pytest.mark.parametrize(("message", "run"), WRONG.items())
def test_a_wrong_verdict_fails_the_tool_and_is_on_the_page(
    message: str, run: Planted | Correct, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate's own planted failures."""
    monkeypatch.setattr(cli, "run", lambda kernels: record(run))
    told = CliRunner().invoke(cli.main, ["--only", "C:Wraps"])
    assert told.exit_code == 1
    assert f"FAILED {message}\n" in told.output
    assert f"FAILED {message}\n" in page.page(record(WRAPS, RIGHT, run))


def test_the_tool_succeeds_if_all_is_as_it_must_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Kernel] = []

    def run(kernels: list[Kernel]) -> Record:
        asked.extend(kernels)
        return record(WRAPS, RIGHT)

    monkeypatch.setattr(cli, "run", run)
    told = CliRunner().invoke(cli.main, ["--only", "*:*r*", "--skip-correct", "--json", str(tmp_path / "record.json")])
    assert told.exit_code == 0, told.output
    assert "FAILED" not in told.output
    assert load(tmp_path / "record.json") == record(WRAPS, RIGHT)
    assert Kernel("C", "Wraps", "Wraps") in asked
    assert not any(kernel.correct for kernel in asked)


def test_a_pattern_that_no_kernel_matches_is_wrong_usage() -> None:
    told = CliRunner().invoke(cli.main, ["--only", "Wraps"])
    assert told.exit_code == 2
    assert "no kernel matches Wraps" in told.output


# ---- record and page -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 0},
        {"more": 1},
        {"load": {}},
        {"planted": [{}]},
        {"planted": [{"findings": []}]},
        {"correct": [3]},
    ],
)
def test_what_is_no_record_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    save(record(WRAPS, RIGHT), tmp_path / "record.json")
    data = json.loads((tmp_path / "record.json").read_text())
    if change.get("planted") == [{"findings": []}]:
        change = {"planted": [{**data["planted"][0], "findings": []}]}
    (tmp_path / "record.json").write_text(json.dumps({**data, **change}))
    with pytest.raises(ValueError, match=r".+"):
        load(tmp_path / "record.json")


def test_late_findings_are_named_with_their_reason() -> None:
    hang = replace(
        WRAPS, bug="Hang", name="Hang", first_seconds=12.0, findings=(Found("matmul", "hang", ("Hang",), 5),)
    )
    late = replace(WRAPS, first_seconds=5.1)
    text = page.page(record(hang, late, RIGHT))
    assert "`Hang` 12.0 s (10 s of them are the limit for a call), C `Wraps` 5.1 s (in `quantize.integers`)" in text


def test_a_busy_machine_is_said_so() -> None:
    busy = replace(record(WRAPS, RIGHT), load=Load(0.1, 2.5, 1.0))
    assert "upper bounds" in page.page(busy)
    assert "upper bounds" not in page.page(record(WRAPS, RIGHT))


def test_every_table_is_as_wide_as_its_headings() -> None:
    made = record(WRAPS, NOT_CAUGHT, replace(WRAPS, language="Python", name="WrapsToo"), RIGHT)
    for grid in (tables.summary(made), tables.classes(made), tables.variants(made), tables.correct(made)):
        assert grid.rows
        assert {len(row) for row in grid.rows} == {len(grid.headings)}


@pytest.fixture
def committed() -> tuple[Record, str]:
    return page.made()


def test_the_committed_page_is_what_its_record_says(committed: tuple[Record, str]) -> None:
    assert page.PAGE.read_text() == committed[1]
    assert CliRunner().invoke(page.main, ["--check"]).exit_code == 0


def test_a_page_that_is_out_of_date_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "planted.md")
    for text in (None, "old"):
        if text is not None:
            page.PAGE.write_text(text)
        told = CliRunner().invoke(page.main, ["--check"])
        assert told.exit_code == 1
        assert "is not what its record says" in told.output
    assert CliRunner().invoke(page.main, []).exit_code == 0
    assert CliRunner().invoke(page.main, ["--check"]).exit_code == 0


def test_the_committed_record_holds_every_kernel(committed: tuple[Record, str]) -> None:
    made = committed[0]
    planted_runs = {Kernel(run.language, run.name, run.bug) for run in made.planted}  # type: ignore[arg-type]
    assert planted_runs == set(planted_kernels())
    correct_runs = {(run.language, run.level, run.seed) for run in made.correct}
    assert correct_runs == {(kernel.language, *setting) for kernel in correct_kernels() for setting in SETTINGS}


def test_on_the_committed_record_every_bug_is_named_and_told_of_in_time(committed: tuple[Record, str]) -> None:
    """What ends or stops the kernel's process has limits of its own; all else is told of within five seconds."""
    made = committed[0]
    assert faults(made) == []
    late = {run.bug for run in made.planted if run.first_seconds is None or run.first_seconds > tables.SLOW}
    assert late <= {"Hang", "Crash"}


def test_the_committed_record_names_no_place_on_a_machine() -> None:
    text = page.RECORD.read_text()
    assert platform.node() not in text
    for private in (str(Path.home()), sys.prefix, str(ROOT)):
        assert json.dumps(private)[1:-1] not in text
