"""What does not verify says nothing about the name on it: it is ignored, counted, and said once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import pytest
from msgspec.structs import replace

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg import Ignored, Lattice, Masks, canonical, wire
from secagg.crypto.labels import Label
from secagg.protocol.messages import Abort, Answer, DropReason, Farewell, Signed, sign_farewell
from secagg.schemes.scheme import Scheme
from secagg.session.loopback import Frame
from tests.session.deceit import CODEC

VICTIM = "g1"
SCHEMES = [Masks(), Lattice()]


def answer_in(frame: Frame) -> Answer | None:
    envelope = wire.open(frame.data)
    return None if envelope.type == wire.VECTOR else CODEC.decode(envelope)


def unsigned(frame: Frame) -> bytes | None:
    """The victim's answer with a signature of zeros."""
    if (answer := answer_in(frame)) is None:
        return None
    signed = replace(answer.signed, signature=bytes(64))
    return wire_of(frame, replace(answer, signed=signed))


def unsigned_otherwise(frame: Frame) -> bytes | None:
    """Another answer than the victim's, not signed."""
    if (answer := answer_in(frame)) is None:
        return None
    return wire_of(frame, replace(answer, signed=Signed(body=b"\x90", signature=bytes(64))))


def step_nobody_asked(frame: Frame) -> bytes | None:
    answer = answer_in(frame)
    return None if answer is None else wire_of(frame, replace(answer, step="no such step"))


def wire_of(frame: Frame, answer: Answer) -> bytes:
    return CODEC.encode(answer, wire.session_of(frame.data))


def untagged(frame: Frame) -> bytes | None:
    """The victim's next upload frame under another tag."""
    data = bytes(frame.data)
    vector = wire.open(data).type == wire.VECTOR
    return data[:-1] + bytes([data[-1] ^ 1]) if vector else None


FORGERIES: dict[str, Callable[[Frame], bytes | None]] = {
    "junk": lambda _: os.urandom(40),
    "cut": lambda frame: bytes(frame.data)[:-1],
    "another session": lambda frame: bytes(frame.data)[:8] + bytes(16) + bytes(frame.data)[24:],
    "a request": lambda frame: CODEC.encode(
        Farewell(body=b"", signature=b""), wire.session_of(frame.data)
    ),
    "not signed": unsigned,
    "not signed, otherwise": unsigned_otherwise,
    "no such step": step_nobody_asked,
    "no tag": untagged,
}


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_a_forgery_beside_every_frame_costs_its_name_nothing(
    scheme: Scheme, forgery: str, *, late: bool
) -> None:
    def passes(frame: Frame) -> Iterable[bytes]:
        forged = FORGERIES[forgery](frame) if frame.up and frame.gateway == VICTIM else None
        both = [frame.data] if forged is None else [forged, frame.data]
        return reversed(both) if late else both

    exchange = Exchange(Parties(5, scheme), passes=passes, vouched=False).play()

    assert exchange.cohort == exchange.verdict.summed
    assert {} == exchange.dropped


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_what_is_ignored_is_counted_and_said_once(scheme: Scheme) -> None:
    exchange = Exchange(Parties(5, scheme), vouched=False)
    exchange.send(exchange.start())
    server, phase = exchange.server, exchange.server.phase
    said = [
        event
        for _ in range(3)
        for name in (VICTIM, "a stranger")
        for event in server.receive(name, b"?")
    ]
    junk = Ignored(VICTIM, "sent something that is not a message of this protocol", phase)
    stranger = Ignored("a stranger", "takes no part in this session", phase)

    assert [junk, stranger] == said
    assert {junk: 3, stranger: 3} == server.ignored


def test_strangers_fill_no_memory() -> None:
    exchange = Exchange(Parties(5))
    exchange.send(exchange.start())
    for number in range(2000):
        list(exchange.server.receive(f"stranger {number}", b"?"))

    assert 1024 == len(exchange.server.ignored)


def test_a_deadline_tells_what_was_ignored() -> None:
    def passes(frame: Frame) -> Iterable[bytes]:
        mine = frame.up and frame.gateway == VICTIM
        return [b"?", b"??", b"???"] if mine else [frame.data]

    exchange = Exchange(Parties(5), passes=passes, vouched=False).play()
    (drop,) = exchange.server.dropped.values()

    assert (VICTIM, DropReason.SILENT) == (drop.id, drop.reason)
    assert "3 frames did not verify" == drop.detail


@pytest.mark.parametrize("vouched", [False, True])
def test_an_answer_of_another_session_is_no_second_answer(*, vouched: bool) -> None:
    """g1's own header of a session beside, well signed, while the rest of its upload is due."""
    other = Exchange(Parties(5), name="beside").play()
    beside = next(
        answer
        for frame in other.log
        if frame.up and frame.gateway == VICTIM
        if (answer := answer_in(frame)) is not None and answer.step == "masked_input"
    )

    def passes(frame: Frame) -> Iterable[bytes]:
        answer = answer_in(frame) if frame.up and frame.gateway == VICTIM else None
        if answer is None or answer.step != "masked_input":
            return [frame.data]
        return [frame.data, wire_of(frame, beside)]

    exchange = Exchange(Parties(5), passes=passes, vouched=vouched).play()

    assert ({VICTIM: ("masked_input", "FOREIGN")} if vouched else {}) == exchange.dropped
    assert exchange.verdict.summed


@pytest.mark.parametrize("vouched", [False, True])
def test_two_signed_answers_are_a_proof(*, vouched: bool) -> None:
    parties = Parties(5)

    def passes(frame: Frame) -> Iterable[bytes]:
        answer = answer_in(frame) if frame.up and frame.gateway == VICTIM else None
        if answer is None or answer.step != "masked_input":
            return [frame.data]
        (step,) = (each for each in Masks().steps if each.name == answer.step)
        body = canonical.decode(step.answer, answer.signed.body)
        other = Signed.make(
            parties.identities[VICTIM].key, Label.SIGN_HEADER, replace(body, complaints=b"\x01")
        )
        return [frame.data, wire_of(frame, replace(answer, signed=other))]

    exchange = Exchange(parties, passes=passes, vouched=vouched).play()

    assert {VICTIM: ("masked_input", "EQUIVOCATED")} == exchange.dropped


def test_a_farewell_to_another_session_is_none() -> None:
    parties, others = Parties(5), Exchange(Parties(5), name="beside")
    others.send(others.start())
    farewell = Signed.make(
        parties.identities[VICTIM].key,
        Label.SIGN_ABORT,
        Abort(session=others.server.session, reason="no more"),
    )

    def passes(frame: Frame) -> Iterable[bytes]:
        mine = frame.up and frame.gateway == VICTIM
        gone = wire_of(frame, Answer(step="abort", signed=farewell))
        return [gone, frame.data] if mine else [frame.data]

    exchange = Exchange(parties, passes=passes, vouched=False).play()

    assert {} == exchange.dropped
    assert exchange.cohort == exchange.verdict.summed


def test_a_farewell_before_anything_has_begun_is_nothing() -> None:
    """An old one, well signed, is replayed to a gateway that waits for its next session."""
    parties = Parties(5)
    over = sign_farewell(parties.orchestrator.key, bytes(16), "it failed")

    def passes(frame: Frame) -> Iterable[bytes]:
        first = not frame.up and frame.step == "advertise_keys" and frame.gateway == VICTIM
        return [CODEC.encode(over, bytes(16)), frame.data] if first else [frame.data]

    exchange = Exchange(parties, passes=passes).play()

    assert exchange.cohort == exchange.verdict.summed
    assert [] == exchange.refused
