"""The page of a report: its verdict, its tables, what it says of a finding, and the bits that it marks."""

import re
from dataclasses import replace
from html import escape
from typing import Any

import pytest

from q35ref.oracle.bugs import BUGS
from q35ref.oracle.html import to_html
from q35ref.oracle.report import Finding, Report, Result, Status

FINDING = Finding("value", "q[k=0, n=0]", "0x47 (71)", "0x2E (46)", "", "again & again")


def result(name: str, status: Status = "passed", **more: Any) -> Result:
    return Result(name, name.partition(".")[0], f"promise of {name}", status, **more)


def page(*results: Result) -> str:
    return to_html(Report("<kernel>", 2, 7, "1.2.3", list(results)))


def page_of(**changes: Any) -> str:
    """Return the page of one finding, changed."""
    found = (replace(FINDING, **changes),)
    return page(result("pack.bytes", "failed", cases=9, failures=4, findings=found))


PASSED, FAILED, UNCHECKED = (
    result("pack.bytes"),
    result("unpack.integers", "failed", findings=(FINDING,)),
    result("matmul.out", "not checked", reason="the target has no matmul"),
)


@pytest.mark.parametrize(
    ("results", "colour", "verdict", "told"),
    [
        ([PASSED], "passed", "conforms", "1 passed, 0 failed, 0 not checked"),
        ([PASSED, FAILED], "failed", "does not conform", "1 passed, 1 failed, 0 not checked"),
        ([UNCHECKED], "not", "nothing was checked", "0 passed, 0 failed, 1 not checked"),
    ],
)
def test_a_page_begins_with_the_verdict(results: list[Result], colour: str, verdict: str, told: str) -> None:
    text = page(*results)
    assert f"<h1><code>&lt;kernel&gt;</code> <span class='verdict {colour}'>{verdict}</span></h1>" in text
    assert f"<title>q35ref: &lt;kernel&gt; {verdict}</title>" in text
    assert f"<p class='soft'>q35ref 1.2.3, level 2, seed 7: {told}.</p>" in text
    assert text.startswith("<!doctype html>\n")
    assert "\n\n" not in text.partition("</style>")[2]


def test_findings_have_a_heading_if_there_are_any() -> None:
    assert "Findings" not in page(PASSED, UNCHECKED)
    two = replace(FAILED, findings=(FINDING, replace(FINDING, kind="shape")))
    assert "<h2>Findings (2)</h2>" in page(PASSED, two)
    assert page(PASSED, two).count("<section>") == 2


def test_each_operation_is_counted_by_itself() -> None:
    """Whatever stands before or after it in the alphabet."""
    results = [
        *(result("matmul.out", "failed", cases=5), result("matmul.acc", cases=2)),
        *(result("pack.bytes", cases=30), result("calibrate.scale", "not checked"), result("pack.law", cases=1)),
    ]
    rows = re.findall(r"<tr><td>(\w+)</td>(.*?)</tr>", page(*results))
    assert rows == [
        (
            "matmul",
            "<td class='n passed'>1</td><td class='n failed'>1</td><td class='n soft'>0</td><td class='n'>7</td>",
        ),
        (
            "pack",
            "<td class='n passed'>2</td><td class='n soft'>0</td><td class='n soft'>0</td><td class='n'>31</td>",
        ),
        (
            "calibrate",
            "<td class='n soft'>0</td><td class='n soft'>0</td><td class='n not'>1</td><td class='n'>0</td>",
        ),
    ]


def test_every_check_is_listed_with_what_it_promises_or_why_it_was_not_asked() -> None:
    text = page(replace(PASSED, cases=8, seconds=1.26), replace(FAILED, failures=3, cases=4), UNCHECKED)
    rows = [row for row in text.split("<tr>") if row.startswith("<td class='")]
    told = [re.sub(r"<[^>]*>", "|", row.partition("</tr>")[0]).split("|") for row in rows]
    assert [[part for part in row if part] for row in told] == [
        ["passed", "pack.bytes", "promise of pack.bytes", "8", "0", "1.3"],
        ["failed", "unpack.integers", "promise of unpack.integers", "4", "3", "0.0"],
        ["not checked", "matmul.out", "the target has no matmul", "0", "0", "0.0"],
    ]
    assert [re.findall(r"^<td class='(\w+)'", row) for row in rows] == [["passed"], ["failed"], ["not"]]


def test_a_finding_says_what_was_broken_and_how_to_see_it_again() -> None:
    text = page_of(code="x < 1")
    assert "<dt>rule</dt><dd>promise of pack.bytes</dd><dt>broken in</dt><dd>4 of 9 cases</dd>" in text
    assert "<dt>value</dt><dd><code>q[k=0, n=0]</code></dd>" in text
    assert "<dt>got</dt><dd><code>0x47 (71)</code></dd><dt>expected</dt><dd><code>0x2E (46)</code></dd>" in text
    assert "<p class='soft'>The smallest input found:</p><pre>x &lt; 1</pre>" in text
    assert "<p class='soft'>Again:</p><pre>again &amp; again</pre>" in text


def test_a_finding_without_code_or_note_shows_none() -> None:
    text = page_of()
    assert "smallest input" not in text
    assert "<dt>note</dt>" not in text
    assert "<dt>note</dt><dd>on &lt;2&gt; threads</dd>" in page_of(note="on <2> threads")


def test_bug_classes_that_fit_are_described() -> None:
    assert "<dt>fits</dt><dd>no known bug class</dd>" in page_of()
    text = page_of(bugs=("LanesSwapped", "in_double"))
    bug = BUGS["LanesSwapped"]
    described = " ".join((bug.__doc__ or "").split())
    assert len(described) > 10
    assert "no known bug class" not in text
    assert f"<dt>fits</dt><dd><b>LanesSwapped</b>: {escape(described)} Effect: {escape(bug.effect)}.</dd>" in text
    assert "<dd><b>in_double</b>: </dd>" in text


# Bits


def bits(**changes: Any) -> tuple[list[tuple[str, int]], dict[str, list[tuple[str, str]]]]:
    """Return the fields of a finding's table with their widths, and of each row the bits with their marks."""
    table = page_of(**changes).partition("<table class='bits'>")[2].partition("</table>")[0]
    head, *rows = table.split("</tr>")[:-1]
    fields = [(name, int(width)) for width, name in re.findall(r"<th class='f' colspan='(\d+)'>([^<]*)</th>", head)]
    found = {}
    for row in rows:
        label = re.findall("<tr><th>(.*?)</th>", row)[0]
        found[label] = [(marks, digit) for marks, digit in re.findall(r"<td(?: class='([^']*)')?>(.*?)</td>", row)]
    return fields, found


CODE = [("0", 1), ("wide", 4), ("narrow", 3)]
FLOAT = [("sign", 1), ("exponent", 8), ("significand", 23)]


@pytest.mark.parametrize(
    ("place", "got", "expected", "fields"),
    [
        ("packed[n=0, b=0], layout byte, bit 0", "0x47 (71)", "0x2E (46)", CODE),
        ("packed[n=0, b=0], layout dense, bit 0", "0x47 (71)", "0x2E (46)", [("a byte of the stream", 8)]),
        ("q[k=0, n=0]", "0xFE (-2)", "0x7F (127)", [("sign", 1), ("", 7)]),
        ("acc[m=0, n=0, g=0]", "0x80000001 (-2147483647)", "0x00000001 (1)", [("sign", 1), ("", 31)]),
        ("row_sum[m=0, g=0]", "0x80000001 (-2147483647)", "0x00000001 (1)", [("sign", 1), ("", 31)]),
        ("acc[m=0, n=0, g=0]", "0x47 (71)", "0x2E (46)", [("sign", 1), ("", 7)]),
        ("acc[m=0, n=0, g=0]", "0x0123456789ABCDEF (1)", "0x0123456789ABCDEE (2)", [("", 64)]),
        ("out[m=0, n=0]", "0x3FC00000 (1.5)", "0xBF800001 (-1)", FLOAT),
        ("scale[g=0, n=0]", "0x3FC00000 (1.5)", "0x3F800000 (1.0), at most 0x3F800000 (1.0)", FLOAT),
        ("w[k=0, n=0]", "0x3C00 (1.0)", "0x3C01 (1.0)", [("", 16)]),
    ],
)
def test_the_bits_of_two_numbers_are_shown_by_their_fields_and_those_that_differ_marked(
    place: str, got: str, expected: str, fields: list[tuple[str, int]]
) -> None:
    width = 4 * len(got.partition(" ")[0][2:])
    digits = {
        label: f"{int(text.partition(' ')[0], 16):0{width}b}" for label, text in (("got", got), ("expected", expected))
    }
    starts, place_ = [], 0
    for _, length in fields:
        starts.append(place_)
        place_ += length
    assert place_ == width
    marks = [
        " ".join(["x"] * (a != b) + ["f"] * (i in starts))
        for i, (a, b) in enumerate(zip(*digits.values(), strict=True))
    ]
    found_fields, found = bits(place=place, got=got, expected=expected)
    assert found_fields == fields
    assert found == {label: list(zip(marks, text, strict=True)) for label, text in digits.items()}


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ("an exception", "0x2E (46)"),
        ("0x47 (71)", "an exception"),
        ("nothing", "something"),
        ("0x0047 (71)", "0x2E (46)"),
        ("0x47 (71)", "0x002E (46)"),
        ("not 0x47 (71)", "0x2E (46)"),
    ],
)
def test_there_are_no_bits_where_there_are_no_two_numbers_of_one_type(got: str, expected: str) -> None:
    assert "class='bits'" not in page_of(got=got, expected=expected)
