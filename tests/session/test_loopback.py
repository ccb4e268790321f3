"""The loop that carries frames in memory: order, silence, deadlines, and what it tells."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from protocol_sim.parties import Parties
from secagg.errors import BelowThreshold, EncodingError
from secagg.protocol.events import Aborted, Completed, Event
from secagg.session import ServerSession
from secagg.session.loopback import Frame, Loopback, MakeUpload, Observer


class Listener(Observer):
    """Notes everything in order."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.events: list[Event] = []

    def call(self, phase: str, party: Any, work: Callable[[], Any]) -> Any:
        self.notes.append(f"{phase}: {party}")
        return work()

    def frame(self, frame: Frame) -> None:
        self.notes.append(f"{frame.step}: {frame.gateway} {'up' if frame.up else 'down'}")

    def event(self, event: Event) -> None:
        self.events.append(event)


def looped(
    prepare: Callable[[Parties, Loopback, str], MakeUpload] | None = None, **how
) -> Loopback:
    """Four gateways under one orchestrator."""
    parties = Parties(4)
    server = ServerSession(parties.settings(1), parties.roster, parties.orchestrator)
    make = prepare or uploading

    def prepared(name: str) -> MakeUpload:
        return make(parties, loop, name)

    clients = {name: parties.client(name, 1) for name in parties.ids}
    loop = Loopback(server, clients, prepared, **how)
    return loop


def uploading(parties: Parties, loop: Loopback, name: str) -> MakeUpload:
    upload = loop.clients[name].upload
    return partial(upload, parties.update(name), parties.weight(name), metrics={"loss": 0.0})


def test_an_honest_round():
    listener = Listener()
    loop = looped(observer=listener)
    loop.run()

    assert ("g0", "g1", "g2", "g3") == loop.server.result.included
    assert None is loop.aborted
    assert not loop.pending
    assert loop.events == listener.events
    assert isinstance(listener.events[-1], Completed)
    # a gateway's answer is at the server before the next gateway is asked
    first = listener.notes.index("advertise_keys: g0 down")
    assert [
        "ready: None",
        "advertise_keys: g0 down",
        "advertise_keys: g0",
        "advertise_keys: g0 up",
        "advertise_keys: None",
        "advertise_keys: g1 down",
    ] == listener.notes[first - 1 : first + 5]


def test_one_update_is_alive_at_a_time():
    trained: list[weakref.ref[Any]] = []

    def prepare(parties: Parties, loop: Loopback, name: str) -> MakeUpload:
        assert all(update() is None for update in trained)
        update = {key: values.copy() for key, values in parties.update(name).items()}
        trained.append(weakref.ref(update["w"]))
        return partial(loop.clients[name].upload, update, metrics={"loss": 0.0})

    looped(prepare).run()

    assert len(trained) == 4


@pytest.mark.parametrize("waits", [False, True])
def test_a_deadline_before_the_uploads(*, waits: bool):
    """By default missing headers are given up before an upload has to be staged for them."""
    staged = []

    def prepare(parties: Parties, loop: Loopback, name: str) -> MakeUpload:
        staged.append(bool(loop.server.headers_missing))
        return uploading(parties, loop, name)

    how = {"times_out": lambda _server: False} if waits else {}
    loop = looped(
        prepare, silent=lambda n: n == "g1" and loop.server.phase == "masked_input", **how
    )
    loop.run()

    assert ("g0", "g2", "g3") == loop.server.result.included
    assert [waits] * 3 == staged


def test_an_abort_is_told_and_reaches_the_gateways():
    loop = looped(silent=lambda n: n in {"g0", "g1"} and loop.server.phase == "share_keys")
    loop.run()

    assert isinstance(loop.aborted, BelowThreshold)
    assert not loop.running
    assert all(isinstance(loop.client_events[n][-1], Aborted) for n in ("g2", "g3"))


def test_what_a_client_raises_comes_out():
    def prepare(parties: Parties, loop: Loopback, name: str) -> MakeUpload:
        update = {"w": np.full(7, np.nan), "steps": np.zeros(3, np.int64)}
        return partial(loop.clients[name].upload, update, metrics={"loss": 0.0})

    with pytest.raises(EncodingError, match="gateway 'g0'"):
        looped(prepare).run()


def test_a_frame_shows_no_bytes():
    frame = Frame("g0", up=True, step="unmasking", data=b"a seed")

    assert "Frame('g0', up, 'unmasking', 6 bytes)" == repr(frame)
