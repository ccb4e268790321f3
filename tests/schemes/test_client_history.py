"""A client answers a question once, a round once, and nothing it has no secrets for."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from secagg import errors
from secagg.protocol.events import Aborted, Send, UpdateDue
from secagg.protocol.messages import sign_round
from secagg.protocol.policy import Policy
from secagg.session import Model
from secagg.thresholds import derive
from secagg.wire import VECTOR, type_of
from tests.schemes.test_client_rows import CODEC, only
from tests.session.harness import STEPS, Frame, Parties, World, metrics, update, weight

ME = "g1"
ZEROS = {"w": np.zeros(7), "steps": np.zeros(3, int)}


def requests(world: World) -> dict[str, bytes]:
    """What the victim was asked, by step."""
    return {f.step: f.data for f in world.log if not f.up and f.gateway == ME}


def answers(world: World) -> dict[str, bytes]:
    mine = [f.data for f in world.log if f.up and f.gateway == ME and type_of(f.data) != VECTOR]
    return {CODEC.decode(data, session=None).step: data for data in mine}


def heard(session, frame: bytes) -> list:
    return list(session.receive(frame))


@pytest.mark.parametrize("step", STEPS)
def test_a_repeated_question_gets_identical_bytes(step):
    world = World(Parties(5)).play()

    events = heard(world.clients[ME], requests(world)[step])

    assert [Send(None, answers(world)[step])] == events


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_second_question_gets_no_answer(step):
    """Two certificates, two sets, two lists of keys: only the first is answered."""
    world = World(Parties(5)).play()
    message = CODEC.decode(requests(world)[step], session=None)
    other = {
        "share_keys": {"present": only(0, 1, 2, 3)},
        "masked_input": {"dealers": only(0, 1, 2, 3)},
        "consistency": {"included": only(0, 1, 2, 3)},
    }.get(step)
    if other is None:
        signers = msgspec.structs.replace(message.certificate, signers=only(1, 2, 3, 4))
        other = {"certificate": signers}
    asked = CODEC.encode(msgspec.structs.replace(message, **other), world.server.session)

    events = heard(world.clients[ME], asked)

    assert errors.SecondQuestion is type(events[-1].reason)
    assert "abort" == CODEC.decode(events[0].frame, session=None).step


@pytest.mark.parametrize("step", STEPS[1:])
def test_after_a_restart_the_journal_answers_the_same_bytes(step):
    parties = Parties(5)
    world = World(parties).play()

    events = heard(parties.client(ME, "restarted"), requests(world)[step])

    assert Send(None, answers(world)[step]) == events[0]


@pytest.mark.parametrize("step", STEPS[1:])
def test_after_a_restart_nothing_else_is_answered(step):
    parties = Parties(5)
    world = World(parties).play()
    parties.journals[ME].forget(world.server.session)

    events = heard(parties.client(ME, "restarted"), requests(world)[step])

    assert errors.StateLost is type(events[-1].reason)


def test_steps_cannot_be_skipped():
    world = World(Parties(5)).play()
    fresh = Parties(5)
    session = fresh.client(ME, 1)
    heard(session, requests(world)["advertise_keys"])

    events = heard(session, requests(world)["masked_input"])

    assert errors.UnexpectedMessage is type(events[-1].reason)


def test_consistency_is_refused_before_the_upload_is_handed_over():
    done = World(Parties(5)).play()
    world = World(Parties(5)).play_until("masked_input")
    while ME not in world.uploads:
        assert world.step()
    next(world.uploads[ME])  # one frame left, the others did not

    events = heard(world.clients[ME], requests(done)["consistency"])

    assert errors.UnexpectedMessage is type(events[-1].reason)


def due(parties: Parties, number: int, *, salt: str) -> World:
    """A session in which the victim has been asked for its update."""
    parties.seed = salt  # another session id
    world = World(parties, number).play_until("masked_input")
    frame = next(frame for frame in world.pending if frame.gateway == ME)
    world.log.append(frame)
    assert UpdateDue is type(heard(world.clients[ME], frame.data)[-1])
    return world


def upload(world: World, **changes):
    place = world.parties.place[ME]
    values = {"metrics": metrics(place), "base": None} | changes
    return world.clients[ME].upload(update(place), weight(place), **values)


def test_parallel_sessions_of_one_round_get_one_upload():
    parties = Parties(5)
    one, two = due(parties, 7, salt="one"), due(parties, 7, salt="two")

    frames = list(upload(one))
    with pytest.raises(errors.StaleRound):
        upload(two)

    assert frames
    assert {} == two.clients[ME]._client._secrets


def test_an_uploaded_round_is_not_started_again():
    parties = Parties(5)
    World(parties, 7).play()
    parties.seed = "again"
    world = World(parties, 7).play_until("share_keys")

    assert errors.StaleRound is type(world.client_events[ME][-1].reason)


def test_an_earlier_round_is_not_started():
    parties = Parties(5)
    World(parties, 7).play()
    world = World(parties, 6).play_until("share_keys")

    assert errors.StaleRound is type(world.client_events[ME][-1].reason)


def test_a_model_that_was_not_trained_on_gets_no_upload():
    world = due(Parties(5), 1, salt="a")

    with pytest.raises(errors.ModelMismatch):
        upload(world, base=ZEROS)

    assert {} == world.clients[ME]._client._secrets
    with pytest.raises(errors.LocalProtocolError):
        upload(world)


@pytest.mark.parametrize(("mode", "expected"), [("allow", []), ("refuse", [errors.ModelMismatch])])
def test_a_repeated_model_is_refused_when_the_policy_says_so(mode, expected):
    parties = Parties(5)
    model = Model(ZEROS)
    World(parties, 1, model=model).play()
    world = World(parties, 2, model=model)
    world.clients[ME] = parties.client(ME, 2, policy=Policy(repeat_model=mode))
    world.play()

    reasons = [type(e.reason) for e in world.client_events[ME] if isinstance(e, Aborted)]
    assert expected == reasons


def test_too_many_left_out_is_more_than_the_graph_tolerates():
    """n = 6, D = 1: four included reach the quorum, but two are missing."""
    limits = {"max_dropouts": 1}
    parties = Parties(6)
    world = World(parties, settings=parties.settings(limits=limits))
    thresholds = derive(6, max_dropouts=1)

    def passes(frame: Frame) -> list[bytes]:
        if frame.up or frame.gateway != ME or frame.step != "consistency":
            return [frame.data]
        message = CODEC.decode(frame.data, session=None)
        thinned = msgspec.structs.replace(
            message, included=bytes([0b001111]), headers=message.headers[:3]
        )
        return [CODEC.encode(thinned, world.server.session)]

    world.passes = passes
    world.play()

    assert 4 >= max(thresholds.quorum, thresholds.min_included)
    assert errors.TooManyDropped is type(world.client_events[ME][-1].reason)


def test_an_update_is_asked_for_once():
    world = due(Parties(5), 1, salt="a")
    request = requests(world)["masked_input"]

    assert [] == [e for e in heard(world.clients[ME], request) if isinstance(e, UpdateDue)]


def test_other_parameters_for_one_session_are_a_second_question():
    world = due(Parties(5), 1, salt="a")
    message = CODEC.decode(requests(world)["masked_input"], session=None)
    params = msgspec.structs.replace(message.round.params, model=bytes(31) + b"\1")
    other = msgspec.structs.replace(
        message, round=sign_round(world.parties.orchestrator.key, params)
    )

    events = heard(world.clients[ME], CODEC.encode(other, world.server.session))

    assert errors.SecondQuestion is type(events[-1].reason)


def test_a_model_is_refused_once_more_when_the_upload_leaves():
    """Two rounds on one model side by side: both were announced before either was stored."""
    parties = Parties(5)
    worlds = []
    for number in (1, 2):
        parties.seed = f"side by side {number}"
        world = World(parties, number, model=Model(ZEROS))
        world.clients[ME] = parties.client(ME, policy=Policy(repeat_model="refuse"))
        world.play_until("masked_input")
        frame = next(frame for frame in world.pending if frame.gateway == ME)
        heard(world.clients[ME], frame.data)
        worlds.append(world)

    list(upload(worlds[0], base=ZEROS))
    with pytest.raises(errors.ModelMismatch):
        upload(worlds[1], base=ZEROS)


def test_the_orchestrator_cannot_pick_a_small_cohort_of_its_friends():
    """Ten members, three of them corrupt: with C = 1 of three, one victim would be alone."""
    parties = Parties(10)
    world = World(parties, cohort=("g0", "g1", "g2"))
    world.clients[ME] = parties.client(ME, 1, policy=Policy())

    world.play_until("share_keys")

    assert errors.PolicyViolation is type(world.client_events[ME][-1].reason)


def test_a_failing_journal_closes_the_session():
    parties = Parties(5)
    world = World(parties).play_until("share_keys")
    frame = next(frame for frame in world.pending if frame.gateway == ME)

    def full(*_: object) -> None:
        raise OSError("no space left")

    parties.journals[ME].put = full
    with pytest.raises(OSError, match="no space"):
        heard(world.clients[ME], frame.data)

    assert {} == world.clients[ME]._client._secrets


def test_frames_stop_when_the_session_is_left():
    world = due(Parties(5), 1, salt="a")
    frames = upload(world)
    next(frames)

    list(world.clients[ME].abort("enough"))

    assert [] == list(frames)
