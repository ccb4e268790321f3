"""Makes overhead.html: what each scheme costs, and what it protects against, for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.overhead_cases import CUSTOMARY, MAIN, PLAIN, SESSIONS
from benchmarks.overhead_facts import LEGEND, facts
from benchmarks.overhead_plots import plots
from benchmarks.overhead_result import Cell, Overhead, Target, targets
from benchmarks.overhead_tables import (
    NOTES,
    machine,
    number,
    power,
    protection,
    schemes,
    sizes,
    tables,
)
from secagg.pages.kit import Tile, render, verdict
from secagg.pages.tables import Table

TITLE: Final = "What each scheme costs, and what it protects against"


def page_of(run: Overhead) -> bytes:
    """The page; equal runs give equal pages."""
    told: dict[str, list[str]] = {}
    for scheme in schemes(run):
        told.setdefault(facts(scheme).remarks, []).append(scheme)
    costs, *others = tables(run)
    return render(
        "benchmarks",
        "overhead.html",
        title=TITLE,
        lead=f"Secure federated averaging, {sizes(run.main())}: masks and one-time homomorphic "
        "encryption beside CKKS with a key that all gateways share, and beside no protection.",
        run=run,
        tiles=list(_tiles(run)),
        points=list(_points(run)),
        legend=LEGEND,
        protection=_coloured(protection(run)),
        plots=list(plots(run)),
        facts=facts,
        told=told,
        tables=[costs, *_targets(run), *others[:-2]],
        machine=machine(run),
        notes=[*NOTES, *(f"Not measured: {name}: {why}." for name, why in run.missing.items())],
    )


def _tiles(run: Overhead) -> Iterator[Tile]:
    for scheme in (*SESSIONS, CUSTOMARY):
        cell = run.of(scheme)
        if cell is not None:
            name = "shared key, customary" if scheme == CUSTOMARY else cell.title
            remark = f"ns a coordinate; {number(cell.bytes_up)} bytes up"
            yield Tile(f"Gateway: {name}", number(cell.upload), remark)


def _coloured(answers: Table) -> Table:
    """The same table, its answers in the colour of what they mean."""
    rows = [
        (scheme, *(verdict(each, good=each == "yes") for each in known))
        for scheme, *known in answers.rows
    ]
    return Table(answers.title, answers.heading, rows)


def _points(run: Overhead) -> Iterator[str]:
    cells = {cell.scheme: cell for cell in run.main()}
    masks, lattice, ckks = (cells.get(scheme) for scheme in SESSIONS)
    customary, plain = cells.get(CUSTOMARY), cells.get(PLAIN)
    if masks is not None:
        yield (
            f"Masks, lattice and ckks hide every single update even if the orchestrator lies and "
            f"C gateways help it ({masks.colluding} of {masks.gateways} here). They differ in "
            "price, not in the promise."
        )
        others = [cell for cell in run.find(scheme="masks") if cell is not masks]
        more = ", ".join(f"{number(cell.upload)} ns with {cell.neighbours}" for cell in others)
        yield (
            f"Masks are the cheapest for few gateways: {_price(masks)} with "
            f"{masks.neighbours} neighbours{', ' * bool(more)}{more}. "
            "They take three exchanges a round; the sums of the rounded updates are exact."
        )
    if lattice is not None:
        yield (
            f"Lattice costs the same whatever the number of gateways, {_price(lattice)}, and two "
            "exchanges; it opens a round at one price whoever vanished."
        )
    if ckks is not None:
        yield (
            f"ckks is for where CKKS is required: {_price(ckks)}. The mean is off by at most "
            f"{power(ckks.max_error)} of clip."
        )
    if ckks is not None and customary is not None:
        yield (
            f"The customary CKKS with one shared key costs {_price(customary)}, "
            f"{number(customary.upload / ckks.upload)} times the time of ckks and "
            f"{number(customary.bytes_up / ckks.bytes_up)} times its upload, and one gateway that "
            "helps the orchestrator reads everybody."
        )
    if plain is not None:
        yield f"No protection: {_price(plain)}, and the orchestrator reads every update."
    met = [each.met for each in targets(run)]
    if met:
        yield f"{sum(met)} of {len(met)} targets are met."


def _price(cell: Cell) -> str:
    return f"{number(cell.upload)} ns and {number(cell.bytes_up)} bytes a coordinate"


def _targets(run: Overhead) -> Iterator[Table]:
    columns: dict[str, Callable[[Target], str]] = {
        "Target": lambda each: each.name,
        "Measured": lambda each: f"{each.value:.3g}",
        "Asked for": lambda each: f"at {'least' if each.least else 'most'} {each.limit:g}",
        "Verdict": lambda each: verdict(each.verdict, good=each.met),
    }
    if judged := targets(run):
        yield Table.of(f"Targets, n = {MAIN}", columns, judged)
