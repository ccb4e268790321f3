"""What the masks server decides beyond single lies, which are rows of `protocol_sim.cheats`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from protocol_sim.cheats.cheat import Make, altering, honestly, then
from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from protocol_sim.play import Frame, Play
from secagg import errors
from secagg.canonical import bitmap, decode
from secagg.params import Struct
from secagg.protocol.events import SharesDisputed
from secagg.schemes.masks.messages import AdvertiseKeys
from secagg.thresholds import derive
from secagg.wire import new_vector_frame

K, R1, R2, R3, R4 = "advertise_keys", "share_keys", "masked_input", "consistency", "unmasking"
LIAR = "g1"
ONE = bytes(31) + b"\1"


def says(step: str, change: Callable[[Any], Struct]) -> Make:
    """A gateway that changes its answer to one step, under its own key."""
    return altering(step, lambda body, _: change(body))


def play(
    lie: Make | None = None,
    *,
    gateways: int = 5,
    liars: tuple[str, ...] = (LIAR,),
    limits: dict[str, int] | None = None,
    **options: Any,
) -> Exchange:
    """A session in which some gateways tell the same lie."""
    parties = Parties(gateways)
    settings = parties.settings(thresholds=derive(gateways, **(limits or {})))
    exchange = Exchange(parties, settings=settings, **options)
    hooks = {liar: lie(exchange, liar) for liar in liars} if lie else {}
    exchange.passes = lambda frame: hooks.get(frame.gateway, honestly)(frame)
    return exchange.play()


# -- single answers --------------------------------------------------------------------------------


def test_a_copied_key_drops_who_comes_second():
    def make(session: Play, liar: str) -> Callable[[Frame], Iterable[bytes]]:
        def copied(body: Any) -> Struct:
            held = session.server._machine._phase.held[0].signed
            return replace(body, mask_key=decode(AdvertiseKeys, held.body).mask_key)

        return says(K, copied)(session, liar)

    exchange = play(make)

    assert {LIAR: (K, "BAD_KEY")} == exchange.dropped
    assert exchange.verdict.summed


def test_each_commitment_has_its_size():
    def short(body: Any) -> Struct:
        return replace(body, commitments=(*body.commitments[:-1], (ONE, ONE[1:])))

    assert {LIAR: (R1, "MALFORMED")} == play(says(R1, short)).dropped


def test_a_sealed_share_is_not_a_byte_too_long():
    def long(body: Any) -> Struct:
        return replace(body, ciphertexts=(*body.ciphertexts[:-1], body.ciphertexts[-1] + b"\0"))

    assert {LIAR: (R1, "MALFORMED")} == play(says(R1, long)).dropped


def test_a_complaint_about_one_who_dealt_nothing():
    lie = says(R2, lambda body: replace(body, complaints=bitmap([5], 6)))
    exchange = play(lie, gateways=6, vanish={"g5": R1})

    assert (R2, "MALFORMED") == exchange.dropped[LIAR]
    assert ("g0", "g2", "g3", "g4") == exchange.verdict.summed


@pytest.mark.parametrize("phase", [K, R1, R3, R4])
def test_frames_outside_the_upload_change_nothing(phase):
    exchange = Exchange(Parties(5)).play_until(phase)
    frame, _ = new_vector_frame(exchange.server.session, 0, 3)
    exchange.send(exchange.deliver(Frame(LIAR, up=True, step=phase, data=bytes(frame))))
    exchange.play()

    assert {} == exchange.dropped
    assert exchange.cohort == exchange.verdict.summed


# -- too few answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [K, R1, R2, R3])
def test_each_phase_carries_d_and_not_one_more(phase):
    """n = 7, C = D = 2: q = n_min = 5."""
    two = play(gateways=7, vanish={"g1": phase, "g4": phase})
    three = play(gateways=7, vanish={"g1": phase, "g4": phase, "g6": phase})

    assert two.verdict.summed
    assert (4, 5, phase) == (three.aborted.answered, three.aborted.needed, three.aborted.phase)


@pytest.mark.parametrize(
    ("limits", "phase", "needed"),
    [
        ({"max_dropouts": 1, "share_threshold": 5}, K, 5),
        ({"max_dropouts": 1, "share_threshold": 5}, R1, 5),
        ({"max_dropouts": 1, "min_included": 5}, K, 5),
        ({"max_dropouts": 1, "min_included": 5}, R1, 5),
        ({"max_dropouts": 1}, R2, 5),
        ({"max_dropouts": 1}, R3, 4),
    ],
    ids=str,
)
def test_each_bound_of_a_phase_counts(limits, phase, needed):
    gone = dict.fromkeys(["g3", "g4", "g5"][: 6 - needed + 1], phase)
    ended = play(gateways=6, limits=limits, vanish=gone).aborted

    assert (needed - 1, needed, phase) == (ended.answered, ended.needed, ended.phase)


def test_t_answers_rebuild_what_the_others_keep_and_one_less_does_not():
    """n = 6, t = 3."""
    three = play(gateways=6, vanish=dict.fromkeys(["g2", "g3", "g4"], R4))
    two = play(gateways=6, vanish=dict.fromkeys(["g2", "g3", "g4", "g5"], R4)).aborted

    assert three.parties.ids == three.verdict.summed
    assert (2, 3, R4) == (two.answered, two.needed, two.phase)


# -- bad shares and garbage ------------------------------------------------------------------------


@pytest.mark.parametrize(("t", "goes"), [(4, False), (5, True)])
def test_a_dealer_with_too_few_good_holders_goes_without_a_proof(t, goes):
    """n = 7, C = D = 2: one complaint proves nothing, but 5 of 6 good holders are too few."""
    lie = says(R1, lambda body: replace(body, ciphertexts=(b"", *body.ciphertexts[1:])))
    exchange = play(lie, gateways=7, limits={"share_threshold": t})

    assert ({LIAR: (R2, "BAD_DEALER")} if goes else {}) == exchange.dropped
    assert [SharesDisputed("g0", LIAR)] == [
        event for event in exchange.events if isinstance(event, SharesDisputed)
    ]
    assert exchange.verdict.summed
    assert goes == (LIAR not in exchange.included)


@pytest.mark.parametrize("liars", [("g1", "g2", "g3"), ("g1",), ("g3", "g5", "g9")])
def test_as_many_liars_about_shares_as_may_collude_cost_nothing(liars):
    """n = 10, C = D = 3, t = 4: three fall silent, three lie, and four good shares are left."""
    vanish = dict.fromkeys(("g0", "g4", "g8"), R4)
    lie = says(R4, lambda body: replace(body, seed_shares=(bytes(39),) * len(body.seed_shares)))
    exchange = play(lie, gateways=10, liars=liars, vanish=vanish)
    named = exchange.dropped.keys() - vanish

    assert exchange.parties.ids == exchange.verdict.summed
    # who lies after four good shares of everybody have come is not asked
    assert named & {"g1", "g3"}
    assert named <= {*liars}


def test_garbage_with_a_dead_neighbour_blames_nobody_who_told_the_truth():
    """The check words are rebuilt over every edge; all were true, so nobody is named."""
    exchange = Exchange(Parties(6), vanish={"g5": R2}).play_until(R2)
    secrets = exchange.clients[LIAR]._client._secrets
    committed = secrets["seed"]
    secrets["seed"] = type(committed)(ONE)
    exchange.play_until(R4)
    secrets["seed"] = committed
    exchange.play()

    assert errors.AggregateOutOfRange is type(exchange.aborted)
    assert ["g5"] == list(exchange.dropped)
    with pytest.raises(errors.LocalProtocolError):
        _ = exchange.server.result


def test_garbage_that_too_few_shares_are_left_to_explain():
    """n = 6, D = 2, t = 4: two dead, and one of four holders rejects the share of one of them."""
    complaint = says(R2, lambda body: replace(body, complaints=bitmap([5], 6)))
    garbage = says(R4, lambda body: replace(body, edge_secrets=(ONE,) * 2))
    options = {"gateways": 6, "limits": {"share_threshold": 4}, "vanish": {"g4": R2, "g5": R2}}
    calm = play(complaint, **options)
    ended = play(then(complaint, garbage), **options).aborted

    assert calm.verdict.summed
    assert errors.AggregateOutOfRange is type(ended)
    assert "too few shares" in str(ended)
