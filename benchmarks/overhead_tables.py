"""Writes the figures as tables, for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from benchmarks.overhead_cases import MAIN
from benchmarks.overhead_facts import LEGEND, THREATS, facts
from benchmarks.overhead_result import Cell, Overhead, targets
from secagg.pages.tables import Table

NONE: Final = "-"
NOTES: Final = (
    (
        "Times are CPU nanoseconds of one thread for each coordinate, the best of several repeats; "
        "all schemes take turns in one process, on the same vectors. Compare ratios, not machines."
    ),
    (
        "masks, lattice and ckks run in the real sessions with all their checks; 'whole' is the "
        "session's own call, the parts beside it are measured one by one, 'other' is what they "
        "leave. Encoding includes the pass that refuses values out of range; encryption of ckks "
        "includes the embedding into the ring, that of shared keys SEAL's encoder."
    ),
    (
        "Server: 'add' authenticates, stages and sums uploads, 'open' removes masks or the product "
        "with the keys, 'finish' checks and decodes, with shared keys it serialises the encrypted "
        "sum, which gateways then decrypt. Times are those of the whole round, divided by d only."
    ),
    (
        "Bytes are all messages of a round at the gateway that sends or gets the most, divided by "
        "d; down includes the mean in float32, or the encrypted sum."
    ),
    (
        "Error is that of the mean against the exact mean of the same updates, relative to clip. "
        "Fixed point is the default, planned for an rms error of 2^-12."
    ),
    (
        "Set-up is key exchange and shares of the first round, CPU milliseconds; of shared keys it "
        "is making one key, whose secure distribution is not part of it. Memory is the peak beyond "
        "the process with its updates; the server's includes uploads that are being received."
    ),
    (
        "Above ten gateways the sum under shared keys takes two encrypted uploads again and "
        "again; that costs the server the same."
    ),
)


_Columns = Mapping[str, Callable[[Cell], str]]
_COSTS: Final[_Columns] = {
    "scheme": lambda cell: cell.title,
    "gateway ns/coord": lambda cell: number(cell.upload),
    "gateway decrypts": lambda cell: number(cell.decrypt) if cell.decrypt else NONE,
    "server ns/coord": lambda cell: number(cell.aggregate),
    "bytes up/coord": lambda cell: number(cell.bytes_up),
    "bytes down/coord": lambda cell: number(cell.bytes_down),
    "largest error": lambda cell: power(cell.max_error),
    "rms error": lambda cell: power(cell.rms_error),
    "exchanges": lambda cell: facts(cell.scheme).exchanges,
}
_GATEWAY: Final[_Columns] = {
    "scheme": lambda cell: cell.title,
    "n": lambda cell: str(cell.gateways),
    "encode": lambda cell: number(cell.gateway["encode"]),
    "encrypt or mask": lambda cell: number(cell.gateway["encrypt"]),
    "serialise": lambda cell: number(cell.gateway["serialise"]),
    "other": lambda cell: number(cell.gateway["other"]),
    "whole": lambda cell: number(cell.upload),
}
_SERVER: Final[_Columns] = {
    "scheme": lambda cell: cell.title,
    "n": lambda cell: str(cell.gateways),
    "vanished": lambda cell: f"{cell.rate:.0%}",
    "add": lambda cell: number(cell.server["add"]),
    "open": lambda cell: number(cell.server["open"]),
    "finish": lambda cell: number(cell.server["finish"]),
    "other": lambda cell: number(cell.server["other"]),
    "whole": lambda cell: number(cell.aggregate),
}
_KEYS: Final[_Columns] = {
    "scheme": lambda cell: cell.title,
    "n": lambda cell: str(cell.gateways),
    "set-up, gateway ms": lambda cell: number(cell.set_up_gateway),
    "set-up, server ms": lambda cell: number(cell.set_up_server),
    "last exchanges, gateway ms": lambda cell: number(cell.closing),
    "gateway MiB": lambda cell: number(cell.memory.gateway if cell.memory else None),
    "server MiB": lambda cell: number(cell.memory.server if cell.memory else None),
}
_LAYERS: Final[_Columns] = {
    "scheme": lambda cell: cell.title,
    "d": lambda cell: f"{cell.coordinates:,}",
    "layers": lambda cell: "flat" if cell.layers == 1 else str(cell.layers),
    "gateway": lambda cell: number(cell.upload),
    "server": lambda cell: number(cell.aggregate),
    "bytes up": lambda cell: number(cell.bytes_up),
    "bytes down": lambda cell: number(cell.bytes_down),
}


def tables(run: Overhead) -> Iterator[Table]:
    """Everything that was measured; the costs first."""
    yield Table.of(f"Cost, {sizes(run.main())}, flat, nobody vanishes", _COSTS, run.main())
    yield Table.of("Gateway, ns/coord of one upload by part", _GATEWAY, _with_all_masks(run))
    served = [cell for cell in run.find(vanished=None) if cell.aggregate is not None]
    yield Table.of("Server, ns/coord of a whole round", _SERVER, served)
    yield Table.of("Set-up and peak memory", _KEYS, run.find())
    title = f"Small models and many layers, n = {MAIN}, per coordinate"
    yield Table.of(title, _LAYERS, _all_models(run))
    yield protection(run)
    yield holders(run)


def _with_all_masks(run: Overhead) -> list[Cell]:
    """The comparison, and behind masks of ten gateways those of other numbers."""
    cells = run.main()
    at = 1 + max((i for i, each in enumerate(cells) if each.scheme == "masks"), default=-1)
    cells[at:at] = [each for each in run.find(scheme="masks") if each.gateways != MAIN]
    return cells


def _all_models(run: Overhead) -> Iterator[Cell]:
    for d in sorted({cell.coordinates for cell in run.cells}):
        for layers in sorted({cell.layers for cell in run.cells}):
            yield from run.find(gateways=MAIN, coordinates=d, layers=layers)


def protection(run: Overhead) -> Table:
    """Whether a single update stays hidden."""
    rows = []
    for scheme in schemes(run):
        answers = ("yes" if each else "NO" for each in facts(scheme).holds)
        rows.append((scheme, *answers))
    return Table(
        "Is a single update still hidden from the orchestrator?", ("scheme", *THREATS), rows
    )


def holders(run: Overhead) -> Table:
    """Who holds keys, and who breaks it."""
    known = ((scheme, facts(scheme)) for scheme in schemes(run))
    rows = [(scheme, each.keys, each.broken_by, each.bits) for scheme, each in known]
    heading = ("scheme", "who holds keys", "who reads a single update", "claimed bits")
    return Table("Keys and collusion", heading, rows)


def schemes(run: Overhead) -> list[str]:
    """Those in the comparison."""
    return list(dict.fromkeys(cell.scheme for cell in run.main()))


def sizes(cells: Sequence[Cell]) -> str:
    """N and d."""
    return f"n = {cells[0].gateways}, d = {cells[0].coordinates:,}"


def number(value: float | None) -> str:
    """Three digits, no exponent."""
    if value is None:
        return NONE
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2f}"


def power(value: float | None) -> str:
    """Two digits and an exponent."""
    return NONE if value is None else f"{value:.1e}"


def text(run: Overhead) -> str:
    """All tables for a terminal."""
    parts = ["A QUICK RUN: its figures mean nothing"] if run.quick else []
    for table in tables(run):
        parts.append(f"\n== {table.title} ==")
        parts += table.lines()
    parts += ["", *(f"not measured: {name}: {why}" for name, why in run.missing.items())]
    parts += [f"target: {target}" for target in targets(run)]
    return "\n".join(parts)


def markdown(run: Overhead) -> str:
    """overhead.md."""
    parts = ["# What each scheme costs, and what it protects against"]
    parts += ["A quick run: its figures mean nothing."] if run.quick else []
    parts.append(machine(run))
    for table in tables(run):
        parts += [f"## {table.title}", table.markdown()]
        parts += [LEGEND] if THREATS[0] in table.heading else []
    parts.append("## Targets")
    parts.append("\n".join(f"- {target}" for target in targets(run)))
    parts.append("## How this was measured")
    notes = [*NOTES, *(f"Not measured: {name}: {why}" for name, why in run.missing.items())]
    parts.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(parts) + "\n"


def machine(run: Overhead) -> str:
    """What it ran on, in a sentence."""
    known = ", ".join(f"{name} {value}" for name, value in run.machine.items())
    return f"One thread. {known}. The whole run took {run.minutes:.0f} minutes."
