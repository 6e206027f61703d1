"""A report as one HTML page that needs nothing beside it: no script, no other file, in light and in dark."""

import re
from collections import Counter
from html import escape
from typing import Final

from q35ref.oracle.bugs import BUGS
from q35ref.oracle.report import Finding, Report, Result

HEX: Final = re.compile(r"^0x(?P<digits>[0-9A-F]+) ")
"""The bits of a number as findings show it."""

FIELDS: Final = {
    8: ((1, "sign"), (7, "")),
    32: ((1, "sign"), (8, "exponent"), (23, "significand")),
}
"""How many bits belong together, by the number of them; those of codes and integers are named otherwise."""

CODE: Final = ((1, "0"), (4, "wide"), (3, "narrow"))
"""The fields of a code in layout byte."""

INTEGER: Final = ((1, "sign"), (31, ""))

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #59636e; --line: #d1d9e0; --card: #f6f8fa;
  --good: #1a7f37; --bad: #cf222e; --none: #59636e; --mark: #ffd8d3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --soft: #9198a1; --line: #3d444d;
  --card: #151b23; --good: #3fb950; --bad: #f85149; --none: #9198a1; --mark: #6e1f1b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; } h3 { font-size: 1rem; margin: 0; }
code, pre { font: 13px/1.45 ui-monospace, monospace; } h1 code { font-size: 1.3rem; overflow-wrap: anywhere; }
pre { background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: .6rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.passed { color: var(--good); } .failed { color: var(--bad); } .not { color: var(--none); }
.verdict { font-weight: 600; } .soft { color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem; margin: 1rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .6rem 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.bits { border-collapse: separate; border-spacing: 0; width: auto; margin: .4rem 0;
  font: 12px ui-monospace, monospace; }
.bits th, .bits td { padding: .1rem .28rem; text-align: center; border: 0; font-weight: 400; }
.bits td { border: 1px solid var(--line); } .bits td.x { background: var(--mark); color: var(--bad); font-weight: 700; }
.bits .f { border-left: 3px solid var(--soft); } .bits th { color: var(--soft); }
"""


def to_html(report: Report) -> str:
    """Return a report as a page."""
    counts = report.counts
    verdict = {0: "conforms", 1: "does not conform", 2: "nothing was checked"}[report.exit_status]
    colour = {0: "passed", 1: "failed", 2: "not"}[report.exit_status]
    found = [(result, finding) for result in report.failures for finding in result.findings]
    told = ", ".join(f"{counts[status]} {status}" for status in ("passed", "failed", "not checked"))
    parts = [
        f"<h1><code>{escape(report.target)}</code> <span class='verdict {colour}'>{verdict}</span></h1>",
        f"<p class='soft'>q35ref {escape(report.version)}, level {report.level}, seed {report.seed}: {told}.</p>",
        _summary(report.results),
        f"<h2>Findings ({len(found)})</h2>" if found else "",
        *(_finding(result, finding) for result, finding in found),
        "<h2>Every check</h2>",
        _checks(report.results),
    ]
    title = f"q35ref: {escape(report.target)} {verdict}"
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{title}</title>"
    body = "\n".join(part for part in parts if part)
    head += f"<style>{STYLE}</style>"
    return f"<!doctype html>\n<html lang='en'>\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n"


def _summary(results: list[Result]) -> str:
    rows = []
    for operation in dict.fromkeys(result.operation for result in results):
        own = [result for result in results if result.operation == operation]
        counts = Counter(result.status for result in own)
        cells = "".join(_count(counts[status], status) for status in ("passed", "failed", "not checked"))
        rows.append(f"<tr><td>{escape(operation)}</td>{cells}<td class='n'>{sum(r.cases for r in own)}</td></tr>")
    heads = "".join(f"<th class='n'>{name}</th>" for name in ("passed", "failed", "not checked", "cases"))
    return f"<div class='wide'><table><tr><th>operation</th>{heads}</tr>{''.join(rows)}</table></div>"


def _count(number: int, status: str) -> str:
    return f"<td class='n {status.partition(' ')[0] if number else 'soft'}'>{number}</td>"


def _finding(result: Result, finding: Finding) -> str:
    bugs = "".join(f"<dd><b>{escape(name)}</b>: {escape(_described(name))}</dd>" for name in finding.bugs)
    facts = [
        ("rule", escape(result.promise)),
        ("broken in", f"{result.failures} of {result.cases} cases"),
        (escape(finding.kind), f"<code>{escape(finding.place)}</code>"),
        ("got", f"<code>{escape(finding.got)}</code>"),
        ("expected", f"<code>{escape(finding.expected)}</code>"),
        *([("note", escape(finding.note))] if finding.note else []),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts)
    named = f"<dt>fits</dt>{bugs}" if bugs else "<dt>fits</dt><dd>no known bug class</dd>"
    code = f"<p class='soft'>The smallest input found:</p><pre>{escape(finding.code)}</pre>" if finding.code else ""
    return (
        f"<section><h3 class='failed'>{escape(result.name)}</h3><dl>{listed}{named}</dl>{_bits(finding)}{code}"
        f"<p class='soft'>Again:</p><pre>{escape(finding.command)}</pre></section>"
    )


def _described(name: str) -> str:
    bug = BUGS.get(name)
    return "" if bug is None else f"{' '.join((bug.__doc__ or '').split())} Effect: {bug.effect}."


def _bits(finding: Finding) -> str:
    """Return the bits of what was given and of what was expected, those that differ marked."""
    given, wanted = HEX.match(finding.got), HEX.match(finding.expected)
    if given is None or wanted is None or len(given["digits"]) != len(wanted["digits"]):
        return ""
    width = 4 * len(given["digits"])
    got, expected = int(given["digits"], 16), int(wanted["digits"], 16)
    fields = _fields(finding, width)
    starts, names, place = set(), [], width
    for length, name in fields:
        starts.add(place - 1)
        names.append(f"<th class='f' colspan='{length}'>{name}</th>")
        place -= length
    rows = [f"<tr><th></th>{''.join(names)}</tr>"]
    for label, value in (("got", got), ("expected", expected)):
        cells = []
        for bit in range(width - 1, -1, -1):
            marks = " ".join(filter(None, ("x" * ((got ^ expected) >> bit & 1), "f" * (bit in starts))))
            cells.append(f"<td{f' class={marks!r}' if marks else ''}>{value >> bit & 1}</td>")
        rows.append(f"<tr><th>{label}</th>{''.join(cells)}</tr>")
    return f"<div class='wide'><table class='bits'>{''.join(rows)}</table></div>"


def _fields(finding: Finding, width: int) -> tuple[tuple[int, str], ...]:
    if finding.place.startswith("packed"):
        return CODE if "layout byte" in finding.place else ((8, "a byte of the stream"),)
    if finding.place.startswith(("acc", "row_sum")) and width == 32:
        return INTEGER
    return FIELDS.get(width, ((width, ""),))


def _checks(results: list[Result]) -> str:
    rows = [
        f"<tr><td class='{result.status.partition(' ')[0]}'>{result.status}</td><td><code>{escape(result.name)}</code>"
        f"<br><span class='soft'>{escape(result.reason or result.promise)}</span></td>"
        f"<td class='n'>{result.cases}</td><td class='n'>{result.failures}</td>"
        f"<td class='n'>{result.seconds:.1f}</td></tr>"
        for result in results
    ]
    heads = (
        "<tr><th>status</th><th>check</th><th class='n'>cases</th><th class='n'>failed</th><th class='n'>s</th></tr>"
    )
    return f"<div class='wide'><table>{heads}{''.join(rows)}</table></div>"
