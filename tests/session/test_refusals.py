"""Frames and announcements that do not belong: refused by name, and nothing changes."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg.errors import (
    ForeignSession,
    LocalProtocolError,
    WireError,
)
from secagg.protocol.events import GatewayDropped
from secagg.protocol.messages import DropReason
from secagg.protocol.policy import Policy
from secagg.schemes.masks import Masks
from secagg.session import session_of

STEPS = tuple(step.name for step in Masks.steps)


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
    exchange = Exchange(Parties(4)).play_until(step)
    frame = next(f for f in exchange.pending if f.gateway == "g0" and not f.up)
    with pytest.raises(WireError):
        exchange.clients["g0"].receive(BROKEN[broken](frame.data))

    assert exchange.play().verdict.summed
    assert {} == exchange.dropped


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_frame_drops_its_sender_at_the_server(broken: str, step: str) -> None:
    exchange = Exchange(Parties(4)).play_until(step)
    while not any(f.up and f.gateway == "g0" for f in exchange.pending):
        exchange.step()
    frame = next(f for f in exchange.pending if f.gateway == "g0" and f.up)
    exchange.pending.remove(frame)
    exchange.send(exchange.deliver(frame._replace(data=BROKEN[broken](frame.data))))
    exchange.pending.append(frame)
    exchange.play()
    # a vector frame is well formed where uploads are expected, or else nobody waits for it
    ignored = broken == "vector out of nowhere" and step != "masked_input"

    assert exchange.verdict.summed
    reasons = {"MALFORMED", "BAD_FRAME"}
    assert ignored or (step == exchange.dropped["g0"][0] and exchange.dropped["g0"][1] in reasons)


def test_frames_of_another_session_are_routed_not_mixed() -> None:
    parties = Parties(4)
    one, two = Exchange(parties, number=1), Exchange(parties, number=2)
    for exchange in (one, two):
        exchange.play_until("share_keys")
    request = next(f for f in one.pending if f.gateway == "g0")
    answers = list(one.clients["g0"].receive(request.data))

    assert session_of(request.data) == one.server.session != two.server.session
    with pytest.raises(ForeignSession):
        two.clients["g0"].receive(request.data)
    with pytest.raises(LocalProtocolError, match="route by session_of"):
        two.server.receive("g0", answers[0].frame)
    for exchange in (one, two):
        assert exchange.play().verdict.summed
        assert {} == exchange.dropped


def test_a_gateway_is_never_sent_an_answer() -> None:
    exchange = Exchange(Parties(4)).play_until("share_keys")
    answer = next(frame for frame in exchange.log if frame.up)
    with pytest.raises(WireError, match="never sent Answer"):
        exchange.clients["g1"].receive(answer.data)
    assert exchange.play().verdict.summed


# -- announcements that a gateway refuses ----------------------------------------------------------


@pytest.mark.parametrize("most", [0, 1])
def test_gateways_with_another_roster_take_no_part(most: int) -> None:
    """D = 1 may hold another roster; more end the round in its first phase."""
    exchange = Exchange(Parties(4))
    newer = Parties(4, epoch=2).roster
    for name in exchange.cohort[: most + 1]:
        exchange.clients[name] = exchange.parties.client(name, roster=newer)
    exchange.play()

    expected = dict.fromkeys(exchange.cohort[: most + 1], ("advertise_keys", "ABORTED"))
    assert expected == exchange.dropped
    assert ("done", "aborted")[most] == exchange.server.phase
    details = [event.detail for event in exchange.events if isinstance(event, GatewayDropped)]
    assert all("another roster" in detail for detail in details)


def test_a_policy_speaks_before_a_key_leaves() -> None:
    exchange = Exchange(Parties(5))
    exchange.clients["g2"] = exchange.parties.client("g2", policy=Policy(min_gateways=6))
    exchange.play()

    assert exchange.verdict.summed
    (drop,) = [event for event in exchange.events if isinstance(event, GatewayDropped)]
    assert ("g2", DropReason.ABORTED) == (drop.id, drop.reason)
    assert "PolicyViolation" in drop.detail
