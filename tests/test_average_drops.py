"""Who was dropped and why reaches the caller, in the result or in the error."""

from __future__ import annotations

import pickle
from collections.abc import Collection
from typing import Any

import msgspec
import numpy as np
import pytest

from secagg import SecureAverage
from secagg.average import everybody
from secagg.errors import BelowThreshold, StateLost
from secagg.protocol.events import Aborted, GatewayDropped
from secagg.protocol.messages import DropReason
from secagg.protocol.policy import Policy
from secagg.session.client import ClientSession

IDS = ("g0", "g1", "g2", "g3", "g4")
TREES = {name: {"w": np.full(1000, 0.123456)} for name in IDS}
REFUSED = "PolicyViolation: the policy of this gateway refuses the words of an upload"


def refuse(monkeypatch: pytest.MonkeyPatch, names: Collection[str]) -> None:
    """The policy of these gateways allows ten words."""

    def client(identity: Any, roster: Any, policy: Policy, *others: Any, **more: Any) -> Any:
        if identity.id in names:
            policy = msgspec.structs.replace(policy, max_words=10)
        return ClientSession(identity, roster, policy, *others, **more)

    monkeypatch.setattr(everybody, "ClientSession", client)


def test_the_result_says_why_a_gateway_left(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, ["g0"])
    result = SecureAverage(clip=1.0).run(TREES)
    gone = result.dropped["g0"]

    assert IDS[1:] == result.included
    assert gone == GatewayDropped("g0", "masked_input", DropReason.ABORTED, REFUSED)
    assert ["g0"] == list(result.dropped)
    assert f"g0 in masked_input (aborted: {REFUSED})" == str(gone)


def test_the_error_names_who_is_missing_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, IDS)
    with pytest.raises(BelowThreshold) as refused:
        SecureAverage(clip=1.0).run(TREES)
    error = refused.value

    assert str(error) == (
        "0 of 5 answered in phase masked_input, 4 are needed;"
        f" g0: {REFUSED}; g1: {REFUSED}; g2: {REFUSED}; 2 more"
    )
    assert set(IDS) == set(error.dropped)
    assert "0.1234" not in str(error)
    assert str(error) == str(pickle.loads(pickle.dumps(error)))


def test_the_words_of_one_gateway_are_no_other_entry() -> None:
    error = BelowThreshold(1, 3, "upload")
    said = "gone; g2: bad_signature"
    error.dropped = {"g1": GatewayDropped("g1", "upload", DropReason.ABORTED, said)}

    assert str(error).endswith("are needed; g1: gone, g2: bad_signature")


def test_who_gave_a_reason_stands_before_who_was_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, ["g4"])
    silent = dict.fromkeys(("g0", "g1", "g2"), "masked_input")
    with pytest.raises(BelowThreshold, match=rf"needed; g4: {REFUSED}; g0: silent; .*; 1 more$"):
        SecureAverage(clip=1.0).run(TREES, vanish=silent)


@pytest.mark.parametrize("lost", [["g3"], IDS])
def test_a_reason_that_never_reached_the_server_is_told(
    monkeypatch: pytest.MonkeyPatch, lost: Collection[str]
) -> None:
    """The server waits in vain; the gateway knows better."""
    receive = ClientSession.receive

    def received(self: ClientSession, frame: bytes) -> Any:
        if self._context.identity.id not in lost:
            return receive(self, frame)
        return iter([Aborted(StateLost("the disk\nis full"))])

    monkeypatch.setattr(ClientSession, "receive", received)
    gone = {
        name: GatewayDropped(
            name, "advertise_keys", DropReason.ABORTED, r"StateLost: the disk\nis full"
        )
        for name in lost
    }
    if len(lost) == 1:
        assert gone == SecureAverage(clip=1.0).run(TREES).dropped
        return
    with pytest.raises(BelowThreshold) as ended:
        SecureAverage(clip=1.0).run(TREES)

    assert gone == ended.value.dropped
