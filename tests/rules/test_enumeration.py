"""All strategies of a lying server, by the rules and against the real masks client.

What a client answers is found by asking it (`leaks.real_gateways`): a fresh one for each view, of
every U2 and every U3 there is (docs/protocol.md#lies-enumerated).
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol_sim.leaks.equations import basis, without
from protocol_sim.leaks.masks import Rules, Shown, judge, open_sums
from protocol_sim.leaks.names import Input, Unknown
from protocol_sim.leaks.real_gateways import RealGateways
from protocol_sim.leaks.strategies import Tally, every_strategy, some_strategies, tally
from protocol_sim.randomness import dice
from secagg.thresholds import derive
from tests.protocol_sim.without_each_check.leaking_sets import circulant
from tests.schemes.additive.world import Floorless

# Worlds (h0, P) that a lying server may show: one, two parameters, two transcripts of each.
ONE = ((0, 0),)
TWO = ((0, 0), (0, 1))
FOUR = ((0, 0), (0, 1), (1, 0), (1, 1))
FIVE = derive(5, max_colluding=2)
# n, k, C, D, t with k >= C + D + 1 and C < t <= k - D + 1: the sparse graphs of a later version.
CIRCULANTS = [
    (7, 4, 1, 2, 2),
    (8, 4, 1, 2, 3),
    (9, 4, 1, 2, 2),
    (10, 4, 1, 2, 2),
    (10, 4, 1, 2, 3),
    (11, 4, 1, 2, 3),
    (12, 6, 2, 3, 3),
    (12, 6, 2, 3, 4),
    (13, 6, 2, 3, 4),
    (14, 6, 2, 3, 3),
]
SEED = 20_240


def allies_of(limits):
    return frozenset(range(limits.gateways - limits.max_colluding, limits.gateways))


@lru_cache
def clients(limits):
    return RealGateways(limits, allies_of(limits))


class AllAtOnce(RealGateways):
    """Shows a client all headers of a strategy together."""

    def signs(self, i, shown):
        return self.signs_at_once(i, shown)


def shown_at_once(limits):
    return AllAtOnce(limits, allies_of(limits))


def deep(*case):
    return pytest.param(*case, marks=pytest.mark.deep)


@pytest.mark.parametrize("limits", [derive(3), derive(4), deep(FIVE)], ids=["3", "4", "5"])
def test_a_client_accepts_the_views_of_the_rules_and_no_other(limits):
    for i in range(limits.gateways - limits.max_colluding):
        accepted = clients(limits).views(i, FOUR, absent=True)

        assert set(Rules(limits).views(i, FOUR, absent=True)) == set(accepted)


# Exact numbers of strategies guard the enumeration itself, for a model that forgets strategies
# finds no leaks either. By hand for n = 5, C = 1, q = 4 and one world (14 views): U2 and U3 all:
# four alike, or three and one of 5 others with that U2, 1 + 4 * 5; U2 all, U3 four: 4 * 14 + 1; U2
# and U3 four: 4 * 14 + 1; together 135. With two worlds a left-out gateway has 28 views:
# 2 * (21 + 113 + 113) = 494.
@pytest.mark.parametrize(
    ("made", "limits", "worlds", "absent", "expected"),
    [
        (Rules, derive(3), FOUR, False, Tally(64, 4, 4, 0, 0)),
        (Rules, derive(3), FOUR, True, Tally(100, 4, 4, 0, 0)),
        (Rules, derive(4), FOUR, False, Tally(85_184, 1_116, 1_116, 0, 0)),
        (Rules, derive(4), FOUR, True, Tally(97_336, 1_164, 1_164, 0, 0)),
        (Rules, derive(4, share_threshold=3), FOUR, False, Tally(85_184, 1_116, 1_116, 0, 0)),
        (Rules, derive(5), ONE, False, Tally(38_416, 135, 135, 0, 0)),
        deep(Rules, derive(5), TWO, False, Tally(614_656, 494, 494, 0, 0)),
        deep(Rules, FIVE, FOUR, False, Tally(175_616, 1_424, 1_424, 0, 0)),
        deep(Rules, FIVE, FOUR, True, Tally(195_112, 1_472, 1_472, 0, 0)),
        (clients, derive(3), FOUR, True, Tally(100, 4, 4, 0, 0)),
        (clients, derive(4), FOUR, False, Tally(85_184, 1_116, 1_116, 0, 0)),
        deep(clients, derive(4), FOUR, True, Tally(97_336, 1_164, 1_164, 0, 0)),
        deep(clients, FIVE, FOUR, False, Tally(175_616, 1_424, 1_424, 0, 0)),
        deep(clients, FIVE, FOUR, True, Tally(195_112, 1_472, 1_472, 0, 0)),
        (shown_at_once, derive(4), ONE, False, Tally(1_331, 81, 81, 0, 0)),
        deep(shown_at_once, derive(4), FOUR, False, Tally(85_184, 1_116, 1_116, 0, 0)),
        deep(shown_at_once, FIVE, FOUR, False, Tally(175_616, 1_424, 1_424, 0, 0)),
    ],
)
def test_no_strategy_opens_anything_but_the_agreed_sum(made, limits, worlds, absent, expected):
    gateways = made(limits)

    assert expected == tally(gateways, every_strategy(gateways, worlds, absent=absent))
    assert made is Rules or [] == gateways.unnamed


# -- samples of larger cohorts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        *((derive(n), 1_000) for n in range(6, 13)),
        *((circulant(*numbers), 2_000) for numbers in CIRCULANTS),
        *(deep(circulant(*numbers), 40_000) for numbers in CIRCULANTS),
    ],
    ids=str,
)
def test_no_sampled_strategy_leaks(limits, count):
    rules = Rules(limits)
    found = tally(rules, some_strategies(rules, count, SEED))

    assert found.played == count
    assert found.opened > count / 10  # otherwise the strategies are too wild to say anything
    assert (found.leaks, found.broken) == (0, 0)


@pytest.mark.usefixtures("any_thresholds")
@pytest.mark.parametrize("numbers", CIRCULANTS, ids=str)
@pytest.mark.parametrize("count", [8, deep(2_000)])
def test_no_sampled_strategy_leaks_from_clients(numbers, count):
    """With one of a few sets of allies."""
    limits = circulant(*numbers)
    draw, n, c = dice("allies", limits), limits.gateways, limits.max_colluding
    some = {frozenset(draw.sample(range(n), c)) for _ in range(2)}
    gateways = {allies: RealGateways(limits, allies) for allies in some}
    strategies = some_strategies(Rules(limits), 400 * count, SEED)
    wanted = ((shown, allies) for shown, allies in strategies if allies in gateways)
    found = [
        judge(gateways[allies], shown, allies) for shown, allies in itertools.islice(wanted, count)
    ]

    assert count == len(found)
    assert sum(bool(verdict.sums) for verdict in found) >= count / 12
    assert not any(verdict.leaks or verdict.breaks_promise for verdict in found)


# -- controls: with one number or one rule less the attack must be found ---------------------------
# Without each check of the real client: tests/protocol_sim/test_leaks_checks.py.


@pytest.mark.usefixtures("any_thresholds")
@pytest.mark.parametrize("real", [False, True])
def test_control_a_quorum_one_lower_leaks(real):
    q = derive(4).quorum - 1
    limits = replace(derive(4), quorum=q, min_included=q, max_dropouts=4 - q)
    policy = Floorless(min_colluding=1)
    gateways = RealGateways(limits, allies_of(limits), policy=policy) if real else Rules(limits)
    found = tally(gateways, every_strategy(gateways, ONE))

    assert (17_576, 7_053) == (found.played, found.leaks)


@pytest.mark.usefixtures("any_thresholds")
@pytest.mark.parametrize(
    ("made", "worlds", "expected"),
    [
        (Rules, TWO, Tally(10_648, 294, 10_648, 10_648, 10_648)),
        (clients, ONE, Tally(1_331, 81, 1_331, 1_331, 1_331)),
        deep(clients, TWO, Tally(10_648, 294, 10_648, 10_648, 10_648)),
    ],
)
def test_control_a_share_threshold_of_c_leaks(made, worlds, expected):
    """Colluding gateways open every secret before anybody answers, so all strategies leak.

    The published 294 are those in which somebody does answer.
    """
    gateways = made(replace(derive(4), share_threshold=derive(4).max_colluding))

    assert expected == tally(gateways, every_strategy(gateways, worlds))


@pytest.mark.parametrize(
    ("numbers", "switched_off"),
    [
        ((8, 4, 1, 2, 3), {"header_check": False}),
        ((10, 4, 1, 2, 2), {"header_check": False}),
        ((14, 6, 2, 3, 3), {"header_check": False}),
        ((8, 4, 1, 2, 3), {"dropout_check": False}),
        ((10, 4, 1, 2, 3), {"dropout_check": False}),
        ((12, 6, 2, 3, 3), {"dropout_check": False}),
        ((10, 4, 2, 2, 3), {}),  # k < C + D + 1: the graph can be cut
        ((12, 4, 2, 3, 3), {}),
    ],
)
def test_control_sampling_finds_what_a_missing_rule_lets_through(numbers, switched_off):
    rules = Rules(circulant(*numbers), **switched_off)

    assert tally(rules, some_strategies(rules, 2_000, SEED)).leaks > 0


# -- the oracle itself -----------------------------------------------------------------------------


EVERYONE = frozenset(range(4))


def test_a_full_round_opens_its_sum():
    rules = Rules(derive(4))
    view = Shown(0, 0, EVERYONE, EVERYONE)
    verdict = judge(rules, [view, view, view, None], frozenset({3}))

    assert verdict.answered == {0, 1, 2}
    assert verdict.sums == (frozenset({0, 1, 2}),)
    assert not verdict.leaks
    assert not verdict.breaks_promise


def test_who_drops_out_after_u2_is_not_opened():
    rules = Rules(derive(4))
    view = Shown(0, 0, EVERYONE, frozenset({0, 1, 3}))
    late = view._replace(u3=None)
    verdict = judge(rules, [view, view, late, None], frozenset({3}))

    assert verdict.sums == (frozenset({0, 1}),)


def test_a_silent_server_learns_nothing():
    rules = Rules(derive(4))
    view = Shown(0, 0, EVERYONE, None)
    verdict = judge(rules, [view, view, view, None], frozenset({3}))

    assert verdict == (frozenset(), (), ())


@st.composite
def systems(draw):
    """Uploads of up to six gateways with any edge masks, one- or two-sided, in two worlds."""
    count = draw(st.integers(1, 6))
    rows = {}
    for i in range(count):
        row = [("self", i)] if draw(st.booleans()) else []
        for j in range(count):
            world = draw(st.sampled_from([None, 0, 0, 1]))
            if j != i and world is not None:
                row.append((min(i, j), max(i, j), world))
        rows[i] = row
    return rows


@given(systems())
def test_components_span_what_elimination_finds(rows):
    by_components = open_sums(rows)
    # the lower position adds an edge mask, the higher subtracts it
    equations = [
        {Input(1, i): 1, **{Unknown(mask): -1 if i == mask[1] else 1 for mask in row}}
        for i, row in rows.items()
    ]
    by_elimination = basis(without(equations, Unknown), Input)

    # The sums are disjoint, so equal dimension and containment make the spaces equal.
    assert len(by_components) == len(by_elimination)
    for combination in by_elimination:
        for members in by_components:
            assert len({combination.get(Input(1, i), 0) for i in members}) == 1
        assert {name.gateway for name in combination} <= frozenset().union(*by_components)
