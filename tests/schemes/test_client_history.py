"""A client answers a question once, a round once, and nothing it has no secrets for."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import errors, wire
from secagg.canonical import bitmap
from secagg.protocol.events import Aborted, Send, UpdateDue
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.messages import sign_round
from secagg.protocol.policy import Policy
from secagg.schemes.masks import Masks
from secagg.session import Model
from secagg.session.loopback import Frame
from secagg.thresholds import derive
from secagg.wire import VECTOR
from tests.schemes.attacks import CODEC

STEPS = tuple(step.name for step in Masks.steps)
ME = "g1"
ZEROS = {"w": np.zeros(7), "steps": np.zeros(3, int)}


def requests(exchange: Exchange) -> dict[str, bytes]:
    """What the victim was asked, by step."""
    return {f.step: f.data for f in exchange.log if not f.up and f.gateway == ME}


def answers(exchange: Exchange) -> dict[str, bytes]:
    mine = [
        f.data
        for f in exchange.log
        if f.up and f.gateway == ME and wire.open(f.data).type != VECTOR
    ]
    return {CODEC.decode(wire.open(data)).step: data for data in mine}


def heard(session, frame: bytes) -> list:
    return list(session.receive(frame))


@pytest.mark.parametrize("step", STEPS)
def test_a_repeated_question_gets_identical_bytes(step):
    exchange = Exchange(Parties(5)).play()

    events = heard(exchange.clients[ME], requests(exchange)[step])

    assert [Send(None, answers(exchange)[step])] == events


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_second_question_gets_no_answer(step):
    """Two certificates, two sets, two lists of keys: only the first is answered."""
    exchange = Exchange(Parties(5)).play()
    message = CODEC.decode(wire.open(requests(exchange)[step]))
    other = {
        "share_keys": {"present": bitmap([0, 1, 2, 3], 5)},
        "masked_input": {"dealers": bitmap([0, 1, 2, 3], 5)},
        "consistency": {"included": bitmap([0, 1, 2, 3], 5)},
    }.get(step)
    if other is None:
        signers = msgspec.structs.replace(message.certificate, signers=bitmap([1, 2, 3, 4], 5))
        other = {"certificate": signers}
    asked = CODEC.encode(msgspec.structs.replace(message, **other), exchange.server.session)

    events = heard(exchange.clients[ME], asked)

    assert errors.SecondQuestion is type(events[-1].reason)
    assert "abort" == CODEC.decode(wire.open(events[0].frame)).step


@pytest.mark.parametrize("step", STEPS[1:])
def test_after_a_restart_the_journal_answers_the_same_bytes(step):
    parties = Parties(5)
    exchange = Exchange(parties).play()

    events = heard(parties.client(ME, "restarted"), requests(exchange)[step])

    assert Send(None, answers(exchange)[step]) == events[0]


@pytest.mark.parametrize("step", STEPS[1:])
def test_after_a_restart_nothing_else_is_answered(step):
    parties = Parties(5)
    exchange = Exchange(parties).play()
    parties.journals[ME].forget(exchange.server.session)

    events = heard(parties.client(ME, "restarted"), requests(exchange)[step])

    assert errors.StateLost is type(events[-1].reason)


def test_steps_cannot_be_skipped():
    exchange = Exchange(Parties(5)).play()
    fresh = Parties(5)
    session = fresh.client(ME, 1)
    heard(session, requests(exchange)["advertise_keys"])

    events = heard(session, requests(exchange)["masked_input"])

    assert errors.UnexpectedMessage is type(events[-1].reason)


def test_consistency_is_refused_before_the_upload_is_handed_over():
    done = Exchange(Parties(5)).play()
    exchange = Exchange(Parties(5)).play_until("masked_input")
    while ME not in exchange.uploads:
        assert exchange.step()
    next(exchange.uploads[ME])  # one frame left, the others did not

    events = heard(exchange.clients[ME], requests(done)["consistency"])

    assert errors.UnexpectedMessage is type(events[-1].reason)


def due(parties: Parties, number: int, *, name: str) -> Exchange:
    """A session in which the victim has been asked for its update."""
    exchange = Exchange(parties, number, name=name).play_until("masked_input")
    frame = next(frame for frame in exchange.pending if frame.gateway == ME)
    exchange.log.append(frame)
    assert UpdateDue is type(heard(exchange.clients[ME], frame.data)[-1])
    return exchange


def upload(exchange: Exchange, **changes):
    parties = exchange.parties
    values = {"metrics": parties.metrics(ME), "base": None} | changes
    return exchange.clients[ME].upload(parties.update(ME), parties.weight(ME), **values)


def test_parallel_sessions_of_one_round_get_one_upload():
    parties = Parties(5)
    two = Exchange(parties, 7, name="two").play_until("masked_input")
    one = due(parties, 7, name="one")

    frame = next(frame for frame in two.pending if frame.gateway == ME)
    assert errors.StaleRound is type(heard(two.clients[ME], frame.data)[-1].reason)
    assert {} == two.clients[ME]._client._secrets
    assert list(upload(one))


def test_an_update_that_does_not_encode_spends_nothing_and_ends_nothing():
    """But nobody asks in this round again, with another bound, whether it would."""
    parties = Parties(5)
    again = Exchange(parties, 7, name="again").play_until("masked_input")
    exchange = due(parties, 7, name="first")
    for _ in range(2):
        with pytest.raises(errors.EncodingError):
            exchange.clients[ME].upload(parties.update(ME), 1e9, metrics=parties.metrics(ME))

    frame = next(frame for frame in again.pending if frame.gateway == ME)
    assert errors.StaleRound is type(heard(again.clients[ME], frame.data)[-1].reason)
    assert list(upload(exchange))


def test_an_uploaded_round_is_not_started_again():
    parties = Parties(5)
    Exchange(parties, 7).play()
    exchange = Exchange(parties, 7, name="again").play_until("share_keys")

    assert errors.StaleRound is type(exchange.client_events[ME][-1].reason)


def test_an_earlier_round_is_not_started():
    parties = Parties(5)
    Exchange(parties, 7).play()
    exchange = Exchange(parties, 6).play_until("share_keys")

    assert errors.StaleRound is type(exchange.client_events[ME][-1].reason)


def test_a_model_that_was_not_trained_on_gets_no_upload():
    exchange = due(Parties(5), 1, name="a")

    with pytest.raises(errors.ModelMismatch):
        upload(exchange, base=ZEROS)

    assert {} == exchange.clients[ME]._client._secrets
    with pytest.raises(errors.LocalProtocolError):
        upload(exchange)


@pytest.mark.parametrize(("mode", "expected"), [("allow", []), ("refuse", [errors.ModelMismatch])])
def test_a_repeated_model_is_refused_when_the_policy_says_so(mode, expected):
    parties = Parties(5)
    model = Model(ZEROS)
    Exchange(parties, 1, model=model).play()
    exchange = Exchange(parties, 2, model=model)
    for name in parties.ids:
        chosen = mode if name == ME else "allow"
        exchange.clients[name] = parties.client(name, 2, policy=Policy(repeat_model=chosen))
    exchange.play()

    reasons = [type(e.reason) for e in exchange.client_events[ME] if isinstance(e, Aborted)]
    assert expected == reasons


def test_too_many_left_out_is_more_than_the_graph_tolerates():
    """n = 6, D = 1: four included reach the quorum, but two are missing."""
    limits = {"max_dropouts": 1}
    parties = Parties(6)
    exchange = Exchange(parties, settings=parties.settings(limits=limits))
    thresholds = derive(6, max_dropouts=1)

    def passes(frame: Frame) -> list[bytes]:
        if frame.up or frame.gateway != ME or frame.step != "consistency":
            return [frame.data]
        message = CODEC.decode(wire.open(frame.data))
        thinned = msgspec.structs.replace(
            message, included=bytes([0b001111]), headers=message.headers[:3]
        )
        return [CODEC.encode(thinned, exchange.server.session)]

    exchange.passes = passes
    exchange.play()

    assert 4 >= max(thresholds.quorum, thresholds.min_included)
    assert errors.TooManyDropped is type(exchange.client_events[ME][-1].reason)


def test_an_update_is_asked_for_once():
    exchange = due(Parties(5), 1, name="a")
    request = requests(exchange)["masked_input"]

    assert [] == [e for e in heard(exchange.clients[ME], request) if isinstance(e, UpdateDue)]


def test_other_parameters_for_one_session_are_a_second_question():
    exchange = due(Parties(5), 1, name="a")
    message = CODEC.decode(wire.open(requests(exchange)["masked_input"]))
    params = msgspec.structs.replace(message.round.claimed, model=bytes(31) + b"\1")
    other = msgspec.structs.replace(
        message, round=sign_round(exchange.parties.orchestrator.key, params)
    )

    events = heard(exchange.clients[ME], CODEC.encode(other, exchange.server.session))

    assert errors.SecondQuestion is type(events[-1].reason)


def test_a_model_is_refused_once_more_when_the_upload_leaves():
    """Two rosters and one model side by side: both rounds were accepted before one was spent."""
    exchanges, journal = [], MemoryJournal()
    for epoch in (1, 2):
        parties = Parties(5, epoch=epoch)
        exchange = Exchange(parties, model=Model(ZEROS), name=epoch)
        exchange.clients[ME] = parties.client(ME, policy=Policy(), journal=journal)
        exchange.play_until("masked_input")
        frame = next(frame for frame in exchange.pending if frame.gateway == ME)
        heard(exchange.clients[ME], frame.data)
        exchanges.append(exchange)

    list(upload(exchanges[0], base=ZEROS))
    with pytest.raises(errors.ModelMismatch):
        list(upload(exchanges[1], base=ZEROS))
    assert {} == exchanges[1].clients[ME]._client._secrets


def test_the_orchestrator_cannot_pick_a_small_cohort_of_its_friends():
    """Ten members, three of them corrupt: with C = 1 of three, one victim would be alone."""
    parties = Parties(10)
    exchange = Exchange(parties, cohort=("g0", "g1", "g2"))
    exchange.clients[ME] = parties.client(ME, 1, policy=Policy())

    exchange.play_until("share_keys")

    assert errors.PolicyViolation is type(exchange.client_events[ME][-1].reason)


def test_a_failing_journal_closes_the_session():
    parties = Parties(5)
    exchange = Exchange(parties).play_until("share_keys")
    frame = next(frame for frame in exchange.pending if frame.gateway == ME)

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    parties.journals[ME].put = full
    with pytest.raises(OSError, match="no space"):
        heard(exchange.clients[ME], frame.data)

    assert {} == exchange.clients[ME]._client._secrets


def test_frames_stop_when_the_session_is_left():
    exchange = due(Parties(5), 1, name="a")
    frames = upload(exchange)
    next(frames)

    list(exchange.clients[ME].abort("enough"))

    assert [] == list(frames)
