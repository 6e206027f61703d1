"""Formats side by side, what theory says, the tables and the figures."""

import csv
import importlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from q35ref.cli import main
from q35ref.demo import NoWeights, trained_weights
from q35ref.evidence.collect import Evidence, collect, histogram
from q35ref.evidence.figures import FIGURES, draw, files
from q35ref.evidence.formats import own_formats
from q35ref.evidence.quality import SHAPES, Matrix, measured, normal, quality_rows
from q35ref.evidence.tables import COLUMNS, PROVENANCES, require_sources, tables, text
from q35ref.evidence.theory import best_uniform, error_of, lanes, lloyd_max, shannon


def test_lloyd_max_is_what_the_literature_has() -> None:
    """Max 1960, table I: mean squared errors of 1, 2, 4, 8 and 16 levels."""
    for count, expected in ((1, 1.0), (2, 0.3634), (4, 0.1175), (8, 0.03454), (16, 0.009497)):
        assert error_of(lloyd_max(count)) ** 2 == pytest.approx(expected, rel=2e-3)


def test_the_best_uniform_quantizer_is_what_the_literature_has() -> None:
    """Max 1960, table II: steps and mean squared errors."""
    for count, step, error in ((2, 1.596, 0.3634), (4, 0.9957, 0.1188), (8, 0.5860, 0.03744), (16, 0.3352, 0.01154)):
        found = best_uniform(count)
        assert found[0] == pytest.approx(step, rel=1e-3)
        assert found[1] ** 2 == pytest.approx(error, rel=2e-3)


def test_no_quantizer_beats_shannon() -> None:
    for bits in (1, 2, 3, 4):
        assert shannon(bits) < error_of(lloyd_max(2**bits)) <= best_uniform(2**bits)[1]
    assert lanes(3.0, 4.0) == pytest.approx(np.sqrt(12.5))


def test_the_error_of_levels_is_that_of_a_sample() -> None:
    levels = np.array([-1.5, -0.2, 0.9])
    x = np.random.default_rng(1).standard_normal(400_000)
    nearest = levels[np.abs(x[:, None] - levels).argmin(axis=1)]
    assert error_of(levels) == pytest.approx(np.sqrt(np.mean((x - nearest) ** 2)), rel=5e-3)


def test_bits_count_every_parameter() -> None:
    bits = {(each.name, each.group_size): each.keep(np.ones((256, 2), np.float32)).bits for each in own_formats()}
    assert bits["FP16", 0] == 16
    assert bits["INT8", 0] == 8 + 32 / 256
    assert bits["INT4 symmetric", 128] == 4 + 32 / 128
    assert bits["INT4 asymmetric", 64] == 4 + 64 / 64
    assert bits["3-bit asymmetric", 0] == 3 + 64 / 256
    assert bits["q35 gain 2 clip", 128] == 3.5 + 64 / 128


def test_formats_fall_into_their_order_on_normal_weights() -> None:
    (matrix,) = [each for each in normal(1, 4) if each.name == "Q, K, V"]
    found = {row.format: row for row in quality_rows([matrix], own_formats((128,)))}
    errors = [found[name].normalized_rmse for name in ("FP16", "INT8", "INT4 asymmetric", "q35 gain 2 clip")]
    assert errors == sorted(errors)
    assert found["q35 gain 2 clip"].normalized_rmse < found["3-bit asymmetric"].normalized_rmse
    assert all(row.worst_ratio is not None and row.worst_ratio <= 1 for name, row in found.items() if "q35" in name)
    assert found["FP16"].worst_ratio is None


def test_half_quadratic_keeps_what_lies_on_its_grid_and_does_not_lose_by_fitting() -> None:
    found = {(each.name, each.group_size): each for each in own_formats((64,))}
    levels = np.tile(np.arange(16, dtype=np.float32), 8)[:, None]
    assert (found["HQQ 4-bit", 64].keep(levels).weights == levels).all()
    weights = np.random.default_rng(2).standard_t(3, (256, 6)).astype(np.float32)
    for bits in (3, 4):
        fitted = found[f"HQQ {bits}-bit", 64].keep(weights)
        plain = found[{3: "3-bit asymmetric", 4: "INT4 asymmetric"}[bits], 64].keep(weights)
        assert np.abs(fitted.weights - weights).mean() <= 1.001 * np.abs(plain.weights - weights).mean()
        assert fitted.bits == plain.bits


def test_the_drafts_shapes_are_drawn_by_columns() -> None:
    found = {each.name: each.weights.shape for each in normal(1, 2)}
    assert found == {name: (k, 2) for name, (k, _) in SHAPES.items()}


def test_a_row_is_about_its_matrix() -> None:
    weights = np.arange(32, dtype=np.float32).reshape(16, 2)
    row = measured(Matrix("here", "ramp", weights), next(iter(own_formats())))
    assert (row.data, row.matrix, row.k, row.n, row.format) == ("here", "ramp", 16, 2, "FP16")
    assert row.normalized_rmse == 0


def test_a_histogram_counts_everything_once() -> None:
    numbers = np.concatenate([np.random.default_rng(1).standard_normal(1000), [100.0]])
    found = histogram("one", numbers)
    assert found.share.sum() + found.beyond == pytest.approx(1)
    assert found.beyond == pytest.approx(1 / 1001)


def quick() -> Evidence:
    """Return a quick run; it takes a minute, so that one test looks at all of it."""
    pytest.importorskip("tokenizers", reason="tokenizers is not installed: pip install 'q35ref[evidence]'")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'q35ref[evidence]'")
    try:
        trained_weights()
    except NoWeights as error:
        pytest.skip(str(error))  # 80 MB that a user need not have; `make unit` installs them
    return collect(quick=True)


@pytest.mark.slow
def test_a_quick_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = quick()
    every_table_says_where_its_rows_are_from(evidence)
    numbers_are_in_range(evidence)
    every_figure_has_a_title(evidence)
    command = importlib.import_module("q35ref.cli.evidence")  # the package's name for it is the command
    monkeypatch.setattr(command, "collect", lambda *_, **__: evidence)
    the_folder_is_written_whole_and_again(tmp_path / "out")
    a_folder_of_others_is_left_as_it_is(tmp_path / "theirs")


def every_table_says_where_its_rows_are_from(evidence: Evidence) -> None:
    made = tables(evidence)
    assert set(made) == set(COLUMNS)
    for name, rows in made.items():
        read = list(csv.DictReader(io.StringIO(text(name, rows))))
        assert len(read) == len(rows) > 0
        for row in read:
            assert row["provenance"] in PROVENANCES
            assert row["source"]
    assert {row["provenance"] for row in made["performance"]} == {"simulated", "claimed"}
    assert [tuple(row.values()) for row in made["accuracy"]] == [
        ("FP16", 69.8, 45.7, 62.3, "claimed", "paper drafts"), ("INT8", 69.2, 44.9, 61.8, "claimed", "paper drafts"),
        ("INT4", 68.5, 43.5, 60.9, "claimed", "paper drafts"), ("3.5-bit", 68.6, 44.2, 61.5, "claimed", "paper drafts"),
    ]  # fmt: skip
    claimed = [row for row in made["performance"] if row["provenance"] == "claimed"]
    assert [row.get("throughput_toks") for row in claimed] == [4188, 3124, 2850, None, None, None, None]
    assert [row.get("memory_gb") for row in claimed] == [
        19, None, None, *(pytest.approx(size * 1.073741824) for size in (32.6, 34.6, 65.2, 130.4))
    ]  # fmt: skip
    assert {row["method"] for row in made["performance"]} >= {"FP16", "INT8", "INT4", "3.5-bit"}


def numbers_are_in_range(evidence: Evidence) -> None:
    made = tables(evidence)
    for row in made["quality"]:
        # With gain 1 the narrow lane clamps whatever the range: a few matrices lose more than they hold.
        assert 0 <= row["normalized_rmse"] < (2 if "gain 1" in row["format"] else 1)
        assert row["normalized_rmse"] > 0 or row["format"] == "FP16"  # in which the trained weights are published
        assert 3 < row["bits_per_weight"] <= 16
    for row in made["ablation"]:
        assert -1 <= row["value"] <= 1
    errors = {row["policy"]: row["output_error"] for row in made["outputs"]}
    assert errors["feedback, ordered"] < errors["clip"] < errors["min-max"]
    verdicts = {row["verdict"] for row in made["claims"]}
    assert verdicts == {"reproduced", "reproduced in part", "refuted", "not testable here"}
    kinds = {row["claim"]: row["provenance"] for row in made["claims"]}
    assert (kinds["first"], kinds["bound"], kinds["gpu-gain"]) == ("published", "calculated", "claimed")


def every_figure_has_a_title(evidence: Evidence) -> None:
    figures = draw(evidence)
    assert set(figures) == set(FIGURES)
    for name, figure in figures.items():
        assert figure.get_suptitle()
        made = files(name, figure)
        assert made[f"figures/{name}.svg"].startswith(b"<?xml")
        assert made[f"figures/{name}.png"].startswith(b"\x89PNG")


def the_folder_is_written_whole_and_again(folder: Path) -> None:
    for _ in range(2):
        done = CliRunner().invoke(main, ["evidence", str(folder), "--quick"])
        assert done.exit_code == 0, done.output
    about = json.loads((folder / "about.json").read_text())
    there = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    assert sorted(there) == sorted([*about["files"], "about.json"])
    assert len(about["files"]) == len(COLUMNS) + 2 * len(FIGURES)


def a_folder_of_others_is_left_as_it_is(folder: Path) -> None:
    """Neither a folder of others, nor one of ours to which others have added."""
    ours = folder.with_name("out")
    (ours / "figures" / "notes.txt").write_text("x")
    done = CliRunner().invoke(main, ["evidence", str(ours), "--quick"])
    assert done.exit_code == 2
    assert "holds files that would be lost" in done.output
    assert (ours / "figures" / "notes.txt").exists()
    folder.mkdir()
    (folder / "precious").write_text("x")
    done = CliRunner().invoke(main, ["evidence", str(folder)])
    assert done.exit_code == 2
    assert "holds files that would be lost" in done.output
    assert [path.name for path in folder.iterdir()] == ["precious"]


def test_a_row_without_a_source_is_refused() -> None:
    with pytest.raises(ValueError, match="accuracy: expected a provenance and a source"):
        require_sources({"accuracy": [{"method": "FP16", "provenance": "claimed", "source": ""}]})


def test_a_folder_that_cannot_be_made_is_refused_at_once(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["evidence", str(tmp_path / "no" / "where")])
    assert done.exit_code == 2
    assert "no such folder to make it in" in done.output or "matplotlib" in done.output
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    done = CliRunner().invoke(main, ["evidence", str(tmp_path / "link")])
    assert done.exit_code == 2
    assert "expected a folder" in done.output or "matplotlib" in done.output
