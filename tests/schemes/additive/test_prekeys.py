"""Forged, replayed, repeated and withheld prekeys: at a gateway and at the orchestrator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from protocol_sim.randomness import entropy
from secagg import canonical, errors, wire
from secagg.crypto.agreement import public_key
from secagg.crypto.labels import Label
from secagg.crypto.signing import verify
from secagg.protocol import prekeys
from secagg.protocol.identity import Identity
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.messages import Signed, sign_round
from secagg.protocol.prekeys import Prekey
from secagg.schemes.additive import Lattice
from secagg.thresholds import derive_committee
from tests.schemes.additive.cheats import CODEC, Cheats, assert_exact, assert_nothing_opened
from tests.schemes.additive.world import ROUND, Reply, Stage

PRIME = 2**255 - 19
ME, PEER, OTHER = 0, 1, 2
LOW_ORDER = bytes(32)
NOT_CANONICAL = (PRIME + 9).to_bytes(32, "little")
ANOTHER_KEY = public_key(b"another private key, of 32 bytes")


@pytest.fixture(scope="module")
def stage() -> Stage:
    """n = 4, C = D = 1: three members must have a key."""
    return Stage(derive_committee(4))


def resigned(stage: Stage, i: int, signer: int | None = None, **changes: Any) -> Signed:
    """A gateway's prekey with some fields changed, under a good signature of its own."""
    prekey = canonical.decode(Prekey, stage.prekey(i).body)
    label = changes.pop("label", Label.SIGN_PREKEY)
    identity = stage.identities[i if signer is None else signer]
    return Signed.make(identity.key, label, replace(prekey, **changes))


def test_what_is_too_long_for_a_prekey_is_not_remembered(stage: Stage) -> None:
    """What a server has verified stays over sessions: a liar signs a megabyte in each."""
    key, before = stage.identities[PEER].key, prekeys._verified.cache_info().currsize
    body = bytes(513)
    signature = key.sign(Label.SIGN_PREKEY, body)
    prekeys.verify_once(verify)(key.public, Label.SIGN_PREKEY, body, signature)

    assert before == prekeys._verified.cache_info().currsize


def put(place: int, make: Callable[[Stage], Signed]) -> Callable:
    """The request with one prekey changed."""

    def change(stage: Stage, request: Any) -> Any:
        prekeys = list(request.prekeys)
        prekeys[place] = make(stage)
        return replace(request, prekeys=tuple(prekeys))

    return change


def key_of(stage: Stage, i: int) -> bytes:
    return canonical.decode(Prekey, stage.prekey(i).body).key


def another_round_of(stage: Stage, request: Any) -> Any:
    params = replace(request.round.claimed, session_params=bytes(32))
    return replace(request, round=sign_round(stage.orchestrator.key, params))


REFUSED: dict[str, tuple[Callable, type]] = {
    "of another label": (
        put(PEER, lambda s: resigned(s, PEER, label=Label.SIGN_ADVERTISE)),
        errors.BadSignature,
    ),
    "of the round after": (put(PEER, lambda s: s.prekey(PEER, ROUND + 1)), errors.ForeignSession),
    "not canonical": (
        put(PEER, lambda s: resigned(s, PEER, key=NOT_CANONICAL)),
        errors.BadPublicKey,
    ),
    "of another size": (put(PEER, lambda s: resigned(s, PEER, key=bytes(31))), errors.BadPublicKey),
    "a copy of mine": (
        put(PEER, lambda s: resigned(s, PEER, key=key_of(s, ME))),
        errors.BadPublicKey,
    ),
    "mine with another key": (
        put(ME, lambda s: resigned(s, ME, key=ANOTHER_KEY)),
        errors.OwnMessageAltered,
    ),
    "mine under another signature": (
        put(ME, lambda s: replace(s.prekey(ME), signature=bytes(64))),
        errors.OwnMessageAltered,
    ),
    "one too many": (lambda _, r: replace(r, prekeys=r.prekeys * 2), errors.WireError),
    "P of another session": (another_round_of, errors.ForeignSession),
}
"""More of the kind is in test_client_rows.py."""


@pytest.mark.parametrize(("change", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_a_gateway_deals_nothing_to_keys_that_do_not_serve(stage, change, error):
    journal = stage.journal(ME)
    client = stage.client(ME, journal=journal)

    with pytest.raises(error):
        client.receive(change(stage, stage.upload_request()))
    with pytest.raises(errors.LocalProtocolError):
        client.receive(stage.upload_request())
    assert 0 == journal.last_round(stage.roster.hash())
    assert client.round is None
    assert client._secret is None


def test_the_unchanged_request_is_answered(stage):
    """Without a change, the table's request is a good one."""
    assert stage.client(ME).receive(stage.upload_request()) is not None


def test_two_prekeys_of_one_colluding_gateway_split_the_others(stage):
    """h0 hashes everybody's prekey: who was shown another one can open nothing."""
    corrupt = 3
    other = put(corrupt, lambda s: resigned(s, corrupt, key=ANOTHER_KEY))
    shown = other(stage, stage.upload_request())
    question = stage.question(ME, {0, 1, 2})
    ciphertexts = [stage.dealt_to(peer, shown).ciphertexts[ME] for peer in (PEER, OTHER)]
    spoiled = tuple(
        replace(share, ciphertext=ciphertext)
        for share, ciphertext in zip(question.shares, ciphertexts, strict=True)
    )
    reply = stage.reply(stage.uploaded(ME), replace(question, shares=spoiled))

    assert Reply(complaints=frozenset({PEER, OTHER})) == reply


# -- at the orchestrator ---------------------------------------------------------------------------

SEVEN = range(7)
"""C = D = 2, R = 5."""
LIAR = 3


def rounds(
    change: Callable[[Cheats, dict], dict] = lambda _, setup: setup, **options: Any
) -> tuple[Cheats, Cheats]:
    """Two rounds of the same gateways; the second begins with the first one's prekeys, changed."""
    journals = {i: MemoryJournal() for i in SEVEN}
    first = Cheats(Lattice(), gateways=7, journals=journals, session="first").play()
    setup = change(first, dict(first.server.setup))
    second = Cheats(
        Lattice(), gateways=7, journals=journals, session="second", round=2, setup=setup, **options
    )
    return first, second.play()


def asked(world: Cheats) -> set[int]:
    """Who was asked for a key."""
    announce = wire.open(CODEC.encode(world.server._server._announce, world.server.session)).type
    return {f.gateway for f in world.log if not f.up and wire.open(f.data).type == announce}


def test_a_steady_round_has_two_exchanges():
    first, second = rounds()

    assert ["set_up", "upload", "answer"] == first.phases
    assert ["upload", "answer"] == second.phases
    assert set() == asked(second)
    assert_exact(first, SEVEN)
    assert_exact(second, SEVEN)


def own(world: Cheats, i: int, setup: dict, **changes: Any) -> Signed:
    prekey = canonical.decode(Prekey, setup[i].body)
    return Signed.make(world.identities[i].key, Label.SIGN_PREKEY, replace(prekey, **changes))


def stranger(world: Cheats, setup: dict) -> Signed:
    key = Identity.generate("stranger", entropy("stranger")).key
    return Signed.make(key, Label.SIGN_PREKEY, canonical.decode(Prekey, setup[LIAR].body))


USELESS: dict[str, Callable[[Cheats, dict], Signed | None]] = {
    "withheld": lambda w, s: None,
    "forged": stranger,
    "of the round before": lambda w, s: own(w, LIAR, s, round=1),
    "of the round after": lambda w, s: own(w, LIAR, s, round=3),
    "of another roster": lambda w, s: own(w, LIAR, s, roster=bytes(32)),
    "another's": lambda w, s: s[1],
    "in another's name": lambda w, s: own(w, LIAR, s, member=1),
    "with another's key": lambda w, s: own(w, LIAR, s, key=canonical.decode(Prekey, s[1].body).key),
    "of low order": lambda w, s: own(w, LIAR, s, key=LOW_ORDER),
    "not canonical": lambda w, s: own(w, LIAR, s, key=NOT_CANONICAL),
    "no prekey at all": lambda w, s: Signed.make(
        w.identities[LIAR].key, Label.SIGN_PREKEY, w.roster
    ),
    "no message": lambda w, s: Signed(body=b"\xc1", signature=bytes(64)),
}


@pytest.mark.parametrize("make", USELESS.values(), ids=USELESS.keys())
def test_a_useless_prekey_costs_one_exchange_and_nobody(make):
    """It is passed over, whoever put it there, and its gateway asked again: it has one key only."""

    def change(world, setup):
        prekey = make(world, setup)
        return {i: s for i, s in (setup | {LIAR: prekey}).items() if s is not None}

    _, second = rounds(change)

    # of two with one key both are asked: whose it is shows then
    copied = make is USELESS["with another's key"]
    assert {LIAR} | ({1} if copied else set()) == asked(second)
    assert ["set_up", "upload", "answer"] == second.phases
    assert {} == second.dropped
    assert_exact(second, SEVEN)


def test_without_any_setup_everybody_is_asked():
    _, second = rounds(lambda *_: {})

    assert set(SEVEN) == asked(second)
    assert_exact(second, SEVEN)


def test_who_gives_no_key_counts_among_the_d():
    _, second = rounds(
        lambda _, setup: {i: s for i, s in setup.items() if i not in {0, 6}},
        vanish={0: "set_up", 6: "set_up"},
    )

    assert_exact(second, {1, 2, 3, 4, 5})
    assert {0: "SILENT", 6: "SILENT"} == second.dropped


def test_more_than_d_without_a_key_end_the_round():
    gone = {0: "set_up", 3: "set_up", 6: "set_up"}
    _, second = rounds(
        lambda _, setup: {i: s for i, s in setup.items() if i not in gone}, vanish=gone
    )

    assert_nothing_opened(second)
    assert isinstance(second.aborted, errors.BelowThreshold)
    assert "set_up" == second.aborted.phase


SAID: dict[str, tuple[Callable[[Prekey], Prekey], str]] = {
    "of the round after": (lambda m: replace(m, round=2), "BAD_KEY"),
    "of another roster": (lambda m: replace(m, roster=bytes(32)), "BAD_KEY"),
    "in another's name": (lambda m: replace(m, member=1), "BAD_KEY"),
    "of low order": (lambda m: replace(m, key=LOW_ORDER), "BAD_KEY"),
    "not canonical": (lambda m: replace(m, key=NOT_CANONICAL), "BAD_KEY"),
}


@pytest.mark.parametrize(("change", "reason"), SAID.values(), ids=SAID.keys())
def test_who_answers_the_set_up_with_another_key_is_dropped(change, reason):
    world = Cheats(Lattice(), gateways=7, lies={(LIAR, "set_up"): change}).play()

    assert_exact(world, set(SEVEN) - {LIAR})
    assert {LIAR: reason} == world.dropped


def test_who_advertises_anothers_key_is_dropped():
    heard = {}

    def listen(prekey):
        heard["key"] = prekey.key
        return prekey

    def copy(prekey):
        return replace(prekey, key=heard["key"])

    lies = {(0, "set_up"): listen, (LIAR, "set_up"): copy}
    world = Cheats(Lattice(), gateways=7, lies=lies).play()

    assert_exact(world, set(SEVEN) - {LIAR})
    assert {LIAR: "BAD_KEY"} == world.dropped


@pytest.mark.parametrize("step", ["upload", "answer"])
@pytest.mark.parametrize("make", ["replayed", "forged"])
def test_who_sends_a_bad_key_ahead_is_dropped(step, make):
    """In the dealing it is not in the sum; in the answer the others' answers are enough."""
    world = Cheats(Lattice(), gateways=7)

    def change(message):
        prekey = canonical.decode(Prekey, message.next_prekey.body)
        key = world.identities[LIAR if make == "replayed" else 1].key
        number = 1 if make == "replayed" else 2
        bad = Signed.make(key, Label.SIGN_PREKEY, replace(prekey, round=number))
        return replace(message, next_prekey=bad)

    world.lies = {(LIAR, step): change}
    world.play()

    assert_exact(world, set(SEVEN) - {LIAR} if step == "upload" else SEVEN)
    assert {LIAR: "BAD_KEY"} == world.dropped
    assert (LIAR in world.server.setup) == (step == "answer")


def test_two_keys_for_the_next_round_drop_their_sender():
    world = Cheats(Lattice(), gateways=7)

    def change(message):
        prekey = canonical.decode(Prekey, message.next_prekey.body)
        another = replace(prekey, key=ANOTHER_KEY)
        made = Signed.make(world.identities[LIAR].key, Label.SIGN_PREKEY, another)
        return replace(message, next_prekey=made)

    world.lies = {(LIAR, "answer"): change}
    world.play()

    assert_exact(world, SEVEN)
    assert {LIAR: "EQUIVOCATED"} == world.dropped
