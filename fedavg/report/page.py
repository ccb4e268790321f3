"""Makes report.html: a run at a glance, and everything behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from math import isinf

from fedavg.experiment import Report
from fedavg.report import words
from fedavg.report.figures import plots
from fedavg.report.totals import Totals, amount, dropped
from fedavg.settings import HELP, Settings
from secagg.pages.kit import Tile, render, unset, verdict
from secagg.pages.round import thresholds_table
from secagg.pages.tables import Cell, Table, quantity


def report_html(report: Report) -> bytes:
    """The page; equal reports give equal pages."""
    gateways = len({name for each in report.rounds for name in each.asked})
    size = f"{words.plural(gateways, 'gateway')}, {words.plural(len(report.rounds), 'round')}"
    secured = report.settings.scheme != "plain"
    how = f"with secure aggregation ({report.scheme})"
    return render(
        "fedavg.report",
        "run.html",
        title=f"{report.settings.task}: {size}",
        lead=f"Federated averaging {how if secured else 'in the clear, without protection'}",
        words=words,
        report=report,
        secured=secured,
        tiles=list(_tiles(report)),
        plots=list(plots(report)),
        rounds=_rounds(report),
        thresholds=report.plan and thresholds_table(report.plan.thresholds),
        settings=settings_table(report.settings),
    )


def _tiles(report: Report) -> Iterator[Tile]:
    compared, rounds = report.comparison, report.rounds
    if report.settings.scheme == "plain":
        yield Tile("Accuracy", f"{compared.accuracy:.1%}", "on the holdout set")
        yield Tile("Protection", verdict("none", good=False), "every update was seen")
    else:
        yield Tile(
            "Accuracy", f"{compared.accuracy:.1%}", f"{compared.plain_accuracy:.1%} in the clear"
        )
        off, kept = words.worst(report), compared.within_bounds
        cut = sum(isinf(each.bound) for each in compared.deviations)
        shown: Cell = f"{max(each.largest for each in compared.deviations):.1e}"
        stated = f"no bound in {words.plural(cut, 'round')}: coordinates were cut off"
        if not (cut and kept):
            shown = verdict(f"{off.largest:.1e}", good=kept)
            stated = f"{'as it must be: within' if kept else 'BEYOND'} the stated {off.bound:.1e}"
        yield Tile("Largest error of a mean", shown, stated)
    busiest = max(each.bytes_up for each in rounds)
    down = max(each.bytes_down for each in rounds)
    yield Tile(
        "Sent per gateway and round", quantity(busiest, "B"), f"{quantity(down, 'B')} received"
    )
    gone = sum(len(each.dropped) for each in rounds)
    asked = sum(len(each.asked) for each in rounds)
    yield Tile("Dropped", gone or "nobody", f"of {asked} times that a gateway was asked")


def _rounds(report: Report) -> Table:
    compared = report.comparison
    heading = (
        *("Round", "Alive", "In mean", "Accuracy", "In the clear", "Loss", "Error of mean"),
        *("Bound", "MB up", "MB down", "Server ms", "Gateway ms", "Clipped", "Dropped"),
    )
    rows = []
    for each, plain, off in zip(report.rounds, compared.history, compared.deviations, strict=True):
        totals = Totals.of(each)
        rows.append(
            (
                each.number,
                len(each.asked) - len(each.dropped),
                len(each.included),
                f"{each.accuracy:.3f}",
                f"{plain:.3f}",
                f"{each.loss:.3f}",
                f"{off.largest:.1e}",
                "-" if isinf(off.bound) else f"{off.bound:.1e}",
                amount(totals.up / 1e6),
                amount(totals.down / 1e6),
                amount(totals.server_ms),
                amount(totals.gateway_ms),
                each.clipped,
                dropped(each) or "nobody",
            )
        )
    return Table("Round by round", heading, rows)


def settings_table(settings: Settings, *, without: str = "") -> Table:
    """Every option of a run, but for the one called `without`."""
    rows = []
    for each in fields(settings):
        if each.name == without:
            continue
        value = getattr(settings, each.name)
        if each.name == "overrides":
            value = "; ".join(
                f"{gateway}:{name}={new}"
                for gateway, changes in value.items()
                for name, new in changes.items()
            )
        elif isinstance(value, Mapping):
            value = "; ".join(f"{pattern}: {limit:g}" for pattern, limit in value.items())
        missing = "none" if value == "" else HELP[each.name][1] if value is None else None
        shown = str(value) if missing is None else unset(missing)
        rows.append((each.name.replace("_", "-"), shown))
    return Table("Settings", ("Option", "Value"), rows)
