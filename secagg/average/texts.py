"""Writes plans, reports and results as text, for a terminal and for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from secagg.errors import printable
from secagg.fixed_point.layout import USUAL_WEIGHT
from secagg.pytree import leaves_of

if TYPE_CHECKING:  # they are printed here, and made where they import this
    from secagg.average.outcome import Plan, Report, Result

_Row = tuple[str, object]
_NAMED: Final = 10
"""Gateways and metrics that a text names; all others are counted."""


def coordinates(plan: Plan) -> int:
    """What is averaged, tied leaves once."""
    carried = (vector for vector in plan.vectors if vector.kind in {"update", "integers"})
    return sum(vector.length for vector in carried)


def plan_text(plan: Plan) -> str:
    """A table of what a round will need, and what it promises."""
    return _table([*_plan_rows(plan)], [plan.reason, *_promises(plan)])


def _promises(plan: Plan) -> list[str]:
    return [plan.guarantees.hides, plan.guarantees.survives]


def _plan_rows(plan: Plan) -> Iterator[_Row]:
    limits, vector = plan.thresholds, plan.vectors[0]
    floats = plan.upload_bytes / (4 * coordinates(plan))
    full = plan.average_weight / USUAL_WEIGHT
    yield "scheme", plan.scheme
    yield "gateways n", limits.gateways
    yield "colluding C", limits.max_colluding
    yield "dropouts D", limits.max_dropouts
    yield from _sharing(plan)
    yield "quorum q", limits.quorum
    yield "included n_min", limits.min_included
    yield "layout", plan.layout
    if vector.kind == "update":
        yield "|value|", f"up to {vector.limit} of one gateway"
    if plan.integers is not None:
        room = f"up to {plan.integers:,}, beyond is clamped; lower max_weight for more"
        yield "integers", room
    yield "upload", f"{plan.upload_bytes:,} bytes ({floats:.2f} x float32)"
    # it shrinks as weights grow: they divide the sum
    usual = f"{plan.average_weight:g} (max_weight / {1 / USUAL_WEIGHT:g})"
    yield "error of the mean", f"{_error(plan, 1)} if weights average {usual}"
    yield "", f"{_error(plan, USUAL_WEIGHT)} if all weigh {full:g}"
    yield "least step", f"{plan.least_step:.3g} rms: of less, the first error is above 2%"


def _error(plan: Plan, share: float) -> str:
    return f"{share * plan.rms_error:.3g} rms, {share * plan.error_bound:.3g} worst,"


def _sharing(plan: Plan) -> list[_Row]:
    """Who holds shares of whom, and what they take."""
    limits = plan.thresholds
    m, least, packed = limits.committee, limits.share_threshold, limits.packed
    if not m:
        return [("neighbours k", limits.degree), ("shares that open t", least)]
    return [
        ("committee m", m),
        ("shares that open R", least),
        ("values in a share", packed),
        ("key shares", f"{plan.key_bytes:,} bytes"),
    ]


def report_text(report: Report) -> str:
    """What a round cost and how exact it is."""
    return _table([*_report_rows(report)], _promises(report.plan))


def _report_rows(report: Report) -> Iterator[_Row]:
    session = report.audit.announce.params
    yield "round", f"{session.round}, {report.plan.scheme}"
    sums = "the sum is exact" if report.plan.exact else "rounding and noise"
    yield "error of the mean", f"{report.rms_error:.3g} rms, {report.error_bound:.3g} worst; {sums}"
    yield from (("warning", each) for each in report.warnings)
    if report.integers:
        key, change = max(report.integers.items(), key=lambda each: each[1])
        yield (
            "integers",
            f"{len(report.integers)} averaged as counters, up to {change:,} in {key!r}",
        )
    if report.clamped:
        beyond = [f"{count:,} {what}" for what, count in report.clamped.items()]
        yield "beyond a bound", ", ".join(beyond)
    yield "a gateway", f"sent {report.bytes_up:,} bytes, received {report.bytes_down:,}, at most"
    server = sum(phase.server_seconds for phase in report.phases)
    gateways = sum(phase.gateway_seconds for phase in report.phases)
    yield "seconds", f"{server:.3g} of the orchestrator, {gateways:.3g} of all gateways"


def result_text(result: Result) -> str:
    """Who is in the mean, who is not and why, and the report."""
    rows: list[_Row] = [
        ("mean", sentence(result)),
        ("total weight", f"{result.total_weight:g}"),
        *(("metric " + name, f"{value:g}") for name, value in result.metrics.items()),
        *(("dropped", each) for each in [*result.dropped.values()][:_NAMED]),
        *([("", f"{len(result.dropped) - _NAMED} more")] if len(result.dropped) > _NAMED else []),
    ]
    return _table([*rows, *_report_rows(result.report)], _promises(result.report.plan))


def sentence(result: Result) -> str:
    """How much is averaged, of whom."""
    most = result.report.plan.thresholds.gateways
    arrays = len(leaves_of(result.mean))
    some = f"{arrays} array{'s' * (arrays != 1)}"
    return f"{some}, of {len(result.included)} of {most} gateways"


def _table(rows: Sequence[_Row], under: Sequence[str]) -> str:
    lines = [f"{name:18} {value}".rstrip() for name, value in rows]
    return "\n".join(printable(line) for line in [*lines, *filter(None, under)])
