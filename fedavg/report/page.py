"""report.html: a run at a glance, and everything behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from fedavg.experiment import Report, Settings
from fedavg.options import CHOICES
from fedavg.phases import ADDITIVE
from fedavg.report import words
from fedavg.report.figures import plots
from fedavg.report.markup import Markup, Text, card, figure, page, table, tag, tiles
from fedavg.report.totals import Totals, amount, vanished

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
"""Of thresholds: symbol, field, meaning."""


def report_html(report: Report) -> str:
    """The page; equal reports give equal pages."""
    return page(_title(report), _body(report))


def _title(report: Report) -> str:
    gateways = len({name for each in report.rounds for name in each.asked})
    return (
        f"{report.settings.task}: {words.plural(gateways, 'gateway')}, "
        f"{words.plural(len(report.rounds), 'round')}"
    )


def _body(report: Report) -> Iterator[Markup]:
    secured = report.settings.scheme != "plain"
    how = (
        f"with secure aggregation ({report.scheme})"
        if secured
        else "in the clear, without protection"
    )
    yield tag("h1", _title(report))
    yield tag("p", f"Federated averaging {how}", cls="lead")
    yield tiles(list(_tiles(report)))
    yield _result(report)
    yield tag("div", [figure(each) for each in plots(report)], cls="plots")
    yield card("Round by round", _rounds(report))
    cards = [_thresholds(report), settings_card(report.settings)]
    yield tag("div", [each for each in cards if each], cls="pair")
    if secured:
        yield _audit()
    origins = [tag("li", each) for each in _origins(report)]
    yield card("Where the numbers come from", tag("ul", origins))


def _tiles(report: Report) -> Iterator[tuple[str, Text, str]]:
    compared, rounds = report.comparison, report.rounds
    secured = report.settings.scheme != "plain"
    if secured:
        yield "Accuracy", f"{compared.accuracy:.1%}", f"{compared.plain_accuracy:.1%} in the clear"
        off = words.worst(report)
        kept = compared.within_bounds
        state = tag("span", f"{off.largest:.1e}", cls="good" if kept else "bad")
        beside = "within" if kept else "BEYOND"
        yield "Largest error of a mean", state, f"{beside} the stated {off.bound:.1e}"
    else:
        yield "Accuracy", f"{compared.accuracy:.1%}", "on the holdout set"
        yield "Protection", tag("span", "none", cls="bad"), "every update was seen"
    busiest = max(each.bytes_up for each in rounds)
    down = max(each.bytes_down for each in rounds)
    yield "Sent per gateway and round", size(busiest), f"{size(down)} received"
    gone = sum(len(each.vanished) for each in rounds)
    asked = sum(len(each.asked) for each in rounds)
    yield "Vanished", f"{gone}", f"of {asked} times that a gateway was asked"


def size(count: float) -> str:
    """Bytes in the unit that suits them."""
    for unit, value in (("GB", count / 1e9), ("MB", count / 1e6), ("KB", count / 1e3)):
        if value >= 1:
            return f"{value:.3g} {unit}"
    return f"{count:.0f} B"


def _result(report: Report) -> Markup:
    secured = report.settings.scheme != "plain"
    said = [tag("p", tag("strong", words.accuracy(report)))]
    if secured:
        kept = "good" if report.comparison.within_bounds else "bad"
        said.append(tag("p", tag("span", words.deviations(report), cls=kept)))
        said.append(tag("p", words.protection(report)))
    said.append(tag("p", words.privacy(report)))
    if report.guarantees is not None:
        said.append(tag("p", report.guarantees.survives))
    said += [tag("h3", "Not promised")]
    said += [tag("ul", [tag("li", each) for each in words.not_promised(report)])]
    return card("Result", *said)


_COLUMNS: Final = (
    ("Round", "number"),
    ("Alive", "number"),
    ("In mean", "number"),
    ("Accuracy", "number"),
    ("In the clear", "number"),
    ("Loss", "number"),
    ("Error of mean", "number"),
    ("Bound", "number"),
    ("MB up", "number"),
    ("MB down", "number"),
    ("Server ms", "number"),
    ("Gateway ms", "number"),
    ("Clipped", "number"),
    ("Vanished", "wide"),
)


def _rounds(report: Report) -> Markup:
    compared = report.comparison
    rows = []
    for each, plain, off in zip(report.rounds, compared.history, compared.deviations, strict=True):
        totals = Totals.of(each)
        rows.append(
            (
                each.number,
                len(each.asked) - len(each.vanished),
                len(each.included),
                f"{each.accuracy:.3f}",
                f"{plain:.3f}",
                f"{each.loss:.3f}",
                f"{off.largest:.1e}",
                f"{off.bound:.1e}",
                amount(totals.up / 1e6),
                amount(totals.down / 1e6),
                amount(totals.server_ms),
                amount(totals.gateway_ms),
                each.clipped,
                vanished(each) or "nobody",
            )
        )
    headings, classes = zip(*_COLUMNS, strict=True)
    shown = table("Round by round", headings, rows, classes)
    return tag("div", [shown, tag("p", tag("small", words.UNITS))])


def _thresholds(report: Report) -> Markup:
    if report.thresholds is None:
        return Markup("")
    own = _ADDITIVE if report.scheme in ADDITIVE else _MASKS
    rows = [
        (tag("span", symbol), getattr(report.thresholds, field), meaning)
        for symbol, field, meaning in (*_COMMON, *own)
    ]
    return card(
        "Thresholds", table("Thresholds", ("", "Value", "Meaning"), rows, ("", "number", ""))
    )


def settings_card(settings: Settings, *, without: str = "") -> Markup:
    """Every option of a run, but for the one called `without`."""
    rows = []
    for each in fields(settings):
        if each.name == without:
            continue
        choice, value = CHOICES[each.name], getattr(settings, each.name)
        if each.name == "overrides":
            value = "; ".join(
                f"{gateway}:{name}={new}"
                for gateway, changes in value.items()
                for name, new in changes.items()
            )
        unset = value is None or value == ""
        shown = (
            tag("span", choice.shown if value is None else "none", cls="unset") if unset else value
        )
        rows.append((each.name.replace("_", "-"), shown))
    return card("Settings", table("Settings", ("Option", "Value"), rows, ("nowrap", "value")))


def _audit() -> Markup:
    return card(
        "Check it yourself",
        tag(
            "p",
            "Every round left a signed record in audit/ beside this page. With the roster alone "
            "anybody can verify who announced the round, who is in the sum, and that a quorum "
            "agreed on it:",
        ),
        tag("pre", tag("code", "secagg audit audit")),
        tag(
            "p",
            "A record holds no update, key or share. It does not prove that the published mean is "
            "the sum. Trust in it begins with the roster: compare its keys with those you know.",
        ),
    )


def _origins(report: Report) -> Iterator[str]:
    yield words.HOLDOUT
    yield (
        "In the clear: the same rounds again from the same first model, over the same gateways, "
        "with a plaintext mean."
    )
    yield (
        "Error of the mean: after each round the included gateways trained once more in this "
        "process, and the exact mean of their updates was compared coordinate by coordinate; the "
        "bound is the protocol's own, plus the rounding to float32."
    )
    yield (
        "Bytes are lengths of the frames that were sent; times are wall time of this process, in "
        f"which all parties took turns. {words.repeated(report)}"
    )
    yield "report.json holds all of this, history.jsonl and history.csv a line for each round."
