"""Says what a run comes to, in sentences that terminal and page share."""

from __future__ import annotations

from math import isinf
from typing import Final

from fedavg.comparison import Deviation
from fedavg.experiment import Report

IN_THIS_PROCESS: Final = (
    "All parties ran in this process: this shows numbers, cost and recovery. Privacy begins where "
    "each gateway runs its own session."
)
HOLDOUT: Final = (
    "Accuracy and loss are of the global model after each round, on holdout samples that no "
    "gateway trained on."
)
UNITS: Final = (
    "MB and ms are of the protocol, all gateways together; the model itself and training come on "
    "top."
)
IN_THE_CLEAR: Final = "In the clear: whoever aggregates sees every update."


def plural(count: int, one: str) -> str:
    """A number and what it counts."""
    return f"{count} {one}{'' if count == 1 else 's'}"


def worst(report: Report) -> Deviation:
    """The mean, of all rounds, that came closest to its bound or went furthest beyond it."""
    return max(
        report.comparison.deviations,
        key=lambda each: (each.largest / (each.bound or 1.0), each.largest),
    )


def accuracy(report: Report) -> str:
    """How good the model became, and what protection cost of that."""
    compared = report.comparison
    secure = f"{compared.accuracy:.1%} of the holdout samples"
    after = f"After {plural(len(report.rounds), 'round')} the model is right on {secure}"
    if report.settings.scheme == "plain":
        return f"{after}, trained without protection."
    gap = 100 * (compared.accuracy - compared.plain_accuracy)
    beside = f"the same rounds in the clear reach {compared.plain_accuracy:.1%}"
    apart = f"{abs(gap):.1f} points" if abs(gap) >= 0.05 else "less than 0.1 points"
    judged = "no difference" if gap == 0 else f"a difference of {apart}"
    return f"{after}; {beside}: {judged}."


def difference(report: Report) -> str:
    """Where accuracy differs most from that in the clear, in samples, and why it may."""
    compared = report.comparison
    each, plain = max(
        zip(report.rounds, compared.history, strict=True),
        key=lambda pair: abs(pair[0].accuracy - pair[1]),
    )
    samples = round(abs(each.accuracy - plain) * compared.samples)
    if not samples:
        return "They coincide: security cost no accuracy."
    clipped = any(each.clipped for each in report.rounds)
    cut = " and what lay beyond its clip was cut off" if clipped else ""
    return (
        f"They differ most in round {each.number}: {each.accuracy:.1%} against {plain:.1%}, "
        f"{samples} of {plural(compared.samples, 'sample')}. The secure mean is rounded{cut}, so "
        "samples at the border of two answers may fall to the other side."
    )


def deviations(report: Report) -> str:
    """Whether the means kept what was stated."""
    off = worst(report)
    numbers = f"off by {off.largest:.1e} at worst, where {off.bound:.1e} was stated"
    unbounded = sum(isinf(each.bound) for each in report.comparison.deviations)
    if isinf(off.bound):
        return (
            f"No mean had a bound, for coordinates were cut off: off by {off.largest:.1e} at worst."
        )
    if unbounded:
        numbers += f"; {plural(unbounded, 'round')} had none, for coordinates were cut off"
    if report.comparison.within_bounds:
        return f"Every mean lay within its stated bound: {numbers}."
    beyond = sum(not each.within for each in report.comparison.deviations)
    return f"BOUND EXCEEDED in {plural(beyond, 'round')}: {numbers}."


def repeated(report: Report) -> str:
    """What another run with the same settings would give."""
    if report.plan is None or report.plan.exact:
        return "Times differ from run to run, all else follows from the settings."
    return (
        "Times differ from run to run, and so does the noise in the sums, which is drawn afresh; "
        "all else follows from the settings."
    )


def protection(report: Report) -> str:
    """The scheme, how it carried the updates, and why it was chosen."""
    plan = report.plan
    if plan is None:
        return IN_THE_CLEAR
    chosen = f" Chosen by auto. {plan.reason}" if plan.reason else ""
    return f"Protected by {plan.scheme}: {plan.layout.rstrip('.')}.{chosen}"


def privacy(report: Report) -> str:
    """What the orchestrator learns, to quote."""
    return IN_THE_CLEAR if report.plan is None else report.plan.guarantees.hides


def not_promised(report: Report) -> list[str]:
    """What a reader might take for granted and must not."""
    if report.plan is None:
        return ["No update was hidden from anybody."]
    fragile = [report.warning] if report.warning else []
    return [*fragile, report.plan.guarantees.not_promised, IN_THIS_PROCESS]


def summary(report: Report) -> tuple[str, ...]:
    """What a terminal says at the end."""
    spent = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report.seconds.items())
    checked = () if report.settings.scheme == "plain" else (protection(report), deviations(report))
    note = IN_THE_CLEAR if report.settings.scheme == "plain" else IN_THIS_PROCESS
    return (UNITS, f"seconds: {spent}", accuracy(report), *checked, note)
