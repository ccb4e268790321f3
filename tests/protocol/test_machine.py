"""Order, repetition and drops, whatever a scheme's messages mean."""

from __future__ import annotations

import pytest

from secagg.errors import LocalProtocolError, UnexpectedMessage
from secagg.protocol.journal import MemoryJournal
from secagg.protocol.machine import ClientMachine
from secagg.protocol.messages import Abort, DropReason
from secagg.protocol.uploads import BadFrame, Staging, frame_mac
from secagg.schemes.masks.messages import STEPS
from tests.session.harness import Parties, World


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


def test_the_first_reason_of_a_drop_stays():
    server = World(Parties(5)).play_until("share_keys").server._machine

    server.drop(1, DropReason.BAD_KEY)
    server.drop(1, DropReason.SILENT)

    assert DropReason.BAD_KEY is server.dropped[1].reason


def test_a_server_starts_once_and_closes_only_what_is_open():
    world = World(Parties(5))
    with pytest.raises(LocalProtocolError, match="ready"):
        world.server.advance()
    world.start()
    with pytest.raises(LocalProtocolError, match="once"):
        world.server.start()
    world.play()
    with pytest.raises(LocalProtocolError, match="done"):
        world.server.advance()


def test_a_frame_of_another_length_is_refused():
    import numpy as np

    keys = {"salt": bytes(32), "session": bytes(16), "position": 0}
    staging = Staging([(0, 0, 4)], max_in_flight=2, spool=lambda: pytest.fail("not needed"))
    staging.open(0, frame_mac(bytes(32), **keys))
    words = np.zeros(3, np.uint64)
    region = words.tobytes()
    tag = frame_mac(bytes(32), **keys).tag(0, region)

    with pytest.raises(BadFrame, match="3 words"):
        staging.add(0, 0, memoryview(region), words, tag)
