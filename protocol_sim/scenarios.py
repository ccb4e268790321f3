"""Scenarios: drawn at random, one for each seed, or made of a few figures."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from protocol_sim.attacks import ATTACKS, phases_of
from protocol_sim.cheats import CHEATS
from protocol_sim.large_parties import vanishing
from protocol_sim.network import Link
from protocol_sim.randomness import dice
from protocol_sim.scenario import Plan, PlannedAttack, Restart, Scenario
from protocol_sim.traces import DAY, TRACES, Intervals
from secagg.errors import ConfigurationError
from secagg.schemes import BY_NAME, scheme_of


def draw(seed: int) -> Scenario:
    """A small random scenario: up to six gateways, up to two rounds, and anything may go wrong.

    Args:
        seed: decides all of it.
    """
    rng = dice("scenario", seed)
    n = rng.randint(3, 6)
    names = [f"g{place}" for place in range(n)]
    deadline = rng.choice([2.0, 10.0])
    rounds = rng.choice([1, 1, 2])
    faulty = rng.random() < 0.5
    scheme = rng.choice(["masks", *BY_NAME])
    links = {name: _link(rng, faulty=faulty) for name in names}
    if faulty and rng.random() < 0.3:
        name, begin = rng.choice(names), rng.uniform(0, deadline)
        cut = (begin, begin + rng.uniform(0, deadline))
        links[name] = replace(links[name], partitions=(cut,))
    plans = {name: _plan(rng, deadline * rounds) for name in names if rng.random() < 0.4}
    attack = None
    if rng.random() < 0.2:
        attack = _attack(rng, scheme, names)
    elif rng.random() < 0.25:
        colluding = scheme_of(scheme).thresholds(n).max_colluding
        for name in rng.sample(names, rng.randint(1, colluding)):
            plans[name] = Plan(cheat=_cheat(rng, scheme))
            # what comes of a cheat is known only if all of it arrives: a lost frame of an upload,
            # and its garbled repetition is the upload
            links[name] = Link(latency=links[name].latency, bandwidth=links[name].bandwidth)
    return Scenario(
        scheme=scheme,
        gateways=n,
        coordinates=rng.choice([1, 7, 40]),
        seed=seed,
        rounds=rounds,
        deadline=deadline,
        links=links,
        plans=plans,
        attack=attack,
    )


def _attack(rng: random.Random, scheme: str, names: list[str]) -> PlannedAttack | None:
    attack = rng.choice([each for each in ATTACKS if not each.sessions])
    phases = list(phases_of(attack.name, scheme))
    if not phases:
        return None
    return PlannedAttack(name=attack.name, phase=rng.choice(phases), victim=rng.choice(names))


def _cheat(rng: random.Random, scheme: str) -> str:
    if rng.random() < 0.3:
        return "random"
    return rng.choice([each.name for each in CHEATS.values() if scheme in each.schemes])


def _link(rng: random.Random, *, faulty: bool) -> Link:
    latency, jitter = rng.uniform(0.01, 0.3), rng.choice([0.0, 0.2])
    bandwidth = 10 ** rng.uniform(4, 7)
    if not faulty or rng.random() < 0.6:
        return Link(latency=latency, jitter=jitter, bandwidth=bandwidth)
    faults: dict[str, Any] = {
        name: rng.choice([0.0, 0.0, 0.03, 0.2])
        for name in ("loss", "duplication", "reordering", "truncation", "flips")
    }
    return Link(latency=latency, jitter=jitter, bandwidth=bandwidth, **faults)


def _plan(rng: random.Random, horizon: float) -> Plan:
    kind = rng.choice(["vanish", "vanish", "away", "slow", "restart", "trace"])
    if kind == "vanish":
        return Plan(vanish=rng.randint(0, 10))
    if kind == "away":
        begin = rng.uniform(0, horizon)
        return Plan(away=((begin, begin + rng.uniform(0, horizon)),))
    if kind == "slow":
        return Plan(slow=rng.uniform(0, horizon))
    if kind == "restart":
        times = sorted(rng.uniform(0, horizon / 2) for _ in range(rng.randint(1, 2)))
        return Plan(
            slow=rng.uniform(0, 0.5),
            restarts=tuple(Restart(time=time, stale=rng.random() < 0.3) for time in times),
        )
    trace = TRACES[rng.choice(sorted(TRACES))]
    # a day of availability in the time of a round
    pace = 86_400 / horizon
    return Plan(away=tuple((a / pace, b / pace) for a, b in trace(rng, 86_400)))


def of_figures(
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
