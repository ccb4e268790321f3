"""What the server checks of single messages, and where it ends a round."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from secagg import encoding, errors
from secagg.crypto.labels import Label
from secagg.crypto.packed import PRIME
from secagg.protocol.audit import verify_record
from secagg.protocol.events import GatewayDropped
from secagg.protocol.messages import Answer, Signed, UploadHeader
from secagg.protocol.prekeys import Prekey
from secagg.schemes.additive import Lattice
from secagg.session import Model
from tests.schemes.additive.cheats import (
    LIAR,
    OTHERS,
    Cheats,
    assert_exact,
    assert_nothing_opened,
    crooked,
    of,
    play,
    random_rows,
)
from tests.schemes.additive.test_prekeys import rounds
from tests.schemes.additive.test_vanishing import Spool

SIX = {"max_colluding": 6, "max_dropouts": 6}
"""Thresholds with which a committee of 24 is possible among 66."""


def with_header(signer: int, **changes):
    """The liar's dealing with another header, signed by somebody."""
    world = Cheats(Lattice(), gateways=7)
    key = world.identities[signer].key

    def lie(dealing):
        header = replace(encoding.decode(UploadHeader, dealing.header.body), **changes)
        return replace(dealing, header=Signed.make(key, Label.SIGN_HEADER, header))

    world.lies = {(LIAR, "upload"): lie}
    return world.play()


@pytest.mark.parametrize(
    ("signer", "changes", "reason"),
    [
        (LIAR, {"h0": bytes(32)}, "FOREIGN"),
        (LIAR, {"h2": bytes(32)}, "FOREIGN"),
        (LIAR, {"position": 3}, "FOREIGN"),
        (LIAR, {"complaints": b"\x01"}, "MALFORMED"),
        (3, {}, "BAD_SIGNATURE"),
    ],
    ids=str,
)
def test_a_header_of_elsewhere(signer, changes, reason):
    world = with_header(signer, **changes)

    assert_exact(world, OTHERS)
    assert {LIAR: reason} == world.dropped


def test_ciphertexts_that_are_all_too_long():
    def longer(dealing):
        return replace(dealing, ciphertexts=tuple(c + b"\0" for c in dealing.ciphertexts))

    assert {LIAR: "MALFORMED"} == play(lies={(LIAR, "upload"): longer}).dropped


def test_the_smallest_number_that_is_no_element():
    def lie(answer):
        return of(answer, shares=PRIME.to_bytes(2, "little") + answer.shares[2:])

    assert {LIAR: "MALFORMED"} == play(lies={(LIAR, "answer"): lie}).dropped


def test_a_key_of_the_set_up_that_another_has_sent_ahead():
    taken = {}

    def without_three(_, setup):
        taken["key"] = encoding.decode(Prekey, setup[1].body).key
        return {i: signed for i, signed in setup.items() if i != 3}

    lies = {(3, "set_up"): lambda message: replace(message, key=taken["key"])}
    _, second = rounds(without_three, lies=lies)

    assert {3: "BAD_KEY"} == second.dropped


def test_signatures_on_another_transcript():
    lies = {
        (LIAR, "consistency"): lambda message: replace(message, h3=bytes(32)),
        (3, "consistency"): lambda message: replace(message, session=bytes(16)),
    }
    world = Cheats(Lattice(), gateways=65, lies=lies).play()

    assert {LIAR: "FOREIGN", 3: "FOREIGN"} == world.dropped


# -- where a round ends ----------------------------------------------------------------------------


def ended(world) -> errors.BelowThreshold:
    assert_nothing_opened(world)
    assert isinstance(world.aborted, errors.BelowThreshold)
    return world.aborted


def test_too_few_members_have_a_key():
    gone = dict.fromkeys(range(7), "set_up")
    world = Cheats(Lattice(committee=24), gateways=66, limits=SIX, vanish=gone).play()

    assert "set_up" == ended(world).phase


def test_more_than_d_outside_the_committee_vanish():
    gone = dict.fromkeys(range(50, 57), "upload")
    reason = ended(Cheats(Lattice(committee=24), gateways=66, limits=SIX, vanish=gone).play())

    assert (59, 60) == (reason.answered, reason.needed)


def test_below_a_quorum_nobody_is_asked_for_shares():
    gone = dict.fromkeys(range(30), "consistency")
    reason = ended(Cheats(Lattice(), gateways=65, vanish=gone).play())

    assert ("consistency", 35, 36) == (reason.phase, reason.answered, reason.needed)


def test_requests_that_fit_into_no_frame():
    with pytest.raises(errors.ConfigurationError, match="lower D or n"):
        Cheats(Lattice(committee=19), gateways=300, limits=SIX)


# -- cheating dealers, and what is left of a round -------------------------------------------------


def test_sixty_four_gateways_outlive_a_bad_dealer():
    kinds = {LIAR: crooked(random_rows)}
    world = Cheats(Lattice(keep_uploads=True), gateways=64, kinds=kinds).play()

    assert_exact(world, set(range(64)) - {LIAR})
    assert ["set_up", "upload", "answer", "answer_again"] == world.phases


def test_above_sixty_four_a_bad_dealer_ends_the_round_whatever_is_kept():
    kinds = {LIAR: crooked(random_rows)}
    world = Cheats(Lattice(keep_uploads=True), gateways=65, kinds=kinds).play()

    assert_nothing_opened(world)
    assert isinstance(world.aborted, errors.BadDealing)
    assert (LIAR,) == world.aborted.dealers
    assert f"bad shares ({LIAR}): complaints by " in str(world.aborted)


def test_a_dealer_proved_guilty_is_named_also_where_its_round_opens():
    """n = 6, C = 1, D = 2: two reject it, and the other four can open the sum with it."""

    def spoil(rows):
        rows[[0, 1]] ^= 1
        return rows

    world = Cheats(Lattice(), gateways=6, kinds={4: crooked(spoil)}).play()

    assert_exact(world, set(range(6)))
    assert {4: "BAD_DEALER"} == world.dropped


def test_above_sixty_four_nothing_is_kept_for_a_question_that_is_never_asked():
    spool = Spool()
    world = Cheats(Lattice(keep_uploads=True), gateways=65, spool=spool, max_in_flight=65).play()

    assert_exact(world, set(range(65)))
    assert [] == spool.files


def test_what_a_gateway_calls_its_answer_is_quoted_and_cut():
    world = Cheats(Lattice(), gateways=7)
    honest = world.lie
    signed = Signed(body=b"", signature=b"")
    answer = Answer(step="x\n" * 100_000, signed=signed)

    def passes(frame):
        if frame.up and frame.gateway == LIAR and world.server.phase == "answer":
            codec = world.server._codec
            return [codec.encode(answer, world.server.session)]
        return honest(frame)

    world.passes = passes
    world.play()
    (detail,) = (event.detail for event in world.events if isinstance(event, GatewayDropped))

    assert len(detail) < 100
    assert "\n" not in detail


def test_a_round_that_was_asked_again_has_signatures_on_its_last_set_only():
    world = play(kinds={LIAR: crooked(random_rows)}, scheme=Lattice(keep_uploads=True))

    assert_exact(world, OTHERS)
    assert OTHERS == verify_record(world.server.audit, world.roster)


def test_garbage_that_ends_the_round_closes_kept_uploads():
    spool = Spool()
    world = Cheats(Lattice(keep_uploads=True), gateways=7, spool=spool)
    honest = world.lie

    def passes(frame):
        answers = frame.up and world.server.phase == "answer"
        return [b"garbage"] if answers and frame.gateway in {0, 3, 6} else honest(frame)

    world.passes = passes
    world.play()

    assert_nothing_opened(world)
    assert 0 == spool.open


@pytest.mark.parametrize("vanish", [{}, dict.fromkeys((0, 3, 6), "answer")], ids=["done", "over"])
def test_the_servers_key_is_erased_in_the_end(vanish):
    world = play(vanish=vanish)
    with pytest.raises(errors.LocalProtocolError, match="erased"):
        world.server._server._private.reveal()


def test_the_model_is_the_one_of_the_moment_it_is_announced():
    world = Cheats(Lattice(), gateways=4)
    base = {"w": np.zeros(7)}
    world.server.use_model(base)
    with pytest.raises(errors.ModelMismatch):  # the gateways of this world train on none
        world.play()

    assert Model.of(base).hash == world.server._server.round.model
