"""Writes report.html and the pictures beside it: what was played, at a glance and in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from protocol_sim.attacks import ATTACKS
from protocol_sim.dropouts import Rate
from protocol_sim.pictures import curves
from protocol_sim.pictures.curves import Curve
from protocol_sim.pictures.matrix import ending_of, matrices, words
from protocol_sim.pictures.timeline import timeline
from protocol_sim.sweep import Tally, command
from secagg.pages.kit import Tile, code, render, verdict
from secagg.pages.plots import Plot
from secagg.pages.tables import Cell as Shown
from secagg.pages.tables import Section, Table, quantity

if TYPE_CHECKING:
    from protocol_sim.attacks import Cell
    from protocol_sim.model.measuring import Figures
    from protocol_sim.moments import Run
    from protocol_sim.scale import Measured

Files = dict[str, bytes]
"""Name -> content."""
PAGE: Final = "report.html"
SCENARIO: Final = "scenario.json"


def _files(template: str, plots: Sequence[Plot] = (), **content: object) -> Files:
    """The page, and its pictures as files of their own."""
    page = render("protocol_sim", template, plots=plots, **content)
    return {PAGE: page, **{f"{each.name}.svg": each.file for each in plots}}


# -- one session -----------------------------------------------------------------------------------


def session(run: Run) -> Files:
    """A run in virtual time: its timelines, who was dropped, and how to play it again."""
    scenario = run.scenario
    dropped = [
        (name, number, phase, reason.lower().replace("_", " "))
        for number, each in enumerate(run.verdicts, 1)
        for name, (phase, reason) in each.dropped.items()
    ]
    files = _files(
        "session.html",
        [timeline(run, index) for index in range(len(run.verdicts))],
        title=f"{scenario.scheme}: {scenario.gateways} gateways, "
        f"{_count(len(run.verdicts), 'round')}",
        lead="Real sessions in virtual time; frames, losses and absences as the seed decided.",
        tiles=list(_session_tiles(run)),
        dropped=Table("Dropped gateways", ("Gateway", "Round", "Phase", "Reason"), dropped),
        scenario=SCENARIO,
        transcript=run.transcript,
    )
    return {**files, SCENARIO: scenario.dumps().encode() + b"\n"}


def _session_tiles(run: Run) -> Iterator[Tile]:
    last, good = run.verdicts[-1], not run.violation
    ending = verdict(last.outcome, good=good and last.outcome == "sum")
    yield Tile("Outcome", ending, run.violation or f"{len(last.included)} gateways in the sum")
    sent = [each for each in run.moments if each.kind in {"sent up", "sent down"}]
    yield Tile("Frames", len(sent), quantity(sum(each.size for each in sent), "B"))
    lost = sum(each.kind == "lost" for each in run.moments)
    yield Tile("Lost on the way", lost or "none", f"{_count(len(last.dropped), 'gateway')} dropped")
    deadlines = sum(each.kind == "deadline" for each in run.moments)
    yield Tile("Virtual time", f"{run.clock:.2f} s", _count(deadlines, "deadline"))


# -- many gateways ---------------------------------------------------------------------------------


def large(found: Figures) -> Files:
    """A round of many gateways beside the same round in the clear, and the cost model.

    Args:
        found: the figures.
    """
    plots: list[Plot] = []
    played, model = found.round, found.model
    if model is not None:
        from protocol_sim.pictures.cost_curves import cost_curves

        plots = cost_curves(model)
    return _files(
        "large.html",
        plots,
        title="Cost model"
        if played is None
        else f"{played.scheme}: {played.gateways:,} gateways, {played.coordinates:,} coordinates",
        lead="Real sessions with real cryptography, all parties in one process.",
        tiles=[] if played is None else list(_large_tiles(played)),
        sections=[each.section() for each in (played, model) if each is not None],
    )


def _large_tiles(measured: Measured) -> Iterator[Tile]:
    end = measured.verdict
    good = end.outcome == "sum" and not end.violation
    shown = "exact sum" if good else end.violation or end.outcome
    yield Tile("Outcome", verdict(shown, good=good), f"{len(end.included)} gateways in the sum")
    for who, real, plain in (
        ("Server", measured.server, measured.plain_server),
        ("One gateway", measured.gateway, measured.plain_gateway),
    ):
        yield Tile(who, quantity(real, "s"), f"{quantity(plain, 's')} in the clear")
    yield Tile("Wall time", quantity(measured.wall, "s"), "all parties, one process")


# -- hostile orchestrators -------------------------------------------------------------------------


def attacks(cells: Sequence[Cell]) -> Files:
    """Attacks x phases.

    Args:
        cells: that were played, at least one.
    """
    order = {each.name: place for place, each in enumerate(ATTACKS)}
    cells = sorted(cells, key=lambda each: order[each.attack])
    names = {each.attack for each in cells}
    bad = sum(not each.fine for each in cells)
    released = sum(each.released for each in cells)
    return _files(
        "attacks.html",
        title="Hostile orchestrators",
        lead="Each attack was played on real gateways; what its victim answered decides the cell.",
        tiles=[
            Tile("Attacks", len(names), "of a lying orchestrator"),
            Tile(
                "Cells of attack, phase and scheme",
                verdict(f"{bad} of {len(cells)}" if bad else f"all {len(cells)}", good=not bad),
                "NOT as they must be" if bad else "as they must be",
            ),
            Tile(
                "Secrets released by the attacks",
                verdict(f"{released} B" if released else "none", good=not released),
                "MUST be none" if released else "as it must be",
            ),
        ],
        matrices=list(matrices(cells)),
        ending_of=ending_of,
        words=words,
        attacks=Table(
            "Attacks",
            ("Name", "What it does"),
            [(each.name, each.sentence) for each in ATTACKS if each.name in names],
        ),
        cells=Table("Every cell", _CELL, [_cell(each) for each in cells]),
    )


_CELL: Final = ("Attack", "Scheme", "Phase", "Ended in", "Noticed in", "Secret bytes", "Wrong")


def _cell(cell: Cell) -> tuple[Shown, ...]:
    wrong = cell.violation or ("" if cell.fine else f"expected {cell.expected}")
    return (
        cell.attack,
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
    broken = [*_violations(tally), *_broken(rates)]
    pace = f"{tally.played / max(seconds, 1e-9):.0f} a second"
    return _files(
        "sweep.html",
        [_outcomes(tally), *_drops(tally), *([dropout_curves(rates)] if rates else [])],
        title=f"{tally.played:,} random schedules",
        lead="Random schedules of up to six gateways: dropouts, faults, hostile parties, all "
        "schemes.",
        tiles=[
            Tile("Schedules", f"{tally.played:,}", f"seeds {seed:,} on"),
            Tile(
                "Violations",
                verdict(len(broken) or "none", good=not broken),
                "of what must never happen" if broken else "as it must be",
            ),
            Tile("Rounds", f"{sum(tally.outcomes.values()):,}", "one or two a schedule"),
            Tile("Time", quantity(seconds, "s"), pace),
        ],
        violations=Table("Violations", ("What happened", "Play it again"), broken),
    )


def _violations(tally: Tally) -> Iterator[tuple[Shown, Shown]]:
    for seed, what in tally.violations:
        yield what, code(command(seed))


def _broken(rates: Sequence[Rate]) -> Iterator[tuple[Shown, Shown]]:
    for each in rates:
        for seed, what in each.violations:
            call = f"dropouts.play({each.scheme!r}, {each.gateways}, {each.rate}, {seed})"
            yield what, code(call)


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


def papers(sections: Sequence[Section]) -> Files:
    """The tables of the literature beside ours."""
    return _files(
        "large.html",
        title="What the papers say",
        lead="Formulas of the papers, and the same figures from our own sessions.",
        tiles=[],
        sections=sections,
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
