"""A scenario in virtual time out of a few figures."""

from __future__ import annotations

from protocol_sim.crowd import vanishing
from protocol_sim.network import Link
from protocol_sim.randomness import dice
from protocol_sim.scenario import Plan, Scenario
from protocol_sim.traces import DAY, TRACES, Intervals
from secagg.errors import ConfigurationError
from secagg.schemes import scheme_of


def stage(
    *,
    scheme: str,
    gateways: int,
    coordinates: int,
    dropout: float,
    seed: int,
    rounds: int,
    deadline: float,
    latency: float,
    loss: float,
    trace: str = "",
) -> Scenario:
    """Gateways at different distances, of whom some vanish in the last round.

    Args:
        scheme: name.
        gateways: n.
        coordinates: d.
        dropout: share of the gateways that vanish, 0 to D / n.
        seed: decides who vanishes where, distances, and everything a run draws.
        rounds: one after the other.
        deadline: seconds.
        latency: mean seconds that a frame takes; half to one and a half times that.
        loss: probability that a frame is lost.
        trace: name of one of `traces.TRACES`, a day of which passes in a round; "" for none.

    Raises:
        ConfigurationError: numbers that cannot work.
    """
    used = scheme_of(scheme)
    gone = vanishing(gateways, dropout, used, seed, used.thresholds(gateways))
    distances = dice("stage", seed)
    names = tuple(f"g{place}" for place in range(gateways))
    links = {name: Link(latency=latency * distances.uniform(0.5, 1.5), loss=loss) for name in names}
    pace = deadline * rounds / DAY
    away = {
        name: tuple((begin * pace, end * pace) for begin, end in _absences(trace, seed, name))
        for name in names
    }
    return Scenario(
        scheme=scheme,
        gateways=gateways,
        coordinates=coordinates,
        seed=seed,
        rounds=rounds,
        deadline=deadline,
        links=links,
        plans={
            name: Plan(vanish=gone.get(name), away=away[name])
            for name in names
            if name in gone or away[name]
        },
    )


def _absences(trace: str, seed: int, name: str) -> Intervals:
    if not trace:
        return ()
    if trace not in TRACES:
        raise ConfigurationError(f"trace is {trace!r}: use {', '.join(TRACES)}")
    return TRACES[trace](dice("trace", seed, name), DAY)
