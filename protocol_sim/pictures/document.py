"""Markdown as lines of a terminal: tables aligned and never cut, so that every digit is there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

_GAP: Final = "  "


def show(console: Console, text: str) -> None:
    """Print headings, paragraphs, lists and tables of a Markdown text.

    Args:
        console: where; paragraphs are folded to its width in a terminal only.
        text: with a blank line between its blocks.
    """
    for block in blocks(text):
        lines = block.splitlines()
        if lines[0].startswith("|"):
            for place, line in enumerate(aligned(lines)):
                console.print(Text(line, "" if place else "bold"), soft_wrap=True)
        elif lines[0].startswith("#"):
            console.print(Text(lines[0].lstrip("# "), "bold"), soft_wrap=True)
        else:
            words = "\n".join(lines) if lines[0].startswith("- ") else " ".join(lines)
            plain = Text(words.replace("`", ""))
            console.print(plain, soft_wrap=not console.is_terminal)
        console.print()


def blocks(text: str) -> list[str]:
    """The parts of a Markdown text between blank lines; an escaped star is a star."""
    return re.split(r"\n\s*\n", text.strip().replace("\\*", "*"))


def aligned(lines: Sequence[str]) -> Iterator[str]:
    """The rows of a table, its columns as wide as they need to be; numbers to the right.

    Args:
        lines: of Markdown: heading, a line of dashes, rows.
    """
    rows = [[cell.strip().replace("`", "") for cell in cells(line)] for line in lines]
    heading, body = rows[0], rows[2:]
    columns = list(zip(heading, *body, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [place > 0 and all(map(numeric, column[1:])) for place, column in enumerate(columns)]
    for row in (heading, *body):
        shown = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        yield _GAP.join(shown).rstrip()


def cells(line: str) -> list[str]:
    """The cells of one line of a table."""
    return line.strip().removeprefix("|").removesuffix("|").split("|")


def numeric(cell: str) -> bool:
    """Whether a cell may stand in a column of numbers."""
    return cell in {"", "-"} or cell.lstrip("+-")[:1].isdecimal()
