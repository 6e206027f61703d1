"""How the native kernel's threads share work: ``threads.c`` by itself, under the sanitizers that there are."""

from pathlib import Path

import pytest

from tests.native_kernel import SANITIZERS, compiled, needs_native, needs_thread, outcome

pytestmark = needs_native

RIGHT = (0, "all is shared as it should be\n", "")
PLANTED = {
    "PLANT_A_ROW": "wrong: a row is not done once\n",
    "PLANT_A_RANGE": "wrong: the call is over before its ranges are\n",
}


def test_threads_share_ranges(tmp_path: Path) -> None:
    """Each row once, by as many threads as are asked for, all done when the call is over; two callers; processes."""
    assert outcome(compiled("ranges.c", tmp_path / "ranges", *SANITIZERS)) == RIGHT


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_shared_wrongly_would_be_seen(planted: str, tmp_path: Path) -> None:
    program = compiled("ranges.c", tmp_path / "planted", f"-D{planted}")
    assert outcome(program, "no-fork") == (1, PLANTED[planted], "")  # another process would say it too


@needs_thread
@pytest.mark.slow
def test_sharing_ranges_is_no_race(tmp_path: Path) -> None:
    program = compiled("ranges.c", tmp_path / "races", "-fsanitize=thread")
    assert outcome(program, "no-fork") == RIGHT
    planted = compiled("ranges.c", tmp_path / "planted", "-fsanitize=thread", "-DPLANT_A_RACE")
    status, _, wrong = outcome(planted, "no-fork")
    assert status != 0
    assert "data race" in wrong
