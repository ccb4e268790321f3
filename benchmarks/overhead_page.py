"""overhead.html: what each scheme costs, and what it protects against, for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.overhead_cases import CUSTOMARY, MAIN, PLAIN, SESSIONS
from benchmarks.overhead_facts import LEGEND, THREATS, facts
from benchmarks.overhead_plots import plots
from benchmarks.overhead_result import Cell, Overhead, targets
from benchmarks.overhead_tables import (
    NOTES,
    Table,
    machine,
    number,
    power,
    schemes,
    sizes,
    tables,
)
from fedavg.report.markup import Markup, card, figure, page, table, tag, tiles

TITLE: Final = "What each scheme costs, and what it protects against"


def page_of(run: Overhead) -> str:
    """The page; equal runs give equal pages."""
    return page(TITLE, _body(run))


def _body(run: Overhead) -> Iterator[Markup]:
    yield tag("h1", TITLE)
    yield tag(
        "p",
        f"Secure federated averaging, {sizes(run.main())}: masks and one-time homomorphic "
        "encryption beside CKKS with a key that all gateways share, and beside no protection.",
        cls="lead",
    )
    if run.quick:
        yield card(
            "A quick run", tag("p", "Sizes are tiny: these figures mean nothing.", cls="bad")
        )
    yield tiles(list(_tiles(run)))
    yield _answer(run)
    yield _protection(run)
    yield tag("div", [figure(each) for each in plots(run)], cls="plots")
    yield _keys(run)
    first, *others = tables(run)
    yield _table(first)
    yield _targets(run)
    yield from map(_table, others[:-2])
    yield _notes(run)


def _tiles(run: Overhead) -> Iterator[tuple[str, str, str]]:
    for scheme in SESSIONS:
        cell = run.of(scheme)
        if cell is not None:
            remark = f"ns a coordinate; {number(cell.bytes_up)} bytes up"
            yield f"Gateway: {cell.title}", number(cell.upload), remark
    customary = run.of(CUSTOMARY)
    if customary is not None:
        remark = f"ns a coordinate; {number(customary.bytes_up)} bytes up"
        yield "Gateway: shared key, customary", number(customary.upload), remark


def _answer(run: Overhead) -> Markup:
    points = list(_points(run))
    met = [each.met for each in targets(run)]
    if met:
        points.append(f"{sum(met)} of {len(met)} targets are met.")
    return card("In short", tag("ul", [tag("li", point) for point in points]))


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


def _price(cell: Cell) -> str:
    return f"{number(cell.upload)} ns and {number(cell.bytes_up)} bytes a coordinate"


def _protection(run: Overhead) -> Markup:
    rows = [
        (
            scheme,
            *(
                tag("span", "yes" if each else "NO", cls="good" if each else "bad")
                for each in facts(scheme).holds
            ),
        )
        for scheme in schemes(run)
    ]
    heading = ("Scheme", *THREATS)
    return card(
        "Is a single update still hidden from the orchestrator?",
        tag("p", LEGEND),
        table("What each scheme protects against", heading, rows, [""] * len(heading)),
        tag(
            "p",
            tag(
                "small",
                "No scheme hides what the sums themselves reveal, such as the difference of two "
                "rounds over nearly the same gateways, and none checks that inputs are honest.",
            ),
        ),
    )


def _keys(run: Overhead) -> Markup:
    told = dict.fromkeys(facts(scheme).remarks for scheme in schemes(run))
    return card(
        "Who holds keys, and what breaks it", *(part for each in told for part in _told(run, each))
    )


def _told(run: Overhead, remarks: str) -> Iterator[Markup]:
    """Schemes of which the same is true."""
    same = [scheme for scheme in schemes(run) if facts(scheme).remarks == remarks]
    known = facts(same[0])
    points = [f"Keys: {known.keys}.", f"A single update is read by {known.broken_by}."]
    points += [f"Claimed bits, {scheme}: {facts(scheme).bits}." for scheme in same]
    yield tag("h3", "; ".join(same))
    yield tag("ul", [tag("li", point) for point in points])
    yield tag("p", remarks)


def _table(content: Table) -> Markup:
    last = len(content.heading) - 1
    classes = tuple(
        "nowrap" if i == 0 else "wide" if i == last and "bits" in content.heading[i] else "number"
        for i in range(len(content.heading))
    )
    return card(content.title, table(content.title, content.heading, content.rows, classes))


def _targets(run: Overhead) -> Markup:
    rows = [
        (
            each.name,
            f"{each.value:.3g}",
            f"at {'least' if each.least else 'most'} {each.limit:g}",
            tag("span", each.verdict, cls="good" if each.met else "bad"),
        )
        for each in targets(run)
    ]
    if not rows:
        return Markup("")
    heading = ("Target", "Measured", "Asked for", "Verdict")
    shown = table("Targets", heading, rows, ("", "number", "nowrap", "nowrap"))
    return card(f"Targets, n = {MAIN}", shown)


def _notes(run: Overhead) -> Markup:
    notes = [*NOTES, *(f"Not measured: {name}: {why}." for name, why in run.missing.items())]
    return card(
        "How this was measured",
        tag("p", machine(run)),
        tag("ul", [tag("li", note) for note in notes]),
    )
