"""The benchmark: everybody computes the right thing, nobody's speed is asserted, nothing is guessed."""

import json
import platform
import sys
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import q35ref
from q35ref.backends.native import NativeUnavailable
from q35ref.backends.native.build import CompilerError, compiler
from q35ref.backends.native.library import Library, load
from q35ref.cli.output import UsageProblem
from tools.bench import growth, page, pictures, roofline
from tools.bench.cli import main
from tools.bench.contender import Contender, Skipped, WrongResult, admitted, relative_error
from tools.bench.ggml import ggml
from tools.bench.machine import describe
from tools.bench.memory import HUGE_PAGE, empty, repeated
from tools.bench.others import optional
from tools.bench.ours import Weights
from tools.bench.record import Measurement, Record, Section, from_json, save
from tools.bench.record import load as load_record
from tools.bench.rounds import Samples, round_robin
from tools.bench.run import run
from tools.bench.sections import SECTIONS
from tools.bench.settings import MIB, SMALL
from tools.bench.tables import grids, targets
from tools.bench.targets import TARGETS, instead, judge

ANCHORS = {"memory", "arithmetic"}


def near(number: float) -> Any:
    """Return what equals a number but for rounding."""
    return pytest.approx(number)


def kernel() -> Library:
    """Return the native kernel, or skip the test where there is none, or no compiler for the benchmark's own C."""
    try:
        compiler()
        return load()
    except (NativeUnavailable, CompilerError) as error:  # the product does without a compiler, its benchmark cannot
        pytest.skip(f"the benchmark needs a C compiler and the native kernel: {error}")


@pytest.fixture(scope="module")
def record() -> Record:
    said: list[str] = []
    made = run(replace(SMALL, rounds=1), SECTIONS, kernel(), said.append)
    notes = [text for text in said if text.startswith("skipped: ")]
    assert [text.split(":")[0] for text in said if text not in notes] == list(SECTIONS)
    assert notes == [note.text() for note in made.skipped], "what is missing is said before it would be timed"
    return made


def measured(section: str, name: str, path: str, speed: float, **more: Any) -> Measurement:
    """Return a made-up measurement of so many G weights a second, or of so many GB/s of memory."""
    n, k = (0, 0) if name == "memory" else {"gemv": (28672, 8192), "gemm": (4096, 8192)}.get(section, (1024, 8192))
    told = {"k": k, "n": n, "rows": 1, "threads": 1, "work": "multiply", "bytes": 10**9, **more}
    amount = told["k"] * told["n"] * told["rows"] or told["bytes"]
    seconds = amount / speed / 1e9
    fixed = {"calm": 1, "disturbed": 0, "seconds": seconds, "quartiles": (seconds, seconds), "error": 0.0}
    return Measurement(section=section, name=name, path=path, **told, **fixed)


def made_up(isas: tuple[str, ...], *measurements: Measurement) -> Record:
    names = dict.fromkeys(m.section for m in measurements)
    sections = tuple(Section(name, 1, 0.0, 0.0) for name in names)
    return Record(describe(), {"python": "3"}, isas, sections, measurements, (Skipped("torch", "not there", "get it"),))


# ---- who is timed ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_section_times_contenders_that_compute_the_right_thing(record: Record) -> None:
    isas = load().isas
    for section in SECTIONS:
        assert record.find(section, name="q35ref"), section
    for isa in isas:
        for name in ("q35ref per column", "q35ref g128"):
            assert {m.threads for m in record.find("gemv", name=name, path=isa)} == set(SMALL.threads)
    works = {m.work for m in record.find("weights", name="q35ref")}
    assert works == {"quantize", "calibrate and quantize", "dequantize", "pack", "unpack"}
    for m in record.measurements:
        checked_elsewhere = m.path == "numpy" or m.path.endswith("Python")
        assert (m.error is None) == (m.name in ANCHORS or (m.name.startswith("q35ref") and checked_elsewhere)), m
        if m.name.startswith("q35ref") and m.error is not None:
            assert m.error <= 1e-5


@pytest.mark.slow
def test_what_is_not_timed_is_named_with_its_remedy(record: Record) -> None:
    named = {note.name: note for note in record.skipped}
    for package, peer in (("llama_cpp", "ggml"), ("torch", "torch"), ("gguf", "gguf")):
        assert (peer in named) == (find_spec(package) is None), named
    assert len(named) == len(record.skipped), "each of them once"
    assert all("pip install" in note.remedy for note in record.skipped)


def contender(run: Any = lambda: None, **more: Any) -> Contender:
    return Contender(work="multiply", name="somebody", path="some way", run=run, k=1, n=1, bytes=1, **more)


@pytest.mark.parametrize("error", [0.5, float("inf"), float("nan")])
def test_a_peer_that_computes_something_else_is_refused_and_named(error: float) -> None:
    skipped: list[Skipped] = []
    wrong, right = contender(error=lambda: error, limit=0.1), contender(error=lambda: 0.05, limit=0.1)
    assert admitted([wrong, right], skipped) == {right: 0.05}
    assert "off by" in skipped[0].reason
    assert wrong.label == skipped[0].name
    with pytest.raises(WrongResult, match="off by"):
        admitted([contender(error=lambda: error, limit=0.1, ours=True)], [])


def test_the_error_is_judged_on_shape_and_numbers() -> None:
    assert relative_error([[1.0]], [1.0]) == float("inf")
    assert relative_error([1.0, 1.1], [1.0, 1.0]) == pytest.approx(0.0707, rel=1e-2)
    assert relative_error([2.0, 1.0], [1.0, 2.0]) > 0.4, "rows that changed places"


def test_what_is_read_of_a_matrix_are_its_codes_scales_and_offsets() -> None:
    made = q35ref.quantize(np.ones((256, 3), np.float32), group_size=64)
    matrix = Weights(made.packed, made.scale, made.offset, made.k, made.n, made.group_size)
    found = measured("gemv", "somebody", "some way", 16.0, k=256, n=3, bytes=matrix.nbytes)
    assert found.bits == 3.5 + 64 / 64
    assert found.giga_bytes == near(16.0 * 4.5 / 8)


def test_an_absent_ggml_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    skipped: list[Skipped] = []
    with ExitStack() as stack:
        assert ggml(stack, skipped) is None
    assert [note.name for note in skipped] == ["ggml"]
    assert "pip install llama-cpp-python" in skipped[0].remedy


def test_an_absent_package_is_named_once() -> None:
    skipped: list[Skipped] = []
    for _ in range(2):
        assert optional("no_such_package", skipped, "pip install it") is None
    assert skipped == [Skipped("no_such_package", "not installed", "pip install it")]


# ---- how they are timed ----------------------------------------------------------------------------------------------


def test_each_timed_call_follows_a_warm_one_and_all_take_turns() -> None:
    calls: list[str] = []
    both = [
        contender(
            run=lambda name=name: calls.append(name),
            prepare=lambda name=name: calls.append(f"prepare {name}"),
            finish=lambda name=name: calls.append(f"finish {name}"),
        )
        for name in "ab"
    ]
    taken = round_robin(both, 2)
    once = [text for name in "ab" for text in (f"prepare {name}", name, name, f"finish {name}")]
    assert calls[: 2 * len(once)] == once * 2
    assert all(2 <= len(s.calm) + len(s.disturbed) <= 4 for s in taken.values())


def test_disturbed_samples_count_only_where_calm_ones_are_few() -> None:
    assert Samples([1.0, 3.0], [9.0]).quartiles(4) == (1.5, 2.0, 2.5)
    assert Samples([1.0], [9.0, 9.0]).quartiles(4) == (5.0, 9.0, 9.0)
    assert Samples([2.0]).quartiles(1) == (2.0, 2.0, 2.0)


def test_memory_begins_at_a_huge_page_and_repeats_what_it_is_given() -> None:
    array = empty((3, 5), np.float32)
    assert array.ctypes.data % HUGE_PAGE == 0
    assert not array.any()
    assert repeated(np.arange(6).reshape(3, 2), 7)[:, 0].tolist() == [0, 2, 4, 0, 2, 4, 0]


# ---- the record ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_record_is_read_as_it_was_written(record: Record, tmp_path: Path) -> None:
    save(record, tmp_path / "record.json")
    assert load_record(tmp_path / "record.json") == record
    text = (tmp_path / "record.json").read_text()
    assert platform.node() not in text
    for private in (str(Path.home()), sys.prefix, str(Path.cwd())):
        assert json.dumps(private)[1:-1] not in text, "a record names no place on a machine"


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 0},
        {"machine": {"cpu": 1}},
        {"more": 1},
        {"measurements": [{}]},
        {"measurements": [{"seconds": -1.0}]},
        {"measurements": [{"n": -1}]},
        {"measurements": [{"quartiles": [1.0]}]},
        {"sections": [3]},
    ],
)
def test_what_is_no_record_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    save(made_up(("avx2",), measured("gemv", "q35ref per column", "avx2", 9.0)), tmp_path / "record.json")
    data = json.loads((tmp_path / "record.json").read_text())
    assert from_json(data).isas == ("avx2",)
    entries = change.get("measurements")
    if entries and entries[0]:
        change = {"measurements": [{**data["measurements"][0], **entries[0]}]}
    (tmp_path / "record.json").write_text(json.dumps({**data, **change}))
    with pytest.raises(ValueError, match=r".+"):
        load_record(tmp_path / "record.json")


# ---- verdicts --------------------------------------------------------------------------------------------------------


def verdicts(record: Record) -> dict[tuple[str, str], tuple[float | None, str]]:
    return {(v.target.work, v.target.figure): (v.measured, v.status) for v in judge(record)}


GEMV = "GEMV 28672 x 8192, per column, 1 thread"

GEMV_MEASURED = (
    measured("gemv", "memory", "one stream", 40.0, work="read"),
    measured("gemv", "memory", "four streams", 50.0, work="read"),
    measured("gemv", "ggml Q4_K", "graph, CPU_REPACK", 10.0),
    measured("gemv", "ggml Q3_K", "graph", 6.0),
    measured("gemv", "ggml Q3_K", "rows", 8.0),
    measured("gemv", "q35ref per column", "avx2", 15.0, bytes=28672 * 8192 * 2),
)


def test_a_figure_for_another_machine_is_not_guessed() -> None:
    found = made_up(("avx2", "scalar"), *GEMV_MEASURED)
    told = verdicts(found)
    assert told[GEMV, "x ggml Q4_K CPU_REPACK"] == (None, "not measurable here")
    assert told[f"{GEMV}, avx2 path", "x ggml Q3_K"] == (near(15 / 8), "met")
    beside = {v.target.figure: instead(found, v) for v in judge(found) if v.target.work == GEMV}
    assert beside == {
        "share of the read rate": ("avx2", near(30 / 50)),
        "x ggml Q4_K CPU_REPACK": ("avx2", near(1.5)),
        "x ggml Q3_K": ("avx2", near(15 / 8)),
    }


def test_figures_are_judged_on_the_path_and_the_size_that_they_are_set_for() -> None:
    fast = measured("gemv", "q35ref per column", "avx512", 20.0, bytes=28672 * 8192 * 2)
    told = verdicts(made_up(("avx512", "avx2", "scalar"), *GEMV_MEASURED, fast))
    assert told[GEMV, "share of the read rate"] == (near(0.8), "not met")
    assert told[GEMV, "x ggml Q4_K CPU_REPACK"] == (near(2.0), "met")
    told = verdicts(made_up(("avx512",), *GEMV_MEASURED, replace(fast, n=64)))
    assert told[GEMV, "x ggml Q4_K CPU_REPACK"] == (None, "not measured")


def test_growth_is_judged_only_if_it_reaches_the_largest_size() -> None:
    work = "GEMV from 64 MB to 4 GB of codes, 1 thread", "slowest over fastest, less 1"
    sizes = [
        measured("growth", "q35ref per column", "avx2", speed, bytes=size * MIB)
        for size, speed in ((4, 11.0), (64, 10.0), (1024, 9.5))
    ]
    assert verdicts(made_up(("avx2",), *sizes))[work] == (None, "not measured")
    largest = measured("growth", "q35ref per column", "avx2", 9.2, bytes=4096 * MIB)
    told = verdicts(made_up(("avx2",), *sizes, largest))
    assert told[work] == (near(10 / 9.2 - 1), "met")
    assert told["GEMV on smaller sizes, 1 thread", "time a weight over the large ones'"][1] == "met"


@pytest.mark.slow
def test_a_small_record_meets_no_target(record: Record) -> None:
    assert {status for _, status in verdicts(record).values()} <= {"not measured", "not measurable here"}


def test_no_two_targets_are_the_same() -> None:
    assert len({(t.work, t.figure) for t in TARGETS}) == len(TARGETS)


# ---- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_page_shows_every_table_of_the_record(record: Record) -> None:
    text = page.page(record, "A remark.")
    assert record.machine["cpu"] in text
    assert "A remark." in text
    for grid in (*grids(record), targets(record)):
        assert page.markdown(grid) in text
        assert {len(row) for row in grid.rows} == {len(grid.headings)}, grid.title
    for note in record.skipped:
        assert f"Not timed: {note.name}" in text
    assert platform.node() not in text


def test_a_page_of_one_section_and_no_anchor_is_a_page_too() -> None:
    text = page.page(made_up(("avx2",), measured("gemv", "q35ref per column", "avx2", 9.0)))
    assert "The floor of GEMV" not in text
    assert "Not timed: torch: not there. To have it: `get it`" in text


def test_the_committed_page_is_what_its_record_says() -> None:
    record, text = page.made()
    assert page.PAGE.read_text() == text
    assert all((page.FOLDER / f"{name}.svg").exists() for name in ("roofline", "growth"))
    assert record.machine["cpu"] in text


@pytest.mark.slow
@pytest.mark.parametrize("module", [roofline, growth])
def test_pictures_are_drawn_from_the_record_alone(module: Any, record: Record, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    save(record, tmp_path / "record.json")
    for name in ("one", "two"):
        told = CliRunner().invoke(module.main, [str(tmp_path / "record.json"), str(tmp_path / name)])
        assert told.exit_code == 0, told.output
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert CliRunner().invoke(module.main, [str(tmp_path / "record.json"), "picture.bmp"]).exit_code == 2
    (tmp_path / "record.json").write_text("{}")
    assert CliRunner().invoke(module.main, [str(tmp_path / "record.json"), "x"]).exit_code == 2


def test_the_titles_state_what_was_found() -> None:
    peak = measured("gemm", "arithmetic", "256 bits", 200.0)
    many = measured("gemm", "q35ref per column", "avx2", 50.0, rows=512)
    found = roofline.finding(made_up(("avx2",), *GEMV_MEASURED, peak, many))
    assert found.startswith("One row: 60% of the speed of memory; 512 rows: 25% of the peak")
    assert "nothing" in roofline.finding(made_up(("avx2",)))
    assert "nothing" in growth.finding(made_up(("avx2",)))


def test_without_matplotlib_pictures_say_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return import_module(name)

    monkeypatch.setattr(pictures, "import_module", absent)
    with pytest.raises(UsageProblem, match="pip install matplotlib"):
        pictures.figure(1, 1)


@pytest.mark.slow
def test_the_command_prints_its_tables_and_writes_a_record(tmp_path: Path) -> None:
    kernel()
    arguments = ["--small", "--rounds", "1", "--threads", "1", "--section", "overhead", "--json", str(tmp_path / "r")]
    told = CliRunner().invoke(main, arguments)
    assert told.exit_code == 0, told.output
    assert "not measured" in told.output
    assert [section.name for section in load_record(tmp_path / "r").sections] == ["overhead"]


def test_without_the_kernel_the_command_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Any:
        raise NativeUnavailable("the native kernel is not built")

    monkeypatch.setattr("tools.bench.cli.load", absent)
    told = CliRunner().invoke(main, ["--small"])
    assert told.exit_code == 2
    assert "not built" in told.output
