"""Order, repetition and drops, whatever a scheme's messages mean."""

from __future__ import annotations

import pytest

from protocol_sim.memory import Exchange
from protocol_sim.parties import Parties
from secagg.crypto.labels import Label
from secagg.errors import LocalProtocolError, StateLost, UnexpectedMessage
from secagg.params import Struct
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.machine import ClientMachine
from secagg.protocol.messages import Abort, DropReason, Signed
from secagg.protocol.staging import BadFrame, Staging, frame_mac
from secagg.protocol.steps import Step
from secagg.schemes.masks.messages import STEPS
from secagg.wire import Span, VectorFrame


def machine() -> tuple[ClientMachine, list[str]]:
    erased: list[str] = []
    made = ClientMachine(
        STEPS,
        {},
        session=bytes(16),
        journal=MemoryJournal(),
        erase=lambda: erased.append("erased"),
    )
    return made, erased


def test_what_is_no_request_ends_the_session():
    client, erased = machine()

    with pytest.raises(UnexpectedMessage, match="Abort"):
        client.receive(Abort(session=bytes(16), reason=""))

    assert ["erased"] == erased
    with pytest.raises(LocalProtocolError, match="failed"):
        client.receive(Abort(session=bytes(16), reason=""))


class Question(Struct, frozen=True):
    number: int


class First(Question, frozen=True):
    """Optional."""


class Second(Question, frozen=True):
    """Always asked."""


class Third(Question, frozen=True):
    """Optional."""


class Last(Question, frozen=True):
    """Always asked."""


TABLE = [
    Step("first", First, Question, Label.SIGN_HEADER, optional=True),
    Step("second", Second, Question, Label.SIGN_HEADER),
    Step("third", Third, Question, Label.SIGN_HEADER, optional=True),
    Step("last", Last, Question, Label.SIGN_HEADER),
]


def optional_machine(last: str = "") -> ClientMachine:
    """A client that takes the answer to `last` for its last one."""

    def answer(name: str) -> Signed:
        if name == last:
            made.finish()
        return Signed(body=name.encode(), signature=b"")

    made = ClientMachine(
        TABLE,
        {step.name: lambda _, name=step.name: answer(name) for step in TABLE},
        session=bytes(16),
        journal=MemoryJournal(),
        erase=lambda: None,
    )
    return made


@pytest.mark.parametrize(
    "kinds",
    [(First, Second, Third, Last), (Second, Last), (First, Second, Last), (Second, Third, Last)],
)
def test_optional_steps_may_be_left_out(kinds):
    client = optional_machine()
    for kind in kinds:
        assert not client.done
        assert client.receive(kind(number=1)) == client.receive(kind(number=1))

    assert client.done


@pytest.mark.parametrize(
    ("before", "kind", "error"),
    [
        ((), Third, StateLost),
        ((), Last, StateLost),
        ((First,), Third, UnexpectedMessage),
        ((First,), Last, UnexpectedMessage),
        ((Second,), First, UnexpectedMessage),
        ((Second, Last), Third, UnexpectedMessage),
    ],
)
def test_other_steps_may_not_and_none_is_made_up_for(before, kind, error):
    client = optional_machine()
    for each in before:
        client.receive(each(number=1))
    with pytest.raises(error):
        client.receive(kind(number=1))


def test_a_client_may_be_done_before_the_table_is():
    client = optional_machine(last="third")
    client.receive(Second(number=1))
    answer = client.receive(Third(number=1))

    assert client.done
    assert answer == client.receive(Third(number=1))
    with pytest.raises(UnexpectedMessage):
        client.receive(Last(number=1))


def test_the_first_reason_of_a_drop_stays():
    server = Exchange(Parties(5)).play_until("share_keys").server._machine

    server.drop(1, DropReason.BAD_KEY)
    server.drop(1, DropReason.SILENT)

    assert DropReason.BAD_KEY is server.dropped[1].reason


def test_a_frame_of_another_length_is_refused():
    import numpy as np

    mac = frame_mac(bytes(32), salt=bytes(32), session=bytes(16), position=0)
    staging = Staging(
        [Span(0, 0, 4)],
        lambda _: mac,
        max_in_flight=2,
        spool=lambda: pytest.fail("not needed"),
        spool_bytes=0,
    )
    words = np.zeros(3, np.uint64)
    region = words.tobytes()

    with pytest.raises(BadFrame, match="3 words"):
        staging.add(0, VectorFrame(0, memoryview(region), words, mac.tag(0, region)))
