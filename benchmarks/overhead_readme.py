"""The README's part of the overhead benchmark: a table and a picture of stored figures."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.overhead_cases import PLAIN
from benchmarks.overhead_facts import facts
from benchmarks.overhead_plots import gateways
from benchmarks.overhead_result import Cell, Overhead
from benchmarks.overhead_tables import NONE, number, power, sizes
from secagg.errors import ConfigurationError
from secagg.pages.tables import Table

BEGIN: Final = "<!-- overhead -->"
END: Final = "<!-- /overhead -->"


def readme(run: Overhead) -> str:
    """What stands between the comments of the README."""
    cells = {cell.scheme: cell for cell in run.main()}
    plain = cells.get(PLAIN)
    heading = (
        "scheme",
        "gateway, ns",
        "server, ns",
        "bytes up / down",
        "largest error of the mean",
        "a single update is read by",
    )
    rows = [
        (
            f"{cell.title}",
            number(cell.upload) + (f" + {number(cell.decrypt)} to decrypt" * bool(cell.decrypt)),
            _against(cell, plain),
            f"{number(cell.bytes_up)} / {number(cell.bytes_down)}",
            power(cell.max_error),
            facts(cell.scheme).broken_by,
        )
        for cell in cells.values()
    ]
    lead = (
        f"Per coordinate, {sizes(run.main())}, one thread, all schemes in turn in one process; "
        "errors relative to clip:"
    )
    return "\n\n".join(
        (
            lead,
            Table("", heading, rows).markdown(),
            "![Bars: what an upload costs a gateway, by scheme](docs/overhead.svg)",
        )
    )


def _against(cell: Cell, plain: Cell | None) -> str:
    if cell.aggregate is None:
        return NONE
    ratio = None if plain is None or plain.aggregate is None else cell.aggregate / plain.aggregate
    shown = number(cell.aggregate)
    return shown if ratio is None or cell is plain else f"{shown} ({number(ratio)}x plaintext)"


def place(content: str, generated: str) -> str:
    """A text whose part between `BEGIN` and `END` is replaced.

    Raises:
        ConfigurationError: it has no such part, or more than one.
    """
    if content.count(BEGIN) != 1 or content.count(END) != 1:
        raise ConfigurationError(f"the README needs one {BEGIN} and after it one {END}")
    before, rest = content.split(BEGIN)
    if END not in rest:
        raise ConfigurationError(f"the README has {END} before {BEGIN}")
    return f"{before}{BEGIN}\n{generated}\n{END}{rest.split(END)[1]}"


def update_readme(path: Path, run: Overhead) -> None:
    """Write the README's part anew.

    Raises:
        ConfigurationError: see `place`.
    """
    path.write_text(place(path.read_text(), readme(run)))


def picture(run: Overhead) -> bytes:
    """docs/overhead.svg: a file by itself, light and dark."""
    return gateways(run, "readme").file
