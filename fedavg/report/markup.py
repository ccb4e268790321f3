"""Pieces of a page; whatever is put in as text comes out as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from fedavg.report.canvas import Plot
from fedavg.report.style import CSS

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


_TALL: Final = 25
"""Rows above which a table scrolls inside its box."""


class Markup(str):
    """Text that is HTML already; every other string is escaped where it is put in."""

    __slots__ = ()


Text = str | int | float


def html(value: Text) -> str:
    """A value as HTML."""
    return value if isinstance(value, Markup) else escape(str(value))


def tag(name: str, content: Text | Iterable[Text], *, cls: str = "") -> Markup:
    """One element; a sequence becomes its children, one to a line."""
    inner = (
        html(content) if isinstance(content, (str, int, float)) else "\n".join(map(html, content))
    )
    opening = f'{name} class="{escape(cls)}"' if cls else name
    return Markup(f"<{opening}>{inner}</{name}>")


def page(title: str, body: Iterable[Markup]) -> str:
    """A whole file that needs no other."""
    return _PAGE.format(title=escape(title), css=CSS, body="\n".join(body))


def card(heading: str, *content: Markup) -> Markup:
    """A part of the page under its heading."""
    return tag("section", [tag("h2", heading), *content], cls="card")


def tiles(entries: Sequence[tuple[str, Text, str]]) -> Markup:
    """The numbers to see first: (what, value, remark)."""
    parts = [
        tag("div", [tag("dt", what), tag("dd", [value, tag("small", remark)])], cls="tile")
        for what, value, remark in entries
    ]
    return tag("dl", parts, cls="tiles")


def figure(plot: Plot) -> Markup:
    """A plot with title and caption."""
    parts = [tag("h3", plot.title), Markup(plot.svg)]
    if plot.caption:
        parts.append(tag("figcaption", plot.caption))
    return tag("figure", parts, cls="card")


def table(
    label: str, heading: Sequence[Text], rows: Iterable[Sequence[Text]], classes: Sequence[str]
) -> Markup:
    """A table that scrolls inside its box; the first cell of a row is its name.

    Args:
        label: what the table is, for who cannot see it.
        heading: one cell a column.
        rows: cells.
        classes: one a column, may be empty.
    """
    head = "".join(
        f'<th scope="col" class="{cls}">{html(cell)}</th>'
        for cell, cls in zip(heading, classes, strict=True)
    )
    lines = [_row(cells, classes) for cells in rows]
    body, box = "\n".join(lines), "scroll tall" if len(lines) > _TALL else "scroll"
    return Markup(
        f'<div class="{box}" role="region" tabindex="0" aria-label="{escape(label)}">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(cells: Sequence[Text], classes: Sequence[str]) -> str:
    first, *others = zip(cells, classes, strict=True)
    named = f'<th scope="row" class="{first[1]}">{html(first[0])}</th>'
    rest = "".join(f'<td class="{cls}">{html(cell)}</td>' for cell, cls in others)
    return f"<tr>{named}{rest}</tr>"
