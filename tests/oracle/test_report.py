"""Reports by themselves: what is printed of a result, what a run comes to, and the JSON and XML of it."""

import json
import xml.etree.ElementTree as ET
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from q35ref.oracle import report as module
from q35ref.oracle.report import ConformanceError, Finding, Report, Result

SCHEMA = json.loads(Path(module.__file__).with_name("report.schema.json").read_text())

VALUE = Finding(
    *("value", "q[k=0, n=1]", "0x05 (5)", "0x04 (4)", "w = 1\nkernel.quantize(w)", "q35ref check x"),
    bugs=("Wraps", "Truncates"),
    note="only at times",
    input_size=7,
)
CRASH = Finding("crash", "", "SIGSEGV", "a result", "call()", "q35ref check y")
MISSING = Finding("missing", "pack", "nothing", "a result", "", "q35ref check z")

PASSED = Result("pack.bytes", "pack", "bytes are bytes", "passed", 12, 345, seconds=0.26)
FAILED = Result("quantize.integers", "quantize", "q = rne", "failed", 20, 60, 3, findings=(VALUE,), seconds=1.0)
BEHAVES = Result("pack.behaves", "pack", "it behaves", "passed", 5)
ABSENT = Result("unpack.integers", "unpack", "integers", "not checked", reason="it has none")
REQUIRED = Result("pack.bytes", "pack", "bytes", "failed", failures=1, reason="required, but no", findings=(MISSING,))


def made(*results: Result, domain: str = "") -> Report:
    return Report("mine", 2, 5, "1.2.3", list(results), domain)


def test_what_is_reported_cannot_be_changed_and_counts_nothing_unless_it_says_so() -> None:
    for told in (VALUE, PASSED):
        with pytest.raises(FrozenInstanceError):
            setattr(told, "note", "")  # noqa: B010
    plain = Result("a.b", "a", "", "passed")
    assert (plain.cases, plain.numbers, plain.failures, plain.no_verdict, plain.seconds) == (0, 0, 0, 0, 0)
    assert (CRASH.bugs, CRASH.note, CRASH.input_size) == ((), "", 0)


# A result as text


def test_a_result_that_passed_is_one_line_with_its_counts() -> None:
    """Calls, if their numbers were counted, else cases."""
    assert PASSED.to_text() == "ok   pack.bytes: bytes are bytes (12 calls, 345 numbers, 0.3 s)"
    assert BEHAVES.to_text() == "ok   pack.behaves: it behaves (5 cases, 0.0 s)"
    some = replace(PASSED, no_verdict=4)
    assert some.to_text() == "ok   pack.bytes: bytes are bytes (12 calls, 345 numbers, 4 without a verdict, 0.3 s)"


def test_a_result_that_was_not_checked_says_why() -> None:
    assert ABSENT.to_text() == "--   unpack.integers: not checked: it has none"


def test_a_required_operation_that_is_missing_says_so_and_how_to_ask_again() -> None:
    """Whether it is missing is said by the first finding, whatever follows it."""
    expected = "FAIL pack.bytes: required, but no\n     again: q35ref check z"
    assert REQUIRED.to_text() == expected
    assert replace(REQUIRED, findings=(MISSING, VALUE)).to_text() == expected
    assert "q[k=0, n=1]" in replace(REQUIRED, findings=(VALUE, MISSING)).to_text()


def test_a_failed_result_has_its_finding_beneath_it() -> None:
    assert FAILED.to_text().splitlines() == [
        "FAIL quantize.integers: q = rne (20 calls, 60 numbers, 1.0 s)",
        "     3 of 20 broke it; the smallest input found:",
        "       w = 1",
        "       kernel.quantize(w)",
        "     value: q[k=0, n=1]",
        "       got       0x05 (5)",
        "       expected  0x04 (4)",
        "     note: only at times",
        "     fits: Wraps, Truncates",
        "     again: q35ref check x",
    ]
    crashed = replace(FAILED, findings=(CRASH,)).to_text().splitlines()
    assert crashed[2:] == [
        "       call()",
        "     crash: ",
        "       got       SIGSEGV",
        "       expected  a result",
        "     fits: no known bug class",
        "     again: q35ref check y",
    ]


def test_no_more_findings_are_written_out_than_asked_for_and_the_others_are_named() -> None:
    result = replace(FAILED, findings=(VALUE, CRASH, replace(CRASH, kind="hang")))
    named = "     3 of 20 broke it; not written out: "
    for most, left, shown in ((0, "value, crash, hang", 0), (1, "crash, hang", 1), (2, "hang", 2)):
        lines = result.to_text(most=most).splitlines()
        assert lines[1] == named + left
        assert sum("again:" in line for line in lines) == shown
    for text in (result.to_text(3), result.to_text(4), result.to_text()):
        assert "not written out" not in text
        assert text.count("again:") == 3


def test_findings_that_were_told_of_are_not_told_again() -> None:
    result = replace(FAILED, findings=(VALUE, CRASH))
    lines = result.to_text(told=1).splitlines()
    assert lines[0] == "FAIL quantize.integers: told of above, 3 of 20 broke it (20 calls, 60 numbers, 1.0 s)"
    assert [line for line in lines if "again:" in line] == ["     again: q35ref check y"]
    assert len(result.to_text(told=2).splitlines()) == 1


def test_a_result_that_is_not_whole_yet_says_so() -> None:
    assert PASSED.to_text(so_far=True) == "ok   pack.bytes: bytes are bytes (12 calls, 345 numbers, so far)"
    with pytest.raises(TypeError):
        PASSED.to_text(None, True)  # type: ignore[call-arg]


def test_of_behaviour_it_is_known_how_many_calls_broke_it_at_least() -> None:
    result = replace(BEHAVES, status="failed", failures=2, findings=(CRASH,))
    assert "     at least 2 of 5 broke it; the smallest input found:" in result.to_text().splitlines()
    assert "at least 2 of 5 broke it (" in result.to_text(told=1)


# A run


@pytest.mark.parametrize(
    ("results", "status", "says"),
    [
        ((PASSED,), 0, "1 passed, 0 failed, 0 not checked: conforms"),
        ((PASSED, ABSENT, BEHAVES), 0, "2 passed, 0 failed, 1 not checked: conforms"),
        ((PASSED, FAILED, ABSENT, PASSED), 1, "2 passed, 1 failed, 1 not checked: does not conform"),
        ((REQUIRED,), 1, "0 passed, 1 failed, 0 not checked: does not conform"),
        ((ABSENT,), 2, "0 passed, 0 failed, 1 not checked: nothing was checked"),
        ((BEHAVES, ABSENT), 2, "1 passed, 0 failed, 1 not checked: nothing was checked"),
        ((BEHAVES,), 0, "1 passed, 0 failed, 0 not checked: conforms"),
        ((replace(BEHAVES, status="not checked"),), 2, "0 passed, 0 failed, 1 not checked: nothing was checked"),
        ((), 2, "0 passed, 0 failed, 0 not checked: nothing was checked"),
    ],
)
def test_a_run_conforms_if_something_was_checked_and_nothing_failed(
    results: tuple[Result, ...], status: int, says: str
) -> None:
    """That a kernel behaves is something only where nothing else was asked."""
    report = made(*results)
    assert report.exit_status == status
    assert report.summary() == f"mine, level 2, seed 5: {says}"
    assert report.to_text() == "\n".join([*(result.to_text() for result in results), report.summary()])


def test_a_run_on_a_part_of_the_format_says_so() -> None:
    summary = made(PASSED, domain="layout dense").summary()
    assert summary.startswith("mine, level 2, seed 5, layout dense only: 1 passed,")


def test_a_run_that_conforms_raises_nothing_and_one_that_does_not_says_why() -> None:
    made(PASSED, ABSENT).raise_for_failures()
    with pytest.raises(ConformanceError) as caught:
        made(PASSED, FAILED, ABSENT, REQUIRED).raise_for_failures()
    assert str(caught.value) == f"{FAILED.to_text()}\n{REQUIRED.to_text()}"
    with pytest.raises(ConformanceError, match=r"^mine: nothing was checked$"):
        made(ABSENT).raise_for_failures()


def test_the_failures_are_the_results_that_failed() -> None:
    assert made(PASSED, FAILED, ABSENT, REQUIRED).failures == [FAILED, REQUIRED]
    assert made(PASSED, ABSENT).counts == {"passed": 1, "not checked": 1}


# For machines


def test_the_json_is_what_the_schema_says_with_a_field_a_line() -> None:
    report = made(PASSED, FAILED, ABSENT, domain="gain 1")
    text = report.to_json()
    record: dict[str, Any] = json.loads(text)
    jsonschema.validate(record, SCHEMA)
    head = {"schema_version": 3, "q35ref_version": "1.2.3", "target": "mine", "level": 2, "seed": 5}
    assert {name: record[name] for name in head} == head
    assert (record["domain"], record["exit_status"]) == ("gain 1", 1)
    assert [found["name"] for found in record["results"]] == ["pack.bytes", "quantize.integers", "unpack.integers"]
    assert record["results"][1]["findings"][0]["bugs"] == ["Wraps", "Truncates"]
    lines = text.splitlines()
    assert lines[:2] == ["{", ' "schema_version": 3,']
    assert text.endswith("\n}\n")


def test_the_xml_has_a_test_case_a_check_and_says_what_failed() -> None:
    text = made(PASSED, replace(FAILED, findings=(VALUE, CRASH)), ABSENT).to_junit()
    assert text.startswith("<?xml version=")
    assert text.endswith("</testsuites>\n")
    suites = ET.fromstring(text)  # noqa: S314
    [suite] = suites
    totals = {"tests": "3", "failures": "1", "errors": "0", "skipped": "1", "time": "1.260"}
    assert suites.attrib == totals
    assert suite.attrib == {"name": "q35ref check mine", **totals}
    passed, failed, absent = suite
    assert passed.attrib == {"classname": "pack", "name": "pack.bytes", "time": "0.260"}
    assert [list(case) != [] for case in suite] == [False, True, True]
    [failure], [skipped] = failed, absent
    assert failure.tag == "failure"
    assert failure.attrib == {"message": "q[k=0, n=1]: got 0x05 (5), expected 0x04 (4)"}
    assert failure.text == replace(FAILED, findings=(VALUE, CRASH)).to_text()
    assert (skipped.tag, skipped.attrib) == ("skipped", {"message": "it has none"})


def test_what_xml_has_no_place_for_is_replaced_and_nothing_else() -> None:
    """XML 1.0, rule 2: tab, newline, and all from U+0020 on but surrogates, U+FFFE and U+FFFF."""
    legal = "\t\n AZ~\x7f\u00e9\ud7ff\ue000\uf000\ufffd\U00010000\U0001f600\U0010ffff"
    illegal = "\x00\x08\x0b\x0c\r\x1f\ud800\udfff\ufffe\uffff"
    for text, expected in ((legal, legal), (illegal, "\ufffd" * len(illegal))):
        report = made(replace(ABSENT, reason="x"), replace(FAILED, findings=(replace(VALUE, got=text),)))
        failure = ET.fromstring(report.to_junit())[0][1][0]  # noqa: S314
        assert failure.text is not None
        assert f"got       {expected}\n" in failure.text
