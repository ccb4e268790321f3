"""What the sessions promise to their caller: events, questions, and named refusals."""

from __future__ import annotations

import numpy as np
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg.errors import (
    AbortedByPeer,
    ConfigurationError,
    EncodingError,
    LocalProtocolError,
    ModelMismatch,
    UnexpectedMessage,
)
from secagg.protocol.audit import verify_record
from secagg.protocol.events import (
    Aborted,
    Completed,
    Event,
    GatewayDropped,
    Ignored,
    PhaseClosed,
    Send,
    UpdateDue,
)
from secagg.protocol.messages import DropReason, sign_farewell
from secagg.schemes.masks import Masks
from secagg.session import ClientSession, Model, ServerSession
from secagg.session.loopback import Frame
from tests.session.deceit import CODEC

STEPS = tuple(step.name for step in Masks.steps)
TRAINED = Parties(4).update("g0")
# -- a whole session -------------------------------------------------------------------------------


def heard(client: ClientSession) -> list[Event]:
    """All events that a gateway's session gives for what it receives, as they come."""
    events: list[Event] = []
    receive = client.receive

    def noted(frame: bytes) -> list[Event]:
        found = list(receive(frame))
        events.extend(found)
        return found

    client.receive = noted
    return events


def test_events_of_an_honest_session() -> None:
    exchange = Exchange(Parties(4))
    client_events = [heard(client) for client in exchange.clients.values()]
    exchange.play()

    assert [PhaseClosed(step, exchange.cohort) for step in STEPS] + [Completed()] == exchange.events
    for events in client_events:
        kinds = [type(event) for event in events]
        assert [Send, Send, Send, UpdateDue, Send, Send, Completed] == kinds
        assert {None} == {event.to for event in events if isinstance(event, Send)}


def test_events_that_no_loop_has_taken_come_with_the_next_call() -> None:
    """start() and receive() without a loop lost their frames, and advance() dropped everybody."""
    parties = Parties(3)
    server = ServerSession(parties.settings(), parties.roster, parties.orchestrator)
    server.start()
    with pytest.raises(LocalProtocolError, match="3 frames wait to be sent: iterate over"):
        server.advance()
    loop = server.receive("nobody", b"junk")
    announced = [next(loop)]

    # a loop that goes on keeps its own, whoever is called inside it
    assert [Ignored] == [type(event) for event in server.receive(["no", "id"], b"junk")]
    announced.append(next(loop))
    del loop  # as `break` does
    announced += server.receive("nobody", b"junk")
    assert [Send] * 3 + [Ignored] == [type(event) for event in announced]
    client = parties.client("g0")
    client.receive(announced[0].frame)
    assert [Send, Send, Aborted] == [type(event) for event in client.abort("left")]
    assert [GatewayDropped] * 3 == [type(event) for event in server.advance()][:3]


def test_phase_and_waiting_for_follow_the_session() -> None:
    exchange = Exchange(Parties(4))
    seen: dict[str, set[tuple[str, ...]]] = {}
    assert ("ready", ()) == (exchange.server.phase, exchange.server.waiting_for)
    exchange.play_until(STEPS[0])
    while exchange.running:
        seen.setdefault(exchange.server.phase, set()).add(exchange.server.waiting_for)
        exchange.step()

    assert list(STEPS) == list(seen)
    for waiting in seen.values():
        # one after the other in the order of the cohort; the last to answer closes the phase
        assert {exchange.cohort[i:] for i in range(4)} == waiting
    assert ("done", ()) == (exchange.server.phase, exchange.server.waiting_for)


def test_result_and_audit_wait_for_their_time() -> None:
    exchange = Exchange(Parties(4))
    for step in STEPS:
        exchange.play_until(step)
        with pytest.raises(LocalProtocolError, match=f"no result: the session is {step}"):
            _ = exchange.server.result
        if step != "unmasking":
            with pytest.raises(LocalProtocolError, match="audit record"):
                _ = exchange.server.audit
    exchange.play()

    included = verify_record(exchange.server.audit, exchange.parties.roster)
    assert frozenset(range(4)) == included
    assert exchange.server.result is exchange.server.result


def test_an_aborted_session_has_no_result_and_says_so_to_everybody() -> None:
    exchange = Exchange(Parties(4), vanish={"g0": "half", "g1": "masked_input"}).play()

    assert "aborted" == exchange.server.phase
    with pytest.raises(LocalProtocolError, match="aborted"):
        _ = exchange.server.result
    with pytest.raises(LocalProtocolError, match="nothing to advance"):
        exchange.server.advance()
    assert isinstance(exchange.events[-1], Aborted)
    for name in ("g2", "g3"):
        reason = exchange.client_events[name][-1].reason
        assert isinstance(reason, AbortedByPeer)
        assert "BelowThreshold" == str(reason)


def test_the_result_is_the_weighted_mean() -> None:
    parties = Parties(5)
    result = Exchange(parties, vanish={"g3": "half"}).play().server.result
    included = ("g0", "g1", "g2", "g4")
    weights = {name: parties.weight(name) for name in included}
    updates = {name: parties.update(name) for name in included}
    total = sum(weights.values())
    mean = result.mean(updates["g0"])
    steps = [
        sum(int(weights[name] * 2) * int(updates[name]["steps"][k]) for name in included)
        for k in range(3)
    ]

    assert total == result.total_weight
    assert included == result.included
    real = sum(weights[name] * updates[name]["w"] for name in included) / total
    assert np.abs(mean["w"] - real).max() <= result.error.bound
    assert [round(s / (2 * total)) for s in steps] == mean["steps"].tolist()
    assert [s / 2 for s in steps] == result.sum()["steps"].tolist()
    losses = sum(parties.metrics(name)["loss"] for name in included)
    assert losses == pytest.approx(result.metrics["loss"])
    assert {} == result.clamped


def test_frames_are_made_when_they_are_asked_for() -> None:
    exchange = Exchange(Parties(3))
    events = exchange.server.start()
    first = next(events)
    assert isinstance(first, Send)
    assert "g0" == first.to
    assert 2 == len(list(events))


# -- misuse by the caller --------------------------------------------------------------------------


def fresh_server(exchange: Exchange, **changes: object) -> ServerSession:
    given = {
        "settings": exchange.settings,
        "roster": exchange.parties.roster,
        "identity": exchange.parties.orchestrator,
    }
    return ServerSession(**(given | changes))


def test_a_server_needs_the_identity_of_the_roster() -> None:
    exchange = Exchange(Parties(4))
    with pytest.raises(LocalProtocolError, match="not the orchestrator"):
        fresh_server(exchange, identity=exchange.parties.identities["g0"])


def test_a_cohort_outside_the_roster_is_refused() -> None:
    exchange = Exchange(Parties(5))
    with pytest.raises(ConfigurationError, match=r"not in the roster.*'g4'"):
        fresh_server(exchange, roster=Parties(4).roster)


def test_start_and_advance_have_their_time() -> None:
    exchange = Exchange(Parties(4))
    with pytest.raises(LocalProtocolError, match="nothing to advance"):
        exchange.server.advance()
    exchange.play_until(STEPS[0])
    with pytest.raises(LocalProtocolError, match="starts once"):
        exchange.server.start()
    assert exchange.play().verdict.summed


def test_an_upload_has_its_time() -> None:
    exchange = Exchange(Parties(4))
    client = exchange.clients["g0"]
    with pytest.raises(LocalProtocolError, match="no upload is due"):
        exchange.upload("g0")
    with pytest.raises(LocalProtocolError, match="no session to leave"):
        client.abort("tired")
    exchange.play()
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="no upload is due"):
            exchange.upload("g0")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"update": {**TRAINED, "w": np.full(7, np.nan)}}, "'g0'.*NaN.*'w'"),
        ({"update": {**TRAINED, "w": np.full(7, -np.inf)}}, "'g0'.*infinite.*'w'"),
        ({"update": {**TRAINED, "w": np.full(7, 1.5)}}, "'g0'.*7 coordinates.*in 'w'"),
        ({"update": {**TRAINED, "w": np.zeros(8)}}, "'g0'.*'w'.*float64.8.*float64.7"),
        ({"update": {**TRAINED, "w": np.zeros(7, np.float32)}}, "'g0'.*float32"),
        ({"update": {"w": np.zeros(7)}}, "'g0'.*lacks keys: steps"),
        ({"update": {**TRAINED, "v": np.zeros(7)}}, "'g0'.*extra keys: v"),
        ({"update": [np.zeros(7)]}, "'g0'.*keys"),
        ({"update": {}}, "'g0'.*no arrays"),
        ({"update": {"w": 1.0, "steps": 2}}, r"'g0'.*float64\[\], the model"),
        ({"update": None}, "'g0'"),
        ({"weight": 0.0}, "'g0'.*weight is no number above 0"),
        ({"weight": -1.0}, "'g0'.*weight is no number above 0"),
        ({"weight": float("nan")}, "'g0'.*weight is no number above 0"),
        ({"weight": 8.5}, "'g0'.*pass max_weight="),
        ({"weight": 1e-9}, "'g0'.*rounds to 0"),
        ({"metrics": None}, "'g0'.*metrics are"),
        ({"metrics": {"loss": 1.0, "more": 1.0}}, "'g0'.*metrics are"),
        ({"metrics": {"loss": "low"}}, "'g0'.*metric 'loss' is a str"),
        ({"base": {"w": np.zeros(7)}}, "'g0'.*base lacks keys"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_a_bad_update_spends_nothing(change: dict[str, object], words: str) -> None:
    exchange = Exchange(Parties(4)).play_until("masked_input")
    parties, client = exchange.parties, exchange.clients["g0"]
    request = next(f for f in exchange.pending if f.gateway == "g0")
    exchange.pending.remove(request)
    header, due = client.receive(request.data)
    exchange.send([Frame("g0", True, exchange.server.phase, header.frame)])
    assert isinstance(due, UpdateDue)
    given = {
        "update": TRAINED,
        "weight": parties.weight("g0"),
        "metrics": parties.metrics("g0"),
    } | change
    with pytest.raises(EncodingError, match=words):
        client.upload(given.pop("update"), given.pop("weight"), **given)

    exchange.uploads["g0"] = exchange.upload("g0")
    assert exchange.play().verdict.summed
    assert {} == exchange.dropped


def test_another_model_ends_the_session_before_anything_leaves() -> None:
    exchange = Exchange(Parties(4), model=Model({"w": np.ones(7), "steps": np.zeros(3, np.int64)}))
    exchange.play_until("masked_input")
    request = next(f for f in exchange.pending if f.gateway == "g0" and not f.up)
    client = exchange.clients["g0"]
    list(client.receive(request.data))
    with pytest.raises(ModelMismatch):
        client.upload(TRAINED, base=None, metrics=exchange.parties.metrics("g0"))

    assert 0 == exchange.parties.journals["g0"].model_used("train", exchange.settings.model)
    with pytest.raises(LocalProtocolError, match="over"):
        client.receive(request.data)


# -- leaving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_gateway_may_leave(step: str) -> None:
    exchange = Exchange(Parties(4)).play_until(step)
    client = exchange.clients["g3"]
    for event in client.abort("battery\x1b[2J\nlow"):
        if isinstance(event, Send):
            exchange.send([Frame("g3", True, exchange.server.phase, event.frame)])
    exchange.play()
    (drop,) = [event for event in exchange.events if isinstance(event, GatewayDropped)]

    assert exchange.verdict.summed
    assert (("g3", step, DropReason.ABORTED)) == (drop.id, drop.phase, drop.reason)
    assert r"LocalProtocolError: battery\x1b[2J\nlow" == drop.detail  # in one line
    with pytest.raises(LocalProtocolError, match="no session to leave"):
        client.abort("again")


def test_the_orchestrators_farewell_ends_a_session_and_erases() -> None:
    exchange = Exchange(Parties(4)).play_until("consistency")
    client = exchange.clients["g0"]
    key, session = exchange.parties.orchestrator.key, exchange.server.session
    farewell = sign_farewell(key, session, "maintenance\n" + 300 * "\x1b")
    (aborted,) = client.receive(CODEC.encode(farewell, exchange.server.session))

    assert isinstance(aborted.reason, AbortedByPeer)
    assert [r"maintenance\n" + 46 * r"\x1b" + r"\x1b"[:3]] == list(aborted.reason.args)
    assert {} == client._client._secrets
    request = next(f for f in exchange.pending if f.gateway == "g0")
    with pytest.raises(LocalProtocolError, match="make a new one"):
        client.receive(request.data)


def test_a_question_out_of_order_ends_the_session() -> None:
    exchange = Exchange(Parties(4)).play_until("consistency")
    later = next(f for f in exchange.pending if f.gateway == "g0")
    other = Exchange(Parties(4)).play_until("share_keys")
    farewell, aborted = other.clients["g0"].receive(later.data)

    assert isinstance(farewell, Send)
    assert isinstance(aborted.reason, UnexpectedMessage)
