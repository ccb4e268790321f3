"""Writes pages that a person reads: one file each, light and dark, on a phone and on a wide screen.

Needs the extra `pages`. An application brings templates of its own that extend `base.html`, and
fills them by `kit.render`.
"""

from __future__ import annotations

from pathlib import Path

from secagg.arguments import checked
from secagg.average.outcome import Report
from secagg.files import write

__all__ = ["round_page"]


@checked(report="pass the `report` of a result")
def round_page(report: Report, path: str | Path) -> None:
    """Write one page of a round: who is in the mean, what is promised, what it cost.

    Args:
        report: of the round, `Result.report`.
        path: the file; an older one is replaced.

    Raises:
        ConfigurationError: the extra `pages` is not installed, or arguments of other types.
        OSError: it cannot be written; an older file is still whole.
    """
    from secagg.pages.round import page_of

    write(path, page_of(report))
