"""Draws the cost model: against the number of gateways, and against the dropout rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocol_sim.model.costs import Cost, Report
from protocol_sim.model.traffic import shape_of
from protocol_sim.pictures.curves import Curve, costs, rates
from secagg.pages.plots import Plot

_STEPS: Final = 20
"""Dropout rates of a line."""
_KINDS: Final[tuple[tuple[str, str, str, Callable[[Cost], float]], ...]] = (
    ("server", "Server, CPU time of a round", "s", lambda cost: cost.server),
    ("gateway", "One gateway, CPU time of a round", "s", lambda cost: cost.gateway),
    ("up", "Bytes from one gateway", "B", lambda cost: cost.up),
    ("down", "Bytes to one gateway", "B", lambda cost: cost.down),
)


def cost_curves(report: Report) -> list[Plot]:
    """Four pictures against n, and one against the share that vanishes.

    Args:
        report: of one scheme.
    """
    return [_against_gateways(report, *kind) for kind in _KINDS] + [_against_dropout(report)]


def _against_gateways(
    report: Report, name: str, title: str, unit: str, value: Callable[[Cost], float]
) -> Plot:
    measured = tuple((each.gateways, value(each.measured)) for each in report.compared)
    lines = [
        Curve(
            each.rule,
            tuple((n, value(cost)) for n, cost in zip(each.gateways, each.costs, strict=True)),
            () if place else measured,
        )
        for place, each in enumerate(report.curves)
    ]
    return costs(name, f"{title}: {report.model.scheme}", unit, lines)


def _against_dropout(report: Report) -> Plot:
    """Server's cost against the share that vanishes, up to D, of the largest round that ran."""
    last = report.compared[-1]
    shape = shape_of(report.model.scheme, last.gateways, report.coordinates)
    most = shape.limits.max_dropouts / last.gateways
    shares = [most * step / _STEPS for step in range(_STEPS + 1)]
    line = tuple((share, report.model.cost(shape, share).server) for share in shares)
    found = ((report.dropout, last.measured.server),)
    return rates(
        "server-dropout",
        f"Server against dropout: {report.model.scheme}, n = {last.gateways:,}",
        "s",
        [Curve("server", line, found)],
        across="share of the gateways that vanishes, up to D / n",
    )
