"""Pieces of a page; whatever is put in as text comes out as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from protocol_sim.pictures.canvas import Plot
from protocol_sim.pictures.document import blocks, cells, numeric
from protocol_sim.pictures.style import CSS

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


class Markup(str):
    """Text that is HTML already; every other string is escaped where it is put in."""

    __slots__ = ()


Text = str | int | float


def tag(name: str, content: Text | Iterable[Text], *, cls: str = "") -> Markup:
    """One element; a sequence becomes its children, one to a line."""
    children = [content] if isinstance(content, str | int | float) else content
    inner = "\n".join(each if isinstance(each, Markup) else escape(str(each)) for each in children)
    opening = f'{name} class="{escape(cls)}"' if cls else name
    return Markup(f"<{opening}>{inner}</{name}>")


def page(title: str, lead: str, body: Iterable[Markup]) -> bytes:
    """A whole file that needs no other.

    Args:
        title: heading.
        lead: one sentence below it.
        body: the parts.
    """
    parts = [tag("h1", title), tag("p", lead, cls="lead"), *body]
    return _PAGE.format(title=escape(title), css=CSS, body="\n".join(parts)).encode()


def card(heading: str, *content: Markup) -> Markup:
    """A part of the page under its heading."""
    return tag("section", [tag("h2", heading), *content], cls="card")


def pair(parts: Iterable[Markup]) -> Markup:
    """Side by side where there is room."""
    return tag("div", parts, cls="pair")


def tiles(entries: Iterable[tuple[str, Text, str]]) -> Markup:
    """The numbers to see first: (what, value, remark)."""
    parts = [
        tag("div", [tag("dt", what), tag("dd", [value, tag("small", remark)])], cls="tile")
        for what, value, remark in entries
    ]
    return tag("dl", parts, cls="tiles")


def verdict(text: str, *, good: bool) -> Markup:
    """Words in the colour of what they mean."""
    return tag("span", text, cls="good" if good else "bad")


def figure(plot: Plot) -> Markup:
    """A picture with title and caption; a wide one scrolls inside its box."""
    box = _box(plot.title, plot.svg, "scroll wide" if plot.wide else "scroll")
    return tag("figure", [tag("h2", plot.title), box, tag("figcaption", plot.caption)], cls="card")


def table(heading: Sequence[Text], rows: Iterable[Sequence[Text]], *, numbers: int = 0) -> Markup:
    """A table that scrolls inside its box; the first cell of a row is its name.

    Args:
        heading: one cell a column.
        rows: cells.
        numbers: how many of the last columns hold numbers.
    """
    classes = [""] * (len(heading) - numbers) + ["number"] * numbers
    head = "".join(
        str(tag("th", cell, cls=cls)) for cell, cls in zip(heading, classes, strict=True)
    )
    lines = [
        "<tr>"
        + "".join(
            str(tag("td" if place else "th", cell, cls=cls))
            for place, (cell, cls) in enumerate(zip(row, classes, strict=True))
        )
        + "</tr>"
        for row in rows
    ]
    content = f"<table><thead><tr>{head}</tr></thead>\n<tbody>{''.join(lines)}</tbody></table>"
    return _box(f"Table: {', '.join(map(str, heading))}", content, "scroll")


def _box(label: str, content: str, cls: str) -> Markup:
    """What scrolls by itself, with the keyboard too."""
    return Markup(
        f'<div class="{cls}" role="region" tabindex="0" aria-label="{escape(label)}">'
        f"{content}</div>"
    )


def code(text: str) -> Markup:
    """A line for a terminal."""
    return tag("pre", tag("code", text))


def markdown(text: str) -> Markup:
    """Headings, paragraphs, tables, lists and `code`; nothing else of Markdown.

    Args:
        text: with a blank line between its blocks.
    """
    return Markup("\n".join(map(_block, blocks(text))))


def _block(block: str) -> Markup:
    lines = [line.strip() for line in block.splitlines()]
    if lines[0].startswith("|"):
        heading, _, *rows = [[_inline(cell) for cell in cells(line)] for line in lines]
        return table(heading, rows, numbers=_numbers(rows))
    if lines[0].startswith("#"):
        rest = [_block("\n".join(lines[1:]))] if lines[1:] else []
        return Markup("\n".join([tag("h3", _inline(lines[0].lstrip("# "))), *rest]))
    if lines[0].startswith("- "):
        items = re.split(r"(?:^|\n)- ", "\n".join(lines))[1:]
        return tag("ul", [tag("li", _inline(item)) for item in items])
    return tag("p", _inline(" ".join(lines)))


def _inline(text: str) -> Markup:
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text.strip())))


def _numbers(rows: Sequence[Sequence[str]]) -> int:
    """How many of the last columns hold nothing but numbers."""
    count = 0
    for column in reversed(list(zip(*rows, strict=True))[1:]):
        if not all(map(numeric, column)):
            break
        count += 1
    return count
