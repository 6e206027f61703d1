"""Mutation testing: survivors are found and told, the list of equivalent mutants is honoured, stale entries are not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from q35ref.backends.native.build import SOURCES, CompilerError, compiler
from tests.native_kernel import needs_native
from tools.mutation import c_source, cli, python_source
from tools.mutation.equivalent import BadEntry, load, stale
from tools.mutation.mutant import Key, Mutant, sampled
from tools.mutation.native import FOLDER, Builders, units_with
from tools.mutation.parts import PARTS, Part
from tools.mutation.record import load as load_record
from tools.mutation.record import score
from tools.mutation.sources import ROOT, made_at, make, places, read
from tools.mutation.tree import Check, tree

NO_COMPILER = ""
try:
    compiler()
except CompilerError as error:
    NO_COMPILER = str(error)

needs_compiler = pytest.mark.skipif(bool(NO_COMPILER), reason=NO_COMPILER)


# ---- mutants of Python -----------------------------------------------------------------------------------------------


def python_mutants(source: str) -> set[str]:
    return {make(place, source).text for place in places("a.py", source)}


def test_python_is_mutated_by_the_operators_that_are_wanted() -> None:
    assert python_mutants("x = a + b\n") == {"x = a - b\n", "x = a * b\n"}
    assert python_mutants("x = a == b\n") == {f"x = a {sign} b\n" for sign in ("!=", "<", "<=", ">", ">=")}
    assert python_mutants("x = a is b\n") == {"x = a is not b\n"}
    assert python_mutants("x = 1\n") == {"x = 2\n", "x = 0\n"}
    assert python_mutants("while a: break\n") == {"while not a: break\n", "while a: continue\n"}


def test_every_binary_operator_has_replacements_that_cosmic_ray_knows() -> None:
    names = python_source.operators()
    for old, replacements in python_source.BINARY.items():
        assert len(replacements) == 2
        assert all(f"ReplaceBinaryOperator_{old}_{new}" in names for new in replacements)


def test_what_is_no_python_is_known() -> None:
    """Cosmic Ray takes the star of a signature for a product."""
    source = "def f(*, a): return a\n"
    made = python_mutants(source)
    assert made
    assert not any(python_source.is_valid(text) for text in made)
    assert python_source.is_valid(source)


# ---- mutants of C ----------------------------------------------------------------------------------------------------


def c_changes(source: str) -> list[str]:
    return [source[: c.start] + c.text + source[c.end :] for c in c_source.changes(source)]


@pytest.mark.parametrize(
    "text",
    [
        "/* a + b < 1 */",
        "// a + 1",
        '"a + 1"',
        "'1'",
        "#define A (1 + 2)",
        "  #  if A > 1 \\\n  && 2",
        "#define A /* over\nlines 1 + 2 */ 3",
        "int8_t *q = (int8_t *)p->next, **more = &q, minus = -a;",
        "x17 = f8(a2);",
    ],
)
def test_comments_strings_directives_names_and_pointers_stay(text: str) -> None:
    assert c_changes(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a + b", ["a - b"]),
        ("a\n    && b", ["a\n    || b"]),
        ("a < b", ["a <= b", "a >= b"]),
        ("a >> b", ["a << b"]),
        ("a |= b", ["a &= b"]),
        ("!(a)", ["(a)"]),
        ("x[7]", ["x[8]", "x[6]"]),
        ("-0", ["-1", "-(-1)"]),
        ("0x0fu", ["0x10u", "0xeu"]),
        ("INT64_C(0x10)", ["INT64_C(0x11)", "INT64_C(0xf)"]),
        ("0.5f", ["(2 * 0.5f)"]),
        ("0x1p-60f", ["(2 * 0x1p-60f)"]),
        ("0.0", ["1.0"]),
    ],
)
def test_c_is_mutated(text: str, found: list[str]) -> None:
    assert c_changes(text) == found


@pytest.mark.parametrize("name", ["reference", "numpy", "native"])
def test_every_file_of_a_part_can_be_mutated_or_has_nothing_to(name: str) -> None:
    """The oracle's files, a few of which only name things, take long to parse."""
    barren = {file for file in PARTS[name].files if not places(file, read(file))}
    assert {Path(file).name for file in barren} <= {"__init__.py", "q35_abi.h"}
    assert len(PARTS[name].files) > len(barren) + 5


def test_a_file_of_the_oracle_meets_all_of_its_own_tests_before_those_of_the_others() -> None:
    own, every = PARTS["oracle"].checks("q35ref/oracle/vector.py")
    tests = ("tests/oracle/test_vector.py", "tests/oracle/test_vector_cases.py", "tests/oracle/test_vector_problems.py")
    assert own.arguments == ("q35ref/oracle/vector.py", *tests)
    assert every.arguments == ("tests/oracle",)
    assert PARTS["oracle"].checks("q35ref/oracle/no_such.py") == (every,)


def test_every_check_names_files_that_there_are() -> None:
    for part in PARTS.values():
        for check in {check for file in part.files for check in part.checks(file) if check.kind == "pytest"}:
            paths = [argument.partition("::") for argument in check.arguments if "/" in argument]
            assert paths
            for path, _, test in paths:
                assert (ROOT / path).exists(), check
                assert not test or f"def {test.partition('[')[0]}(" in (ROOT / path).read_text(), check


def test_a_quick_run_is_of_the_first_check_alone() -> None:
    part = PARTS["native"]
    assert len(part.checks(part.files[0])) > 1
    assert part.quick.checks(part.files[0]) == part.checks(part.files[0])[:1]


# ---- keys ------------------------------------------------------------------------------------------------------------


def test_a_mutant_is_named_by_its_line_and_not_by_its_number() -> None:
    source = "a = 1\nb = 2\na = 1\n"
    keys = [make(place, source).key for place in places("a.py", source)]
    assert len(set(keys)) == len(keys) == 6
    assert [key.nth for key in keys] == [0, 0, 0, 0, 1, 1]
    moved = "\n# words\n" + source
    assert [make(place, moved).key for place in places("a.py", moved)] == keys
    found = {mutant.key for mutant in made_at("a.py", source, ["a = 1"])}
    assert found == {key for key in keys if key.line == "a = 1"}


def test_a_change_that_changes_nothing_has_no_line() -> None:
    assert Mutant.between("a.py", "none", "a\n", "a\n").number == 0


def test_a_sample_is_drawn_by_its_seed_and_so_is_the_order() -> None:
    found = places("a.py", "x = 1 + 2 + 3 + 4 + 5\n")
    some = sampled(found, 7, 1)
    assert some == sampled(found, 7, 1) != sampled(found, 7, 2)
    assert len(set(some)) == len(some) == 7
    everything = sampled(found, None, 1)
    assert everything == sampled(found, 1000, 1) != found
    assert set(everything) == set(found)


# ---- the list of equivalent mutants ----------------------------------------------------------------------------------


LINE = ["return a + 1", "return a - 1"]

ENTRY = {"file": "code.py", "mutants": [LINE], "reason": "never called"}


def written(folder: Path, *entries: dict[str, Any]) -> Path:
    """Write a list of equivalent mutants; return its folder."""
    path = folder / "equivalent" / "some.toml"
    path.parent.mkdir(exist_ok=True)
    tables = ("\n".join(f"{name} = {json.dumps(value)}" for name, value in entry.items()) for entry in entries)
    path.write_text("".join(f"[[equivalent]]\n{table}\n" for table in tables))
    return path.parent


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([ENTRY, ENTRY], "twice"),
        ([{**ENTRY, "reason": " "}], "reason: expected why"),
        ([{**ENTRY, "reason": 1}], "wrong: reason"),
        ([{**ENTRY, "more": "x"}], "wrong: more"),
        ([{"file": "code.py"}], "wrong: mutants, reason"),
        ([{**ENTRY, "mutants": "a line"}], "wrong: mutants"),
        ([{**ENTRY, "mutants": [["a line"]]}], "expected lists of a line, its mutant"),
        ([{**ENTRY, "mutants": [["a line", "a mutant", "1"]]}], "expected lists of a line, its mutant"),
        ([{**ENTRY, "mutants": [LINE, LINE]}], "twice"),
    ],
)
def test_a_bad_entry_is_refused(entries: list[dict[str, Any]], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadEntry, match=message):
        load(written(tmp_path, *entries))


@pytest.mark.parametrize("text", ["[[equivalent]", "[[equal]]\nfile = 'a'\n"])
def test_what_is_no_list_is_refused(text: str, tmp_path: Path) -> None:
    (written(tmp_path) / "some.toml").write_text(text)
    with pytest.raises(BadEntry, match=r"some\.toml: "):
        load(tmp_path / "equivalent")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"mutants": [["return a + 2", "return a - 2"]]},
        {"mutants": [["return a + 1", "return a / 1"]]},
        {"mutants": [["return a + 1", "return a - 1", 1]]},
        {"file": "other.py"},
    ],
)
def test_an_entry_is_stale_once_its_mutant_cannot_be_made(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("def f(a):\n    return  a + 1\n")
    entries = load(written(tmp_path, {**ENTRY, **change}))
    assert list(stale(entries, tmp_path)) == (list(entries) if change else [])


def test_no_entry_of_the_committed_list_is_stale() -> None:
    assert list(stale(load())) == []


# ---- a tiny project: the gate's own planted failures -----------------------------------------------------------------


CODE = """\
def larger(a, b):
    return a if a > b else b


def rest(n):
    while n > 0:
        n -= 1
    return n
"""

TEST = """\
from code_under_test import larger, rest


def test_larger():
    assert larger(1, 2) == 2
    assert larger(5, 3) == 5


def test_rest():
    assert rest(3) == 0
"""

BETTER = "\n\ndef test_rest_of_less_than_nothing():\n    assert rest(-2) == -2\n"
"""Kills what TEST leaves: a loop that does not end."""

FILE = "tests/code_under_test.py"
HOLE = Key(FILE, "while n > 0:", "while n != 0:")
SAME = Key(FILE, "return a if a > b else b", "return a if a >= b else b")
KILLED = Key(FILE, "return a if a > b else b", "return a if a < b else b")
STOPPED = Key(FILE, "n -= 1", "n -= 0")


def entry(key: Key) -> dict[str, Any]:
    return {"file": key.file, "reason": "either will do", "mutants": [[key.line, key.mutant]]}


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Part:
    """Return a part of one file whose tests have one hole, in place of the reference."""
    (tmp_path / "tests").mkdir()
    (tmp_path / FILE).write_text(CODE)
    (tmp_path / "tests" / "test_code.py").write_text(TEST)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    part = Part("tiny", "tests", ("code*.py",), lambda _: (Check("pytest", ("tests/test_code.py",)),), root=tmp_path)
    monkeypatch.setattr("tools.mutation.run.LEAST_TIME", 1.0)
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.setattr(cli, "EQUIVALENT", written(tmp_path, entry(SAME)))
    monkeypatch.setitem(PARTS, "reference", part)
    return part


def told(*options: str) -> tuple[int, str]:
    """Run the command on the tiny part; return its exit status and what it printed."""
    done = CliRunner().invoke(cli.main, ["--part", "reference", *options])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, done.output


@pytest.mark.slow
def test_a_planted_hole_is_found_and_told_until_a_test_fills_it(tiny: Part) -> None:
    path = tiny.root / "record.json"
    assert told("--minutes", "0")[0] == 0, "no time for any mutant"
    first = told("--json", str(path), "--limit", "5")[1]
    assert load_record(path).parts["reference"].total.run == 5
    status, output = told("--json", str(path), "--more")
    assert status == 1
    assert f"FAILED {HOLE}: survived" in output
    assert f"survived: {HOLE}" not in first or f"survived: {HOLE}" not in output, "no mutant is run twice"
    assert output.count("FAILED") == 1, "the other survivor is listed as equivalent"
    done = load_record(path).parts["reference"]
    assert [found.key for found in done.survivors] == [SAME, HOLE]
    total = done.total
    assert total.stopped >= 1, "a loop that does not end"
    assert total.killed >= 10
    assert total.places == total.run == total.dead + 2
    assert (tiny.root / FILE).read_text() == CODE, "only a copy is changed"

    (tiny.root / "tests" / "test_code.py").write_text(TEST + BETTER)
    status, output = told("--json", str(path), "--again")
    assert (status, "FAILED" in output) == (0, False), output
    after = load_record(path).parts["reference"]
    assert ([found.key for found in after.survivors], after.again) == ([SAME], 1)
    assert after.total.run == total.run
    assert score(after, {SAME: "either"}) == 1 > score(done, {SAME: "either"})

    (tiny.root / FILE).write_text(CODE.replace("return a if a > b else b", "return max(a, b)"))
    assert told("--json", str(path), "--again") == (
        2,
        f"Error: docs/mutation/equivalent: stale, no such mutant can be made: {SAME}\n",
    )
    written(tiny.root)
    status, output = told("--json", str(path), "--again")
    assert status == 2
    assert "cannot be made again" in output


@pytest.mark.slow
def test_files_are_recorded_one_by_one(tiny: Part) -> None:
    path, other = tiny.root / "record.json", "tests/code_two.py"
    (tiny.root / other).write_text("ONE = 1\n")
    assert told("--json", str(path), "--only", "under_test.py")[0] == 1
    first = load_record(path).parts["reference"]
    assert (first.by_file, first.files[FILE].survived, first.files[other].run) == (True, 2, 0)
    assert first.files[FILE].run == first.files[FILE].places
    status, output = told("--json", str(path), "--more")
    assert (status, "were run one by one" in output) == (2, True)

    assert told("--json", str(path), "--only", "two.py")[0] == 1
    second = load_record(path).parts["reference"]
    assert second.files[FILE] == first.files[FILE]
    assert second.files[other].run == second.files[other].places == second.files[other].survived == 2
    assert len(second.survivors) == 4

    (tiny.root / "tests" / "test_code.py").write_text(TEST + BETTER)
    assert told("--json", str(path), "--only", "under_test.py")[0] == 1, "those of the other file are as they were"
    assert [found.key for found in load_record(path).parts["reference"].survivors] == [
        *(found.key for found in second.survivors if found.key.file == other),
        SAME,
    ]


@pytest.mark.slow
def test_a_quick_run_counts_what_the_first_check_passes_as_survivors(
    tiny: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny.root / "tests" / "test_first.py").write_text(TEST.partition("def test_rest")[0])
    first, rest = (Check("pytest", (f"tests/test_{name}.py",)) for name in ("first", "code"))
    monkeypatch.setitem(PARTS, "reference", replace(tiny, checks=lambda _: (first, rest)))
    path = tiny.root / "record.json"
    assert told("--json", str(path), "--quick", "--only", "under_test.py")[0] == 1
    quick = load_record(path).parts["reference"]
    assert {SAME, HOLE, STOPPED} < {found.key for found in quick.survivors}
    assert KILLED not in {found.key for found in quick.survivors}
    assert told("--json", str(path), "--again")[0] == 1
    after = load_record(path).parts["reference"]
    assert [found.key for found in after.survivors] == [SAME, HOLE]
    assert all(found.is_quick for found in quick.survivors)
    assert [found.is_quick for found in after.survivors] == [True, False], "of the list, and run again"
    assert after.again == len(quick.survivors) - 2
    assert told("--json", str(path), "--again", "--listed")[0] == 1
    last = load_record(path).parts["reference"]
    assert [(found.key, found.is_quick) for found in last.survivors] == [(SAME, False), (HOLE, False)]


@pytest.mark.slow
def test_what_is_listed_as_equivalent_and_noticed_fails(tiny: Part) -> None:
    written(tiny.root, entry(SAME), entry(HOLE), entry(KILLED), entry(STOPPED))
    status, output = told()
    assert status == 1
    assert f"FAILED {KILLED}: listed as equivalent, and killed by pytest tests/test_code.py" in output
    assert f"FAILED {STOPPED}: listed as equivalent, and stopped by pytest tests/test_code.py" in output
    assert output.count("FAILED") == 2


@pytest.mark.slow
def test_a_check_that_fails_without_a_mutant_is_no_check(tiny: Part) -> None:
    (tiny.root / "tests" / "test_code.py").write_text("def test_no() -> None:\n    assert False\n")
    status, output = told("--limit", "1")
    assert status == 2
    assert "does not pass on the original" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--again",), "expected --json with the record"),
        (("--more",), "expected --json with the record"),
        (("--only", "nothing.py"), "no file of reference that can be mutated"),
        (("--only", "code*.py", "--json", "x.json", "--limit", "1"), "a file is recorded whole"),
        (("--only", "code*.py", "--json", "x.json", "--minutes", "1"), "a file is recorded whole"),
        (("--only", "code*.py", "--json", "x.json", "--more"), "neither --again nor --more"),
        (("--quick", "--again"), "which run every check"),
        (("--quick", "--json", "x.json"), "expected --only beside --json"),
        (("--listed",), "--listed: expected --again"),
        (("--limit", "0"), "--limit"),
        (("--jobs", "3"), "--jobs"),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_wrong_usage_is_told(options: tuple[str, ...], message: str) -> None:
    status, output = told(*options)
    assert status == 2
    assert message in output


@pytest.mark.slow
def test_a_check_that_uses_too_much_of_anything_ends(tmp_path: Path) -> None:
    """A crash, a hang with a process of its own, a list without end; the next check runs all the same."""
    (tmp_path / "tests").mkdir()
    bodies = {
        "crash": "import os\n    os.abort()",
        "hang": "import subprocess\n    subprocess.run(['sleep', '1000'])",
        "grow": "list(range(10**12))",
        "pass": "pass",
    }
    for name, body in bodies.items():
        (tmp_path / "tests" / f"test_{name}.py").write_text(f"def test() -> None:\n    {body}\n")
    with tree(tmp_path) as copy:
        status = {name: copy.run(Check("pytest", (f"tests/test_{name}.py",)), 3.0).status for name in bodies}
    assert status == {"crash": -6, "hang": None, "grow": 1, "pass": 0}


# ---- builds of the native kernel -------------------------------------------------------------------------------------


def test_a_header_is_part_of_every_unit_that_includes_it_even_through_another() -> None:
    units = sorted(path.name for path in SOURCES.glob("[!.]*.c"))
    assert set(units_with("common.h", SOURCES, units)) == set(units)
    assert "scalar.c" in units_with("rounding.h", SOURCES, units)
    assert "threads.c" not in units_with("rounding.h", SOURCES, units)
    assert units_with("threads.c", SOURCES, units) == ["threads.c"]


@needs_native
@needs_compiler
@pytest.mark.slow
def test_the_compiler_says_what_a_mutant_is_before_any_check_runs(tmp_path: Path) -> None:
    name, words = "rounding.h", "/* RN32(a + b). */"
    (tmp_path / "objects").mkdir()
    with tree() as copy:
        builder = Builders(copy.folder, tmp_path / "objects")
        source = read(f"{FOLDER}/{name}")
        verdicts = {
            "absent": source.replace(words, "/* words */"),
            "invalid": source.replace(words, "} "),
            "same_code": source.replace("FARTHEST_QUOTIENT 1024.0", "FARTHEST_QUOTIENT (1023.0 + 1.0)"),
            "built": source.replace("(below + 0.5)", "(below + 0.25)"),
        }
        check = Check("q35ref", ("check", "native", "--quiet", "--only", "quantize.*"))
        passed: dict[str, bool] = {}
        for verdict, text in verdicts.items():
            with copy.holding(f"{FOLDER}/{name}", text):
                assert builder.build(name) == verdict
                assert builder.makes_same_code(name) == (verdict == "same_code")
                assert builder.build(name) == verdict, "once more the quick way"
                if verdict == "built":
                    passed[verdict] = copy.run(check, 60).passed
        builder.restore()
        passed["original"] = copy.run(check, 60).passed
    assert passed == {"built": False, "original": True}
