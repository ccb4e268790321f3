"""report.html and the pictures beside it: what was played, at a glance and in full."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from protocol_sim.dropouts import Rate
from protocol_sim.liars import BEHAVIOURS, PHASES
from protocol_sim.pictures import curves
from protocol_sim.pictures.canvas import Plot
from protocol_sim.pictures.curves import Curve, quantity
from protocol_sim.pictures.files import Files
from protocol_sim.pictures.markup import (
    Markup,
    Text,
    card,
    code,
    figure,
    markdown,
    page,
    pair,
    table,
    tag,
    tiles,
    verdict,
)
from protocol_sim.pictures.matrix import heat_map, squares
from protocol_sim.pictures.timeline import timeline
from protocol_sim.sweep import Tally, command

if TYPE_CHECKING:
    from protocol_sim.liars import Cell
    from protocol_sim.model.measuring import Figures
    from protocol_sim.scale import Measured
    from protocol_sim.world import Run

PAGE: Final = "report.html"
SCENARIO: Final = "scenario.json"


# -- one session -----------------------------------------------------------------------------------


def session(run: Run) -> Files:
    """A run in virtual time: its timelines, who was dropped, and how to play it again."""
    rounds = [timeline(run, index) for index in range(len(run.verdicts))]
    scenario = run.scenario
    body = [
        tiles(_session_tiles(run)),
        *(figure(each) for each in rounds),
        _dropped(run),
        card(
            "Play it again",
            tag("p", f"{SCENARIO} beside this page holds everything that was decided."),
            code(f"protocol_sim replay {SCENARIO}"),
            tag("p", f"Same scenario, same transcript: {run.transcript}", cls="value"),
        ),
    ]
    title = f"{scenario.scheme}: {scenario.gateways} gateways, {_count(len(rounds), 'round')}"
    lead = "Real sessions in virtual time; frames, losses and absences as the seed decided."
    return {
        PAGE: page(title, lead, body),
        SCENARIO: scenario.dumps().encode() + b"\n",
        **{f"{each.name}.svg": each.file for each in rounds},
    }


def _session_tiles(run: Run) -> Iterator[tuple[str, Text, str]]:
    last, good = run.verdicts[-1], not run.violation
    ending = verdict(last.outcome, good=good and last.outcome == "sum")
    yield "Outcome", ending, run.violation or f"{len(last.included)} gateways in the sum"
    sent = [each for each in run.moments if each.kind in {"sent up", "sent down"}]
    yield "Frames", len(sent), quantity(sum(each.size for each in sent), "B")
    lost = sum(each.kind == "lost" for each in run.moments)
    yield "Lost on the way", lost, f"{_count(len(last.dropped), 'gateway')} dropped"
    deadlines = sum(each.kind == "deadline" for each in run.moments)
    yield "Virtual time", f"{run.clock:.2f} s", _count(deadlines, "deadline")


def _dropped(run: Run) -> Markup:
    rows = [
        (str(number), name, phase, reason.lower().replace("_", " "))
        for number, each in enumerate(run.verdicts, 1)
        for name, (phase, reason) in each.dropped.items()
    ]
    if not rows:
        return card("Dropped gateways", tag("p", "None."))
    return card("Dropped gateways", table(("Round", "Gateway", "Phase", "Reason"), rows))


# -- many gateways ---------------------------------------------------------------------------------


def large(found: Figures) -> Files:
    """A round of many gateways beside the same round in the clear, and the cost model.

    Args:
        found: the figures.
    """
    body: list[Markup] = []
    plots: list[Plot] = []
    title = "Cost model"
    if found.round is not None:
        played = found.round
        body += [tiles(_large_tiles(played)), card("The round", markdown(played.markdown()))]
        title = f"{played.scheme}: {played.gateways:,} gateways, {played.coordinates:,} coordinates"
    if found.model is not None:
        from protocol_sim.pictures.cost_curves import cost_curves

        plots = cost_curves(found.model)
        body += [pair(map(figure, plots)), _parts(found.model.markdown())]
    lead = "Real sessions with real cryptography, all parties in one process."
    return {PAGE: page(title, lead, body), **{f"{each.name}.svg": each.file for each in plots}}


def _parts(text: str) -> Markup:
    """Markdown, a card for each of its headings."""
    parts = [part.partition("\n") for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]]
    return Markup(
        "\n".join(
            card(heading.replace("`", ""), markdown(content)) for heading, _, content in parts
        )
    )


def _large_tiles(measured: Measured) -> Iterator[tuple[str, Text, str]]:
    end = measured.verdict
    good = end.outcome == "sum" and not end.violation
    shown = "exact sum" if good else end.violation or end.outcome
    yield "Outcome", verdict(shown, good=good), f"{len(end.included)} gateways in the sum"
    yield (
        "Server",
        quantity(measured.server, "s"),
        f"{quantity(measured.plain_server, 's')} in the clear",
    )
    yield (
        "One gateway",
        quantity(measured.gateway, "s"),
        f"{quantity(measured.plain_gateway, 's')} in the clear",
    )
    yield "Wall time", quantity(measured.wall, "s"), "all parties, one process"


# -- hostile orchestrators -------------------------------------------------------------------------


def attacks(cells: Sequence[Cell]) -> Files:
    """Behaviours x phases.

    Args:
        cells: that were played, at least one.
    """
    order = {each.name: place for place, each in enumerate(BEHAVIOURS)}
    cells = sorted(cells, key=lambda each: order[each.behaviour])
    names = {each.behaviour for each in cells}
    picture = heat_map(squares(cells), PHASES)
    bad = sum(not each.fine for each in cells)
    released = sum(each.released for each in cells)
    body = [
        tiles(
            [
                ("Behaviours", len(names), "of a lying orchestrator"),
                ("Cells", len(cells), "behaviour, phase and scheme"),
                ("Not as they must be", verdict(str(bad), good=not bad), "of these cells"),
                ("Secrets", verdict(f"{released} B", good=not released), "released by the lies"),
            ]
        ),
        figure(picture),
        card(
            "Behaviours",
            table(
                ("Name", "What it does"),
                [(each.name, each.sentence) for each in BEHAVIOURS if each.name in names],
            ),
        ),
        card("Every cell", table(_CELL, [_cell(each) for each in cells])),
    ]
    lead = "Each lie was told to a real gateway's session; what it answered decides the cell."
    return {PAGE: page("Hostile orchestrators", lead, body), "matrix.svg": picture.file}


_CELL: Final = ("Behaviour", "Scheme", "Phase", "Ended in", "Noticed in", "Secret bytes", "Wrong")


def _cell(cell: Cell) -> tuple[Text, ...]:
    wrong = cell.violation or ("" if cell.fine else f"expected {cell.expected}")
    return (
        cell.behaviour,
        cell.scheme,
        cell.phase,
        cell.outcome,
        cell.noticed,
        cell.released,
        verdict(wrong, good=False) if wrong else "",
    )


# -- many scenarios --------------------------------------------------------------------------------


def swept(tally: Tally, seed: int, seconds: float, rates: Sequence[Rate] = ()) -> Files:
    """What became of many scenarios.

    Args:
        tally: of them.
        seed: of the first.
        seconds: that they took.
        rates: of rounds under rising dropout.
    """
    plots = [_outcomes(tally), *_drops(tally), *([dropout_curves(rates)] if rates else [])]
    broken = [*_violations(tally), *_broken(rates)]
    body = [
        tiles(
            [
                ("Schedules", f"{tally.played:,}", f"seeds {seed:,} on"),
                ("Violations", verdict(str(len(broken)), good=not broken), "of the oracle"),
                ("Rounds", f"{sum(tally.outcomes.values()):,}", "one or two a schedule"),
                (
                    "Time",
                    quantity(seconds, "s"),
                    f"{tally.played / max(seconds, 1e-9):.0f} a second",
                ),
            ]
        ),
        *(
            [card("Violations", table(("What happened", "Play it again"), broken))]
            if broken
            else []
        ),
        pair(map(figure, plots)),
    ]
    lead = "Random schedules of up to six gateways: dropouts, faults, hostile parties, all schemes."
    return {
        PAGE: page(f"{tally.played:,} random schedules", lead, body),
        **{f"{each.name}.svg": each.file for each in plots},
    }


def _violations(tally: Tally) -> Iterator[tuple[Text, Text]]:
    for seed, what in tally.violations:
        yield what, tag("code", command(seed))


def _broken(rates: Sequence[Rate]) -> Iterator[tuple[Text, Text]]:
    for each in rates:
        for seed, what in each.violations:
            call = f"dropouts.play({each.scheme!r}, {each.gateways}, {each.rate}, {seed})"
            yield what, tag("code", call)


def _outcomes(tally: Tally) -> Plot:
    rows = [
        (f"{scheme}: {outcome}", float(count), "good" if outcome == "sum" else "")
        for (scheme, outcome), count in sorted(
            tally.outcomes.items(), key=lambda each: (each[0][0], each[0][1] != "sum", -each[1])
        )
    ]
    return curves.bars(
        "outcomes", "How rounds ended", rows, caption="The sum, exact, or an error with a name."
    )


def _drops(tally: Tally) -> Iterator[Plot]:
    if tally.drops:
        rows = [(what.lower(), float(count), "") for what, count in tally.drops.most_common()]
        yield curves.bars(
            "drops",
            "Why gateways were dropped",
            rows,
            caption="Once for each gateway and round.",
        )


def dropout_curves(rates: Sequence[Rate]) -> Plot:
    """Rounds that ended in a sum against the rate at which gateways vanish."""
    schemes = list(dict.fromkeys(each.scheme for each in rates))
    lines = [
        Curve(name, (), tuple((r.rate, r.sums / r.played) for r in rates if r.scheme == name))
        for name in schemes
    ]
    promised = {each.rate: each.promised / each.played for each in rates}
    lines.append(Curve("at most D vanish", tuple(sorted(promised.items()))))
    first = rates[0]
    return curves.shares(
        "dropout",
        "Rounds that end in the sum",
        lines,
        across="probability that a gateway vanishes",
        caption=f"{first.gateways} gateways, {first.played} rounds a dot. The line is what is "
        "promised of the same rounds; a dot lies above it where more vanished and were not missed.",
    )


# -- papers ----------------------------------------------------------------------------------------


def papers(text: str) -> Files:
    """The tables of the literature beside ours.

    Args:
        text: Markdown, cut into parts at its headings.
    """
    lead = "Formulas of the papers, and the same figures from our own sessions."
    return {PAGE: page("What the papers say", lead, [_parts(text)])}


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
