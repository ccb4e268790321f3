from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol_sim.leaks.masks import Rules, Shown, judge, open_combinations, open_sums
from protocol_sim.leaks.strategies import Tally, every_strategy, some_strategies, tally
from secagg.params import Thresholds
from secagg.thresholds import derive, quorum

# Worlds (h0, P) that a lying server may show: one, two parameters, two transcripts of each.
ONE = ((0, 0),)
TWO = ((0, 0), (0, 1))
FOUR = ((0, 0), (0, 1), (1, 0), (1, 1))
# n, k, C, D, t with k >= C + D + 1 and C < t <= k - D + 1: the sparse graphs of a later version.
CIRCULANTS = [
    (7, 4, 1, 2, 2),
    (8, 4, 1, 2, 3),
    (9, 4, 1, 2, 2),
    (10, 4, 1, 2, 2),
    (10, 4, 1, 2, 3),
    (12, 6, 2, 3, 3),
    (12, 6, 2, 3, 4),
    (14, 6, 2, 3, 3),
]
SEED = 20_240


def circulant(n, k, c, d, t):
    q = quorum(n, c)
    return Thresholds(
        gateways=n,
        max_colluding=c,
        max_dropouts=d,
        share_threshold=t,
        quorum=q,
        min_included=max(c + 2, q),
        degree=k,
    )


def everyone(n):
    return frozenset(range(n))


# Every strategy of a lying server (docs/protocol.md#lies-enumerated). Exact numbers of strategies
# guard the enumeration itself, for a model that forgets strategies finds no leaks either.
# By hand for n = 5, C = 1, q = 4 and one world (14 views): U2 and U3 all: four alike, or three and
# one of 5 others with that U2, 1 + 4 * 5; U2 all, U3 four: 4 * 14 + 1; U2 and U3 four: 4 * 14 + 1;
# together 135. With two worlds a left-out gateway has 28 views: 2 * (21 + 113 + 113) = 494.


@pytest.mark.parametrize(
    ("thresholds", "worlds", "absent", "expected"),
    [
        (derive(3), FOUR, False, Tally(64, 4, 4, 0, 0)),
        (derive(3), FOUR, True, Tally(100, 4, 4, 0, 0)),
        (derive(4), FOUR, False, Tally(85_184, 1_116, 1_116, 0, 0)),
        (derive(4), FOUR, True, Tally(97_336, 1_164, 1_164, 0, 0)),
        (derive(4, share_threshold=3), FOUR, False, Tally(85_184, 1_116, 1_116, 0, 0)),
        (derive(5), ONE, False, Tally(38_416, 135, 135, 0, 0)),
    ],
    ids=["3", "3-absent", "4", "4-absent", "4-largest-t", "5"],
)
def test_no_strategy_opens_anything_but_the_agreed_sum(thresholds, worlds, absent, expected):
    rules = Rules(thresholds)

    assert tally(rules, every_strategy(rules, worlds, absent=absent)) == expected


@pytest.mark.deep
@pytest.mark.parametrize(
    ("thresholds", "worlds", "absent", "expected"),
    [
        (derive(5, max_colluding=2), FOUR, False, Tally(175_616, 1_424, 1_424, 0, 0)),
        (derive(5, max_colluding=2), FOUR, True, Tally(195_112, 1_472, 1_472, 0, 0)),
        (derive(5), TWO, False, Tally(614_656, 494, 494, 0, 0)),
    ],
    ids=["5-two-colluding", "5-two-colluding-absent", "5-two-parameters"],
)
def test_no_strategy_opens_anything_else_at_five(thresholds, worlds, absent, expected):
    rules = Rules(thresholds)

    assert tally(rules, every_strategy(rules, worlds, absent=absent)) == expected


def no_leak_in_samples(thresholds, count):
    rules = Rules(thresholds)
    found = tally(rules, some_strategies(rules, count, SEED))

    assert found.played == count
    assert found.opened > count / 10  # otherwise the strategies are too wild to say anything
    assert (found.leaks, found.broken) == (0, 0)


@pytest.mark.parametrize("n", range(6, 13))
def test_no_sampled_strategy_leaks_on_the_shipped_thresholds(n):
    no_leak_in_samples(derive(n), 1_000)


@pytest.mark.parametrize("numbers", CIRCULANTS)
def test_no_sampled_strategy_leaks_on_circulants(numbers):
    no_leak_in_samples(circulant(*numbers), 2_000)


@pytest.mark.deep
@pytest.mark.parametrize("numbers", CIRCULANTS)
def test_no_strategy_leaks_on_circulants_in_forty_thousand(numbers):
    no_leak_in_samples(circulant(*numbers), 40_000)


# Controls: weaken one rule and the model must find the attack that the rule closes.


def test_control_a_quorum_one_lower_leaks():
    good = derive(4)
    q = good.quorum - 1
    weak = msgspec.structs.replace(good, quorum=q, min_included=q, max_dropouts=4 - q)
    rules = Rules(weak)
    found = tally(rules, every_strategy(rules, ONE))

    assert (found.played, found.leaks) == (17_576, 7_053)


def test_control_a_share_threshold_of_c_leaks():
    good = derive(4)
    rules = Rules(msgspec.structs.replace(good, share_threshold=good.max_colluding))
    found = tally(rules, every_strategy(rules, TWO))

    # Colluding gateways open every secret before anybody answers, so all strategies leak. The
    # published 294 are those in which somebody does answer.
    assert found == Tally(10_648, 294, 10_648, 10_648, 10_648)


def eclipse(rules, colluding, victim=0):
    """All see everybody, but the victim masks under a U2 without its neighbours."""
    n = rules.thresholds.gateways
    fooled = Shown(0, 0, everyone(n) - rules.neighbours[victim], None)
    assert rules.uploads(victim, fooled.u2)
    shown = [Shown(0, 0, everyone(n), everyone(n))] * n
    shown[victim] = fooled
    return judge(rules, [None if i in colluding else shown[i] for i in range(n)], colluding)


@pytest.mark.parametrize("colluding", range(1, 10))
def test_control_without_the_header_check_an_eclipsed_gateway_is_opened(colluding):
    thresholds = circulant(10, 4, 1, 2, 2)
    unchecked = eclipse(Rules(thresholds, header_check=False), frozenset({colluding}))
    checked = eclipse(Rules(thresholds), frozenset({colluding}))

    assert frozenset({0}) in unchecked.sums
    assert unchecked.leaks
    assert checked.sums == ()
    assert not checked.leaks


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


# The oracle itself.


def test_a_full_round_opens_its_sum():
    rules = Rules(derive(4))
    view = Shown(0, 0, everyone(4), everyone(4))
    verdict = judge(rules, [view, view, view, None], frozenset({3}))

    assert verdict.answered == {0, 1, 2}
    assert verdict.sums == (frozenset({0, 1, 2}),)
    assert not verdict.leaks
    assert not verdict.breaks_promise


def test_who_drops_out_after_u2_is_not_opened():
    rules = Rules(derive(4))
    view = Shown(0, 0, everyone(4), frozenset({0, 1, 3}))
    late = view._replace(u3=None)
    verdict = judge(rules, [view, view, late, None], frozenset({3}))

    assert verdict.sums == (frozenset({0, 1}),)


def test_a_silent_server_learns_nothing():
    rules = Rules(derive(4))
    view = Shown(0, 0, everyone(4), None)
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
    by_elimination = open_combinations(rows)

    # The sums are disjoint, so equal dimension and containment make the spaces equal.
    assert len(by_components) == len(by_elimination)
    for combination in by_elimination:
        for members in by_components:
            assert len({combination.get(i, Fraction(0)) for i in members}) == 1
        assert set(combination) <= frozenset().union(*by_components)
