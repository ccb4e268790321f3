"""What the sessions promise to their caller: events, questions, and named refusals."""

from __future__ import annotations

import numpy as np
import pytest

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
    GatewayDropped,
    PhaseClosed,
    Send,
    UpdateDue,
)
from secagg.protocol.identity import Roster
from secagg.protocol.messages import Abort, DropReason
from secagg.session import Model, ServerSession
from tests.session.deceit import CODEC
from tests.session.harness import STEPS, Parties, World, assert_exact, metrics, update, weight

# -- a whole session -------------------------------------------------------------------------------


def test_events_of_an_honest_session() -> None:
    world = World(Parties(4)).play()

    assert [PhaseClosed(step, world.cohort) for step in STEPS] + [Completed()] == world.events
    for events in world.client_events.values():
        kinds = [type(event) for event in events]
        assert [Send, Send, Send, UpdateDue, Send, Send, Completed] == kinds
        assert {None} == {event.to for event in events if isinstance(event, Send)}


def test_phase_and_waiting_for_follow_the_session() -> None:
    world = World(Parties(4))
    seen: dict[str, set[tuple[str, ...]]] = {}
    assert ("ready", ()) == (world.server.phase, world.server.waiting_for)
    world.start()
    while world.running:
        seen.setdefault(world.server.phase, set()).add(world.server.waiting_for)
        world.step()

    assert list(STEPS) == list(seen)
    for waiting in seen.values():
        # one after the other in the order of the cohort; the last to answer closes the phase
        assert {world.cohort[i:] for i in range(4)} == waiting
    assert ("done", ()) == (world.server.phase, world.server.waiting_for)


def test_result_and_audit_wait_for_their_time() -> None:
    world = World(Parties(4))
    for step in STEPS:
        world.play_until(step)
        with pytest.raises(LocalProtocolError, match=f"no result: the session is {step}"):
            _ = world.server.result
        if step != "unmasking":
            with pytest.raises(LocalProtocolError, match="audit record"):
                _ = world.server.audit
    world.play()

    included = verify_record(world.server.audit, world.parties.roster)
    assert frozenset(range(4)) == included
    assert world.server.result is world.server.result


def test_an_aborted_session_has_no_result_and_says_so_to_everybody() -> None:
    world = World(Parties(4), vanish={"g0": "half", "g1": "masked_input"}).play()

    assert "aborted" == world.server.phase
    with pytest.raises(LocalProtocolError, match="aborted"):
        _ = world.server.result
    with pytest.raises(LocalProtocolError, match="nothing to advance"):
        world.server.advance()
    assert isinstance(world.events[-1], Aborted)
    for name in ("g2", "g3"):
        reason = world.client_events[name][-1].reason
        assert isinstance(reason, AbortedByPeer)
        assert "BelowThreshold" == str(reason)


def test_the_result_is_the_weighted_mean() -> None:
    result = World(Parties(5), vanish={"g3": "half"}).play().server.result
    places = (0, 1, 2, 4)
    total = sum(map(weight, places))
    mean = result.mean(update(0))
    steps = [sum(int(weight(p) * 2) * int(update(p)["steps"][k]) for p in places) for k in range(3)]

    assert total == result.total_weight
    assert ("g0", "g1", "g2", "g4") == result.included
    real = sum(weight(p) * update(p)["w"] for p in places) / total
    assert np.abs(mean["w"] - real).max() <= result.error_bound
    assert [round(s / (2 * total)) for s in steps] == mean["steps"].tolist()
    assert [s / 2 for s in steps] == result.sum()["steps"].tolist()
    assert sum(metrics(p)["loss"] for p in places) == pytest.approx(result.metrics["loss"])
    assert 0 == result.clipped


def test_frames_are_made_when_they_are_asked_for() -> None:
    world = World(Parties(3))
    events = world.server.start()
    first = next(events)
    assert isinstance(first, Send)
    assert "g0" == first.to
    assert 2 == len(list(events))


# -- misuse by the caller --------------------------------------------------------------------------


def fresh_server(world: World, **changes: object) -> ServerSession:
    given = {
        "params": world.settings,
        "roster": world.parties.roster,
        "identity": world.parties.orchestrator,
    }
    return ServerSession(**(given | changes))


def test_a_server_needs_the_identity_of_the_roster() -> None:
    world = World(Parties(4))
    with pytest.raises(LocalProtocolError, match="not the orchestrator"):
        fresh_server(world, identity=world.parties.identities["g0"])


def test_a_cohort_outside_the_roster_is_refused() -> None:
    world = World(Parties(5))
    with pytest.raises(ConfigurationError, match=r"not in the roster.*'g4'"):
        fresh_server(world, roster=Parties(4).roster)


def test_a_repeated_id_in_a_roster_or_cohort_is_refused() -> None:
    parties = Parties(4)
    with pytest.raises(ConfigurationError, match="share one key"):
        Roster.of(1, parties.orchestrator, [parties.identities["g0"]] * 2)
    other = Parties(4, seed="b").identities["g0"]
    with pytest.raises(ConfigurationError, match=r"occur twice in the roster.*g0"):
        Roster.of(1, parties.orchestrator, [parties.identities["g0"], other])
    world = World(parties)
    world.settings = parties.settings(cohort=("g0", "g1", "g1"))
    with pytest.raises(ConfigurationError, match="twice in the cohort"):
        fresh_server(world)


def test_start_and_advance_have_their_time() -> None:
    world = World(Parties(4))
    with pytest.raises(LocalProtocolError, match="nothing to advance"):
        world.server.advance()
    world.start()
    with pytest.raises(LocalProtocolError, match="starts once"):
        world.server.start()
    assert_exact(world.play())


def test_an_unknown_sender_is_refused_and_nothing_changes() -> None:
    world = World(Parties(4)).play_until("share_keys")
    frame = world.log[-1].data
    for name in ("g9", 0, None):
        with pytest.raises(LocalProtocolError, match="takes no part"):
            world.server.receive(name, frame)

    assert_exact(world.play())
    assert {} == world.dropped


def test_an_upload_has_its_time() -> None:
    world = World(Parties(4))
    client = world.clients["g0"]
    with pytest.raises(LocalProtocolError, match="no upload is due"):
        world.upload("g0")
    with pytest.raises(LocalProtocolError, match="no session to leave"):
        client.abort("tired")
    world.play()
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="no upload is due"):
            world.upload("g0")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"update": {**update(0), "w": np.full(7, np.nan)}}, "'g0'.*NaN.*'w'"),
        ({"update": {**update(0), "w": np.full(7, -np.inf)}}, "'g0'.*infinite.*'w'"),
        ({"update": {**update(0), "w": np.full(7, 1.5)}}, "'g0'.*7 coordinates.*1.5.*'w'"),
        ({"update": {**update(0), "w": np.zeros(8)}}, "'g0'.*'w'.*float64.8.*float64.7"),
        ({"update": {**update(0), "w": np.zeros(7, np.float32)}}, "'g0'.*float32"),
        ({"update": {"w": np.zeros(7)}}, "'g0'.*lacks keys: steps"),
        ({"update": {**update(0), "v": np.zeros(7)}}, "'g0'.*extra keys: v"),
        ({"update": [np.zeros(7)]}, "'g0'.*keys"),
        ({"update": {}}, "'g0'.*no arrays"),
        ({"update": {"w": 1.0, "steps": 2}}, "'g0'.*numpy.asarray"),
        ({"update": None}, "'g0'"),
        ({"weight": 0.0}, "'g0'.*weight is 0.0.*above 0"),
        ({"weight": -1.0}, "'g0'.*weight is -1.0"),
        ({"weight": float("nan")}, "'g0'.*weight is nan"),
        ({"weight": 8.5}, "'g0'.*weight is 8.5.*at most 8.0"),
        ({"weight": 1e-9}, "'g0'.*rounds to zero"),
        ({"metrics": None}, "'g0'.*metrics are"),
        ({"metrics": {"loss": 1.0, "more": 1.0}}, "'g0'.*metrics are"),
        ({"metrics": {"loss": float("inf")}}, "'g0'.*metric 'loss' is inf"),
        ({"metrics": {"loss": 101.0}}, "'g0'.*bound is 100"),
        ({"base": {"w": np.zeros(7)}}, "'g0'.*base lacks keys"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_a_bad_update_spends_nothing(change: dict[str, object], words: str) -> None:
    world = World(Parties(4)).play_until("masked_input")
    parties, client = world.parties, world.clients["g0"]
    request = next(f for f in world.pending if f.gateway == "g0")
    world.pending.remove(request)
    header, due = client.receive(request.data)
    world.to_server("g0", header)
    assert isinstance(due, UpdateDue)
    given = {"update": update(0), "weight": weight(0), "metrics": metrics(0)} | change
    with pytest.raises(EncodingError, match=words):
        client.upload(given.pop("update"), given.pop("weight"), **given)

    assert 0 == parties.journals["g0"].last_round(parties.roster.hash())
    world.uploads["g0"] = world.upload("g0")
    assert_exact(world.play())
    assert {} == world.dropped


def test_another_model_ends_the_session_before_anything_leaves() -> None:
    world = World(Parties(4), model=Model({"w": np.ones(7), "steps": np.zeros(3, np.int64)}))
    world.play_until("masked_input")
    request = next(f for f in world.pending if f.gateway == "g0" and not f.up)
    client = world.clients["g0"]
    list(client.receive(request.data))
    with pytest.raises(ModelMismatch):
        client.upload(update(0), base=None, metrics=metrics(0))

    assert 0 == world.parties.journals["g0"].last_round(world.parties.roster.hash())
    with pytest.raises(LocalProtocolError, match="over"):
        client.receive(request.data)


# -- leaving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_gateway_may_leave(step: str) -> None:
    world = World(Parties(4)).play_until(step)
    client = world.clients["g3"]
    for event in client.abort("battery low"):
        if isinstance(event, Send):
            world.to_server("g3", event)
    world.play()
    (drop,) = [event for event in world.events if isinstance(event, GatewayDropped)]

    assert_exact(world)
    assert (("g3", step, DropReason.ABORTED)) == (drop.id, drop.phase, drop.reason)
    assert "battery low" in drop.detail
    with pytest.raises(LocalProtocolError, match="no session to leave"):
        client.abort("again")


def test_the_orchestrators_farewell_ends_a_session_and_erases() -> None:
    world = World(Parties(4)).play_until("consistency")
    client = world.clients["g0"]
    farewell = Abort(session=world.server.session, reason="maintenance")
    (aborted,) = client.receive(CODEC.encode(farewell, world.server.session))

    assert isinstance(aborted.reason, AbortedByPeer)
    assert {} == client._client._secrets
    request = next(f for f in world.pending if f.gateway == "g0")
    with pytest.raises(LocalProtocolError, match="make a new one"):
        client.receive(request.data)


def test_a_question_out_of_order_ends_the_session() -> None:
    world = World(Parties(4)).play_until("consistency")
    later = next(f for f in world.pending if f.gateway == "g0")
    other = World(Parties(4)).play_until("share_keys")
    farewell, aborted = other.clients["g0"].receive(later.data)

    assert isinstance(farewell, Send)
    assert isinstance(aborted.reason, UnexpectedMessage)
