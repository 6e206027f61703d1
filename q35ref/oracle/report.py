"""What a run found, as text, as JSON (schema: ``report.schema.json``) and as JUnit XML."""

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

SCHEMA_VERSION = 3
"""Version of the JSON report."""

BEHAVES = ".behaves"
"""The end of the names of the checks that look at no result."""

ILLEGAL_XML: Final = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that XML 1.0 has no place for, or a carriage return."""

Status = Literal["passed", "failed", "not checked"]

MARKS = {"passed": "ok  ", "failed": "FAIL", "not checked": "--  "}
"""How a status is printed."""


class ConformanceError(AssertionError):
    """A checked target broke a rule, or nothing was checked."""


@dataclass(frozen=True)
class Finding:
    """One broken rule, at the smallest input that was found to break it."""

    kind: str
    """``value``, ``shape``, ``raised``, ``accepted``, ``missing``, ``law``, ``vector``, or a kind of behaviour."""
    place: str
    """Where in the result."""
    got: str
    """What the target gave, in hexadecimal and decimal."""
    expected: str
    """What the rule allows."""
    code: str
    """Python that repeats it."""
    command: str
    """The command that runs the check again."""
    bugs: tuple[str, ...] = ()
    """Bug classes that explain what was given, the likeliest first."""
    note: str = ""
    """What else there is to know."""
    input_size: int = 0
    """Numbers in the arrays of the smallest input found, packed integers one by one; 0 where there is none."""


@dataclass(frozen=True)
class Result:
    """What became of one check."""

    name: str
    """``operation.promise``."""
    operation: str
    """The operation, ``law`` or ``vectors``."""
    promise: str
    """The rule in one sentence."""
    status: Status
    cases: int = 0
    """Calls, or cases of a law, that were judged."""
    numbers: int = 0
    """Single numbers that were compared."""
    failures: int = 0
    """Calls that broke the rule."""
    no_verdict: int = 0
    """Numbers on which the format gives no verdict."""
    reason: str = ""
    """Why it was not checked."""
    findings: tuple[Finding, ...] = ()
    """One, or of a rule about behaviour one for each kind of fault."""
    seconds: float = 0.0

    def to_text(self, most: int | None = None, *, so_far: bool = False, told: int = 0) -> str:
        """Return the result as it is printed: one line, and the findings beneath it, ``most`` of them written out.

        ``so_far`` says that more calls are to come; ``told``, how many findings were printed when that was so.
        """
        if self.status == "not checked":
            return f"{MARKS[self.status]} {self.name}: not checked: {self.reason}"
        if self.findings and self.findings[0].kind == "missing":
            return f"{MARKS[self.status]} {self.name}: {self.reason}\n     again: {self.findings[0].command}"
        counts = f"{self.cases} calls" if self.numbers else f"{self.cases} cases"
        counts += f", {self.numbers} numbers" if self.numbers else ""
        counts += f", {self.no_verdict} without a verdict" if self.no_verdict else ""
        says = f"told of above, {self._share()} broke it" if told else self.promise
        until = "so far" if so_far else f"{self.seconds:.1f} s"
        lines = [f"{MARKS[self.status]} {self.name}: {says} ({counts}, {until})"]
        findings = self.findings[told:]
        shown = findings[:most]
        kinds = ", ".join(found.kind for found in findings[len(shown) :])
        if kinds:
            lines.append(f"     {self._share()} broke it; not written out: {kinds}")
        for found in shown:
            lines += [
                f"     {self._share()} broke it; the smallest input found:",
                *(f"       {line}" for line in found.code.splitlines()),
                f"     {found.kind}: {found.place}",
                f"       got       {found.got}",
                f"       expected  {found.expected}",
                *([f"     note: {found.note}"] if found.note else []),
                f"     fits: {', '.join(found.bugs) or 'no known bug class'}",
                f"     again: {found.command}",
            ]
        return "\n".join(lines)

    def _share(self) -> str:
        """Return how many calls broke the rule; of behaviour, what is known is not looked for again."""
        least = "at least " if self.name.endswith(BEHAVES) else ""
        return f"{least}{self.failures} of {self.cases}"


@dataclass
class Report:
    """Every result of one run."""

    target: str
    level: int
    seed: int
    version: str
    results: list[Result] = field(default_factory=list)
    domain: str = ""
    """The part of the format that was checked; all of it if empty."""

    @property
    def counts(self) -> Counter[str]:
        """Number of results by status."""
        return Counter(result.status for result in self.results)

    @property
    def failures(self) -> list[Result]:
        """The results that failed."""
        return [result for result in self.results if result.status == "failed"]

    @property
    def exit_status(self) -> int:
        """0 if something was checked and all of it passed, 1 if a check failed, 2 if nothing was checked.

        That a kernel behaves is something only where nothing else was asked: if it gives no results, it says little.
        """
        if self.counts["failed"]:
            return 1
        judged = [r for r in self.results if not r.name.endswith(BEHAVES)] or self.results
        return 0 if "passed" in [r.status for r in judged] else 2

    def raise_for_failures(self) -> None:
        """Raise :class:`ConformanceError` if a check failed or nothing was checked."""
        if self.exit_status:
            told = "\n".join(result.to_text() for result in self.failures)
            raise ConformanceError(told or f"{self.target}: nothing was checked")

    def summary(self) -> str:
        """Return the closing line."""
        counts = self.counts
        verdict = {0: "conforms", 1: "does not conform", 2: "nothing was checked"}[self.exit_status]
        only = f", {self.domain} only" if self.domain else ""
        return (
            f"{self.target}, level {self.level}, seed {self.seed}{only}: {counts['passed']} passed,"
            f" {counts['failed']} failed, {counts['not checked']} not checked: {verdict}"
        )

    def to_text(self) -> str:
        """Return the whole report as text."""
        return "\n".join([*(result.to_text() for result in self.results), self.summary()])

    def to_json(self) -> str:
        """Return the report as JSON, as ``report.schema.json`` describes it."""
        record: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "q35ref_version": self.version,
            "target": self.target,
            "level": self.level,
            "seed": self.seed,
            "domain": self.domain,
            "exit_status": self.exit_status,
            "results": [asdict(result) for result in self.results],
        }
        return json.dumps(record, indent=1) + "\n"

    def to_junit(self) -> str:
        """Return the report as JUnit XML: a test suite with one test case a check."""
        counts = self.counts
        seconds = f"{sum(result.seconds for result in self.results):.3f}"
        totals = {
            "tests": str(len(self.results)),
            "failures": str(counts["failed"]),
            "errors": "0",
            "skipped": str(counts["not checked"]),
            "time": seconds,
        }
        suites = ET.Element("testsuites", totals)
        suite = ET.SubElement(suites, "testsuite", {"name": f"q35ref check {self.target}", **totals})
        for result in self.results:
            attributes = {"classname": result.operation, "name": result.name, "time": f"{result.seconds:.3f}"}
            case = ET.SubElement(suite, "testcase", attributes)
            if result.status == "not checked":
                ET.SubElement(case, "skipped", {"message": _legal_xml(result.reason)})
            elif result.findings:
                found = result.findings[0]
                message = f"{found.place}: got {found.got}, expected {found.expected}"
                ET.SubElement(case, "failure", {"message": _legal_xml(message)}).text = _legal_xml(result.to_text())
        ET.indent(suites)
        return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _legal_xml(text: str) -> str:
    """Replace characters that XML 1.0 has no place for; a kernel's message may hold any.

    A carriage return is replaced too: whoever reads XML takes it for the end of a line.
    """
    return ILLEGAL_XML.sub("\ufffd", text)
