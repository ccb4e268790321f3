"""All strategies of a lying server against the real masks client.

What a client answers is found by asking it (`leaks.real_gateways`): a fresh one for each view, of
every U2 and every U3 there is. Numbers of strategies and leaks are those of the rules, which
`tests/rules/test_enumeration.py` derives (docs/protocol.md#lies-enumerated).
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import pytest
from msgspec.structs import replace

from protocol_sim.leaks.masks import Rules, Shown, judge
from protocol_sim.leaks.real_gateways import RealGateways
from protocol_sim.leaks.strategies import Tally, some_strategies, tally, views
from protocol_sim.randomness import dice
from secagg.params import Thresholds
from secagg.protocol.policy import Policy
from secagg.schemes.masks.client import MasksClient
from secagg.thresholds import derive, neighbours, quorum

ONE = ((0, 0),)
TWO = ((0, 0), (0, 1))
FOUR = ((0, 0), (0, 1), (1, 0), (1, 1))
FIVE = derive(5, max_colluding=2)
CIRCULANTS = [
    (7, 4, 1, 2, 2),
    (8, 4, 1, 2, 3),
    (9, 4, 1, 2, 2),
    (10, 4, 1, 2, 3),
    (11, 4, 1, 2, 3),
    (12, 6, 2, 3, 3),
    (13, 6, 2, 3, 4),
    (14, 6, 2, 3, 3),
]
"""n, k, C, D, t."""


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


class Floorless(Policy):
    def check_session(self, params, members):
        pass


@pytest.fixture
def any_thresholds(monkeypatch):
    """Clients that take thresholds which a real one refuses: for controls and for circulants."""
    monkeypatch.setattr("secagg.thresholds.verify", lambda _thresholds: None)


def allies_of(limits):
    return frozenset(range(limits.gateways - limits.max_colluding, limits.gateways))


@lru_cache
def gateways_of(limits):
    return RealGateways(limits, allies_of(limits))


def every_strategy(gateways, worlds, *, absent=False):
    """Of what the clients accept, not of what the rules say that they do."""
    allies = gateways.colluding
    honest = range(gateways.thresholds.gateways - len(allies))
    options = [gateways.views(i, worlds, absent=absent) for i in honest]
    for shown in itertools.product(*options):
        yield shown + (None,) * len(allies), allies


@pytest.mark.parametrize(
    "limits",
    [derive(3), derive(4), pytest.param(FIVE, marks=pytest.mark.deep)],
    ids=["3", "4", "5"],
)
def test_a_client_accepts_the_views_of_the_rules_and_no_other(limits):
    gateways, rules = gateways_of(limits), Rules(limits)
    for i in range(limits.gateways - limits.max_colluding):
        assert set(views(rules, i, FOUR, absent=True)) == set(gateways.views(i, FOUR, absent=True))


# -- zero leaks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "absent", "expected"),
    [
        (derive(3), True, Tally(100, 4, 4, 0, 0)),
        (derive(4), False, Tally(85_184, 1_116, 1_116, 0, 0)),
        pytest.param(derive(4), True, Tally(97_336, 1_164, 1_164, 0, 0), marks=pytest.mark.deep),
        pytest.param(FIVE, False, Tally(175_616, 1_424, 1_424, 0, 0), marks=pytest.mark.deep),
        pytest.param(FIVE, True, Tally(195_112, 1_472, 1_472, 0, 0), marks=pytest.mark.deep),
    ],
    ids=["3", "4", "4-absent", "5", "5-absent"],
)
def test_no_strategy_opens_anything_but_the_agreed_sum(limits, absent, expected):
    gateways = gateways_of(limits)

    assert expected == tally(gateways, every_strategy(gateways, FOUR, absent=absent))
    assert [] == gateways.unnamed


class AllAtOnce(RealGateways):
    """Shows a client all headers of a strategy together."""

    def signs(self, i, shown):
        return self.signs_at_once(i, shown)


@pytest.mark.parametrize(
    ("limits", "worlds", "expected"),
    [
        (derive(4), ONE, Tally(1_331, 81, 81, 0, 0)),
        pytest.param(derive(4), FOUR, Tally(85_184, 1_116, 1_116, 0, 0), marks=pytest.mark.deep),
        pytest.param(FIVE, FOUR, Tally(175_616, 1_424, 1_424, 0, 0), marks=pytest.mark.deep),
    ],
    ids=["4-one", "4", "5"],
)
def test_headers_shown_together_change_nothing(limits, worlds, expected):
    gateways = AllAtOnce(limits, allies_of(limits))

    assert expected == tally(gateways, every_strategy(gateways, worlds))


def sampled(limits, count, **options):
    """Strategies on a circulant, with one of a few sets of allies."""
    rules, draw = Rules(limits), dice("allies", limits)
    n, c = limits.gateways, limits.max_colluding
    some = {frozenset(draw.sample(range(n), c)) for _ in range(2)}
    interviews = {allies: RealGateways(limits, allies, **options) for allies in some}
    strategies = some_strategies(rules, 400 * count, 20_240)
    wanted = ((shown, allies) for shown, allies in strategies if allies in interviews)
    for shown, allies in itertools.islice(wanted, count):
        yield judge(interviews[allies], shown, allies)


@pytest.mark.usefixtures("any_thresholds")
@pytest.mark.parametrize("numbers", CIRCULANTS, ids=str)
@pytest.mark.parametrize("count", [8, pytest.param(2_000, marks=pytest.mark.deep)])
def test_no_sampled_strategy_leaks_on_circulants(numbers, count):
    found = list(sampled(circulant(*numbers), count))

    assert count == len(found)
    assert (
        sum(bool(verdict.sums) for verdict in found) >= count / 12
    )  # otherwise they are too wild to say anything
    assert not any(verdict.leaks or verdict.breaks_promise for verdict in found)


# -- controls: the same clients, with one number or one check less ---------------------------------


@pytest.mark.usefixtures("any_thresholds")
def test_control_a_quorum_one_lower_leaks():
    good = derive(4)
    q = good.quorum - 1
    limits = replace(good, quorum=q, min_included=q, max_dropouts=4 - q)
    gateways = RealGateways(limits, allies_of(limits), policy=Floorless(min_colluding=1))
    found = tally(gateways, every_strategy(gateways, ONE))

    assert (17_576, 7_053) == (found.played, found.leaks)


@pytest.mark.usefixtures("any_thresholds")
@pytest.mark.parametrize(
    ("worlds", "expected"),
    [
        (ONE, Tally(1_331, 81, 1_331, 1_331, 1_331)),
        pytest.param(TWO, Tally(10_648, 294, 10_648, 10_648, 10_648), marks=pytest.mark.deep),
    ],
    ids=["one", "two"],
)
def test_control_a_share_threshold_of_c_leaks(worlds, expected):
    good = derive(4)
    limits = replace(good, share_threshold=good.max_colluding)
    gateways = RealGateways(limits, allies_of(limits))

    assert expected == tally(gateways, every_strategy(gateways, worlds))


class Unheeding(MasksClient):
    """Without the check of its neighbours' headers."""

    def _check_headers(self, headers):
        pass


@pytest.mark.usefixtures("any_thresholds")
@pytest.mark.parametrize(("client", "opens"), [(MasksClient, False), (Unheeding, True)])
def test_control_without_the_header_check_an_eclipsed_gateway_is_opened(client, opens):
    """All see everybody, but gateway 0 masks under a U2 without its neighbours."""
    limits = circulant(10, 4, 1, 2, 2)
    allies, everybody = frozenset({5}), frozenset(range(10))
    whole = Shown(0, 0, everybody, everybody)
    eclipsed = Shown(0, 0, everybody - neighbours(limits, 0), None)
    shown = [None if i in allies else whole if i else eclipsed for i in range(10)]
    verdict = judge(RealGateways(limits, allies, client=client), shown, allies)

    assert opens == (frozenset({0}) in verdict.sums)
    assert opens == verdict.leaks


class Generous(MasksClient):
    """Counts nobody that was left out."""

    def _certify(self, request):
        self._limits = replace(self._limits, max_dropouts=len(self._cohort))
        return super()._certify(request)


@pytest.mark.usefixtures("any_thresholds")
@pytest.mark.parametrize(("client", "opens"), [(MasksClient, False), (Generous, True)])
def test_control_more_than_d_left_out_cut_the_graph(client, opens):
    """All four neighbours of gateway 0 are said to have vanished."""
    limits = circulant(12, 4, 1, 2, 2)
    near, everybody = neighbours(limits, 0), frozenset(range(12))
    allies = frozenset({6})
    inside = Shown(0, 0, everybody, everybody - near)
    shown = [
        None if i in allies else inside._replace(u3=None) if i in near else inside
        for i in range(12)
    ]
    verdict = judge(RealGateways(limits, allies, client=client), shown, allies)

    assert opens == (frozenset({0}) in verdict.sums)
    assert opens == verdict.leaks
