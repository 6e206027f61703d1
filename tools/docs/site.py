"""Checks a built site: every link and picture within it leads to a file, and every fragment to an anchor of that file.

python -m tools.docs.site build/site

Sphinx knows the links that pages are written with; this reads what came of them, from the outside.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote, urlsplit

import click


@dataclass
class Page:
    """What a page has to link to, and what it links to."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (name == "name" and tag == "a"):
                self.page.anchors.add(value or "")
            elif name in ("href", "src"):
                self.page.links.append(value or "")


def read(path: Path) -> Page:
    """Return a page's anchors and links."""
    reader = _Reader()
    reader.feed(path.read_text("utf-8"))
    return reader.page


def broken(site: Path) -> Iterator[str]:
    """Yield ``page: link: what is wrong`` for each link within a site that leads nowhere."""
    pages = {path.relative_to(site).as_posix(): read(path) for path in sorted(site.rglob("*.html"))}
    for name, page in pages.items():
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            folder = name.rpartition("/")[0]
            target = normpath(f"{folder}/{unquote(parts.path)}").lstrip("/") if parts.path else name
            if target.startswith(".."):
                yield f"{name}: {link}: leads out of the site"
            elif not (site / target).is_file():
                yield f"{name}: {link}: there is no such file"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name}: {link}: there is no such anchor"


@click.command()
@click.argument("site", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(site: Path) -> None:
    """Check the links within SITE; exit with 1 if one is broken, or if there is no page."""
    found = list(broken(site))
    for problem in found:
        click.echo(problem, err=True)
    count = sum(1 for _ in site.rglob("*.html"))
    click.echo(f"{site}: {count} pages, {len(found)} broken links")
    sys.exit(1 if found or not count else 0)


if __name__ == "__main__":
    main()
