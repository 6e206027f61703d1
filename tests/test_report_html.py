"""The HTML report: all that was found, nothing that runs or is fetched, readable by any browser."""

import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from q35ref.cli import main
from q35ref.oracle import check
from q35ref.oracle.bugs import BUGS
from q35ref.oracle.html import to_html
from q35ref.oracle.report import Finding, Report, Result

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

VOID = {"meta", "br"}


class Balanced(HTMLParser):
    """Refuses tags that are not closed where they should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close a tag."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


def read(page: str) -> Balanced:
    """Parse a page; refuse a broken one."""
    parser = Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_a_page_says_all_that_the_text_says() -> None:
    report = check(BUGS["LanesSwapped"], only=["pack.*", "unpack.*"])
    page = read(to_html(report))
    for result in report.results:
        assert result.name in page.text
        for finding in result.findings:
            for part in (finding.got, finding.expected, finding.place, finding.code, finding.command, *finding.bugs):
                assert part in page.text
    assert BUGS["LanesSwapped"].effect in page.text
    assert "does not conform" in page.text
    assert page.tags.isdisjoint({"script", "link", "img", "iframe"})


def made(**changes: Any) -> Report:
    """Return a report with one finding."""
    finding = Finding("value", "packed[n=0, b=0]", "0x47 (71)", "0x2E (46)", "", "")
    result = Result("pack.bytes", "pack", "rule", "failed", 1, 1, 1, findings=(replace(finding, **changes),))
    return Report("target", 1, 1, "0", [result])


@pytest.mark.parametrize("part", ["place", "got", "code", "command", "kind"])
def test_what_a_kernel_says_stays_text(part: str) -> None:
    hostile = "</pre><script>alert(1)</script>&<b onclick='x'>"
    page = read(to_html(made(**{part: hostile})))
    assert hostile in page.text
    assert "script" not in page.tags


def test_the_command_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    done = CliRunner().invoke(main, ["check", "numpy", "--only", "pack.*", "--html", str(path)])
    assert done.exit_code == 0
    assert "conforms" in read(path.read_text()).text


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not on the path")
def test_a_browser_shows_it(tmp_path: Path) -> None:
    """Both schemes give a picture, and not the same one; a page without the finding gives another."""
    (tmp_path / "report.html").write_text(to_html(made()))
    (tmp_path / "other.html").write_text(to_html(made(got="0x47 (71), and more")))
    light = picture(tmp_path / "report.html")
    dark = picture(tmp_path / "report.html", "--force-dark-mode", "--blink-settings=preferredColorScheme=0")
    other = picture(tmp_path / "other.html")
    assert len({light, dark, other}) == 3
    assert light == picture(tmp_path / "report.html"), "pictures differ by themselves"


def picture(page: Path, *options: str) -> bytes:
    """Return what a browser without a screen makes of a page."""
    assert CHROMIUM is not None
    target = page.with_suffix(".png")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1000,1200"]
    home = f"--user-data-dir={page.parent / 'profile'}"
    command = [CHROMIUM, *flags, home, *options, f"--screenshot={target}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    content = target.read_bytes()
    target.unlink()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000, "an empty page is smaller"
    return content
