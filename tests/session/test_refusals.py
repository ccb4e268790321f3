"""What a gateway refuses by name: an answer, another roster, what its policy excludes."""

from __future__ import annotations

import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg.errors import WireError
from secagg.protocol.events import GatewayDropped
from secagg.protocol.messages import DropReason
from secagg.protocol.policy import Policy


def test_a_gateway_is_never_sent_an_answer() -> None:
    exchange = Exchange(Parties(4)).play_until("share_keys")
    answer = next(frame for frame in exchange.log if frame.up)
    with pytest.raises(WireError, match="never sent Answer"):
        exchange.clients["g1"].receive(answer.data)
    assert exchange.play().verdict.summed


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
