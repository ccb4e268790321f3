"""Sections in a terminal; tables are never cut, so that every digit is there."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from secagg.console import say
from secagg.pages.tables import Section


def show(console: Console, section: Section) -> None:
    """Print a section.

    Args:
        console: where; paragraphs are folded to its width in a terminal only.
        section: what.
    """
    console.print(Text(section.title, "bold"), soft_wrap=True)
    for part in section.parts:
        console.print()
        if isinstance(part, str):
            say(console, part)
            continue
        for place, line in enumerate(part.lines()):
            console.print(Text(line, "" if place else "bold"), soft_wrap=True)
    console.print()
