"""What a lying server may show its gateways in scheme masks: everything, or samples of it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from protocol_sim.leaks.masks import Gateways, Rules, Set, Shown, Strategy, World, judge
from protocol_sim.randomness import dice

Played = tuple[Strategy, Set]
"""What everybody is shown, and who colludes."""


def every_strategy(
    gateways: Gateways, worlds: Sequence[World], *, absent: bool = False
) -> Iterator[Played]:
    """All strategies, the last C positions colluding: the complete graph looks alike from each."""
    n, c = gateways.thresholds.gateways, gateways.thresholds.max_colluding
    options = [gateways.views(i, worlds, absent=absent) for i in range(n - c)]
    colluding = frozenset(range(n - c, n))
    for shown in itertools.product(*options):
        yield shown + (None,) * c, colluding


def some_strategies(rules: Rules, count: int, seed: int) -> Iterator[Played]:
    """Random strategies: one to three worlds, dropouts at random or cutting an arc of the graph."""
    rng = dice("strategies", seed)
    limits = rules.thresholds
    for _ in range(count):
        colluding = frozenset(rng.sample(range(limits.gateways), limits.max_colluding))
        worlds = [_world(rules, rng) for _ in range(rng.randint(1, 3))]
        shown = [
            None if i in colluding else _shown(rules, rng, i, worlds)
            for i in range(limits.gateways)
        ]
        yield tuple(shown), colluding


class _World(NamedTuple):
    h0: int
    params: int
    u2: Set
    u3: Set


def _world(rules: Rules, rng: random.Random) -> _World:
    everyone = frozenset(range(rules.thresholds.gateways))
    u2 = _thinned(rules, rng, everyone, rules.least_u2)
    u3 = _thinned(rules, rng, u2, rules.least_u3)
    return _World(int(rng.random() < 0.2), rng.randint(0, 1), u2, u3)


def _thinned(rules: Rules, rng: random.Random, members: Set, least: int) -> Set:
    room = len(members) - least
    if room <= 0:
        return members
    if rng.random() < 0.5:
        return members - set(rng.sample(sorted(members), rng.randint(0, room)))
    n = rules.thresholds.gateways
    start = rng.randrange(n)
    arc = {(start + step) % n for step in range(rng.randint(1, 2))}
    near: set[int] = set()
    around = near.union(*(rules.neighbours[i] for i in arc)) - arc & members
    return members - set(rng.sample(sorted(around), min(len(around), room)))


def _shown(rules: Rules, rng: random.Random, position: int, worlds: Sequence[_World]) -> Shown:
    world = worlds[0] if rng.random() < 0.75 else rng.choice(worlds)
    if not rules.uploads(position, world.u2):
        elsewhere = [other for other in worlds if rules.uploads(position, other.u2)]
        if not elsewhere:
            return Shown(world.h0, world.params, None, None)
        world = rng.choice(elsewhere)
    asked = rules.accepts(position, world.u2, world.u3) and rng.random() < 0.95
    return Shown(world.h0, world.params, world.u2, world.u3 if asked else None)


class Tally(NamedTuple):
    """Strategies played, with an answer, with a sum opened, leaking, breaking the promise."""

    played: int
    answered: int
    opened: int
    leaks: int
    broken: int


def tally(gateways: Gateways, strategies: Iterable[Played]) -> Tally:
    """Judge them all."""
    played = answered = opened = leaks = broken = 0
    for shown, colluding in strategies:
        verdict = judge(gateways, shown, colluding)
        played += 1
        answered += bool(verdict.answered)
        opened += bool(verdict.sums)
        leaks += verdict.leaks
        broken += verdict.breaks_promise
    return Tally(played, answered, opened, leaks, broken)
