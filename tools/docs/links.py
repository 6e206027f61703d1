"""A Sphinx extension: links that lead out of ``docs`` lead to pages of the site that show the repository's files.

The pages are read on two sites: a forge shows them where they lie, with links such as ``../tests/test_codec.py#L54``,
and Sphinx builds them into a site that has no such place. Here each file that a page links to becomes a page with
numbered lines, and a folder a list of its files. A link to a file or a line that is not there is a warning, that is an
error of ``make docs``.

The same is done for the text of files that a page includes, whose links start from where the file lies.
"""

import os
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from posixpath import normpath
from typing import Any, Final

from docutils import nodes
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER: Final = logging.getLogger(__name__)

SCHEME: Final = "source:"
"""What links to files of the repository begin with between reading and writing."""

FOLDER: Final = "source"
"""Where the site shows them."""

LINK: Final = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^()\s]+)(?=\))")
"""The target of a link or picture in Markdown, unless it is a URL or within the page."""

LINE: Final = re.compile(r"L([1-9]\d*)")
"""The fragment that names a line."""

UNSEEN: Final = ("__pycache__", ".so", ".vvp", ".vmfb", ".egg-info")
"""How names end of what is made and not written."""


def repository(app: Sphinx) -> Path:
    """Return the repository's root: the folder that holds ``docs``."""
    return Path(app.srcdir).parent


def rewritten(text: str, folder: Path, page_folder: Path, docs: Path) -> str:
    """Return Markdown whose links start from ``page_folder``, and lead out of ``docs`` by :data:`SCHEME`.

    ``folder`` is where the text lies. What is not there is left as it is, for Sphinx to complain of.
    """

    def target(found: re.Match[str]) -> str:
        path, mark, fragment = found[1].partition("#")
        place = Path(normpath(folder / path))
        if place.is_relative_to(docs):
            return os.path.relpath(place, page_folder) + mark + fragment
        if place.is_relative_to(docs.parent) and place.exists():
            return f"{SCHEME}{place.relative_to(docs.parent).as_posix()}{mark}{fragment}"
        return found[1]

    return LINK.sub(target, text)


def on_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Rewrite the links of a page."""
    docs = Path(app.srcdir)
    folder = (docs / docname).parent
    source[0] = rewritten(source[0], folder, folder, docs)


def on_include(app: Sphinx, path: Path, docname: str, source: list[str]) -> None:
    """Rewrite the links of a file that a page includes."""
    docs = Path(app.srcdir)
    folder = Path(normpath(docs / path)).parent
    source[0] = rewritten(source[0], folder, (docs / docname).parent, docs)


def on_resolved(app: Sphinx, tree: nodes.document, docname: str) -> None:
    """Lead each link to the page that shows what it names; remember which pages are wanted."""
    if app.builder.format != "html":
        return
    root = repository(app)
    for node in tree.findall(nodes.reference):
        uri = node.get("refuri", "")
        if not uri.startswith(SCHEME):
            continue
        path, _, fragment = uri.removeprefix(SCHEME).partition("#")
        if fragment and not _has_line(root / path, fragment):
            LOGGER.warning("%s#%s: there is no such line", path, fragment, location=docname)
        wanted(app).add(path)
        place = app.builder.get_relative_uri(docname, f"{FOLDER}/{path}")
        node["refuri"] = place + LINE.sub(r"#L-\1", fragment)
        node["internal"] = True


def _has_line(path: Path, fragment: str) -> bool:
    found = LINE.fullmatch(fragment)
    return found is not None and path.is_file() and int(found[1]) <= len(path.read_text("utf-8").splitlines())


def wanted(app: Sphinx) -> set[str]:
    """Return the paths to show, which the pages of this run add to."""
    paths: set[str] = app.__dict__.setdefault("q35_sources", set())
    return paths


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the page of each file and folder that a page links to, and of the files of these folders."""
    root = repository(app)
    left = sorted(wanted(app))
    seen = set(left)
    while left:
        path = left.pop()
        name = f"{FOLDER}/{path}"
        if (root / path).is_dir():
            inside = files(root / path)
            names = [file.relative_to(root).as_posix() for file in inside]
            left += [each for each in names if each not in seen]
            seen.update(names)
            links = {each: app.builder.get_relative_uri(name, f"{FOLDER}/{each}") for each in names}
            items = "".join(f'<li><a href="{escape(uri)}">{escape(each)}</a></li>\n' for each, uri in links.items())
            body = f"<ul>\n{items}</ul>"
        else:
            body = shown(root / path)
        title = escape(path)
        yield name, {"title": title, "body": f"<h1>{title}</h1>\n{body}"}, "page.html"


def files(folder: Path) -> list[Path]:
    """Return the files of a folder that people write, those of its folders too."""
    found = (path for path in folder.rglob("*") if path.is_file())
    hidden = re.compile(r"(^|/)\.[^/]|(" + "|".join(map(re.escape, UNSEEN)) + r")($|/)")
    return sorted(path for path in found if not hidden.search(path.relative_to(folder).as_posix()))


def shown(path: Path) -> str:
    """Return a text file in colours, with a number and an anchor ``L-7`` for each line; of other files the size."""
    try:
        lexer = get_lexer_for_filename(path.name)
    except ClassNotFound:
        lexer = TextLexer()
    style = HtmlFormatter(linenos="inline", lineanchors="L", anchorlinenos=True, wrapcode=True)
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        return f"<p>No text: {path.stat().st_size:,} bytes.</p>"
    return str(highlight(text, lexer, style))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("source-read", on_source)
    app.connect("include-read", on_include)
    app.connect("doctree-resolved", on_resolved)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": False, "parallel_write_safe": False}
