"""More than 64 gateways: the real sessions on circulant graphs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from protocol_sim.memory import Exchange, points
from protocol_sim.parties import Parties
from secagg import errors, wire
from secagg.crypto.prg_fast import add_masks
from secagg.crypto.shamir import combine_each
from secagg.fixed_point.reference import unpack
from secagg.protocol.events import Aborted
from secagg.protocol.messages import COMMON
from secagg.schemes.masks import Masks
from secagg.schemes.masks.client import MasksClient
from secagg.schemes.masks.keys import self_key, stream_starts
from secagg.schemes.masks.messages import MESSAGES
from secagg.schemes.masks.server import MasksServer
from secagg.session.loopback import Frame
from secagg.thresholds import derive, neighbours
from secagg.wire import VECTOR, Codec, MessageTable

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


def test_gateways_beyond_the_neighbours_are_known_by_their_hashes_alone():
    parties = Parties(65)
    exchange = Exchange(parties).play_until(R1)
    exchange.step()
    request = next(f for f in exchange.pending if not f.up and f.step == R1)
    message = CODEC.decode(wire.open(request.data))

    assert 15 == len(message.adverts)
    assert 50 == len(message.hashes)


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


# -- needed on circulants: docs/protocol.md#headers-of-neighbours ----------------------------------

VICTIM = 20
NAME = f"g{VICTIM}"


class LyingServer(MasksServer):
    """Takes the victim's header although it masked under another U2."""

    def _take_header(self, position, header, signed):
        if position == VICTIM:
            self.victims = header
            header = replace(header, h0=self._h0, h2=self._h2)
            # what it relays is what the victim signed: nobody else can sign for it
        return super()._take_header(position, header, signed)


@dataclass(frozen=True, slots=True)
class LyingMasks(Masks):
    def server(self, params, round_params, context):
        return LyingServer(params, round_params, context)


class Unheeding(MasksClient):
    """A gateway without the check of its neighbours' headers."""

    def _check_headers(self, headers):
        pass


@dataclass(frozen=True, slots=True)
class UnheedingMasks(Masks):
    def client(self, session, context):
        return Unheeding(session, context)


def isolate(scheme):
    """The victim is shown a U2 without its neighbours, everybody else the true one.

    So it masks with b alone, and b is what its neighbours hold shares of. It is asked nothing more.
    """
    parties = Parties(65)
    settings = dataclasses.replace(parties.settings(), scheme=LyingMasks())
    exchange = Exchange(
        parties,
        settings=settings,
        client=lambda name: parties.client(name, 1, schemes=(scheme,)),
    )
    near = neighbours(settings.thresholds, VICTIM)

    def passes(frame: Frame) -> list[bytes]:
        if frame.up or frame.gateway != NAME:
            return [frame.data]
        if frame.step == R2:
            message = CODEC.decode(wire.open(frame.data))
            far = exchange.server._cohort.bits(frozenset(range(65)) - near)
            return [CODEC.encode(replace(message, dealers=far, shares=()), exchange.server.session)]
        return [frame.data] if frame.step in {K, R1} else []

    exchange.passes = passes
    return exchange.play()


def opened_alone(exchange):
    """The victim's coordinates, out of its own upload and the shares of b that were released."""
    server = exchange.server._server
    shares = {
        holder: dict(zip(server._recovery.alive(holder), answer.seed_shares, strict=True))[VICTIM]
        for holder, answer in server._answers.items()
        if VICTIM in server._recovery.alive(holder)
    }
    [seed] = combine_each([shares], server.params.thresholds.share_threshold)
    frames = [f.data for f in exchange.log if f.up and f.gateway == NAME]
    words = np.concatenate(
        [wire.open(data).vector().words for data in frames if wire.open(data).type == VECTOR]
    )
    vectors, start = [], 0
    key = self_key(seed, h2=server.victims.h2, position=VICTIM)
    places = stream_starts(server.round.vectors)
    for place, spec in zip(places, server.round.vectors):  # noqa: B905 - the last is the end
        part = words[start : start + spec.words].astype(np.uint64)
        start += spec.words
        add_masks(part, place, [(-1, key)])
        vectors.append(unpack(spec, part.tolist())[: spec.length])
    return vectors


def test_neighbours_refuse_the_header_of_one_who_masked_under_another_set():
    exchange = isolate(Masks())
    near = [f"g{i}" for i in neighbours(exchange.settings.thresholds, VICTIM)]
    reasons = {
        name: [e.reason for e in exchange.client_events[name] if isinstance(e, Aborted)]
        for name in near
    }

    assert {name: [errors.HeaderMismatch] for name in near} == {
        name: [type(reason) for reason in each] for name, each in reasons.items()
    }
    assert NAME in str(reasons[near[0]][0])
    # the others answer, but none of them holds a share of the victim's b
    assert exchange.server._server._answers.keys().isdisjoint(
        neighbours(exchange.settings.thresholds, VICTIM)
    )


def test_control_without_that_check_the_victims_update_opens_alone():
    exchange = isolate(UnheedingMasks())
    alone = exchange.parties.expected(exchange.server._server.round, [NAME])

    assert [vector.tolist() for vector in alone] == opened_alone(exchange)
