"""Says what one round was, in a page; and the parts of it that other pages show too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isinf
from typing import Final

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from secagg.average.outcome import PhaseCost, Report
from secagg.pages.colours import INK, PAPER, SERIES
from secagg.pages.kit import Tile, render, verdict
from secagg.pages.plots import Plot, plot
from secagg.pages.tables import Cell, Table, quantity
from secagg.params import Thresholds
from secagg.protocol.audit import Inspection, inspect_record

_COMMON: Final = (
    ("n", "gateways", "Gateways that take part in a round."),
    ("C", "max_colluding", "Gateways that may side with the orchestrator without learning more."),
    ("D", "max_dropouts", "Gateways that may vanish at any moment, also after their upload."),
    ("q", "quorum", "Signatures needed for a sum: no two different sums get them."),
    ("n_min", "min_included", "Gateways in any sum that is ever opened, at the least."),
)
_MASKS: Final = (
    ("t", "share_threshold", "Shares that open the secret of a gateway that vanished."),
    ("k", "degree", "Neighbours with whom each gateway shares masks and secrets."),
)
_ADDITIVE: Final = (
    ("m", "committee", "Gateways among whom everybody's key is shared."),
    ("R", "share_threshold", "Of them, those whose answers open the sum of the keys."),
    ("ell", "packed", "Numbers of a key that one share carries."),
)
"""Symbol, field and meaning of each threshold."""


def page_of(report: Report) -> bytes:
    """The page; equal reports give equal pages."""
    plan, number = report.plan, report.audit.announce.params.round
    inspection = inspect_record(report.audit, report.roster)
    names = () if inspection.cohort is None else inspection.cohort.ids
    included = [str(names[position]) for position in sorted(inspection.included)]
    reason = f" Chosen by auto. {plan.reason}" if plan.reason else ""
    return render(
        "secagg.pages",
        "round.html",
        title=f"Round {number}: the mean of {len(included)} of {plan.thresholds.gateways} gateways",
        lead=f"Scheme {plan.scheme}: {plan.layout.rstrip('.')}.{reason}",
        tiles=list(_tiles(report, inspection)),
        warnings=report.warnings,
        included=included,
        dropped=_dropped(report, inspection),
        plan=plan,
        thresholds=thresholds_table(plan.thresholds),
        seconds=phase_seconds([report.phases], "All gateways together; training is not counted."),
        phases=_phases(report.phases),
        faults=inspection.faults,
        number=f"{number:04}",
    )


def _tiles(report: Report, inspection: Inspection) -> Iterator[Tile]:
    limits, gone = report.plan.thresholds, len(report.audit.dropped)
    yield Tile(
        "In the mean",
        f"{len(inspection.included)} of {limits.gateways}",
        f"{limits.min_included} or more, or no sum is opened",
    )
    yield Tile("Dropped", gone or "nobody", f"any {limits.max_dropouts} may vanish")
    exact = "the sum is exact, updates are rounded" if report.exact else "rounding and noise"
    if isinf(report.error_bound):
        exact = "something was clamped, and nobody knows by how much"
    shown = "no bound" if isinf(report.error_bound) else f"{report.error_bound:.1e}"
    yield Tile("Largest possible error", shown, exact)
    yield Tile(
        "Beyond a bound",
        verdict(sum(report.clamped.values()) or "nothing", good=not report.clamped),
        ", ".join(f"{count} {name}" for name, count in report.clamped.items())
        or "coordinates, integers and metrics, over all gateways",
    )
    down = quantity(report.bytes_down, "B")
    yield Tile("Sent by a gateway", quantity(report.bytes_up, "B"), f"at most; {down} received")
    good = not inspection.faults
    yield Tile(
        "Audit record",
        verdict("verifies" if good else "DOES NOT VERIFY", good=good),
        "with the roster alone",
    )


def _dropped(report: Report, inspection: Inspection) -> Table:
    names = () if inspection.cohort is None else inspection.cohort.ids
    rows = [
        (
            str(names[each.position]),
            each.phase,
            each.reason.lower().replace("_", " "),
            "yes: its upload was there" if each.position in inspection.included else "no",
        )
        for each in report.audit.dropped
        if each.position < len(names)
    ]
    return Table("Dropped", ("Gateway", "Phase", "Reason", "In the mean"), rows)


def thresholds_table(limits: Thresholds) -> Table:
    """The thresholds of a scheme with their meaning."""
    rows = [
        (symbol, getattr(limits, field), meaning)
        for symbol, field, meaning in (*_COMMON, *(_ADDITIVE if limits.committee else _MASKS))
    ]
    return Table("Thresholds", ("", "Value", "Meaning"), rows)


def _phases(phases: Sequence[PhaseCost]) -> Table:
    columns: dict[str, Callable[[PhaseCost], Cell]] = {
        "Phase": lambda each: each.phase,
        "Answered": lambda each: each.answered,
        "Sent": lambda each: quantity(each.bytes_up, "B"),
        "Received": lambda each: quantity(each.bytes_down, "B"),
        "Orchestrator": lambda each: quantity(each.server_seconds, "s"),
        "All gateways": lambda each: quantity(each.gateway_seconds, "s"),
    }
    return Table.of("Phase by phase", columns, phases)


def phase_seconds(rounds: Sequence[Sequence[PhaseCost]], caption: str) -> Plot:
    """Milliseconds of each phase, of both roles, mean over the rounds."""
    # later rounds skip what the first has set up, unless others are asked
    names = list(dict.fromkeys(part.phase for each in rounds for part in each))
    gateways, server = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for part in (part for each in rounds for part in each):
        gateways[part.phase] += 1000 * part.gateway_seconds / len(rounds)
        server[part.phase] += 1000 * part.server_seconds / len(rounds)
    totals = [gateways[name] + server[name] for name in names]

    def draw(axes: Axes) -> None:
        places = range(len(names))
        left = list(gateways.values())
        axes.barh(places, left, color=SERIES[0], label="all gateways", height=0.62)
        axes.barh(
            places,
            list(server.values()),
            left=left,
            color=SERIES[1],
            label="orchestrator",
            height=0.62,
            hatch="////",
            edgecolor=PAPER,
            linewidth=0,
        )
        for place, total in zip(places, totals, strict=True):
            axes.text(total + 0.015 * max(totals), place, f"{total:.3g}", va="center")
        axes.set_yticks(places, names)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.16 * max(totals))
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel("milliseconds")
        axes.figure.legend(loc="outside upper center", ncols=2)

    return plot(
        "seconds",
        "Time by phase and role",
        draw,
        alt="Stacked bars, milliseconds of gateways and orchestrator: "
        + ", ".join(f"{name} {total:.3g}" for name, total in zip(names, totals, strict=True)),
        caption=caption,
        height=270,
    )
