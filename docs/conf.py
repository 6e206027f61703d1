"""Sphinx's settings for the site: `make docs`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from q35ref.version import __version__

project = "q35ref"
author = "The q35ref authors"
project_copyright = author
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "tools.docs.links", "tools.docs.reference"]
exclude_patterns = ["speed/notes.md"]  # a part of speed.md

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
myst_url_schemes = ["http", "https", "mailto", "source"]  # the last is ours: tools/docs/links.py

# Whatever is referred to must be there; what other people document is not asked for, as that takes a network.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(numpy|np|pathlib|collections|typing|fractions|click|types|os|ctypes|hypothesis)\..*"),
    ("c:identifier", r"u?int(8|32|64)_t"),
]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

linkcheck_ignore = ["source:"]  # the site's own pages, which are checked when it is built

html_theme = "furo"
html_title = f"q35ref {release}"
html_show_sphinx = False
html_copy_source = False
