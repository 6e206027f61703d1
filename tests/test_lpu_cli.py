"""``q35ref lpu``: what it prints, what it refuses."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from q35ref.cli import main


def lpu(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["lpu", *arguments])


def test_a_model_is_printed_with_its_bottleneck_and_what_others_say() -> None:
    done = lpu("llama-2-70b", "--format", "dense")
    assert done.exit_code == 0
    for said in (
        "146 chips hold the weights by bytes, 328 as the scheduler lays them out",
        "bottleneck with 8 chips a layer: unpack",
        "Published: 300 tokens/s a user, 568 to 576 chips",
        "Claimed: 4188 tokens/s a user on 1 chip",
        "The fastest of the splits above, 64 chips a layer, does not",
        "1 chips: a layer does not fit.",
    ):
        assert said in done.output, done.output


def test_a_claim_that_no_step_reaches_is_said_to_be_out_of_reach() -> None:
    done = lpu("llama-2-70b", "--split", "10440")
    assert done.exit_code == 0
    assert (
        "As the sum over users, 10440 chips a layer: no step of up to 1024 users that fits reaches it." in done.output
    )


def test_other_models_say_nothing_of_claims() -> None:
    done = lpu("llama-2-7b", "--format", "fp16", "--split", "5", "--batch", "2", "--users", "8")
    assert done.exit_code == 0
    assert "8 user(s), 2 in a step" in done.output
    assert "fp16 arithmetic itself is not simulated" in done.output
    assert "Claimed" not in done.output


def test_a_matmul_is_run_and_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "gantt.svg"
    done = lpu("2x700x330", "--format", "dense", "--group-size", "64", "--gantt", str(picture))
    assert done.exit_code == 0, done.output
    assert "all exact" in done.output
    assert "bottleneck: " in done.output
    assert picture.read_text().startswith("<?xml")
    again = tmp_path / "again.svg"
    lpu("2x700x330", "--format", "dense", "--group-size", "64", "--gantt", str(again))
    assert again.read_bytes() == picture.read_bytes()


def test_a_matmul_over_chips_is_run() -> None:
    done = lpu("1x100x2000", "--format", "int8", "--chips", "3")
    assert done.exit_code == 0
    assert "on 3 x tsp-v1" in done.output
    assert "links" in done.output
    assert "gather" in done.output


def test_a_figure_of_the_machine_is_changed() -> None:
    done = lpu("1x1280x1280", "--set", "alus=12")
    assert done.exit_code == 0
    assert "on tsp-v1, alus=12" in done.output
    assert "bottleneck: install" in done.output


def test_parts_are_summed() -> None:
    done = lpu("9x64x32", "--set", "accumulators=4")
    assert done.exit_code == 0, done.output
    assert "part 1 of " in done.output
    assert "all parts: " in done.output


def test_a_classic_array_is_counted() -> None:
    done = lpu("128x128x256", "--machine", "classic")
    assert done.exit_code == 0
    assert "1,086 cycles" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["llama-9"], "expected MxKxN, such as 1x8192x8192, or one of llama-2-7b"),
        (["1x2"], "expected MxKxN"),
        (["0x5x5"], "m: expected 1 to"),
        (["1x5x5", "--format", "fp16"], "--format: expected one of dense"),
        (["1x5x5", "--format", "int8", "--gain", "2"], "narrow_gain: expected 1 for int8"),
        (["1x5x5", "--group-size", "7"], "group_size: expected 0"),
        (["1x5x5", "--chips", "18"], "chips: expected at most 17"),
        (["1x5x5", "--gantt", "picture.txt"], "picture.txt: expected a name that ends in .svg"),
        (["llama-2-7b", "--machine", "classic"], "--machine classic: expected MxKxN"),
        (["1x0x5", "--machine", "classic"], "k: expected 1 to"),
        (["1x28672x57344"], "5 chips hold them"),
        (["llama-2-7b", "--batch", "4", "--users", "3"], "users: expected at least 4"),
        (["1x5x5", "--gantt", "/nowhere/picture.svg"], "/nowhere/picture.svg: no such folder"),
        (["llama-2-7b", "--gantt", "x.svg"], "--gantt: means nothing for a model"),
        (["llama-2-7b", "--chips", "1"], "--chips: means nothing for a model"),
        (["1x5x5", "--split", "8"], "--split: means nothing for a matmul"),
        (["1x5x5", "--machine", "classic", "--format", "int8"], "--format: means nothing for --machine classic"),
        (["1x5x5", "--set", "alus"], "--set alus: expected a number"),
        (["1x5x5", "--set", "speed=3"], "--set speed=3: expected FIGURE=VALUE, the figure one of clock"),
        (["1x5x5", "--set", "alus=many"], "--set alus=many: expected a number, int"),
        (["1x5x5", "--set", "alus=4"], "alus: expected at least 8, and finite, got 4"),
        (["1x5x5", "--set", "clock=nan"], "clock: expected at least 1, and finite, got nan"),
        (["llama-2-70b", "--format", "fp16"], "split: a layer takes the memory of 9 chips, got 8"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments: list[str], message: str) -> None:
    done = lpu(*arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert len(done.output.splitlines()) <= (1 if "Usage" not in done.output else 4)


def test_without_matplotlib_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = lpu("1x64x32", "--gantt", str(tmp_path / "gantt.svg"))
    assert done.exit_code == 2
    assert "a picture needs matplotlib: pip install 'q35ref[plots]'" in done.output
    assert not list(tmp_path.iterdir())
