"""Writes the README's part of the overhead benchmark: a table and a picture of stored figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    plain = run.of(PLAIN)
    columns: Mapping[str, Callable[[Cell], str]] = {
        "scheme": lambda cell: cell.title,
        "gateway, ns": lambda cell: (
            number(cell.upload) + f" + {number(cell.decrypt)} to decrypt" * bool(cell.decrypt)
        ),
        "server, ns": lambda cell: _against(cell, plain),
        "bytes up / down": lambda cell: f"{number(cell.bytes_up)} / {number(cell.bytes_down)}",
        "largest error of the mean": lambda cell: power(cell.max_error),
        "a single update is read by": lambda cell: facts(cell.scheme).broken_by,
    }
    lead = (
        f"Per coordinate, {sizes(run.main())}, one thread, all schemes in turn in one process; "
        "errors relative to clip:"
    )
    base = (
        "With `base`, as in the loop above, whoever takes part also hashes the model once a round:"
        f" {number(run.model_hash)} ns, which `threads` share. The rows do not hold it."
    )
    picture = "![Bars: what an upload costs a gateway, by scheme](docs/overhead.svg)"
    return "\n\n".join((lead, Table.of("", columns, run.main()).markdown(), base, picture))


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
