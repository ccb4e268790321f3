"""Who repeats the key of another is dropped, whoever comes first; the owner stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from protocol_sim.play import Play
from secagg import Lattice, canonical, wire
from secagg.crypto.labels import Label
from secagg.errors import BelowThreshold
from secagg.protocol.messages import Answer, Signed
from secagg.protocol.possession import impostors
from secagg.protocol.prekeys import Prekey
from secagg.schemes import server
from secagg.schemes.additive.messages import SetUp
from secagg.schemes.masks.messages import AdvertiseKeys
from secagg.session.loopback import Frame
from tests.session.deceit import CODEC

COPIER, OWNER = "g0", "g3"


def copying(parties: Parties, step: str, copy: Callable[[Any, Any], Any]) -> Play:
    """The copier waits for the owner's answer, and its own arrives before it."""
    kind, label = {
        "advertise_keys": (AdvertiseKeys, Label.SIGN_ADVERTISE),
        "set_up": (SetUp, Label.SIGN_SET_UP),
    }[step]
    held: dict[str, Frame] = {}

    def passes(frame: Frame) -> Iterable[bytes]:
        if not frame.up or frame.step != step or frame.gateway not in {COPIER, OWNER}:
            return [frame.data]
        held[frame.gateway] = frame
        if len(held) < 2:
            return []
        own, other = (
            canonical.decode(kind, CODEC.decode(wire.open(held[name].data)).signed.body)
            for name in (COPIER, OWNER)
        )
        signed = Signed.make(parties.identities[COPIER].key, label, copy(own, other))
        lie = CODEC.encode(Answer(step=step, signed=signed), exchange.server.session)
        exchange.send(exchange.deliver(held[COPIER]._replace(data=lie)))
        exchange.send(exchange.deliver(held[OWNER]))
        return []

    exchange = Exchange(parties, passes=passes)
    return exchange.play()


@pytest.mark.parametrize("proof", [False, True], ids=["own proof", "copied proof"])
@pytest.mark.parametrize("names", [("mask_key",), ("channel_key",), ("channel_key", "mask_key")])
def test_the_copier_of_an_advertised_key_is_dropped(names: tuple[str, ...], *, proof: bool) -> None:
    names = (*names, "proof") if proof else names

    def copy(own: AdvertiseKeys, other: AdvertiseKeys) -> AdvertiseKeys:
        return replace(own, **{name: getattr(other, name) for name in names})

    exchange = copying(Parties(5), "advertise_keys", copy)

    assert {COPIER: ("advertise_keys", "BAD_KEY")} == exchange.dropped
    assert exchange.verdict.summed


def test_control_without_the_proof_a_copier_ends_the_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "impostors", lambda *_: frozenset())
    exchange = copying(
        Parties(5), "advertise_keys", lambda own, other: replace(own, mask_key=other.mask_key)
    )

    assert isinstance(exchange.aborted, BelowThreshold)


@pytest.mark.parametrize("proof", [False, True], ids=["own proof", "copied proof"])
def test_the_copier_of_a_prekey_is_dropped(*, proof: bool) -> None:
    parties = Parties(5, Lattice())

    def copy(own: SetUp, other: SetUp) -> SetUp:
        mine, key = (canonical.decode(Prekey, each.prekey.body) for each in (own, other))
        made = Signed.make(
            parties.identities[COPIER].key, Label.SIGN_PREKEY, replace(mine, key=key.key)
        )
        return replace(own, prekey=made, proof=other.proof if proof else own.proof)

    exchange = copying(parties, "set_up", copy)

    assert {COPIER: ("set_up", "BAD_KEY")} == exchange.dropped
    assert exchange.verdict.summed


@pytest.mark.parametrize("owners", [True, False], ids=["both sent ahead", "the copy alone"])
def test_a_prekey_that_was_copied_ahead_costs_its_owner_nothing(*, owners: bool) -> None:
    parties = Parties(5, Lattice())
    setup = dict(Exchange(parties).play().server.setup)
    key = canonical.decode(Prekey, setup[OWNER].body).key
    mine = canonical.decode(Prekey, setup[COPIER].body)
    setup[COPIER] = Signed.make(
        parties.identities[COPIER].key, Label.SIGN_PREKEY, replace(mine, key=key)
    )
    if not owners:
        del setup[OWNER]
    exchange = Exchange(parties, 2, setup=setup).play()

    # asked again, the copier gives its own
    assert ({} if owners else {COPIER: ("set_up", "BAD_KEY")}) == exchange.dropped
    assert OWNER in exchange.verdict.summed


@pytest.mark.parametrize(
    ("keys", "proved", "found"),
    [
        ("ab", {}, ""),
        ("aa", {0: True, 1: False}, "1"),
        ("aa", {0: False, 1: False}, "01"),
        ("aa", {0: True, 1: True}, "01"),
        ("aa", {0: None, 1: False}, "1"),
        ("aa", {0: None, 1: True}, "0"),
        ("aaa", {0: False, 1: True, 2: None}, "02"),
        ("aab", {0: True, 1: False}, "1"),
    ],
)
def test_whose_a_key_is(keys: str, proved: dict[int, bool | None], found: str) -> None:
    shown = {position: [key.encode()] for position, key in enumerate(keys)}

    assert set(map(int, found)) == impostors(shown, proved.__getitem__)
