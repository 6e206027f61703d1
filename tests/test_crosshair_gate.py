"""The gate on contracts fails on every fault that CrossHair itself would pass, and says which."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tools import crosshair_gate
from tools.crosshair_excuses import EXCUSES, NEVER_EXCUSED, Excuse
from tools.crosshair_gate import UNMET, Limits, compare_listings, find_modules, judge, listing, read_report

GOOD = '''
def halve(x: int) -> int:
    """Halve.

    pre: 0 <= x <= 100
    post: 2 * _ <= x <= 2 * _ + 1
    """
    return x // 2
'''

HARD = '''
def cube(x: int, y: int, z: int) -> None:
    """No three cubes of positive integers make one.

    pre: x >= 1 and y >= 1
    post: True
    """
    assert x * x * x + y * y * y != z * z * z
'''

EXCUSE = Excuse("nonlinear", "fermat_three")
LIMITS = Limits(condition=5, excused=0.5, unmet=1, process=60)


def plant(root: Path, source: str, name: str = "planted") -> list[str]:
    """Write a module of contracts, and return the list of those that it states."""
    (root / "laws").mkdir(exist_ok=True)
    (root / "laws" / f"{name}.py").write_text(source, encoding="utf-8")
    return listing(find_modules(root, ["laws"])[0])


def problems_of(
    root: Path, expected: list[str], excuses: Mapping[str, Excuse] | None = None, limits: Limits = LIMITS
) -> list[str]:
    """Run the gate over what has been planted."""
    return crosshair_gate.check(root, ["laws"], expected, excuses or {}, limits)[1]


def test_good_contracts_pass(tmp_path: Path) -> None:
    """What holds is confirmed, what is hard may be excused; the summary counts both."""
    expected = plant(tmp_path, "".join(GOOD.replace("halve", f"halve_{n}") for n in range(3)) + HARD)
    results, problems = crosshair_gate.check(tmp_path, ["laws"], expected, {"laws.planted.cube": EXCUSE}, LIMITS)
    assert problems == []
    assert list(crosshair_gate.table(results))[-1] == "4 contracts: 3 confirmed, 1 excused, 0 failed"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, ""),
        ({"2 * _ + 1": "2 * _"}, "laws.planted.halve: line 6: false when calling halve("),
        ({"post:": "pots:"}, "there is no contract"),
    ],
)
def test_the_command_fails_if_there_is_a_problem(
    change: dict[str, str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its own list, excuses and folders are planted ones; all else is as `make contracts` has it."""
    source = GOOD
    for old, new in change.items():
        source = source.replace(old, new)
    expected = tmp_path / "expected.txt"
    expected.write_text("\n".join(plant(tmp_path, source)))
    for name, value in {"ROOT": tmp_path, "FOLDERS": ["laws"], "EXPECTED": expected}.items():
        monkeypatch.setattr(crosshair_gate, name, value)
    monkeypatch.setattr(crosshair_gate, "EXCUSES", {})
    monkeypatch.setattr(crosshair_gate, "NEVER_EXCUSED", ())
    assert crosshair_gate.main([]) == int(bool(problem))
    told = capsys.readouterr()
    assert "FAILED" not in told.err if not problem else f"FAILED {problem}" in told.err
    assert ("1 contracts: 1 confirmed" in told.out) == (not problem)


def test_an_emptied_contract_is_noticed(tmp_path: Path) -> None:
    """A condition or a law's body that says less differs from the committed list, and an empty law is refused."""
    law = GOOD.replace("post: 2 * _ <= x <= 2 * _ + 1", "post: True").replace(
        "return x // 2", "assert 2 * (x // 2) <= x"
    )
    expected = plant(tmp_path, law + GOOD.replace("halve", "half"))
    weaker = law.replace("<= x\n", "<= x + 1\n") + GOOD.replace("halve", "half").replace("2 * _ <= x <=", "x <=")
    changed = plant(tmp_path, weaker)
    assert len(set(changed) - set(expected)) == 2
    plant(tmp_path, law.replace("assert 2 * (x // 2) <= x", "x // 2"))
    modules, _ = find_modules(tmp_path, ["laws"])
    assert len(list(crosshair_gate.empty_laws(modules))) == 1


def test_no_excuse_is_taken_for_what_must_be_confirmed(tmp_path: Path) -> None:
    """Neither an excuse nor a removal gets round it, even with an updated list of contracts."""
    expected = plant(tmp_path, GOOD)
    excuses, required = {"laws.planted.halve": EXCUSE}, ("laws.planted.halve", "laws.planted.gone")
    problems = crosshair_gate.check(tmp_path, ["laws"], expected, excuses, LIMITS, never_excused=required)[1]
    assert "laws.planted.halve: must be confirmed, no excuse is taken" in problems
    assert "laws.planted.gone: must be confirmed, but there is no such contract" in problems


def test_what_must_be_confirmed_is_listed_and_not_excused() -> None:
    """The lists that the gate really uses agree."""
    expected = {line.split(" | ")[0] for line in crosshair_gate.EXPECTED.read_text(encoding="utf-8").splitlines()}
    assert expected >= NEVER_EXCUSED
    assert not NEVER_EXCUSED & EXCUSES.keys()


@pytest.mark.parametrize("misspelt", ["pots: ", "post : ", "Post: ", "post:", "post[x]: ", "posts: ", "ensure post: "])
def test_misspelt_post_is_refused(tmp_path: Path, misspelt: str) -> None:
    """CrossHair would not see it, and exit with 0."""
    expected = plant(tmp_path, GOOD)
    plant(tmp_path, GOOD.replace("post: ", misspelt))
    _, problems = find_modules(tmp_path, ["laws"])
    assert any("laws.planted.halve, line" in problem for problem in problems)
    assert problems[0].startswith("malformed contract: ")
    assert set(problems) < set(problems_of(tmp_path, expected))


def test_impossible_pre_fails(tmp_path: Path) -> None:
    """CrossHair only remarks on it; sampling finds nothing to check either."""
    impossible = GOOD.replace("0 <= x <= 100", "x > 1 and x * x == 3")
    problems = problems_of(tmp_path, plant(tmp_path, impossible))
    assert any("no verdict on 'post: 2 * _ <= x <= 2 * _ + 1'" in problem for problem in problems)
    assert any("Unable to meet precondition" in problem for problem in problems)
    assert any("sampling: laws.planted.halve: violated: nothing is shown" in problem for problem in problems)


def test_an_excuse_is_none_for_an_impossible_pre(tmp_path: Path) -> None:
    impossible = GOOD.replace("0 <= x <= 100", "x > 1 and x * x == 3")
    problems = problems_of(tmp_path, plant(tmp_path, impossible), {"laws.planted.halve": EXCUSE})
    assert any(UNMET in problem for problem in problems)
    assert any("sampling: laws.planted.halve: violated: nothing is shown" in problem for problem in problems)


@pytest.mark.parametrize(("unmet", "problems"), [(5, 0), (1e-6, 1)])
def test_an_excused_contract_whose_pre_was_not_met_in_time_has_more(
    unmet: float, problems: int, tmp_path: Path
) -> None:
    limits = Limits(condition=5, excused=1e-6, unmet=unmet, process=60)
    told = problems_of(tmp_path, plant(tmp_path, HARD), {"laws.planted.cube": EXCUSE}, limits)
    assert len([text for text in told if UNMET in text]) == problems


def test_false_post_fails(tmp_path: Path) -> None:
    """Both CrossHair and the sample have a counterexample."""
    problems = problems_of(tmp_path, plant(tmp_path, GOOD.replace("2 * _ + 1", "2 * _")))
    assert any("line 6: false when calling halve(" in problem for problem in problems)
    assert any(problem.startswith("sampling: laws.planted.halve: violated: post: ") for problem in problems)


def test_false_assertion_in_an_excused_law_fails(tmp_path: Path) -> None:
    """An excuse is one for not being confirmed, not for being wrong."""
    wrong = HARD.replace("!= z * z * z", "!= 2")
    problems = problems_of(tmp_path, plant(tmp_path, wrong), {"laws.planted.cube": EXCUSE})
    assert any("laws.planted.cube: line 8: AssertionError" in problem for problem in problems)


def test_unconfirmed_contract_fails(tmp_path: Path) -> None:
    """Without an excuse "Not confirmed." is a failure."""
    problems = problems_of(tmp_path, plant(tmp_path, HARD), limits=Limits(0.5, 0.5, 60))
    assert problems == ["laws.planted.cube: line 6: Not confirmed."]


def test_removed_added_and_weakened_contracts_are_noticed(tmp_path: Path) -> None:
    """The committed list must be changed with the contracts: names, and what each says."""
    expected = plant(tmp_path, GOOD + HARD)
    weaker = plant(tmp_path, GOOD.replace("    pre: 0 <= x <= 100\n", "") + GOOD.replace("halve", "half"))
    halve = "post: 2 * _ <= x <= 2 * _ + 1"
    assert [problem.partition(" | body")[0].partition(";")[0] for problem in compare_listings(weaker, expected)] == [
        "missing contract: laws.planted.cube | pre: x >= 1 and y >= 1 | post: True",
        f"missing contract: laws.planted.halve | pre: 0 <= x <= 100 | {halve}",
        f"unlisted contract: laws.planted.half | pre: 0 <= x <= 100 | {halve}",
        f"unlisted contract: laws.planted.halve | {halve}",
    ]


@pytest.mark.parametrize("crash", ["__import__('os')._exit(7)", "x**3"])
def test_crash_fails_and_hides_no_other_module(tmp_path: Path, crash: str) -> None:
    """A process that dies leaves no verdict behind; a power of an integer is enough for CrossHair 0.0.112."""
    plant(tmp_path, GOOD, "fine")
    expected = plant(tmp_path, GOOD.replace("return", f"{crash}\n    return"))
    results, problems = crosshair_gate.check(tmp_path, ["laws"], expected, {}, LIMITS)
    assert any("CrossHair crashed with status" in problem for problem in problems)
    assert any(problem.startswith("laws.planted.halve: no verdict on 'post: ") for problem in problems)
    assert [len(result.confirmed) for result in results] == [1, 0]


def test_crosshair_that_hangs_fails(tmp_path: Path) -> None:
    """Time is limited for each process, whatever CrossHair thinks of it."""
    problems = problems_of(tmp_path, plant(tmp_path, GOOD), limits=Limits(5, 1, 0.05))
    assert any("CrossHair crashed with status -1: no end after 0.05 s" in problem for problem in problems)


def test_module_that_cannot_be_imported_fails(tmp_path: Path) -> None:
    """An import error is no verdict."""
    problems = problems_of(tmp_path, plant(tmp_path, "import no_such_module\n" + GOOD))
    assert any("laws.planted.halve: no verdict" in problem for problem in problems)
    assert any("no_such_module" in problem for problem in problems)


def test_excuses_must_be_needed_and_few(tmp_path: Path) -> None:
    """An excuse fails if its contract is confirmed, if there is no such contract, and if there are too many."""
    excuses = {"laws.planted.halve": EXCUSE, "laws.planted.gone": EXCUSE}
    assert problems_of(tmp_path, plant(tmp_path, GOOD), excuses) == [
        "laws.planted.gone: is excused, but there is no such contract",
        "1 of 1 contracts are excused: more than one in 4",
        "laws.planted.halve: is confirmed, the excuse is not needed any more",
    ]


def test_no_contract_at_all_fails(tmp_path: Path) -> None:
    """An empty folder, or a wrong one, is not a success."""
    assert problems_of(tmp_path, []) == ["there is no contract"]


def test_unknown_lines_of_the_report_are_kept(tmp_path: Path) -> None:
    """Nothing that CrossHair says is dropped for not being understood."""
    plant(tmp_path, GOOD)
    module = find_modules(tmp_path, ["laws"])[0][0]
    lines = [
        f"{module.path}:6: info: Confirmed over all paths.",
        "Traceback (most recent call last):",
        "x.py:6: info: Y",
    ]
    messages = read_report(lines, module)
    assert messages == {6: ["Confirmed over all paths."], 0: lines[1:]}
    assert list(judge(module.contracts[0], messages, None)) == []


def test_every_excuse_names_a_test_that_exists() -> None:
    """What CrossHair does not carry, something else does."""
    for excuse in EXCUSES.values():
        path, _, test = excuse.test.partition("::")
        assert f"def {test}(" in (crosshair_gate.ROOT / path).read_text(encoding="utf-8")
        assert excuse.theorem


def test_committed_list_is_up_to_date() -> None:
    """The contracts are those of the committed list; at most a quarter of them is excused."""
    modules, problems = find_modules(crosshair_gate.ROOT, crosshair_gate.FOLDERS)
    assert problems == []
    found = listing(modules)
    assert found == crosshair_gate.EXPECTED.read_text(encoding="utf-8").splitlines()
    assert len(EXCUSES) * crosshair_gate.MOST_EXCUSED <= len(found)
