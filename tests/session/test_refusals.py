"""What a gateway refuses by name: an answer, another roster, what its policy excludes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import SecureAverage, ServerSession
from secagg.errors import ConfigurationError, EncodingError, PolicyViolation, WireError
from secagg.protocol.bounds import Bounds
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


def test_a_cohort_of_a_larger_roster_is_told_here_what_to_ask_for() -> None:
    """The numbers are this gateway's own: the orchestrator is told none of them."""
    parties = Parties(20)
    params = parties.settings(cohort=parties.ids[:10]).session_params(
        parties.roster, bytes(16), bytes(32)
    )
    with pytest.raises(PolicyViolation) as caught:
        Policy().check_session(params, 20)

    said = "the policy of this gateway refuses colluding gateways C"
    assert (said, said) == (str(caught.value), str(PolicyViolation("colluding gateways C")))
    assert said == PolicyViolation("colluding gateways C").table()
    assert "accepted 1\nannounce what is acc" in PolicyViolation("the words", 2, 1).table()
    assert caught.value.table().splitlines() == [
        said,
        "announced 3, accepted 6",
        (
            "max_colluding=6 at the orchestrator, the default of 20 members, or"
            " Policy(min_colluding=3) here"
        ),
    ]


# -- what the orchestrator can foresee -------------------------------------------------------------

TREE = {"w": np.full(3, 0.5)}
HUGE = {"w": np.broadcast_to(np.float32(0.5), (2**30, 4))}
FEW = "C is 3, and gateways of a roster of 20 ask for 6 by default: pass max_colluding=6"


def served(policy: Policy | None = None, tree: Any = TREE, **options: Any) -> ServerSession:
    """A server for ten gateways out of twenty."""
    parties = Parties(20)
    average = SecureAverage(**{"clip": 1.0} | options)
    settings = average.params(parties.ids[:10], tree, round=1)
    return ServerSession(settings, parties.roster, parties.orchestrator, policy=policy)


@pytest.mark.parametrize("scheme", ["masks", "lattice", "ckks", "auto"])
def test_a_small_cohort_of_a_large_roster_is_refused_before_the_round(scheme: Any) -> None:
    parties = Parties(20)
    average = SecureAverage(clip=1.0, scheme=scheme)
    average.enroll(parties.ids)
    with pytest.raises(ConfigurationError, match=FEW):
        average.params(parties.ids[:10], TREE, round=1)
    with pytest.raises(ConfigurationError, match=FEW):
        served(scheme=scheme)

    assert 10 == len(average.run(dict.fromkeys(parties.ids[:10], TREE)).included)
    assert 20 == average.params(parties.ids, TREE, round=2).thresholds.gateways


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        (None, {"max_colluding": 6}),
        (Policy(), {"max_colluding": 6}),
        (Policy(min_colluding=3), {}),
        (SecureAverage(clip=1.0, purpose="sum").policy(TREE, 10), {"purpose": "sum"}),
        (None, {"purpose": "sum", "max_colluding": 6}),
    ],
)
def test_what_gateways_take_is_served(policy: Policy | None, options: dict[str, Any]) -> None:
    assert "ready" == served(policy, **options).phase


@pytest.mark.parametrize(
    ("policy", "options", "said"),
    [
        (Policy(), {}, FEW),
        (None, {"max_colluding": 3}, FEW),
        (Policy(min_colluding=4), {}, "refuses colluding gateways C: 3 is announced, 4 is what"),
        (Policy(min_colluding=1, min_gateways=12), {}, "refuses gateways n: 10 is announced, 12"),
        (Policy(min_colluding=1), {"purpose": "sum"}, "refuses purpose 'sum', for which it has no"),
        (None, {"tree": HUGE, "max_colluding": 6}, "refuses the words of an upload: 1431655"),
        (Policy(min_colluding=1, max_words=2), {}, "refuses the words of an upload"),
        (Policy(min_colluding=1, bounds={"train": Bounds(clip=0.5)}), {}, "the bound of 'clip w'"),
    ],
)
def test_what_gateways_refuse_is_refused_here(
    policy: Policy | None, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        served(policy, **options)


def test_a_gateway_leaves_for_a_reason_that_is_one() -> None:
    exchange = Exchange(Parties(4)).play_until("share_keys")
    with pytest.raises(ConfigurationError, match="reason is 3"):
        exchange.clients["g1"].abort(3)
    left, ended = exchange.clients["g1"].abort(EncodingError("mine alone"))

    assert "mine alone" == str(ended.reason)
    assert b"EncodingError" in left.frame
    assert b"mine" not in left.frame
