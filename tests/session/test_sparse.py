"""More than 64 gateways: the real sessions on circulant graphs."""

from __future__ import annotations

import msgspec
import pytest

from protocol_sim.memory import Exchange, points
from protocol_sim.parties import Parties
from secagg import errors, wire
from secagg.protocol.messages import COMMON
from secagg.schemes.masks import Masks
from secagg.schemes.masks.messages import MESSAGES
from secagg.thresholds import derive
from secagg.wire import Codec, MessageTable

POINTS = tuple(points(Masks(), derive(4), frames=4))
STEPS = tuple(step.name for step in Masks.steps)
replace = msgspec.structs.replace
CODEC = Codec(MessageTable(dict(COMMON) | dict(MESSAGES)))
K, R1, R2, R3, R4 = STEPS


@pytest.mark.parametrize("gateways", [65, 66, 100])
def test_the_sum_is_exact_with_as_many_vanished_as_promised(gateways):
    """D gateways fall silent all over the circle, at every point of the session."""
    parties = Parties(gateways)
    limits = parties.settings().thresholds
    step = gateways // limits.max_dropouts
    vanish = {parties.ids[i * step]: POINTS[i % len(POINTS)] for i in range(limits.max_dropouts)}
    exchange = Exchange(parties, vanish=vanish, keep_log=False).play()

    assert exchange.verdict.summed
    assert limits.degree < gateways - 1


@pytest.mark.slow
def test_a_thousand_gateways_of_whom_fifty_vanish():
    """C = D = 50, k = 102; half a minute of real cryptography."""
    parties = Parties(1000)
    settings = parties.settings(limits={"max_colluding": 50, "max_dropouts": 50})
    vanish = {parties.ids[20 * i]: POINTS[i % len(POINTS)] for i in range(50)}
    exchange = Exchange(parties, settings=settings, vanish=vanish, keep_log=False).play()

    assert exchange.verdict.summed
    assert 102 == settings.thresholds.degree
    assert set(vanish) == set(exchange.dropped)


@pytest.mark.parametrize("point", POINTS)
def test_a_whole_arc_may_vanish(point):
    """The D neighbours on one side of a gateway: no choice of the vanished is worse for it."""
    parties = Parties(65)
    dropouts = parties.settings().thresholds.max_dropouts
    vanish = dict.fromkeys(parties.ids[10 : 10 + dropouts], point)
    exchange = Exchange(parties, vanish=vanish, keep_log=False).play()

    assert exchange.verdict.summed


def test_one_vanished_more_than_promised_ends_the_round_by_name():
    parties = Parties(65)
    dropouts = parties.settings().thresholds.max_dropouts
    vanish = dict.fromkeys(parties.ids[: dropouts + 1], R2)
    exchange = Exchange(parties, vanish=vanish, keep_log=False).play()

    assert isinstance(exchange.aborted, errors.BelowThreshold)


def test_gateways_beyond_the_neighbours_are_known_by_a_few_hashes_of_many():
    parties = Parties(65)
    exchange = Exchange(parties).play_until(R1)
    exchange.step()
    request = next(f for f in exchange.pending if not f.up and f.step == R1)
    message = CODEC.decode(wire.open(request.data))

    assert 15 == len(message.adverts)
    assert 8 == len(message.hashes)  # of 50


@pytest.mark.parametrize("larger", [40, 64])
def test_a_larger_degree_is_announced_and_accepted(larger):
    parties = Parties(65)
    limits = Masks(neighbours=larger).thresholds(65)
    exchange = Exchange(
        parties,
        settings=parties.settings(thresholds=derive(65, degree=larger)),
        vanish={"g7": R2, "g9": R4},
        keep_log=False,
    ).play()

    assert exchange.verdict.summed
    assert limits == exchange.server._server.params.thresholds
