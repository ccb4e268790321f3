"""Frames and announcements that do not belong: refused by name, and nothing changes."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from secagg.errors import (
    ForeignSession,
    LocalProtocolError,
    SecAggError,
    UnsupportedParameters,
    WireError,
)
from secagg.params import SessionParams
from secagg.protocol.events import Aborted, Event, GatewayDropped, Send
from secagg.protocol.messages import DropReason, sign_session
from secagg.protocol.policy import Policy
from secagg.session import session_of
from tests.session.deceit import CODEC
from tests.session.harness import STEPS, Parties, World, assert_exact


def version_two(frame: bytes) -> bytes:
    return frame[:4] + struct.pack("<H", 2) + frame[6:]


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _frame: b"",
    "truncated header": lambda frame: frame[:31],
    "truncated payload": lambda frame: frame[:-1],
    "extended": lambda frame: frame + b"\0",
    "another version": version_two,
    "another protocol": lambda frame: b"GGAS" + frame[4:],
    "unknown type": lambda frame: frame[:6] + struct.pack("<H", 999) + frame[8:],
    "reserved bytes": lambda frame: frame[:28] + b"\0\0\0\1" + frame[32:],
    "garbage inside": lambda frame: frame[:32] + bytes(len(frame) - 32),
    "vector out of nowhere": lambda frame: frame[:6] + struct.pack("<H", 64) + frame[8:],
}


# -- frames that do not belong ---------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_frame_changes_nothing_at_a_gateway(broken: str, step: str) -> None:
    world = World(Parties(4)).play_until(step)
    frame = next(f for f in world.pending if f.gateway == "g0" and not f.up)
    with pytest.raises(WireError):
        world.clients["g0"].receive(BROKEN[broken](frame.data))

    assert_exact(world.play())
    assert {} == world.dropped


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_frame_drops_its_sender_at_the_server(broken: str, step: str) -> None:
    world = World(Parties(4)).play_until(step)
    while not any(f.up and f.gateway == "g0" for f in world.pending):
        world.step()
    frame = next(f for f in world.pending if f.gateway == "g0" and f.up)
    world.pending.remove(frame)
    world.collect(world.server.receive("g0", BROKEN[broken](frame.data)))
    world.pending.append(frame)
    world.play()
    # a vector frame is well formed where uploads are expected, or else nobody waits for it
    ignored = broken == "vector out of nowhere" and step != "masked_input"

    assert_exact(world)
    reasons = {"MALFORMED", "BAD_FRAME"}
    assert ignored or (step == world.dropped["g0"][0] and world.dropped["g0"][1] in reasons)


def test_frames_of_another_session_are_routed_not_mixed() -> None:
    parties = Parties(4)
    one, two = World(parties, number=1), World(parties, number=2)
    for world in (one, two):
        world.play_until("share_keys")
    request = next(f for f in one.pending if f.gateway == "g0")
    answers = list(one.clients["g0"].receive(request.data))

    assert session_of(request.data) == one.server.session != two.server.session
    with pytest.raises(ForeignSession):
        two.clients["g0"].receive(request.data)
    with pytest.raises(LocalProtocolError, match="route by session_of"):
        two.server.receive("g0", answers[0].frame)
    for world in (one, two):
        assert_exact(world.play())
        assert {} == world.dropped


def test_a_gateway_is_never_sent_an_answer() -> None:
    world = World(Parties(4)).play_until("share_keys")
    answer = next(frame for frame in world.log if frame.up)
    with pytest.raises(WireError, match="never sent Answer"):
        world.clients["g1"].receive(answer.data)
    assert_exact(world.play())


# -- announcements that a gateway refuses ----------------------------------------------------------


def announced(world: World, **changes: object) -> list[Event]:
    """What a gateway makes of an announcement with other parameters, well signed."""
    params: SessionParams = world.server._server.params
    key = world.parties.orchestrator.key
    fields = {name: getattr(params, name) for name in params.__struct_fields__} | changes
    frame = CODEC.encode(sign_session(key, SessionParams(**fields)), world.server.session)
    return list(world.clients["g0"].receive(frame))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"version": 2}, UnsupportedParameters),
        ({"suite": 2}, UnsupportedParameters),
        ({"scheme": "paillier"}, UnsupportedParameters),
        ({"session": bytes(16)}, UnsupportedParameters),
        ({"cohort": b"\x07"}, UnsupportedParameters),
        ({"roster": bytes(32)}, ForeignSession),
    ],
)
def test_other_parameters_end_the_session(
    changes: dict[str, object], error: type[SecAggError]
) -> None:
    farewell, aborted = announced(World(Parties(4)), **changes)

    assert isinstance(aborted, Aborted)
    assert error is type(aborted.reason)
    assert isinstance(farewell, Send)


@pytest.mark.parametrize("most", [0, 1])
def test_gateways_with_another_roster_take_no_part(most: int) -> None:
    """D = 1 may hold another roster; more end the round in its first phase."""
    world = World(Parties(4))
    newer = Parties(4, epoch=2).roster
    for name in world.cohort[: most + 1]:
        world.clients[name] = world.parties.client(name, roster=newer)
    world.play()

    expected = dict.fromkeys(world.cohort[: most + 1], ("advertise_keys", "ABORTED"))
    assert expected == world.dropped
    assert ("done", "aborted")[most] == world.server.phase
    details = [event.detail for event in world.events if isinstance(event, GatewayDropped)]
    assert all("another roster" in detail for detail in details)


def test_a_policy_speaks_before_a_key_leaves() -> None:
    world = World(Parties(5))
    world.clients["g2"] = world.parties.client("g2", policy=Policy(min_gateways=6))
    world.play()

    assert_exact(world)
    (drop,) = [event for event in world.events if isinstance(event, GatewayDropped)]
    assert ("g2", DropReason.ABORTED) == (drop.id, drop.reason)
    assert "PolicyViolation" in drop.detail
