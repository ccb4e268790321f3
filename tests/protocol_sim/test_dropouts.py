"""Every subset of gateways vanishing at every point: the exact sum of who is left, or the abort."""

from __future__ import annotations

import itertools

import pytest

from protocol_sim.memory import Exchange
from protocol_sim.oracle import judge
from protocol_sim.parties import Parties
from protocol_sim.randomness import dice
from secagg.errors import BelowThreshold
from secagg.protocol.events import Aborted
from secagg.schemes import scheme_of

NAMES = ("masks", "lattice", "ckks")


def points_of(scheme, gateways):
    return Exchange(Parties(gateways, scheme_of(scheme))).points


def outcome(scheme, gateways, vanish, **options):
    return Exchange(Parties(gateways, scheme_of(scheme)), vanish=vanish, **options).play()


def check(exchange, vanish):
    """As many as promised may vanish anywhere; one more ends the round or not, never wrongly."""
    verdict = exchange.verdict

    assert verdict.violation == ""
    assert set(verdict.dropped) <= set(vanish)
    if len(vanish) <= exchange.settings.thresholds.max_dropouts:
        assert verdict.outcome == "sum"
    elif verdict.outcome != "sum":
        assert isinstance(exchange.aborted, BelowThreshold)


def subsets(gateways):
    names = [f"g{place}" for place in range(gateways)]
    for size in range(gateways + 1):
        yield from itertools.combinations(names, size)


@pytest.mark.parametrize("scheme", NAMES)
@pytest.mark.parametrize(
    "gateways",
    [3, 4, pytest.param(5, marks=pytest.mark.deep), pytest.param(6, marks=pytest.mark.deep)],
)
def test_every_subset_at_every_point(scheme, gateways):
    for point, names in itertools.product(points_of(scheme, gateways), subsets(gateways)):
        vanish = dict.fromkeys(names, point)
        check(outcome(scheme, gateways, vanish), vanish)


@pytest.mark.deep
@pytest.mark.parametrize("scheme", NAMES)
@pytest.mark.parametrize("gateways", [3, 4])
def test_every_subset_with_a_point_for_each(scheme, gateways):
    places = [None, *points_of(scheme, gateways)]
    for chosen in itertools.product(places, repeat=gateways):
        vanish = {f"g{at}": point for at, point in enumerate(chosen) if point is not None}
        check(outcome(scheme, gateways, vanish), vanish)


@pytest.mark.parametrize("scheme", NAMES)
def test_random_points_with_more_gateways(scheme):
    rng = dice("dropouts", scheme)
    for gateways in (7, 9, 12):
        places = list(points_of(scheme, gateways))
        for _ in range(3):
            count = rng.randint(0, scheme_of(scheme).thresholds(gateways).max_dropouts + 1)
            chosen = rng.sample(range(gateways), count)
            vanish = {f"g{at}": rng.choice(places) for at in chosen}
            options = {"order": rng.choice([0, -1]), "interleaved": rng.random() < 0.5}
            check(outcome(scheme, gateways, vanish, **options), vanish)


# -- the oracle can fail ---------------------------------------------------------------------------


def test_a_wrong_sum_is_seen():
    exchange = Exchange(Parties(4)).play()
    before = judge(exchange).summed
    exchange.server._server.opened.vectors[0][0] += 1

    assert exchange.parties.ids == before
    assert "update/0 is off by 1 units, 0 are allowed" == judge(exchange).violation
    assert () == judge(exchange).summed


def test_noise_is_allowed_as_far_as_it_is_stated():
    exchange = Exchange(Parties(4, scheme_of("ckks"))).play()
    opened = exchange.server._server.opened
    far = int(exchange.settings.carried.noise.bound)
    off = int(
        (exchange.opened[0][0])
        - exchange.parties.expected(exchange.server._server.round, exchange.included)[0][0]
    )

    assert judge(exchange).violation == ""
    opened.vectors[0][0] += far - off
    assert judge(exchange).violation == ""
    opened.vectors[0][0] += 1
    assert f"off by {far + 1} units" in judge(exchange).violation


def test_an_exact_vector_allows_no_noise():
    exchange = Exchange(Parties(4, scheme_of("ckks"))).play()
    names = [vector.name for vector in exchange.server._server.round.vectors]
    exchange.server._server.opened.vectors[names.index("weight")][0] += 1

    assert "weight is off by 1 units, 0 are allowed" == judge(exchange).violation


def test_too_small_a_set_is_seen(monkeypatch):
    exchange = Exchange(Parties(4), vanish={"g0": "masked_input"}).play()

    assert judge(exchange).violation == ""
    monkeypatch.setattr(type(exchange), "included", ("g1", "g2"))
    assert "a sum over 2, at least 3 are promised" == judge(exchange).violation


def test_an_open_session_and_an_unknown_error_are_seen():
    exchange = Exchange(Parties(4)).play_until("consistency")

    assert "still in phase consistency" == judge(exchange).violation
    assert () == judge(exchange).summed
    exchange.events.append(Aborted(ValueError("what is this")))
    assert "ended in ValueError: what is this" == judge(exchange).violation
