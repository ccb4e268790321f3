"""Bad shares are complained about and survived; a session that ends in between sends no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from secagg import errors
from secagg.crypto.labels import Label
from secagg.encoding import bitmap, decode, members
from secagg.protocol.events import Aborted, Completed, Send
from secagg.protocol.messages import Abort, UploadHeader
from secagg.protocol.sharing import channel_key, commit_share, seal_share
from tests.schemes.attacks import assert_erased, body, uploaded
from tests.schemes.test_client_rows import CODEC, ME, R2, R3, R4, VICTIM, swapped
from tests.session.harness import Parties, World, metrics, update, weight

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


def alone(change: Callable[[Any, Any], Any], **options: Any) -> World:
    """A session in which the victim gets nothing but the changed request."""
    parties = Parties(options.pop("gateways", 5))
    world = World(parties, settings=parties.settings(limits=options.pop("limits", None)), **options)

    def passes(frame: Any) -> list[bytes]:
        if frame.up or (frame.gateway, frame.step) != (VICTIM, R2):
            return [frame.data]
        changed = change(None, CODEC.decode(frame.data, session=None))
        return [CODEC.encode(changed, world.server.session)]

    world.passes = passes
    return world.play()


def complaints(world: World) -> set[int]:
    return set(members(body(world, R2).complaints, len(world.cohort)))


@pytest.mark.parametrize("name", ROWS)
def test_a_bad_share_is_a_complaint_and_the_victim_goes_on(name):
    change, expected = ROWS[name]
    world = alone(change, gateways=7)  # C = 2

    assert expected == complaints(world)
    assert Completed() in world.client_events[VICTIM]
    assert {} == world.dropped
    assert world.expected(world.cohort) == world.opened


def test_honest_shares_are_not_complained_about():
    assert set() == complaints(alone(lambda _, m: m))


@pytest.mark.parametrize("name", ROWS)
def test_nothing_is_released_for_a_dealer_complained_about(name):
    change, expected = ROWS[name]
    world = alone(change, gateways=7)
    shares = dict(zip([0, 2, 3, 4, 5, 6], body(world, R4).seed_shares, strict=True))

    assert expected == {dealer for dealer, share in shares.items() if not share}


def test_nor_for_a_dead_one():
    world = alone(relay(ciphertext=b""), gateways=7, vanish={f"g{DEALER}": R2})
    answer = body(world, R4)

    assert {DEALER} == complaints(world)
    assert (b"",) == answer.key_shares
    assert [32] == [len(secret) for secret in answer.edge_secrets]
    assert world.expected(world.server.result.included) == world.opened


def sealed_by_a_colluder(world: World, share: bytes, message: Any) -> Any:
    """What a dealer that holds its keys can make: a good seal and commitment around bad limbs."""
    session = world.server.session
    client: Any = world.clients[f"g{DEALER}"]._client
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
    world = World(Parties(5)).play_until(R2)
    frame = next(f for f in world.pending if f.gateway == VICTIM)
    changed = sealed_by_a_colluder(world, share, CODEC.decode(frame.data, session=None))
    events = list(world.clients[VICTIM].receive(CODEC.encode(changed, world.server.session)))
    header = decode(UploadHeader, CODEC.decode(events[0].frame, session=None).signed.body)

    assert bitmap([DEALER] if bad else [], 5) == header.complaints


# -- a session that ends in between ----------------------------------------------------------------


def begun(frames: int) -> tuple[World, Any]:
    """The victim has made some frames of its upload."""
    world = World(Parties(5)).play_until(R2)
    request = next(f for f in world.pending if f.gateway == VICTIM)
    world.log.append(request)
    list(world.clients[VICTIM].receive(request.data))
    sends = world.clients[VICTIM].upload(
        update(ME), weight(ME), base=None, metrics=metrics(ME), rounding_seed=b"x"
    )
    for _ in range(frames):
        next(sends)
    return world, sends


ENDS = {
    "a second question": lambda world: CODEC.encode(
        second(CODEC.decode(world.log[-1].data, session=None)), world.server.session
    ),
    "an abort": lambda world: CODEC.encode(
        Abort(session=world.server.session, reason="x"), world.server.session
    ),
}


def second(message: Any) -> Any:
    return replace(message, shares=message.shares[::-1])


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("frames", [0, 1, 3])
def test_no_frame_leaves_a_session_that_has_ended(name, frames):
    world, sends = begun(frames)
    events = list(world.clients[VICTIM].receive(ENDS[name](world)))

    assert isinstance(events[-1], Aborted)
    assert [] == list(sends)
    assert_erased(world)


def test_the_gateway_itself_may_end_it():
    world, sends = begun(2)
    farewell, aborted = world.clients[VICTIM].abort("power is out")

    assert isinstance(farewell, Send)
    assert "power is out" == str(aborted.reason)
    assert [] == list(sends)
    assert_erased(world)
    with pytest.raises(errors.LocalProtocolError):
        world.clients[VICTIM].abort("again")
    with pytest.raises(errors.LocalProtocolError):
        world.clients[VICTIM].receive(world.log[-1].data)


def test_an_upload_needs_an_accepted_round():
    world = World(Parties(5)).play_until(R2)
    for client in (world.clients[VICTIM], world.clients[VICTIM]._client):
        with pytest.raises(errors.LocalProtocolError, match="no upload is due"):
            client.upload(lambda: None, bytes(32))


def test_an_upload_is_made_once():
    world, sends = begun(1)
    client = world.clients[VICTIM]
    for upload in (lambda: client.upload(update(ME)), lambda: client._client.upload(None, b"")):
        with pytest.raises(errors.LocalProtocolError, match="no upload is due"):
            upload()

    assert len(list(sends)) > 0


def test_an_abort_of_the_server_ends_it():
    world = World(Parties(5)).play_until(R3)
    message = Abort(session=world.server.session, reason="over")
    (aborted,) = world.clients[VICTIM].receive(CODEC.encode(message, world.server.session))

    assert (errors.AbortedByPeer, "over") == (type(aborted.reason), str(aborted.reason))
    assert_erased(world)
    assert uploaded(world) > 0
