"""Bad shares are complained about and survived; a session that ends in between sends no more."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import errors, wire
from secagg.canonical import bitmap, decode, members
from secagg.crypto.labels import Label
from secagg.protocol.events import Aborted, Completed, Send
from secagg.protocol.messages import UploadHeader, sign_farewell
from secagg.protocol.sharing import channel_key, commit_share, seal_share
from tests.schemes.attacks import CODEC, ME, R2, R3, R4, VICTIM, assert_erased, body, uploaded
from tests.schemes.test_client_rows import swapped

replace = msgspec.structs.replace
DEALER, PLACE = 2, 1
"""The dealer and its place among the victim's neighbours."""
PRIME = 2**21 - 9


def relay(**changes: Any) -> Callable[[Any, Any], Any]:
    """What the server relays from the dealer, with some of it changed."""
    return lambda _, m: replace(
        m, shares=swapped(m.shares, PLACE, replace(m.shares[PLACE], **changes))
    )


def swap(_: Any, m: Any) -> Any:
    """Two ciphertexts in each other's place, with the right commitments."""
    first, second = m.shares[PLACE], m.shares[PLACE + 1]
    shares = list(m.shares)
    shares[PLACE] = replace(first, ciphertext=second.ciphertext)
    shares[PLACE + 1] = replace(second, ciphertext=first.ciphertext)
    return replace(m, shares=tuple(shares))


def crossed(_: Any, m: Any) -> Any:
    """The share of b_i committed as that of s_i, and the reverse."""
    share = m.shares[PLACE]
    return relay(seed_share=share.key_share, key_share=share.seed_share)(_, m)


def flipped(_: Any, m: Any) -> Any:
    data = m.shares[PLACE].ciphertext
    return relay(ciphertext=data[:-1] + bytes([data[-1] ^ 1]))(_, m)


ROWS: dict[str, tuple[Callable[[Any, Any], Any], set[int]]] = {
    "no ciphertext": (relay(ciphertext=b""), {DEALER}),
    "garbage": (relay(ciphertext=bytes(94)), {DEALER}),
    "one bit": (flipped, {DEALER}),
    "ciphertexts swapped": (swap, {DEALER, DEALER + 1}),
    "another commitment to b": (relay(seed_share=bytes(32)), {DEALER}),
    "another commitment to s": (relay(key_share=bytes(32)), {DEALER}),
    "no commitments": (relay(seed_share=b"", key_share=b""), {DEALER}),
    "commitments crossed": (crossed, {DEALER}),
}


def alone(change: Callable[[Any, Any], Any], **options: Any) -> Exchange:
    """A session in which the victim gets nothing but the changed request."""
    exchange = Exchange(Parties(options.pop("gateways", 5)), **options)

    def passes(frame: Any) -> list[bytes]:
        if frame.up or (frame.gateway, frame.step) != (VICTIM, R2):
            return [frame.data]
        changed = change(None, CODEC.decode(wire.open(frame.data)))
        return [CODEC.encode(changed, exchange.server.session)]

    exchange.passes = passes
    return exchange.play()


def complaints(exchange: Exchange) -> set[int]:
    return set(members(body(exchange, R2).complaints, len(exchange.cohort)))


@pytest.mark.parametrize("name", ROWS)
def test_a_bad_share_is_a_complaint_and_the_victim_goes_on(name):
    change, expected = ROWS[name]
    exchange = alone(change, gateways=7)  # C = 2

    assert expected == complaints(exchange)
    assert Completed() in exchange.client_events[VICTIM]
    assert {} == exchange.dropped
    assert exchange.cohort == exchange.verdict.summed


def test_honest_shares_are_not_complained_about():
    assert set() == complaints(alone(lambda _, m: m))


@pytest.mark.parametrize("name", ROWS)
def test_nothing_is_released_for_a_dealer_complained_about(name):
    change, expected = ROWS[name]
    exchange = alone(change, gateways=7)
    shares = dict(zip([0, 2, 3, 4, 5, 6], body(exchange, R4).seed_shares, strict=True))

    assert expected == {dealer for dealer, share in shares.items() if not share}


def test_nor_for_a_dead_one():
    exchange = alone(relay(ciphertext=b""), gateways=7, vanish={f"g{DEALER}": R2})
    answer = body(exchange, R4)

    assert {DEALER} == complaints(exchange)
    assert (b"",) == answer.key_shares
    assert [32] == [len(secret) for secret in answer.edge_secrets]
    assert exchange.verdict.summed


def sealed_by_a_colluder(exchange: Exchange, share: bytes, message: Any) -> Any:
    """What a dealer that holds its keys can make: a good seal and commitment around bad limbs."""
    session = exchange.server.session
    client: Any = exchange.clients[f"g{DEALER}"]._client
    route = {"session": session, "sender": DEALER, "receiver": ME}
    key = channel_key(client._channels[ME].reveal(), salt=client._h0, **route)
    pair = (Label.COMMIT_SEED_SHARE, share[:39]), (Label.COMMIT_KEY_SHARE, share[39:])
    seed, mask = (commit_share(label, session, DEALER, ME, part) for label, part in pair)
    change = relay(ciphertext=seal_share(key, share, **route), seed_share=seed, key_share=mask)
    return change(None, message)


LIMB = PRIME.to_bytes(3, "little")


@pytest.mark.parametrize(
    ("share", "bad"),
    [
        (bytes(78), False),
        (b"", True),
        (bytes(77), True),
        (bytes(79), True),
        (LIMB + bytes(75), True),
        (bytes(75) + LIMB, True),
        (bytes(39) + b"\xff" * 39, True),
    ],
    ids=lambda value: value.hex()[:8] + f"/{len(value)}" if isinstance(value, bytes) else "",
)
def test_a_share_must_be_field_elements_whatever_its_dealer_commits_to(share, bad):
    exchange = Exchange(Parties(5)).play_until(R2)
    frame = next(f for f in exchange.pending if f.gateway == VICTIM)
    changed = sealed_by_a_colluder(exchange, share, CODEC.decode(wire.open(frame.data)))
    events = list(exchange.clients[VICTIM].receive(CODEC.encode(changed, exchange.server.session)))
    header = decode(UploadHeader, CODEC.decode(wire.open(events[0].frame)).signed.body)

    assert bitmap([DEALER] if bad else [], 5) == header.complaints


# -- a session that ends in between ----------------------------------------------------------------


def begun(frames: int) -> tuple[Exchange, Any]:
    """The victim has made some frames of its upload."""
    exchange = Exchange(Parties(5)).play_until(R2)
    request = next(f for f in exchange.pending if f.gateway == VICTIM)
    exchange.log.append(request)
    list(exchange.clients[VICTIM].receive(request.data))
    sends = exchange.upload(VICTIM)
    for _ in range(frames):
        next(sends)
    return exchange, sends


def over(exchange):
    return sign_farewell(exchange.parties.orchestrator.key, exchange.server.session, "over")


ENDS = {
    "a second question": lambda exchange: CODEC.encode(
        second(CODEC.decode(wire.open(exchange.log[-1].data))), exchange.server.session
    ),
    "an abort": lambda exchange: CODEC.encode(over(exchange), exchange.server.session),
}


def second(message: Any) -> Any:
    return replace(message, shares=message.shares[::-1])


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("frames", [0, 1, 3])
def test_no_frame_leaves_a_session_that_has_ended(name, frames):
    exchange, sends = begun(frames)
    events = list(exchange.clients[VICTIM].receive(ENDS[name](exchange)))

    assert isinstance(events[-1], Aborted)
    assert [] == list(sends)
    assert_erased(exchange)


def test_the_gateway_itself_may_end_it():
    exchange, sends = begun(2)
    client: Any = exchange.clients[VICTIM]._client
    shares = itertools.chain(*client._held.values())
    stores = client._secrets, client._edges, client._channels
    secrets = [*shares, *itertools.chain(*(store.values() for store in stores))]
    farewell, aborted = exchange.clients[VICTIM].abort("power is out")

    assert isinstance(farewell, Send)
    assert "power is out" == str(aborted.reason)
    assert [] == list(sends)
    assert_erased(exchange)
    assert ["Secret(erased)"] * (5 + 4 * 4) == list(map(repr, secrets))
    with pytest.raises(errors.LocalProtocolError):
        exchange.clients[VICTIM].abort("again")
    with pytest.raises(errors.LocalProtocolError):
        exchange.clients[VICTIM].receive(exchange.log[-1].data)


def test_an_upload_needs_an_accepted_round():
    exchange = Exchange(Parties(5)).play_until(R2)
    for client in (exchange.clients[VICTIM], exchange.clients[VICTIM]._client):
        with pytest.raises(errors.LocalProtocolError, match="no upload is due"):
            client.upload(lambda: None, bytes(32))


def test_an_upload_is_made_once():
    exchange, sends = begun(1)
    client = exchange.clients[VICTIM]
    for upload in (lambda: exchange.upload(VICTIM), lambda: client._client.upload(None, b"")):
        with pytest.raises(errors.LocalProtocolError, match="no upload is due"):
            upload()

    assert len(list(sends)) > 0


def test_an_abort_of_the_server_ends_it():
    exchange = Exchange(Parties(5)).play_until(R3)
    message = over(exchange)
    (aborted,) = exchange.clients[VICTIM].receive(CODEC.encode(message, exchange.server.session))

    assert (errors.AbortedByPeer, "over") == (type(aborted.reason), str(aborted.reason))
    assert_erased(exchange)
    assert uploaded(exchange) > 0
