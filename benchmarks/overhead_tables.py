"""The figures as tables, for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def tables(run: Overhead) -> Iterator[Table]:
    """Everything that was measured."""
    yield costs(f"Cost, {sizes(run.main())}, flat, nobody vanishes", run.main())
    masked = [each for each in run.find(scheme="masks") if each.gateways != MAIN]
    yield _gateway(run, masked)
    yield _server("Server, ns/coord of a whole round", run.find(vanished=None))
    yield _keys(run)
    yield _layers(run)
    yield protection(run)
    yield holders(run)


def costs(title: str, cells: Sequence[Cell]) -> Table:
    """The table to begin with."""
    heading = (
        "scheme",
        "gateway ns/coord",
        "gateway decrypts",
        "server ns/coord",
        "bytes up/coord",
        "bytes down/coord",
        "largest error",
        "rms error",
        "exchanges",
    )
    rows = [
        (
            cell.title,
            number(cell.upload),
            number(cell.decrypt) if cell.decrypt else NONE,
            number(cell.aggregate),
            number(cell.bytes_up),
            number(cell.bytes_down),
            power(cell.max_error),
            power(cell.rms_error),
            facts(cell.scheme).exchanges,
        )
        for cell in cells
    ]
    return Table(title, heading, rows)


def _gateway(run: Overhead, masked: Sequence[Cell]) -> Table:
    cells = [*run.main()]
    at = 1 + max((i for i, each in enumerate(cells) if each.scheme == "masks"), default=-1)
    cells[at:at] = masked
    rows = [
        (
            cell.title,
            str(cell.gateways),
            number(cell.gateway["encode"]),
            number(cell.gateway["encrypt"]),
            number(cell.gateway["serialise"]),
            number(cell.gateway["other"]),
            number(cell.upload),
        )
        for cell in cells
    ]
    heading = ("scheme", "n", "encode", "encrypt or mask", "serialise", "other", "whole")
    return Table("Gateway, ns/coord of one upload by part", heading, rows)


def _server(title: str, cells: Sequence[Cell]) -> Table:
    rows = [
        (
            cell.title,
            str(cell.gateways),
            f"{cell.rate:.0%}",
            number(cell.server["add"]),
            number(cell.server["open"]),
            number(cell.server["finish"]),
            number(cell.server["other"]),
            number(cell.aggregate),
        )
        for cell in cells
        if cell.aggregate is not None
    ]
    heading = ("scheme", "n", "vanished", "add", "open", "finish", "other", "whole")
    return Table(title, heading, rows)


def _keys(run: Overhead) -> Table:
    rows = [
        (
            cell.title,
            str(cell.gateways),
            number(cell.set_up_gateway),
            number(cell.set_up_server),
            number(cell.closing),
            number(None if cell.memory is None else cell.memory.gateway),
            number(None if cell.memory is None else cell.memory.server),
        )
        for cell in run.find()
    ]
    heading = (
        "scheme",
        "n",
        "set-up, gateway ms",
        "set-up, server ms",
        "last exchanges, gateway ms",
        "gateway MiB",
        "server MiB",
    )
    return Table("Set-up and peak memory", heading, rows)


def _layers(run: Overhead) -> Table:
    rows = []
    for d in sorted({cell.coordinates for cell in run.cells}):
        for layers in sorted({cell.layers for cell in run.cells}):
            rows += [
                (
                    cell.title,
                    f"{d:,}",
                    "flat" if layers == 1 else str(layers),
                    number(cell.upload),
                    number(cell.aggregate),
                    number(cell.bytes_up),
                    number(cell.bytes_down),
                )
                for cell in run.find(gateways=MAIN, coordinates=d, layers=layers)
            ]
    heading = ("scheme", "d", "layers", "gateway", "server", "bytes up", "bytes down")
    return Table(f"Small models and many layers, n = {MAIN}, per coordinate", heading, rows)


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
    """For a terminal."""
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
