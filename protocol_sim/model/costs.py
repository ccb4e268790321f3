"""What a round costs at any size: counted operations times unit costs that are measured here.

Unit costs come from the library's own functions (`units`, `relayed`). What handling a message costs
besides, and at a gateway a record, is fitted to a few small rounds of real sessions. The model is
held against real rounds at larger sizes, and its error is printed beside what it says for sizes at
which nothing can run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from protocol_sim import scale
from protocol_sim.model import units
from protocol_sim.model.counts import Counts, gateway_counts, server_counts
from protocol_sim.model.traffic import Shape, exchanged, shape_of, total
from protocol_sim.scale import Measured
from secagg.pages.tables import Section, Table

CALIBRATED: Final = (12, 32, 66, 90)
"""Gateways of the rounds that units are fitted to: on both sides of 64, where the graph changes."""
CALIBRATION_COORDINATES: Final = 4096
SIZES: Final = (100, 300, 1000, 2000, 10**4, 10**5, 10**6)
FITTED: Final[Mapping[str, tuple[str, ...]]] = {
    "gateway": ("record", "message"),
    "server": ("message",),
}
"""Operations whose unit costs follow from whole rounds."""
FIXED_LIMIT: Final = 100
"""C and D where they do not grow with n."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one round.

    Attributes:
        server: CPU seconds.
        gateway: CPU seconds of one gateway, in additive schemes of a member of the committee.
        up: bytes from one gateway.
        down: bytes to one gateway.
    """

    server: float
    gateway: float
    up: float
    down: float


@dataclass(frozen=True, slots=True)
class Model:
    """Unit costs of a scheme on this machine.

    Attributes:
        scheme: name.
        gateway: operation -> CPU seconds.
        server: the same; what it does with records and messages differs from a gateway's.
    """

    scheme: str
    gateway: Mapping[str, float]
    server: Mapping[str, float]

    def cost(self, shape: Shape, dropout: float = 0.0) -> Cost:
        """What a round costs.

        Args:
            shape: of the round.
            dropout: share of the gateways that vanish.
        """
        phases = exchanged(shape)
        return Cost(
            server=_seconds(server_counts(shape, dropout), self.server),
            gateway=_seconds(gateway_counts(shape, dropout), self.gateway),
            up=total(phases, up=True),
            down=total(phases, up=False),
        )

    def parts(self, shape: Shape, dropout: float = 0.0) -> Mapping[str, tuple[float, float]]:
        """Operation -> CPU seconds of (gateway, server): where the time goes.

        Args:
            shape: of the round.
            dropout: share of the gateways that vanish.
        """
        gateway, server = gateway_counts(shape, dropout), server_counts(shape, dropout)
        return {
            name: (
                gateway.get(name, 0.0) * self.gateway[name],
                server.get(name, 0.0) * self.server[name],
            )
            for name in dict.fromkeys([*gateway, *server])
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """A round that ran, and what the model said.

    Attributes:
        gateways: n.
        measured: what it took.
        predicted: by the model.
    """

    gateways: int
    measured: Cost
    predicted: Cost

    def error(self, name: str) -> float:
        """(predicted - measured) / measured of "server", "gateway", "up" or "down"."""
        measured = float(getattr(self.measured, name))
        return (float(getattr(self.predicted, name)) - measured) / measured


@dataclass(frozen=True, slots=True)
class Curve:
    """Costs against n.

    Attributes:
        scheme: name.
        rule: how C and D follow from n.
        gateways: n, of each point.
        costs: of each point.
    """

    scheme: str
    rule: str
    gateways: tuple[int, ...]
    costs: tuple[Cost, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A model, how wrong it is, and what it says.

    Attributes:
        model: unit costs.
        coordinates: d.
        dropout: share of the gateways that vanish.
        compared: rounds that ran.
        curves: what the model says, by rule for C and D.
    """

    model: Model
    coordinates: int
    dropout: float
    compared: tuple[Compared, ...]
    curves: tuple[Curve, ...]

    def section(self) -> Section:
        """Tables."""
        return _section(self)


def calibrate(
    scheme: str, *, gateways: Sequence[int] = CALIBRATED, seed: object = 0, repeats: int = 3
) -> Model:
    """Measure unit costs: a few seconds.

    Args:
        scheme: name.
        gateways: of the small rounds that the handling of records and messages is fitted to.
        seed: of these rounds.
        repeats: of each measurement, of which the median counts: the rounds they explain run once.
    """
    found = units.measure(scheme, repeats)
    shapes = [shape_of(scheme, n, CALIBRATION_COORDINATES) for n in gateways]
    rounds = [
        [scale.play(n, CALIBRATION_COORDINATES, 0.0, scheme, seed) for _ in range(repeats)]
        for n in gateways
    ]
    gateway = _fitted(
        FITTED["gateway"],
        found,
        [gateway_counts(shape) for shape in shapes],
        [median(each.gateway for each in same) for same in rounds],
    )
    server = _fitted(
        FITTED["server"],
        {**found, **units.measure_server(scheme, repeats)},
        [server_counts(shape) for shape in shapes],
        [median(each.server for each in same) for same in rounds],
    )
    return Model(scheme, gateway, server)


def _fitted(
    wanted: Sequence[str], known: units.Units, counts: Sequence[Counts], seconds: Sequence[float]
) -> Mapping[str, float]:
    """Known units, and those wanted that explain the rest best, relatively."""
    rest = np.array(
        [spent - _seconds(count, known) for count, spent in zip(counts, seconds, strict=True)]
    )
    table = np.array([[count[name] for name in wanted] for count in counts])
    weights = 1 / np.array(seconds)
    free = list(range(len(wanted)))
    solution = np.zeros(len(wanted))
    while free:  # a unit cost is not negative: leave out what would be
        part = np.linalg.lstsq(table[:, free] * weights[:, None], rest * weights, rcond=None)[0]
        if (part >= 0).all():
            solution[free] = part
            break
        del free[int(part.argmin())]
    return {**known, **dict(zip(wanted, solution.tolist(), strict=True))}


def _seconds(counts: Counts, costs: Mapping[str, float]) -> float:
    return sum(count * costs[name] for name, count in counts.items() if name in costs)


def compare(model: Model, rounds: Iterable[Measured]) -> tuple[Compared, ...]:
    """Hold the model against rounds that ran.

    Args:
        model: of the scheme.
        rounds: measured.
    """
    return tuple(
        Compared(
            each.gateways,
            Cost(each.server, each.gateway, each.up, each.down),
            model.cost(shape_of(each.scheme, each.gateways, each.coordinates), each.dropout),
        )
        for each in rounds
    )


def curve(
    model: Model,
    coordinates: int,
    dropout: float = 0.0,
    *,
    limit: int | None = None,
    gateways: Sequence[int] = SIZES,
) -> Curve:
    """Costs against n, by formula alone.

    Args:
        model: of the scheme.
        coordinates: d.
        dropout: share of the gateways that vanish.
        limit: C and D; None for the defaults, which grow with n.
        gateways: n of each point; where the limit is given, those below eight times it are left
            out, for it would hardly fit.
    """
    rule = "C = D = n / 10" if limit is None else f"C = D = {limit}"
    fitting = tuple(n for n in gateways if limit is None or n >= 8 * limit)
    shapes = [
        shape_of(model.scheme, n, coordinates, colluding=limit, dropouts=limit) for n in fitting
    ]
    return Curve(model.scheme, rule, fitting, tuple(model.cost(shape, dropout) for shape in shapes))


def _section(found: Report) -> Section:
    parts: list[str | Table] = [
        (
            "CPU seconds of one core. A gateway checks every signature itself; in additive schemes "
            "it is one of the committee. Model against real rounds, with its relative error:"
        ),
        Table(
            "Model against real rounds",
            (
                *("n", "server s", "model", "error", "one gateway ms", "model", "error"),
                *("up error", "down error"),
            ),
            [_compared(each) for each in found.compared],
        ),
    ]
    for each in found.curves:
        parts += [
            (
                f"By formula, {each.rule} (above 2,048 gateways no session runs: this is what one "
                "would cost whose messages, lanes and shares were made for it):"
            ),
            Table(
                f"By formula, {each.rule}",
                ("n", "server s", "one gateway s", "up, bytes", "down, bytes"),
                [
                    (
                        f"{n:,}",
                        f"{cost.server:,.2f}",
                        f"{cost.gateway:,.3f}",
                        f"{cost.up:,.0f}",
                        f"{cost.down:,.0f}",
                    )
                    for n, cost in zip(each.gateways, each.costs, strict=True)
                ],
            ),
        ]
    title = (
        f"Costs of {found.model.scheme}, d = {found.coordinates:,}, {found.dropout:.0%} vanishing"
    )
    return Section(title, *parts)


def _compared(each: Compared) -> tuple[str, ...]:
    real, said = each.measured, each.predicted
    return (
        f"{each.gateways:,}",
        f"{real.server:.3f}",
        f"{said.server:.3f}",
        f"{each.error('server'):+.0%}",
        f"{1e3 * real.gateway:.1f}",
        f"{1e3 * said.gateway:.1f}",
        f"{each.error('gateway'):+.0%}",
        f"{each.error('up'):+.1%}",
        f"{each.error('down'):+.1%}",
    )
