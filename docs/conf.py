"""Sphinx settings. Pages are the Markdown files of the whole repository, each where it lies."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import SphinxError

project = "secagg"
author = "the secagg authors"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's word
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md"]
exclude_patterns = [".*", "out", "build"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nb_execution_mode = "off"
myst_heading_anchors = 4
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
add_module_names = False
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "secagg"


def own_host_only(app: Sphinx, failed: Exception | None) -> None:
    """Refuse pages that would ask a foreign host for a style sheet, script, font or picture."""
    if failed:
        return
    asks = re.compile(rb"""(?:<(?:script|img|link)[^>]*(?:src|href)=|url\(|@import )["']?https?:""")
    pages = [page for kind in ("html", "css", "js") for page in Path(app.outdir).rglob(f"*.{kind}")]
    asking = [str(page) for page in pages if asks.search(page.read_bytes())]
    if asking:
        raise SphinxError(f"pages that ask a foreign host: {', '.join(asking)}")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("build-finished", own_host_only)
